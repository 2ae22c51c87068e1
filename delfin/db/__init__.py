# SPDX-License-Identifier: Apache-2.0
"""The database: one engine for SQLite, PostgreSQL and MariaDB, and what the other rooms may ask of it."""

from __future__ import annotations

from typing import Any

from delfin.db.engine import Database, is_away

__all__ = ['Database', 'is_away', 'storage_get']


def storage_get(context: Any, storage_id: str) -> dict[str, Any]:
    """The stored record of a storage by column, for drivers; `StorageNotFound` if there is none.

    Drivers have no part in `service.Parts`: the configured database is opened for the question and closed again.
    """
    from oslo_config import cfg

    from delfin.common import config
    from delfin.db import storages

    config.register()
    database = Database(config.database_url(cfg.CONF), pool_size=1)
    try:
        with database.read() as connection:
            return storages.get(connection, storage_id)
    finally:
        database.close()
