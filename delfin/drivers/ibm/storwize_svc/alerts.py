# SPDX-License-Identifier: Apache-2.0
"""The event log and traps. Both write times in the array's zone; the log also tells epochs, traps do not even name the
zone. So it is remembered here, for this process, from what an array last said of itself.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from delfin.common.alert_util import is_alert_in_time_range
from delfin.drivers.driver import Row
from delfin.drivers.ibm.storwize_svc import tables
from delfin.drivers.ibm.storwize_svc.session import Reply
from delfin.drivers.kit.delimited import Pairs, flat
from delfin.drivers.kit.traps import trap_oid

_LOG_TIME = '%y%m%d%H%M%S'
_HOUR_MS = 3_600_000
_LABEL = re.compile(r'#\s*([^=]+?)\s*=\s*(.*?)\s*', re.DOTALL)
_ERROR_ID, _ERROR_CODE, _TIMESTAMP = 'Error ID', 'Error Code', 'Timestamp'

# `Thu Nov 20 07:41:09 2025`, always in English, whatever the locale of this process is.
_MONTHS = {name: number for number, name in enumerate(
    ('Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'), 1)}
_TRAP_TIME = re.compile(r'[A-Za-z]{3} +([A-Z][a-z]{2}) +([0-9]{1,2}) +([0-9]{2}):([0-9]{2}):([0-9]{2}) +([0-9]{4})')

_ZONES_AT_MOST = 10_000
_zones: dict[str, tzinfo] = {}      # by storage
_lock = threading.Lock()


# --- time ---

def zone_of(system: Mapping[str, str]) -> tzinfo | None:
    """The array's zone, `time_zone` = `358 Europe/Berlin`; None if this machine does not know it."""
    name = system.get('time_zone', '').partition(' ')[2].strip()
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def remember(storage_id: str | None, zone: tzinfo | None) -> None:
    """For traps of this array."""
    with _lock:
        if storage_id is not None and zone is not None and (storage_id in _zones or len(_zones) < _ZONES_AT_MOST):
            _zones[storage_id] = zone


def epoch_ms(local: datetime, zone: tzinfo) -> int:
    """Of a time as the array wrote it."""
    return round(local.replace(tzinfo=zone).astimezone(UTC).timestamp() * 1000)


# --- the log ---

def sequences(replies: Iterable[Reply], query: Mapping[str, Any] | None, zone: tzinfo | None) -> list[str]:
    """The entries whose details are wanted. Clocks are set back once a year: an hour more is taken on both sides."""
    found = []
    for reply in replies:
        moment = _logged(reply.get('last_timestamp', ''), zone)
        if moment is None or any(is_alert_in_time_range(query, moment + shift) for shift in (-_HOUR_MS, 0, _HOUR_MS)):
            found.append(reply['sequence_number'])
    return found


def events(details: Iterable[Sequence[Pairs]], query: Mapping[str, Any] | None) -> Iterable[Row]:
    """Alerts of what the array tells of each entry."""
    for sections in details:
        reply = flat(pair for section in sections for pair in section)
        if reply.get('notification_type', '').lower() in tables.NO_ALERT:
            continue
        row = tables.EVENTS.row(reply)
        if is_alert_in_time_range(query, row.get('occur_time')):
            yield row


def _logged(text: str, zone: tzinfo | None) -> int | None:
    try:
        return None if zone is None else epoch_ms(datetime.strptime(text, _LOG_TIME), zone)
    except ValueError:
        return None


# --- traps ---

def trap(received: Mapping[str, str]) -> Row | None:
    """The alert of a trap; None for one of somebody else's."""
    kind = next((kind for end, kind in tables.TRAP_ENDS.items() if trap_oid(received).endswith(end)), None)
    said = {found[1]: found[2] for found in map(_LABEL.fullmatch, received.values()) if found is not None}
    if kind is None or _ERROR_ID not in said:
        return None
    severity, category = kind
    number, _, text = said[_ERROR_ID].partition(':')
    return tables.TRAP.row({
        **said, 'SEVERITY': severity, 'CATEGORY': category, 'ID': number.strip(), 'TEXT': text.strip(),
        'ADVICE': said.get(_ERROR_CODE, '').partition(':')[2].strip(),
        'TIME': _sent(said.get(_TIMESTAMP, ''), received.get('storage_id'))})


def _sent(text: str, storage_id: str | None) -> int | None:
    """When it happened; None if the array's zone is not known here: it is then the time at which the trap came."""
    zone = _zones.get(storage_id or '')
    found = _TRAP_TIME.fullmatch(text)
    if zone is None or found is None or found[1] not in _MONTHS:
        return None
    day, hour, minute, second, year = map(int, found.groups()[1:])
    try:
        return epoch_ms(datetime(year, _MONTHS[found[1]], day, hour, minute, second), zone)
    except ValueError:
        return None
