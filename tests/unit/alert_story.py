# SPDX-License-Identifier: Apache-2.0
"""What arrays, people and lists say of alerts, for tests: how to say it, and how to read what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from delfin.alerts import LIST, TRAP, Values, parsed
from delfin.common.constants import Category
from delfin.db import Database, alerts, exports, storages
from delfin.db.alerts import Report
from delfin.db.sqlalchemy import models
from delfin.findings import Findings
from tests.unit.support import add_storage

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
EXPORTER = 'listener'


def at(minutes: float) -> datetime:
    """So many minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def minutes(moment: datetime | None) -> float | None:
    """The other way round."""
    return None if moment is None else (moment - NOON).total_seconds() / 60


def alert(category: str = Category.FAULT, **values: Any) -> Values:
    """What a driver makes of a trap or of a row of its list; about one disk unless it says otherwise."""
    row = {'alert_name': 'disk failed', 'match_key': 'disk-3', 'severity': 'Major', 'occur_time': 1_700_000_000_000,
           'category': category, **values}
    return parsed(row, Findings()).values


class Story:
    """One storage; what is said of its alerts at which minute, and what an event exporter hears."""

    def __init__(self, database: Database, serial_number: str = 'SN-1') -> None:
        self.database = database
        self.storage_id = add_storage(database, serial_number)
        with database.write() as connection:
            exports.claim(connection, EXPORTER, 'node-1', 3600, events=True)

    def report(self, minute: float, category: str = Category.FAULT, *, origin: str = TRAP, trap: Any = None,
               **values: Any) -> Report:
        """A report that was received at that minute."""
        return Report(self.storage_id, alert(category, **values), at(minute), origin, trap)

    def say(self, minute: float, category: str = Category.FAULT, **values: Any) -> int:
        """Say one thing."""
        return self.deliver([self.report(minute, category, **values)])

    def deliver(self, reports: Sequence[Report]) -> int:
        """Say many things in one transaction."""
        return self.database.attempt(lambda connection: alerts.apply(connection, reports))

    def list(self, minute: float, *listed: Values, complete: bool = True) -> None:
        """The array's own list."""
        self.database.attempt(lambda connection: alerts.apply_list(
            connection, self.storage_id, listed, at(minute), complete))

    def maintenance(self, on: bool) -> None:
        """Begin or end it, as the API does."""
        with self.database.write() as connection:
            alerts.set_muted(connection, self.storage_id, on)
            storages.set_labels(connection, self.storage_id, {'maintenance': on})

    def do(self, action: Any, *args: Any) -> Any:
        """`action(connection, …)` in a transaction."""
        with self.database.write() as connection:
            return action(connection, *args)

    def rows(self, **wanted: Any) -> list[dict[str, Any]]:
        """The stored alerts, in the order in which they were first seen."""
        table = models.alerts
        with self.database.read() as connection:
            found = [dict(row) for row in connection.execute(sa.select(table).where(
                table.c.storage_id == self.storage_id).order_by(table.c.first_seen_at, table.c.id)).mappings()]
        return [row for row in found if all(row[name] == value for name, value in wanted.items())]

    def only(self, **wanted: Any) -> dict[str, Any]:
        """The one alert there is."""
        (row,) = self.rows(**wanted)
        return row

    def states(self) -> list[str]:
        """The states of the alerts, in the order in which they were first seen."""
        return [row['state'] for row in self.rows()]

    def heard(self) -> list[tuple[str, dict[str, Any]]]:
        """(what, alert) of the events since the last look."""
        with self.database.write() as connection:
            queued = [entry for entry in exports.waiting(connection, EXPORTER, 10_000)
                      if entry.event['alert']['storage_id'] == self.storage_id]
            exports.delivered(connection, EXPORTER, [entry.id for entry in queued])
        return [(entry.event['what'], entry.event['alert']) for entry in queued]

    def told(self) -> list[str]:
        """What happened since the last look, without the alerts."""
        return [what for what, _ in self.heard()]


def listed(*names: str, **values: Any) -> Iterable[Values]:
    """Rows of a list, one for each match key."""
    return [alert(match_key=name, **values) for name in names]


__all__ = ['EXPORTER', 'LIST', 'NOON', 'TRAP', 'Story', 'alert', 'at', 'listed', 'minutes']
