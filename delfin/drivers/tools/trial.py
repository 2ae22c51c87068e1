# SPDX-License-Identifier: Apache-2.0
"""`delfin-driver try`: every method of a driver called once, through Delfin's own door and with its own reading of the
answers, but without service or database. Nothing is changed on the array.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from delfin import access as access_info
from delfin import alerts, capabilities, coerce, exception
from delfin import findings as code
from delfin.access import Access
from delfin.capabilities import Capabilities
from delfin.common.constants import metric_struct
from delfin.common.masking import Masker
from delfin.drivers.api import Door, Lane
from delfin.drivers.manager import DriverManager, options_of
from delfin.findings import Findings
from delfin.kinds import KINDS, Kind, Table
from delfin.metrics import KINDS_OF, Owner
from delfin.task_manager.sync.inventory import rows_by_table, storage_values
from delfin.task_manager.telemetry.points import Reader

STORAGE_ID = '00000000-0000-4000-8000-000000000000'     # of no storage that there is

OK, FAILED, ABSENT = 'ok', 'failed', 'absent'

_OWNER = 'trial'
_WINDOW_SECONDS = 600       # of metrics, before the newest sample
_LISTED_FIRST = ('name', 'status', 'type')
_MOST_COLUMNS = 6
_SHOWN_SERIES = 5


@dataclass
class Step:
    """One method: how it went, what came, what was odd about it."""

    method: str
    state: str = OK
    seconds: float = 0.0
    rows: int | None = None
    error: str | None = None
    shown: Sequence[Mapping[str, Any]] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)

    def view(self) -> dict[str, Any]:
        """The JSON form."""
        return {'method': self.method, 'state': self.state, 'seconds': round(self.seconds, 3), 'rows': self.rows,
                'error': self.error, 'findings': self.findings, 'examples': list(self.shown)}


class Trial:
    """Tries a driver on the array that `access` leads to; `examples` rows of each answer are kept."""

    def __init__(self, drivers: DriverManager, access: Access, *, examples: int = 3,
                 clock: Callable[[], float] = time.time) -> None:
        self.masker = Masker()
        # For as long as anything is written of it; the door forgets them with the array.
        self.masker.learn(_OWNER, access_info.secrets(access, options_of(
            drivers.get_class(access['vendor'], access['model']))))
        self._door = Door(drivers, lambda storage_id: access, masker=self.masker)
        self._access, self._examples, self._clock = access, examples, clock
        self._owner = Owner(STORAGE_ID, '', access['vendor'], access['model'], '')
        self._able = Capabilities()
        self._native_ids: dict[str, set[Any]] = {}
        self._references: dict[str, tuple[str, str, list[Any]]] = {}

    def run(self) -> Iterator[Step]:
        """The steps, as they are made. The driver is logged out at the end."""
        try:
            first = self._step('get_storage', self._storage)
            yield first
            if first.state != OK:     # what is wrong is wrong with the others, too; more logins may lock the account
                return
            for kind in KINDS:
                yield self._step(kind.method, functools.partial(self._kind, kind))
            yield self._references_of()
            yield self._step('list_alerts', self._alerts)
            yield self._step('get_alert_sources', self._senders)
            yield self._step('get_capabilities', self._capabilities)
            if self._able.resource_metrics:
                yield self._step('collect_perf_metrics', self._metrics)
        finally:
            self._door.forget(STORAGE_ID)
            self._door.stop()

    def _step(self, method: str, body: Callable[[Step], Findings]) -> Step:
        step = Step(method)
        started = time.monotonic()
        try:
            step.findings = body(step).listing()
        except NotImplementedError:
            step.state = ABSENT
        except exception.DelfinException as error:
            step.state, step.error = FAILED, f'{error.error_code}: {error.msg}'
        step.seconds = time.monotonic() - started
        return step

    def _ask(self, method: str, *args: Any, lane: Lane = Lane.BULK) -> Any:
        return self._door.call(STORAGE_ID, method, *args, lane=lane)

    def _storage(self, step: Step) -> Findings:
        found = Findings()
        values = storage_values(self._door.discover(self._access, STORAGE_ID), found)
        step.rows = 1
        step.shown = [_given(values)]
        return found

    def _kind(self, kind: Kind, step: Step) -> Findings:
        found = Findings()
        with self._door.answer(STORAGE_ID, kind.method, lane=Lane.BULK) as answer:
            for table, rows in rows_by_table(kind, answer):
                count, shown = self._rows(table, rows, found)
                if table is kind.table:
                    step.rows, step.shown = count, shown
        return found

    def _rows(self, table: Table, rows: Iterable[Any], found: Findings) -> tuple[int, list[dict[str, Any]]]:
        reader = coerce.RowReader(table)
        seen: set[Any] = set()
        shown: list[dict[str, Any]] = []
        references = {column.name: column.refers_to for column in table.columns if column.refers_to}
        named: dict[str, set[Any]] = {column: set() for column in references}
        for row in rows:
            try:
                key, values = reader.read(row, found)
            except coerce.Rejected:
                continue
            if key in seen:
                found.add(code.REPEATED_NATIVE_ID, table.key[0], key)
                continue
            seen.add(key)
            for column, targets in named.items():
                targets.add(values[column])
            if len(shown) < self._examples:
                shown.append(_given(values))
        self._native_ids[table.name] = seen
        for column, kind in references.items():
            if kind is not None:
                self._references[f'{table.name}.{column}'] = column, kind, list(named[column] - {None})
        return len(seen), shown

    def _references_of(self) -> Step:
        """What names a resource that the array does not list."""
        step = Step('references between the lists')
        found = Findings()
        for where, (_, kind, targets) in self._references.items():
            lost = [target for target in targets if target not in self._native_ids[kind]] \
                if kind in self._native_ids else []
            if lost:
                found.add_many(code.DANGLING_REFERENCE, where, len(lost), lost[0])
        step.findings = found.listing()
        return step

    def _alerts(self, step: Step) -> Findings:
        found = Findings()
        step.rows = 0
        shown: list[dict[str, Any]] = []
        for row in self._ask('list_alerts', None, lane=Lane.INTERACTIVE) or ():
            values = alerts.parsed(row, found).values
            step.rows += 1
            if len(shown) < self._examples:
                shown.append(_given(values))
        step.shown = shown
        return found

    def _senders(self, step: Step) -> Findings:
        rows = list(self._ask('get_alert_sources', lane=Lane.INTERACTIVE) or ())
        step.rows, step.shown = len(rows), rows[:self._examples]
        return Findings()

    def _capabilities(self, step: Step) -> Findings:
        self._able, found = capabilities.read(self._ask('get_capabilities', None, lane=Lane.INTERACTIVE))
        if not self._able.resource_metrics:
            raise NotImplementedError
        step.shown = [{'resource_type': resource_type, 'metrics': ', '.join(metrics)}
                      for resource_type, metrics in self._able.resource_metrics.items()]
        step.rows = len(step.shown)
        return found

    def _metrics(self, step: Step) -> Findings:
        found = Findings()
        wanted = self._able.resource_metrics
        newest = self._newest()
        now = int(self._clock() * 1000)
        end = (newest if newest is not None else now) if self._able.is_historic else now
        start = end - _WINDOW_SECONDS * 1000
        answer = self._ask('collect_perf_metrics', STORAGE_ID, wanted, start, end, lane=Lane.METRICS)
        if answer is None:
            raise exception.InvalidResults('collect_perf_metrics returned None, not a list')
        names = {resource_type: dict.fromkeys(self._native_ids.get(kind or '', ())) if kind else None
                 for resource_type, kind in KINDS_OF.items()}
        # What is measured at the moment of the answer comes after the question.
        limit = end if self._able.is_historic else int(self._clock() * 1000) + _WINDOW_SECONDS * 1000
        reader = Reader(self._owner, wanted, start, limit, names, found)
        reader.read(answer)
        series = [each for kept in reader.found.values() for each in kept.series]
        step.rows = sum(kept.points for kept in reader.found.values())
        step.shown = [_point(each) for each in _one_of_each(series)][:max(self._examples, _SHOWN_SERIES)]
        return found

    def _newest(self) -> int | None:
        try:
            return self._ask('get_latest_perf_timestamp', lane=Lane.METRICS)
        except NotImplementedError:
            return None


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of a row."""
    return {name: value for name, value in values.items() if value is not None and name != 'fingerprint'}


