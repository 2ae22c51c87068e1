# SPDX-License-Identifier: Apache-2.0
"""Accepted traps survive what happens to the process and, as far as possible, to the disk."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import resource
import sqlite3
import stat
import subprocess
import sys
import threading
from collections import Counter

import pytest

from delfin import exception, failpoints
from delfin.alert_manager.spool import (
    LANES,
    LARGEST_BOOTS,
    Peer,
    Received,
    Spool,
    SpoolError,
    SpoolFull,
    lane_of,
)
from tests.unit.support import PATIENCE_SECONDS, ROOT

SOURCE = '192.0.2.1'
LANE = lane_of(SOURCE)


class Clock:
    """Seconds since the epoch that pass when told to."""

    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'traps.sqlite'


@pytest.fixture
def open_spool(path, clock):
    """Opens the spool, again and again."""
    with contextlib.ExitStack() as stack:
        def open_it(**kwargs):
            return stack.enter_context(contextlib.closing(Spool(str(path), clock=clock, **kwargs)))
        yield open_it


@pytest.fixture
def spool(open_spool):
    return open_spool()


def trap(pdu=b'pdu', source=SOURCE, digest=None, received_at=1_000_000_000, storage_ids=('a', 'b')):
    return Received(received_at, source, 'SNMPv2c', storage_ids, pdu, digest)


def digest(number):
    return number.to_bytes(16, 'big')


def stored(spool, lane=LANE):
    return [row for _, row in spool.read(lane, 0, 100_000)]


def pdus(spool, lane=LANE):
    return [row.pdu for row in stored(spool, lane)]


# --- traps in and out ---

def test_a_trap_comes_out_as_it_went_in(spool):
    rows = [trap(digest=digest(1)), Received(7, SOURCE, 'SNMPv1', (), b'\0\xff', None)]
    spool.append(rows)
    assert stored(spool) == rows


def test_traps_of_a_sender_come_out_in_order(spool):
    expected = [b'%d' % number for number in range(500)]
    for start in range(0, 500, 50):
        spool.append([trap(pdu) for pdu in expected[start:start + 50]])
    assert pdus(spool) == expected


def test_reading_goes_on_behind_an_id(spool):
    spool.append([trap(b'%d' % number) for number in range(5)])
    after = spool.read(LANE, 0, 2)[-1][0]
    assert [row.pdu for _, row in spool.read(LANE, after, 2)] == [b'2', b'3']


def test_a_lane_holds_the_traps_of_its_senders_only(spool):
    other = next(f'192.0.2.{number}' for number in range(255) if lane_of(f'192.0.2.{number}') != LANE)
    spool.append([trap(b'mine'), trap(b'other', source=other)])
    assert (pdus(spool), pdus(spool, lane_of(other))) == ([b'mine'], [b'other'])


@pytest.mark.parametrize('pattern', ['10.0.0.%d', '10.1.%d.7', '2001:db8::%x'])
def test_senders_are_spread_over_all_lanes(pattern):
    spread = Counter(lane_of(pattern % number) for number in range(200))
    assert len(spread) == LANES and max(spread.values()) < 50


@pytest.mark.parametrize('count', [1, 49, 50, 51, 100, 249])
def test_a_batch_of_whatever_size_is_kept_in_its_order(spool, count):
    rows = [trap(b'%d' % number, digest=digest(number) if number % 3 else None) for number in range(count)]
    assert spool.append(rows) == [True] * count
    found = spool.read(LANE, 0, 1000)
    assert [row for _, row in found] == rows
    assert [number for number, _ in found] == list(range(1, count + 1))


def test_the_lane_of_a_sender_stays_when_the_version_changes():
    """Traps of before the upgrade wait in it."""
    assert [lane_of(source) for source in ('192.0.2.1', '10.0.0.12', '2001:db8::1')] == [7, 2, 6]


def test_removed_traps_are_gone(spool):
    spool.append([trap(b'%d' % number) for number in range(5)])
    spool.remove(LANE, spool.read(LANE, 0, 3)[-1][0])
    assert pdus(spool) == [b'3', b'4']


def test_removing_leaves_other_lanes_alone(spool):
    spool.append([trap()])
    assert (spool.remove((LANE + 1) % LANES, 1000), pdus(spool)) == (0, [b'pdu'])


def test_depth_says_how_many_wait_and_how_long(spool, clock):
    spool.append([trap(), trap(received_at=1_000_005_000)])
    clock.now += 60
    depth = spool.depth()
    assert (depth.rows[LANE], sum(depth.rows), depth.oldest_seconds) == (2, 2, 60)


def test_the_depth_of_nothing(spool):
    spool.append([trap()])
    spool.remove(LANE, 1)
    assert spool.depth() == ((0,) * LANES, 0)


def test_lanes_read_and_remove_while_traps_come_in(spool):
    senders = {lane_of(f'10.0.0.{number}'): f'10.0.0.{number}' for number in range(100)}
    found = {lane: [] for lane in senders}
    done = threading.Event()

    def lane_thread(lane):
        after = 0
        while not done.is_set() or spool.read(lane, after, 1):
            for number, row in spool.read(lane, after, 50):
                found[lane].append(row.pdu)
                after = number
            spool.remove(lane, after)

    threads = [threading.Thread(target=lane_thread, args=(lane,)) for lane in senders]
    for thread in threads:
        thread.start()
    for number in range(40):
        spool.append([trap(b'%d' % (number * 10 + part), source) for part in range(10) for source in senders.values()])
    done.set()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    expected = [b'%d' % number for number in range(400)]
    assert (all(pdus == expected for pdus in found.values()), sum(spool.depth().rows)) == (True, 0)


# --- what comes twice ---

def test_a_retransmission_is_stored_once(spool):
    answers = [spool.append([trap(digest=digest(1))]) for _ in range(2)]
    assert (answers, len(stored(spool))) == ([[True], [False]], 1)


def test_a_retransmission_in_the_same_batch_is_stored_once(spool):
    assert spool.append([trap(digest=digest(1)), trap(digest=digest(2)), trap(digest=digest(1))]) == [
        True, True, False]


def test_equal_traps_without_digest_are_two(spool):
    assert spool.append([trap(), trap()]) == [True, True]


def test_a_retransmission_is_known_after_its_trap_was_removed(spool):
    spool.append([trap(digest=digest(1))])
    spool.remove(LANE, 1)
    assert spool.append([trap(digest=digest(1))]) == [False]


def test_a_replay_after_a_restart_is_known(spool, open_spool):
    spool.append([trap(digest=digest(1)), trap(digest=digest(2))])
    spool.close()
    assert open_spool().append([trap(digest=digest(number)) for number in (2, 1, 3)]) == [False, False, True]


@pytest.mark.parametrize(('seconds', 'known'), [(300, True), (301, False)])
def test_a_digest_is_known_for_five_minutes(spool, clock, seconds, known):
    spool.append([trap(digest=digest(1))])
    clock.now += seconds
    assert spool.append([trap(digest=digest(1))]) == [not known]


def test_old_digests_leave_the_disk(spool, clock, path):
    for number in range(10):
        spool.append([trap(digest=digest(number))])
        clock.now += 100
    spool.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute('SELECT count(*) FROM digests').fetchone() == (4,)


def test_digests_are_bounded_and_the_oldest_go_first(open_spool, caplog):
    spool = open_spool(max_digests=100)
    for start in range(0, 300, 10):
        spool.append([trap(digest=digest(number)) for number in range(start, start + 10)])
    assert spool.append([trap(digest=digest(number)) for number in (0, 299)]) == [True, False]
    assert caplog.text.count('the oldest are not recognised any more') == 1
    assert len(spool._known) <= 110


def test_a_clock_that_is_put_back_forgets_in_time(spool, clock):
    clock.now += 86400
    spool.append([trap(digest=digest(1))])
    clock.now -= 86400
    assert spool.append([trap(digest=digest(1))]) == [True]


# --- no room ---

def test_a_full_spool_takes_nothing_of_a_batch(open_spool):
    spool = open_spool(max_rows=3)
    spool.append([trap(b'1'), trap(b'2')])
    with pytest.raises(SpoolFull):
        spool.append([trap(b'3'), trap(b'4')])
    assert pdus(spool) == [b'1', b'2']


def test_what_was_refused_is_no_retransmission_later(open_spool):
    spool = open_spool(max_rows=1)
    spool.append([trap()])
    with pytest.raises(SpoolFull):
        spool.append([trap(digest=digest(1))])
    spool.remove(LANE, 1)
    assert spool.append([trap(digest=digest(1))]) == [True]


def test_a_retransmission_needs_no_room(open_spool):
    """Its sender may be answered again."""
    spool = open_spool(max_rows=1)
    spool.append([trap(digest=digest(1))])
    assert spool.append([trap(digest=digest(1))]) == [False]


def test_the_bound_holds_after_a_restart(open_spool):
    spool = open_spool()
    spool.append([trap(), trap()])
    spool.close()
    with pytest.raises(SpoolFull):
        open_spool(max_rows=2).append([trap()])


@contextlib.contextmanager
def full_disk(size):
    """No file of this process grows beyond this size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_said_and_nothing_is_stored(spool, path):
    spool.append([trap(b'before')])
    with full_disk(os.path.getsize(f'{path}-wal') + 8192), pytest.raises(SpoolFull):
        spool.append([trap(bytes(1000), digest=digest(number)) for number in range(100)])
    assert pdus(spool) == [b'before']


