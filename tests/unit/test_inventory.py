# SPDX-License-Identifier: Apache-2.0
"""A whole sync run against a scripted array."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from delfin import exception
from delfin.db import runs, storages
from delfin.db.runs import RunLost
from delfin.kinds import KINDS
from delfin.task_manager.sync import inventory
from delfin.task_manager.sync.engine import TRANSACTION_ROWS
from delfin.task_manager.sync.inventory import Interrupted, Inventory
from tests.unit.support import (
    ScriptedDoor,
    Unprintable,
    add_storage,
    give,
    masker_for,
    recorded_writes,
    rows_of,
    take_run,
)


def volumes(*native_ids):
    return [{'native_volume_id': native_id} for native_id in native_ids]


class Site:
    """A registered storage, its array's answers, and syncs of some kinds."""

    def __init__(self, database, storage_id):
        self.database, self.storage_id = database, storage_id
        self.door = ScriptedDoor()
        self.masker = masker_for('s3cret-word')
        self.withheld = []

    def sync(self, *kinds, force=False):
        """One whole run; its record by kind."""
        taken = take_run(self.database, self.storage_id, kinds, force=force)
        self.work(taken)
        with self.database.write() as connection:
            runs.finish(connection, taken, 50)
        return self.record()

    def work(self, taken):
        self.withheld = Inventory(self.database, self.door, self.masker).run(taken)

    def record(self):
        with self.database.read() as connection:
            run = runs.listing(connection, self.storage_id, 1, 0)[0]
        return {'run': run['state'], **{kind['kind']: kind for kind in run['kinds']}}

    def rows(self, kind='volumes'):
        return set(rows_of(self.database, kind, self.storage_id))

    def storage(self):
        with self.database.read() as connection:
            row = storages.get(connection, self.storage_id)
        # Without what is derived from the record of syncs.
        return {name: value for name, value in row.items() if not name.startswith(('last_', 'failed_'))}

    def failed_kinds(self):
        with self.database.read() as connection:
            return storages.get(connection, self.storage_id)['failed_kinds']


@pytest.fixture
def site(database, storage_id):
    return Site(database, storage_id)


def states(record, *kinds):
    return [record[kind]['state'] for kind in kinds]


# --- what went well ---

def test_all_kinds_are_asked_once_in_order(site):
    site.sync(*KINDS.names())
    assert site.door.calls == ['get_storage', *(kind.method for kind in KINDS)]


def test_the_record_tells_what_happened(site):
    site.door.answers['list_volumes'] = volumes('a', 'b') + [{'name': 'no id'}]
    record = site.sync('volumes')
    counts = {name: record['volumes'][name] for name in runs.COUNTS}
    assert (record['run'], record['volumes']['state'], counts) == ('done', 'done', dict(
        seen=2, created=2, updated=0, unchanged=0, deleted=0, stale=0, rejected=1))
    assert record['volumes']['seconds'] >= 0 and record['volumes']['findings'][0]['code'] == 'no_native_id'


def test_the_storage_itself_is_updated(site):
    site.door.answers['get_storage'] = {
        'serial_number': 'SN-1', 'name': 'new', 'total_capacity': '12', 'extra': {'a': 1}}
    record, storage = site.sync(), site.storage()
    assert (record['storage']['updated'], storage['name'], storage['total_capacity'], storage['extra']) == (
        1, 'new', 12, {'a': 1})


def test_an_unchanged_storage_is_not_written(site):
    site.sync()
    with recorded_writes(site.database) as writes:
        assert site.sync()['storage']['unchanged'] == 1
    assert not [statement for statement in writes if statement.startswith('UPDATE storages')]


def test_groups_and_their_pairs_are_stored(site):
    site.door.answers['list_port_groups'] = {
        'port_groups': [{'native_port_group_id': 'g1'}],
        'port_grp_port_rels': [{'native_port_group_id': 'g1', 'native_port_id': 'p1'}]}
    record = site.sync('port_groups')
    assert (record['port_groups']['seen'],
            rows_of(site.database, 'port_groups', site.storage_id)['g1']['ports']) == (1, ['p1'])


