# SPDX-License-Identifier: Apache-2.0
"""Finds the exporters that are selected in `[alerts]` and `[metrics] exporters` among those that packages declare."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.metadata import EntryPoint
from typing import Any

from oslo_config import cfg

from delfin import exception
from delfin.common.text import printable
from delfin.db import exports
from delfin.db.exports import Stream
from delfin.exporter import cargo
from delfin.exporter.base_exporter import AlertExporterBase, AlertFeedBase, MetricsListenerBase
from delfin.exporter.cargo import Cargo

_LONGEST_NAME = 64      # of the column


@dataclass(frozen=True)
class Group:
    """The exporters of one stream. `section` of the configuration has the options `exporters` and `export_queue_max`;
    `without_queue` are the classes of those that are not handed what is in the queue; `known_elsewhere` class names
    that configurations written for SODA Delfin select.
    """

    stream: Stream
    namespace: str
    section: str
    without_queue: type
    known_elsewhere: Mapping[str, str]

    @property
    def option(self) -> str:
        """The option as people write it."""
        return f'[{self.section}] exporters'

    def cargo(self, exporter_class: type) -> Cargo:
        """What an exporter of this class is handed."""
        if self.stream is exports.METRICS:
            return cargo.Metrics()
        return cargo.Alerts(frozenset(getattr(exporter_class, 'EVENTS', AlertExporterBase.EVENTS)))


ALERTS = Group(exports.ALERTS, 'delfin.alert.exporters', 'alerts', AlertFeedBase,
               {'AlertExporterExample': 'log', 'AlertExporterPrometheus': 'alertmanager'})
METRICS = Group(exports.METRICS, 'delfin.performance.exporters', 'metrics', MetricsListenerBase,
                {'PerformanceExporterExample': 'log', 'PerformanceExporterPrometheus': 'prometheus'})


@dataclass(frozen=True, slots=True)
class Selected:
    """A selected exporter by the name of its entry point."""

    name: str
    exporter_class: type
    group: Group = ALERTS

    @property
    def takes_events(self) -> bool:
        """Whether it is handed what is in the queue; otherwise it is a state feed, or a listener."""
        return not issubclass(self.exporter_class, self.group.without_queue)

    @property
    def cargo(self) -> Cargo:
        """What it is handed of the queue."""
        return self.group.cargo(self.exporter_class)

    def create(self, conf: cfg.ConfigOpts) -> Any:
        """A new one. `InvalidConfiguration` if it cannot be made."""
        make = getattr(self.exporter_class, 'create', None)
        try:
            return make(conf) if make is not None else self.exporter_class()
        except exception.InvalidConfiguration:
            raise
        except Exception as error:      # third-party code
            raise _unusable(self.group, self.name, error) from error


def select(conf: cfg.ConfigOpts, group: Group = ALERTS) -> list[Selected]:
    """What `exporters` names, each once. `InvalidConfiguration` for a name that nobody has declared."""
    declared = _declared(group)
    chosen: dict[str, Selected] = {}
    for wanted in conf[group.section].exporters:
        entry_point = _find(group, wanted, declared)
        if entry_point.name not in chosen:
            chosen[entry_point.name] = Selected(entry_point.name, _load(group, entry_point), group)
    return list(chosen.values())


def _declared(group: Group) -> dict[str, EntryPoint]:
    """By name. Of two with one name Delfin's own comes first, then by package name."""
    found: dict[str, EntryPoint] = {}
    for entry_point in sorted(metadata.entry_points(group=group.namespace), key=_rank):
        found.setdefault(entry_point.name, entry_point)
    return found


def _rank(entry_point: EntryPoint) -> tuple[bool, str, str]:
    package = entry_point.dist.name if entry_point.dist else ''
    return package != 'delfin', package, entry_point.value


def _find(group: Group, wanted: str, declared: dict[str, EntryPoint]) -> EntryPoint:
    if wanted in declared:
        return declared[wanted]
    for entry_point in declared.values():
        if entry_point.attr == wanted:
            return entry_point
    if group.known_elsewhere.get(wanted) in declared:
        return declared[group.known_elsewhere[wanted]]
    raise exception.InvalidConfiguration(
        f'{group.option}: there is no exporter {printable(wanted)!r}; installed are '
        f'{_list(sorted(declared)) or "none"}')


def _load(group: Group, entry_point: EntryPoint) -> type:
    """Third-party code runs here: it may raise anything, even SystemExit."""
    if len(entry_point.name) > _LONGEST_NAME:
        raise _unusable(group, entry_point.name, f'its name is longer than {_LONGEST_NAME} characters')
    try:
        exporter_class = entry_point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _unusable(group, entry_point.name, error) from None
    if not inspect.isclass(exporter_class):
        raise _unusable(group, entry_point.name, f'{entry_point.value} is no class')
    if issubclass(exporter_class, group.without_queue):
        return exporter_class
    if not callable(getattr(exporter_class, 'dispatch', None)):
        raise _unusable(group, entry_point.name, f'{entry_point.value} has no method dispatch(ctxt, data)')
    return exporter_class


def _unusable(group: Group, name: str, reason: object) -> exception.InvalidConfiguration:
    if isinstance(reason, BaseException):
        reason = f'{type(reason).__name__}: {printable(reason)}'.rstrip(': ')
    return exception.InvalidConfiguration(
        f'{group.option}: the exporter "{name}" cannot be used: {" ".join(str(reason).split())}')


def _list(names: Sequence[str]) -> str:
    return ', '.join(names)