def test_it_goes_on_when_the_disk_has_room_again(spool, open_spool, path):
    batch = [trap(bytes(1000), digest=digest(number)) for number in range(100)]
    with full_disk(os.path.getsize(f'{path}-wal') + 8192), contextlib.suppress(SpoolFull):
        spool.append(batch)
    assert all(spool.append(batch))
    spool.close()
    assert stored(open_spool()) == batch


def test_a_batch_that_fails_in_the_middle_leaves_nothing_behind(spool, monkeypatch):
    monkeypatch.setattr(failpoints, '_armed', {'spool.before': ('raise', 1)})
    monkeypatch.setattr(failpoints, '_counts', {'spool.before': itertools.count(1)})
    with pytest.raises(failpoints.Hit):
        spool.append([trap(b'1', digest=digest(1))])
    assert (spool.append([trap(b'2', digest=digest(1))]), pdus(spool)) == ([True], [b'2'])


def test_storing_waits_for_the_disk_and_removing_does_not(spool):
    """No test can take the power away."""
    assert [connection.execute('PRAGMA synchronous').fetchone() for connection in (spool._writer, spool._remover)] == [
        (2,), (1,)]


# --- ids ---

def test_ids_never_come_back(spool):
    spool.append([trap(), trap()])
    spool.remove(LANE, 2)
    spool.append([trap()])
    assert [number for number, _ in spool.read(LANE, 0, 10)] == [3]


