# SPDX-License-Identifier: Apache-2.0
"""Paths and methods of the REST API, and what its collections show."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import OperationalError

from delfin import exception
from delfin.db import ownership, runs, storages
from delfin.keyring import is_sealed
from delfin.kinds import KINDS
from tests.unit.support import add_rows, add_storage, take_run

FLAT = [kind for kind in KINDS if not kind.nested]
NESTED = [kind for kind in KINDS if kind.nested]
NOBODY = '00000000-0000-4000-8000-000000000000'
BODY = {'vendor': 'acme', 'model': 'x1', 'rest': {'host': 'h', 'port': 1, 'username': 'u', 'password': 'pass word'},
        'extra_attributes': {'note': 'plain words'}}


def collection(kind, storage_id):
    return f'/v1/storages/{storage_id}/{kind.path}' if kind.nested else f'/v1/{kind.path}'


@pytest.fixture
def volumes(rest, storage_id):
    """Five volumes of one storage."""
    add_rows(rest.database, storage_id, 'volumes', [
        {'native_volume_id': f'v{number}', 'name': f'name {number % 2}', 'total_capacity': number,
         'compressed': number % 2 == 0} for number in range(5)])
    return storage_id


def native_ids(answer, kind='volumes'):
    assert answer.status == 200, answer.body
    return {row[KINDS[kind].native_id] for row in answer.body[kind]}


# --- paths ---

@pytest.mark.parametrize('kind', list(KINDS), ids=lambda kind: kind.name)
def test_every_kind_has_a_collection(rest, storage_id, kind):
    answer = rest.get(collection(kind, storage_id))
    assert (answer.status, answer.body) == (200, {kind.name: []})


@pytest.mark.parametrize('kind', list(KINDS), ids=lambda kind: kind.name)
def test_every_kind_shows_one_row_by_our_id(rest, storage_id, kind):
    add_rows(rest.database, storage_id, kind.name, [{kind.native_id: 'x'}])
    row = rest.get(collection(kind, storage_id)).body[kind.name][0]
    answer = rest.get(f'{collection(kind, storage_id)}/{row["id"]}')
    assert (answer.status, answer.body) == (200, row)


@pytest.mark.parametrize('kind', list(KINDS), ids=lambda kind: kind.name)
def test_every_kind_has_its_own_not_found(rest, storage_id, kind):
    answer = rest.get(f'{collection(kind, storage_id)}/{NOBODY}')
    assert (answer.status, answer.error, answer.body['error_args']) == (404, kind.not_found, [NOBODY])


@pytest.mark.parametrize('kind', list(KINDS), ids=lambda kind: kind.name)
def test_a_row_shows_its_columns_and_member_lists_and_nothing_else(rest, storage_id, kind):
    add_rows(rest.database, storage_id, kind.name, [{kind.native_id: 'x'}])
    row = rest.get(collection(kind, storage_id)).body[kind.name][0]
    assert set(row) == {'id', 'storage_id', 'created_at', 'updated_at', 'last_seen_at', 'extra',
                        *(column.name for column in kind.table.columns),
                        *(members.shown_as for members in kind.members)}


@pytest.mark.parametrize('path', ['/v1/storage-pools', '/v1/storages-pools'])
def test_the_pools_have_two_paths(rest, storage_id, path):
    add_rows(rest.database, storage_id, 'storage_pools', [{'native_storage_pool_id': 'p1'}])
    assert native_ids(rest.get(path), 'storage_pools') == {'p1'}


@pytest.mark.parametrize('path', ['/v1/volumes/', '/v1/volumes//', '/v1/volumes.json', '/v1/volumes.json?limit=9'])
def test_a_trailing_slash_and_json_suffix_change_nothing(rest, volumes, path):
    assert len(native_ids(rest.get(path))) == 5


def test_the_json_suffix_works_behind_an_id(rest, storage_id):
    assert rest.get(f'/v1/storages/{storage_id}.json').body['id'] == storage_id


@pytest.mark.parametrize('path', [
    '/v2/volumes', '/volumes', '/v1/nothing', '/v1/volumes/a/b', '/v1/Volumes', '/v1/volumes.xml',
    '/v1//volumes', '/v1/storages/x/volumes', '/v1/storage-hosts', '/v1/volumes/../storages', '/v1/storage_pools'])
def test_an_unknown_path_is_404(rest, path):
    answer = rest.get(path)
    assert (answer.status, answer.error) == (404, 'NotFound')


@pytest.mark.parametrize(('method', 'path', 'allowed'), [
    ('PUT', '/v1/volumes', 'GET, HEAD'), ('DELETE', f'/v1/volumes/{NOBODY}', 'GET, HEAD'),
    ('PATCH', '/v1/storages', 'GET, HEAD, POST'), ('POST', f'/v1/storages/{NOBODY}', 'DELETE, GET, HEAD, PUT'),
    ('GET', '/v1/storages/sync', 'POST'), ('HEAD', '/v1/storages/sync', 'POST'),
    ('DELETE', f'/v1/storages/{NOBODY}/syncs', 'GET, HEAD'), ('BREW', '/v1/drivers', 'GET, HEAD'),
    ('get', '/v1/drivers', 'GET, HEAD'), ('POST', f'/v1/storages/{NOBODY}/storage-hosts', 'GET, HEAD')])
def test_a_wrong_method_is_405_and_says_which_are_allowed(rest, method, path, allowed):
    answer = rest(method, path)
    assert (answer.status, answer.headers['Allow']) == (405, allowed)
    assert method == 'HEAD' or answer.error == 'MethodNotAllowed'


@pytest.mark.parametrize(('path', 'allowed'), [('/v1/storages', 'GET, HEAD, POST'), ('/v1/volumes', 'GET, HEAD'),
                                               ('/v1/storages/sync', 'POST')])
def test_options_tells_the_methods(rest, path, allowed):
    answer = rest('OPTIONS', path)
    assert (answer.status, answer.headers['Allow'], answer.raw) == (200, allowed, b'')


def test_options_of_an_unknown_path_is_404(rest):
    assert rest('OPTIONS', '/v1/nothing').status == 404


def test_head_is_get_without_the_body(rest, volumes):
    get, head = rest.get('/v1/volumes'), rest('HEAD', '/v1/volumes')
    assert (head.status, head.raw, head.headers['Content-Length']) == (200, b'', get.headers['Content-Length'])


def test_a_very_long_method_does_not_fill_the_answer(rest):
    assert len(rest('X' * 5000, '/v1/volumes').raw) < 1000


# --- lists ---

def test_a_list_can_be_filtered_by_every_column_at_once(rest, volumes):
    assert native_ids(rest.get('/v1/volumes?name=name+0&compressed=true&total_capacity=2')) == {'v2'}


@pytest.mark.parametrize(('word', 'expected'), [('true', {'v0', 'v2', 'v4'}), ('1', {'v0', 'v2', 'v4'}),
                                                ('False', {'v1', 'v3'}), ('0', {'v1', 'v3'})])
def test_booleans_filter_in_every_spelling(rest, volumes, word, expected):
    assert native_ids(rest.get(f'/v1/volumes?compressed={word}')) == expected


def test_a_filter_compares_exactly(rest, volumes):
    assert native_ids(rest.get('/v1/volumes?native_volume_id=V1')) == set()


def test_a_flat_list_can_be_filtered_by_storage(rest, volumes):
    add_rows(rest.database, add_storage(rest.database, 'SN-2'), 'volumes', [{'native_volume_id': 'other'}])
    assert 'other' not in native_ids(rest.get(f'/v1/volumes?storage_id={volumes}'))


def test_a_flat_list_filtered_by_an_unknown_storage_is_empty(rest, volumes):
    assert native_ids(rest.get(f'/v1/volumes?storage_id={NOBODY}')) == set()


def test_a_repeated_filter_means_one_of_several(rest, volumes):
    assert native_ids(rest.get('/v1/volumes?native_volume_id=v1&native_volume_id=v2')) == {'v1', 'v2'}


@pytest.mark.parametrize('path', ['/v1/volumes', f'/v1/volumes/{NOBODY}', '/v1/storages', '/v1/drivers'])
def test_an_unknown_parameter_is_told(rest, path):
    answer = rest.get(f'{path}?colour=red')
    assert (answer.status, answer.error) == (400, 'InvalidInput')
    assert "'colour'" in answer.body['error_msg'] and 'red' not in answer.body['error_msg']


def test_the_known_filters_of_a_kind_are_its_columns(rest):
    message = rest.get('/v1/qtrees?colour=red').body['error_msg']
    assert 'Known are id, name, native_filesystem_id, native_qtree_id, path, security_mode, storage_id (' in message


@pytest.mark.parametrize('query', [
    'limit=-1', 'limit=x', 'limit=', 'limit=1.5', 'limit=1e3', 'limit=+1', 'limit=%D9%A3', 'limit=99999999999999999999',
    'offset=-1', 'offset=x', 'offset=2147483648', 'offset=99999999999999999999999', 'total_capacity=x',
    'total_capacity=-1', 'total_capacity=9223372036854775808', 'compressed=maybe', 'compressed='])
def test_a_bad_number_or_boolean_in_the_query_is_400(rest, query):
    answer = rest.get(f'/v1/volumes?{query}')
    assert (answer.status, answer.error) == (400, 'InvalidInput')
    assert answer.body['error_msg'].removeprefix('Invalid input received. ').startswith(query.partition('=')[0])


@pytest.mark.parametrize('query', ['offset=2147483647', 'total_capacity=9223372036854775807', 'limit=0',
                                   'limit=9223372036854775807&offset=5'])
def test_the_largest_numbers_are_just_numbers(rest, volumes, query):
    assert native_ids(rest.get(f'/v1/volumes?{query}')) == set()


def test_pages_do_not_overlap_and_miss_nothing(rest, volumes):
    pages = [native_ids(rest.get(f'/v1/volumes?limit=2&offset={offset}')) for offset in (0, 2, 4, 6)]
    assert [len(page) for page in pages] == [2, 2, 1, 0] and len(set.union(*pages)) == 5


def test_a_larger_limit_than_allowed_is_cut(rest, volumes):
    rest.conf.set_override('max_limit', 3, 'api')
    assert [len(native_ids(rest.get(path))) for path in ('/v1/volumes?limit=100', '/v1/volumes')] == [3, 3]


def test_times_are_rfc_3339_in_utc_with_microseconds(rest, volumes):
    created = rest.get('/v1/volumes').body['volumes'][0]['created_at']
    assert len(created) == len('2026-01-01T00:00:00.000000Z') and created.endswith('Z')


# --- nested ---

@pytest.mark.parametrize('kind', NESTED, ids=lambda kind: kind.name)
def test_a_nested_collection_of_an_unknown_storage_is_404(rest, kind):
    answer = rest.get(collection(kind, NOBODY))
    assert (answer.status, answer.error) == (404, 'StorageNotFound')


def test_a_nested_collection_shows_its_storage_only(rest, storage_id):
    other = add_storage(rest.database, 'SN-2')
    for one, name in ((storage_id, 'mine'), (other, 'theirs')):
        add_rows(rest.database, one, 'storage_hosts', [{'native_storage_host_id': name}])
    assert native_ids(rest.get(f'/v1/storages/{storage_id}/storage-hosts'), 'storage_hosts') == {'mine'}


def test_a_storage_in_the_query_never_overrides_the_path(rest, storage_id):
    other = add_storage(rest.database, 'SN-2')
    add_rows(rest.database, other, 'storage_hosts', [{'native_storage_host_id': 'theirs'}])
    answer = rest.get(f'/v1/storages/{storage_id}/storage-hosts?storage_id={other}')
    assert answer.status in (200, 400) and (answer.status == 400 or native_ids(answer, 'storage_hosts') == set())


def test_a_row_of_another_storage_is_not_found_below_this_one(rest, storage_id):
    other = add_storage(rest.database, 'SN-2')
    add_rows(rest.database, other, 'storage_hosts', [{'native_storage_host_id': 'theirs'}])
    row = rest.get(f'/v1/storages/{other}/storage-hosts').body['storage_hosts'][0]
    assert rest.get(f'/v1/storages/{storage_id}/storage-hosts/{row["id"]}').error == 'StorageHostNotFound'


# --- storages ---

def test_a_storage_shows_what_existing_clients_know(rest, storage_id):
    assert set(rest.get(f'/v1/storages/{storage_id}').body) >= {
        'id', 'name', 'vendor', 'model', 'description', 'location', 'status', 'serial_number', 'firmware_version',
        'total_capacity', 'used_capacity', 'free_capacity', 'raw_capacity', 'subscribed_capacity', 'sync_status',
        'created_at', 'updated_at', 'deleted', 'deleted_at'}


def test_a_storage_does_not_show_how_it_is_reached(rest, storage_id):
    assert not {'rest', 'ssh', 'extra_attributes', 'live'} & set(rest.get(f'/v1/storages/{storage_id}').body)


def sync_status(rest, storage_id):
    return rest.get(f'/v1/storages/{storage_id}').body['sync_status']


def test_the_sync_status_follows_the_runs(rest, storage_id):
    seen = [sync_status(rest, storage_id)]
    rest.post(f'/v1/storages/{storage_id}/sync')
    seen.append(sync_status(rest, storage_id))
    taken = take_run(rest.database, storage_id)
    seen.append(sync_status(rest, storage_id))
    with rest.database.write() as connection:
        runs.set_kind(connection, taken.run_id, 'volumes', {'state': 'failed'})
        runs.finish(connection, taken, 50)
    seen.append(sync_status(rest, storage_id))
    assert seen == ['SYNCED', 'SYNCING', 'SYNCING', 'FAILED']


def test_an_unknown_storage_is_404(rest):
    for method, path in (('GET', ''), ('DELETE', ''), ('POST', '/sync'), ('GET', '/syncs'), ('GET', '/syncs/latest')):
        assert rest(method, f'/v1/storages/{NOBODY}{path}').error == 'StorageNotFound'


def test_a_deleted_storage_is_gone_at_once_with_its_rows(rest, volumes):
    answer = rest('DELETE', f'/v1/storages/{volumes}')
    assert (answer.status, answer.raw, rest.tasks.rings) == (202, b'', 1)
    assert rest.get('/v1/storages').body == {'storages': []} and native_ids(rest.get('/v1/volumes')) == set()
    assert rest.get(f'/v1/storages/{volumes}').status == 404


def test_a_storage_is_deleted_once(rest, storage_id):
    assert [rest('DELETE', f'/v1/storages/{storage_id}').status for _ in range(2)] == [202, 404]


def test_syncing_a_storage_rings_the_doorbell(rest, storage_id):
    answer = rest.post(f'/v1/storages/{storage_id}/sync')
    assert (answer.status, answer.body['storage_id'], rest.tasks.rings) == (202, storage_id, 1)
    assert answer.headers['Location'].endswith(f'/v1/storages/{storage_id}/syncs/latest')


def test_asking_for_a_sync_twice_joins(rest, storage_id):
    first, second = (rest.post(f'/v1/storages/{storage_id}/sync') for _ in range(2))
    assert (second.status, second.body) == (202, first.body)


def latest(rest, storage_id):
    return rest.get(f'/v1/storages/{storage_id}/syncs/latest').body


def test_some_kinds_can_be_synced_alone(rest, storage_id):
    answer = rest.post(f'/v1/storages/{storage_id}/sync', {'kinds': ['volumes', 'disks'], 'force': True})
    run = latest(rest, storage_id)
    assert (answer.status, answer.body['id'], run['force'], run['trigger'], run['state']) == (
        202, run['id'], True, 'api', 'pending')
    assert [kind['kind'] for kind in run['kinds']] == ['storage', 'volumes', 'disks']


@pytest.mark.parametrize('body', [None, {}])
def test_without_a_word_everything_is_synced(rest, storage_id, body):
    rest.post(f'/v1/storages/{storage_id}/sync', body)
    run = latest(rest, storage_id)
    assert ([kind['kind'] for kind in run['kinds']], run['force']) == (['storage', *KINDS.names()], False)


def test_a_sync_that_is_covered_by_the_running_one_joins_it(rest, storage_id):
    taken = take_run(rest.database, storage_id, ('volumes', 'disks'))
    answer = rest.post(f'/v1/storages/{storage_id}/sync', {'kinds': ['disks']})
    assert (answer.status, answer.body['id']) == (202, taken.run_id)


@pytest.mark.parametrize('body', [None, {'kinds': ['volumes', 'disks']}, {'kinds': ['volumes'], 'force': True}],
                         ids=str)
def test_a_sync_that_is_more_than_the_running_one_is_a_conflict(rest, storage_id, body):
    take_run(rest.database, storage_id, ('volumes',))
    answer = rest.post(f'/v1/storages/{storage_id}/sync', body)
    assert (answer.status, answer.error, rest.tasks.rings) == (409, 'StorageIsSyncing', 0)


@pytest.mark.parametrize('body', [{'kinds': ['moons']}, {'kinds': []}, {'force': 1}, {'kind': ['volumes']}, []],
                         ids=str)
def test_a_sync_request_without_sense_is_400_and_asks_for_nothing(rest, storage_id, body):
    answer = rest.post(f'/v1/storages/{storage_id}/sync', body)
    assert (answer.status, answer.error, rest.tasks.rings) == (400, 'InvalidInput', 0)
    assert rest.get(f'/v1/storages/{storage_id}/syncs').body == {'syncs': []}


def test_a_waiting_partial_sync_takes_the_next_request_in(rest, storage_id):
    first, second, third = (rest.post(f'/v1/storages/{storage_id}/sync', body) for body in (
        {'kinds': ['volumes']}, {'kinds': ['disks']}, None))
    assert {answer.body['id'] for answer in (first, second, third)} == {first.body['id']}
    assert [kind['kind'] for kind in latest(rest, storage_id)['kinds']] == ['storage', *KINDS.names()]


def test_a_storage_tells_which_kinds_have_failed(rest, storage_id):
    with rest.database.write() as connection:
        for kind in ('volumes', 'disks'):
            runs.note_outcome(connection, storage_id, kind, True)
    shown = rest.get(f'/v1/storages/{storage_id}').body
    assert (shown['failed_kinds'], shown['sync_status']) == (['disks', 'volumes'], 'FAILED')
    assert rest.get('/v1/storages').body['storages'] == [shown]


def test_maintenance_and_interval_are_settings_of_a_storage(rest, storage_id):
    before = rest.get(f'/v1/storages/{storage_id}').body
    assert (before['maintenance'], before['sync_interval_seconds']) == (False, None)
    for settings in ({'maintenance': True, 'sync_interval_seconds': 0}, {'maintenance': False},
                     {'sync_interval_seconds': None}):
        shown = rest('PUT', f'/v1/storages/{storage_id}', settings).body
        assert shown.items() >= settings.items()
    assert (shown['maintenance'], shown['sync_interval_seconds']) == (False, None)


def test_labels_stay_when_settings_change(rest, storage_id):
    rest('PUT', f'/v1/storages/{storage_id}', {'site': 'Berlin', 'tags': ['gold']})
    shown = rest('PUT', f'/v1/storages/{storage_id}', {'maintenance': True}).body
    assert (shown['site'], shown['tags'], shown['maintenance']) == ('Berlin', ['gold'], True)


def test_syncing_all_leaves_arrays_under_maintenance_alone(rest, storage_id):
    resting = add_storage(rest.database, 'SN-2')
    rest('PUT', f'/v1/storages/{resting}', {'maintenance': True})
    assert rest.post('/v1/storages/sync').status == 202
    assert [len(rest.get(f'/v1/storages/{one}/syncs').body['syncs']) for one in (storage_id, resting)] == [1, 0]
    assert rest.post(f'/v1/storages/{resting}/sync').status == 202


def test_the_nodes_tell_who_lives_and_what_they_own(rest, storage_id):
    with rest.database.write() as connection:
        ownership.join(connection, ownership.Node('node-1', 'boot-1', '1.2.3'), ['key-1'], 60)
        ownership.join(connection, ownership.Node('dead', 'boot-2', '1.2.3'), ['key-1'], -60)
    nodes = rest.get('/v1/nodes').body['nodes']
    assert [(node['name'], node['version'], node['alive'], node['storages']) for node in nodes] == [
        ('dead', '1.2.3', False, 0), ('node-1', '1.2.3', True, 1)]
    assert set(nodes[0]) == {'name', 'version', 'alive', 'storages', 'started_at', 'heartbeat_at', 'expires_at'}


def test_without_nodes_there_are_none(rest):
    assert rest.get('/v1/nodes').body == {'nodes': []}


def test_syncing_all_makes_one_run_for_every_storage(rest):
    ids = {add_storage(rest.database, f'SN-{number}') for number in range(3)}
    answer = rest.post('/v1/storages/sync')
    assert (answer.status, rest.tasks.rings) == (202, 1)
    assert {storage_id for storage_id in ids if rest.get(f'/v1/storages/{storage_id}/syncs').body['syncs']} == ids


def test_syncing_all_does_not_mind_syncs_under_way(rest, storage_id):
    rest.post(f'/v1/storages/{storage_id}/sync')
    assert rest.post('/v1/storages/sync').status == 202


def test_syncing_all_is_not_refused_because_one_array_is_just_asked_a_second_time(rest, storage_id):
    """A confirming run covers less than a full sync; the other storages are synced all the same."""
    other = add_storage(rest.database, 'SN-2')
    take_run(rest.database, storage_id, ('volumes',))
    assert rest.post('/v1/storages/sync').status == 202
    assert rest.get(f'/v1/storages/{other}/syncs').body['syncs']


def test_the_latest_sync_of_a_storage_that_had_none_is_404(rest, storage_id):
    assert rest.get(f'/v1/storages/{storage_id}/syncs/latest').error == 'SyncRunNotFound'


# --- registration ---

def register_in(database, serial_number='SN-9'):
    """What the task service does in the end."""
    def register(storage_id, access):
        with database.write() as connection:
            storages.insert(connection, storage_id, {'serial_number': serial_number},
                            {'vendor': 'acme', 'model': 'x1'})
    return register


def test_a_registration_answers_with_the_storage(rest):
    rest.tasks.register = register_in(rest.database)
    answer = rest.post('/v1/storages', BODY)
    assert (answer.status, answer.body['serial_number'], answer.body['sync_status']) == (201, 'SN-9', 'SYNCED')
    assert answer.headers['Location'].endswith(f'/v1/storages/{answer.body["id"]}')


def test_no_secret_leaves_the_api_in_clear(rest):
    rest.tasks.register = register_in(rest.database)
    rest.post('/v1/storages', BODY)
    sent = rest.tasks.registered[0]['access']
    assert is_sealed(sent['rest']['password']) and is_sealed(sent['extra_attributes']['note'])
    assert 'pass word' not in str(rest.tasks.registered) and 'plain words' not in str(rest.tasks.registered)


@pytest.mark.parametrize(('error', 'status'), [
    (exception.InvalidUsernameOrPassword(), 400), (exception.StorageDriverNotFound('acme x1'), 404),
    (exception.StorageAlreadyExists(), 409), (exception.InvalidResults('x'), 502),
    (exception.ServiceUnavailable('no task service'), 503), (exception.DriverCallTimeout('m', 's', 1), 504),
    (exception.DelfinException(message='delfin-task failed'), 500)],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value))
def test_a_registration_that_fails_says_why(rest, error, status):
    def register(storage_id, access):
        raise error
    rest.tasks.register = register
    answer = rest.post('/v1/storages', BODY)
    assert (answer.status, answer.error) == (status, error.error_code)
    assert 'pass word' not in answer.raw.decode()


def test_a_registration_whose_answer_was_lost_is_found(rest):
    def register(storage_id, access):
        register_in(rest.database)(storage_id, access)
        raise exception.ServiceUnavailable('no answer in time')
    rest.tasks.register = register
    assert rest.post('/v1/storages', BODY).status == 201


@pytest.mark.parametrize('body', [None, [], {}, {'rest': {}}, 7, 'text'], ids=repr)
def test_a_registration_without_sense_is_400_and_reaches_nobody(rest, body):
    assert rest.post('/v1/storages', body).status == 400 and rest.tasks.registered == []


# --- health ---

def test_the_health_check_needs_nothing(rest):
    rest.database.close()
    assert rest.get('/healthcheck').body == {'status': 'ok'}


def test_readiness_tells_that_all_is_well(rest):
    answer = rest.get('/readiness')
    assert (answer.status, answer.body) == (200, {'status': 'ok', 'database': 'ok', 'migrations': 'ok', 'rpc': 'ok'})


def test_readiness_tells_that_the_task_service_is_away(rest):
    rest.tasks.ping_error = exception.ServiceUnavailable('no answer from delfin-task')
    answer = rest.get('/readiness')
    assert (answer.status, answer.body['rpc'], answer.body['database']) == (503, 'no answer from delfin-task', 'ok')


def test_readiness_tells_that_the_database_is_away(rest, monkeypatch):
    def away():
        raise OperationalError('SELECT 1', {}, Exception('could not connect\nDETAIL: more'))
    monkeypatch.setattr(rest.backend.schema, 'problem', away)
    answer = rest.get('/readiness')
    assert (answer.status, answer.body['database'], answer.body['migrations']) == (
        503, 'could not connect', 'unknown')


def test_drivers_are_listed(rest):
    rest.tasks.drivers = [{'name': 'v m', 'status': 'ok'}]
    assert rest.get('/v1/drivers').body == {'drivers': [{'name': 'v m', 'status': 'ok'}]}