def test_groups_and_pairs_that_are_yielded_are_stored(site):
    site.door.answers['list_port_groups'] = lambda: {
        'port_groups': ({'native_port_group_id': name} for name in ('g1', 'g2')),
        'port_grp_port_rels': ({'native_port_group_id': 'g1', 'native_port_id': name} for name in ('p1', 'p2'))}
    record = site.sync('port_groups')
    assert record['port_groups']['created'] == 2
    assert rows_of(site.database, 'port_groups', site.storage_id)['g1']['ports'] == ['p1', 'p2']


def test_an_unchanged_array_costs_no_resource_row(site):
    site.door.answers |= {'list_volumes': volumes('a', 'b'), 'list_disks': [{'native_disk_id': 'd'}]}
    site.sync('volumes', 'disks')
    with recorded_writes(site.database) as writes:
        record = site.sync('volumes', 'disks')
    assert (record['volumes']['unchanged'], record['disks']['unchanged']) == (2, 1)
    tables = {statement.replace('INTO ', '').replace('FROM ', '').split()[1] for statement in writes}
    assert tables == {'ownership', 'sync_runs', 'sync_run_kinds', 'sync_freshness', 'sync_failures'}


def test_a_long_listing_shows_how_far_it_has_come(site):
    seen = []

    def list_volumes():
        for portion in range(3):
            seen.append({name: site.record()['volumes'][name] for name in ('state', 'seen', 'created')})
            yield from volumes(*(f'{portion}-{number}' for number in range(TRANSACTION_ROWS)))
    site.door.answers['list_volumes'] = list_volumes
    site.sync('volumes')
    assert seen == [{'state': 'running', 'seen': count, 'created': count}
                    for count in (0, TRANSACTION_ROWS, 2 * TRANSACTION_ROWS)]


@pytest.mark.parametrize('answer', [None, [], (), set(), frozenset()], ids=repr)
def test_nothing_is_an_answer(site, answer):
    site.door.answers['list_volumes'] = answer
    assert site.sync('volumes')['volumes']['state'] == 'done'


@pytest.mark.parametrize('answer', [None, {}, {'port_groups': None}, {'port_groups': [], 'port_grp_port_rels': None}],
                         ids=repr)
def test_no_groups_are_an_answer(site, answer):
    site.door.answers['list_port_groups'] = answer
    assert site.sync('port_groups')['port_groups']['state'] == 'done'


# --- what went wrong ---

def test_a_kind_that_the_driver_does_not_have_is_unsupported_and_no_failure(site):
    record = site.sync('volumes', 'disks')
    assert (record['run'], states(record, 'volumes', 'disks'), record['disks']['error']) == (
        'done', ['unsupported', 'unsupported'], None)


def test_an_unsupported_kind_keeps_its_rows(site):
    site.door.answers['list_volumes'] = volumes('a')
    site.sync('volumes')
    del site.door.answers['list_volumes']
    site.sync('volumes')
    assert site.rows() == {'a'}


def test_a_kind_of_a_newer_delfin_is_unsupported(site):
    record = site.sync('volumes', 'moons')
    assert states(record, 'moons') == ['unsupported'] and 'does not know' in record['moons']['error']


def test_a_failing_kind_does_not_stop_the_others(site):
    site.door.answers |= {'list_storage_pools': exception.StorageBackendException('busy'),
                          'list_volumes': volumes('a')}
    record = site.sync('storage_pools', 'volumes')
    assert (record['run'], states(record, 'storage_pools', 'volumes'), site.rows()) == (
        'failed', ['failed', 'done'], {'a'})


def test_a_failing_kind_says_what_and_why(site):
    site.door.answers['list_volumes'] = exception.StorageBackendException('busy')
    assert site.sync('volumes')['volumes']['error'] == (
        'StorageBackendException: Exception from Storage Backend: busy.')


def test_a_failing_kind_keeps_its_rows(site):
    site.door.answers['list_volumes'] = volumes('a', 'b')
    site.sync('volumes')
    site.door.answers['list_volumes'] = exception.StorageBackendException('busy')
    site.sync('volumes')
    assert site.rows() == {'a', 'b'}


