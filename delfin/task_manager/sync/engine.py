# SPDX-License-Identifier: Apache-2.0
"""Makes the stored rows of one table of one storage equal to an answer.

Rows are compared as they come, by fingerprint: an unchanged row costs no write, and memory holds 33 bytes and the key
of a row, never the row. Differences are written in transactions of a bounded size, none of which is open while a driver
works. Rows keep their ids. Deletion comes last, and only after a complete and believable answer.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from delfin import findings as code
from delfin.coerce import Rejected, RowReader
from delfin.db import Database, resources
from delfin.findings import Findings
from delfin.kinds import Key, Table

TRANSACTION_ROWS = 2 * resources.BATCH

Transaction = Callable[[], AbstractContextManager[sa.Connection]]
_SEEN = b''


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


class TableSync:
    """One table of one storage. `transaction()` opens a transaction in which the storage is ours to write."""

    def __init__(self, database: Database, transaction: Transaction, spec: Table, storage_id: str, counts: Counts,
                 found: Findings) -> None:
        self._transaction = transaction
        self._spec = spec
        self._storage_id = storage_id
        self._counts = counts
        self._found = found
        with database.read() as connection:
            # What the answer names becomes _SEEN; what is left at the end has gone.
            self._rows: dict[Key, bytes] = resources.stored(connection, spec, storage_id)
        self.stored = len(self._rows)
        self._answered = 0
        self._new: list[dict[str, Any]] = []
        self._changed: list[tuple[str, dict[str, Any]]] = []
        self._recovered: list[str] = []     # stale rows that are good again
        self._stale: list[str] = []

    def take(self, rows: Iterable[Any]) -> None:
        """Go through the whole answer once; new and changed rows are written on the way."""
        read, found, stored, counts = RowReader(self._spec).read, self._found, self._rows, self._counts
        for row in rows:
            try:
                key, values = read(row, found)
            except Rejected as rejected:
                self._reject(rejected.key)
                continue
            known = stored.get(key)
            if known is None:
                self._new.append(values)
            elif known == _SEEN:
                found.add(code.REPEATED_NATIVE_ID, self._spec.key[0], values[self._spec.key[0]])
                continue
            elif not resources.same(known, values['fingerprint']):
                self._changed.append((resources.row_id(known), values))
            else:
                counts.unchanged += 1
                if resources.is_stale(known):
                    self._recovered.append(resources.row_id(known))
            counts.seen += 1
            self._answered += 1
            stored[key] = _SEEN
            if len(self._new) >= TRANSACTION_ROWS or len(self._changed) >= TRANSACTION_ROWS:
                self._write()
        self._write()
        for ids, stale in ((self._recovered, False), (self._stale, True)):
            self._in_portions(ids, functools.partial(self._set_stale, stale))

    def _set_stale(self, stale: bool, connection: sa.Connection, ids: Sequence[str]) -> None:
        resources.set_stale(connection, self._spec, ids, stale)

    def _reject(self, key: Key | None) -> None:
        """A row that cannot be stored keeps what is stored of it, marked stale."""
        self._counts.rejected += 1
        known = None if key is None else self._rows.get(key)
        if known:
            assert key is not None
            self._stale.append(resources.row_id(known))
            self._rows[key] = _SEEN
            self._counts.stale += 1
            self._answered += 1

    def _write(self) -> None:
        if self._new:
            with self._transaction() as connection:
                resources.insert(connection, self._spec, self._storage_id, self._new)
                self._counts.created += len(self._new)
            self._new = []
        if self._changed:
            with self._transaction() as connection:
                resources.update(connection, self._spec, self._changed)
                self._counts.updated += len(self._changed)
            self._changed = []

    @property
    def gone(self) -> int:
        """How many stored rows the answer does not name."""
        return self.stored - self._known_seen

    @property
    def _known_seen(self) -> int:
        return self._answered - self._counts.created

    @property
    def believable(self) -> bool:
        """Whether rows may be deleted without asking again: no, if far fewer came than are stored."""
        return not self.gone or (self._answered > 0 and 2 * self._answered >= self.stored)

    def delete_gone(self) -> None:
        """Delete what the answer does not name, last of all."""
        ids = [resources.row_id(packed) for packed in self._rows.values() if packed != _SEEN]

        def delete(connection: sa.Connection, portion: Sequence[str]) -> None:
            resources.delete(connection, self._spec, portion)
            self._counts.deleted += len(portion)

        self._in_portions(ids, delete)

    def _in_portions(self, ids: Sequence[str], action: Callable[[sa.Connection, Sequence[str]], None]) -> None:
        for start in range(0, len(ids), TRANSACTION_ROWS):
            with self._transaction() as connection:
                action(connection, ids[start:start + TRANSACTION_ROWS])
