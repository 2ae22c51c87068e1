# SPDX-License-Identifier: Apache-2.0
"""What of an array's metrics is to be collected now: half-open windows [start, end) in epoch ms by the array's clock.

All that is remembered is one mark for each resource type: everything before it is collected. What follows from marks,
capabilities and the time is computed here, so that a restart, a move to another node, or new capabilities need no
repair.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from delfin.capabilities import Capabilities
from delfin.metrics import Gap, Mark

# Why there are no metrics of some time.
RETENTION: Final = 'retention'              # the array keeps its points for a shorter time than it could not be asked
NOT_HISTORIC: Final = 'not_historic'        # the array keeps none: who does not ask in time has missed them

_LONGEST_MS = 3_600_000         # of one call, unless twelve intervals are more: answers stay small after an outage
_LONGEST_INTERVALS = 12
_SET_BACK_MS = 3_600_000        # further behind what was collected no array lags: its clock was set back


class Window(NamedTuple):
    """One call. `start` may lie before the mark of none of its types; a call that reads what is measured at its own
    moment has no `end`.
    """

    resource_types: tuple[str, ...]
    start: int
    end: int | None


class Plan(NamedTuple):
    """What to do; `more` says that it does not reach up to now; `set_back` whose marks lie in the array's future."""

    windows: list[Window]
    gaps: list[Gap]
    more: bool
    set_back: list[str]


def plan(resource_types: Collection[str], marks: Mapping[str, Mark], capabilities: Capabilities, interval_ms: int,
         end: int, now: float) -> Plan:
    """What to collect up to `end` (epoch ms by the array's clock) of what may be tried at `now` (epoch s, ours).

    Types that are equally far go into one call. One that has just failed gets a call of its own: it may be what made
    the others fail.
    """
    groups: dict[tuple[int, str], list[str]] = defaultdict(list)
    gaps, set_back = [], []
    for resource_type in resource_types:
        mark = marks.get(resource_type)
        if mark is not None and mark.retry_at > now:
            continue
        if mark is None:
            start = end - interval_ms
        elif mark.until > end + max(_SET_BACK_MS, 2 * interval_ms):
            set_back.append(resource_type)
            start = end - interval_ms
        elif mark.until >= end:
            continue
        else:
            start, gap = _begin(resource_type, mark.until, capabilities, interval_ms, end)
            if gap is not None:
                gaps.append(gap)
        groups[start, resource_type if mark is not None and mark.failures else ''].append(resource_type)
    longest = max(_LONGEST_MS, _LONGEST_INTERVALS * interval_ms)
    if not capabilities.is_historic:
        return Plan([Window(tuple(names), start, None) for (start, _), names in groups.items()], gaps, False, set_back)
    windows = [Window(tuple(names), start, min(end, start + longest)) for (start, _), names in groups.items()]
    return Plan(windows, gaps, any(window.end != end for window in windows), set_back)


def _begin(resource_type: str, until: int, capabilities: Capabilities, interval_ms: int,
           end: int) -> tuple[int, Gap | None]:
    """Where to go on, and what is lost."""
    if capabilities.is_historic:
        oldest, reason = end - capabilities.retention_seconds * 1000, RETENTION
    else:
        # Asked every interval; a little late is no loss, for the next point stands for the time since the last one.
        oldest, reason = (end - interval_ms, NOT_HISTORIC) if until < end - 2 * interval_ms else (until, NOT_HISTORIC)
    if until >= oldest:
        return until, None
    return oldest, Gap(resource_type, until, oldest, reason)


def reached(window: Window, newest: int | None, asked_at: int, interval_ms: int, end_is_certain: bool) -> int:
    """The mark after a window was collected, whose newest point is `newest` and which was asked for at `asked_at`.

    Where the array did not say itself how far it has got, what has come last is the measure, for some arrays show
    points late; without any, two intervals are left to be asked for again.
    """
    if window.end is None:
        return asked_at if newest is None else newest + 1
    if end_is_certain:
        return window.end
    late = window.end - 2 * interval_ms
    return max(window.start, min(window.end, max(late, -1 if newest is None else newest + 1)))


def retry_seconds(failures: int, interval_seconds: int, capabilities: Capabilities) -> float:
    """The pause after so many failures in a row: growing, but short enough that the array still has what was missed."""
    first = capabilities.retry_seconds or min(interval_seconds, 60)
    longest = max(first, interval_seconds, 900)
    if capabilities.is_historic:
        longest = max(first, min(longest, capabilities.retention_seconds // 4))
    return float(min(longest, first * 2 ** min(failures - 1, 20)))
