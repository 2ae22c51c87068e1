# SPDX-License-Identifier: Apache-2.0
"""The life of alerts is the same on every engine, whoever else is at it at the same time.

The examples are the same in every run; set HYPOTHESIS_PROFILE=explore to look further.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from unittest import mock

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delfin.alerts import OPEN, STANDING, TRAP
from delfin.common.constants import Category
from delfin.db import Database, alert_feeds, alerts, exports, ownership, storages
from delfin.db.alerts import Report
from delfin.db.schema import Schema
from tests.engines import MariaDB, PostgreSQL
from tests.unit.alert_story import EXPORTER, Story, alert, at
from tests.unit.support import add_storage, in_thread

ENGINES = ('sqlite', 'postgresql', 'mariadb')
EXPLORE = os.environ.get('HYPOTHESIS_PROFILE') == 'explore'
_serial_numbers = itertools.count()


@pytest.fixture(scope='module')
def databases(tmp_path_factory: pytest.TempPathFactory, postgresql: PostgreSQL,
              mariadb: MariaDB) -> Iterator[dict[str, Database]]:
    """One migrated database on each engine."""
    file = tmp_path_factory.mktemp('sqlite') / 'delfin.sqlite'
    with postgresql.database() as on_postgresql, mariadb.database() as on_mariadb:
        opened = {name: Database(url) for name, url in
                  zip(ENGINES, (f'sqlite:///{file}', on_postgresql, on_mariadb), strict=True)}
        for database in opened.values():
            Schema(database).upgrade()
        yield opened
        for database in opened.values():
            database.close()


@pytest.fixture(params=ENGINES)
def database(request: pytest.FixtureRequest, databases: dict[str, Database]) -> Database:
    """One of them."""
    return databases[request.param]


def new_storage(database: Database) -> str:
    """Another storage."""
    return add_storage(database, f'SN-{next(_serial_numbers)}')


def new_story(database: Database) -> Story:
    """Another storage, and what is said of it."""
    return Story(database, f'SN-{next(_serial_numbers)}')


# --- one story, three engines ---

class Say(NamedTuple):
    """Traps of one batch: (minutes since the last step, category, what it says)."""

    traps: Sequence[tuple[int, str, dict[str, Any]]]

    def happen(self, story: Story, minute: int) -> None:
        story.deliver([story.report(minute + late, category, **values) for late, category, values in self.traps])


class Show(NamedTuple):
    """The array's list."""

    rows: Sequence[tuple[str, dict[str, Any]]]
    complete: bool

    def happen(self, story: Story, minute: int) -> None:
        story.list(minute, *(alert(category, **values) for category, values in self.rows), complete=self.complete)


class Maintain(NamedTuple):
    """Maintenance begins or ends."""

    on: bool

    def happen(self, story: Story, minute: int) -> None:
        story.maintenance(self.on)


class Touch(NamedTuple):
    """Somebody acknowledges or clears whatever stands with this sequence number."""

    number: str
    clear: bool

    def happen(self, story: Story, minute: int) -> None:
        if self.clear:
            story.do(alerts.clear_sequence_number, story.storage_id, self.number)
        for row in story.rows(sequence_number=self.number):
            if row['state'] in STANDING:
                story.do(alerts.acknowledge, row['id'], 'ä\U0001f600')


# Keys that a careless collation would take for each other, in any combination: here reports may contradict each other.
_alike = st.sampled_from((None, 'a', 'A', 'a ', 'ä', 'b'))
_values = st.fixed_dictionaries({
    'match_key': _alike, 'sequence_number': _alike, 'alert_id': _alike, 'location': _alike,
    'severity': st.sampled_from(('Critical', 'Minor')), 'occur_time': st.sampled_from((10**12, 10**12 + 1)),
    'description': st.sampled_from((None, 'this', "that's \U0001f600 %s :x"))})
