# SPDX-License-Identifier: Apache-2.0
"""Which alerts a caller of `list_alerts` wants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_alert_in_time_range(query_para: Mapping[str, Any] | None, occur_time: Any) -> bool:
    """Whether an alert of this time (epoch ms) lies between `begin_time` and `end_time`, both included.

    Without a query, and where a time is no number, it does. A bound that is absent or 0 does not count; a query without
    any other matches nothing.
    """
    if not query_para:
        return True
    try:
        begin, end = (int(query_para.get(name) or 0) for name in ('begin_time', 'end_time'))
        moment = int(occur_time)
    except (TypeError, ValueError, OverflowError):
        return True
    return bool(begin or end) and (not begin or moment >= begin) and (not end or moment <= end)
