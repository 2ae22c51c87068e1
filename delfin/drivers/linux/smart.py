# SPDX-License-Identifier: Apache-2.0
"""What disks say about their health (SMART), from `smartctl`, which needs root.

Facts: smartctl(8) of smartmontools 7.3, "EXIT STATUS"; the JSON is that of 7.0 to 7.5 (`smart_status` with, for NVMe,
the bits of the controller's critical warning and, for SCSI, the text of its informational exception).

All disks are asked by one command, one after the other. A disk that sleeps may wake up: not to ask it would look as if
it were well again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from delfin import exception
from delfin.drivers.linux.runner import TOOL_MISSING_STATUS, Completed
from delfin.drivers.linux.text import integer, json_of

_DISK_SECONDS = 10
TIMEOUT_SECONDS = 40.0      # of all disks together: a call for alerts has 60

# The devices are arguments and never read by the shell. The reply of each is framed with NULs: path, answer, status.
# Containers know disks that have no device file there; of such a one smartctl would say "no such device".
_SCRIPT = (f'command -v smartctl >/dev/null || exit {TOOL_MISSING_STATUS}; '
           'for disk do [ -e "$disk" ] || continue; printf "%s\\0" "$disk"; '
           f'timeout {_DISK_SECONDS} smartctl --json=c --health -- "$disk"; printf "\\0%s\\0" "$?"; done')

_TIMED_OUT_STATUS = 124     # of timeout(1)
# Exit bits. Not looked at: 1 and 2 (no disk that can be asked, no rights), 4 (a command failed; the verdict may be
# there all the same), 32 (an attribute was below its threshold in the past, which never goes away), 64 and 128 (logs).
_FAILING, _ATTRIBUTES_FAILING = 8, 16

# How the kernel or the disk say that nobody answers any more. Other complaints are for good, of devices that cannot be
# asked (no rights, RAID controllers, USB bridges, no SMART at all), and are no trouble.
_NO_ANSWER = re.compile(r'(INQUIRY failed|No such device( or address)?|Input/output error|timed out)$', re.IGNORECASE)

_NVME_WARNINGS = {
    'spare_below_threshold': 'the spare capacity is below its threshold',
    'temperature_above_or_below_threshold': 'the temperature is out of range',
    'reliability_degraded': 'the reliability is degraded',
    'media_read_only': 'the media can only be read',
    'volatile_memory_backup_failed': 'the backup of the volatile memory failed',
    'persistent_memory_region_unreliable': 'the persistent memory region is unreliable',
}
_TEMPERATURE = 0x02


@dataclass(frozen=True, slots=True)
class Health:
    """What a disk said. `failing`: it says that it fails, for these `reasons`; `only_temperature`: for no other reason
    than that; `silent`: it did not answer, with what the tool said of it. None of both: it is well, or cannot tell.
    """

    failing: bool = False
    reasons: tuple[str, ...] = ()
    only_temperature: bool = False
    silent: str | None = None


def command(devices: Iterable[str]) -> tuple[str, ...]:
    """Asks all of these devices, given by their paths."""
    return ('sh', '-c', _SCRIPT, 'sh', *devices)


def parse(found: Completed) -> dict[str, Health]:
    """Health by path of the device, from the output of `command`; `InvalidResults` if smartctl printed something else
    than its JSON (before 7.0 it could not).
    """
    fields = found.require().split('\0')
    answers = list(zip(fields[0::3], fields[1::3], fields[2::3], strict=False))
    if len(fields) != 3 * len(answers) + 1:
        raise exception.InvalidResults('the output of smartctl was cut off')
    return {path: _health(answer, int(status)) for path, answer, status in answers}


def _health(answer: str, status: int) -> Health:
    if status == _TIMED_OUT_STATUS:
        return Health(silent=f'no answer within {_DISK_SECONDS} seconds')
    document = json_of('smartctl', answer)
    if not isinstance(document, dict):
        raise exception.InvalidResults('smartctl printed JSON that is no object')
    verdict = _object(document.get('smart_status'))
    if verdict.get('passed') is False or status & (_FAILING | _ATTRIBUTES_FAILING):
        warnings = integer(_object(verdict.get('nvme')).get('value'))
        return Health(failing=True, reasons=_reasons(verdict), only_temperature=warnings == _TEMPERATURE)
    if 'passed' in verdict:
        return Health()
    return Health(silent=next((text for text in _messages(document) if _NO_ANSWER.search(text)), None))


def _reasons(verdict: Mapping[str, Any]) -> tuple[str, ...]:
    nvme, scsi = _object(verdict.get('nvme')), _object(verdict.get('scsi'))
    found = [text for name, text in _NVME_WARNINGS.items() if nvme.get(name) is True]
    if scsi.get('ie_string'):
        found.append(str(scsi['ie_string']).lower())
    return tuple(found)


def _messages(document: Mapping[str, Any]) -> list[str]:
    messages = _object(document.get('smartctl')).get('messages')
    return [str(_object(message).get('string', '')) for message in messages] if isinstance(messages, list) else []


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
