# SPDX-License-Identifier: Apache-2.0
"""What this process counts of its own work, for whoever shows it (the exporter prometheus does).

`PROCESS` is the one of a process, as a process has one memory and one set of threads; tests make their own.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Final

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from delfin.version import version_string

_SECONDS = (0.01, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)

# "When it was created" beside each counter is of no use to anybody and doubles what is scraped.
prometheus_client.disable_created_metrics()     # type: ignore[no-untyped-call, unused-ignore]


class OwnMetrics:
    """Counters and histograms. Any thread may call any method."""

    def __init__(self) -> None:
        self.registry: Final = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        Gauge('delfin_build_info', 'The Delfin that runs here.', ['version', 'python'], registry=self.registry).labels(
            version_string(), platform.python_version()).set(1)
        self._collections = Counter('delfin_metrics_collections_total', 'Collections of metrics, by how they ended.',
                                    ['state'], registry=self.registry)
        self._points = Counter('delfin_metrics_points_total', 'Points of metrics handed to exporters.',
                               registry=self.registry)
        self._rejected = Counter('delfin_metrics_points_rejected_total',
                                 'What drivers returned as metrics and nobody can use.', ['reason'],
                                 registry=self.registry)
        self._seconds = Histogram('delfin_metrics_collection_seconds', 'How long an array took for one collection.',
                                  buckets=_SECONDS, registry=self.registry)
        self._lateness = Histogram('delfin_metrics_lateness_seconds',
                                   'How long after it was due a collection began.', buckets=_SECONDS,
                                   registry=self.registry)
        self._refused = Counter('delfin_remote_write_refused_points_total',
                                'Points of metrics that the receiver of remote write will not take.',
                                registry=self.registry)
        self._missing = Counter('delfin_history_missing_points_total',
                                'Points of metrics that are not in the history of this node.', registry=self.registry)
        self._abandoned = Counter('delfin_driver_calls_abandoned_total',
                                  'Calls of drivers that did not return by their deadline.', registry=self.registry)

    def collection(self, storage_id: str, state: str, seconds: float, late_seconds: float, points: int,
                   rejected: Mapping[str, int]) -> None:
        """See `Observer` of the collection. States and reasons are few words, and become labels."""
        self._collections.labels(state).inc()
        self._seconds.observe(seconds)
        self._lateness.observe(late_seconds)
        self._points.inc(points)
        for reason, number in rejected.items():
            self._rejected.labels(reason).inc(number)

    def points_refused(self, number: int) -> None:
        """The receiver of remote write will never take so many points."""
        self._refused.inc(number)

    def points_missing(self, number: int) -> None:
        """So many points could not be kept in the history."""
        self._missing.inc(number)

    def driver_call_abandoned(self) -> None:
        """A driver did not return."""
        self._abandoned.inc()


PROCESS: Final = OwnMetrics()
