# SPDX-License-Identifier: Apache-2.0
"""What the driver promises to Delfin: columns, enumerations, unique ids, on every recorded machine."""

from __future__ import annotations

from typing import Any

import pytest

from delfin import kinds
from delfin.drivers.linux import LinuxHostDriver
from tests.drivers.linux.replay import RecordedMachine, driver_of

MACHINES = ('lab', 'lab-nobody', 'lab-degraded', 'firecracker')
SUPPORTED = ('storage_pools', 'volumes', 'controllers', 'ports', 'disks', 'filesystems', 'shares')


@pytest.fixture(params=MACHINES)
def driver(request: pytest.FixtureRequest) -> LinuxHostDriver:
    return driver_of(RecordedMachine(request.param))


def faults(rows: list[dict[str, Any]], columns: tuple[kinds.Column, ...]) -> list[str]:
    """What is wrong with the rows: unknown columns, types, values outside enumerations."""
    by_name = {column.name: column for column in columns}
    types = {kinds.ColumnType.TEXT: str, kinds.ColumnType.INTEGER: int, kinds.ColumnType.BOOLEAN: bool}
    found = []
    for row in rows:
        for name, value in row.items():
            column = by_name.get(name)
            if name == 'extra':
                continue
            if column is None:
                found.append(f'{name} is no column')
            elif not isinstance(value, types[column.type]) or (column.values and value not in column.values):
                found.append(f'{name} is {value!r}')
    return found


def rows_of(driver: LinuxHostDriver, kind: kinds.Kind) -> list[dict[str, Any]]:
    try:
        return list(getattr(driver, kind.method)(None))
    except NotImplementedError:
        return []


def test_the_storage_has_only_known_columns_and_values(driver: LinuxHostDriver) -> None:
    assert faults([driver.get_storage(None)], kinds.STORAGE_COLUMNS) == []


@pytest.mark.parametrize('name', SUPPORTED)
def test_rows_have_only_known_columns_and_values(driver: LinuxHostDriver, name: str) -> None:
    kind = kinds.KINDS[name]
    assert faults(rows_of(driver, kind), kind.table.columns) == []


@pytest.mark.parametrize('name', SUPPORTED)
def test_native_ids_are_there_and_unique(driver: LinuxHostDriver, name: str) -> None:
    kind = kinds.KINDS[name]
    ids = [row[kind.native_id] for row in rows_of(driver, kind)]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize('name', SUPPORTED)
def test_references_lead_to_rows(driver: LinuxHostDriver, name: str) -> None:
    for column in kinds.KINDS[name].table.columns:
        if column.refers_to is not None:
            target = kinds.KINDS[column.refers_to]
            known = {row[target.native_id] for row in rows_of(driver, target)} | {None}
            assert {row.get(column.name) for row in rows_of(driver, kinds.KINDS[name])} <= known


def test_the_other_kinds_are_not_supported(driver: LinuxHostDriver) -> None:
    for kind in kinds.KINDS:
        if kind.name not in SUPPORTED:
            with pytest.raises(NotImplementedError):
                getattr(driver, kind.method)(None)
