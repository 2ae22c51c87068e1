# SPDX-License-Identifier: Apache-2.0
"""Metrics as they were: what is asked (`Query`), what comes back (`Series`), and who answers (`Reader`).

`store.py` keeps the points that a node has collected in files of its own, `promql.py` reads them from where they were
exported to. Both answer the same question in the same units.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from delfin import exception
from delfin.common import json

# Of one answer, in which a series counts as some points for what is said of it. A week of three series at one point a
# minute fits, or two means of each of 5,000 volumes (an hour touches two).
MOST_POINTS: Final = 40_000
_OF_SERIES = 5

_STEPS: Final = (60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 7 * 86400)


@dataclass(frozen=True, slots=True)
class Query:
    """Points of one resource type of a storage with `start_ms` <= time < `end_ms`.

    Without `metrics` or `resource_ids` (the array's own ids) all of them. With a step the mean of each bucket that has
    some of this time; buckets begin at multiples of the step since the epoch, and all of them are whole.
    """

    storage_id: str
    resource_type: str
    metrics: tuple[str, ...]
    resource_ids: tuple[str, ...]
    start_ms: int
    end_ms: int
    step_ms: int | None = None

    @property
    def begin_ms(self) -> int:
        """Where reading begins: the start, or the bucket that it is in."""
        return self.start_ms - self.start_ms % self.step_ms if self.step_ms else self.start_ms

    @property
    def finish_ms(self) -> int:
        """Where reading finishes: the end, or that of the bucket that is begun by then."""
        return self.end_ms + -self.end_ms % self.step_ms if self.step_ms else self.end_ms

    def buckets(self, step_ms: int) -> int:
        """How many buckets of this length the time touches."""
        return (self.end_ms - 1) // step_ms - self.start_ms // step_ms + 1

    def check(self, series: int) -> None:
        """`InvalidInput` when so many series with this step cannot be one answer."""
        if not fits(series, series * (self.buckets(self.step_ms) if self.step_ms else 1)):
            raise self.too_much(series)

    def too_much(self, series: int) -> exception.InvalidInput:
        """The error that says which step would fit."""
        step = next((seconds for seconds in _STEPS if fits(series, series * self.buckets(seconds * 1000))), None)
        hint = (f'a step of {step} seconds fits' if step
                else 'name fewer metrics or resources (metric, resource_id), or a shorter time')
        return exception.InvalidInput(
            f'{series} series have more points in this time than one answer ({MOST_POINTS}); {hint}.')


def fits(series: int, points: int) -> bool:
    """Whether so much is not too much for one answer."""
    return points + _OF_SERIES * series <= MOST_POINTS


@dataclass(slots=True)
class Series:
    """Points of one metric of one resource, times (epoch ms) ascending, in the unit of the metric."""

    resource_type: str
    resource_id: str
    resource_name: str | None
    metric: str
    unit: str | None
    points: list[tuple[int, float]]

    def view(self) -> dict[str, Any]:
        """As the API shows it."""
        return {'resource_type': self.resource_type, 'resource_id': self.resource_id,
                'resource_name': self.resource_name, 'metric': self.metric, 'unit': self.unit,
                'points': [[moment, value] for moment, value in self.points]}


class Reader(Protocol):
    """Whoever knows points."""

    def query(self, wanted: Query) -> Sequence[Series]:
        """Series that have points there, by resource and metric. `InvalidInput`: more than an answer can have;
        `ServiceUnavailable`: cannot be read now.
        """


def ordered(found: Sequence[Series]) -> list[Series]:
    """In the order of answers, without empty ones."""
    return sorted((series for series in found if series.points),
                  key=lambda series: (series.resource_id, series.metric, series.unit or ''))


def packed(found: Iterable[Series]) -> str:
    """Series as they travel between services: many are alike, and a broker's messages should stay below 1 MB."""
    return base64.b64encode(zlib.compress(json.dumps([series.view() for series in found]), 1)).decode('ascii')


def unpacked(text: str) -> list[dict[str, Any]]:
    """What was `packed`, as the API shows it."""
    found: list[dict[str, Any]] = json.loads(zlib.decompress(base64.b64decode(text)))
    return found