def test_ids_do_not_come_back_after_a_restart(spool, open_spool):
    spool.append([trap(), trap()])
    spool.remove(LANE, 2)
    spool.close()
    again = open_spool()
    again.append([trap()])
    assert [number for number, _ in again.read(LANE, 0, 10)] == [3]


def test_a_file_keeps_its_id(spool, open_spool):
    before = spool.spool_id
    spool.close()
    assert open_spool().spool_id == before


def test_another_file_has_another_id(spool, open_spool, path):
    before = spool.spool_id
    spool.close()
    path.unlink()
    assert open_spool().spool_id != before


# --- SNMP engines ---

def test_the_first_life_has_a_new_engine(spool):
    assert spool.begin_life(lambda: b'engine') == (b'engine', 1)


def test_each_life_is_counted(spool, open_spool):
    spool.begin_life(lambda: b'engine')
    spool.close()
    assert open_spool().begin_life(lambda: b'another') == (b'engine', 2)


def test_an_engine_at_its_end_gives_way_to_a_new_one(spool, open_spool, path):
    spool.begin_life(lambda: b'engine')
    spool.close()
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE about SET value = ? WHERE name = 'boots'", (LARGEST_BOOTS - 1,))
    assert open_spool().begin_life(lambda: b'another') == (b'another', 1)


