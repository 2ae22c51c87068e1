# SPDX-License-Identifier: Apache-2.0
"""What an exporter is. Third parties derive from one of the classes below, or just have its method `dispatch`.

An exporter of alerts is declared as an entry point of the group `delfin.alert.exporters` and selected in
`[alerts] exporters`, one of metrics in `delfin.performance.exporters` and `[metrics] exporters`. Their methods are
called by one thread at a time, on one node at a time; those of a `MetricsListenerBase` on every node, by several
threads.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final, Self

from oslo_config import cfg

from delfin.common.constants import metric_struct
from delfin.context import RequestContext
from delfin.db import Database
from delfin.metrics import Owner

# What may have happened to an alert.
RAISED: Final = 'raised'
CHANGED: Final = 'changed'              # its severity
ACKNOWLEDGED: Final = 'acknowledged'
CLEARED: Final = 'cleared'
HAPPENED: Final = 'event'               # nothing that stands and is cleared, it has only happened


class DeliveryFailed(Exception):
    """The receiver did not take it this time. The text is logged and shown by the API: no secret in it."""


class EventRefused(DeliveryFailed):
    """The receiver will not take this.

    `final`: it is no use to try again, for it is the events that it refuses. Otherwise they are tried several times
    over some minutes, for it may be a mistake in somebody's configuration.
    """

    def __init__(self, reason: str, *, final: bool) -> None:
        super().__init__(reason)
        self.final = final


class BaseExporter(abc.ABC):
    """Is handed what there is to export."""

    @classmethod
    def create(cls, conf: cfg.ConfigOpts) -> Self:
        """An exporter with what it needs of the configuration; `InvalidConfiguration` says in a line what is missing.

        Also called when `dispatch` did not return in time: the next call goes to a new exporter.
        """
        return cls()

    @abc.abstractmethod
    def dispatch(self, ctxt: RequestContext, data: list[Any]) -> None:
        """Deliver. What it is given is delivered when it returns; when it raises, it is given the same again."""


class AlertExporterBase(BaseExporter):
    """Takes what happens to alerts, in order, up to 100 events a call, at least once.

    `data` has one dict for each: the fields of the alert (`alert_id`, `alert_name`, `severity`, `category`, `type`,
    `sequence_number`, `match_key`, `resource_type`, `location`, `occur_time` in epoch ms, `description`,
    `recovery_advice`, `clear_category`; None where nobody knows), those of its storage (`storage_id`, `storage_name`,
    `vendor`, `model`, `serial_number`), its life (`id`, `state`, `count`, and as RFC 3339 text or None
    `first_seen_at`, `last_seen_at`, `acknowledged_at`, `cleared_at`; `note`, `cleared_by`), and of what happened
    `event`, `event_at` and `event_id`, which is the same however often the event is delivered.

    When an alert is cleared, its `category` is 'Recovery' and its `occur_time` that of the end.
    """

    # Those it wants to hear of. Who does not know `event` would take an acknowledged alert for one more fault.
    EVENTS: ClassVar[frozenset[str]] = frozenset({RAISED, CHANGED, CLEARED, HAPPENED})


class AlertFeedBase(abc.ABC):
    """Takes the whole state, every minute and soon after something has happened. What it missed does not matter."""

    @classmethod
    def create(cls, conf: cfg.ConfigOpts) -> Self:
        """See `BaseExporter.create`."""
        return cls()

    @abc.abstractmethod
    def tell(self, ctxt: RequestContext, alerts: Sequence[Mapping[str, Any]], moment: datetime) -> None:
        """All alerts that stand and are not muted, and those cleared in the last 15 minutes, as the API shows them.

        `moment` is now by the clock of the database, as all times of alerts are.
        """


class PerformanceExporterBase(BaseExporter):
    """Takes metrics, those of one array in the order of time, some thousand points a call, at least once.

    `data` is a flat list of `metric_struct(name, labels, values)`: `values` maps epoch milliseconds to numbers (finite,
    in the unit of the metric, times ascending), `labels` has `storage_id`, `resource_type`, `resource_id` (the array's
    own id of it), `resource_name` (absent where nobody knows), `type` (`RAW`), `unit`, and of the storage `name`,
    `serial_number`, `vendor` and `model`. A series is (`storage_id`, `resource_type`, `resource_id`, name, `type`).
    After a crash points may come again; they are the same by series and time. Leave the labels as they are.
    """

    @abc.abstractmethod
    def dispatch(self, ctxt: RequestContext, data: list[metric_struct]) -> None:
        """See `BaseExporter.dispatch`."""


class MetricsListenerBase(abc.ABC):
    """One on every task service, told of the metrics that this node collects, at once and without a queue.

    What is collected while it is away, or while it raises, it has missed. Called by several threads: be quick.
    """

    @classmethod
    def create(cls, conf: cfg.ConfigOpts) -> Self:
        """See `BaseExporter.create`."""
        return cls()

    def start(self, database: Database) -> None:
        """Begin; `InvalidConfiguration` if that cannot be (an address in use, for example)."""
        return None

    def stop(self, timeout_seconds: float) -> None:
        """End; also if it was never started."""
        return None

    @abc.abstractmethod
    def collected(self, owner: Owner, resource_type: str, series: Sequence[metric_struct],
                  interval_seconds: float) -> None:
        """Points of all metrics of one resource type of one array, as in `PerformanceExporterBase`; the next ones are
        to be expected after the interval. Given once more when a window is collected again.
        """

    def forget(self, storage_id: str) -> None:
        """The array is another node's now, or nobody's."""
        return None
