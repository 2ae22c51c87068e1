# SPDX-License-Identifier: Apache-2.0
"""The SODA dashboard, the one public client of this API: whatever it asks gets the answer it needs.

It is an Angular application from 2023 behind a proxy that adds `/v1/`. It sends only parameters that are set, and reads
list envelopes, all columns of a resource, `sync_status`, numbers as numbers and lower-case enumerations.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from delfin.kinds import KINDS, STORAGE_COLUMNS, ColumnType, Kind
from tests.functional.test_rest_contract import ABSENT, NO_BODY, ask, expect
from tests.services import FAKE, Client, fake

_ports = itertools.count(9600)


@pytest.fixture(scope='module')
def dashboard(delfin: Client) -> Client:
    """The dashboard's own client."""
    delfin.session.headers['Accept'] = 'application/json, text/plain, */*'      # what Angular sends
    return delfin


@pytest.fixture(scope='module')
def storage(dashboard: Client) -> dict[str, Any]:
    """An array that no test changes."""
    return dashboard.register_fake(next(_ports))


def collection(kind: Kind, storage: dict[str, Any]) -> str:
    """Path of a kind's rows, up to the query's first parameter."""
    if kind.nested:
        return f'/v1/storages/{storage["id"]}/{kind.path}?'
    return f'/v1/{kind.path}?storage_id={storage["id"]}&'


def rows_of(client: Client, kind: Kind, storage: dict[str, Any], query: str = '') -> list[dict[str, Any]]:
    """A kind's rows as the dashboard gets them."""
    return ask(client, f'GET {collection(kind, storage)}{query}').json()[kind.name]


# --- GET storages, GET and DELETE storages/{id} ---

def test_the_list_of_storages_needs_no_limit(dashboard: Client, storage: dict[str, Any]) -> None:
    assert storage in ask(dashboard, 'GET /v1/storages').json()['storages']


@pytest.mark.parametrize('name', [column.name for column in STORAGE_COLUMNS if column.type is ColumnType.INTEGER])
def test_a_storages_capacities_can_be_divided(storage: dict[str, Any], name: str) -> None:
    assert storage[name] / 2**30 > 0


def test_a_storage_has_every_field_of_the_list(dashboard: Client, storage: dict[str, Any]) -> None:
    expect({'id': storage['id'], 'name': str, 'vendor': str, 'model': str, 'serial_number': str, 'location': str,
            'firmware_version': str, 'status': 'normal', 'sync_status': 'SYNCED'},
           ask(dashboard, f'GET /v1/storages/{storage["id"]}').json())


def test_a_deleted_storage_is_accepted_and_out_of_the_list(dashboard: Client) -> None:
    storage = dashboard.register_fake(next(_ports))
    assert ask(dashboard, f'DELETE /v1/storages/{storage["id"]}', 202).content == b''
    assert storage['id'] not in {row['id'] for row in dashboard.get('/v1/storages')['storages']}


# --- POST storages ---

LOGIN = {'host': '127.0.0.1', 'username': 'demo', 'password': 'demo-Passw0rd!'}
SECTIONS = {
    'rest': {},
    'ssh': {'pub_key': 'AAAAC3NzaC1lZDI1NTE5AAAAIN4v', 'pub_key_type': 'ssh-ed25519'},
    'cli': {},
    'smis': {'namespace': 'root/interop'},
}


@pytest.mark.parametrize('names', [*([name] for name in SECTIONS), list(SECTIONS)], ids='-'.join)
def test_an_array_is_registered_by_any_kind_of_access(dashboard: Client, names: list[str]) -> None:
    sections = {name: {**LOGIN, 'port': next(_ports), **SECTIONS[name]} for name in names}
    body = {**FAKE, **sections, 'extra_attributes': {'array_id': '-'.join(names)}}
    registered = ask(dashboard, 'POST /v1/storages', 201, body).json()
    expect({'id': str, 'serial_number': str, 'total_capacity': int, 'sync_status': 'SYNCING'}, registered)
    shown = dashboard.get(f'/v1/storages/{registered["id"]}/access-info')
    expect({**FAKE, **{name: {**section, 'password': ABSENT} for name, section in sections.items()},
            'extra_attributes': body['extra_attributes']}, shown)


