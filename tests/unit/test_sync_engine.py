# SPDX-License-Identifier: Apache-2.0
"""One kind of one storage: an answer is compared with what is stored, and the difference written."""

from __future__ import annotations

import contextlib
import tracemalloc

import pytest

from delfin.db import resources
from delfin.db.runs import RunLost
from delfin.findings import Findings
from delfin.kinds import KINDS
from delfin.task_manager.sync import engine
from delfin.task_manager.sync.engine import Counts, TableSync
from tests.unit.support import Unprintable, add_storage, recorded_writes, rows_of

VOLUMES = KINDS['volumes'].table
PAIRS = KINDS['port_groups'].relations[0].table


def volume(native_id, **values):
    return {'native_volume_id': native_id, **values}


def volumes(*native_ids, **values):
    return [volume(native_id, **values) for native_id in native_ids]


class Sync:
    """Syncs one table; nobody takes the array away unless the test says so."""

    def __init__(self, database, storage_id, spec=VOLUMES, guard=lambda connection: None):
        self.database, self.storage_id, self.spec, self.guard = database, storage_id, spec, guard
        self.found = Findings()
        self.counts = Counts()
        self.believable, self.gone = True, 0

    @contextlib.contextmanager
    def transaction(self):
        with self.database.write() as connection:
            self.guard(connection)
            yield connection

    def take(self, rows):
        """Go through the answer without deleting anything."""
        self.counts = Counts()
        table = TableSync(self.database, self.transaction, self.spec, self.storage_id, self.counts, self.found)
        table.take(rows)
        return table

    def __call__(self, rows):
        """Sync the answer, deletions included; what happened (counts that are 0 left out)."""
        table = self.take(rows)
        self.believable, self.gone = table.believable, table.gone
        table.delete_gone()
        return {name: count for name, count in self.counts.values().items() if count}

    def stale(self):
        with self.database.read() as connection:
            stored = resources.stored(connection, self.spec, self.storage_id)
        return {key for key, row in stored.items() if resources.is_stale(row)}


@pytest.fixture
def sync(database, storage_id):
    return Sync(database, storage_id)


def test_the_first_sync_creates_all_rows(sync, database, storage_id):
    assert sync(volumes('a', 'b', total_capacity='12')) == {'seen': 2, 'created': 2}
    assert {key: row['total_capacity'] for key, row in rows_of(database, 'volumes', storage_id).items()} == {
        'a': 12, 'b': 12}


@pytest.mark.parametrize('given', [list, iter], ids=['list', 'generator'])
def test_an_unchanged_answer_writes_nothing(sync, database, given):
    answer = volumes(*map(str, range(2500)), name='x', compressed='yes', extra={'a': [1]})
    sync(given(answer))
    with recorded_writes(database) as writes:
        assert sync(given(answer)) == {'seen': 2500, 'unchanged': 2500}
    assert writes == []


def test_the_same_values_in_another_spelling_are_no_change(sync, database):
    sync([volume('a', total_capacity=10, status='available', compressed=True)])
    with recorded_writes(database) as writes:
        sync([volume('a', total_capacity='10', status='Available', compressed='yes', storage_id='theirs')])
    assert writes == []


def test_a_changed_row_costs_one_statement_and_the_others_none(sync, database):
    sync(volumes('a', 'b', 'c'))
    with recorded_writes(database) as writes:
        assert sync([volume('a'), volume('b', name='new'), volume('c')]) == {'seen': 3, 'updated': 1, 'unchanged': 2}
    assert [statement.split()[:2] for statement in writes] == [['UPDATE', 'volumes']]


def test_new_rows_are_written_together(sync, database):
    with recorded_writes(database) as writes:
        sync(volumes(*map(str, range(900))))
    assert len(writes) == 1


def test_rows_are_written_in_portions_of_bounded_size(database, storage_id):
    """Each transaction checks first that the run is still ours."""
    checked = []
    sync = Sync(database, storage_id, guard=checked.append)
    sync(volumes(*map(str, range(engine.TRANSACTION_ROWS + 1))))
    assert len(checked) == 2


def test_rows_that_go_are_deleted_in_portions_of_bounded_size(database, storage_id):
    Sync(database, storage_id)(volumes(*map(str, range(engine.TRANSACTION_ROWS + 1))))
    checked = []
    sync = Sync(database, storage_id, guard=checked.append)
    assert sync([]) == {'deleted': engine.TRANSACTION_ROWS + 1}
    assert len(checked) == 2


