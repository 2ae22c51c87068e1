# SPDX-License-Identifier: Apache-2.0
"""What is sent back: acknowledgements of INFORMs, and reports, by which v3 senders find our engine and their faults."""

from __future__ import annotations

import enum

from delfin.alert_manager.snmp import ber, usm
from delfin.alert_manager.snmp.ber import INTEGER, OCTET_STRING, SEQUENCE

_LARGEST_DATAGRAM = 65507
_USM = 3
_AUTHENTICATED, _ENCRYPTED = 1, 2
_USM_STATS = bytes.fromhex('2b060106030f0101')      # 1.3.6.1.6.3.15.1.1


class Report(enum.IntEnum):
    """Why a v3 message was refused: the counters of usmStats (RFC 3414), by their numbers there."""

    UNSUPPORTED_SECURITY_LEVELS = 1
    NOT_IN_TIME_WINDOWS = 2
    UNKNOWN_USER_NAMES = 3
    UNKNOWN_ENGINE_IDS = 4
    WRONG_DIGESTS = 5
    DECRYPTION_ERRORS = 6


def acknowledgement(datagram: bytes, message: ber.Message) -> bytes:
    """The answer to a v2c INFORM: the same with another type of PDU."""
    at = message.body.start
    return datagram[:at] + bytes([ber.RESPONSE]) + datagram[at + 1:]


def acknowledgement_v3(message: ber.V3Message, scoped: ber.Scoped, keys: usm.Keys,
                       ours: usm.Engine) -> bytes:
    """The answer to a v3 INFORM that was verified with `keys`, as secure as that was."""
    pdu = bytes([ber.RESPONSE]) + scoped.body[1:]
    return _message(message, _scoped(scoped.engine_id, scoped.name, pdu), ours, keys)


def report(why: Report, count: int, datagram: bytes, message: ber.V3Message, ours: usm.Engine,
           keys: usm.Keys | None = None) -> bytes | None:
    """A report, with the value of its counter. None when the sender of `message` wants none.

    Reports are in clear, but for `NOT_IN_TIME_WINDOWS`: with the `keys` that verified the message it is authenticated,
    as it must be, or no sender would set its clock by it.
    """
    if not message.reportable:
        return None
    oid = element(ber.OBJECT_ID, _USM_STATS + bytes([why, 0]))
    variable = element(SEQUENCE, oid + integer(count % 2**32, ber.COUNTER32))
    request_id = 0 if message.encrypted else ber.request_id(datagram[message.scoped])
    pdu = element(ber.REPORT, integer(request_id) + integer(0) + integer(0) + element(SEQUENCE, variable))
    if keys is None:
        return _message(message, _scoped(ours.engine_id, b'', pdu), ours)
    return _message(message, _scoped(ours.engine_id, b'', pdu), ours, keys, encrypted=False)


def _message(to: ber.V3Message, scoped: bytes, ours: usm.Engine, keys: usm.Keys | None = None,
             encrypted: bool = True) -> bytes:
    """A v3 message of our engine in answer to `to`; without `keys` in clear and not authenticated."""
    flags = 0
    salt = b''
    mac_bytes = 0
    if keys is not None and to.authenticated:
        flags = _AUTHENTICATED
        mac_bytes = keys.mac_bytes
        if encrypted and to.encrypted:
            flags |= _ENCRYPTED
            data, salt = keys.encrypt(scoped, ours.boots, ours.time)
            scoped = element(OCTET_STRING, data)
    header = element(SEQUENCE, integer(to.message_id) + integer(_LARGEST_DATAGRAM)
                     + element(OCTET_STRING, bytes([flags])) + integer(_USM))
    privacy = element(OCTET_STRING, salt)
    security = element(SEQUENCE, element(OCTET_STRING, ours.engine_id) + integer(ours.boots) + integer(ours.time)
                       + element(OCTET_STRING, to.user) + element(OCTET_STRING, bytes(mac_bytes)) + privacy)
    whole = element(SEQUENCE, integer(ber.V3) + header + element(OCTET_STRING, security) + scoped)
    if keys is None or not mac_bytes:
        return whole
    end = len(whole) - len(scoped) - len(privacy)
    return whole[:end - mac_bytes] + keys.mac_of(whole) + whole[end:]


# --- encoding ---

def element(tag: int, body: bytes) -> bytes:
    """Tag, length, value."""
    size = len(body)
    if size < 0x80:
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, 'big')
    return bytes((tag, 0x80 | len(length))) + length + body


def integer(value: int, tag: int = INTEGER) -> bytes:
    """A number in as few bytes as it takes."""
    bits = (value if value >= 0 else ~value).bit_length()
    return element(tag, value.to_bytes(bits // 8 + 1, 'big', signed=True))


def _scoped(engine_id: bytes, name: bytes, pdu: bytes) -> bytes:
    return element(SEQUENCE, element(OCTET_STRING, engine_id) + element(OCTET_STRING, name) + pdu)
