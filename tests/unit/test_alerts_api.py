# SPDX-License-Identifier: Apache-2.0
"""Alerts over REST: found, counted, looked after, cleared; and what an array lists itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from delfin import exception
from delfin.alerts import ALERT_COLUMNS, DELFIN, LIST, TRAP, parsed
from delfin.api.v1.alerts import COLUMNS, LIVE_SHOWN
from delfin.db import alert_feeds, alerts, exports, storages
from delfin.findings import Findings
from tests.unit.support import add_storage, as_documented

NOBODY = '00000000-0000-4000-8000-000000000000'
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)
DISK = {'alert_id': '0x10A', 'alert_name': 'Disk failed', 'severity': 'Critical', 'sequence_number': '7',
        'location': 'Slot 3', 'resource_type': 'Disk', 'description': 'disk 3 does not answer', 'occur_time': NOON_MS}
FAN = {'alert_id': '0x20B', 'alert_name': 'Fan slow', 'severity': 'Warning', 'sequence_number': '8',
       'location': 'Bay 1', 'resource_type': 'Fan', 'description': 'fan 1 is slow', 'occur_time': NOON_MS + 1000}


def report(rest, storage_id, *rows, minutes=0, origin=TRAP, trap=None):
    """An array says something, some minutes after noon."""
    at = NOON + timedelta(minutes=minutes)
    with rest.database.write() as connection:
        alerts.apply(connection, [alerts.Report(storage_id, parsed(row, Findings()).values, at, origin, trap)
                                  for row in rows])


def names(answer):
    assert answer.status == 200, answer.body
    return [row['alert_name'] for row in answer.body['alerts']]


def only(rest):
    """The one alert there is."""
    (row,) = rest.get('/v1/alerts').body['alerts']
    return row


@pytest.fixture
def two(rest, storage_id):
    """A failed disk of one array and a slow fan of another; the ids of the arrays."""
    other = add_storage(rest.database, 'SN-2')
    report(rest, storage_id, DISK)
    report(rest, other, FAN, minutes=1)
    return storage_id, other


@pytest.fixture
def disk(rest, storage_id):
    """The id of the alert of a failed disk."""
    report(rest, storage_id, DISK, trap={'source': '10.0.0.1', 'variables': {'1.3.6.1': 'disk 3'}})
    return only(rest)['id']


# --- the list ---

def test_there_is_one_list_over_all_arrays(rest, two):
    assert sorted(names(rest.get('/v1/alerts'))) == ['Disk failed', 'Fan slow']


def test_an_alert_tells_whose_it_is_and_how_it_stands(rest, storage_id, disk):
    row = only(rest)
    assert row.items() >= {**DISK, 'storage_id': storage_id, 'storage_name': 'array', 'serial_number': 'SN-1',
                           'state': 'open', 'count': 1, 'origin': 'trap', 'muted': False, 'note': None,
                           'first_seen_at': '2026-01-01T12:00:00Z', 'last_seen_at': '2026-01-01T12:00:00Z'}.items()
    assert 'trap' not in row


@pytest.mark.parametrize(('query', 'expected'), [
    ('severity=Critical', ['Disk failed']), ('severity=Critical&severity=Warning', ['Disk failed', 'Fan slow']),
    ('category=Fault&resource_type=Fan', ['Fan slow']), ('sequence_number=8', ['Fan slow']),
    ('alert_name~=Disk', ['Disk failed']), ('description~=slow', ['Fan slow']), ('location=Slot%203', ['Disk failed']),
    ('state=cleared', []), ('muted=false', ['Disk failed', 'Fan slow']), ('muted=true', []),
    ('count>=2', []), (f'occur_time>={NOON_MS + 1}', ['Fan slow']),
    ('text=Fan', ['Fan slow']), ('text=0x10', ['Disk failed']), ('text=does%20not', ['Disk failed']),
    ('text=Bay', ['Fan slow']), ('text=fan%20slow', []), ('text=%25', []),
    (f'begin_time={NOON_MS}&end_time={NOON_MS}', ['Disk failed']), (f'begin_time={NOON_MS + 1}', ['Fan slow']),
    (f'end_time={NOON_MS + 1000}', ['Disk failed', 'Fan slow']), (f'begin_time={NOON_MS + 1001}', []),
    ('text=slow&severity=Critical', []),
])
def test_the_list_is_filtered(rest, two, query, expected):
    assert sorted(names(rest.get(f'/v1/alerts?{query}'))) == expected


def test_the_list_is_filtered_by_array_and_vendor(rest, two):
    assert names(rest.get(f'/v1/alerts?storage_id={two[0]}')) == ['Disk failed']
    assert names(rest.get('/v1/alerts?vendor=nobody')) == []


@pytest.mark.parametrize('query', [
    'severty=Critical', 'description=x', 'begin_time=yesterday', 'end_time=-1', 'text=a&text=b', 'text~=a',
    'muted=maybe', 'trap=x', 'sort=description', 'fields=trap'])
def test_a_filter_that_makes_no_sense_is_400(rest, query):
    assert rest.get(f'/v1/alerts?{query}').error == 'InvalidInput'


def test_a_mistyped_filter_names_those_of_the_list(rest):
    message = rest.get('/v1/alerts?txt=a').body['error_msg']
    assert all(name in message for name in ('begin_time', 'end_time', 'severity', 'text'))


def test_the_list_is_sorted_and_read_page_by_page(rest, storage_id):
    for number in range(5):
        report(rest, storage_id, {**DISK, 'alert_name': f'alert {number}', 'sequence_number': str(number),
                                  'location': None})
    seen, path = [], '/v1/alerts?sort=alert_name:asc&limit=2&total=true'
    answer = rest.get(path)
    while True:
        seen.append(names(answer))
        assert answer.body['total_count'] == 5
        if 'next_marker' not in answer.body:
            break
        answer = rest.get(f'{path}&marker={answer.body["next_marker"]}')
    assert seen == [['alert 0', 'alert 1'], ['alert 2', 'alert 3'], ['alert 4']]


def test_a_marker_that_is_no_alert_is_404(rest):
    assert rest.get(f'/v1/alerts?marker={NOBODY}').error == 'AlertNotFound'


def test_the_list_shows_the_fields_that_are_wanted(rest, two):
    assert rest.get('/v1/alerts?fields=alert_name,storage_name&sort=alert_name:asc').body['alerts'] == [
        {'alert_name': 'Disk failed', 'storage_name': 'array'}, {'alert_name': 'Fan slow', 'storage_name': 'array'}]


def test_alerts_of_a_deleted_array_are_gone_with_it(rest, storage_id, disk):
    rest('DELETE', f'/v1/storages/{storage_id}')
    assert names(rest.get('/v1/alerts')) == []
    assert rest.get('/v1/alerts/summary').body['total'] == 0
    assert rest.get(f'/v1/alerts/{disk}').error == 'AlertNotFound'


@pytest.mark.parametrize('name', [column.name for column in COLUMNS if column.indexed])
def test_every_filter_that_is_offered_works(rest, storage_id, name):
    with rest.database.write() as connection:
        storages.update(connection, storage_id, {'vendor': 'Acme'})
    report(rest, storage_id, {**DISK, 'type': 'EquipmentAlarm', 'match_key': 'disk-3'})
    value = only(rest)[name]
    value = str(value).lower() if isinstance(value, bool) else value
    assert value is not None and names(rest.get(f'/v1/alerts?{name}={value}')) == ['Disk failed']


# --- counts ---

def test_alerts_are_counted_by_state_and_severity(rest, storage_id, two):
    report(rest, storage_id, {**FAN, 'severity': 'Critical'}, minutes=2)
    report(rest, storage_id, {**FAN, 'category': 'Recovery'}, minutes=3)
    body = rest.get('/v1/alerts/summary').body
    assert body['total'] == 3
    assert body['by_state'] == {'open': 2, 'acknowledged': 0, 'cleared': 1, 'event': 0, 'recovery': 0}
    assert {name: count for name, count in body['by_severity'].items() if count} == {'Critical': 2, 'Warning': 1}
    assert body['counts'] == [
        {'state': 'open', 'severity': 'Critical', 'count': 1}, {'state': 'open', 'severity': 'Warning', 'count': 1},
        {'state': 'cleared', 'severity': 'Critical', 'count': 1}]


def test_counts_take_the_filters_of_the_list(rest, two):
    body = rest.get(f'/v1/alerts/summary?storage_id={two[1]}&text=fan&begin_time={NOON_MS}').body
    assert body['counts'] == [{'state': 'open', 'severity': 'Warning', 'count': 1}]


def test_a_severity_of_the_arrays_own_is_counted_as_well(rest, storage_id):
    report(rest, storage_id, {**DISK, 'severity': 'Purple'})
    assert rest.get('/v1/alerts/summary').body['by_severity']['Purple'] == 1


@pytest.mark.parametrize('query', ['limit=1', 'sort=severity', 'fields=id', 'total=true', 'severty=x'])
def test_counts_take_nothing_but_filters(rest, query):
    assert rest.get(f'/v1/alerts/summary?{query}').error == 'InvalidInput'


# --- one alert ---

def test_one_alert_is_shown_with_its_trap(rest, disk):
    assert rest.get(f'/v1/alerts/{disk}').body == {
        **only(rest), 'trap': {'source': '10.0.0.1', 'variables': {'1.3.6.1': 'disk 3'}}}


@pytest.mark.parametrize(('method', 'path'), [
    ('GET', ''), ('POST', '/acknowledge'), ('DELETE', '/acknowledge'), ('POST', '/clear')])
def test_an_unknown_alert_is_404(rest, method, path):
    assert rest(method, f'/v1/alerts/{NOBODY}{path}').error == 'AlertNotFound'


def test_an_alert_is_acknowledged_with_a_note(rest, disk):
    answer = rest.post(f'/v1/alerts/{disk}/acknowledge', {'note': 'a new disk is ordered'})
    assert (answer.status, answer.body['state'], answer.body['note']) == (200, 'acknowledged', 'a new disk is ordered')
    assert answer.body['acknowledged_at'] and rest.get(f'/v1/alerts/{disk}').body == answer.body


@pytest.mark.parametrize('body', [None, {}, {'note': None}, {'note': ''}, b'null'], ids=str)
def test_an_acknowledgement_needs_no_words(rest, disk, body):
    answer = rest.post(f'/v1/alerts/{disk}/acknowledge', body)
    assert (answer.status, answer.body['state'], answer.body['note']) == (200, 'acknowledged', None)


def test_an_acknowledgement_is_taken_back(rest, disk):
    rest.post(f'/v1/alerts/{disk}/acknowledge', {'note': 'mine'})
    answer = rest('DELETE', f'/v1/alerts/{disk}/acknowledge')
    assert (answer.status, answer.body['state'], answer.body['note'], answer.body['acknowledged_at']) == (
        200, 'open', None, None)
    assert rest('DELETE', f'/v1/alerts/{disk}/acknowledge').status == 200


@pytest.mark.parametrize('body', [[], 'x', 0, {'note': 1}, {'note': 'x' * 4097}, {'nota': 'x'}],
                         ids=lambda body: str(body)[:20])
def test_an_acknowledgement_without_sense_is_400(rest, disk, body):
    assert rest.post(f'/v1/alerts/{disk}/acknowledge', body).error == 'InvalidInput'
    assert only(rest)['state'] == 'open'


def test_alerts_are_as_documented(rest, storage_id, two):
    report(rest, storage_id, {**DISK, 'category': 'Recovery'}, minutes=5)
    report(rest, storage_id, {**FAN, 'category': 'Event', 'severity': 'Purple'})
    alert_id = rest.get('/v1/alerts?state=open').body['alerts'][0]['id']
    assert as_documented(rest.get('/v1/alerts?total=true&limit=1'), 'GET /v1/alerts')
    assert as_documented(rest.get('/v1/alerts?fields=id'), 'GET /v1/alerts')
    assert as_documented(rest.get('/v1/alerts/summary'), 'GET /v1/alerts/summary')
    assert as_documented(rest.get(f'/v1/alerts/{alert_id}'), 'GET /v1/alerts/{id}')
    for method, call in (('POST', 'acknowledge'), ('DELETE', 'acknowledge'), ('POST', 'clear')):
        answer = rest(method, f'/v1/alerts/{alert_id}/{call}')
        assert answer.status == 200 and as_documented(answer, f'{method} /v1/alerts/{{id}}/{call}')


# --- clearing by hand ---

def test_an_alert_is_cleared_on_the_array_and_here(rest, storage_id, disk):
    answer = rest.post(f'/v1/alerts/{disk}/clear')
    assert (answer.status, answer.body['state'], answer.body['cleared_by']) == (200, 'cleared', 'user')
    assert rest.tasks.asked == [('clear', storage_id, '7')]


def test_the_task_service_may_be_the_first_to_clear_what_is_stored(rest, storage_id, disk):
    def clear(storage_id, sequence_number):
        with rest.database.write() as connection:
            alerts.clear_sequence_number(connection, storage_id, sequence_number)
    rest.tasks.clear = clear
    answer = rest.post(f'/v1/alerts/{disk}/clear')
    assert (answer.status, answer.body['state']) == (200, 'cleared')


@pytest.mark.parametrize(('error', 'status'), [
    (exception.StorageCapabilityNotSupported(), 501), (exception.StorageClearAlertFailed('busy'), 502),
    (exception.DriverCallTimeout('clear_alert', 'x', 60), 504), (exception.ServiceUnavailable('no owner'), 503)],
    ids=lambda value: type(value).__name__)
def test_what_the_array_did_not_clear_stays_open(rest, disk, error, status):
    rest.tasks.refuse = error
    answer = rest.post(f'/v1/alerts/{disk}/clear')
    assert (answer.status, answer.error, only(rest)['state']) == (status, type(error).__name__, 'open')


def test_an_array_that_cannot_clear_is_told_with_the_way_out(rest, disk):
    rest.tasks.refuse = exception.StorageCapabilityNotSupported()
    assert '"force"' in rest.post(f'/v1/alerts/{disk}/clear').body['error_msg']


def test_with_force_it_is_cleared_here_only(rest, disk):
    rest.tasks.refuse = exception.StorageCapabilityNotSupported()
    answer = rest.post(f'/v1/alerts/{disk}/clear', {'force': True})
    assert (answer.status, answer.body['state'], rest.tasks.asked) == (200, 'cleared', [])


def test_an_alert_without_sequence_number_is_only_cleared_with_force(rest, storage_id):
    report(rest, storage_id, {**DISK, 'sequence_number': None})
    path = f'/v1/alerts/{only(rest)["id"]}/clear'
    assert rest.post(path).error == 'StorageCapabilityNotSupported'
    assert rest.post(path, {'force': True}).body['state'] == 'cleared'


def test_an_alert_of_delfins_own_is_no_business_of_the_array(rest, storage_id):
    report(rest, storage_id, DISK, origin=DELFIN)
    assert rest.post(f'/v1/alerts/{only(rest)["id"]}/clear').body['state'] == 'cleared'
    assert rest.tasks.asked == []


@pytest.mark.parametrize('call', ['clear', 'acknowledge'])
def test_an_alert_that_does_not_stand_cannot_be_looked_after(rest, disk, call):
    rest.post(f'/v1/alerts/{disk}/clear')
    rest.tasks.asked.clear()
    answer = rest.post(f'/v1/alerts/{disk}/{call}')
    assert (answer.status, answer.error, answer.body['error_args']) == (409, 'AlertIsNotOpen', [disk, 'cleared'])
    assert rest.tasks.asked == []


@pytest.mark.parametrize('body', [[], {'force': 1}, {'forse': True}], ids=str)
def test_a_clearing_without_sense_is_400(rest, disk, body):
    assert rest.post(f'/v1/alerts/{disk}/clear', body).error == 'InvalidInput'


# --- what the array lists itself ---

def test_the_arrays_own_list_is_shown_with_all_documented_keys(rest, storage_id):
    rest.tasks.live_alerts = [{'alert_name': 'Disk failed', 'storage_id': storage_id, 'secret_key': 1}]
    answer = rest.get(f'/v1/storages/{storage_id}/alerts')
    (row,) = answer.body['alerts']
    assert (answer.status, list(row), row['alert_name'], row['severity']) == (
        200, list(LIVE_SHOWN), 'Disk failed', None)
    assert set(row) >= {column.name for column in ALERT_COLUMNS}
    assert rest.tasks.asked == [('list', storage_id, None, None)]


@pytest.mark.parametrize(('query', 'window'), [
    ('begin_time=5&end_time=9', (5, 9)), ('begin_time=5&end_time=5', (5, 5)), ('begin_time=0', (0, None)),
    ('end_time=0', (None, 0))])
def test_the_arrays_list_is_asked_for_a_time(rest, storage_id, query, window):
    assert rest.get(f'/v1/storages/{storage_id}/alerts?{query}').body == {'alerts': []}
    assert rest.tasks.asked == [('list', storage_id, *window)]


@pytest.mark.parametrize('query', ['begin_time=9&end_time=5', 'begin_time=x', 'end_time=1.5', 'begin_time=', 'limit=1'])
def test_a_time_without_sense_is_400_before_anything_else(rest, query):
    assert rest.get(f'/v1/storages/{NOBODY}/alerts?{query}').error == 'InvalidInput'
    assert rest.tasks.asked == []


def test_an_array_that_does_not_list_says_why(rest, storage_id):
    rest.tasks.refuse = exception.StorageListAlertFailed('licence')
    assert rest.get(f'/v1/storages/{storage_id}/alerts').status == 502


def test_an_alert_is_cleared_by_its_sequence_number(rest, storage_id):
    answer = rest('DELETE', f'/v1/storages/{storage_id}/alerts/0042')
    assert (answer.status, answer.raw, rest.tasks.asked) == (200, b'', [('clear', storage_id, '0042')])


@pytest.mark.parametrize(('method', 'path'), [
    ('GET', ''), ('DELETE', '/7'), ('POST', '/sync'), ('GET', '/sync')])
def test_alerts_of_an_unknown_array_are_404(rest, method, path):
    assert rest(method, f'/v1/storages/{NOBODY}/alerts{path}').error == 'StorageNotFound'
    assert (rest.tasks.asked, rest.tasks.rings) == ([], 0)


# --- alert syncs ---

def feed(rest, storage_id):
    with rest.database.read() as connection:
        return alert_feeds.get(connection, storage_id)


@pytest.mark.parametrize(('body', 'window'), [
    (None, (None, None)), (b'null', (None, None)), ({}, (None, None)), ({'begin_time': None}, (None, None)),
    ({'begin_time': 5, 'end_time': 5}, (5, 5)), ({'end_time': 9.0}, (None, 9))], ids=str)
def test_a_sync_of_alerts_is_asked_for(rest, storage_id, body, window):
    path = f'/v1/storages/{storage_id}/alerts/sync'
    answer = rest.post(path, body)
    assert (answer.status, answer.raw, rest.tasks.rings) == (202, b'', 1)
    assert answer.headers['Location'].endswith(path)
    assert rest.get(path).body['pending'] is True
    asked = feed(rest, storage_id)
    assert (asked['begin_time'], asked['end_time']) == window


@pytest.mark.parametrize('body', [
    [], {'begin_time': 9, 'end_time': 5}, {'begin_time': -1}, {'begin_time': '5'}, {'begin': 5}, {'end_time': 2**63}],
    ids=str)
def test_a_sync_of_alerts_without_sense_is_400(rest, storage_id, body):
    assert rest.post(f'/v1/storages/{storage_id}/alerts/sync', body).error == 'InvalidInput'
    assert (feed(rest, storage_id)['wanted'], rest.tasks.rings) == (0, 0)


def test_an_array_whose_alerts_were_never_synced_says_so(rest, storage_id):
    assert rest.get(f'/v1/storages/{storage_id}/alerts/sync').body == {
        'storage_id': storage_id, 'pending': False, 'state': None, 'error': None, 'started_at': None,
        'finished_at': None, 'findings': []}


def test_a_sync_of_alerts_tells_how_it_went(rest, storage_id):
    rest.post(f'/v1/storages/{storage_id}/alerts/sync')
    found = Findings()
    found.add('unlikely_unit', 'occur_time', 5)
    with rest.database.write() as connection:
        alert_feeds.begin(connection, storage_id)
        alert_feeds.finish(connection, alert_feeds.Task(storage_id, 'node-1', 1, 1, alert_feeds.EVERYTHING), 'failed',
                           'the array said no', found.listing())
    body = rest.get(f'/v1/storages/{storage_id}/alerts/sync').body
    assert (body['pending'], body['state'], body['error']) == (False, 'failed', 'the array said no')
    assert body['findings'] == [{'code': 'unlikely_unit', 'column': 'occur_time', 'count': 1, 'example': '5'}]
    assert body['started_at'] <= body['finished_at']


def test_alerts_of_an_array_are_as_documented(rest, storage_id):
    rest.tasks.live_alerts = [{**DISK, 'storage_id': storage_id}]
    of_storage = '/v1/storages/{id}/alerts'
    for method, call in (('GET', ''), ('POST', '/sync'), ('GET', '/sync')):
        assert as_documented(rest(method, f'/v1/storages/{storage_id}/alerts{call}'), f'{method} {of_storage}{call}')
    assert as_documented(rest('DELETE', f'/v1/storages/{storage_id}/alerts/7'),
                         f'DELETE {of_storage}/{{sequence_number}}')


# --- maintenance ---

def queued(rest):
    with rest.database.read() as connection:
        return [entry.event['what'] for entry in exports.waiting(connection, 'webhook', 100)]


def test_maintenance_mutes_alerts_and_its_end_tells_of_those_that_stand(rest, storage_id):
    with rest.database.write() as connection:
        exports.claim(connection, 'webhook', 'node-1', 60, events=True)
    rest('PUT', f'/v1/storages/{storage_id}', {'maintenance': True})
    report(rest, storage_id, DISK)
    assert (only(rest)['muted'], queued(rest)) == (True, [])
    rest('PUT', f'/v1/storages/{storage_id}', {'maintenance': False})
    assert (only(rest)['muted'], queued(rest)) == (False, ['raised'])


def test_maintenance_mutes_what_stands_already(rest, storage_id, disk):
    rest('PUT', f'/v1/storages/{storage_id}', {'maintenance': True})
    assert only(rest)['muted'] is True
    rest('PUT', f'/v1/storages/{storage_id}', {'site': 'Berlin'})
    assert only(rest)['muted'] is True


def test_maintenance_of_an_unknown_array_is_404(rest):
    assert rest('PUT', f'/v1/storages/{NOBODY}', {'maintenance': True}).error == 'StorageNotFound'


def test_an_alert_of_the_arrays_list_says_so(rest, storage_id):
    report(rest, storage_id, DISK, origin=LIST)
    assert (only(rest)['origin'], rest.get(f'/v1/alerts/{only(rest)["id"]}').body['trap']) == ('list', None)