_categories = st.sampled_from((Category.FAULT, Category.FAULT, Category.RECOVERY, Category.EVENT))
_steps = st.one_of(
    st.builds(Say, st.lists(st.tuples(st.integers(-30, 0), _categories, _values), min_size=1, max_size=4)),
    st.builds(Say, st.lists(st.tuples(st.integers(-30, 0), _categories, _values), min_size=1, max_size=4)),
    st.builds(Show, st.lists(st.tuples(_categories, _values), max_size=4), st.booleans()),
    st.builds(Maintain, st.booleans()), st.builds(Touch, _alike.filter(bool), st.booleans()))

_TOLD = ('alert_name', 'match_key', 'sequence_number', 'alert_id', 'location', 'severity', 'description', 'occur_time',
         'category', 'state', 'latest', 'count', 'first_seen_at', 'last_seen_at', 'origin', 'listed', 'muted',
         'announced', 'cleared_at', 'cleared_by', 'note')


def outcome(story: Story) -> tuple[Counter[Any], list[Any]]:
    """The rows, and in their order the events; without ids and our own times."""
    rows = Counter(tuple(row[name] for name in _TOLD) for row in story.rows())
    return rows, [(what, told['match_key'], told['sequence_number'], told['severity'], told['count'])
                  for what, told in story.heard()]


@settings(derandomize=not EXPLORE, database=None, deadline=None, max_examples=2000 if EXPLORE else 40,
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(_steps, min_size=3, max_size=12))
@pytest.mark.timeout(0 if EXPLORE else 240)
def test_a_story_ends_alike_on_every_engine(databases: dict[str, Database], steps: list[Any]) -> None:
    stories = {name: new_story(database) for name, database in databases.items()}
    for number, step in enumerate(steps):
        with mock.patch.object(alerts, 'now', lambda connection, minute=20 * number: at(minute)):
            for story in stories.values():
                step.happen(story, 20 * number)
        rows, events = outcome(stories['sqlite'])
        for name in ENGINES[1:]:
            other_rows, other_events = outcome(stories[name])
            assert other_rows == rows, name
            # What maintenance has held back is told in the order of ids where nothing else tells alerts apart.
            assert Counter(other_events) == Counter(events), name
        stand = Counter(row['match_key'] for row in stories['sqlite'].rows() if row['state'] in STANDING)
        assert max((count for key, count in stand.items() if key), default=0) <= 1


# --- together ---

def together(*actions: Any) -> None:
    """Run these at once; what one of them raises is raised."""
    start = threading.Barrier(len(actions))

    def run(action: Any) -> None:
        start.wait()
        action()
    for future in [in_thread(run, action) for action in actions]:
        future.result(60)


def test_two_services_that_hear_of_one_alert_make_one_row_and_lose_no_repeat(database: Database) -> None:
    story = new_story(database)

    def service(number: int) -> None:
        for batch in range(15):
            story.deliver([story.report(10 * batch + number, match_key=f'disk-{disk}') for disk in range(4)])
    together(*(lambda number=number: service(number) for number in range(3)))
    assert [(row['state'], row['count']) for row in story.rows()] == [(OPEN, 45)] * 4
    assert Counter(story.told()) == {'raised': 4}


def test_services_that_hear_of_the_same_storages_in_another_order_end_in_no_deadlock(database: Database) -> None:
    ids = [new_storage(database) for _ in range(6)]
    rounds = range(15)

    def service(order: Sequence[str]) -> None:
        for minute in rounds:
            with database.write() as connection:        # not `attempt`, which would try again
                alerts.apply(connection, [Report(storage_id, alert(), at(minute), TRAP) for storage_id in order])
    together(*(lambda order=order: service(order) for order in (ids, ids[::-1], ids[3:] + ids[:3])))
    with database.read() as connection:
        counts = connection.execute(sa.select(alerts._c.count).where(alerts._c.storage_id.in_(ids))).scalars().all()
    assert counts == [45] * 6


def test_batches_that_also_ask_for_alert_syncs_end_in_no_deadlock(database: Database) -> None:
    """Whoever locks all storages of his transaction at once, and only then does the rest, waits for nobody in turn."""
    ids = [new_storage(database) for _ in range(6)]
    rounds = range(15)

    def service(order: Sequence[str]) -> None:
        for minute in rounds:
            with database.write() as connection:
                alerts.lock(connection, set(order))
                alerts.apply(connection, [Report(storage_id, alert(), at(minute), TRAP) for storage_id in order[:4]])
                for storage_id in order[3:]:
                    alert_feeds.request(connection, storage_id)
    together(*(lambda order=order: service(order) for order in (ids, ids[::-1], ids[3:] + ids[:3])))
    with database.read() as connection:
        wanted = [alert_feeds.get(connection, storage_id)['wanted'] for storage_id in ids]
    assert sum(wanted) == 3 * 15 * 3


