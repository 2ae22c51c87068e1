# SPDX-License-Identifier: Apache-2.0
"""Reads SNMP notifications, and nothing else of ASN.1, strictly and fast.

What is not exactly an SNMP message of a known version is `Malformed`, so that there is one reading of each datagram.
Nothing here allocates by a length that a datagram claims, recurses, or takes more than linear time. RFC 1157 (v1),
RFC 3416 (v2c), RFC 3412 and 3414 (v3); basic encoding rules as RFC 3417 section 8 restricts them: definite lengths, and
no constructed strings. Two mistakes that arrays make are read as what they mean: unsigned numbers without the zero byte
that a set highest bit asks for (an array that has been up for 249 days sends such), and types of v2 in a v1 trap.
"""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

from delfin.alert_manager.records import make
from delfin.alert_manager.snmp.protocols import AUTH_NO_PRIV, AUTH_PRIV, NO_AUTH_NO_PRIV

INTEGER, OCTET_STRING, NULL, OBJECT_ID, SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30
IP_ADDRESS, COUNTER32, GAUGE32, TIME_TICKS, OPAQUE, COUNTER64 = 0x40, 0x41, 0x42, 0x43, 0x44, 0x46
NO_SUCH_OBJECT, NO_SUCH_INSTANCE, END_OF_MIB_VIEW = 0x80, 0x81, 0x82
GET, RESPONSE, TRAP_V1, INFORM, TRAP_V2, REPORT = 0xA0, 0xA2, 0xA4, 0xA6, 0xA7, 0xA8
V1, V2C, V3 = 0, 1, 3

_INT32_MAX = 2**31 - 1
_UINT32_MAX = 2**32 - 1
_MOST_ARCS = 128
_TOO_SHORT = 'it ends too early'
_OTHER_VERSION = 'a PDU of another version'
_USM = 3
_LEVELS = {0: NO_AUTH_NO_PRIV, 1: AUTH_NO_PRIV, 3: AUTH_PRIV}
_WITH_COMMUNITY = (V2C, V1)
_IS_OF_V1 = {TRAP_V1: True, TRAP_V2: False, INFORM: False}

# RFC 3584, section 3.1: what a v1 trap says beside its variables.
SYS_UP_TIME = '1.3.6.1.2.1.1.3.0'
SNMP_TRAP_OID = '1.3.6.1.6.3.1.1.4.1.0'
SNMP_TRAP_ENTERPRISE = '1.3.6.1.6.3.1.1.4.3.0'
SNMP_TRAP_ADDRESS = '1.3.6.1.6.3.18.1.3.0'
_GENERIC_TRAP = '1.3.6.1.6.3.1.1.5'
_ENTERPRISE_SPECIFIC = 6


class Malformed(Exception):
    """Not a notification, or not one that all would read alike."""


class Variable(NamedTuple):
    """One variable binding."""

    oid: str
    tag: int
    value: int | bytes | str | None     # str: an object id or an IP address


class Pdu(NamedTuple):
    """What a notification says; that of v1 translated as RFC 3584 has it."""

    tag: int
    request_id: int
    variables: list[Variable]


class Message(NamedTuple):
    """A v1 or v2c message; its PDU, of which only the type was looked at, is `datagram[body]`."""

    version: int
    community: bytes
    tag: int
    body: slice


class Claim(NamedTuple):
    """As whose a v3 message comes: authoritative engine, name of the user, security level by its canonical name."""

    engine_id: bytes
    user: bytes
    level: str


class V3Message(NamedTuple):
    """A v3 message, as far as it can be read without keys. Offsets are into the datagram."""

    message_id: int
    max_size: int
    authenticated: bool
    encrypted: bool
    reportable: bool
    claim: Claim
    boots: int
    time: int
    mac: slice                  # where the authentication parameters stand
    privacy: bytes              # privacy parameters: the salt
    scoped: slice               # where the (perhaps encrypted) scoped PDU stands

    @property
    def engine_id(self) -> bytes:
        """The engine that is authoritative."""
        return self.claim.engine_id

    @property
    def user(self) -> bytes:
        """The user's name."""
        return self.claim.user