def test_changed_rows_are_written_in_portions_of_bounded_size(sync, database):
    names = [str(number) for number in range(engine.TRANSACTION_ROWS + 1)]
    sync(volumes(*names))
    transactions = []
    sync.guard = transactions.append
    assert sync(volumes(*names, name='new')) == {'seen': len(names), 'updated': len(names)}
    assert len(transactions) == 2


def test_a_changed_row_keeps_its_id_and_birth_and_tells_its_change(sync, database, storage_id):
    sync([volume('a', name='old')])
    before = rows_of(database, 'volumes', storage_id)['a']
    sync([volume('a', name='new')])
    after = rows_of(database, 'volumes', storage_id)['a']
    assert (after['id'], after['created_at'], after['name']) == (before['id'], before['created_at'], 'new')
    assert before['updated_at'] is None and after['updated_at'] >= after['created_at']


def test_ids_survive_any_number_of_syncs(sync, database, storage_id):
    sync(volumes('a', 'b'))
    before = {key: row['id'] for key, row in rows_of(database, 'volumes', storage_id).items()}
    for name in ('x', 'y', 'y'):
        sync(volumes('b', 'a', name=name))
    assert {key: row['id'] for key, row in rows_of(database, 'volumes', storage_id).items()} == before


def test_a_value_that_the_array_no_longer_tells_becomes_unknown(sync, database, storage_id):
    sync([volume('a', name='x', extra={'k': 1})])
    sync([volume('a')])
    row = rows_of(database, 'volumes', storage_id)['a']
    assert (row['name'], row['extra']) == (None, None)


def test_rows_that_are_gone_are_deleted(sync, database, storage_id):
    sync(volumes('a', 'b'))
    assert sync(volumes('b')) == {'seen': 1, 'unchanged': 1, 'deleted': 1}
    assert list(rows_of(database, 'volumes', storage_id)) == ['b']


def test_native_ids_that_differ_in_case_or_blanks_are_different_rows(sync, database, storage_id):
    sync(volumes('a', 'A', 'a '))
    assert set(rows_of(database, 'volumes', storage_id)) == {'a', 'A', 'a '}


def test_of_a_repeated_native_id_the_first_row_counts(sync, database, storage_id):
    assert sync([volume('a', name='first'), volume('a', name='second')]) == {'seen': 1, 'created': 1}
    assert rows_of(database, 'volumes', storage_id)['a']['name'] == 'first'
    assert 'repeated_native_id' in sync.found


def test_a_repeated_native_id_does_not_change_the_row_back_and_forth(sync, database):
    answer = [volume('a', name='first'), volume('a', name='second')]
    sync(answer)
    with recorded_writes(database) as writes:
        sync(answer)
    assert writes == []


def test_a_native_id_that_is_repeated_after_its_row_was_written_counts_once(sync, database, storage_id):
    names = [str(number) for number in range(engine.TRANSACTION_ROWS + 10)]
    assert sync(iter([*volumes(*names, name='first'), *volumes(*names[:5], name='second')])) == {
        'seen': len(names), 'created': len(names)}
    assert rows_of(database, 'volumes', storage_id, native_volume_id='0')['0']['name'] == 'first'


def test_another_storage_with_the_same_native_ids_is_left_alone(sync, database):
    other = add_storage(database, 'SN-2')
    Sync(database, other)(volumes('a', 'b', name='other'))
    sync(volumes('a', name='mine'))
    sync([volume('c')])
    assert {key: row['name'] for key, row in rows_of(database, 'volumes', other).items()} == {
        'a': 'other', 'b': 'other'}


# --- rows that come one by one ---

def test_rows_are_written_while_the_others_still_come(sync, database, storage_id):
    """Nothing waits for the end of a long listing."""
    stored = []

    def answer():
        yield from volumes(*(f'a{number}' for number in range(engine.TRANSACTION_ROWS)))
        stored.append(len(rows_of(database, 'volumes', storage_id)))
        yield volume('last')
    assert sync(answer())['created'] == engine.TRANSACTION_ROWS + 1
    assert stored == [1000]         # as many as a page shows


