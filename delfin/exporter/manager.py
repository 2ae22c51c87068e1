# SPDX-License-Identifier: Apache-2.0
"""Finds the exporters that are selected in `[alerts] exporters` among those that packages declare."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.metadata import EntryPoint
from typing import Any

from oslo_config import cfg

from delfin import exception
from delfin.common.text import printable
from delfin.exporter.base_exporter import AlertFeedBase

NAMESPACE = 'delfin.alert.exporters'

# Class names that configurations written for SODA Delfin select.
_KNOWN_ELSEWHERE = {'AlertExporterExample': 'log', 'AlertExporterPrometheus': 'alertmanager'}
_LONGEST_NAME = 64      # of the column


@dataclass(frozen=True, slots=True)
class Selected:
    """A selected exporter by the name of its entry point."""

    name: str
    exporter_class: type

    @property
    def takes_events(self) -> bool:
        """Whether it takes events; otherwise it is a state feed."""
        return not issubclass(self.exporter_class, AlertFeedBase)

    def create(self, conf: cfg.ConfigOpts) -> Any:
        """A new one. `InvalidConfiguration` if it cannot be made."""
        make = getattr(self.exporter_class, 'create', None)
        try:
            return make(conf) if make is not None else self.exporter_class()
        except exception.InvalidConfiguration:
            raise
        except Exception as error:      # third-party code
            raise _unusable(self.name, error) from error


def select(conf: cfg.ConfigOpts) -> list[Selected]:
    """What `[alerts] exporters` names, each once. `InvalidConfiguration` for a name that nobody has declared."""
    declared = _declared()
    chosen: dict[str, Selected] = {}
    for wanted in conf.alerts.exporters:
        entry_point = _find(wanted, declared)
        if entry_point.name not in chosen:
            chosen[entry_point.name] = Selected(entry_point.name, _load(entry_point))
    return list(chosen.values())


def _declared() -> dict[str, EntryPoint]:
    """By name. Of two with one name Delfin's own comes first, then by package name."""
    found: dict[str, EntryPoint] = {}
    for entry_point in sorted(metadata.entry_points(group=NAMESPACE), key=_rank):
        found.setdefault(entry_point.name, entry_point)
    return found


def _rank(entry_point: EntryPoint) -> tuple[bool, str, str]:
    package = entry_point.dist.name if entry_point.dist else ''
    return package != 'delfin', package, entry_point.value


def _find(wanted: str, declared: dict[str, EntryPoint]) -> EntryPoint:
    if wanted in declared:
        return declared[wanted]
    for entry_point in declared.values():
        if entry_point.attr == wanted:
            return entry_point
    if _KNOWN_ELSEWHERE.get(wanted) in declared:
        return declared[_KNOWN_ELSEWHERE[wanted]]
    raise exception.InvalidConfiguration(
        f'[alerts] exporters: there is no exporter {printable(wanted)!r}; installed are '
        f'{_list(sorted(declared)) or "none"}')


def _load(entry_point: EntryPoint) -> type:
    """Third-party code runs here: it may raise anything, even SystemExit."""
    if len(entry_point.name) > _LONGEST_NAME:
        raise _unusable(entry_point.name, f'its name is longer than {_LONGEST_NAME} characters')
    try:
        exporter_class = entry_point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _unusable(entry_point.name, error) from None
    if not inspect.isclass(exporter_class):
        raise _unusable(entry_point.name, f'{entry_point.value} is no class')
    if issubclass(exporter_class, AlertFeedBase):
        return exporter_class
    if not callable(getattr(exporter_class, 'dispatch', None)):
        raise _unusable(entry_point.name, f'{entry_point.value} has no method dispatch(ctxt, data)')
    return exporter_class


def _unusable(name: str, reason: object) -> exception.InvalidConfiguration:
    if isinstance(reason, BaseException):
        reason = f'{type(reason).__name__}: {printable(reason)}'.rstrip(': ')
    return exception.InvalidConfiguration(
        f'[alerts] exporters: the exporter "{name}" cannot be used: {" ".join(str(reason).split())}')


def _list(names: Sequence[str]) -> str:
    return ', '.join(names)
