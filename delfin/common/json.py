# SPDX-License-Identifier: Apache-2.0
"""JSON by orjson: aware times become RFC 3339 with Z."""

from __future__ import annotations

from typing import Any

import orjson

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS

loads = orjson.loads
JSONDecodeError = orjson.JSONDecodeError


def dumps(value: Any) -> bytes:
    """UTF-8 JSON."""
    try:
        return orjson.dumps(value, option=orjson.OPT_UTC_Z)
    except TypeError:       # keys that are no text: rare, and looking for them makes every document slower
        return orjson.dumps(value, option=_OPTIONS)


def text(value: Any) -> str:
    """JSON as text."""
    return dumps(value).decode('utf-8')