def test_a_listing_that_breaks_off_keeps_what_came_and_what_was_there(site):
    site.door.answers['list_volumes'] = volumes('a', 'b')
    site.sync('volumes')

    def broken():
        yield from volumes(*(f'new{number}' for number in range(TRANSACTION_ROWS)))
        raise exception.StorageBackendException('connection reset')
    site.door.answers['list_volumes'] = broken
    record = site.sync('volumes')
    assert (record['run'], record['volumes']['state'], record['volumes']['created'], record['volumes']['deleted']) == (
        'failed', 'failed', TRANSACTION_ROWS, 0)
    assert {'a', 'b'} <= set(rows_of(site.database, 'volumes', site.storage_id, native_volume_id='a')) | set(
        rows_of(site.database, 'volumes', site.storage_id, native_volume_id='b'))


def test_a_listing_that_breaks_off_does_not_count_as_seen(site):
    """`last_seen_at` of its rows stays what it was."""
    site.door.answers['list_volumes'] = volumes('a')
    site.sync('volumes')
    before = rows_of(site.database, 'volumes', site.storage_id)['a']['last_seen_at']

    def broken():
        yield from volumes('a')
        raise exception.StorageBackendException('connection reset')
    site.door.answers['list_volumes'] = broken
    site.sync('volumes')
    assert rows_of(site.database, 'volumes', site.storage_id)['a']['last_seen_at'] == before


def test_failed_kinds_are_remembered_until_they_succeed(site):
    seen = []
    for answer in (exception.StorageBackendException('busy'), volumes('a')):
        site.door.answers['list_volumes'] = answer
        site.sync('volumes')
        seen.append(site.failed_kinds())
    assert seen == ['volumes', None]


def test_a_storage_that_cannot_describe_itself_is_still_inventoried(site):
    site.door.answers |= {'get_storage': exception.BadResponse(), 'list_volumes': volumes('a')}
    record = site.sync('volumes')
    assert (record['run'], states(record, 'storage', 'volumes')) == ('failed', ['failed', 'done'])


@pytest.mark.parametrize('answer', [
    'text', 7, {'a': 1}, {'volumes': []}, object(), b'bytes', True], ids=lambda value: type(value).__name__)
def test_a_listing_of_a_wrong_shape_fails_its_kind(site, answer):
    site.door.answers['list_volumes'] = answer
    assert site.sync('volumes')['volumes']['error'].startswith('InvalidResults: ')


@pytest.mark.parametrize('answer', [
    [], [{'native_port_group_id': 'g'}], 'text', {'port_groups': 'text'}, {'port_grp_port_rels': {'a': 1}}], ids=repr)
def test_groups_of_a_wrong_shape_fail_their_kind(site, answer):
    site.door.answers['list_port_groups'] = answer
    assert site.sync('port_groups')['port_groups']['error'].startswith('InvalidResults: ')


@pytest.mark.parametrize('answer', [
    None, {}, [], {'name': 'x'}, {'serial_number': None}, {'serial_number': ''}, ['SN-1'], 'SN-1', 7,
    {'serial_number': ['SN-1']}], ids=repr)
def test_a_storage_that_does_not_say_its_serial_number_fails_and_changes_nothing(site, answer):
    before = site.storage()
    site.door.answers['get_storage'] = answer
    record = site.sync('volumes')
    after = site.storage()
    assert record['storage']['error'].split(':')[0] in ('InvalidResults', 'StorageBackendNotFound')
    assert before == after


def test_a_storage_with_an_unreadable_value_is_the_arrays_fault_not_ours(site):
    site.door.answers['get_storage'] = {'serial_number': 'SN-1', 'name': Unprintable()}
    assert 'internal error' not in (site.sync()['storage']['error'] or '')


def test_rows_of_a_wrong_shape_do_not_stop_the_good_ones(site):
    site.door.answers['list_volumes'] = [None, 'x', 7, ['a'], {'native_volume_id': 'a'}]
    record = site.sync('volumes')
    assert (record['volumes']['state'], record['volumes']['rejected'], site.rows()) == ('done', 4, {'a'})


def test_no_secret_reaches_the_record(site):
    site.door.answers |= {
        'list_volumes': exception.StorageBackendException('login with s3cret-word failed'),
        'list_disks': [{'native_disk_id': 'd', 'status': 's3cret-word'}]}
    assert 's3cret-word' not in str(site.sync('volumes', 'disks'))


