# SPDX-License-Identifier: Apache-2.0
"""The alert service is killed, the database goes away, the disk is full: what was acknowledged becomes an alert, once.

Arrays send INFORMs of v2c and v3 and repeat each one until it is acknowledged (`tests.faults.senders`). DELFIN_SEED
repeats the moments of a run; each test's name tells its seed. With DELFIN_LONG=1: more moments, longer outages, on
PostgreSQL and MariaDB.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from tests.engines import DatabaseEngine, RabbitMQ
from tests.faults.cluster import LONG, SEED
from tests.faults.senders import FAULT, RECOVERY
from tests.faults.trap_house import LEFT, RIGHT, SMALL, Disk, House
from tests.services import wait_for

MOMENTS = 20 if LONG else 3
OUTAGE_SECONDS = 60 if LONG else 10
WITHIN_SECONDS = 2.0            # of a start comes the next kill
PAIRS = 200 if LONG else 10
STILL_AFTER_SECONDS = (0.002, 0.03)      # from before it has acknowledged to after it has stored
# In short: those between two things that must agree.
POINTS = [f'{name}.{moment}' for name in ('spool', 'traps', 'unspool') for moment in ('before', 'after')
          if LONG or name != 'unspool' and moment == 'after']
STANDSTILLS = ['spool.after', 'traps.before', 'traps.after', 'unspool.before'] if LONG else ['traps.before']

pytestmark = pytest.mark.timeout(600 if LONG else 180)
seeded = pytest.mark.parametrize('seed', [SEED], ids=[f'seed-{SEED}'])


@pytest.fixture(scope='module')
def installation(server: DatabaseEngine, broker: RabbitMQ,
                 tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with (server.database() as url,
          House(tmp_path_factory.mktemp(f'traps-{server.name.lower()}'), server, url, broker.create_vhost()) as made):
        made.open()
        yield made


@pytest.fixture
def house(installation: House) -> House:
    """One alert service and nothing in any spool."""
    installation.server.start()
    installation.only(LEFT, *filter(installation.waiting, [RIGHT]))
    installation.drained()
    return installation


# --- killed ---

@seeded
def test_what_was_acknowledged_is_one_alert_whenever_the_service_is_killed(house: House, seed: int) -> None:
    chance = random.Random(seed)
    with house.stream() as stream:
        house.hears(stream)
        for moment in range(MOMENTS):
            time.sleep(chance.uniform(0, WITHIN_SECONDS))
            if moment == MOMENTS // 2:
                _database_goes_and_the_service_dies(house, chance.uniform(0, OUTAGE_SECONDS))
            else:
                house.kill()
                house.start()
            house.hears(stream)
    house.settled(stream)


def _database_goes_and_the_service_dies(house: House, after_seconds: float) -> None:
    """Who keeps the service running finds that it needs the database for its start."""
    house.server.stop()
    time.sleep(after_seconds)
    house.kill()
    assert house.begin().wait(30) != 0
    time.sleep(OUTAGE_SECONDS - after_seconds)
    house.server.start()
    house.start()


@pytest.mark.parametrize('point', POINTS)
def test_a_service_that_dies_around_a_commit_loses_nothing_and_repeats_nothing(house: House, point: str) -> None:
    house.only()
    with house.stream() as stream:
        house.start(LEFT, f'{point}=kill:20')
        wait_for(f'the service to die at {point}', lambda: not house.process().running, 30)
        house.start()
        house.hears(stream, 3)
    house.settled(stream)


# --- the database ---

def test_informs_are_acknowledged_without_a_database_and_become_alerts_when_it_is_back(house: House) -> None:
    with house.stream() as stream:
        house.hears(stream)
        house.server.stop()
        deadline = time.monotonic() + OUTAGE_SECONDS
        while time.monotonic() < deadline:
            house.hears(stream)
        acknowledged = stream.acknowledged
        house.server.start()
        wait_for('alerts of the outage', lambda: acknowledged <= {
            row.sequence_number for row in house.alerts(stream.run)}, 30)
    house.settled(stream)


# --- two services ---

def test_senders_go_to_the_other_service_when_theirs_is_killed(house: House) -> None:
    house.only(LEFT, RIGHT)
    with house.stream(LEFT, RIGHT, senders=house.plain) as stream:
        house.hears(stream)
        house.kill(LEFT)
        house.hears(stream, 10, seconds=5)
    house.start(LEFT)       # what it has acknowledged and not stored is in its spool
    house.settled(stream)


@pytest.mark.parametrize('point', STANDSTILLS)
def test_a_fault_is_over_when_the_other_service_has_heard_of_the_recovery(house: House, point: str) -> None:
    """However late the one that has heard of the fault comes to store it."""
    house.only(RIGHT)
    house.start(LEFT, f'{point}=stop')
    array, run = house.plain[0], house.run()
    number = f'{run}-fault'
    array.send_once(number, FAULT, house.port(LEFT))
    wait_for('the service to stand still', lambda: house.process(LEFT).frozen)
    array.send(number, RECOVERY, house.port(RIGHT))
    wait_for('the recovery to be stored', lambda: house.waiting(RIGHT) == 0)
    house.process(LEFT).thaw()
    house.drained()
    assert [(row.state, row.count) for row in house.alerts(run)] == [('cleared', 1)]
    assert house.bugs() == []


def test_a_fault_that_arrives_at_a_service_that_stands_still_is_over_after_its_recovery(house: House) -> None:
    house.only(LEFT, RIGHT)
    array, run = house.plain[0], house.run()
    number = f'{run}-fault'
    house.process(LEFT).freeze()
    array.send_once(number, FAULT, house.port(LEFT))
    array.send(f'{run}-other', FAULT, house.port(RIGHT))        # a moment passes
    array.send(number, RECOVERY, house.port(RIGHT))
    wait_for('the recovery to be stored', lambda: house.states(run).get(number) == ['recovery'])
    house.process(LEFT).thaw()
    wait_for('the fault to be stored', lambda: house.states(run)[number] != ['recovery'])
    assert house.states(run)[number] == ['cleared']


@seeded
def test_fault_and_recovery_never_swap_whenever_the_service_of_the_fault_stands_still(house: House, seed: int) -> None:
    house.only(LEFT, RIGHT)
    chance = random.Random(seed)
    array, run = house.plain[0], house.run()
    numbers = [f'{run}-{number}' for number in range(PAIRS)]
    for number in numbers:
        array.send_once(number, FAULT, house.port(LEFT))
        time.sleep(chance.uniform(*STILL_AFTER_SECONDS))
        house.process(LEFT).freeze()
        array.send(number, RECOVERY, house.port(RIGHT))
        house.process(LEFT).thaw()
    wait_for('all faults to be stored',
             lambda: {row.sequence_number for row in house.alerts(run) if row.state != 'recovery'} == set(numbers))
    house.drained()
    assert house.states(run) == {number: ['cleared'] for number in numbers}
    assert house.bugs() == []


# --- the disk ---

@pytest.fixture
def disk(house: House) -> Iterator[Disk]:
    """That of an alert service."""
    with Disk(house.site.state_of(SMALL)) as disk:
        yield disk
        house.kill(SMALL)


def test_informs_are_not_acknowledged_while_the_disk_is_full_and_again_when_there_is_room(
        house: House, disk: Disk) -> None:
    house.only(SMALL)
    with house.stream(SMALL) as stream:
        house.hears(stream, name=SMALL)
        disk.fill()
        wait_for('everybody to be refused', lambda: _refused(house) >= {sender.address for sender in stream.senders})
        disk.make_room()
        house.hears(stream, 3, name=SMALL)
    house.settled(stream)
    assert house.damage(SMALL) == []


@pytest.mark.skipif(not LONG, reason='takes a minute')
def test_a_spool_that_has_filled_its_disk_makes_room_itself_when_the_database_is_back(house: House, disk: Disk) -> None:
    house.only(SMALL)
    with house.stream(SMALL, senders=house.plain, pause_seconds=0) as stream:
        house.server.stop()
        wait_for('the disk to be full', lambda: house.said('(spool_full)', SMALL), 90)
        house.server.start()
        house.hears(stream, 3, name=SMALL)
    house.settled(stream)
    assert house.damage(SMALL) == []


def _refused(house: House) -> set[str]:
    """Addresses whose notifications found no room."""
    return {row['address'] for row in house.client.get('/v1/traps/rejected')['rejected_traps']
            if row['reason'] == 'spool_full'}
