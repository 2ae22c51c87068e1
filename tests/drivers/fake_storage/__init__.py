# SPDX-License-Identifier: Apache-2.0
"""Tests of the fake array, and what they share."""

from __future__ import annotations

from typing import Any

from delfin import cryptor
from delfin.drivers.fake_storage import FakeStorageDriver
from delfin.kinds import KINDS

PASSWORD = 'correct horse battery staple'


def make_driver(*, host: str = '192.0.2.10', port: int = 8088, **extra_attributes: str) -> FakeStorageDriver:
    """A driver as Delfin builds it."""
    return FakeStorageDriver(
        storage_id='storage-1', vendor='fake_storage', model='fake_driver', verify=True,
        rest={'host': host, 'port': port, 'username': 'monitor', 'password': cryptor.encode(PASSWORD)},
        extra_attributes=extra_attributes)


def inventory(driver: FakeStorageDriver) -> dict[str, list[dict[str, Any]]]:
    """All rows of all kinds and relations, by table."""
    tables: dict[str, list[dict[str, Any]]] = {}
    for kind in KINDS:
        answer = getattr(driver, kind.method)(None)
        if kind.answer_key is None:
            tables[kind.name] = list(answer)
        else:
            tables.update({key: list(rows) for key, rows in answer.items()})
    return tables
