# SPDX-License-Identifier: Apache-2.0
"""Inventory, health, capacity and freshness in /metrics: those of this node's arrays, as the database knows them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from delfin.db import Database, freshness, storages
from delfin.db.sqlalchemy import models
from delfin.exporter.prometheus.exposition import Exposition
from delfin.exporter.prometheus.fleet import Fleet, families
from delfin.exporter.prometheus.names import OwnNames
from delfin.kinds import KINDS
from tests.unit.exporter_support import Array, register
from tests.unit.support import add_rows, add_storage, give, until

GIB = 2**30
Shown = Callable[..., dict[str, float]]


@pytest.fixture
def exposition() -> Exposition:
    return Exposition(OwnNames())


@pytest.fixture
def fleet(database: Database, exposition: Exposition) -> Fleet:
    return Fleet(database, 'node-1', 3600, exposition)


@pytest.fixture
def shown(fleet: Fleet, exposition: Exposition) -> Shown:
    """`shown('delfin_alerts', 'severity')`: value by label, after the database was read again."""
    def read(name: str, label: str = 'storage_id') -> dict[str, float]:
        fleet.read()
        text = b''.join(exposition.plain()).decode()
        return {sample.labels.get(label, ''): sample.value for family in text_string_to_metric_families(text)
                for sample in family.samples if sample.name == name}
    return read


def listed(database: Database, storage_id: str, kind: str, *rows: dict[str, object]) -> None:
    """The array has listed these rows completely, instead of what it listed before."""
    table = models.table(KINDS[kind].table)
    with database.write() as connection:
        connection.execute(sa.delete(table).where(table.c.storage_id == storage_id))
    add_rows(database, storage_id, kind, rows)
    with database.write() as connection:
        freshness.note(connection, storage_id, kind)


def change(database: Database, storage_id: str, **values: object) -> None:
    with database.write() as connection:
        connection.execute(sa.update(models.storages).where(models.storages.c.id == storage_id), values)


def test_what_a_storage_is_and_how_large(shown, database, storage_id):
    change(database, storage_id, vendor='Example', model='X1', firmware_version='7.1', total_capacity=3 * GIB,
           used_capacity=GIB, status='degraded')
    assert shown('delfin_storage_info', 'firmware_version') == {'7.1': 1}
    assert shown('delfin_storage_info', 'serial_number') == {'SN-1': 1}
    assert shown('delfin_storage_capacity_bytes') == {storage_id: 3 * GIB}
    assert shown('delfin_storage_used_bytes') == {storage_id: GIB}
    assert shown('delfin_storage_status', 'status') == {'degraded': 1}
    assert shown('delfin_storage_free_bytes') == {}     # nobody knows


def test_pools_and_file_systems_have_capacities(shown, database, storage_id):
    listed(database, storage_id, 'storage_pools', {
        'native_storage_pool_id': 'p1', 'name': 'gold', 'total_capacity': GIB, 'used_capacity': 5, 'free_capacity': 7,
        'subscribed_capacity': 9})
    listed(database, storage_id, 'filesystems', {'native_filesystem_id': 'f1', 'name': 'home', 'free_capacity': 3})
    assert shown('delfin_storage_pool_capacity_bytes', 'resource_name') == {'gold': GIB}
    assert shown('delfin_storage_pool_subscribed_bytes', 'resource_id') == {'p1': 9}
    assert shown('delfin_filesystem_free_bytes', 'resource_name') == {'home': 3}


def test_resources_are_counted_by_status(shown, database, storage_id):
    listed(database, storage_id, 'disks', *({'native_disk_id': str(number), 'status': status}
                                            for number, status in enumerate(('normal', 'normal', 'abnormal', None))))
    assert shown('delfin_resources', 'status') == {'normal': 2, 'abnormal': 1, 'unknown': 1}
    listed(database, storage_id, 'disks', {'native_disk_id': '0', 'status': 'normal'})
    assert shown('delfin_resources', 'status') == {'normal': 1}


def test_ports_are_counted_by_connection_too(shown, database, storage_id):
    listed(database, storage_id, 'ports', {'native_port_id': '0', 'health_status': 'normal',
                                           'connection_status': 'disconnected'})
    assert shown('delfin_port_connections', 'status') == {'disconnected': 1}
    assert shown('delfin_resources', 'kind') == {'port': 1}


def test_rows_are_read_again_when_the_array_has_listed_them_or_was_renamed(shown, database, storage_id):
    listed(database, storage_id, 'storage_pools', {'native_storage_pool_id': 'p1', 'used_capacity': 5})
    assert shown('delfin_storage_pool_used_bytes', 'storage_name') == {'array': 5}
    with database.write() as connection:        # as the first part of a sync that is not complete
        connection.execute(sa.update(models.table(KINDS['storage_pools'].table)).values(used_capacity=6))
    assert shown('delfin_storage_pool_used_bytes', 'storage_name') == {'array': 5}
    change(database, storage_id, name='renamed')
    assert shown('delfin_storage_pool_used_bytes', 'storage_name') == {'renamed': 6}


def test_alerts_that_stand_are_counted_and_where_there_is_none_there_is_a_zero(shown, database):
    array = Array(database)
    assert set(shown('delfin_alerts', 'severity').values()) == {0}
    for number in range(3):
        array.fault(number, severity='Critical')
    array.recovery(1)
    assert shown('delfin_alerts', 'severity')['Critical'] == 2


def test_freshness_and_trouble(shown, database, storage_id):
    assert shown('delfin_storage_reachable') == {}
    assert shown('delfin_storage_quarantined') == {storage_id: 0}
    assert shown('delfin_storage_sync_interval_seconds') == {storage_id: 3600}
    before = datetime.now(UTC).timestamp()
    listed(database, storage_id, 'volumes')
    storages.set_quarantine(database, storage_id, datetime.now(UTC) + timedelta(minutes=1))
    change(database, storage_id, maintenance=True, sync_interval_seconds=60)
    assert shown('delfin_storage_last_contact_timestamp_seconds')[storage_id] == pytest.approx(before, abs=30)
    assert shown('delfin_storage_quarantined') == {storage_id: 1}
    assert shown('delfin_storage_maintenance') == {storage_id: 1}
    assert shown('delfin_storage_sync_interval_seconds') == {storage_id: 60}


def test_each_storage_is_told_of_by_its_owner_only(shown, database, storage_id):
    other = add_storage(database, 'SN-2')
    assert set(shown('delfin_storage_info')) == {storage_id, other}
    give(database, other, 'node-2')
    assert set(shown('delfin_storage_info')) == {storage_id}


def test_exporters_are_told_of_where_they_run(shown, database):
    register(database, 'webhook')
    register(database, 'log', 'node-2')
    Array(database).fault()
    assert shown('delfin_exporter_waiting', 'exporter') == {'webhook': 1}
    assert shown('delfin_exporter_dropped_total', 'exporter') == {'webhook': 0}


def test_a_database_that_is_away_leaves_what_was_read_and_tells_its_age(
        fleet, database, exposition, storage_id, monkeypatch, caplog):
    fleet.read()
    before = exposition.plain()
    monkeypatch.setattr(fleet, '_seconds', 0.01)
    with database.write() as connection:
        connection.exec_driver_sql('ALTER TABLE storages RENAME TO gone')
    fleet.start()
    until(lambda: 'waits for the database' in caplog.text)
    fleet.stop(5)
    assert exposition.plain() == before
    assert 0 < fleet.age() < 60


def test_all_its_metrics_have_names_of_their_own():
    names = [family.name for family in families()]
    assert len(set(names)) == len(names)
    assert not set(names) & {family.name for _, _, family in OwnNames().table()}
