# SPDX-License-Identifier: Apache-2.0
"""What Prometheus calls our metrics: names in base units, or those that users of SODA Delfin know.

Base units are seconds, bytes and ratios. Values are converted here and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from delfin.common.constants import ResourceType
from delfin.common.text import clean
from delfin.metrics import METRICS, RAW, VENDOR_NAME, VENDOR_PREFIX

Labels = tuple[tuple[str, str], ...]
"""Names and values, by name; values are never empty."""

GAUGE: Final = 'gauge'
COUNTER: Final = 'counter'

_OF_VENDOR = "A metric of the vendor's own"
_BOUNDARY = re.compile(r'(?<=[a-z0-9])(?=[A-Z])')
_ESCAPES = str.maketrans({'\\': r'\\', '\n': r'\n', '"': r'\"'})


@dataclass(frozen=True, slots=True)
class Family:
    """A metric of Prometheus. Its values are ours `times` a factor `per` another (two, so that 5 ms are 0.005 s)."""

    name: str
    help: str
    kind: str = GAUGE
    times: int = 1
    per: int = 1


class Names(Protocol):
    """One of the two ways."""

    labels_tell_unit: bool      # so that they differ between the metrics of a resource

    def family(self, resource_type: str, metric: str, unit: str) -> Family | None:
        """What a metric is called; None for one that Delfin does not know."""

    def labels(self, labels: Mapping[str, str]) -> Labels:
        """Those of a series, from labels as in `PerformanceExporterBase`."""


# --- names of our own ---

_UNITS: Final[Mapping[str, tuple[str, str, int, int]]] = {
    # unit: what is added to the name, to the help, times, per
    'IOPS': ('', '', 1, 1),
    'MB/s': ('_bytes_per_second', ' in bytes', 2**20, 1),
    'ms': ('_seconds', ' in seconds', 1, 1000),
    'KB': ('_bytes', ' in bytes', 1024, 1),
    '%': ('_ratio', ', 0 to 1', 1, 100),
}


class OwnNames:
    """`delfin_volume_read_response_time_seconds` and the like."""

    labels_tell_unit = False

    def __init__(self) -> None:
        self._known = {(resource_type, metric): _own_family(resource_type, metric)
                       for resource_type in ResourceType.ALL for metric in METRICS}

    def family(self, resource_type: str, metric: str, unit: str) -> Family | None:
        """See `Names`."""
        known = self._known.get((resource_type, metric))
        if known is None and VENDOR_NAME.fullmatch(metric):
            # As the vendor spells it: two that differ in that only must not become one.
            name = f'delfin_{_snake(resource_type)}_vendor_{metric.removeprefix(VENDOR_PREFIX)}'
            return Family(name, f'{_OF_VENDOR}, in {unit}.' if unit else f'{_OF_VENDOR}.')
        return known

    def labels(self, labels: Mapping[str, str]) -> Labels:
        """See `Names`."""
        kind = labels.get('type', RAW)
        return ordered({'resource_id': labels['resource_id'], 'resource_name': labels.get('resource_name'),
                        'storage_id': labels['storage_id'], 'storage_name': labels.get('name'),
                        'type': None if kind == RAW else kind})

    def table(self) -> Iterable[tuple[str, str, Family]]:
        """(resource type, metric, what it is called) of all that have a name and a unit."""
        return ((resource_type, metric, family) for (resource_type, metric), family in self._known.items())


def _own_family(resource_type: str, metric: str) -> Family:
    known = METRICS[metric]
    suffix, in_unit, times, per = _UNITS[known.unit]
    name = f'delfin_{_snake(resource_type)}_{_snake(metric).removesuffix(suffix)}{suffix}'
    return Family(name, f'{known.description}{in_unit}.', GAUGE, times, per)


def _snake(name: str) -> str:
    return _BOUNDARY.sub('_', name).lower()


# --- names of SODA Delfin ---

class SodaNames:
    """`volume_readResponseTime` in the units of drivers, which a label tells."""

    labels_tell_unit = True

    def family(self, resource_type: str, metric: str, unit: str) -> Family | None:
        """See `Names`."""
        known = METRICS.get(metric)
        if known is None and not VENDOR_NAME.fullmatch(metric):
            return None
        return Family(f'{resource_type}_{metric}', f'{known.description if known else _OF_VENDOR}.')

    def labels(self, labels: Mapping[str, str]) -> Labels:
        """See `Names`."""
        return ordered({'storage_id': labels['storage_id'], 'storage_name': labels.get('name'),
                        'storage_sn': labels.get('serial_number'), 'resource_type': labels['resource_type'],
                        'resource_id': labels['resource_id'], 'type': labels.get('type', RAW),
                        'unit': labels.get('unit'), 'value_type': labels.get('value_type', GAUGE)})


NAMES: Final[Mapping[str, type[OwnNames] | type[SodaNames]]] = {'delfin': OwnNames, 'soda': SodaNames}


# --- labels ---

def ordered(labels: Mapping[str, str | None]) -> Labels:
    """Those that say something, by name."""
    return tuple((name, clean(value)) for name, value in sorted(labels.items()) if value)


def written(labels: Labels) -> str:
    """As they stand between braces in the text format."""
    return ','.join([f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels])
