# SPDX-License-Identifier: Apache-2.0
"""Inventory, health, capacity and freshness of the arrays that this node owns, and how exporters fare.

A thread reads them from the database; a scrape shows what was read last and waits for nothing. A node tells of its own
arrays and exporters only: so everything is told once, however many nodes there are.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from delfin.alerts import SEVERITIES
from delfin.common.constants import Severity
from delfin.common.text import first_line
from delfin.db import Database, engine, exports, fleet, storages
from delfin.exporter.prometheus.exposition import Exposition, line
from delfin.exporter.prometheus.names import COUNTER, Family, ordered
from delfin.kinds import KINDS, Kind

LOG = logging.getLogger(__name__)

READ_SECONDS: Final = 30.0
SHOWN_SECONDS: Final = 600.0        # without another word from the database

_PAUSE_SECONDS = 1.0    # between two reads, at least
_SOME = 500             # storages in one query
_UNKNOWN = 'unknown'

Row = Mapping[str, Any]
Lines = dict[Family, dict[str, list[bytes]]]
_AsOf = tuple[datetime, str | None]      # when the rows were listed, and what their storage was called

INFO: Final = Family('delfin_storage_info', 'What a storage is; always 1.')
STATUS: Final = Family('delfin_storage_status', 'The status that a storage reports of itself; always 1.')
_OF_STORAGE: Final[Mapping[str, Family]] = {
    'total_capacity': Family('delfin_storage_capacity_bytes', 'Usable capacity of a storage.'),
    'used_capacity': Family('delfin_storage_used_bytes', 'Used capacity of a storage.'),
    'free_capacity': Family('delfin_storage_free_bytes', 'Free capacity of a storage.'),
    'raw_capacity': Family('delfin_storage_raw_capacity_bytes', 'Capacity of all disks of a storage.'),
    'subscribed_capacity': Family('delfin_storage_subscribed_bytes', 'Capacity of a storage provisioned to consumers.'),
    'reachable': Family('delfin_storage_reachable', 'Whether a storage answered the last sync.'),
    'last_sync_at': Family('delfin_storage_last_sync_timestamp_seconds', 'When the last complete sync ended.'),
    'last_contact_at': Family('delfin_storage_last_contact_timestamp_seconds',
                              'When a storage last gave a complete answer.'),
    'interval': Family('delfin_storage_sync_interval_seconds', 'Pause between syncs; 0 if nobody but people ask.'),
    'quarantined': Family('delfin_storage_quarantined', 'Whether calls to a storage pause, since they never returned.'),
    'maintenance': Family('delfin_storage_maintenance', 'Whether a storage is in maintenance and not polled.'),
    'failing': Family('delfin_storage_failed_kinds', 'How many kinds of resources the last sync failed for.'),
}
ALERTS: Final = Family('delfin_alerts', 'Alerts that stand and are not muted.')
RESOURCES: Final = Family('delfin_resources', 'Resources of a storage by kind and status.')
CONNECTIONS: Final = Family('delfin_port_connections', 'Ports of a storage by whether something is connected.')
_CAPACITIES: Final[Mapping[str, Mapping[str, Family]]] = {
    kind: {column: Family(f'delfin_{KINDS[kind].singular}_{suffix}', f'{help} of a {what}.')
           for column, (suffix, help) in {
               'total_capacity': ('capacity_bytes', 'Capacity'), 'used_capacity': ('used_bytes', 'Used capacity'),
               'free_capacity': ('free_bytes', 'Free capacity'),
               'subscribed_capacity': ('subscribed_bytes', 'Capacity provisioned to consumers')}.items()
           if any(found.name == column for found in KINDS[kind].table.columns)}
    for kind, what in (('storage_pools', 'storage pool'), ('filesystems', 'file system'))}
SYNCS: Final = Family('delfin_syncs', 'Syncs that wait or run.')
_OF_EXPORTER: Final[Mapping[str, Family]] = {
    'waiting': Family('delfin_exporter_waiting', 'What waits to be delivered by an exporter that runs here.'),
    'delivered': Family('delfin_exporter_delivered_total', 'What an exporter has delivered, ever.', COUNTER),
    'dropped': Family('delfin_exporter_dropped_total', 'What an exporter could not deliver, ever.', COUNTER),
    'failures': Family('delfin_exporter_failures_total', 'Deliveries that failed and were tried again.', COUNTER),
    'succeeded_at': Family('delfin_exporter_last_success_timestamp_seconds', 'When an exporter last delivered.'),
}

# By what resources are counted; of other kinds just how many there are.
_STATUS_COLUMNS = ('status', 'health_status')


def families() -> Iterator[Family]:
    """All that may be shown."""
    yield from (INFO, STATUS, *_OF_STORAGE.values(), ALERTS, RESOURCES, CONNECTIONS)
    for of_kind in _CAPACITIES.values():
        yield from of_kind.values()
    yield from (SYNCS, *_OF_EXPORTER.values())


class Fleet:
    """Keeps an exposition informed, from `start` to `stop`."""

    def __init__(self, database: Database, node: str, sync_interval_seconds: int, exposition: Exposition, *,
                 seconds: float = READ_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._database, self._node, self._exposition = database, node, exposition
        self._sync_interval_seconds = sync_interval_seconds
        self._seconds, self._clock = seconds, clock
        self._read_at: float | None = None
        self._of_kinds: dict[tuple[str, str], tuple[_AsOf, Lines]] = {}      # by storage and kind
        self._told: frozenset[str] = frozenset()        # the storages that were read last
        self._away = False
        self._stopping = threading.Event()
        self._bell = threading.Event()
        self._thread = threading.Thread(target=self._run, name='prometheus-fleet', daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self, timeout_seconds: float) -> None:
        """Read no more; also if it was never started."""
        self._stopping.set()
        self._bell.set()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    def expect(self, storage_id: str) -> None:
        """This storage is ours; read soon if it is new."""
        if storage_id not in self._told:
            self._bell.set()

    def age(self) -> float:
        """Seconds since it was read; NaN if it never was."""
        return float('nan') if self._read_at is None else self._clock() - self._read_at

    def read(self) -> None:
        """Read everything once and show it."""
        begun = self._clock()
        with self._database.read() as connection:
            moment = engine.now(connection)
            owned = {row['id']: row for row in storages.of_node(connection, self._node)}
            lines: Lines = defaultdict(lambda: defaultdict(list))
            for row in owned.values():
                self._tell_storage(row, moment, lines)
            _tell_alerts(fleet.standing_alerts(connection, self._node), owned, lines)
            as_of: dict[tuple[str, str], _AsOf] = {
                (storage_id, kind): (seen_at, owned[storage_id]['name'])
                for (storage_id, kind), seen_at in fleet.last_answers(connection, self._node).items()
                if storage_id in owned and kind in KINDS}
            for kind in KINDS:
                changed = {storage_id: current for (storage_id, name), current in as_of.items()
                           if name == kind.name and self._of_kinds.get((storage_id, name), (None,))[0] != current}
                self._read_kind(connection, kind, changed, owned)
            self._of_kinds = {key: known for key, known in self._of_kinds.items() if key in as_of}
            for (storage_id, _), (_, told) in self._of_kinds.items():
                for family, of_storages in told.items():
                    lines[family][storage_id] += of_storages[storage_id]
            for state, number in fleet.active_syncs(connection, self._node).items():
                lines[SYNCS][''].append(line(SYNCS, (('state', state),), number, of_array=False))
            _tell_exporters([row for row in exports.listing(connection) if row['node'] == self._node], lines)
        self._exposition.show(lines, SHOWN_SECONDS)
        self._read_at = begun
        self._told = frozenset(owned)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.read()
                if self._away:
                    LOG.info('the inventory in /metrics is up to date again')
                self._away = False
            except SQLAlchemyError as error:
                if not self._away:
                    LOG.error('the inventory in /metrics waits for the database and shows old values for %.0f minutes: '
                              '%s', SHOWN_SECONDS / 60, first_line(error))
                self._away = True
            except Exception:       # a bug of ours must not end it
                LOG.exception('reading the inventory for /metrics failed')
            self._stopping.wait(min(_PAUSE_SECONDS, self._seconds))
            self._bell.wait(max(0.0, self._seconds - _PAUSE_SECONDS))
            self._bell.clear()

    def _tell_storage(self, row: Row, moment: datetime, lines: Lines) -> None:
        labels = _storage_labels(row)
        about = {name: row[name] for name in ('vendor', 'model', 'serial_number', 'firmware_version', 'display_name',
                                              'site', 'location')}
        lines[INFO][row['id']].append(line(INFO, ordered({**labels, **about}), 1))
        lines[STATUS][row['id']].append(line(STATUS, ordered({**labels, 'status': row['status'] or _UNKNOWN}), 1))
        interval = row['sync_interval_seconds']
        values = {**row, 'reachable': storages.REACHABLE[row['last_answer']],
                  'interval': self._sync_interval_seconds if interval is None else interval,
                  'quarantined': row['quarantined_until'] is not None and row['quarantined_until'] > moment,
                  'failing': len(row['failed_kinds'].split(',')) if row['failed_kinds'] else 0}
        for name, family in _OF_STORAGE.items():
            _tell(family, row['id'], ordered(labels), values[name], lines)

    def _read_kind(self, connection: Any, kind: Kind, changed: Mapping[str, _AsOf], owned: Mapping[str, Row]) -> None:
        """Read the rows of arrays that have answered, or were renamed, since they were read last."""
        for begin in range(0, len(changed), _SOME):
            some = list(changed)[begin:begin + _SOME]
            told: dict[str, Lines] = {storage_id: defaultdict(lambda: defaultdict(list)) for storage_id in some}
            status = next((column.name for column in kind.table.columns if column.name in _STATUS_COLUMNS), None)
            for found in fleet.counts(connection, kind, status, some):
                labels = {**_storage_labels(owned[found.storage_id]), 'kind': kind.singular,
                          'status': None if status is None else found.value or _UNKNOWN}
                _tell(RESOURCES, found.storage_id, ordered(labels), found.number, told[found.storage_id])
            if kind.name == 'ports':
                for found in fleet.counts(connection, kind, 'connection_status', some):
                    labels = {**_storage_labels(owned[found.storage_id]), 'status': found.value or _UNKNOWN}
                    _tell(CONNECTIONS, found.storage_id, ordered(labels), found.number, told[found.storage_id])
            capacities = _CAPACITIES.get(kind.name, {})
            for storage_id, native_id, name, *values in (
                    fleet.rows(connection, kind, list(capacities), some) if capacities else ()):
                labels = {**_storage_labels(owned[storage_id]), 'resource_id': native_id, 'resource_name': name}
                for family, value in zip(capacities.values(), values, strict=True):
                    _tell(family, storage_id, ordered(labels), value, told[storage_id])
            self._of_kinds |= {(storage_id, kind.name): (changed[storage_id], told[storage_id]) for storage_id in some}


def _tell(family: Family, storage_id: str, labels: Sequence[tuple[str, str]], value: Any, lines: Lines, *,
          of_array: bool = True) -> None:
    """A line for a value, if there is one."""
    if value is not None:
        number = value.timestamp() if isinstance(value, datetime) else int(value)
        lines[family][storage_id].append(line(family, labels, number, of_array=of_array))


def _tell_alerts(found: Sequence[fleet.Count], owned: Mapping[str, Row], lines: Lines) -> None:
    """All severities of every storage: where there is no alert there is a 0."""
    numbers: dict[str, dict[str, int]] = {storage_id: dict.fromkeys(SEVERITIES, 0) for storage_id in owned}
    for storage_id, severity, number in found:
        if storage_id in numbers:
            of_storage = numbers[storage_id]
            severity = severity or Severity.NOT_SPECIFIED
            of_storage[severity] = of_storage.get(severity, 0) + number
    for storage_id, of_storage in numbers.items():
        for severity, number in of_storage.items():
            labels = ordered({**_storage_labels(owned[storage_id]), 'severity': severity})
            _tell(ALERTS, storage_id, labels, number, lines)


def _tell_exporters(rows: Sequence[Row], lines: Lines) -> None:
    for row in rows:
        for name, family in _OF_EXPORTER.items():
            labels = (('exporter', row['name']), ('stream', row['stream']))
            _tell(family, '', labels, row[name], lines, of_array=False)


def _storage_labels(row: Row) -> dict[str, str | None]:
    return {'storage_id': row['id'], 'storage_name': row['name']}
