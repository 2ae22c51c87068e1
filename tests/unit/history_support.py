# SPDX-License-Identifier: Apache-2.0
"""A history of metrics whose clock stands still, and points for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from delfin.common.constants import metric_struct
from delfin.history import Query, Series
from delfin.history.store import History
from delfin.metrics import Owner

NOON = 1_793_880_000_000        # 2026-11-05T12:00:00Z
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
PATIENCE_SECONDS = 10
OWNER = Owner('storage-1', 'array', 'Example', 'X1', 'SN-1')


class Clock:
    """A clock that is moved by hand, in epoch ms."""

    def __init__(self, now: int = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now / 1000


def series(resource_id: str, values: Mapping[int, float], metric: str = 'iops', **labels: Any) -> metric_struct:
    """One series as it is collected."""
    return metric_struct(metric, {
        'storage_id': 'storage-1', 'resource_type': 'volume', 'resource_id': resource_id,
        'resource_name': f'volume {resource_id}', 'type': 'RAW', 'unit': 'IOPS', **labels}, dict(values))


@contextlib.contextmanager
def running(folder: Path, clock: Clock | None = None, **options: Any) -> Iterator[History]:
    """A history at work."""
    history = History(folder, clock=clock or Clock(), **options)
    history.start()
    try:
        yield history
    finally:
        history.stop(PATIENCE_SECONDS)


def put(history: History, *collected: metric_struct, owner: Owner = OWNER, resource_type: str = 'volume') -> None:
    """Hand over what was collected, and wait until it is written."""
    history.collected(owner, resource_type, collected, 60)
    assert history.wait_written(PATIENCE_SECONDS)


def ask(history: History, *metrics: str, start: int = NOON - 7 * DAY, end: int = NOON + HOUR, step: int | None = None,
        resources: tuple[str, ...] = (), storage_id: str = 'storage-1', resource_type: str = 'volume') -> list[Series]:
    """What the history has."""
    return list(history.query(Query(storage_id, resource_type, metrics, resources, start, end, step)))


def points(found: list[Series]) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """Points by resource and metric."""
    return {(one.resource_id, one.metric): one.points for one in found}
