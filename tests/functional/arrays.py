# SPDX-License-Identifier: Apache-2.0
"""A running Delfin with simulated arrays of a vendor: what tests of every vendor do with it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from delfin.kinds import KINDS
from tests.drivers.inventory import as_stored
from tests.engines.snmp import free_udp_ports
from tests.services import Client, Process, Site, free_port, wait_for
from tests.simulators.array import Simulated

Array = TypeVar('Array', bound=Simulated)
Storage = Mapping[str, Any]

SECONDS = 20


@dataclass
class House(Generic[Array]):
    """Delfin, and the arrays with what they are registered as; the ports of traps and of the scrape endpoint."""

    process: Process
    arrays: dict[str, Array]
    storages: dict[str, dict[str, Any]]
    trap_port: int
    metrics_port: int

    @property
    def client(self) -> Client:
        return self.process.client

    @classmethod
    @contextlib.contextmanager
    def running(cls, folder: Path, arrays: dict[str, Array],
                bodies: Callable[[Array], dict[str, Any]]) -> Iterator[House[Array]]:
        """`bodies` gives what an array is registered with. In the end nothing has shown a password, nor one that a test
        has given an array (`Another-…`).
        """
        [trap_port] = free_udp_ports()[:1]
        metrics_port = free_port()
        site = Site(folder, alerts={'listen': f'127.0.0.1:{trap_port}'}, prometheus={'port': metrics_port},
                    metrics={'enabled': True, 'interval_seconds': 5, 'settle_seconds': 0, 'exporters': 'prometheus'})
        passwords = {b'Another-', *(array.password.encode() for array in arrays.values())}
        with site.start() as process:
            client = process.ready().client
            storages = {name: client.register(**bodies(array)) for name, array in arrays.items()}
            yield cls(process, arrays, storages, trap_port, metrics_port)
            assert process.stop() == 0
        shown = [*client.bodies, site.log.read_bytes(), process.output.encode()]
        assert not any(password in text for password in passwords for text in shown)

    # --- alerts ---

    def expect_traps(self, storage: Storage, host: str) -> None:
        """From this address, and let the array send them."""
        base = f'/v1/storages/{storage["id"]}/snmp-config'
        answer = self.client.request('PUT', base, json={
            'host': host, 'version': 'SNMPv2c', 'community_string': 'public'})
        assert answer.status_code == 200, answer.text
        self.client.post(f'{base}/push', {'host': '127.0.0.1', 'port': self.trap_port}, 200)

    def alert(self, storage: Storage, sequence: int, state: str) -> Any:
        """The alert of what the array calls so, in this state; None if there is none."""
        return next((row for row in self.client.get('/v1/alerts', storage_id=storage['id'], limit=1000)['alerts']
                     if (row['sequence_number'], row['state']) == (str(sequence), state)), None)

    def sync_alerts(self, storage: Storage) -> None:
        """Compare with what the array lists."""
        path = f'/v1/storages/{storage["id"]}/alerts/sync'
        self.client.post(path)
        wait_for('the list', lambda: not self.client.get(path)['pending'], SECONDS)

    # --- the rest ---

    def update_access(self, storage: Storage, **sections: Mapping[str, Any]) -> dict[str, Any]:
        """The sync after a change of the access information."""
        answer = self.client.request('PUT', f'/v1/storages/{storage["id"]}/access-info', json=sections)
        assert answer.status_code == 200, answer.text
        return self.client.sync(storage['id'])

    def shown(self, metric: str, storage: Storage, resource_id: str) -> float | None:
        """What Prometheus would see of a resource; None if nothing."""
        text = self.client.session.get(f'http://127.0.0.1:{self.metrics_port}/metrics', timeout=SECONDS).text
        labels = [f'storage_id="{storage["id"]}"', f'resource_id="{resource_id}"']
        found = next((line for line in re.findall(rf'^{metric}{{.*', text, re.MULTILINE)
                      if all(label in line for label in labels)), None)
        return float(found.rpartition('}')[2].split()[0]) if found else None

    def assert_stored(self, storage: Storage, truth: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
        """Every kind is what is true, column by column."""
        for kind, rows in as_stored(truth).items():
            if kind == 'storage':
                key, shown = 'serial_number', [storage]
                columns = [column for row in rows.values() for column in row if column in storage]
            elif kind in KINDS.names():
                key = KINDS[kind].table.key[0]
                shown = self.client.rows(kind, storage['id'], nested=KINDS[kind].nested)
                columns = [column.name for column in KINDS[kind].table.columns if column.name != 'extra']
            else:
                continue
            right = {row[key]: {column: row[column] for column in columns} for row in rows.values()}
            assert {row[key]: {column: row[column] for column in columns} for row in shown} == right, kind
