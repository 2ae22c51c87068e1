# SPDX-License-Identifier: Apache-2.0
"""The database: one engine for SQLite, PostgreSQL and MariaDB, and what the other rooms may ask of it."""

from delfin.db.engine import Database, is_away

__all__ = ['Database', 'is_away']
