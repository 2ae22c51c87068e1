# SPDX-License-Identifier: Apache-2.0
"""Databases as a large array leaves them: one storage with 100,000 volumes, written by the code of a sync."""

from __future__ import annotations

import contextlib
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delfin.db import Database, freshness, resources, storages
from delfin.db.schema import Schema
from delfin.kinds import KINDS
from tests.engines import DatabaseEngine, MariaDB, PostgreSQL

ENGINES = ('sqlite', 'postgresql', 'mariadb')
VOLUMES = KINDS['volumes']
ROWS = 100_000

_TRANSACTION = 2 * resources.BATCH      # as a sync writes: so many rows share one `created_at`
_GIB = 2**30
# The servers do this by themselves within a minute; SQLite never does.
_ANALYSE = {'postgresql': 'ANALYZE', 'mysql': 'ANALYZE TABLE storages, volumes, sync_freshness'}


@dataclass(frozen=True)
class Stored:
    """A database with the volumes, and the id of their storage."""

    engine: str
    database: Database
    storage_id: str


@contextlib.contextmanager
def fresh(engine: str, folder: Path) -> Iterator[Database]:
    """A database with the tables and nothing in them, on a private server if the engine is one."""
    with contextlib.ExitStack() as stack:
        if engine == 'sqlite':
            url = f'sqlite:///{stack.enter_context(tempfile.TemporaryDirectory(dir=folder))}/benchmark.sqlite'
        else:
            server: DatabaseEngine = stack.enter_context({'postgresql': PostgreSQL, 'mariadb': MariaDB}[engine]())
            url = stack.enter_context(server.database())
        database = Database(url)
        stack.callback(database.close)
        Schema(database).upgrade()
        yield database


@contextlib.contextmanager
def filled(engine: str, folder: Path) -> Iterator[Stored]:
    """A fresh database with the volumes."""
    with fresh(engine, folder) as database:
        yield Stored(engine, database, fill(database))


def fill(database: Database) -> str:
    """Store the volumes; the id of their storage."""
    storage_id = str(uuid.uuid4())
    with database.write() as connection:
        storages.insert(connection, storage_id, {'name': 'array', 'serial_number': 'SN-1'},
                        {'vendor': 'fake_storage', 'model': 'fake_driver'})
    for start in range(0, ROWS, _TRANSACTION):
        with database.write() as connection:
            rows = [{**volume(number), 'fingerprint': number.to_bytes(16, 'big')}
                    for number in range(start, min(start + _TRANSACTION, ROWS))]
            resources.insert(connection, VOLUMES.table, storage_id, rows)
    with database.write() as connection:
        freshness.note(connection, storage_id, VOLUMES.name)
    if database.dialect in _ANALYSE:
        with database.write() as connection:
            connection.exec_driver_sql(_ANALYSE[database.dialect])
    return storage_id


def volume(number: int) -> dict[str, Any]:
    """A volume as a driver answers it, every column of the kind named."""
    used = number % 50 * _GIB
    return {
        'native_volume_id': f'{number:x}', 'name': f'lun_oracle_{number:06}', 'description': 'made by a script',
        'type': 'thin' if number % 3 else 'thick', 'status': 'available',
        'native_storage_pool_id': f'pool-{number % 12}', 'wwn': f'6000144000000010f07a{number:012x}',
        'total_capacity': 100 * _GIB, 'used_capacity': used, 'free_capacity': 100 * _GIB - used,
        'compressed': number % 2 == 0, 'deduplicated': False, 'extra': None}
