# SPDX-License-Identifier: Apache-2.0
"""Metrics as they were: what is asked (`Query`), what comes back (`Series`), and who answers (`Reader`).

`store.py` keeps the points that a node has collected in files of its own, `promql.py` reads them from where they were
exported to. Both answer the same question in the same units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from delfin import exception

# Of one answer. A week of one series at one point a minute fits, and a message of 0.5 MB.
MOST_POINTS: Final = 12_000

_STEPS: Final = (60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 7 * 86400)


@dataclass(frozen=True, slots=True)
class Query:
    """Points of one resource type of a storage with `start_ms` <= time < `end_ms`.

    Without `metrics` or `resource_ids` (the array's own ids) all of them. With a step the mean of each bucket, which
    begins at a multiple of the step since the epoch; the first one begins at or before `start_ms` and is whole.
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

    def buckets(self, step_ms: int) -> int:
        """How many buckets of this length the time touches."""
        return (self.end_ms - 1) // step_ms - self.start_ms // step_ms + 1

    def check(self, series: int) -> None:
        """`InvalidInput` when so many series with this step cannot be one answer."""
        if series > MOST_POINTS or self.step_ms and series * self.buckets(self.step_ms) > MOST_POINTS:
            raise self.too_much(series)

    def too_much(self, series: int) -> exception.InvalidInput:
        """The error that says which step would fit."""
        fits = next((seconds for seconds in _STEPS if series * self.buckets(seconds * 1000) <= MOST_POINTS), None)
        hint = (f'a step of {fits} seconds fits' if fits
                else 'name fewer metrics or resources (metric, resource_id), or a shorter time')
        return exception.InvalidInput(
            f'That are {series} series and more than {MOST_POINTS} points, the most of one answer; {hint}.')


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
        """As the API shows it, and as it travels."""
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
