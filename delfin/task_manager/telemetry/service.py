# SPDX-License-Identifier: Apache-2.0
"""The collection of metrics as a part of the task service: collector, scheduler, exporters and listeners."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence

from oslo_config import cfg

from delfin import own_metrics
from delfin.db import Database
from delfin.drivers.api import Door
from delfin.exporter import manager
from delfin.exporter.base_exporter import MetricsListenerBase
from delfin.exporter.runner import Runner
from delfin.task_manager.telemetry.collector import Collector, Settings
from delfin.task_manager.telemetry.scheduler import Telemetry

LOG = logging.getLogger(__name__)


class Exports:
    """Whom metrics are handed to. `InvalidConfiguration` when one of them cannot be made."""

    def __init__(self, conf: cfg.ConfigOpts, database: Database,
                 listeners: Sequence[MetricsListenerBase] = ()) -> None:
        chosen = manager.select(conf, manager.METRICS)
        self._database = database
        self.listeners = [*listeners, *(each.create(conf) for each in chosen if not each.takes_events)]
        self.runner = Runner(conf, database, group=manager.METRICS,
                             selected=[each for each in chosen if each.takes_events])

    def start(self) -> None:
        """Begin; listeners that cannot (an address in use) say so."""
        for listener in self.listeners:
            listener.start(self._database)
        self.runner.start()

    def stop(self, timeout_seconds: float) -> None:
        """End within the time-out."""
        deadline = time.monotonic() + timeout_seconds
        self.runner.stop(timeout_seconds)
        for listener in self.listeners:
            listener.stop(max(0.0, deadline - time.monotonic()))

    def forget(self, storage_id: str) -> None:
        """The array is not this node's any more."""
        for listener in self.listeners:
            try:
                listener.forget(storage_id)
            except Exception:       # third-party code
                LOG.exception('a listener for metrics failed')


class TelemetryService:
    """All of it, for the arrays that `holds` says are this node's; `listeners` besides those that are configured."""

    def __init__(self, conf: cfg.ConfigOpts, database: Database, door: Door, holds: Callable[[str], bool],
                 listeners: Sequence[MetricsListenerBase] = ()) -> None:
        settings = Settings(conf.metrics.enabled, conf.metrics.interval_seconds, conf.metrics.settle_seconds)
        self.exports = Exports(conf, database, listeners)
        collector = Collector(database, door, settings, self.exports.listeners, on_queued=self.exports.runner.wake)
        self._telemetry = Telemetry(
            database, conf.host, collector, settings, workers=conf.metrics.workers,
            poll_seconds=conf.sync.poll_interval_seconds, holds=holds, forget=self.exports.forget,
            observer=own_metrics.PROCESS)

    def start(self) -> None:
        """Begin."""
        self.exports.start()
        self._telemetry.start()

    def stop(self, timeout_seconds: float) -> None:
        """End. The door must refuse calls by now."""
        deadline = time.monotonic() + timeout_seconds
        self._telemetry.stop(timeout_seconds)
        self.exports.stop(max(0.0, deadline - time.monotonic()))

    def wake(self) -> None:
        """An array or a setting is new."""
        self._telemetry.wake()

    def lost(self, storage_ids: Collection[str]) -> None:
        """These arrays are not this node's any more."""
        self._telemetry.lost(storage_ids)
