# SPDX-License-Identifier: Apache-2.0
"""What is believed of the points that a driver returned.

A point is kept when it belongs to something that was asked for, its number is finite, its time lies in the window and
its series has none of that time yet. Everything else is ignored and counted. Hundreds of thousands of points a minute
come through here, nearly all as they should be: these are looked at as a whole, the others one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

from delfin import coerce
from delfin import findings as code
from delfin.common.constants import metric_struct
from delfin.common.text import clean, printable
from delfin.findings import Findings
from delfin.metrics import KINDS_OF, RAW, Owner

_LABELS = frozenset({'storage_id', 'resource_type', 'resource_id', 'resource_name', 'type', 'unit', 'name',
                     'serial_number', 'value_type'})
_INTEGERS = {int}
_FLOATS = {float}
_MOST = 2.0**63     # of an integer, or it could not be handed on
_DEPTH = 3      # of lists in lists


class Series:
    """What was kept of one resource type: `series`, the number of `points`, how many of them are of resources that the
    inventory does not know, and the time of the newest.
    """

    __slots__ = ('base', 'by_key', 'end', 'names', 'newest', 'points', 'series', 'start', 'units', 'unknown')

    def __init__(self, owner: Owner, resource_type: str, units: Mapping[str, str], start: int, end: int,
                 names: Mapping[str, str | None] | None) -> None:
        self.units, self.start, self.end, self.names = units, start, end, names
        self.base = {'storage_id': owner.storage_id, 'name': owner.name, 'serial_number': owner.serial_number,
                     'vendor': owner.vendor, 'model': owner.model, 'resource_type': resource_type, 'type': RAW}
        self.series: list[metric_struct] = []
        self.by_key: dict[tuple[str, str, str], metric_struct] = {}
        self.points = self.unknown = 0
        self.newest: int | None = None


class Reader:
    """Reads one answer of `collect_perf_metrics`.

    `wanted` is the `resource_metrics` that were asked for, `[start, end)` the window in epoch ms; `names` the
    inventory's names by native id for each resource type (None: no inventory to compare with).
    """

    def __init__(self, owner: Owner, wanted: Mapping[str, Mapping[str, Mapping[str, str]]], start: int, end: int,
                 names: Mapping[str, Mapping[str, str | None] | None], findings: Findings) -> None:
        self.found = {resource_type: Series(
            owner, resource_type, {metric: facts['unit'] for metric, facts in metrics.items()}, start, end,
            names.get(resource_type) if KINDS_OF[resource_type] else None)
            for resource_type, metrics in wanted.items()}
        self._findings = findings

    def read(self, answer: Iterable[Any]) -> None:
        """Keep what is good in it. Its entries may be of any type."""
        found = self.found
        for entry in answer:
            try:
                metric, labels, values = entry
                known = found[labels['resource_type']]
                resource_id = labels['resource_id']
                unit = known.units[metric]
                key = (resource_id, metric, labels.get('type', RAW))
                if len(values) == 1:
                    (newest, value), = values.items()
                    good = (type(newest) is int and known.start <= newest < known.end
                            and (type(value) is float and isfinite(value)
                                 or type(value) is int and -_MOST < value < _MOST))
                else:
                    times = list(values)
                    good = (set(map(type, times)) == _INTEGERS and times == sorted(times)
                            and known.start <= times[0] and times[-1] < known.end
                            and set(map(type, values.values())) == _FLOATS and all(map(isfinite, values.values())))
                    newest = times[-1] if good else 0
                if not good or type(resource_id) is not str or not resource_id or not resource_id.isprintable() \
                        or key in known.by_key or labels.get('unit', unit) != unit or not labels.keys() <= _LABELS:
                    self._read_slowly(entry)
                    continue
            except Exception:       # objects of third-party code
                self._read_slowly(entry)
                continue
            self._keep(known, key, unit, labels, values, newest)

    def _keep(self, known: Series, key: tuple[str, str, str], unit: str, labels: Mapping[str, Any],
              values: dict[int, float], newest: int) -> None:
        resource_id, metric, kind = key
        kept = {**known.base, 'resource_id': resource_id, 'unit': unit}
        name = labels.get('resource_name')
        if name and not (type(name) is str and name.isprintable()):
            name = printable(name)
        if known.names is not None:
            if resource_id in known.names:
                name = name or known.names[resource_id]
            else:
                known.unknown += len(values)
                self._findings.add(code.UNKNOWN_RESOURCE, kept['resource_type'], resource_id)
        if name:
            kept['resource_name'] = name
        if kind != RAW:
            kept['type'] = kind
        entry = metric_struct(metric, kept, values)
        known.by_key[key] = entry
        known.series.append(entry)
        known.points += len(values)
        if known.newest is None or newest > known.newest:
            known.newest = newest

    # --- what is not as it should be ---

    def _read_slowly(self, entry: Any, depth: int = 0) -> None:
        try:
            if depth < _DEPTH and isinstance(entry, list | tuple) and not _is_series(entry):
                for each in entry:
                    self._read_slowly(each, depth + 1)
                return
            self._read_one(entry)
        except Exception as error:      # values are objects of third-party code
            self._findings.add(code.NOT_A_SERIES, example=type(error).__name__)

    def _read_one(self, entry: Any) -> None:
        findings = self._findings
        try:
            metric, labels, values = entry
        except (TypeError, ValueError):
            findings.add(code.NOT_A_SERIES, example=type(entry).__name__)
            return
        if not isinstance(labels, Mapping) or not isinstance(values, Mapping):
            findings.add(code.NOT_A_SERIES, str(metric), 'labels and values must be dicts')
            return
        resource_type = labels.get('resource_type')
        known = self.found.get(resource_type) if isinstance(resource_type, str) else None
        if known is None or not isinstance(metric, str) or metric not in known.units:
            findings.add(code.UNASKED_METRIC, f'{resource_type}.{metric}')
            return
        resource_id = labels.get('resource_id')
        resource_id = printable(resource_id).strip() if isinstance(resource_id, str | int) else ''
        if not resource_id:
            findings.add(code.NO_NATIVE_ID, f'{resource_type}.{metric}')
            return
        unit = known.units[metric]
        given = labels.get('unit')
        if given is not None and str(given).strip().lower() != unit.lower():
            findings.add(code.WRONG_UNIT, f'{resource_type}.{metric}', given)
            return
        for label in labels.keys() - _LABELS:
            findings.add(code.UNKNOWN_LABEL, coerce.text_of(label))
        column = f'{resource_type}.{metric}'
        kind = labels.get('type')
        key = (resource_id, metric, clean(kind) if isinstance(kind, str) and kind else RAW)
        before = known.by_key.get(key)
        good = self._good(known, column, values, before.values if before is not None else {})
        if not good:
            return
        if before is None:
            self._keep(known, key, unit, labels, good, max(good))
            return
        merged = dict(sorted({**before.values, **good}.items()))
        before.values.clear()
        before.values.update(merged)
        known.points += len(good)
        known.newest = max(known.newest or 0, max(good))

    def _good(self, known: Series, column: str, values: Mapping[Any, Any],
              before: Mapping[int, Any]) -> dict[int, float]:
        good: dict[int, float] = {}
        for time, value in values.items():
            moment, number = _integer(time), _number(value)
            if moment is None or number is None:
                self._findings.add(code.NOT_FINITE, column, f'{time!r}: {value!r}')
            elif not known.start <= moment < known.end:
                self._findings.add(code.OUTSIDE_WINDOW, column, moment)
            elif moment in before or moment in good:
                self._findings.add(code.REPEATED_POINT, column, moment)
            else:
                good[moment] = number
        return dict(sorted(good.items()))


def _is_series(entry: Sequence[Any]) -> bool:
    return len(entry) == 3 and isinstance(entry[1], Mapping)


def _integer(value: Any) -> int | None:
    number = _number(value)
    return None if number is None or number != int(number) else int(number)


def _number(value: Any) -> float | None:
    """A finite int or float of whatever stands for one; None for everything else, a boolean included."""
    if isinstance(value, bool):
        return None
    if type(value) is int and -_MOST < value < _MOST:
        return value
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if isfinite(number) else None
