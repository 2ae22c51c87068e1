# SPDX-License-Identifier: Apache-2.0
"""The task service: answers the API's calls and runs the worker."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oslo_config import cfg
from oslo_serialization import jsonutils

from delfin import access as access_info
from delfin import capabilities, exception, rpc
from delfin.common.masking import Masker
from delfin.context import RequestContext
from delfin.db import Database, alert_feeds, engine, runs, storages
from delfin.db.alert_feeds import Window
from delfin.drivers.api import Door, Lane, Limits
from delfin.drivers.manager import DriverManager, options_of
from delfin.drivers.verify import verify_for
from delfin.findings import Findings
from delfin.history import Query, packed
from delfin.history.store import History
from delfin.keyring import Keyring
from delfin.task_manager.alerting import Alerting
from delfin.task_manager.membership import Membership
from delfin.task_manager.sync.inventory import Inventory, storage_values
from delfin.task_manager.telemetry.service import TelemetryService
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
        # Under load the others' connections are all in use for seconds, and this node would be taken for dead.
        self._apart = database.apart()
        self.membership = Membership(conf, self._apart, keyring.key_ids, self._arrays_moved)
        self.door = Door(drivers, self._load_access, limits=_limits(conf), masker=masker,
                         verify=_verify(conf), on_quarantine=self._note_quarantine, admit=self.membership.admit,
                         isolation=conf.drivers.isolation)
        self._alerting = Alerting(database, self.door, keyring, masker)
        self.history = History.create(conf) if conf.history.keep_days else None
        self.worker = Worker(conf, database, self.door, Inventory(database, self.door, masker), self._alerting,
                             self.history)
        self.telemetry = TelemetryService(conf, database, self.door, self.membership.holds,
                                          [self.history] if self.history else [])

    def start(self) -> None:
        """Join the other nodes and begin to work."""
        self.membership.start()
        self.worker.start()
        self.telemetry.start()

    def stop(self, timeout_seconds: float) -> None:
        """Put work back, then leave."""
        deadline = time.monotonic() + timeout_seconds
        self.worker.stop(timeout_seconds)
        self.telemetry.stop(max(0.0, deadline - time.monotonic()))
        self.membership.stop(max(0.0, deadline - time.monotonic()))
        self._apart.close()

    # --- RPC ---

    def ping(self, context: RequestContext) -> dict[str, Any]:
        """A sign of life."""
        return {'host': self._conf.host, 'version': version_string()}

    def look_for_work(self, context: RequestContext) -> None:
        """The doorbell."""
        self.worker.wake()
        self.telemetry.wake()

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
            with self._database.write('register') as connection:
                # Sealed in here: a key that is dropped meanwhile waits for our commit, or we seal with its successor.
                sealed = self._seal(opened, storage_id, driver_class)
                storages.insert(connection, storage_id, values, sealed, self._conf.host)
                runs.request(connection, storage_id, (), runs.REGISTER)
                alert_feeds.request(connection, storage_id)
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
        self.membership.took(storage_id)
        self.worker.wake()
        self.telemetry.wake()

    @_expected
    def probe_storage(self, context: RequestContext, storage_id: str, access: dict[str, Any]) -> dict[str, Any]:
        """Log in and ask the array who it is, as a registration does, and leave again."""
        opened = access_info.unseal(access, storage_id, self._keyring)
        self._drivers.get_class(access['vendor'], access['model'])
        try:
            values = storage_values(self.door.discover(opened, storage_id, context=context), Findings())
        finally:
            self.door.forget(storage_id)
        with self._database.read() as connection:
            known = storages.by_serial_number(connection, values['serial_number'])
        return {**values, 'registered_as': known}

    @_expected
    def update_access_info(self, context: RequestContext, storage_id: str, access: dict[str, Any],
                           deadline: str) -> None:
        """Change how an array is reached, once it has answered with the registered serial number."""
        until = datetime.fromisoformat(deadline)
        self.membership.admit(storage_id)       # before anybody logs in
        with self._database.read() as connection:
            registered = storages.get(connection, storage_id)['serial_number']
        stored = self._readable_access(storage_id)
        merged = access_info.merge(stored, access_info.unseal(access, storage_id, self._keyring))
        driver_class = self._drivers.get_class(merged['vendor'], merged['model'])
        trial = f'{storage_id}/trial/{uuid.uuid4()}'        # a session beside the one in use
        try:
            values = storage_values(self.door.discover(merged, trial, context=context), Findings())
        finally:
            self.door.forget(trial)
        if values['serial_number'] != registered:
            raise exception.StorageSerialNumberMismatch(message=(
                f'The array answers with serial number {values["serial_number"]}, registered is {registered}; '
                'nothing was changed.'))
        with self._database.write('access') as connection:
            storages.require(connection, storage_id)
            self.membership.still_holds(connection, storage_id)
            storages.set_access(connection, storage_id, self._seal(merged, storage_id, driver_class))
            if engine.now(connection) >= until:
                raise exception.DriverCallTimeout('update_access_info', storage_id, '', message=(
                    'the array answered too late for the client; nothing was changed'))
        self.door.reset(storage_id)
        LOG.info('access information of storage %s changed', storage_id)

    @_expected
    def get_capabilities(self, context: RequestContext, storage_id: str) -> dict[str, Any]:
        """Ask the driver what of the array can be measured: `{'spec', 'findings'}`."""
        with self._database.read() as connection:
            row = storages.get(connection, storage_id)
        try:
            spec = self.door.call(storage_id, 'get_capabilities', {'firmware_version': row['firmware_version']},
                                  lane=Lane.INTERACTIVE, context=context)
        except NotImplementedError:
            spec = None
        if not spec:
            raise exception.StorageCapabilityNotSupported()
        if not isinstance(spec, dict):
            raise exception.InvalidStorageCapability(f'get_capabilities returned {type(spec).__name__}, not a dict')
        able, findings = capabilities.read(spec, row['firmware_version'])
        return {'spec': able.document(), 'findings': findings.listing()}

    @_expected
    def read_metrics(self, context: RequestContext, storage_id: str, resource_type: str, metrics: list[str],
                     resource_ids: list[str], start_ms: int, end_ms: int, step_ms: int | None) -> str:
        """What this node has collected; see `delfin.history`."""
        if self.history is None:
            raise exception.StorageCapabilityNotSupported(message=(
                'No history of metrics is kept ([history] keep_days is 0) and no prometheus_url is set there.'))
        return packed(self.history.query(Query(
            storage_id, resource_type, tuple(metrics), tuple(resource_ids), start_ms, end_ms, step_ms)))

    @_expected
    def list_alerts(self, context: RequestContext, storage_id: str, begin_time: int | None,
                    end_time: int | None) -> list[dict[str, Any]]:
        """The array's own list, as it is now."""
        try:
            return self._alerting.list_alerts(context, storage_id, Window(begin_time, end_time))
        except NotImplementedError:
            raise exception.StorageCapabilityNotSupported(
                message='The driver of this storage does not list alerts.') from None

    @_expected
    def clear_alert(self, context: RequestContext, storage_id: str, sequence_number: str) -> None:
        """Clear an alert on the array and here."""
        self._alerting.clear_alert(context, storage_id, sequence_number)

    @_expected
    def push_trap_config(self, context: RequestContext, storage_id: str, host: str, port: int, remove: bool) -> None:
        """Tell the array where to send traps, or to stop that."""
        self._alerting.push_trap_config(context, storage_id, host, port, remove)

    @_expected
    def parse_alert(self, context: RequestContext, storage_id: str, alert: dict[str, str]) -> Any:
        """One trap, for a driver that needs its session to read it."""
        return jsonutils.to_primitive(self.door.parse_alert(storage_id, alert, context=context))

    @_expected
    def get_driver(self, context: RequestContext, vendor: str, model: str) -> dict[str, Any]:
        """One declared driver; what is wrong with it stands in `error`."""
        return self._drivers.describe(vendor, model)

    # --- inside ---

    def _seal(self, opened: dict[str, Any], storage_id: str, driver_class: type) -> dict[str, Any]:
        """The form for the database: extra attributes stay readable unless they are secret."""
        secret = access_info.secret_attributes(options_of(driver_class), opened.get(access_info.EXTRA))
        columns = ('vendor', 'model', 'storage_name', *access_info.ACCESS_TYPE, access_info.EXTRA)
        sealed = access_info.seal(opened, storage_id, self._keyring, lambda name: name in secret)
        return {name: sealed.get(name) for name in columns}

    def _readable_access(self, storage_id: str) -> dict[str, Any]:
        """What is stored; without its secrets when their key is lost, so that they can be entered anew."""
        try:
            return self._load_access(storage_id)
        except exception.SecretUnreadable as error:
            LOG.warning('%s; what is given now must do without it', error.msg)
        with self._database.read() as connection:
            return access_info.without_secrets(storages.access(connection, storage_id), masked=False)

    def _load_access(self, storage_id: str) -> dict[str, Any]:
        with self._database.read() as connection:
            sealed = storages.access(connection, storage_id)
        return access_info.unseal(sealed, storage_id, self._keyring)

    def _arrays_moved(self, gained: Collection[str], lost: Collection[str]) -> None:
        """The worker looks for what came; sessions to what went are closed, beside the thread that must go on beating.
        """
        if gained:
            storages.end_quarantines(self._database, gained)        # of an owner that is no more
            self.worker.wake()
            self.telemetry.wake()
        self.telemetry.lost(lost)
        for storage_id in lost:
            threading.Thread(target=self.door.forget, args=(storage_id,), name=f'leave-{storage_id[:8]}',
                             daemon=True).start()

    def _note_quarantine(self, storage_id: str, until: datetime | None) -> None:
        storages.set_quarantine(self._database, storage_id, until.astimezone(UTC) if until else None)


def _verify(conf: cfg.ConfigOpts) -> Callable[[access_info.Access], bool | str]:
    """What drivers are told about certificates: what the access section says, else the configured or system's CAs."""
    path = conf.drivers.ca_path
    if path and not Path(path).exists():
        raise exception.InvalidConfiguration(f'[drivers] ca_path: {path} does not exist')
    return lambda access: verify_for(access, path or True, Path(conf.state_path) / 'ca')


def _limits(conf: cfg.ConfigOpts) -> Limits:
    return Limits(
        interactive_seconds=conf.drivers.interactive_timeout_seconds,
        metrics_seconds=conf.drivers.metrics_timeout_seconds,
        bulk_seconds=conf.drivers.inventory_timeout_seconds,
        quarantine_min_seconds=conf.drivers.quarantine_min_seconds,
        quarantine_max_seconds=conf.drivers.quarantine_max_seconds)
