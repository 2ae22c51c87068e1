# SPDX-License-Identifier: Apache-2.0
"""The task service: answers the API's calls and runs the worker."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oslo_config import cfg

from delfin import access as access_info
from delfin import exception, rpc
from delfin.common.masking import Masker
from delfin.context import RequestContext
from delfin.db import Database, engine, runs, storages
from delfin.drivers.api import Door, Limits
from delfin.drivers.manager import DriverManager, options_of
from delfin.keyring import Keyring
from delfin.kinds import KINDS
from delfin.task_manager.sync.findings import Findings
from delfin.task_manager.sync.inventory import Inventory, storage_values
from delfin.task_manager.worker import Worker
from delfin.version import version_string

LOG = logging.getLogger(__name__)

_expected = rpc.messaging.expected_exceptions(exception.DelfinException)


class TaskManager:
    """RPC endpoint of the task service (see `delfin.task_manager.rpcapi` for the caller's side)."""

    target = rpc.messaging.Target(version=rpc.VERSION)

    def __init__(self, conf: cfg.ConfigOpts, database: Database, keyring: Keyring, drivers: DriverManager,
                 masker: Masker) -> None:
        self._conf = conf
        self._database = database
        self._keyring = keyring
        self._drivers = drivers
        self.door = Door(drivers, self._load_access, limits=_limits(conf), masker=masker,
                         verify=_verify(conf), on_quarantine=self._note_quarantine)
        self.worker = Worker(conf, database, self.door, Inventory(database, self.door, masker))

    # --- RPC ---

    def ping(self, context: RequestContext) -> dict[str, Any]:
        """A sign of life."""
        return {'host': self._conf.host, 'version': version_string()}

    def look_for_work(self, context: RequestContext) -> None:
        """The doorbell."""
        self.worker.wake()

    def list_drivers(self, context: RequestContext) -> list[dict[str, Any]]:
        """Every declared driver with its load error."""
        return [entry.view() for entry in self._drivers.listing()]

    @_expected
    def register_storage(self, context: RequestContext, storage_id: str, access: dict[str, Any],
                         deadline: str) -> None:
        """Ask the array who it is; store it with its access information and a first sync run, unless it is late."""
        until = datetime.fromisoformat(deadline)
        driver_class = self._drivers.get_class(access['vendor'], access['model'])
        opened = access_info.unseal(access, storage_id, self._keyring)
        with self._database.read() as connection:
            seconds = (until - engine.now(connection)).total_seconds()
        try:
            answer = self.door.discover(opened, storage_id, context=context, timeout_seconds=max(0.1, min(
                seconds, self._conf.drivers.interactive_timeout_seconds)))
            values = storage_values(answer, Findings())
            sealed = self._seal(opened, storage_id, driver_class)
            with self._database.write() as connection:
                storages.insert(connection, storage_id, values, sealed)
                runs.request(connection, storage_id, KINDS.names(), 'register')
                if engine.now(connection) >= until:
                    raise exception.DriverCallTimeout('register', storage_id, int(seconds), message=(
                        'the array answered too late for the client that registers it; nothing was stored'))
        except BaseException as error:
            LOG.warning('registering a storage with driver "%s %s" failed: %s', access['vendor'], access['model'],
                        error)
            self.door.forget(storage_id)
            raise
        LOG.info('storage %s registered: %s %s, serial number %s', storage_id, values['vendor'], values['model'],
                 values['serial_number'])
        self.worker.wake()

    # --- inside ---

    def _seal(self, opened: dict[str, Any], storage_id: str, driver_class: type) -> dict[str, Any]:
        """The form for the database: extra attributes stay readable unless they are secret."""
        secret = access_info.secret_attributes(options_of(driver_class), opened.get(access_info.EXTRA))
        columns = ('vendor', 'model', 'storage_name', *access_info.ACCESS_TYPE, access_info.EXTRA)
        sealed = access_info.seal(opened, storage_id, self._keyring, lambda name: name in secret)
        return {name: sealed.get(name) for name in columns}

    def _load_access(self, storage_id: str) -> dict[str, Any]:
        with self._database.read() as connection:
            sealed = storages.access(connection, storage_id)
        return access_info.unseal(sealed, storage_id, self._keyring)

    def _note_quarantine(self, storage_id: str, until: datetime | None) -> None:
        storages.set_quarantine(self._database, storage_id, until.astimezone(UTC) if until else None)


def _verify(conf: cfg.ConfigOpts) -> bool | str:
    """What drivers are told about certificates: verify them, with the system's CAs or the configured ones."""
    path = conf.drivers.ca_path
    if path and not Path(path).exists():
        raise exception.InvalidConfiguration(f'[drivers] ca_path: {path} does not exist')
    return path or True


def _limits(conf: cfg.ConfigOpts) -> Limits:
    return Limits(
        interactive_seconds=conf.drivers.interactive_timeout_seconds,
        metrics_seconds=conf.drivers.metrics_timeout_seconds,
        bulk_seconds=conf.drivers.inventory_timeout_seconds,
        quarantine_min_seconds=conf.drivers.quarantine_min_seconds,
        quarantine_max_seconds=conf.drivers.quarantine_max_seconds)