def test_clocks_of_peers_survive_a_restart(spool, open_spool):
    spool.append([], {b'peer': Peer(1, 2, 3), b'other': Peer(4, 5, 6)})
    spool.append([], {b'peer': Peer(1, 3, 4)})
    spool.close()
    assert open_spool().peers() == {b'peer': Peer(1, 3, 4), b'other': Peer(4, 5, 6)}


def test_clocks_of_peers_are_stored_with_their_traps_or_not_at_all(open_spool):
    spool = open_spool(max_rows=0)
    with pytest.raises(SpoolFull):
        spool.append([trap()], {b'peer': Peer(1, 2, 3)})
    assert spool.peers() == {}


# --- the file ---

def test_only_we_may_read_it(spool, path):
    spool.append([trap()])
    modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.glob('traps.sqlite*')}
    assert modes == {0o600}


def test_after_closing_there_is_one_file(spool, path):
    spool.append([trap()])
    spool.close()
    assert sorted(file.name for file in path.parent.iterdir()) == ['traps.sqlite', 'traps.sqlite.lock']


def test_a_closed_spool_says_so(spool):
    spool.close()
    for call in (lambda: spool.append([trap()]), lambda: spool.read(0, 0, 1), spool.depth):
        with pytest.raises(SpoolError, match='closed'):
            call()


def test_two_processes_cannot_have_one_file(spool, path):
    with pytest.raises(exception.InvalidConfiguration, match='in use by another process'):
        Spool(str(path))


def test_a_newer_version_is_refused(spool, path):
    spool.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute('PRAGMA user_version = 2')
    with pytest.raises(exception.InvalidConfiguration, match='newer Delfin'):
        Spool(str(path))


def test_the_database_of_somebody_else_is_left_alone(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute('CREATE TABLE precious (x)')
    before = path.read_bytes()
    with pytest.raises(exception.InvalidConfiguration, match='no spool of traps'):
        Spool(str(path))
    assert path.read_bytes()[100:] == before[100:]


def test_a_directory_that_is_not_there_is_said(tmp_path):
    with pytest.raises(exception.InvalidConfiguration, match='No such file'):
        Spool(str(tmp_path / 'missing' / 'traps.sqlite'))


# --- damage ---

def damage(path):
    """Overwrite all of the file but its first page."""
    with open(path, 'r+b') as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))


def moved_aside(path):
    return [file for file in path.parent.iterdir() if '.damaged-' in file.name]


def damage_one_page(path):
    """Overwrite the first page that holds traps; new ones come on the last."""
    content = path.read_bytes()
    leaf = next(start for start in range(4096, len(content), 4096)
                if content[start] == 13 and SOURCE.encode() in content[start:start + 4096])
    with open(path, 'r+b') as file:
        file.seek(leaf)
        file.write(bytes([13]) + b'\xff' * 4095)


def write_nonsense(path):
    path.write_bytes(b'no database' * 1000)


@pytest.mark.parametrize('spoil', [damage, damage_one_page, write_nonsense])
def test_a_damaged_file_is_kept_and_a_new_one_begun(spool, open_spool, path, spoil, caplog):
    spool.append([trap(bytes(1000)) for _ in range(100)])
    spool.close()
    spoil(path)
    damaged = path.read_bytes()
    again = open_spool()
    assert again.append([trap(b'new')]) == [True]
    aside, = moved_aside(path)
    assert (pdus(again), aside.read_bytes()) == ([b'new'], damaged)
    assert 'is damaged' in caplog.text and aside.name in caplog.text


@pytest.fixture
def damaged(spool, path):
    """A spool whose file is damaged while it is in use."""
    spool.begin_life(lambda: b'engine')
    spool.append([trap(bytes(1000), digest=digest(number)) for number in range(100)], {b'peer': Peer(1, 2, 3)})
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute('PRAGMA wal_checkpoint(TRUNCATE)')
    damage(path)
    # What the connections have in memory would hide it for a while.
    for connection in spool._connections:
        connection.execute('PRAGMA shrink_memory')
    return spool


