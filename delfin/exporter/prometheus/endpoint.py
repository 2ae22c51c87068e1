# SPDX-License-Identifier: Apache-2.0
"""The exporter `prometheus`: every task service shows what it collects at a port of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final, Self

from oslo_config import cfg
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from delfin.common.constants import metric_struct
from delfin.db import Database
from delfin.exporter.base_exporter import MetricsListenerBase
from delfin.exporter.prometheus.exposition import Exposition
from delfin.exporter.prometheus.fleet import READ_SECONDS, Fleet
from delfin.exporter.prometheus.names import NAMES
from delfin.exporter.prometheus.server import Answer, Server
from delfin.exposure import METRICS, Endpoint
from delfin.metrics import Owner
from delfin.own_metrics import PROCESS, OwnMetrics

CONTENT_TYPE: Final = 'text/plain; version=0.0.4; charset=utf-8'


class PrometheusEndpoint(MetricsListenerBase):
    """`/metrics`: the latest value of each series of this node's arrays, what is known of these arrays, and how this
    process fares.
    """

    def __init__(self, conf: cfg.ConfigOpts, own: OwnMetrics = PROCESS, *,
                 fleet_seconds: float = READ_SECONDS) -> None:
        self._conf, self._own, self._fleet_seconds = conf, own, fleet_seconds
        self._endpoint = Endpoint.of(conf, METRICS)
        self._exposition = Exposition(NAMES[conf.prometheus.names]())
        self._server = Server(conf, self._endpoint, self._answer,
                              answer_seconds=conf.prometheus.answer_timeout_seconds)
        self._fleet: Fleet | None = None
        self._registry = CollectorRegistry()
        self._scrapes = Counter('delfin_scrapes_total', 'How often /metrics was asked for.', registry=self._registry)
        self._seconds = Gauge('delfin_scrape_seconds', 'How long the last answer of /metrics took to make.',
                              registry=self._registry)
        Gauge('delfin_series', 'Series of metrics of arrays that are kept.', registry=self._registry).set_function(
            self._exposition.count)
        Gauge('delfin_inventory_age_seconds', 'Seconds since inventory and health of arrays were read from the '
              'database.', registry=self._registry).set_function(
            lambda: float('nan') if self._fleet is None else self._fleet.age())

    @classmethod
    def create(cls, conf: cfg.ConfigOpts) -> Self:
        """See `BaseExporter.create`."""
        return cls(conf)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, once it is started."""
        return self._server.address

    def start(self, database: Database) -> None:
        """See `MetricsListenerBase`."""
        self._server.start()
        self._fleet = Fleet(database, self._conf.host, self._conf.sync.interval_seconds, self._exposition,
                            seconds=self._fleet_seconds)
        self._fleet.start()
        self._endpoint.announce()

    def stop(self, timeout_seconds: float) -> None:
        """See `MetricsListenerBase`."""
        deadline = time.monotonic() + timeout_seconds
        self._server.stop(timeout_seconds)
        if self._fleet is not None:
            self._fleet.stop(max(0.0, deadline - time.monotonic()))

    def collected(self, owner: Owner, resource_type: str, series: Sequence[metric_struct],
                  interval_seconds: float) -> None:
        """See `MetricsListenerBase`."""
        self._exposition.collected(owner, resource_type, series, interval_seconds)
        if self._fleet is not None:
            self._fleet.expect(owner.storage_id)

    def forget(self, storage_id: str) -> None:
        """See `MetricsListenerBase`."""
        self._exposition.forget(storage_id)

    def _answer(self, path: str, takes_gzip: bool) -> Answer:
        if path == '/':
            return Answer.text(HTTPStatus.OK, 'Metrics of Delfin are at /metrics.')
        if path != '/metrics':
            return Answer.text(HTTPStatus.NOT_FOUND)
        begun = time.perf_counter()
        self._scrapes.inc()
        own = b''.join(generate_latest(registry) for registry in (self._own.registry, self._registry))
        headers: dict[str, Any] = {'Content-Type': CONTENT_TYPE, 'Vary': 'Accept-Encoding'}
        if takes_gzip:
            answer = Answer(HTTPStatus.OK, self._exposition.packed(own), {**headers, 'Content-Encoding': 'gzip'})
        else:
            answer = Answer(HTTPStatus.OK, self._exposition.plain(own), headers)
        self._seconds.set(time.perf_counter() - begun)
        return answer