# --- PUT storages/{id} ---

@pytest.mark.parametrize(('body', 'shown'), [
    ({'name': 'ERP gold', 'description': 'call Ann first'}, {'display_name': 'ERP gold', 'note': 'call Ann first'}),
    ({'display_name': 'ERP'}, {'display_name': 'ERP'}),
    ({'note': 'under warranty'}, {'note': 'under warranty'}),
    ({'site': 'Berlin'}, {'site': 'Berlin'}),
    ({'tags': ['gold', 'erp']}, {'tags': ['gold', 'erp']}),
], ids=lambda value: '-'.join(value))
def test_a_storage_is_edited(dashboard: Client, body: dict[str, Any], shown: dict[str, Any]) -> None:
    storage = dashboard.register_fake(next(_ports))
    expect({'id': storage['id'], 'name': storage['name'], **shown},
           ask(dashboard, f'PUT /v1/storages/{storage["id"]}', body=body).json())


# --- POST storages/sync, POST storages/{id}/sync ---

@pytest.mark.parametrize('content_type', [None, 'application/json', 'application/json; charset=utf-8', 'text/plain'])
@pytest.mark.parametrize('content', [b'', b'null', b'{}'])
@pytest.mark.parametrize('path', ['/v1/storages/sync', '/v1/storages/{id}/sync'])
def test_a_sync_is_asked_for_with_a_body_that_says_nothing(dashboard: Client, storage: dict[str, Any], path: str,
                                                           content: bytes, content_type: str | None) -> None:
    ask(dashboard, f'POST {path.format(**storage)}', 202, NO_BODY, data=content,
        headers={'Content-Type': content_type})


def test_a_sync_is_over_some_time(dashboard: Client, storage: dict[str, Any]) -> None:
    dashboard.sync(storage['id'])
    assert dashboard.get(f'/v1/storages/{storage["id"]}')['sync_status'] == 'SYNCED'


# --- GET and PUT storages/{id}/access-info ---

def test_access_info_tells_the_model(dashboard: Client, storage: dict[str, Any]) -> None:
    expect({**FAKE, 'storage_id': storage['id'], 'rest': {'port': int}},
           dashboard.get(f'/v1/storages/{storage["id"]}/access-info'))


def test_access_info_is_changed_by_whole_sections(dashboard: Client) -> None:
    body = fake(next(_ports))
    storage = dashboard.register(**body)
    changed = ask(dashboard, f'PUT /v1/storages/{storage["id"]}/access-info',
                  body={'rest': {**body['rest'], 'username': 'other'}, 'extra_attributes': {'volumes': '3'}}).json()
    expect({'rest': {'username': 'other', 'password': ABSENT}, 'extra_attributes': {'volumes': '3'}}, changed)


# --- GET volumes, storage-pools, ... and storages/{id}/storage-hosts, ... ---

# What the dashboard filters by, beside storage_id.
FILTERS: dict[str, tuple[str, ...]] = {
    'volumes': ('native_volume_id', 'native_storage_pool_id', 'name', 'status'),
    'storage_pools': ('native_storage_pool_id', 'name', 'status'),
    'controllers': ('native_controller_id', 'name', 'status'),
    'ports': ('native_port_id', 'name', 'native_controller_id', 'status'),
    'disks': ('native_disk_id', 'native_disk_group_id', 'name', 'status'),
    'qtrees': ('native_qtree_id', 'native_filesystem_id', 'name', 'security_mode'),
    'filesystems': ('native_filesystem_id', 'native_pool_id', 'name', 'status', 'security_mode'),
    'shares': ('native_share_id', 'native_filesystem_id', 'qtree_id', 'name', 'protocol'),
    'quotas': ('native_quota_id', 'native_filesystem_id', 'native_qtree_id'),
    'storage_hosts': ('native_storage_host_id', 'name', 'status'),
    'storage_host_initiators': ('native_storage_host_initiator_id', 'native_storage_host_id', 'name', 'status'),
    'storage_host_groups': ('native_storage_host_group_id', 'name'),
    'port_groups': ('native_port_group_id', 'name'),
    'volume_groups': ('native_volume_group_id', 'name'),
    'masking_views': ('native_masking_view_id', 'native_storage_host_group_id', 'native_volume_group_id',
                      'native_port_group_id', 'native_storage_host_id', 'native_volume_id', 'name'),
}
# Columns that it calls by another name.
MEANT = {('ports', 'status'): 'health_status', ('ports', 'native_controller_id'): 'native_parent_id',
         ('shares', 'qtree_id'): 'native_qtree_id'}