def test_no_transaction_is_open_while_rows_come(sync, database, storage_id):
    """Another writer gets through between any two rows."""
    def answer():
        for number in range(3):
            add_storage(database, f'SN-{10 + number}')
            yield volume(str(number))
    assert sync(answer()) == {'seen': 3, 'created': 3}


def test_of_a_listing_that_breaks_off_what_was_written_stays_and_nothing_goes(sync, database, storage_id):
    sync(volumes('old', 'older'))

    def broken():
        yield from volumes(*(f'a{number}' for number in range(engine.TRANSACTION_ROWS + 5)))
        raise ConnectionError('the array hung up')
    with pytest.raises(ConnectionError):
        sync.take(broken())
    with database.read() as connection:
        stored = set(resources.stored(connection, VOLUMES, storage_id))
    assert stored >= {'old', 'older', 'a0', f'a{engine.TRANSACTION_ROWS - 1}'}
    assert sync.counts.created == len(stored) - 2


def test_the_sync_after_a_listing_that_broke_off_completes_it(sync, database, storage_id):
    def broken():
        yield from volumes(*map(str, range(engine.TRANSACTION_ROWS)))
        raise ConnectionError('the array hung up')
    with pytest.raises(ConnectionError):
        sync.take(broken())
    assert sync(volumes(*map(str, range(engine.TRANSACTION_ROWS + 1)))) == {
        'seen': engine.TRANSACTION_ROWS + 1, 'unchanged': engine.TRANSACTION_ROWS, 'created': 1}


def test_a_lost_array_ends_the_listing_at_the_next_portion(database, storage_id):
    """The array is not read to its end for nothing."""
    asked = []

    def answer():
        for number in range(5 * engine.TRANSACTION_ROWS):
            asked.append(number)
            yield volume(str(number))

    def lost(connection):
        raise RunLost('another node has it')
    with pytest.raises(RunLost):
        Sync(database, storage_id, guard=lost)(answer())
    assert len(asked) == engine.TRANSACTION_ROWS


def test_rows_that_are_yielded_are_not_kept(sync):
    """Of a row that was looked at, memory holds the key and 33 bytes, not its texts."""
    def answer(count):
        return ({'native_volume_id': f'{number:08}', 'name': f'{number:0200}', 'description': f'{number:0201}',
                 'wwn': f'{number:0202}'} for number in range(count))

    def peak(count):
        tracemalloc.start()
        try:
            sync(answer(count))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    few, many = 2 * engine.TRANSACTION_ROWS, 4 * engine.TRANSACTION_ROWS
    growth = [peak(few), peak(many)]
    unchanged = peak(many)
    assert sync.counts.unchanged == many
    assert (growth[1] - growth[0]) / (many - few) < 300
    assert unchanged / many < 400


# --- rejected rows ---

def test_a_rejected_row_keeps_what_is_stored_and_marks_it_stale(sync, database, storage_id):
    sync([volume('a', name='good')])
    assert sync([volume('a', name=Unprintable())]) == {'stale': 1, 'rejected': 1}
    assert (rows_of(database, 'volumes', storage_id)['a']['name'], sync.stale()) == ('good', {'a'})


def test_a_rejected_row_does_not_stop_the_others(sync, database, storage_id):
    sync([volume('a', name=Unprintable()), volume(None), volume('b')])
    assert set(rows_of(database, 'volumes', storage_id)) == {'b'}


def test_a_row_that_stays_stale_is_not_written_again(sync):
    sync([volume('a')])
    sync([volume('a', name=Unprintable())])
    sync([volume('a', name=Unprintable())])
    assert sync.stale() == {'a'}


def test_a_stale_row_recovers_with_the_same_values(sync):
    sync([volume('a', name='good')])
    sync([volume('a', name=Unprintable())])
    sync([volume('a', name='good')])
    assert sync.stale() == set()


def test_a_stale_row_recovers_with_other_values(sync, database, storage_id):
    sync([volume('a', name='good')])
    sync([volume('a', name=Unprintable())])
    sync([volume('a', name='better')])
    assert (rows_of(database, 'volumes', storage_id)['a']['name'], sync.stale()) == ('better', set())


def test_a_good_row_before_a_rejected_one_of_the_same_id_is_not_stale(sync):
    sync([volume('a')])
    sync([volume('a', name='good'), volume('a', name=Unprintable())])
    assert sync.stale() == set()


