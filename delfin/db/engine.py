# SPDX-License-Identifier: Apache-2.0
"""The connection to the database, the same for all three engines."""

from __future__ import annotations

import contextlib
import copy
import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from delfin import exception, failpoints
from delfin.common import json
from delfin.db.single import SingleRows
from delfin.db.turns import Turns

_NOW = {
    'sqlite': "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')",
    'postgresql': "SELECT clock_timestamp() AT TIME ZONE 'utc'",
    'mysql': 'SELECT UTC_TIMESTAMP(6)',
    'mariadb': 'SELECT UTC_TIMESTAMP(6)',
}
_READ_ONLY = 'delfin_read_only'
_ATTEMPTS = 5
_DEADLOCK_SECONDS = 0.05
_IDLE_SECONDS = 5       # less than a node's lease
_DEADLOCKS = frozenset({'40P01', '40001', 1213, 1205})      # PostgreSQL's states, MariaDB's numbers

# SQLite copies its log into the file when the log has so many pages: pages that change again and again are copied once.
_CHECKPOINT_PAGES = 4000        # 16 MiB
_CACHE_KIB = 8192               # of each connection

Result = TypeVar('Result')


class Database:
    """An SQLAlchemy engine with Delfin's settings. `read()` and `write()` are the only ways in."""

    def __init__(self, url: str, *, pool_size: int = 10, pool_timeout_seconds: int = 10,
                 sqlite_busy_timeout_seconds: int = 30) -> None:
        try:
            parsed = sa.make_url(url)
            if parsed.get_backend_name() not in _NOW:
                raise ArgumentError(f'{parsed.get_backend_name()} is not supported')
            self._options: dict[str, Any] = {'json_serializer': json.text, 'json_deserializer': json.loads}
            if parsed.get_backend_name() == 'sqlite':
                # One writer at a time is SQLite's nature; readers go on beside it thanks to the write-ahead log.
                self._options['connect_args'] = {'timeout': sqlite_busy_timeout_seconds, 'check_same_thread': False}
            self._sqlite_file = _sqlite_file(parsed)
            if self._sqlite_file is not None or parsed.get_backend_name() != 'sqlite':
                self._options |= {
                    'pool_size': pool_size, 'max_overflow': pool_size, 'pool_timeout': pool_timeout_seconds,
                    'pool_pre_ping': self._sqlite_file is None, 'pool_recycle': 1800, 'pool_use_lifo': True}
            self.engine = self._connect(parsed)
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise exception.InvalidConfiguration(
                f'[database] connection cannot be used: {_reason(error)}; it must look like sqlite:////path/file, '
                'postgresql+psycopg://… or mysql+pymysql://…') from None
        self._read_options: dict[str, Any] = {_READ_ONLY: True}
        self._write_options: dict[str, Any] = {}
        if self.dialect == 'postgresql':        # the other engines read one moment by themselves
            self._read_options['isolation_level'] = 'REPEATABLE READ'
        if self.dialect in ('mysql', 'mariadb'):        # whose default locks what is beside the rows
            self._write_options['isolation_level'] = 'READ COMMITTED'
        self._single_rows: SingleRows | None = None
        self._turns = Turns(sqlite_busy_timeout_seconds) if self.dialect == 'sqlite' else None
        if self._sqlite_file is not None:
            self._single_rows = SingleRows(self._sqlite_file, self.engine, sqlite_busy_timeout_seconds)

    def _connect(self, url: sa.URL) -> sa.Engine:
        engine = sa.create_engine(url, **self._options)
        if engine.dialect.name == 'sqlite':
            _prepare_sqlite(engine)
        else:
            _limit_idle_transactions(engine)
        return engine

    def apart(self) -> Database:
        """The same database by a connection of its own: for what must not wait until others give one back.

        It has to be closed by itself, before this one.
        """
        if 'pool_size' not in self._options:        # in memory, where another connection is another database
            return self
        twin = copy.copy(self)
        twin._options = {**self._options, 'pool_size': 1, 'max_overflow': 0}
        twin.engine = twin._connect(self.engine.url)
        twin._single_rows = None
        return twin

    @property
    def dialect(self) -> str:
        """'sqlite', 'postgresql', 'mysql' or 'mariadb'."""
        return self.engine.dialect.name

    @property
    def sqlite_file(self) -> Path | None:
        """The file of an SQLite database."""
        return self._sqlite_file

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection for reading; its statements see one moment."""
        with self.engine.connect() as connection:
            connection = connection.execution_options(**self._read_options)
            with connection.begin():
                yield connection

    def first(self, statement: sa.Select[Any], parameters: Mapping[str, Any]) -> dict[str, Any] | None:
        """The first row of a SELECT that is made once and stands alone; None if there is none."""
        if self._single_rows is not None:
            with contextlib.suppress(sqlite3.Error):        # once more below, for an error that everybody knows
                return self._single_rows.first(statement, parameters)
        with self.read() as connection:
            row = connection.execute(statement, parameters).mappings().first()
        return None if row is None else dict(row)

    @contextlib.contextmanager
    def write(self, what: str = 'write') -> Iterator[sa.Connection]:
        """A transaction: committed at the end of the block, rolled back when it raises. `what` names its failpoints."""
        with self._turn(), self.engine.connect() as connection:
            if self._write_options:
                connection = connection.execution_options(**self._write_options)
            with connection.begin():
                yield connection
                failpoints.hit(f'{what}.before')
        failpoints.hit(f'{what}.after')

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Ours to write, where only one can."""
        if self._turns is None:
            yield
            return
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self._turns.turn())
            except TimeoutError:        # as SQLite says it of writers in other processes
                locked = sqlite3.OperationalError('database is locked')
                raise OperationalError('BEGIN IMMEDIATE', None, locked) from None
            yield

    def attempt(self, action: Callable[[sa.Connection], Result], what: str = 'write') -> Result:
        """`action` in a transaction, again (a little later) if the engine ends it to undo a deadlock."""
        for left in reversed(range(_ATTEMPTS)):
            try:
                with self.write(what) as connection:
                    return action(connection)
            except DBAPIError as error:
                if not left or not _is_deadlock(error):
                    raise
            time.sleep(random.uniform(0, _DEADLOCK_SECONDS))        # or both meet again
        raise AssertionError('unreachable')

    def close(self) -> None:
        """Close all connections."""
        if self._single_rows is not None:
            self._single_rows.close()
        self.engine.dispose()


