# SPDX-License-Identifier: Apache-2.0
"""What a driver says that can be measured, read so that a wrong entry costs that entry and nothing else.

    {'is_historic': True, 'performance_metric_retention_window': 86400, 'collect_interval': 300,
     'failed_job_collect_interval': 60,
     'resource_metrics': {'volume': {'iops': {'unit': 'IOPS', 'description': '…'}}}}

Also taken: a list of names in place of the inner dict, and a dict of such documents by firmware version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from delfin import coerce
from delfin import findings as code
from delfin.common.text import clean
from delfin.findings import Findings
from delfin.metrics import KINDS_OF, METRICS, UNIT_LENGTH, VENDOR_NAME, VENDOR_PREFIX

_HISTORIC = 'is_historic'
_RETENTION = 'performance_metric_retention_window'
_INTERVAL = 'collect_interval'
_RETRY = 'failed_job_collect_interval'
_METRICS = 'resource_metrics'
_KEYS = frozenset({_HISTORIC, _RETENTION, _INTERVAL, _RETRY, _METRICS})

_DESCRIPTION_LENGTH = 255
_DEFAULT_RETENTION_SECONDS = 86_400         # of arrays that keep points and do not say for how long
_VERSION = re.compile(r'\d+(?:\.\d+)*')

Metrics = dict[str, dict[str, dict[str, str]]]      # resource type: metric: {'unit', 'description'}


@dataclass(frozen=True)
class Capabilities:
    """What of an array can be measured. `interval_seconds` and `retry_seconds` are None where the driver is silent."""

    is_historic: bool = False
    retention_seconds: int = _DEFAULT_RETENTION_SECONDS
    interval_seconds: int | None = None
    retry_seconds: int | None = None
    resource_metrics: Metrics = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As the driver should have said it: what is shown and stored. `read` takes it back without a finding."""
        seconds = {_RETENTION: self.retention_seconds, _INTERVAL: self.interval_seconds, _RETRY: self.retry_seconds}
        return {_HISTORIC: self.is_historic, **{name: value for name, value in seconds.items() if value is not None},
                _METRICS: self.resource_metrics}

    def selected(self, selection: Mapping[str, Any] | None) -> Metrics:
        """What somebody wants of it: `{resource type: [metric, …] or None for all of them}`; None is everything."""
        if selection is None:
            return self.resource_metrics
        found: Metrics = {}
        for resource_type, metrics in self.resource_metrics.items():
            if resource_type in selection:
                names = selection[resource_type]
                some = {name: entry for name, entry in metrics.items() if names is None or name in names}
                if some:
                    found[resource_type] = some
        return found


def read(spec: Any, firmware_version: str | None = None) -> tuple[Capabilities, Findings]:
    """What `get_capabilities` returned, as far as it can be understood, and what was wrong with it."""
    found = Findings()
    if isinstance(spec, Mapping) and not _KEYS & spec.keys():
        spec = _of_version(spec, firmware_version, found)
    if not isinstance(spec, Mapping):
        if spec is not None:
            found.add(code.NOT_A_DOCUMENT, example=type(spec).__name__)
        return Capabilities(), found
    for key in spec.keys() - _KEYS:
        found.add(code.UNKNOWN_KEY, column=coerce.text_of(key))
    historic = spec.get(_HISTORIC)
    return Capabilities(
        is_historic=bool(coerce.boolean(historic, _HISTORIC, found)) if historic is not None else False,
        retention_seconds=_seconds(spec, _RETENTION, found) or _DEFAULT_RETENTION_SECONDS,
        interval_seconds=_seconds(spec, _INTERVAL, found),
        retry_seconds=_seconds(spec, _RETRY, found),
        resource_metrics=_resource_metrics(spec.get(_METRICS), found)), found


def _of_version(spec: Mapping[Any, Any], firmware_version: str | None, found: Findings) -> Any:
    """Of documents keyed by version the newest that is not newer than the array's; the oldest where all are."""
    versions = sorted((tuple(map(int, text[0].split('.'))), key) for key, document in spec.items()
                      if isinstance(document, Mapping) and (text := _VERSION.findall(str(key))))
    if not versions:
        return spec if spec else None
    found.add(code.VERSION_KEYED, example=', '.join(str(key) for _, key in versions))
    present = _VERSION.search(firmware_version or '')
    wanted = tuple(map(int, present[0].split('.'))) if present else ()
    # 9.10.1 is of 9.1's line only by its text: numbers are compared, as many of them as the key has.
    fitting = [key for version, key in versions if not wanted or version <= wanted]
    return spec[fitting[-1] if fitting else versions[0][1]]


def _seconds(spec: Mapping[str, Any], key: str, found: Findings) -> int | None:
    value = spec.get(key)
    number = None if value is None else coerce.whole_number(value, key, found)
    if number == 0:
        found.add(code.NOT_A_NUMBER, key, value)
    return number or None


def _resource_metrics(given: Any, found: Findings) -> Metrics:
    if not isinstance(given, Mapping):
        if given is not None:
            found.add(code.NOT_A_DOCUMENT, _METRICS, type(given).__name__)
        return {}
    known = {name.lower(): name for name in KINDS_OF}
    result: Metrics = {}
    for name, metrics in given.items():
        resource_type = known.get(str(name).lower())
        if resource_type is None:
            found.add(code.UNKNOWN_RESOURCE_TYPE, coerce.text_of(name))
            continue
        entries = dict(_entries(resource_type, metrics, found))
        if entries:
            result[resource_type] = entries
    return result


def _entries(resource_type: str, metrics: Any, found: Findings) -> Iterator[tuple[str, dict[str, str]]]:
    if isinstance(metrics, list | tuple | set | frozenset):
        metrics = dict.fromkeys(metrics)
    if not isinstance(metrics, Mapping):
        found.add(code.NOT_A_DOCUMENT, resource_type, type(metrics).__name__)
        return
    for name, facts in metrics.items():
        column = f'{resource_type}.{coerce.text_of(name)}'
        facts = facts if isinstance(facts, Mapping) else {}
        unit, description = facts.get('unit'), facts.get('description')
        unit = clean(unit).strip() if isinstance(unit, str) else None
        description = clean(description)[:_DESCRIPTION_LENGTH] if isinstance(description, str) else ''
        if name in METRICS:
            standard = METRICS[name]
            if unit is not None and unit.lower() != standard.unit.lower():
                found.add(code.WRONG_UNIT, column, unit)
                continue
            yield name, {'unit': standard.unit, 'description': description or standard.description}
        elif isinstance(name, str) and name.startswith(VENDOR_PREFIX) and VENDOR_NAME.fullmatch(name):
            if not unit or len(unit) > UNIT_LENGTH:
                found.add(code.WRONG_UNIT, column, unit)
                continue
            yield name, {'unit': unit, 'description': description}
        else:
            found.add(code.UNKNOWN_METRIC, column)