def _one_of_each(series: Iterable[metric_struct]) -> Iterator[metric_struct]:
    seen = set()
    for each in series:
        if (each.labels['resource_type'], each.name) not in seen:
            seen.add((each.labels['resource_type'], each.name))
            yield each


def _point(series: metric_struct) -> dict[str, Any]:
    newest = max(series.values)
    return {'resource_type': series.labels['resource_type'], 'resource_id': series.labels['resource_id'],
            'metric': series.name, 'newest': f'{series.values[newest]:g} {series.labels["unit"]}',
            'points': len(series.values)}


# --- the page ---

def page(step: Step) -> str:
    """A step for people."""
    if step.state == ABSENT:
        return f'{step.method:28} not implemented'
    if step.state == FAILED:
        return f'{step.method:28} FAILED after {step.seconds:.2f} s\n    {step.error}'
    counted = '' if step.rows is None else f'{step.rows} row{"s" * (step.rows != 1)}, '
    lines = [f'{step.method:28} ok ({counted}{step.seconds:.2f} s)']
    if len(step.shown) == 1 and step.method == 'get_storage':
        lines += [f'    {name:20} {_text(value)}' for name, value in step.shown[0].items()]
    elif step.shown:
        lines += [f'    {line}' for line in table(step.shown, (step.rows or 0) > len(step.shown))]
    lines += [f'  ! {finding["code"]}' + (f' in {finding["column"]}' if finding['column'] else '')
              + f', {finding["count"]} times' * (finding['count'] > 1)
              + (f', for example {finding["example"]}' if finding['example'] else '') for finding in step.findings]
    return '\n'.join(lines)


def table(rows: Sequence[Mapping[str, Any]], more: bool = False) -> list[str]:
    """Rows in columns; as many as people can read."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    names.sort(key=lambda name: not (name.startswith('native_') or name in _LISTED_FIRST))
    names = names[:_MOST_COLUMNS]
    cells = [names, *([_text(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(line[number]) for line in cells) for number in range(len(names))]
    lines = ['  '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return [*lines, '…'] if more else lines


def _text(value: Any) -> str:
    text = '' if value is None else str(value)
    return text if len(text) <= 40 else f'{text[:39]}…'
