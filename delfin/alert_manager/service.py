# SPDX-License-Identifier: Apache-2.0
"""The alert service as a part of a process: receives notifications, makes alerts of them, hands alerts on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from oslo_config import cfg
from sqlalchemy.exc import SQLAlchemyError

from delfin import alerts as model
from delfin import rpc
from delfin.alert_manager import sockets
from delfin.alert_manager.interpreter import Interpreter
from delfin.alert_manager.lanes import Lanes
from delfin.alert_manager.probe import Prober
from delfin.alert_manager.receiver import Receiver
from delfin.alert_manager.rejected import Rejected
from delfin.alert_manager.sockets import Listener, Reader
from delfin.alert_manager.sources import Sources
from delfin.alert_manager.spool import Spool
from delfin.common.text import first_line
from delfin.context import RequestContext, get_admin_context
from delfin.db import Database, alerts, engine, statistics, traps
from delfin.drivers.manager import DriverManager
from delfin.exporter.runner import Runner
from delfin.service import Parts
from delfin.task_manager.rpcapi import TaskAPI
from delfin.version import version_string

LOG = logging.getLogger(__name__)

SPOOL = 'traps.sqlite'

_KEEPING_SECONDS = 5.0          # so often counters are stored
_RETENTION_SECONDS = 600.0
_DELETE_ROWS = 1000
_FORGET_SPOOLS_SECONDS = 90 * 86400.0
_ENDED = (model.CLEARED, model.EVENT, model.RECOVERY)


class AlertManager:
    """RPC endpoint of the alert service (see `delfin.alert_manager.rpcapi` for the caller's side)."""

    target = rpc.messaging.Target(version=rpc.VERSION)

    def __init__(self, host: str, on_sources_changed: Callable[[], None]) -> None:
        self._host, self._on_sources_changed = host, on_sources_changed

    def ping(self, context: RequestContext) -> dict[str, Any]:
        """A sign of life."""
        return {'host': self._host, 'version': version_string()}

    def sources_changed(self, context: RequestContext) -> None:
        """The SNMP configuration in the database has changed: the next datagram is judged by the new one."""
        self._on_sources_changed()


class AlertService:
    """RPC server, reception, lanes, probes, exporters and what cleans up behind them."""

    name = 'alert'

    def __init__(self, parts: Parts, drivers: DriverManager | None = None) -> None:
        conf, database = parts.conf, parts.database
        self._runner = Runner(conf, database)
        self._tasks = TaskAPI(parts.rpc, database)
        self._rejected = Rejected()
        self.sources = Sources(database, parts.keyring, conf.alerts.resolve_interval_seconds, self._sources_changed)
        self._prober = Prober(database, parts.keyring, conf.alerts.probe_interval_seconds, self._runner.wake,
                              self.sources.wake)
        self._keeper = _Keeper(database, self._rejected, conf.alerts.keep_days, self._tell_drops)
        self._server = parts.rpc.server(rpc.ALERT_TOPIC, [AlertManager(conf.host, self._configuration_changed)])
        self._conf, self._database = conf, database
        self._interpreter = Interpreter(drivers or DriverManager(), lambda: self.sources.table, self._parse_at_owner)
        self._reception: Reception | None = None

    def start(self) -> None:
        """Receive first; the rest may wait for a database or a broker."""
        addresses = [sockets.parse_address(text) for text in self._conf.alerts.listen]
        self.sources.start()
        if addresses:
            self._reception = Reception(self._conf, self._database, self.sources, self._interpreter, self._rejected,
                                        sockets.open_sockets(addresses, self._conf.alerts.receive_buffer_mb * 2**20),
                                        self._ring, self._runner.wake)
            self._reception.start()
        self._prober.start()
        self._runner.start()
        self._keeper.start()
        self._server.start()

    def stop(self, timeout_seconds: float) -> None:
        """What was received and not yet stored waits in the spool."""
        deadline = time.monotonic() + timeout_seconds
        if self._reception is not None:
            self._reception.stop(timeout_seconds)
        self._prober.stop()
        self._runner.stop(max(0.0, deadline - time.monotonic()))
        self.sources.stop()
        self._keeper.stop()
        self._server.stop()

    @property
    def ports(self) -> list[int]:
        """Where notifications are received."""
        return [] if self._reception is None else [listener.port for listener in self._reception.listeners]

    def _sources_changed(self) -> None:
        if self._reception is not None:
            self._reception.receiver.forget_pins()

    def _configuration_changed(self) -> None:
        try:
            self.sources.load()
        except SQLAlchemyError:
            self.sources.wake()         # it tells, and tries again
        self._prober.wake()

    def _tell_drops(self) -> None:
        if self._reception is not None:
            self._reception.tell_drops()

    def _ring(self) -> None:
        self._tasks.look_for_work(get_admin_context())

    def _parse_at_owner(self, storage_id: str, trap: dict[str, str]) -> Any:
        return self._tasks.parse_alert(get_admin_context(), storage_id, trap)


class Reception:
    """From the sockets to the database."""

    def __init__(self, conf: cfg.ConfigOpts, database: Database, sources: Sources, interpreter: Interpreter,
                 rejected: Rejected, listeners: Sequence[Listener], ring: Callable[[], None],
                 on_change: Callable[[], None]) -> None:
        self.listeners = listeners
        self._told_drops = 0
        self._buffer_bytes = conf.alerts.receive_buffer_mb * 2**20
        self._spool = Spool(str(Path(conf.state_path) / SPOOL), conf.alerts.spool_max_rows)
        self._lanes = Lanes(self._spool, database, interpreter, node=conf.host,
                            parse_timeout_seconds=conf.alerts.parse_timeout_seconds,
                            keep_failed=conf.alerts.keep_failed_traps, ring=ring, on_change=on_change,
                            refuse=lambda host: rejected.note(host, 'malformed'))
        self.reader = Reader(listeners, lambda host: rejected.note(host, 'too_long'))
        self.receiver = Receiver(self.reader, sources, self._spool, rejected, on_stored=self._lanes.wake,
                                 pin=sources.pin)

    def start(self) -> None:
        """Begin."""
        self._lanes.start()
        self.receiver.start()
        LOG.info('receiving traps at %s', ', '.join(map(str, self.listeners)))

    def stop(self, timeout_seconds: float) -> None:
        """Keep what has arrived, then end."""
        self.receiver.stop()
        self._lanes.stop(timeout_seconds)
        self.tell_drops()
        for listener in self.listeners:
            listener.close()
        self._spool.close()


    def tell_drops(self) -> None:
        """Say so when the kernel had to throw datagrams away."""
        drops = self.reader.drops()
        lost, self._told_drops = drops - self._told_drops, max(drops, self._told_drops)
        if lost > 0:
            LOG.error('%d datagrams were lost because the receive buffers were full: raise them ([alerts] '
                      'receive_buffer_mb, and sysctl -w net.core.rmem_max=%d)', lost, self._buffer_bytes)


class _Keeper:
    """Stores what was refused, deletes what is old, renews statistics of tables. `look()` is called as often."""

    def __init__(self, database: Database, rejected: Rejected, keep_days: int, look: Callable[[], None]) -> None:
        self._database, self._rejected, self._keep_days, self._look = database, rejected, keep_days, look
        self._retention_at = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name='alert-keeper', daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after storing what is there."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while True:
            ending = self._stopping.wait(_KEEPING_SECONDS)
            try:
                self._look()
                self._store_rejected()
                if not ending:
                    self._tidy()
            except SQLAlchemyError as error:
                LOG.warning('counters of refused traps are stored later; is the database up? %s', first_line(error))
            except Exception:       # it must go on
                LOG.exception('keeping order')
            if ending:
                return

    def _tidy(self) -> None:
        if time.monotonic() >= self._retention_at:
            self._delete_old()
            self._retention_at = time.monotonic() + _RETENTION_SECONDS
        statistics.renew(self._database)

    def _store_rejected(self) -> None:
        counts = self._rejected.drain()
        if not counts:
            return
        rows = [traps.Count(count.address, count.reason, count.count, _moment(count.first_at), _moment(count.last_at))
                for count in counts]
        try:
            self._database.attempt(lambda connection: traps.add_rejected(connection, rows), 'rejected')
        except SQLAlchemyError:
            self._rejected.give_back(counts)
            raise

    def _delete_old(self) -> None:
        deleted = _DELETE_ROWS
        while deleted == _DELETE_ROWS and not self._stopping.is_set():
            with self._database.write('retention') as connection:
                before = engine.now(connection) - timedelta(days=self._keep_days)
                deleted = alerts.delete_old(connection, _ENDED, before, _DELETE_ROWS)
        with self._database.write('retention') as connection:
            traps.forget_marks(connection, _FORGET_SPOOLS_SECONDS)
            traps.forget_rejected(connection, engine.now(connection) - timedelta(days=self._keep_days))


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
