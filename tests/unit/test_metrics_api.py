# SPDX-License-Identifier: Apache-2.0
"""What REST clients want and see of the collection of metrics."""

from __future__ import annotations

import pytest

from delfin.db import metrics
from delfin.metrics import Gap
from tests.unit.support import as_documented

UNKNOWN = '/v1/storages/3f1c0e5e-0000-4000-8000-000000000000'


@pytest.fixture
def path(storage_id):
    return f'/v1/storages/{storage_id}'


def put(rest, path, body):
    return rest('PUT', f'{path}/metrics-config', body)


def test_a_new_storage_is_collected_as_the_installation_says(rest, path, storage_id):
    answer = rest.get(f'{path}/metrics-config')
    assert answer.body == {
        'storage_id': storage_id, 'enabled': None, 'interval_seconds': None, 'selection': None,
        'advised_interval_seconds': None, 'effective': {'enabled': True, 'interval_seconds': 300}}
    assert as_documented(answer, 'GET /v1/storages/{id}/metrics-config')


def test_what_is_not_given_stays(rest, path):
    put(rest, path, {'interval_seconds': 60, 'selection': {'volume': ['iops'], 'disk': None}})
    answer = put(rest, path, {'enabled': False})
    assert {name: answer.body[name] for name in ('enabled', 'interval_seconds', 'selection', 'effective')} == {
        'enabled': False, 'interval_seconds': 60, 'selection': {'volume': ['iops'], 'disk': None},
        'effective': {'enabled': False, 'interval_seconds': 60}}
    answer = put(rest, path, {'enabled': None, 'interval_seconds': None, 'selection': None})
    assert answer.body['effective'] == {'enabled': True, 'interval_seconds': 300}
    assert as_documented(answer, 'PUT /v1/storages/{id}/metrics-config')


def test_the_form_of_older_clients_is_understood(rest, path):
    answer = put(rest, path, {'array_polling': {'perf_collection': True, 'interval': 10, 'is_historic': True}})
    assert (answer.status, answer.body['enabled'], answer.body['interval_seconds']) == (200, True, 10)


def test_the_owner_hears_of_a_change_at_once(rest, path):
    put(rest, path, {'interval_seconds': 60})
    assert rest.tasks.rings == 1


@pytest.mark.parametrize('body', [
    {}, [], None, {'interval_seconds': 1}, {'interval_seconds': 10**9}, {'enabled': 'yes'}, {'colour': 1},
    {'selection': {'lun': None}}, {'selection': {'volume': ['speed']}}, {'selection': {'volume': 'iops'}},
    {'array_polling': {'interval': 0}}, {'array_polling': {'every': 5}}])
def test_what_cannot_be_wanted_is_refused(rest, path, body):
    answer = put(rest, path, body)
    assert (answer.status, answer.error) == (400, 'InvalidInput')


@pytest.mark.parametrize(('method', 'call', 'body'), [
    ('GET', 'metrics-config', None), ('PUT', 'metrics-config', {'enabled': True}), ('GET', 'metrics-status', None)])
def test_a_storage_that_is_not_there(rest, method, call, body):
    answer = rest(method, f'{UNKNOWN}/{call}', body)
    assert (answer.status, answer.error) == (404, 'StorageNotFound')


def test_nothing_collected_yet(rest, path):
    answer = rest.get(f'{path}/metrics-status')
    assert (answer.body['state'], answer.body['marks'], answer.body['gaps']) == (None, [], [])
    assert as_documented(answer, 'GET /v1/storages/{id}/metrics-status')


def test_how_far_it_has_got_and_what_is_lost(rest, path, storage_id, database):
    noon = 1_767_268_800_000
    with database.write() as connection:
        metrics.set_marks(connection, storage_id, {'volume': {
            'collected_until': noon, 'failures': 2, 'error': 'no answer', 'points': 5, 'unknown_resources': 1,
            'retry_at': metrics.moment_of(noon / 1000 + 60)}})
        metrics.add_gaps(connection, storage_id, [Gap('volume', noon - 60_000, noon, 'retention')])
        metrics.finish(connection, storage_id, noon / 1000, noon / 1000 + 1, 'failed', 'no answer', [], -500)
    answer = rest.get(f'{path}/metrics-status')
    assert answer.body['marks'] == [{
        'resource_type': 'volume', 'collected_until': '2026-01-01T12:00:00Z', 'newest_at': None, 'points': 5,
        'unknown_resources': 1, 'failures': 2, 'retry_at': '2026-01-01T12:01:00Z', 'error': 'no answer'}]
    gap = {name: value for name, value in answer.body['gaps'][0].items() if name != 'noted_at'}
    assert gap == {'resource_type': 'volume', 'begin_at': '2026-01-01T11:59:00Z', 'end_at': '2026-01-01T12:00:00Z',
                   'reason': 'retention'}
    assert (answer.body['state'], answer.body['error'], answer.body['skew_ms']) == ('failed', 'no answer', -500)
    assert as_documented(answer, 'GET /v1/storages/{id}/metrics-status')
