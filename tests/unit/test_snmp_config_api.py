# SPDX-License-Identifier: Apache-2.0
"""Who may send traps for an array, as people say it over REST; traps that became no alerts; exporters."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from delfin import exception
from delfin.api.v1.snmp import SHOWN
from delfin.common.masking import MASK
from delfin.db import alert_sources, exports, traps
from delfin.db.sqlalchemy import models
from delfin.keyring import is_sealed, place
from tests.unit.support import add_storage, as_documented

NOBODY = '00000000-0000-4000-8000-000000000000'
V2C = {'host': '10.0.0.1', 'version': 'SNMPv2c', 'community_string': 'comm-unity'}
V3 = {'host': '10.0.0.1', 'version': 'SNMPv3', 'username': 'watcher', 'security_level': 'authPriv',
      'auth_protocol': 'HMACSHA', 'auth_key': 'auth-key-1', 'privacy_protocol': 'AES', 'privacy_key': 'priv-key-1',
      'engine_id': '800000d30300000e1120'}
# What the dashboard of existing installations sends.
DASHBOARD = {'host': '10.0.0.1', 'version': 'SNMPv2c', 'community_string': 'public', 'port': 161, 'context_name': '',
             'retry_num': 1, 'expiration': 2}


def path(storage_id, more=''):
    return f'/v1/storages/{storage_id}/snmp-config{more}'


def put(rest, storage_id, body, **changes):
    return rest('PUT', path(storage_id), {**body, **changes})


def without(body, *names):
    return {name: value for name, value in body.items() if name not in names}


def secrets(rest, storage_id):
    """The stored secrets, opened."""
    with rest.database.read() as connection:
        row = alert_sources.get(connection, storage_id)
    assert all(is_sealed(row[name]) for name in alert_sources.SECRETS if row[name] is not None)
    return {name: rest.backend.keyring.open(row[name], place(storage_id, 'alert_source', name))
            for name in alert_sources.SECRETS if row[name] is not None}


# --- what is stored and shown ---

@pytest.mark.parametrize('name', ['snmp-config', 'alert-source'])
def test_a_community_is_configured_and_never_shown(rest, storage_id, name):
    url = f'/v1/storages/{storage_id}/{name}'
    answer = rest('PUT', url, V2C)
    assert (answer.status, set(answer.body), rest.alerts.rings) == (200, set(SHOWN), 1)
    assert answer.body.items() >= {'storage_id': storage_id, 'host': '10.0.0.1', 'version': 'SNMPv2c', 'port': None,
                                   'username': None, 'probe_state': None, 'engine_id_learned': False}.items()
    assert rest.get(url).body == answer.body
    assert b'comm-unity' not in answer.raw
    assert secrets(rest, storage_id) == {'community_string': 'comm-unity'}


def test_a_v3_user_is_configured_with_level_and_protocols(rest, storage_id):
    answer = put(rest, storage_id, V3, context_name='ctx', port=1161, retry_num=3, expiration=5)
    shown = {**without(V3, 'auth_key', 'privacy_key'), 'context_name': 'ctx', 'port': 1161, 'retry_num': 3,
             'expiration': 5}
    assert answer.status == 200 and answer.body.items() >= shown.items()
    assert not {'auth_key', 'privacy_key', 'community_string'} & set(answer.body)
    assert secrets(rest, storage_id) == {'auth_key': 'auth-key-1', 'privacy_key': 'priv-key-1'}


def test_what_the_dashboard_sends_is_understood(rest, storage_id):
    answer = put(rest, storage_id, DASHBOARD)
    assert answer.status == 200
    assert answer.body.items() >= {'port': 161, 'retry_num': 1, 'expiration': 2, 'context_name': None}.items()
    answer = put(rest, storage_id, {**V3, 'community_string': '', 'context_name': '', 'port': 161})
    assert (answer.status, answer.body['version']) == (200, 'SNMPv3')


def test_a_secret_that_looks_sealed_is_sealed_all_the_same(rest, storage_id):
    put(rest, storage_id, V2C, community_string='$delfin$1$abc$def')
    assert secrets(rest, storage_id) == {'community_string': '$delfin$1$abc$def'}


@pytest.mark.parametrize(('field', 'said', 'shown'), [
    ('version', 'snmpv3', 'SNMPv3'), ('version', 'V3', 'SNMPv3'), ('security_level', 'AUTHPRIV', 'authPriv'),
    ('auth_protocol', 'sha-256', 'HMCSHA2256'), ('auth_protocol', 'hmacmd5', 'HMACMD5'),
    ('privacy_protocol', 'aes-256', 'AES256'), ('privacy_protocol', '3des', '3DES'),
    ('engine_id', '0x800000D30300000E1120', '800000d30300000e1120'), ('port', 161.0, 161)])
def test_names_are_understood_as_people_write_them(rest, storage_id, field, said, shown):
    answer = put(rest, storage_id, V3, **{field: said})
    assert (answer.status, answer.body[field]) == (200, shown)


@pytest.mark.parametrize('host', [
    '10.0.0.1', '10.0.0.1,10.0.0.2', '10.0.0.1, 2001:db8::1', 'fe80::1%eth0', 'ctrl-a.example.com',
    'ctrl_a,ctrl_b,10.0.0.9', 'array.', 'A' * 63])
def test_senders_are_addresses_and_names_kept_as_given(rest, storage_id, host):
    answer = put(rest, storage_id, V2C, host=host)
    assert (answer.status, answer.body['host']) == (200, host)


@pytest.mark.parametrize('host', [
    '', ' ', ',', '10.0.0.1,', '10.0.0.256', '1.2.3', '2001:db8::g', 'a b', '-a', 'a-', 'a..b', '10.0.0.1/24', 'ü.de',
    '10.0.0.1\n', 'x' * 64, 'x.' * 128, None, 5, ['10.0.0.1']], ids=lambda host: str(host)[:20])
def test_a_sender_that_is_none_is_refused(rest, storage_id, host):
    answer = put(rest, storage_id, V2C, host=host)
    assert (answer.status, answer.error) == (400, 'InvalidInput')
    assert 'host' in answer.body['error_msg'] and rest.alerts.rings == 0


@pytest.mark.parametrize(('changes', 'named'), [
    ({'version': 'SNMPv4'}, 'SNMPv2c'), ({'security_level': 'best'}, 'authPriv'),
    ({'auth_protocol': 'ROT13'}, 'HMACSHA'), ({'privacy_protocol': 'XOR'}, 'AES256'),
    ({'auth_key': 'short77'}, 'auth_key'), ({'privacy_key': 'short77'}, '8'),
    ({'engine_id': '80000'}, '5 to 32 octets'), ({'engine_id': '80000000'}, 'engine_id'),
    ({'engine_id': 'ab' * 33}, 'engine_id'), ({'engine_id': '0xzz00000000'}, 'engine_id'), ({'port': 0}, 'port'),
    ({'port': 65536}, 'port'), ({'port': '161'}, 'port'), ({'retry_num': 11}, 'retry_num'),
    ({'retry_num': -1}, 'retry_num'), ({'expiration': 0}, 'expiration'), ({'expiration': 61}, 'expiration'),
    ({'context_name': 'x' * 33}, 'context_name'), ({'username': 'x' * 33}, 'username'), ({'user': 'x'}, 'user')],
    ids=str)
def test_what_makes_no_sense_is_named(rest, storage_id, changes, named):
    answer = put(rest, storage_id, V3, **changes)
    assert (answer.status, answer.error) == (400, 'InvalidInput') and named in answer.body['error_msg']
    assert rest.get(path(storage_id)).error == 'AlertSourceNotFound'


@pytest.mark.parametrize(('body', 'missing'), [
    (without(V2C, 'community_string'), 'community_string'), (without(V2C, 'host'), 'host'),
    (without(V2C, 'version'), 'version'), ({'host': 'a', 'version': 'SNMPv1'}, 'community_string'),
    *[(without(V3, name), name) for name in V3 if name not in ('host', 'version', 'engine_id')],
    ({**V2C, 'community_string': MASK}, 'community_string')], ids=str)
def test_what_a_version_or_level_needs_is_required(rest, storage_id, body, missing):
    answer = put(rest, storage_id, body)
    assert (answer.status, answer.error) == (400, 'InvalidInput')
    assert missing in answer.body['error_msg'] and 'required' in answer.body['error_msg']


def test_an_error_never_repeats_a_secret(rest, storage_id):
    for changes in ({'port': 0}, {'auth_key': 'seven77'}, {'privacy_key': 5, 'auth_key': 'auth-key-1'}):
        raw = put(rest, storage_id, V3, **changes).raw
        assert not any(secret in raw for secret in (b'auth-key-1', b'priv-key-1', b'seven77'))


@pytest.mark.parametrize('body', [None, [], 'x', b'{'], ids=str)
def test_a_body_that_is_no_configuration_is_400(rest, storage_id, body):
    assert rest('PUT', path(storage_id), body).status == 400


@pytest.mark.parametrize('level', ['noAuthnoPriv', 'authNoPriv'])
def test_a_level_keeps_only_what_it_needs(rest, storage_id, level):
    put(rest, storage_id, V3)
    answer = put(rest, storage_id, V3, security_level=level)
    authenticated = level == 'authNoPriv'
    assert (answer.body['auth_protocol'], answer.body['privacy_protocol']) == (
        'HMACSHA' if authenticated else None, None)
    assert secrets(rest, storage_id) == ({'auth_key': 'auth-key-1'} if authenticated else {})


def test_a_change_of_version_leaves_nothing_of_the_other(rest, storage_id):
    put(rest, storage_id, V3)
    answer = put(rest, storage_id, {**V3, **V2C})
    assert all(answer.body[name] is None for name in (
        'username', 'security_level', 'auth_protocol', 'privacy_protocol', 'engine_id'))
    assert secrets(rest, storage_id) == {'community_string': 'comm-unity'}
    put(rest, storage_id, V3)
    assert secrets(rest, storage_id) == {'auth_key': 'auth-key-1', 'privacy_key': 'priv-key-1'}


# --- changes ---

@pytest.mark.parametrize('said', [{}, {'auth_key': None, 'privacy_key': MASK}, {'auth_key': '', 'privacy_key': ''}],
                         ids=str)
def test_a_secret_that_is_not_said_again_stays(rest, storage_id, said):
    put(rest, storage_id, V3)
    answer = put(rest, storage_id, {**without(V3, 'auth_key', 'privacy_key'), **said}, host='10.0.0.2')
    assert (answer.status, answer.body['host']) == (200, '10.0.0.2')
    assert secrets(rest, storage_id) == {'auth_key': 'auth-key-1', 'privacy_key': 'priv-key-1'}


def test_a_community_that_is_not_said_again_stays(rest, storage_id):
    put(rest, storage_id, V2C)
    assert put(rest, storage_id, {'host': '10.0.0.2', 'version': 'v2c', 'username': 'ignored'}).status == 200
    assert secrets(rest, storage_id) == {'community_string': 'comm-unity'}


def test_one_key_can_be_changed_alone(rest, storage_id):
    put(rest, storage_id, V3)
    put(rest, storage_id, without(V3, 'auth_key'), privacy_key='priv-key-2')
    assert secrets(rest, storage_id) == {'auth_key': 'auth-key-1', 'privacy_key': 'priv-key-2'}


@pytest.mark.parametrize('body', [
    {**without(V3, 'auth_key', 'privacy_key'), 'username': 'other'}, without(V2C, 'community_string')], ids=str)
def test_another_user_or_version_needs_secrets_of_its_own(rest, storage_id, body):
    put(rest, storage_id, V3)
    assert put(rest, storage_id, body).error == 'InvalidInput'
    assert secrets(rest, storage_id) == {'auth_key': 'auth-key-1', 'privacy_key': 'priv-key-1'}


def test_settings_that_are_left_out_stay_and_null_takes_them_away(rest, storage_id):
    put(rest, storage_id, V2C, context_name='ctx', port=1161, retry_num=0, expiration=9)
    kept = put(rest, storage_id, V2C).body
    assert [kept[name] for name in ('context_name', 'port', 'retry_num', 'expiration')] == ['ctx', 1161, 0, 9]
    gone = put(rest, storage_id, V2C, context_name=None, port=None, retry_num=None, expiration=None).body
    assert [gone[name] for name in ('context_name', 'port', 'retry_num', 'expiration')] == [None] * 4


def test_a_change_forgets_what_was_learned_and_asks_the_agent_anew(rest, storage_id):
    put(rest, storage_id, without(V3, 'engine_id'))
    with rest.database.write() as connection:
        alert_sources.learn_engine_id(connection, storage_id, '8000000001020304')
        alert_sources.note_probe(connection, storage_id, 'failed', 'no answer')
    shown = rest.get(path(storage_id)).body
    assert (shown['engine_id'], shown['engine_id_learned'], shown['probe_state'], shown['probe_error']) == (
        '8000000001020304', True, 'failed', 'no answer')
    assert shown['probed_at'].endswith('Z')
    shown = put(rest, storage_id, without(V3, 'engine_id')).body
    assert (shown['engine_id'], shown['engine_id_learned'], shown['probe_state']) == (None, False, None)


def test_a_learned_engine_id_can_be_forgotten(rest, storage_id):
    put(rest, storage_id, without(V3, 'engine_id'))
    with rest.database.write() as connection:
        alert_sources.learn_engine_id(connection, storage_id, '8000000001020304')
    answer = rest('DELETE', path(storage_id, '/engine-id'))
    assert (answer.status, answer.raw, rest.alerts.rings) == (200, b'', 2)
    assert rest.get(path(storage_id)).body['engine_id'] is None


def test_a_configuration_is_removed_once(rest, storage_id):
    put(rest, storage_id, V2C)
    answer = rest('DELETE', path(storage_id))
    assert (answer.status, answer.raw, rest.alerts.rings) == (200, b'', 2)
    assert rest('DELETE', path(storage_id)).error == 'AlertSourceNotFound'
    assert (rest.get(path(storage_id)).error, rest.alerts.rings) == ('AlertSourceNotFound', 2)


CALLS = [('GET', ''), ('DELETE', ''), ('DELETE', '/engine-id'), ('POST', '/push'), ('DELETE', '/push?host=a')]


@pytest.mark.parametrize(('method', 'more'), CALLS)
def test_an_array_without_configuration_is_404(rest, storage_id, method, more):
    body = {'host': 'a'} if method == 'POST' else None
    answer = rest(method, path(storage_id, more), body)
    assert (answer.status, answer.error) == (404, 'AlertSourceNotFound')
    assert (rest.tasks.asked, rest.alerts.rings) == ([], 0)


@pytest.mark.parametrize(('method', 'more'), [('PUT', ''), *CALLS])
def test_an_unknown_array_is_404(rest, method, more):
    body = {'PUT': without(V2C, 'community_string'), 'POST': {'host': 'a'}}.get(method)
    assert rest(method, path(NOBODY, more), body).error == 'StorageNotFound'
    assert (rest.tasks.asked, rest.alerts.rings) == ([], 0)


@pytest.mark.parametrize('name', ['/v1/snmp-configs', '/v1/storages/snmp-configs'])
def test_all_configurations_are_listed_without_secrets(rest, storage_id, name):
    other = add_storage(rest.database, 'SN-2')
    for one, body in ((storage_id, V2C), (other, V3)):
        put(rest, one, body)
    answer = rest.get(name)
    assert {row['storage_id']: row['version'] for row in answer.body['snmp_configs']} == {
        storage_id: 'SNMPv2c', other: 'SNMPv3'}
    assert all(set(row) == set(SHOWN) for row in answer.body['snmp_configs'])
    rest('DELETE', f'/v1/storages/{other}')
    assert [row['storage_id'] for row in rest.get(name).body['snmp_configs']] == [storage_id]


# --- the array's side ---

def test_the_array_is_told_where_to_send_traps(rest, storage_id):
    put(rest, storage_id, V2C)
    answer = rest.post(path(storage_id, '/push'), {'host': 'delfin.example.com', 'port': 1162})
    assert (answer.status, answer.raw) == (200, b'')
    assert rest('DELETE', path(storage_id, '/push?host=delfin.example.com&port=1162')).status == 200
    assert rest.tasks.asked == [('push', storage_id, 'delfin.example.com', 1162),
                                ('remove', storage_id, 'delfin.example.com', 1162)]


def test_without_a_word_the_configured_address_is_used(rest, storage_id):
    put(rest, storage_id, V2C)
    rest.conf.set_override('trap_host', '192.0.2.7', 'alerts')
    rest.conf.set_override('trap_port', 2162, 'alerts')
    for body in (None, {}, {'host': None, 'port': None}):
        assert rest.post(path(storage_id, '/push'), body).status == 200
    assert rest('DELETE', path(storage_id, '/push')).status == 200
    assert {call[2:] for call in rest.tasks.asked} == {('192.0.2.7', 2162)}


def test_without_any_address_the_option_to_set_is_named(rest, storage_id):
    put(rest, storage_id, V2C)
    answer = rest.post(path(storage_id, '/push'))
    assert (answer.status, answer.error, rest.tasks.asked) == (400, 'InvalidInput', [])
    assert 'trap_host' in answer.body['error_msg'] and '[alerts]' in answer.body['error_msg']


def test_an_array_that_cannot_be_told_is_501(rest, storage_id):
    put(rest, storage_id, V2C)
    rest.tasks.refuse = exception.StorageCapabilityNotSupported()
    assert rest.post(path(storage_id, '/push'), {'host': '192.0.2.7'}).status == 501


@pytest.mark.parametrize('body', [[], {'host': 'a,b'}, {'host': ''}, {'port': 0}, {'hosts': 'a'}], ids=str)
def test_a_target_without_sense_is_400(rest, storage_id, body):
    put(rest, storage_id, V2C)
    assert rest.post(path(storage_id, '/push'), body).error == 'InvalidInput'


@pytest.mark.parametrize('query', ['host=a,b', 'port=0', 'port=65536', 'hosts=a'])
def test_a_target_to_remove_without_sense_is_400(rest, storage_id, query):
    put(rest, storage_id, V2C)
    assert rest('DELETE', path(storage_id, f'/push?{query}')).error == 'InvalidInput'


# --- traps that became no alerts ---

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_refused_messages_are_listed_until_they_are_forgotten(rest):
    with rest.database.write() as connection:
        traps.add_rejected(connection, [traps.Count('192.0.2.9', 'unknown_sender', 3, NOON, NOON),
                                        traps.Count('', 'malformed', 9, NOON, NOON)])
    rows = rest.get('/v1/traps/rejected').body['rejected_traps']
    assert {'address': '192.0.2.9', 'reason': 'unknown_sender', 'count': 3, 'first_at': '2026-01-01T12:00:00Z',
            'last_at': '2026-01-01T12:00:00Z'} in rows
    assert [row['address'] for row in rows if row['count'] == 9] == [None]
    assert (rest('DELETE', '/v1/traps/rejected').status, rest.get('/v1/traps/rejected').body) == (
        200, {'rejected_traps': []})


@pytest.fixture
def failed(rest, storage_id):
    """Three traps that a driver could not read, the newest last; their ids."""
    with rest.database.write() as connection:
        for number in range(3):
            traps.add_failed(connection, [traps.Failed(
                NOON, '10.0.0.1', (storage_id,), 'SNMPv2c', {'1.3.6': str(number)}, 'KeyError')], 'node-1', 100)
    return [row['id'] for row in rest.get('/v1/traps/failed').body['failed_traps']][::-1]


def test_traps_that_could_not_be_understood_are_kept_to_be_read(rest, storage_id, failed):
    rows = rest.get('/v1/traps/failed').body['failed_traps']
    assert [row['variables'] for row in rows] == [{'1.3.6': '2'}, {'1.3.6': '1'}, {'1.3.6': '0'}]
    assert rows[0].items() >= {'source': '10.0.0.1', 'storage_ids': [storage_id], 'version': 'SNMPv2c',
                               'error': 'KeyError', 'node': 'node-1', 'received_at': '2026-01-01T12:00:00Z'}.items()


def test_failed_traps_are_read_in_portions(rest, failed):
    rows = rest.get('/v1/traps/failed?limit=1&offset=1').body['failed_traps']
    assert [row['id'] for row in rows] == [failed[1]]
    assert rest.get('/v1/traps/failed?sort=id').error == 'InvalidInput'


def test_a_failed_trap_is_deleted_once(rest, failed):
    assert [rest('DELETE', f'/v1/traps/failed/{failed[0]}').status for _ in range(2)] == [200, 404]
    assert len(rest.get('/v1/traps/failed').body['failed_traps']) == 2


@pytest.mark.parametrize('trap_id', ['x', '-1', '1.0', str(2**63), '9' * 30])
def test_what_is_no_failed_trap_is_404(rest, failed, trap_id):
    assert rest('DELETE', f'/v1/traps/failed/{trap_id}').error == 'NotFound'


# --- exporters ---

def test_exporters_tell_what_waits_and_how_they_fare(rest):
    assert rest.get('/v1/exporters').body == {'exporters': []}
    with rest.database.write() as connection:
        exports.claim(connection, 'webhook', 'node-1', 60, events=True)
        exports.put(connection, [exports.Event('raised', NOON, {'id': 'x'})])
        exports.failed(connection, 'webhook', 'connection refused')
    (row,) = rest.get('/v1/exporters').body['exporters']
    assert row.items() >= {'name': 'webhook', 'node': 'node-1', 'events': True, 'waiting': 1, 'delivered': 0,
                           'dropped': 0, 'failures': 1, 'error': 'connection refused', 'succeeded_at': None}.items()


@pytest.mark.parametrize('body', [V2C, V3], ids=lambda body: body['version'])
def test_a_configuration_is_as_documented(rest, storage_id, body):
    operation = '/v1/storages/{id}/snmp-config'
    assert as_documented(put(rest, storage_id, body), f'PUT {operation}')
    with rest.database.write() as connection:
        alert_sources.note_probe(connection, storage_id, 'ok', None)
    assert as_documented(rest.get(path(storage_id)), f'GET {operation}')
    assert as_documented(rest.get('/v1/snmp-configs'), 'GET /v1/snmp-configs')
    assert as_documented(rest('DELETE', path(storage_id)), f'DELETE {operation}')


def test_traps_and_exporters_are_as_documented(rest, failed):
    with rest.database.write() as connection:
        traps.add_rejected(connection, [traps.Count('', 'malformed', 9, NOON, NOON)])
        exports.claim(connection, 'webhook', 'node-1', 60, events=True)
    for shown in ('/v1/traps/rejected', '/v1/traps/failed', '/v1/exporters'):
        assert as_documented(rest.get(shown), f'GET {shown}')


@pytest.mark.parametrize('path', ['/v1/exporters', '/v1/traps/rejected', '/v1/snmp-configs'])
def test_short_lists_take_no_parameters(rest, path):
    assert rest.get(f'{path}?limit=1').error == 'InvalidInput'


def test_no_secret_reaches_the_database_in_clear(rest, storage_id):
    put(rest, storage_id, V3)
    with rest.database.read() as connection:
        (row,) = connection.execute(sa.select(models.alert_sources)).all()
    assert not any(secret in str(value) for value in row for secret in ('auth-key-1', 'priv-key-1'))
