# SPDX-License-Identifier: Apache-2.0
"""The driver developer guide to the letter: a package with a driver of exactly its shapes works as the guide says."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from delfin.common import constants
from delfin.drivers.api import Door, Lane
from delfin.drivers.manager import DriverManager
from delfin.kinds import KINDS
from delfin.task_manager.sync.inventory import rows_by_table
from tests import packages
from tests.services import Client, Site, kinds

# The body of the guide's curl call.
GUIDE_BODY = {
    'rest': {
        'host': '127.0.0.1',
        'port': '22',
        'username': 'username',
        'password': 'password',
        'vendor': 'sample_vendor',
        'model': 'sample_model',
    },
}
# The fields of the guide's example answers.
GUIDE_FIELDS = {
    'created_at', 'updated_at', 'id', 'name', 'vendor', 'description', 'model', 'status', 'serial_number',
    'firmware_version', 'location', 'total_capacity', 'used_capacity', 'free_capacity', 'raw_capacity',
    'subscribed_capacity', 'sync_status', 'deleted_at', 'deleted',
}
DRIVERS = {'sample_model': 'sample_vendor_driver', 'guide_listing': 'sample_vendor_driver.guide_listing'}


@pytest.fixture(scope='module')
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    site = packages.install('sample_driver', tmp_path_factory.mktemp('pip'))
    sys.path.insert(0, str(site))
    yield site
    sys.path.remove(str(site))
    for name in [name for name in sys.modules if name.startswith('sample_vendor_driver')]:
        del sys.modules[name]


@pytest.fixture(scope='module', params=sorted(DRIVERS))
def model(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope='module')
def delfin(package: Path, model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """An installation for each of the two drivers: whatever one of them does cannot help the other."""
    site = Site(tmp_path_factory.mktemp(model), python_path=(package,))
    with site.start() as process:
        yield process.ready().client
        assert process.stop() == 0


@pytest.fixture(scope='module')
def registration(delfin: Client, model: str) -> dict[str, Any]:
    """The guide's body, its answer."""
    return delfin.post('/v1/storages', {'rest': {**GUIDE_BODY['rest'], 'model': model}}, 201)


@pytest.fixture(scope='module')
def storage(delfin: Client, registration: dict[str, Any]) -> dict[str, Any]:
    delfin.synced(registration['id'])
    return delfin.get(f'/v1/storages/{registration["id"]}')


@pytest.fixture(scope='module')
def driver(package: Path, model: str, storage: dict[str, Any]) -> Any:
    """The driver, asked directly."""
    return importlib.import_module(DRIVERS[model]).SampleStorageDriver(storage_id=storage['id'])


@pytest.fixture
def door(package: Path, model: str) -> Door:
    access = {'vendor': 'sample_vendor', 'model': model, 'rest': {'host': '127.0.0.1'}}
    return Door(DriverManager(), lambda storage_id: access)


def test_the_answer_has_the_guides_fields_and_a_serial_number_as_text(registration: dict[str, Any],
                                                                      driver: Any) -> None:
    assert registration.keys() >= GUIDE_FIELDS
    assert registration['serial_number'] == str(driver.get_storage(None)['serial_number'])
    assert registration['sync_status'] == 'SYNCING'


def test_vendor_and_model_may_stand_beside_and_inside_the_section(delfin: Client, model: str,
                                                                  storage: dict[str, Any]) -> None:
    body = {'vendor': 'sample_vendor', 'model': model, 'rest': {**GUIDE_BODY['rest'], 'model': model}}
    assert delfin.post('/v1/storages', body, 409)['error_code'] == 'StorageAlreadyExists'


def test_the_list_shows_it_with_the_guides_fields(delfin: Client, storage: dict[str, Any]) -> None:
    (shown,) = delfin.get('/v1/storages')['storages']
    assert shown.keys() >= GUIDE_FIELDS
    assert (shown['id'], shown['sync_status']) == (storage['id'], 'SYNCED')