def test_reception_goes_on_when_the_file_is_damaged_meanwhile(damaged, path):
    assert [damaged.append([trap(b'1')]), damaged.append([trap(b'2')])] == [[True], [True]]
    assert (pdus(damaged), len(moved_aside(path))) == ([b'1', b'2'], 1)


def test_a_second_damaged_file_does_not_replace_the_first(open_spool, path):
    """Both may be of interest, and be of the same second."""
    for content in (b'first' * 1000, b'second' * 1000):
        path.write_bytes(content)
        open_spool().close()
    assert {file.read_bytes()[:5] for file in moved_aside(path)} == {b'first', b'secon'}


def test_a_reader_may_be_the_first_to_notice(damaged, path):
    assert (pdus(damaged), len(moved_aside(path))) == ([], 1)


def test_the_new_file_goes_on_where_the_damaged_one_ended(damaged, open_spool):
    """Else a lane that still works on old traps would remove new ones, and a replay would pass."""
    before = damaged.spool_id
    damaged.append([trap(b'new')])
    assert damaged.append([trap(digest=digest(5))]) == [False]
    assert damaged.remove(LANE, 100) == 0
    assert damaged.spool_id != before
    damaged.close()
    again = open_spool()
    assert (again.begin_life(lambda: b'another'), again.peers()) == ((b'engine', 2), {b'peer': Peer(1, 2, 3)})
    assert again.append([trap(digest=digest(6))]) == [False]


def test_a_new_file_that_cannot_be_begun_is_tried_again(damaged, path):
    for _ in range(3):
        with full_disk(0), pytest.raises(SpoolFull):
            damaged.append([trap(b'lost')])
    with full_disk(0), pytest.raises(SpoolError):
        damaged.read(LANE, 0, 1)
    assert damaged.append([trap(b'new')]) == [True]
    assert (pdus(damaged), len(moved_aside(path))) == ([b'new'], 1)


def test_a_new_file_does_not_take_up_the_log_of_the_damaged_one(spool, open_spool, path):
    """A process was killed; then the disk spoiled the file."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute('PRAGMA wal_checkpoint(TRUNCATE)')       # a log of everything would heal the file
    spool.append([trap(b'old')])
    log = path.with_name('traps.sqlite-wal')
    content = log.read_bytes()
    spool.close()
    write_nonsense(path)
    log.write_bytes(content)
    again = open_spool()
    again.append([trap(b'new')])
    assert pdus(again) == [b'new']


# --- sudden death ---

CHILD = '''
import sys
from delfin.alert_manager.spool import Peer, Received, Spool
spool = Spool(sys.argv[1])
number = int(sys.argv[2])
while True:
    batch = [Received(number, '192.0.2.1', 'SNMPv2c', (), b'%d' % (number + part) + bytes(300),
                      (number + part).to_bytes(16, 'big')) for part in range(50)]
    assert all(spool.append(batch, {b'peer': Peer(number, 0, 0)}))
    number += 50
    print(number, flush=True)
'''


def append_until_killed(path, start, batches):
    """How many traps a process has said to be stored when it was killed, at any point, after so many batches."""
    child = subprocess.Popen([sys.executable, '-c', CHILD, str(path), str(start)], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        for _ in range(batches):
            child.stdout.readline()
    finally:
        child.kill()
        rest = child.communicate(timeout=PATIENCE_SECONDS)[0].split(b'\n')
    said = [int(line) for line in rest[:-1]]        # the last line may be half of one
    return max(said, default=start + batches * 50)


def test_what_was_acknowledged_survives_sudden_death(path):
    """Each batch is there as a whole or not at all, with its digests and clocks; several lives, one after the other."""
    chance = random.Random(5)
    there = 0
    for _ in range(4):
        said = append_until_killed(path, there, chance.randrange(1, 60))
        spool = Spool(str(path))
        numbers = [int(pdu.rstrip(b'\0')) for pdu in pdus(spool)]
        there = len(numbers)
        assert said <= there <= said + 50 and there % 50 == 0
        assert numbers == list(range(there))
        assert spool.peers() == {b'peer': Peer(there - 50, 0, 0)}
        assert spool.append([trap(digest=digest(there - 1))]) == [False]
        spool.close()
