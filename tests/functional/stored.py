# SPDX-License-Identifier: Apache-2.0
"""What Delfin has stored of an array, compared with what is in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from delfin.kinds import KINDS
from tests.drivers.inventory import as_stored
from tests.services import Client


def assert_stored(client: Client, storage: Mapping[str, Any], truth: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
    """Every kind is what is true, column by column."""
    for kind, rows in as_stored(truth).items():
        if kind == 'storage':
            key, shown = 'serial_number', [storage]
            columns = [column for row in rows.values() for column in row if column in storage]
        elif kind in KINDS.names():
            key = KINDS[kind].table.key[0]
            shown = client.rows(kind, storage['id'], nested=KINDS[kind].nested)
            columns = [column.name for column in KINDS[kind].table.columns if column.name != 'extra']
        else:
            continue
        right = {row[key]: {column: row[column] for column in columns} for row in rows.values()}
        assert {row[key]: {column: row[column] for column in columns} for row in shown} == right, kind
