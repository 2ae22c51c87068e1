# SPDX-License-Identifier: Apache-2.0
"""Expressions that dashboards and rules share. `kind` is `storage`, `storage_pool` or `filesystem`."""

from __future__ import annotations

from typing import Final

# One value an hour of the last week: with all values, some thousand pools are more than Prometheus loads for one query.
_WEEK: Final = '[7d:1h]'


def used_ratio(kind: str, where: str = '') -> str:
    """Used capacity, 0 to 1."""
    return f'delfin_{kind}_used_bytes{where} / (delfin_{kind}_capacity_bytes{where} > 0)'


def growth(kind: str, where: str = '') -> str:
    """Bytes that are used more, each second, by the trend of the last week; begins after two hours."""
    return f'deriv(delfin_{kind}_used_bytes{where}{_WEEK})'


def days_to_full(kind: str, where: str = '') -> str:
    """Days until nothing is free, if it goes on like this; nothing for what does not grow."""
    return f'delfin_{kind}_free_bytes{where} / ({growth(kind, where)} > 0) / 86400'


def quantile(share: float, histogram: str) -> str:
    """What this share of the last observations of all nodes does not exceed."""
    return f'histogram_quantile({share:g}, sum by (le, instance) (rate({histogram}_bucket[15m])))'
