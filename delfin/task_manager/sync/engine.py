# SPDX-License-Identifier: Apache-2.0
"""Compares one kind of one storage with what is stored and writes the difference.

An unchanged row costs no write: rows are compared by fingerprint. Rows keep their ids. No transaction is open while a
driver works; each transaction checks first that the run is still ours. Deletion comes last, and only after a complete
and believable answer (`Difference.believable`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from delfin.db import Database, resources
from delfin.kinds import Table
from delfin.task_manager.sync import findings as code
from delfin.task_manager.sync.coerce import Key, Rejected, RowReader
from delfin.task_manager.sync.findings import Findings

TRANSACTION_ROWS = 2 * resources.BATCH


@dataclass
class Counts:
    """What happened to the rows of one table."""

    seen: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    stale: int = 0
    rejected: int = 0

    def values(self) -> dict[str, int]:
        """By column of `sync_run_kinds`."""
        return dict(vars(self))


@dataclass
class Difference:
    """What has to be written so that the stored rows equal the answer."""

    new: list[dict[str, Any]] = field(default_factory=list)
    changed: list[tuple[str, dict[str, Any]]] = field(default_factory=list)     # (our id, row)
    recovered: list[str] = field(default_factory=list)                          # stale rows that are good again
    stale: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    stored: int = 0
    answered: int = 0       # different native ids in the answer

    @property
    def believable(self) -> bool:
        """Whether rows may be deleted without asking again: no, if far fewer came than are stored (decision D8)."""
        return not self.gone or (self.answered > 0 and 2 * self.answered >= self.stored)


def compare(spec: Table, rows: Iterable[Any], stored: dict[Key, resources.Stored], counts: Counts,
            found: Findings) -> Difference:
    """Go through the answer once."""
    reader = RowReader(spec)
    difference = Difference(stored=len(stored))
    seen: set[Key] = set()
    for row in rows:
        try:
            key, values = reader.read(row, found)
        except Rejected as rejected:
            counts.rejected += 1
            if rejected.key in stored and rejected.key not in seen:
                seen.add(rejected.key)
                difference.stale.append(stored[rejected.key].id)
                counts.stale += 1
            continue
        if key in seen:
            found.add(code.REPEATED_NATIVE_ID, spec.key[0], key[0])
            continue
        seen.add(key)
        counts.seen += 1
        known = stored.get(key)
        if known is None:
            difference.new.append(values)
        elif known.fingerprint != values['fingerprint']:
            difference.changed.append((known.id, values))
        else:
            counts.unchanged += 1
            if known.stale:
                difference.recovered.append(known.id)
    difference.answered = len(seen)
    difference.gone = [row.id for key, row in stored.items() if key not in seen]
    return difference


def write(database: Database, guard: Callable[[sa.Connection], None], spec: Table, storage_id: str,
          difference: Difference, counts: Counts) -> None:
    """New and changed rows, in transactions of a bounded size."""
    def in_portions(rows: Sequence[Any], action: Callable[[sa.Connection, Sequence[Any]], None]) -> int:
        for start in range(0, len(rows), TRANSACTION_ROWS):
            with database.write() as connection:
                guard(connection)
                action(connection, rows[start:start + TRANSACTION_ROWS])
        return len(rows)

    counts.created += in_portions(
        difference.new, lambda connection, rows: resources.insert(connection, spec, storage_id, rows))
    counts.updated += in_portions(
        difference.changed, lambda connection, rows: resources.update(connection, spec, rows))
    in_portions(difference.recovered, lambda connection, rows: resources.set_stale(connection, spec, rows, False))
    in_portions(difference.stale, lambda connection, rows: resources.set_stale(connection, spec, rows, True))


def delete(database: Database, guard: Callable[[sa.Connection], None], spec: Table, difference: Difference,
           counts: Counts) -> None:
    """Rows that are gone, last of all."""
    for start in range(0, len(difference.gone), TRANSACTION_ROWS):
        with database.write() as connection:
            guard(connection)
            portion = difference.gone[start:start + TRANSACTION_ROWS]
            resources.delete(connection, spec, portion)
            counts.deleted += len(portion)