def is_away(error: BaseException) -> bool:
    """Whether an error means that the database cannot be used now, rather than that it refused what was asked."""
    return isinstance(error, OperationalError | InterfaceError | PoolTimeoutError) or (
        isinstance(error, DBAPIError) and error.connection_invalidated)


def now(connection: sa.Connection) -> datetime:
    """The database's clock, the only one that leases and deadlines of several nodes can share."""
    value = connection.exec_driver_sql(_NOW[connection.dialect.name]).scalar_one()
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=UTC)


def _sqlite_file(url: sa.URL) -> Path | None:
    if url.get_backend_name() != 'sqlite' or url.database in (None, '', ':memory:'):
        return None
    return Path(str(url.database))


def _prepare_sqlite(engine: sa.Engine) -> None:
    # Many rows are inserted by one statement. Python's module lets other threads have the interpreter at each one, and
    # waits to get it back.
    engine.dialect.use_insertmanyvalues_wo_returning = True

    @sa.event.listens_for(engine, 'connect')
    def connect(dbapi_connection: Any, _record: Any) -> None:
        dbapi_connection.isolation_level = None         # we begin transactions ourselves, see below
        for pragma in ('journal_mode=WAL', 'synchronous=NORMAL', 'foreign_keys=ON',
                       f'wal_autocheckpoint={_CHECKPOINT_PAGES}', f'cache_size=-{_CACHE_KIB}'):
            dbapi_connection.execute(f'PRAGMA {pragma}').close()

    @sa.event.listens_for(engine, 'begin')
    def begin(connection: sa.Connection) -> None:
        # A transaction that reads first and writes later could not be upgraded beside another writer.
        read_only = connection.get_execution_options().get(_READ_ONLY)
        # Past SQLAlchemy, which would take as long for this as for the query after it.
        driven: sqlite3.Connection = connection.connection.driver_connection       # type: ignore[assignment]
        driven.execute('BEGIN' if read_only else 'BEGIN IMMEDIATE').close()


def _limit_idle_transactions(engine: sa.Engine) -> None:
    """A process that stands still in the middle of a transaction must not hold its locks for ever."""
    statement = (f"SET idle_in_transaction_session_timeout = '{_IDLE_SECONDS}s'"
                 if engine.dialect.name == 'postgresql' else f'SET SESSION idle_transaction_timeout = {_IDLE_SECONDS}')

    @sa.event.listens_for(engine, 'connect')
    def connect(dbapi_connection: Any, _record: Any) -> None:
        with contextlib.closing(dbapi_connection.cursor()) as cursor:
            cursor.execute(statement)
        dbapi_connection.commit()


def _is_deadlock(error: DBAPIError) -> bool:
    code = getattr(error.orig, 'sqlstate', None) or next(iter(getattr(error.orig, 'args', ())), None)
    return isinstance(code, str | int) and code in _DEADLOCKS


def _reason(error: Exception) -> str:
    # ArgumentError quotes the URL, which may hold a password.
    return 'not a database URL' if 'parse' in str(error) else str(error).splitlines()[0]