@pytest.fixture
def said(monkeypatch):
    """What the log was given (pytest-xdist cannot carry every text from its worker)."""
    said = []
    monkeypatch.setattr(inventory.LOG, 'warning', lambda message, *arguments: said.append(message % arguments))
    return said


@pytest.mark.parametrize('text', ['bad \udc80 byte', 'NUL \0 inside', 'x' * 100000], ids=['surrogate', 'nul', 'long'])
def test_every_error_text_can_be_recorded(site, said, text):
    """Output of a command line, decoded with surrogateescape, must not make the run fail over and over."""
    site.door.answers['list_volumes'] = exception.StorageBackendException(text)
    assert site.sync('volumes')['volumes']['state'] == 'failed'


def test_every_error_text_can_be_logged(site, said):
    """A handler that writes UTF-8 would lose the line that says why the sync failed."""
    site.door.answers['list_volumes'] = exception.StorageBackendException('bad \udc80 byte')
    site.sync('volumes')
    assert [line.isascii() for line in said] == [True]


@pytest.mark.parametrize('key', ['bad \udc80 key', 'NUL \0 key'], ids=['surrogate', 'nul'])
def test_every_key_of_a_row_can_be_recorded(site, key):
    site.door.answers['list_volumes'] = [{'native_volume_id': 'a', key: 1}]
    assert (site.sync('volumes')['volumes']['state'], site.rows()) == ('done', {'a'})


# --- hopeless ---

@pytest.mark.parametrize('error', [
    exception.InvalidUsernameOrPassword, exception.InvalidCredential, exception.InvalidIpOrPort,
    exception.ConnectTimeout, exception.SSHConnectTimeout, exception.SSHNotFoundKnownHosts,
    exception.SSLCertificateFailed, exception.InvalidPrivateKey, exception.StorageDriverNotFound,
    exception.StorageQuarantined, exception.SecretUnreadable, exception.AccessInfoNotFound],
    ids=lambda error: error.__name__)
def test_a_hopeless_error_ends_the_run(site, error):
    """More attempts at a login may lock the account."""
    site.door.answers['get_storage'] = error('x', 'y')
    record = site.sync('storage_pools', 'volumes')
    assert (site.door.calls, record['run'], states(record, 'storage', 'storage_pools', 'volumes')) == (
        ['get_storage'], 'failed', ['failed'] * 3)


def test_kinds_that_were_not_tried_say_why(site):
    site.door.answers |= {'list_storage_pools': exception.InvalidUsernameOrPassword(), 'list_disks': []}
    record = site.sync('storage_pools', 'disks')
    assert record['disks']['error'] == record['storage_pools']['error'] == (
        'InvalidUsernameOrPassword: Invalid username or password.')


def test_another_array_behind_the_address_changes_nothing(site):
    site.door.answers['list_volumes'] = volumes('a')
    site.sync('volumes')
    before = site.storage()
    site.door.answers |= {'get_storage': {'serial_number': 'SN-2', 'name': 'stranger'}, 'list_volumes': volumes('b')}
    record = site.sync('volumes')
    assert (site.rows(), site.storage()) == ({'a'}, before)
    assert 'SN-2' in record['storage']['error'] and record['volumes']['state'] == 'failed'


# --- deletion on doubt (D8) ---

def test_an_empty_answer_deletes_nothing_at_first(site):
    site.door.answers['list_volumes'] = volumes('a', 'b')
    site.sync('volumes')
    site.door.answers['list_volumes'] = []
    record = site.sync('volumes')
    assert (site.rows(), site.withheld, record['volumes']['state'], record['volumes']['deleted']) == (
        {'a', 'b'}, ['volumes'], 'done', 0)


def test_a_withheld_deletion_is_told(site):
    site.door.answers['list_volumes'] = volumes('a', 'b')
    site.sync('volumes')
    site.door.answers['list_volumes'] = []
    assert site.sync('volumes')['volumes']['findings'] == [{
        'code': 'deletion_withheld', 'column': 'native_volume_id', 'count': 1, 'example': '2 of 2 rows missing'}]


