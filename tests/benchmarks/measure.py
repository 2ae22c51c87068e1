# SPDX-License-Identifier: Apache-2.0
"""Taking turns and medians: what a noisy machine leaves comparable."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

_WARM_UP = 3


@dataclass(frozen=True)
class Comparison:
    """Delfin against a floor, in milliseconds. `parts` says where Delfin's time goes."""

    what: str
    engine: str
    against: str
    floor: float
    delfin: float
    target: float
    parts: Mapping[str, float] = field(default_factory=dict)

    title: str = 'the list'         # what the parts are parts of
    ratios: tuple[float, ...] = ()      # of each round; without them the medians are compared

    @property
    def ratio(self) -> float:
        """How many times the floor."""
        return statistics.median(self.ratios) if self.ratios else self.delfin / self.floor

    @property
    def verdict(self) -> str:
        """Whether the target is met; open when the rounds disagree."""
        return verdict(self.ratio, self.ratios, self.target)


@dataclass(frozen=True)
class Figure:
    """One number against a limit of its own. `basis` says what the limit is made of, or what lies behind the number."""

    what: str
    engine: str
    measured: float
    unit: str
    limit: float
    basis: str = ''
    rounds: tuple[float, ...] = ()

    @property
    def verdict(self) -> str:
        """Whether the limit is kept; open when the rounds disagree."""
        return verdict(self.measured, self.rounds, self.limit)


def verdict(value: float, rounds: Sequence[float], limit: float) -> str:
    """'met' or 'missed', with a question mark when not all rounds say so: the machine was too busy to tell."""
    word = 'met' if value <= limit else 'missed'
    return word if all((one <= limit) == (value <= limit) for one in rounds) else f'{word}?'


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the values that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def medians(calls: Mapping[str, Callable[[], object]], rounds: int, block: int = 1) -> dict[str, float]:
    """Median milliseconds of each call. The calls take turns, `block` times each, so that a bad moment hits all."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(_WARM_UP):
            call()
    for _ in range(rounds):
        for name, call in calls.items():
            for _ in range(block):
                started = time.perf_counter()
                call()
                times[name].append((time.perf_counter() - started) * 1000)
    return {name: statistics.median(values) for name, values in times.items()}