def test_a_good_row_after_a_rejected_one_of_the_same_id_counts(sync, database, storage_id):
    """The first row that can be stored counts; nothing is lost because a broken twin came first."""
    sync([volume('a', name='old')])
    sync([volume('a', name=Unprintable()), volume('a', name='new')])
    assert rows_of(database, 'volumes', storage_id)['a']['name'] in ('old', 'new')


# --- relations ---

def pair(group, port):
    return {'native_port_group_id': group, 'native_port_id': port}


def test_pairs_of_a_relation_come_and_go(database, storage_id):
    sync = Sync(database, storage_id, PAIRS)
    assert sync([pair('g1', 'p1'), pair('g1', 'p2')]) == {'seen': 2, 'created': 2}
    assert sync([pair('g1', 'p2'), pair('g2', 'p2')]) == {'seen': 2, 'created': 1, 'unchanged': 1, 'deleted': 1}


def test_a_repeated_pair_counts_once(database, storage_id):
    assert Sync(database, storage_id, PAIRS)([pair('g1', 'p1'), pair('g1', 'p1')]) == {'seen': 1, 'created': 1}


def test_a_group_shows_its_members(database, storage_id):
    Sync(database, storage_id, KINDS['port_groups'].table)([{'native_port_group_id': 'g1'},
                                                            {'native_port_group_id': 'g2'}])
    Sync(database, storage_id, PAIRS)([pair('g1', 'p2'), pair('g1', 'p1')])
    assert {key: row['ports'] for key, row in rows_of(database, 'port_groups', storage_id).items()} == {
        'g1': ['p1', 'p2'], 'g2': []}


def test_a_group_does_not_show_members_of_another_storage(database, storage_id):
    other = add_storage(database, 'SN-2')
    for one in (storage_id, other):
        Sync(database, one, KINDS['port_groups'].table)([{'native_port_group_id': 'g1'}])
    Sync(database, other, PAIRS)([pair('g1', 'p1')])
    assert rows_of(database, 'port_groups', storage_id)['g1']['ports'] == []


def test_a_host_shows_its_initiators(database, storage_id):
    Sync(database, storage_id, KINDS['storage_hosts'].table)([{'native_storage_host_id': 'h1'}])
    Sync(database, storage_id, KINDS['storage_host_initiators'].table)([
        {'native_storage_host_initiator_id': 'i1', 'native_storage_host_id': 'h1'},
        {'native_storage_host_initiator_id': 'i2', 'native_storage_host_id': 'h2'}])
    assert rows_of(database, 'storage_hosts', storage_id)['h1']['storage_host_initiators'] == ['i1']


# --- what may be believed ---

@pytest.mark.parametrize(('answered', 'believable'), [(0, False), (1, False), (4, False), (5, True), (9, True),
                                                      (10, True)])
def test_of_ten_stored_rows_half_must_come_for_the_rest_to_be_deleted(sync, answered, believable):
    names = [str(number) for number in range(10)]
    sync(volumes(*names))
    sync(volumes(*names[:answered]))
    assert sync.believable is believable


@pytest.mark.parametrize('answer', [[], volumes('a')])
def test_where_nothing_is_stored_every_answer_is_believed(sync, answer):
    sync(answer)
    assert sync.believable


def test_one_of_two_rows_may_go(sync):
    sync(volumes('a', 'b'))
    sync(volumes('b'))
    assert sync.believable


def test_the_only_row_may_not_go_at_once(sync):
    sync(volumes('a'))
    sync([])
    assert not sync.believable


def test_rejected_rows_were_answered(sync):
    """The array still has them: nothing speaks against deleting the one that is gone."""
    sync(volumes('a', 'b', 'c'))
    sync([volume('a', name=Unprintable()), volume('b', name=Unprintable())])
    assert sync.believable and sync.gone == 1


def test_an_answer_of_rows_without_native_ids_is_as_good_as_none(sync):
    sync(volumes('a', 'b'))
    sync([{'name': 'a'}, {'name': 'b'}])
    assert not sync.believable


# --- the run is lost ---

def test_a_lost_run_writes_nothing(database, storage_id):
    def lost(connection):
        raise RunLost('somebody else has it')
    with pytest.raises(RunLost):
        Sync(database, storage_id, guard=lost)(volumes('a'))
    assert rows_of(database, 'volumes', storage_id) == {}
