# SPDX-License-Identifier: Apache-2.0
"""What the tests of exporters share: alerts that come and go, and packages that declare exporters."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from delfin.alerts import TRAP, parsed
from delfin.common.constants import metric_struct
from delfin.db import Database, alerts, exports
from delfin.db.alerts import Report
from delfin.db.sqlalchemy.models import storages
from delfin.exporter.work import CallFailed, Pace
from delfin.findings import Findings
from tests.simulators.tls import Answer, Request, TlsServer
from tests.unit.support import add_storage

FAST = Pace(lease_seconds=1.0, renew_seconds=0.1, poll_seconds=0.2, collect_seconds=0.01, feed_seconds=0.5,
            feed_rest_seconds=0.05, first_pause_seconds=0.02, longest_pause_seconds=0.1, patience_seconds=0.0,
            tidy_seconds=0.1)


class Array:
    """A registered storage whose alerts come and go."""

    def __init__(self, database: Database, serial_number: str = 'SN-1') -> None:
        self.database = database
        self.storage_id = add_storage(database, serial_number)
        with database.write() as connection:
            connection.execute(sa.update(storages).where(storages.c.id == self.storage_id), {
                'vendor': 'Example', 'model': 'X1'})

    def fault(self, number: int = 1, **values: Any) -> None:
        """Alert `number` is raised, or comes again."""
        self.says({'category': 'Fault', 'sequence_number': str(number), **values})

    def recovery(self, number: int = 1, **values: Any) -> None:
        """Its end."""
        self.says({'category': 'Recovery', 'sequence_number': str(number), **values})

    def says(self, *rows: dict[str, Any], at: datetime | None = None) -> None:
        """A trap for each row."""
        received_at = at or datetime.now(UTC)
        common = {'alert_id': '0x17', 'alert_name': 'Disk failed', 'severity': 'Major',
                  'type': 'EquipmentAlarm', 'description': 'Disk 3 does not answer.', 'resource_type': 'Disk'}
        values = [parsed({**common, 'location': f'slot {row["sequence_number"]}', **row}, Findings()).values
                  for row in rows]
        reports = [Report(self.storage_id, each, received_at + timedelta(microseconds=number), TRAP)
                   for number, each in enumerate(values)]
        with self.database.write() as connection:
            alerts.apply(connection, reports)

    def alert_id(self, number: int = 1) -> str:
        """Our id of alert `number`, the newest one."""
        with self.database.read() as connection:
            rows = [row for row in alerts.standing(connection, datetime(2000, 1, 1, tzinfo=UTC))
                    if row['sequence_number'] == str(number)]
        return max(rows, key=lambda row: row['first_seen_at'])['id']


class Web(TlsServer):
    """A receiver over plain HTTP. `status` is what it answers; `posts` are the JSON documents it was sent."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.status = 200
        self.gate = threading.Event()
        self.gate.set()
        super().__init__(self._answer, *(args or (None,)), **kwargs)

    def _answer(self, request: Request) -> Answer:
        self.gate.wait(20)
        return Answer({}, self.status)

    @property
    def http(self) -> str:
        """Its URL."""
        return self.url.replace('https:', 'http:')

    @property
    def posts(self) -> list[Any]:
        """Bodies, whatever the answer was."""
        return [json.loads(request.body) for request in self.requests]


class Calls:
    """In place of an exporter's method: notes what it is called with; raises what `fail` returns."""

    def __init__(self) -> None:
        self.data: list[list[dict[str, Any]]] = []
        self.fail: Any = lambda data: None

    def __call__(self, method: str, *args: Any) -> None:
        self.data.append(args[0])
        error = self.fail(args[0])
        if error is not None:
            raise CallFailed(error)


def measured(storage_id: str = 'array-1', *, at: int = 1000, value: float = 7.0, resource_id: str = 'vol-1',
             **labels: Any) -> metric_struct:
    """A series with one point, as exporters of metrics are given it."""
    return metric_struct('readIops', {
        'storage_id': storage_id, 'resource_type': 'volume', 'resource_id': resource_id, 'resource_name': 'db01',
        'type': 'RAW', 'unit': 'IOPS', 'name': 'Array 1', 'serial_number': 'SN-1', 'vendor': 'Example', 'model': 'X1',
        **labels}, {at: value})


def register(database: Database, name: str, node: str = 'node-1', *, events: bool = True) -> None:
    """Make an exporter known: from now on events are queued for it."""
    with database.write() as connection:
        assert exports.claim(connection, name, node, 3600, events=events)


def row_of(database: Database, name: str) -> dict[str, Any]:
    """What the API would show of an exporter."""
    with database.read() as connection:
        return {row['name']: row for row in exports.listing(connection)}[name]


def declare(monkeypatch: pytest.MonkeyPatch, root: Path, code: str, **entries: str) -> None:
    """Install a third party's package: the module `third_party` with `code`, and entry points of exporters."""
    site = root / 'third-party'
    package = site / 'third_party_exporters-1.dist-info'
    package.mkdir(parents=True)
    (package / 'METADATA').write_text('Metadata-Version: 2.1\nName: third-party-exporters\nVersion: 1\n')
    (package / 'entry_points.txt').write_text('[delfin.alert.exporters]\n' + ''.join(
        f'{name} = {target}\n' for name, target in entries.items()))
    (site / 'third_party.py').write_text(code)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(__import__('sys').modules, 'third_party', raising=False)