each_kind = pytest.mark.parametrize('kind', KINDS, ids=KINDS.names())


@each_kind
def test_a_collection_is_listed_with_every_column(dashboard: Client, storage: dict[str, Any], kind: Kind) -> None:
    columns = {column.name for column in kind.table.columns}
    for row in rows_of(dashboard, kind, storage):
        assert row.keys() >= {'id', 'storage_id', 'created_at', 'updated_at', *columns}


@each_kind
def test_a_row_is_shown_as_it_is_listed(dashboard: Client, storage: dict[str, Any], kind: Kind) -> None:
    row = rows_of(dashboard, kind, storage)[0]
    assert dashboard.get(f'{collection(kind, storage).partition("?")[0]}/{row["id"]}') == row


@each_kind
def test_numbers_are_numbers_and_booleans_booleans(dashboard: Client, storage: dict[str, Any], kind: Kind) -> None:
    types = {ColumnType.INTEGER: int, ColumnType.BOOLEAN: bool, ColumnType.TEXT: str}
    for row in rows_of(dashboard, kind, storage):
        for column in kind.table.columns:
            assert type(row[column.name]) in (types[column.type], type(None)), column.name


@pytest.mark.parametrize('kind', [kind for kind in KINDS if any(column.values for column in kind.table.columns)],
                         ids=lambda kind: kind.name)
def test_enumerations_are_in_lower_case(dashboard: Client, storage: dict[str, Any], kind: Kind) -> None:
    names = [column.name for column in kind.table.columns if column.values and column.name != 'os_type']
    for row in rows_of(dashboard, kind, storage):
        assert [row[name] for name in names] == [row[name] and row[name].lower() for name in names]


@pytest.mark.parametrize(('kind', 'parameter'), [(KINDS[name], parameter) for name, parameters in FILTERS.items()
                                                 for parameter in parameters],
                         ids=lambda value: getattr(value, 'name', value))
def test_a_filter_selects_the_rows_that_have_the_value(dashboard: Client, storage: dict[str, Any], kind: Kind,
                                                       parameter: str) -> None:
    column = MEANT.get((kind.name, parameter), parameter)
    everything = rows_of(dashboard, kind, storage)
    value = next(row[column] for row in everything if row[column] is not None)
    assert rows_of(dashboard, kind, storage, f'{parameter}={value}') == [
        row for row in everything if row[column] == value]


@each_kind
def test_a_page_is_taken_with_limit_offset_and_sort(dashboard: Client, storage: dict[str, Any], kind: Kind) -> None:
    ids = sorted(row[kind.native_id] for row in rows_of(dashboard, kind, storage))
    page = rows_of(dashboard, kind, storage, f'limit=1&offset=1&sort={kind.native_id}:asc')
    assert [row[kind.native_id] for row in page] == ids[1:2]


def test_a_filter_that_no_row_has_selects_none(dashboard: Client, storage: dict[str, Any]) -> None:
    assert rows_of(dashboard, KINDS['ports'], storage, 'status=abnormal') == []


@pytest.mark.parametrize('query', ['quotas?name=x', 'quotas?status=normal', 'shares?status=normal',
                                   'qtrees?status=normal'])
def test_a_filter_that_means_nothing_is_refused_with_those_that_do(dashboard: Client, query: str) -> None:
    error = ask(dashboard, f'GET /v1/{query}', 400).json()
    assert 'Known are ' in error['error_msg']
