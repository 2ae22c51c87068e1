# SPDX-License-Identifier: Apache-2.0
"""Trying again to make alerts of traps that could not be read, after the driver was mended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import sqlalchemy as sa

from delfin.alert_manager.interpreter import Interpreter, Meaning, ParseAtOwner, Trap
from delfin.alert_manager.sources import Table
from delfin.db import Database, alert_feeds, alert_sources, alerts, traps
from delfin.drivers.manager import DriverManager

_PAGE = 100


class Outcome(NamedTuple):
    """How many became alerts or ask for an alert sync (`read`), say nothing (`dropped`), cannot be read yet (`failed`).
    """

    read: int = 0
    dropped: int = 0
    failed: int = 0


def retry(database: Database, drivers: DriverManager, at_owner: ParseAtOwner,
          progress: Callable[[Outcome], None] = lambda outcome: None) -> Outcome:
    """Go through all failed traps, the oldest first, each in a transaction of its own; may run beside the services."""
    with database.read() as connection:
        table = Table.of(alert_sources.configuration(connection))
    interpreter = Interpreter(drivers, lambda: table, at_owner)
    outcome, last = Outcome(), 0
    while True:
        with database.read() as connection:
            page = traps.failed_after(connection, last, _PAGE)
        for row in page:
            outcome = _again(database, interpreter, row, outcome)
            last = row['id']
        if not page:
            return outcome
        progress(outcome)


def _again(database: Database, interpreter: Interpreter, row: dict[str, Any], outcome: Outcome) -> Outcome:
    trap = Trap(row['received_at'], row['source'], row['version'], tuple(row['storage_ids']), row['variables'])
    meaning = interpreter.read(trap)

    def write(connection: sa.Connection) -> bool:
        if meaning.error is not None:
            traps.set_error(connection, row['id'], meaning.error)
            return False
        if traps.take_failed(connection, row['id']):        # nobody else has done it meanwhile
            _apply(connection, meaning)
        return True
    database.attempt(write, 'retry')
    if meaning.error is not None:
        return outcome._replace(failed=outcome.failed + 1)
    if meaning.report is None and not meaning.sync:
        return outcome._replace(dropped=outcome.dropped + 1)
    return outcome._replace(read=outcome.read + 1)


def _apply(connection: sa.Connection, meaning: Meaning) -> None:
    if meaning.report is not None:
        alerts.apply(connection, [meaning.report])
    for storage_id in meaning.sync:
        alert_feeds.request(connection, storage_id)
