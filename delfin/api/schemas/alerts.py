# SPDX-License-Identifier: Apache-2.0
"""What can be said of alerts: an acknowledgement, a clearing, a time."""

from __future__ import annotations

from typing import Any

import fastjsonschema

from delfin import exception
from delfin.api.schemas.check import checked, integers
from delfin.db.alert_feeds import Window
from delfin.kinds import BIGINT_MAX

_TIME = {'type': ['integer', 'null'], 'minimum': 0, 'maximum': BIGINT_MAX}

ACKNOWLEDGE: dict[str, Any] = {
    'type': ['object', 'null'],
    'properties': {'note': {'type': ['string', 'null'], 'maxLength': 4096, 'description': 'what is being done'}},
    'additionalProperties': False,
}
CLEAR: dict[str, Any] = {
    'type': ['object', 'null'],
    'properties': {'force': {'type': 'boolean', 'description': 'clear it here only, the array is not asked'}},
    'additionalProperties': False,
}
SYNC: dict[str, Any] = {
    'type': ['object', 'null'],
    'properties': {
        'begin_time': {**_TIME, 'description': 'only alerts from then on, epoch ms; without bounds all'},
        'end_time': {**_TIME, 'description': 'only alerts until then, epoch ms; not before begin_time'},
    },
    'additionalProperties': False,
}

_validate_acknowledge = fastjsonschema.compile(ACKNOWLEDGE)
_validate_clear = fastjsonschema.compile(CLEAR)
_validate_sync = fastjsonschema.compile(SYNC)


def acknowledgement(body: Any) -> str | None:
    """The note in the body of `POST /v1/alerts/{id}/acknowledge`; an empty one is none."""
    return checked(_validate_acknowledge, {} if body is None else body).get('note') or None


def clearing(body: Any) -> bool:
    """Whether the body of `POST /v1/alerts/{id}/clear` wants the array left alone."""
    return bool(checked(_validate_clear, {} if body is None else body).get('force', False))


def sync_request(body: Any) -> Window:
    """The body of `POST /v1/storages/{id}/alerts/sync`."""
    given = integers(checked(_validate_sync, {} if body is None else body))
    return window(given.get('begin_time'), given.get('end_time'))


def window(begin: int | None, end: int | None) -> Window:
    """Both bounds belong to it; `InvalidInput` for one that ends before it begins."""
    if begin is not None and end is not None and end < begin:
        raise exception.InvalidInput('end_time must not be before begin_time.')
    return Window(begin, end)