class Scoped(NamedTuple):
    """What is inside a v3 message: the PDU, of which only the type was looked at, in its context."""

    engine_id: bytes
    name: bytes
    tag: int
    body: bytes

    @property
    def pdu(self) -> Pdu:
        """What it says, decoded anew each time; `Malformed`."""
        return read_pdu(self.body)


# --- pieces ---

def _header(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """(tag, begin, end) of the value of the element at `at`, which must end by `end`."""
    begin = at + 2
    if begin > end:
        raise Malformed(_TOO_SHORT)
    length = data[at + 1]
    if length >= 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4:
            raise Malformed('a length that is indefinite or too long')
        if begin + count > end:
            raise Malformed(_TOO_SHORT)
        length = int.from_bytes(data[begin:begin + count], 'big')
        begin += count
    if begin + length > end:
        raise Malformed(_TOO_SHORT)
    return data[at], begin, begin + length


def _expect(data: bytes, at: int, end: int, tag: int) -> tuple[int, int]:
    """(begin, end) of the value of the element at `at`, which must have this tag and end by `end`."""
    begin = at + 2
    if begin <= end and data[at] == tag:        # nearly always, and in one of these two ways, which take half the time
        length = data[at + 1]
        if length < 0x80:
            if begin + length <= end:
                return begin, begin + length
        elif length == 0x82 and begin + 2 <= end:
            stop = at + 4 + (data[begin] << 8 | data[begin + 1])
            if stop <= end:
                return at + 4, stop
    found, begin, stop = _header(data, at, end)
    if found != tag:
        raise Malformed(f'tag {found:#x} where {tag:#x} belongs')
    return begin, stop


def _integer(data: bytes, at: int, end: int, smallest: int = -_INT32_MAX - 1,
             largest: int = _INT32_MAX) -> tuple[int, int]:
    """(value, end) of an INTEGER."""
    begin, stop = _expect(data, at, end, INTEGER)
    value = _signed(data[begin:stop])
    if not smallest <= value <= largest:
        raise Malformed('an integer out of its range')
    return value, stop


def _octets(data: bytes, at: int, end: int) -> tuple[bytes, int]:
    begin, stop = _expect(data, at, end, OCTET_STRING)
    return data[begin:stop], stop


@functools.lru_cache(maxsize=8192)      # arrays send the same ones all the time
def _oid(body: bytes) -> str:
    """An object id from its bytes."""
    if not body or body[-1] & 0x80:
        raise Malformed('an object id that ends too early')
    arcs: list[int] = []
    arc = 0
    fresh = True
    for byte in body:
        if fresh and byte == 0x80:
            raise Malformed('an object id with padding')
        arc = arc << 7 | byte & 0x7F
        fresh = not byte & 0x80
        if arc > _UINT32_MAX:
            raise Malformed('an object id with a number beyond 32 bits')
        if fresh:
            arcs.append(arc)
            arc = 0
    if len(arcs) >= _MOST_ARCS:
        raise Malformed('an object id of too many numbers')
    first = min(arcs[0] // 40, 2)
    return '.'.join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def _signed(body: bytes) -> int:
    if not body:
        raise Malformed('an integer without bytes')
    value = int.from_bytes(body, 'big', signed=True)
    if not -_INT32_MAX - 1 <= value <= _INT32_MAX:
        raise Malformed('an integer out of its range')
    return value


def _unsigned(body: bytes, width: int) -> int:
    """Of `width` bytes, besides zeros before them; exactly so many are a number even with the highest bit set."""
    if not body:
        raise Malformed('a number without bytes')
    value = int.from_bytes(body, 'big')
    if value >> 8 * width or body[0] & 0x80 and len(body) != width:
        raise Malformed('a number out of its range')
    return value


def _unsigned32(body: bytes) -> int:
    return _unsigned(body, 4)


def _unsigned64(body: bytes) -> int:
    return _unsigned(body, 8)


def _ip_address(body: bytes) -> str:
    if len(body) != 4:
        raise Malformed('an IP address that is none')
    return '.'.join(map(str, body))


def _null(body: bytes) -> None:
    if body:
        raise Malformed('a null with bytes')


_READERS: dict[int, Callable[[bytes], int | bytes | str | None]] = {
    INTEGER: _signed, OCTET_STRING: bytes, NULL: _null, OBJECT_ID: _oid, IP_ADDRESS: _ip_address,
    COUNTER32: _unsigned32, GAUGE32: _unsigned32, TIME_TICKS: _unsigned32, OPAQUE: bytes, COUNTER64: _unsigned64,
    NO_SUCH_OBJECT: _null, NO_SUCH_INSTANCE: _null, END_OF_MIB_VIEW: _null}


def _variables(data: bytes, at: int, end: int) -> list[Variable]:
    """The variable bindings, which must fill the space up to `end`."""
    at, stop = _expect(data, at, end, SEQUENCE)
    if stop != end:
        raise Malformed('bytes behind the variables')
    found = []
    while at < end:
        at, stop = _expect(data, at, end, SEQUENCE)
        begin, middle = _expect(data, at, stop, OBJECT_ID)
        oid = _oid(data[begin:middle])
        tag, begin, last = _header(data, middle, stop)
        if last != stop:
            raise Malformed('bytes behind a value')
        reader = _READERS.get(tag)
        if reader is None:
            raise Malformed(f'a value of the unknown type {tag:#x}')
        found.append(Variable(oid, tag, reader(data[begin:last])))
        at = stop
    return found


# --- PDUs ---

def read_pdu(data: bytes, at: int = 0, end: int | None = None) -> Pdu:
    """The PDU at `at`, which must end at `end` (None: where the data end)."""
    end = len(data) if end is None else end
    tag, at, stop = _header(data, at, end)
    if stop != end:
        raise Malformed('bytes behind the PDU')
    if tag == TRAP_V1:
        return _trap_v1(data, at, end)
    if tag not in (TRAP_V2, INFORM):
        raise Malformed(f'a PDU of type {tag:#x} is no notification')
    request_id, at = _integer(data, at, end)
    _, at = _integer(data, at, end, 0)          # error status and index: nobody looks at them in a notification
    _, at = _integer(data, at, end, 0)
    return Pdu(tag, request_id, _variables(data, at, end))


def _trap_v1(data: bytes, at: int, end: int) -> Pdu:
    begin, at = _expect(data, at, end, OBJECT_ID)
    enterprise = _oid(data[begin:at])
    begin, at = _expect(data, at, end, IP_ADDRESS)
    address = _ip_address(data[begin:at])
    generic, at = _integer(data, at, end, 0, _ENTERPRISE_SPECIFIC)
    specific, at = _integer(data, at, end, 0)
    begin, at = _expect(data, at, end, TIME_TICKS)
    ticks = _unsigned32(data[begin:at])
    name = f'{enterprise}.0.{specific}' if generic == _ENTERPRISE_SPECIFIC else f'{_GENERIC_TRAP}.{generic + 1}'
    # The last two are last because a proxy may have put the first sender's among the variables: the first ones count.
    return Pdu(TRAP_V1, 0, [
        Variable(SYS_UP_TIME, TIME_TICKS, ticks), Variable(SNMP_TRAP_OID, OBJECT_ID, name),
        *_variables(data, at, end),
        Variable(SNMP_TRAP_ADDRESS, IP_ADDRESS, address), Variable(SNMP_TRAP_ENTERPRISE, OBJECT_ID, enterprise)])


def request_id(scoped: bytes) -> int:
    """Request id of the PDU in a scoped PDU in clear, of whatever type; 0 if there is none to be read."""
    try:
        at, end = _expect(scoped, 0, len(scoped), SEQUENCE)
        _, at = _elements(scoped, at, end, _CONTEXT)
        _, at, end = _header(scoped, at, end)
        return _integer(scoped, at, end)[0]
    except Malformed:
        return 0


# --- text ---

_NO_TEXT = re.compile(r'[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]')


def as_text(variable: Variable) -> str:
    """The value as drivers expect it.

    Numbers are decimal, object ids and IP addresses dotted. Octets are text when they are UTF-8 without control
    characters other than tab and line ends; zeros behind text are cut. All other octets are `0x` and hexadecimal
    digits. What has no value is ''.
    """
    value = variable.value
    if value is None:
        return ''
    if not isinstance(value, bytes):
        return str(value)
    try:
        text = value.rstrip(b'\0').decode()
    except UnicodeDecodeError:
        return f'0x{value.hex()}'
    return f'0x{value.hex()}' if _NO_TEXT.search(text) else text


def trap_variables(pdu: Pdu) -> dict[str, str]:
    """Dotted object id -> text. Of variables with one id the first counts: none hides which trap it is."""
    found: dict[str, str] = {}
    for variable in pdu.variables:
        if variable.oid not in found:
            found[variable.oid] = as_text(variable)
    return found


# --- messages ---

def read(data: bytes) -> Message | V3Message:
    """A datagram, as far as it tells whether it is welcome: a third of the work. `Malformed` if it is no notification
    (v3: no message); what is wrong inside the PDU shows when that is read (`read_pdu`).
    """
    at, end = _expect(data, 0, len(data), SEQUENCE)
    if end != len(data):
        raise Malformed('bytes behind the message')
    number = _VERSIONS.get(data[at:at + 3])
    if number is None:
        number, at = _integer(data, at, end, 0)
    else:
        at += 3
    if number == V3:
        return _read_v3(data, at, end)
    if number in _WITH_COMMUNITY:
        community, at = _octets(data, at, end)
        return make(Message, (number, community, _pdu_type(data, at, end, number), slice(at, end)))
    raise Malformed(f'version {number}')


_VERSIONS = {bytes((INTEGER, 1, number)): number for number in (V1, V2C, V3)}       # as nearly all write them
_HEADER = (INTEGER, INTEGER, OCTET_STRING, INTEGER)
_CONTEXT = (OCTET_STRING, OCTET_STRING)
_SECURITY = (OCTET_STRING, INTEGER, INTEGER, OCTET_STRING, OCTET_STRING, OCTET_STRING)


def _read_v3(data: bytes, at: int, end: int) -> V3Message:
    shape = _shape_of(data, at, end)
    message_id, engine_id, boots, time, user, privacy = shape.values_of(data, at)
    encrypted = shape.encrypted
    scoped = at + shape.size
    begin, last = _expect(data, scoped, end, OCTET_STRING if encrypted else SEQUENCE)
    if last != end:
        raise Malformed('bytes behind the message')
    mac = at + shape.mac
    return make(V3Message, (
        _number(message_id), shape.max_size, shape.authenticated, encrypted, shape.reportable,
        make(Claim, (engine_id, user, shape.level)), _repeated_number(boots), _repeated_number(time),
        slice(mac, mac + shape.mac_bytes), privacy, slice(begin if encrypted else scoped, end)))


class _Shape:
    """Where everything is in v3 messages of one kind, from the header to the security parameters.

    A sender's messages differ in few values, not in tags and lengths. So these are looked at one by one only in a
    message of a new kind; after that, two unpackings tell whether one is of this kind and what it says.
    """

    __slots__ = ('authenticated', 'encrypted', 'level', 'mac', 'mac_bytes', 'max_size', 'reportable', 'rest', 'rest_of',
                 'size', 'values_of')

    def __init__(self, data: bytes, at: int, end: int) -> None:
        """Of the message whose header is at `at`; `Malformed`."""
        inner, stop = _expect(data, at, end, SEQUENCE)
        (message_id, max_size, flag_place, model), inner = _elements(data, inner, stop, _HEADER)
        flags = data[slice(*flag_place)]
        if inner != stop or len(flags) != 1 or flags[0] & 3 not in _LEVELS or _number(data[slice(*model)]) != _USM:
            raise Malformed('header data that make no sense')
        begin, after = _expect(data, stop, end, OCTET_STRING)
        inner, stop = _expect(data, begin, after, SEQUENCE)
        if stop != after:
            raise Malformed('bytes behind the security parameters')
        (engine_id, boots, time, user, mac, privacy), inner = _elements(data, inner, stop, _SECURITY)
        if inner != stop or user[1] - user[0] > 32 or engine_id[1] - engine_id[0] > 32:
            raise Malformed('security parameters that make no sense')
        self.authenticated, self.encrypted, self.reportable = (flags[0] & bit != 0 for bit in (1, 2, 4))
        self.level = _LEVELS[flags[0] & 3]
        self.max_size = _number(data[slice(*max_size)], 484)
        self.mac, self.mac_bytes = mac[0] - at, mac[1] - mac[0]
        self.size = after - at
        values = rest = ''
        before = at
        for place in (message_id, engine_id, boots, time, user, mac, privacy):
            between, length = place[0] - before, place[1] - place[0]
            values += f'{between}x{length}{"x" if place is mac else "s"}'
            rest += f'{between}s{length}x'
            before = place[1]
        self.values_of = struct.Struct(values).unpack_from
        self.rest_of = struct.Struct(rest).unpack_from          # all but values
        self.rest = self.rest_of(data, at)


_SHAPES: dict[bytes, _Shape] = {}
_MOST_SHAPES = 1000


def _shape_of(data: bytes, at: int, end: int) -> _Shape:
    """Of a message whose header is at `at`: a remembered one if it fits, else made. `Malformed`.

    It is looked up by what stands before the message id and from there to the engine id, if lengths are single bytes as
    they nearly always are; else by whatever stands there.
    """
    id_at = at + 4
    start = data[at:id_at]
    if len(start) < 4:
        raise Malformed(_TOO_SHORT)
    mark = start + data[id_at + start[3]:id_at + start[1] + 4]
    shape = _SHAPES.get(mark)
    if shape is None or at + shape.size > end or shape.rest_of(data, at) != shape.rest:
        shape = _Shape(data, at, end)
        if len(_SHAPES) >= _MOST_SHAPES:
            _SHAPES.clear()
        _SHAPES[mark] = shape
    return shape


def _elements(data: bytes, at: int, end: int, tags: Sequence[int]) -> tuple[list[tuple[int, int]], int]:
    """(begin, end) of the values of elements that follow one another with these tags; where the last one ends."""
    found = []
    for tag in tags:
        begin, at = _expect(data, at, end, tag)
        found.append((begin, at))
    return found, at


def _number(body: bytes, smallest: int = 0) -> int:
    value = _signed(body)
    if value < smallest:
        raise Malformed('an integer out of its range')
    return value


_repeated_number = functools.lru_cache(maxsize=8192)(_number)       # boots and time are the same for a while


def read_scoped(data: bytes, padded: bool = False) -> Scoped:
    """A scoped PDU in clear. Block ciphers leave padding behind it."""
    at, end = _expect(data, 0, len(data), SEQUENCE)
    if end != len(data) and not padded:
        raise Malformed('bytes behind the scoped PDU')
    begin, middle = _expect(data, at, end, OCTET_STRING)
    name, at = _expect(data, middle, end, OCTET_STRING)
    return make(Scoped, (data[begin:middle], data[name:at], _pdu_type(data, at, end), data[at:end]))


def _pdu_type(data: bytes, at: int, end: int, version: int = V3) -> int:
    """Of the PDU that fills this space; `Malformed` if it is no notification of this version."""
    tag = data[at] if at < end else 0
    if _expect(data, at, end, tag)[1] != end:
        raise Malformed('bytes behind the PDU')
    of_v1 = _IS_OF_V1.get(tag)
    if of_v1 is None:
        raise Malformed(f'a PDU of type {tag:#x} is no notification')
    if of_v1 != (version == V1):
        raise Malformed(_OTHER_VERSION)
    return tag