def test_a_second_run_that_agrees_deletes(site):
    site.door.answers['list_volumes'] = volumes('a', 'b')
    site.sync('volumes')
    site.door.answers['list_volumes'] = []
    site.sync('volumes')
    record = site.sync('volumes')
    assert (site.rows(), site.withheld, record['volumes']['deleted']) == (set(), [], 2)


def test_an_array_that_comes_back_between_the_two_runs_loses_nothing(site):
    answers = iter([volumes('a', 'b'), [], volumes('a', 'b'), []])
    site.door.answers['list_volumes'] = lambda: next(answers)
    for _ in range(4):
        site.sync('volumes')
    assert site.rows() == {'a', 'b'}


def test_new_and_changed_rows_are_stored_while_the_deletion_waits(site):
    site.door.answers['list_volumes'] = volumes(*'abcdef')
    site.sync('volumes')
    site.door.answers['list_volumes'] = [{'native_volume_id': 'a', 'name': 'new'}, {'native_volume_id': 'z'}]
    site.sync('volumes')
    rows = rows_of(site.database, 'volumes', site.storage_id)
    assert set(rows) == set('abcdefz') and rows['a']['name'] == 'new'


def test_a_short_answer_is_checked_with_the_array_itself(site):
    site.door.answers['list_volumes'] = volumes('a', 'b')
    site.sync('volumes')
    site.door.answers['list_volumes'] = []
    site.door.calls.clear()
    site.sync('volumes')
    assert site.door.calls == ['get_storage', 'list_volumes', 'get_storage']


def test_a_believable_answer_needs_no_second_question(site):
    site.door.answers['list_volumes'] = volumes('a', 'b')
    site.sync('volumes')
    site.door.answers['list_volumes'] = volumes('a')
    site.door.calls.clear()
    site.sync('volumes')
    assert (site.door.calls, site.rows()) == (['get_storage', 'list_volumes'], {'a'})


def test_an_array_that_is_ill_right_after_a_short_answer_loses_nothing(site):
    site.door.answers['list_volumes'] = volumes('a', 'b')
    site.sync('volumes')
    answers = iter([{'serial_number': 'SN-1'}, exception.BadResponse(), {'serial_number': 'SN-1'}])

    def get_storage():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer
    site.door.answers |= {'list_volumes': [], 'get_storage': get_storage}
    record = site.sync('volumes')
    assert (site.rows(), record['volumes']['state']) == ({'a', 'b'}, 'failed')


def test_force_deletes_at_once(site):
    site.door.answers['list_volumes'] = volumes('a', 'b')
    site.sync('volumes')
    site.door.answers['list_volumes'] = []
    site.sync('volumes', force=True)
    assert site.rows() == set()


def test_groups_whose_pairs_vanish_wait_for_the_second_run(site):
    pairs = [{'native_port_group_id': 'g', 'native_port_id': str(number)} for number in range(4)]
    groups = [{'native_port_group_id': 'g'}]
    site.door.answers['list_port_groups'] = {'port_groups': groups, 'port_grp_port_rels': pairs}
    site.sync('port_groups')
    site.door.answers['list_port_groups'] = {'port_groups': groups, 'port_grp_port_rels': []}
    site.sync('port_groups')
    assert (site.withheld, len(rows_of(site.database, 'port_groups', site.storage_id)['g']['ports'])) == (
        ['port_groups'], 4)
    site.sync('port_groups')
    assert rows_of(site.database, 'port_groups', site.storage_id)['g']['ports'] == []


# --- interrupted ---

def test_a_stopping_door_interrupts_the_run(site):
    site.door.answers['list_volumes'] = exception.ServiceUnavailable('the service is stopping; try again')
    taken = take_run(site.database, site.storage_id, ('volumes',))
    with pytest.raises(Interrupted):
        site.work(taken)