def test_it_syncs_a_second_time_to_synced_without_a_change(delfin: Client, storage: dict[str, Any]) -> None:
    run = delfin.sync(storage['id'])
    assert run['state'] == 'done'
    assert {kind['state'] for kind in run['kinds']} == {'done'}
    assert sum(kind['created'] + kind['updated'] + kind['deleted'] for kind in run['kinds']) == 0
    assert delfin.get(f'/v1/storages/{storage["id"]}')['sync_status'] == 'SYNCED'


@pytest.mark.parametrize('kind', KINDS, ids=KINDS.names())
def test_every_collection_shows_what_its_method_returned(delfin: Client, storage: dict[str, Any], driver: Any,
                                                         kind) -> None:
    ((_, returned), *_) = rows_by_table(kind, getattr(driver, kind.method)(None))
    rows = {row[kind.native_id]: row for row in delfin.rows(kind.name, storage['id'], kind.nested)}
    assert returned, 'the guide returns at least one row of every kind'
    assert rows.keys() == {row[kind.native_id] for row in returned}
    for row in returned:
        for column in kind.table.columns:
            given = row.get(column.name)
            shown = rows[row[kind.native_id]][column.name]
            usual = {value.lower(): value for value in column.values}       # of an enumeration
            expected = usual.get(given.lower(), given) if usual and given else given
            assert shown == (None if expected == '' else expected), column.name     # empty text means "none"


@pytest.mark.parametrize('kind', [kind for kind in KINDS if kind.relations], ids=lambda kind: kind.name)
def test_groups_show_the_members_of_the_relations(delfin: Client, storage: dict[str, Any], driver: Any, kind) -> None:
    (_, (_, pairs)) = rows_by_table(kind, getattr(driver, kind.method)(None))
    members = kind.members[0]
    for group in delfin.rows(kind.name, storage['id'], nested=True):
        assert group[members.shown_as] == sorted(
            pair[members.member_column] for pair in pairs if pair[kind.native_id] == group[kind.native_id])


def test_the_extra_member_text_of_groups_is_reported_and_harmless(delfin: Client, storage: dict[str, Any]) -> None:
    found = kinds(delfin.sync(storage['id']))['storage_host_groups']['findings']
    # The guide's sample groups hold a host that its sample hosts are without.
    assert {(finding['code'], finding['column']) for finding in found} == {
        ('unknown_key', 'storage_hosts'), ('dangling_reference', 'native_storage_host_id')}


def test_the_guides_path_of_pools_is_an_alias(delfin: Client, storage: dict[str, Any]) -> None:
    assert delfin.get('/v1/storages-pools') == delfin.get('/v1/storage-pools')


# What no service calls yet goes through the door all the same.

@pytest.mark.parametrize(('method', 'arguments', 'answer'), [
    ('list_alerts', (None,), None),
    ('clear_alert', ('17',), None),
    ('add_trap_config', ({},), None),
    ('remove_trap_config', ({},), None),
    ('get_alert_sources', (), []),
    ('get_latest_perf_timestamp', (), None),
])
def test_a_body_of_pass_means_nothing(door: Door, method: str, arguments: tuple[Any, ...], answer: Any) -> None:
    assert door.call('an-id', method, *arguments, lane=Lane.INTERACTIVE) == answer


def test_parse_alert_as_an_instance_method_needs_no_session(door: Door) -> None:
    assert door.parse_alert('an-id', {'1.3.6.1': 'x'}) is None


def test_get_capabilities_without_self_or_decorator_answers(door: Door) -> None:
    capabilities = door.call('an-id', 'get_capabilities', {'firmware_version': '1'}, lane=Lane.INTERACTIVE)
    assert capabilities['resource_metrics']['storage']['iops']['unit'] == 'IOPS'


def test_collect_perf_metrics_with_its_own_argument_names_answers(door: Door) -> None:
    metrics = door.call('an-id', 'collect_perf_metrics', 'an-id', {'storage': ['iops']}, 0, 1, lane=Lane.METRICS)
    assert metrics
    assert all(isinstance(metric, constants.metric_struct) for metric in metrics)
    assert {metric.labels['storage_id'] for metric in metrics} == {'12345'}