def test_traps_lists_people_and_maintenance_at_once_lose_nothing(database: Database) -> None:
    story = new_story(database)
    story.deliver([story.report(0, match_key=f'disk-{disk}') for disk in range(10)])
    assert story.told() == ['raised'] * 10
    rounds = range(1, 13)

    def traps() -> None:
        for minute in rounds:
            story.deliver([story.report(minute, match_key=f'disk-{disk}') for disk in range(10)])

    def lists() -> None:
        for minute in rounds:
            database.attempt(lambda connection, minute=minute: ownership.hold(
                connection, story.storage_id, 'node-1', 1) and alerts.apply_list(
                    connection, story.storage_id, [alert(match_key='disk-0')], at(minute), True))

    def maintenance() -> None:
        for on in [True, False] * 6:
            database.attempt(lambda connection, on=on: (
                alerts.set_muted(connection, story.storage_id, on),
                storages.set_labels(connection, story.storage_id, {'maintenance': on})))

    def people() -> None:
        for row in story.rows(match_key='disk-9'):
            for _ in rounds:
                database.attempt(lambda connection, alert_id=row['id']: alerts.acknowledge(connection, alert_id, None))
                database.attempt(lambda connection, alert_id=row['id']: alerts.take_back(connection, alert_id))
    together(traps, lists, maintenance, people)
    assert {(row['match_key'], row['count'], row['muted'], row['state']) for row in story.rows()} == {
        (f'disk-{disk}', 13, False, OPEN) for disk in range(10)}
    assert set(story.told()) <= {'acknowledged'}


def test_retention_beside_traps_deletes_no_alert_that_stands(database: Database) -> None:
    story = new_story(database)

    def traps() -> None:
        for minute in range(0, 40, 2):
            story.deliver([story.report(minute), story.report(minute + 1, Category.RECOVERY)])

    def retention() -> None:
        for _ in range(20):
            database.attempt(lambda connection: alerts.delete_old(connection, ('cleared', 'recovery'), at(100), 5))
    together(traps, retention)
    story.say(41)
    assert [row['state'] for row in story.rows()][-1] == OPEN
    assert Counter(story.told())['raised'] == 21


# --- the cost ---

def statements(database: Database, reports: Sequence[Report]) -> int:
    """How many statements a batch takes."""
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        seen.append(statement)
    sa.event.listen(database.engine, 'before_cursor_execute', note)
    try:
        database.attempt(lambda connection: alerts.apply(connection, reports))
    finally:
        sa.event.remove(database.engine, 'before_cursor_execute', note)
    return len(seen)


def test_a_batch_takes_the_same_few_statements_however_many_reports_it_has(database: Database) -> None:
    with database.write() as connection:
        exports.claim(connection, EXPORTER, 'node-1', 3600, events=True)
    ids = [new_storage(database) for _ in range(100)]

    def reports(first: int, last: int, minute: int) -> list[Report]:
        return [Report(ids[each % 100], alert(match_key=f'm{each % 100}-{each // 100}', sequence_number=str(each),
                                              alert_id='A', location=f'slot {each}'), at(minute), TRAP)
                for each in range(first, last)]
    new = [statements(database, reports(*numbers, 0)) for numbers in ((0, 2), (2, 100), (100, 600))]
    repeated = [statements(database, reports(*numbers, 1)) for numbers in ((0, 2), (2, 100), (100, 600))]
    assert len(set(new)) == len(set(repeated)) == 1 and new[0] <= 10 and repeated[0] <= 8
    with database.read() as connection:
        found = connection.execute(sa.select(sa.func.count(), sa.func.sum(alerts._c.count)).where(
            alerts._c.storage_id.in_(ids))).one()
    assert (found[0], int(found[1])) == (600, 1200)
