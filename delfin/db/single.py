# SPDX-License-Identifier: Apache-2.0
"""Single rows fast: SELECTs compiled once and given to SQLite's own driver.

SQLAlchemy and its pool take three times as long over a row as SQLite does, and the API shows single objects all day.
With a database server their share is small against the network's, so that only SQLite comes here.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

Read = Callable[[Any], Any]


class SingleRows:
    """Reads first rows from an SQLite file. Each thread has a connection of its own, which cannot write."""

    def __init__(self, path: Path, engine: sa.Engine, timeout_seconds: float) -> None:
        self._uri = f'{path.absolute().as_uri()}?mode=ro'
        self._engine = engine
        self._timeout_seconds = timeout_seconds
        self._statements: dict[sa.Select[Any], _Statement] = {}
        self._thread = threading.local()
        self._open: list[sqlite3.Connection] = []

    def first(self, select: sa.Select[Any], parameters: Mapping[str, Any]) -> dict[str, Any] | None:
        """The first row as a dict, None if there is none. `sqlite3.Error` as it comes."""
        statement = self._statements.get(select)
        if statement is None:
            statement = self._statements[select] = _Statement(select, self._engine, parameters)
        connection: sqlite3.Connection | None = getattr(self._thread, 'connection', None)
        return statement.first(connection or self._connect(), parameters)

    def _connect(self) -> sqlite3.Connection:
        # Outside a transaction each statement sees its own moment.
        connection = sqlite3.connect(self._uri, uri=True, timeout=self._timeout_seconds, isolation_level=None,
                                     check_same_thread=False)
        self._open.append(connection)
        self._thread.connection = connection
        return connection

    def close(self) -> None:
        """Close all connections; the next row opens new ones."""
        self._thread = threading.local()
        while self._open:
            self._open.pop().close()


class _Statement:
    """A SELECT as SQLite takes it, and how its columns are read."""

    def __init__(self, select: sa.Select[Any], engine: sa.Engine, parameters: Mapping[str, Any]) -> None:
        expanded = select.compile(engine).construct_expanded_state(parameters)
        self._sql = expanded.statement
        self._parameters = expanded.parameters
        self._order = expanded.positiontup or ()
        self._columns: list[tuple[str, Read | None]] = [
            (str(column.key), column.type.dialect_impl(engine.dialect).result_processor(engine.dialect, None))
            for column in select.selected_columns]

    def first(self, connection: sqlite3.Connection, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
        values = {**self._parameters, **parameters}
        row = connection.execute(self._sql, [values[name] for name in self._order]).fetchone()
        if row is None:
            return None
        return {name: value if read is None else read(value)
                for (name, read), value in zip(self._columns, row, strict=True)}