def test_an_interrupted_run_goes_on_where_it_was(site):
    site.door.answers |= {'list_storage_pools': [], 'list_volumes': exception.ServiceUnavailable('stopping')}
    taken = take_run(site.database, site.storage_id, ('storage_pools', 'volumes'))
    with pytest.raises(Interrupted):
        site.work(taken)
    with site.database.write() as connection:
        runs.put_back(connection, taken)
    site.door.answers['list_volumes'] = volumes('a')
    site.door.calls.clear()
    with site.database.write() as connection:
        (again,) = runs.claim(connection, 'node-1', 1)
    site.work(again)
    assert (site.door.calls, states(site.record(), 'storage', 'storage_pools', 'volumes'), site.rows()) == (
        ['list_volumes'], ['done'] * 3, {'a'})


BROKEN = DBAPIError('SELECT 1', {}, Exception('gone'), connection_invalidated=True)


@pytest.mark.parametrize('error', [
    OperationalError('SELECT 1', {}, Exception('gone')), InterfaceError('SELECT 1', {}, Exception('gone')), BROKEN,
    PoolTimeoutError('QueuePool limit')], ids=['operational', 'interface', 'invalidated', 'pool'])
@pytest.mark.parametrize('place', ['resources.stored', 'resources.insert', 'runs.guard', 'runs.pending_kinds'])
def test_a_database_that_is_away_interrupts_the_run_and_is_nobodys_failure(site, monkeypatch, error, place):
    site.door.answers['list_volumes'] = volumes('a')
    taken = take_run(site.database, site.storage_id, ('volumes',))

    def away(*args, **kwargs):
        raise error
    monkeypatch.setattr(f'delfin.db.{place}', away)
    with pytest.raises(Interrupted):
        site.work(taken)


def test_a_bug_of_ours_fails_the_kind_and_does_not_show_its_text(site, monkeypatch):
    site.door.answers |= {'list_volumes': volumes('a'), 'list_disks': []}
    real = Inventory._sync_kind

    def buggy(self, taken, kind, *args):
        if kind.name == 'volumes':
            raise ZeroDivisionError('private matters')
        return real(self, taken, kind, *args)
    monkeypatch.setattr(Inventory, '_sync_kind', buggy)
    record = site.sync('volumes', 'disks')
    assert states(record, 'volumes', 'disks') == ['failed', 'done']
    assert record['volumes']['error'] == 'internal error; see the log of the task service'


def test_a_sync_whose_array_went_to_another_node_stops_and_leaves_no_rows(site):
    taken = take_run(site.database, site.storage_id, ('volumes', 'disks'))

    def list_volumes():
        give(site.database, site.storage_id, 'node-2')
        return volumes('a')
    site.door.answers['list_volumes'] = list_volumes
    with pytest.raises(RunLost):
        site.work(taken)
    assert (site.rows(), site.door.calls) == (set(), ['get_storage', 'list_volumes'])


def test_a_sync_whose_array_goes_to_another_node_between_two_portions_stops_there(site):
    """What the next owner writes is not mixed with what we still had to say."""
    taken = take_run(site.database, site.storage_id, ('volumes',))

    def list_volumes():
        yield from volumes(*(f'a{number}' for number in range(TRANSACTION_ROWS)))
        give(site.database, site.storage_id, 'node-2')
        yield from volumes(*(f'b{number}' for number in range(TRANSACTION_ROWS)))
        raise AssertionError('nobody wants to know any more')
    site.door.answers['list_volumes'] = list_volumes
    with pytest.raises(RunLost):
        site.work(taken)
    with site.database.read() as connection:
        assert connection.execute(sa.text(
            "SELECT count(*), sum(native_volume_id LIKE 'b%') FROM volumes")).one() == (TRANSACTION_ROWS, 0)


def test_a_sync_whose_array_goes_to_another_node_before_the_deletion_deletes_nothing(site):
    site.door.answers['list_volumes'] = volumes('a', 'b')
    site.sync('volumes')
    taken = take_run(site.database, site.storage_id, ('volumes',))

    def list_volumes():
        yield from volumes('a')
        give(site.database, site.storage_id, 'node-2')
    site.door.answers['list_volumes'] = list_volumes
    with pytest.raises(RunLost):
        site.work(taken)
    assert site.rows() == {'a', 'b'}


def test_a_storage_that_is_deleted_while_it_answers_gets_no_rows(site):
    taken = take_run(site.database, site.storage_id, ('volumes',))

    def list_volumes():
        with site.database.write() as connection:
            storages.hide(connection, site.storage_id)
        return volumes('a')
    site.door.answers['list_volumes'] = list_volumes
    with pytest.raises(RunLost):
        site.work(taken)
    with site.database.read() as connection:
        assert connection.execute(sa.text('SELECT count(*) FROM volumes')).scalar_one() == 0


def test_no_transaction_is_open_while_the_array_works(site):
    """Another writer gets through while a listing is under way."""
    def list_volumes():
        with site.database.write() as connection:
            connection.execute(sa.text("UPDATE storages SET description = 'written meanwhile'"))
        return volumes('a')
    site.door.answers['list_volumes'] = list_volumes
    site.sync('volumes')
    assert (site.rows(), site.storage()['description']) == ({'a'}, 'written meanwhile')


# --- what looks wrong in good rows ---

@pytest.fixture
def with_pools(site):
    """An array with the pool p1, and volumes that say where they are."""
    site.door.answers['list_storage_pools'] = [{'native_storage_pool_id': 'p1'}]

    def answer(*pools):
        site.door.answers['list_volumes'] = [
            {'native_volume_id': f'v{number}', 'native_storage_pool_id': pool} for number, pool in enumerate(pools)]
    return answer


def codes(record, kind='volumes'):
    return {(finding['code'], finding['column'], finding['count'], finding['example'])
            for finding in record[kind]['findings']}


def test_what_names_a_pool_that_the_array_does_not_list_is_reported_once(site, with_pools):
    with_pools('p1', 'gone', None, 'gone')
    record = site.sync('storage_pools', 'volumes')
    assert codes(record) == {('dangling_reference', 'native_storage_pool_id', 2, 'gone')}
    assert record['run'] == 'done'


def test_what_comes_later_in_the_run_is_not_missed(site):
    """Initiators come before the hosts they belong to."""
    site.door.answers['list_storage_host_initiators'] = [
        {'native_storage_host_initiator_id': 'i1', 'native_storage_host_id': 'h1'}]
    site.door.answers['list_storage_hosts'] = [{'native_storage_host_id': 'h1'}]
    record = site.sync('storage_host_initiators', 'storage_hosts')
    assert codes(record, 'storage_host_initiators') == set()


def test_a_kind_that_the_array_cannot_list_is_not_missed(site, with_pools):
    del site.door.answers['list_storage_pools']
    with_pools('p1')
    assert codes(site.sync('storage_pools', 'volumes')) == set()


def test_members_of_groups_are_looked_for_too(site):
    site.door.answers['list_volumes'] = volumes('v1')
    site.door.answers['list_volume_groups'] = {
        'volume_groups': [{'native_volume_group_id': 'g'}],
        'vol_grp_vol_rels': [{'native_volume_group_id': 'g', 'native_volume_id': 'v1'},
                             {'native_volume_group_id': 'g', 'native_volume_id': 'v9'}]}
    record = site.sync('volumes', 'volume_groups')
    assert codes(record, 'volume_groups') == {('dangling_reference', 'native_volume_id', 1, 'v9')}


def test_another_array_with_such_a_pool_is_no_excuse(site, with_pools, database):
    other = Site(database, add_storage(database, 'SN-2'))
    other.door.answers |= {'get_storage': {'serial_number': 'SN-2'},
                           'list_storage_pools': [{'native_storage_pool_id': 'p2'}]}
    other.sync('storage_pools')
    with_pools('p2')
    assert codes(site.sync('storage_pools', 'volumes')) == {
        ('dangling_reference', 'native_storage_pool_id', 1, 'p2')}


@pytest.mark.parametrize(('size', 'reported'), [(500, True), (0, False), (2**20, False), (None, False)])
def test_a_capacity_that_looks_like_gigabytes_is_kept_and_reported(site, size, reported):
    site.door.answers['list_volumes'] = [{'native_volume_id': 'v', 'total_capacity': size}]
    record = site.sync('volumes')
    expected = {('unlikely_unit', 'total_capacity', 1, '500')} if reported else set()
    assert codes(record) == expected
    assert rows_of(site.database, 'volumes', site.storage_id)['v']['total_capacity'] == size
