# SPDX-License-Identifier: Apache-2.0
"""Tools of the SNMP tests: pysnmp as a second opinion, as a sender, and ways to break a message."""

from __future__ import annotations

import itertools
import random
import signal
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from pyasn1.codec.ber import decoder
from pyasn1.type import univ
from pysnmp.carrier.asyncio.dgram import udp
from pysnmp.carrier.base import AbstractTransportDispatcher
from pysnmp.entity import config
from pysnmp.entity.engine import SnmpEngine
from pysnmp.entity.rfc3413 import ntforg
from pysnmp.proto import rfc1157, rfc1901, rfc1902
from pysnmp.proto.api import v2c as api_v2c
from pysnmp.proto.api import verdec
from pysnmp.proto.mpmod.rfc3412 import SNMPv3Message
from pysnmp.proto.proxy.rfc2576 import v1_to_v2
from pysnmp.proto.secmod.rfc3414.service import UsmSecurityParameters

from delfin.alert_manager.snmp import answers, ber, usm
from delfin.alert_manager.snmp.answers import Report, element, integer
from delfin.alert_manager.snmp.protocols import AUTH_NO_PRIV, AUTH_PRIV, NO_AUTH_NO_PRIV

AUTH_KEY, PRIVACY_KEY = 'authentication phrase', 'privacy phrase'
SENDER = bytes.fromhex('80007ed90466616e')              # engine ids: of the sender of traps …
OURS = bytes.fromhex('80007ed90464656c66696e')          # … and of the receiver of INFORMs
ENTERPRISE = '1.3.6.1.4.1.32473.1'
TRAP_OID = f'{ENTERPRISE}.0.7'
STALL_SECONDS = 0.5             # of processor time, after which pysnmp is taken to hang
STALLS_PYSNMP = bytes.fromhex('7a80551ed858')

# Our names of the protocols -> those of pysnmp and of net-snmp (None: it has not got this one).
AUTH = {
    'HMACMD5': (config.USM_AUTH_HMAC96_MD5, 'MD5'),
    'HMACSHA': (config.USM_AUTH_HMAC96_SHA, 'SHA'),
    'HMCSHA2224': (config.USM_AUTH_HMAC128_SHA224, 'SHA-224'),
    'HMCSHA2256': (config.USM_AUTH_HMAC192_SHA256, 'SHA-256'),
    'HMCSHA2384': (config.USM_AUTH_HMAC256_SHA384, 'SHA-384'),
    'HMCSHA2512': (config.USM_AUTH_HMAC384_SHA512, 'SHA-512'),
}
PRIVACY = {
    'DES': (config.USM_PRIV_CBC56_DES, 'DES'),
    '3DES': (config.USM_PRIV_CBC168_3DES, None),
    'AES': (config.USM_PRIV_CFB128_AES, 'AES'),
    'AES192': (config.USM_PRIV_CFB192_AES_BLUMENTHAL, 'AES-192'),
    'AES256': (config.USM_PRIV_CFB256_AES_BLUMENTHAL, 'AES-256'),
    'AES192C': (config.USM_PRIV_CFB192_AES, 'AES-192-C'),
    'AES256C': (config.USM_PRIV_CFB256_AES, 'AES-256-C'),
}
LEVELS = [NO_AUTH_NO_PRIV, AUTH_NO_PRIV, 'no such level', AUTH_PRIV]     # by the flags of a message
NOBODY = usm.User(b'nobody', NO_AUTH_NO_PRIV)
USERS = [NOBODY,
         *(usm.User(auth.encode(), AUTH_NO_PRIV, auth, AUTH_KEY) for auth in AUTH),
         *(usm.User(f'{auth}-{privacy}'.encode(), AUTH_PRIV, auth, AUTH_KEY, privacy, PRIVACY_KEY)
           for auth, privacy in itertools.product(AUTH, PRIVACY))]


def named(user: usm.User) -> str:
    """For the ids of parametrised tests."""
    return user.name.decode()


# --- messages of our own making ---

def oid(text: str) -> bytes:
    """An object id as an element."""
    first, second, *rest = map(int, text.split('.'))
    return element(ber.OBJECT_ID, b''.join(map(_arc, (first * 40 + second, *rest))))


def _arc(number: int) -> bytes:
    septets = [number & 0x7F]
    while number := number >> 7:
        septets.append(number & 0x7F | 0x80)
    return bytes(reversed(septets))


def value(tag: int, content: int | bytes | str | None) -> bytes:
    """A value as an element, in the fewest bytes."""
    match content:
        case None:
            return element(tag, b'')
        case bytes():
            return element(tag, content)
        case int():
            return integer(content, tag)
    return oid(content) if tag == ber.OBJECT_ID else element(tag, bytes(map(int, content.split('.'))))


def variables(pairs: Sequence[ber.Variable]) -> bytes:
    """A list of variable bindings."""
    return element(ber.SEQUENCE, b''.join(
        element(ber.SEQUENCE, oid(pair.oid) + value(pair.tag, pair.value)) for pair in pairs))


def notification(pairs: Sequence[ber.Variable], tag: int = ber.TRAP_V2, request_id: int = 4711) -> bytes:
    """A PDU of v2c and v3."""
    return element(tag, integer(request_id) + integer(0) + integer(0) + variables(pairs))


def trap_v1(pairs: Sequence[ber.Variable], enterprise: str = '1.3.6.1.4.1.32473.1', address: str = '192.0.2.1',
            generic: int = 6, specific: int = 7, ticks: int = 4711) -> bytes:
    """A PDU of v1."""
    return element(ber.TRAP_V1, oid(enterprise) + value(ber.IP_ADDRESS, address) + integer(generic) + integer(specific)
                   + integer(ticks, ber.TIME_TICKS) + variables(pairs))


def community_message(version: int, pdu: bytes, community: bytes = b'public') -> bytes:
    """A message of v1 or v2c."""
    return element(ber.SEQUENCE, integer(version) + element(ber.OCTET_STRING, community) + pdu)


def scoped_pdu(pdu: bytes, engine_id: bytes = SENDER, context: bytes = b'') -> bytes:
    """A scoped PDU in clear."""
    return element(ber.SEQUENCE, element(ber.OCTET_STRING, engine_id) + element(ber.OCTET_STRING, context) + pdu)


def v3_message(scoped: bytes, user: usm.User = NOBODY, *, engine_id: bytes = SENDER, boots: int = 1, time: int = 2,
               reportable: bool = False, message_id: int = 815) -> bytes:
    """A v3 message of a user, for the authoritative engine `engine_id`."""
    keys = usm.localise(user, engine_id)
    salt = b''
    if user.level == AUTH_PRIV:
        data, salt = keys.encrypt(scoped, boots, time)
        scoped = element(ber.OCTET_STRING, data)
    flags = LEVELS.index(user.level) | (4 if reportable else 0)
    header = element(ber.SEQUENCE, integer(message_id) + integer(65507) + element(ber.OCTET_STRING, bytes([flags]))
                     + integer(3))
    security = element(ber.SEQUENCE, element(ber.OCTET_STRING, engine_id) + integer(boots) + integer(time) + b''.join(
        element(ber.OCTET_STRING, octets) for octets in (user.name, bytes(keys.mac_bytes), salt)))
    whole = element(ber.SEQUENCE, integer(3) + header + element(ber.OCTET_STRING, security) + scoped)
    place = ber.read(whole).mac
    return whole[:place.start] + keys.mac_of(whole) + whole[place.stop:]


def in_clear(key: bytes, data: bytes, boots: int, time: int, salt: bytes) -> bytes:
    """What was encrypted with AES, by the feedback mode of the library."""
    decryptor = Cipher(AES(key), CFB(struct.pack('>II', boots, time) + salt)).decryptor()
    return decryptor.update(data) + decryptor.finalize()


HEAD = [ber.Variable(ber.SYS_UP_TIME, ber.TIME_TICKS, 4711), ber.Variable(ber.SNMP_TRAP_OID, ber.OBJECT_ID, TRAP_OID)]
FAULT = [*HEAD, ber.Variable(f'{ENTERPRISE}.1', ber.OCTET_STRING, b'Fan 3 failed'),
         ber.Variable(f'{ENTERPRISE}.2', ber.INTEGER, -5)]
EVERY_TYPE = [
    *FAULT,
    ber.Variable(f'{ENTERPRISE}.3', ber.IP_ADDRESS, '192.0.2.1'),
    ber.Variable(f'{ENTERPRISE}.300000', ber.COUNTER32, 2**32 - 1),
    ber.Variable(f'{ENTERPRISE}.5', ber.GAUGE32, 77),
    ber.Variable('2.999.3', ber.COUNTER64, 2**64 - 1),
    ber.Variable('0.0', ber.OPAQUE, b'x' * 200),
    *(ber.Variable('1.3.6', tag, None) for tag in (
        ber.NULL, ber.NO_SUCH_OBJECT, ber.NO_SUCH_INSTANCE, ber.END_OF_MIB_VIEW))]
TYPES_OF_V1 = [pair for pair in EVERY_TYPE if pair.tag not in (
    ber.COUNTER64, ber.NO_SUCH_OBJECT, ber.NO_SUCH_INSTANCE, ber.END_OF_MIB_VIEW)]
# One of each kind in clear: what can be changed without a key noticing.
CLEAR_MESSAGES = [
    community_message(ber.V2C, notification(EVERY_TYPE)),
    community_message(ber.V2C, notification(FAULT, ber.INFORM)),
    community_message(ber.V1, trap_v1(TYPES_OF_V1)),
    community_message(ber.V1, trap_v1(FAULT, generic=2)),
    v3_message(scoped_pdu(notification(FAULT))),
    v3_message(scoped_pdu(notification(EVERY_TYPE, ber.INFORM), OURS, b'bridge'), engine_id=OURS, reportable=True),
]


# --- readings: ours and pysnmp's, in one form ---

class Reading(NamedTuple):
    """What a message says. `who`: (community,), or for v3 all that stands around the PDU."""

    version: int
    who: tuple[object, ...]
    tag: int
    request_id: int
    variables: list[tuple[str, int, object]]


def pdu_of(datagram: bytes) -> ber.Pdu:
    """What a v1 or v2c message says; `ber.Malformed`."""
    message = ber.read(datagram)
    assert isinstance(message, ber.Message)
    return ber.read_pdu(datagram, message.body.start, message.body.stop)


def our_reading(datagram: bytes) -> Reading:
    """Ours, of the envelope and of the PDU; `ber.Malformed` for either."""
    message = ber.read(datagram)
    if isinstance(message, ber.Message):
        version, who, tag, pdu = message.version, (message.community,), message.tag, pdu_of(datagram)
    else:
        if message.encrypted:
            return Reading(ber.V3, _around(datagram, message, datagram[message.scoped]), 0, 0, [])
        scoped = ber.read_scoped(datagram[message.scoped])
        version, who = ber.V3, _around(datagram, message, scoped.engine_id, scoped.name)
        tag, pdu = scoped.tag, scoped.pdu
    assert tag == pdu.tag, 'the envelope does not tell the type of its PDU'
    return Reading(version, who, pdu.tag, pdu.request_id, [tuple(variable) for variable in pdu.variables])


def _around(datagram: bytes, message: ber.V3Message, *behind: bytes) -> tuple[object, ...]:
    return (message.message_id, message.max_size, message.authenticated, message.encrypted, message.reportable,
            message.engine_id, message.boots, message.time, message.user, datagram[message.mac], message.privacy,
            *behind)


class Refused(Exception):
    """pysnmp cannot read it."""


class Stalled(BaseException):
    """pysnmp does not come to an end. (Its catch-all clauses do not catch this.)"""


@contextmanager
def processor_limit(seconds: float) -> Iterator[None]:
    """`Stalled` inside the block after so much processor time of this process; main thread only."""
    def stop(*_: object) -> None:
        raise Stalled

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def pysnmp_reading(datagram: bytes) -> Reading:
    """pysnmp's; `Refused`, `Stalled`."""
    try:
        with processor_limit(STALL_SECONDS):
            return _pysnmp_reading(datagram)
    except Exception as error:      # noqa: BLE001 - whatever it raises for what it cannot read
        raise Refused(repr(error)) from None


def _decode(data: bytes, spec: Any) -> Any:
    return decoder.decode(data, asn1Spec=spec)[0]


def _pysnmp_reading(datagram: bytes) -> Reading:
    version = int(verdec.decode_message_version(datagram))
    if version in (ber.V1, ber.V2C):
        message = _decode(datagram, rfc1157.Message() if version == ber.V1 else rfc1901.Message())
        return _of_pdu(version, (bytes(message[1]),), message[2].getComponent())
    if version != ber.V3:
        raise Refused('version')
    message = _decode(datagram, SNMPv3Message())
    message_id, max_size, flags, model = (message[1][index] for index in range(4))
    security = _decode(bytes(message[2]), UsmSecurityParameters())
    bits = bytes(flags)[0]
    who = (int(message_id), int(max_size), bool(bits & 1), bool(bits & 2), bool(bits & 4), bytes(security[0]),
           int(security[1]), int(security[2]), *(bytes(security[index]) for index in (3, 4, 5)))
    encrypted = message[3].getName() == 'encryptedPDU'
    if int(model) != 3 or encrypted != bool(bits & 2) or bits & 3 == 2:
        raise Refused('model or flags')             # pysnmp sees to that behind its decoder
    scoped = message[3].getComponent()
    if encrypted:
        return Reading(version, (*who, bytes(scoped)), 0, 0, [])
    return _of_pdu(version, (*who, bytes(scoped[0]), bytes(scoped[1])), scoped[2].getComponent())


def _of_pdu(version: int, who: tuple[object, ...], pdu: Any) -> Reading:
    tag = _tag(pdu)
    if tag not in ({ber.TRAP_V1} if version == ber.V1 else {ber.TRAP_V2, ber.INFORM}):
        raise Refused('no notification')
    if version == ber.V1:
        found = [_variable(pair) for pair in v1_to_v2(pdu)[3]]
        head, (address, _, enterprise), rest = found[:2], found[2:5], found[5:]
        return Reading(version, who, tag, 0, [*head, *rest, address, enterprise])
    return Reading(version, who, tag, int(pdu[0]), [_variable(pair) for pair in pdu[3]])


def _tag(item: Any) -> int:
    tag = item.tagSet[0]
    return int(tag.tagClass | tag.tagFormat | tag.tagId)


def _variable(pair: Any) -> tuple[str, int, object]:
    found = pair[1]
    while isinstance(found, univ.Choice):
        found = found.getComponent()
    tag = _tag(found)
    content: object
    match tag:
        case ber.IP_ADDRESS:
            content = socket.inet_ntoa(bytes(found))
        case ber.OBJECT_ID:
            content = '.'.join(map(str, found))
        case ber.OCTET_STRING | ber.OPAQUE:
            content = bytes(found)
        case ber.NULL | ber.NO_SUCH_OBJECT | ber.NO_SUCH_INSTANCE | ber.END_OF_MIB_VIEW:
            content = None
        case _:
            content = int(found)
    return '.'.join(map(str, pair[0])), tag, content


# --- breaking messages ---

def mutated(datagram: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """`datagram` with one to four changes such as lines, faulty agents and attackers make."""
    for _ in range(rng.randint(1, 4)):
        datagram = rng.choice(_CHANGES)(datagram, rng, others or (datagram,))
    return datagram


def _flip(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    if not data:
        return data
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1:]


def _replace(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """One byte by another, among them those that mean something."""
    if not data:
        return data
    at = rng.randrange(len(data))
    byte = rng.choice((0, 1, 2, 3, 4, 5, 6, 0x1F, 0x24, 0x30, 0x3F, 0x40, 0x43, 0x46, 0x7F, 0x80, 0x81, 0x82, 0x84,
                       0xA2, 0xA4, 0xA6, 0xA7, 0xFF, rng.randrange(256)))
    return data[:at] + bytes([byte]) + data[at + 1:]


def _cut(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    begin, end = sorted((rng.randint(0, len(data)), rng.randint(0, len(data))))
    return rng.choice((data[:begin], data[begin:], data[:begin] + data[end:]))


def _longer_length(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """A length of one byte, written with more (or something that is taken for one)."""
    if len(data) < 2:
        return data
    at = rng.randrange(1, len(data))
    count = rng.randint(1, 5)
    return data[:at] + bytes([0x80 | count]) + data[at].to_bytes(count, 'big') + data[at + 1:]


def _splice(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    other = rng.choice(others)
    return data[:rng.randint(0, len(data))] + other[rng.randint(0, len(other)):]


def _insert(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + rng.randbytes(rng.randint(1, 6)) + data[at:]


def _restore_outer(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """The outermost length fits again, so that a change further in is seen at all."""
    if len(data) < 2:
        return data
    skip = 2 + (data[1] & 0x7F if data[1] >= 0x80 else 0)
    return element(data[0], data[skip:])


class _Tree:
    """An element and those in it, so that one can be changed and all the lengths around it fit."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.tag, self.long = data[at], 0
        length, begin = data[at + 1], at + 2
        if length >= 0x80:
            count = length & 0x7F
            length, begin = int.from_bytes(data[begin:begin + count], 'big'), begin + count
        self.end = begin + length
        if self.end > len(data):
            raise IndexError
        self.body, self.inner = data[begin:self.end], []
        if self.tag & 0x20:
            while begin < self.end:
                self.inner.append(_Tree(data, begin))
                begin = self.inner[-1].end

    def all(self) -> Iterator[_Tree]:
        yield self
        for tree in self.inner:
            yield from tree.all()

    def encoded(self) -> bytes:
        body = b''.join(tree.encoded() for tree in self.inner) if self.tag & 0x20 else self.body
        if not self.long:
            return element(self.tag, body)
        count = max(self.long, (len(body).bit_length() + 7) // 8)
        return bytes([self.tag, 0x80 | count]) + len(body).to_bytes(count, 'big') + body


def restructured(data: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """One element changed, taken away, doubled, or moved; lengths fit. The same data if they are no BER."""
    try:
        tree = _Tree(data)
    except (IndexError, RecursionError):
        return data
    node = rng.choice(list(tree.all()))
    match rng.randrange(6):
        case 0:
            node.long = rng.randint(1, 4)
        case 1:
            node.tag = rng.choice((2, 4, 5, 6, 0x30, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x80, 0x81, 0x82, 0xA2,
                                   0xA4, 0xA6, 0xA7, rng.randrange(256)))
        case 2:
            node.body = rng.choice((b'', b'\0' + node.body, b'\xff' + node.body, node.body[:-1], node.body + b'\x7f',
                                    b'\x80' + node.body, rng.randbytes(rng.randint(1, 10))))
        case 3 if node.inner:
            del node.inner[rng.randrange(len(node.inner))]
        case 4 if node.inner:
            node.inner.append(rng.choice(node.inner))
        case 5 if node.inner:
            node.inner.insert(rng.randint(0, len(node.inner)), rng.choice(list(node.all())[1:]))
    return tree.encoded()


_CHANGES: tuple[Callable[[bytes, random.Random, Sequence[bytes]], bytes], ...] = (
    _flip, _flip, _replace, _replace, _cut, _longer_length, _splice, _insert, _restore_outer, *[restructured] * 4)


# --- pysnmp as the sender ---

class _Wire(AbstractTransportDispatcher):
    """Keeps what pysnmp would send."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: deque[bytes] = deque()

    def get_transport(self, transportDomain: Any) -> Any:       # noqa: N803 - asked only for the type of addresses
        return udp.UdpAsyncioTransport

    def send_message(self, outgoingMessage: Any, transportDomain: Any, transportAddress: Any) -> None:  # noqa: N803
        self.sent.append(bytes(outgoingMessage))


class PysnmpSender:
    """An SNMP engine of pysnmp that sends notifications of one v3 user, without a network."""

    ADDRESS = ('127.0.0.1', 162)

    def __init__(self, user: usm.User) -> None:
        self.engine = SnmpEngine(snmpEngineID=rfc1902.OctetString(SENDER))
        self.wire = _Wire()
        self.engine.register_transport_dispatcher(self.wire)
        args: list[Any] = [user.name.decode()]
        if user.auth_protocol:
            args += [AUTH[user.auth_protocol][0], user.auth_key]
        if user.privacy_protocol:
            args += [PRIVACY[user.privacy_protocol][0], user.privacy_key]
        config.add_v3_user(self.engine, *args)
        level = {NO_AUTH_NO_PRIV: 'noAuthNoPriv'}.get(user.level, user.level)
        config.add_target_parameters(self.engine, 'parameters', user.name.decode(), level)
        config.add_target_address(self.engine, 'receiver', udp.DOMAIN_NAME, self.ADDRESS, 'parameters')
        self.results: list[object] = []

    def trap(self, pairs: Sequence[tuple[str, object]]) -> bytes:
        """The datagram of a trap."""
        self._send(api_v2c.SNMPv2TrapPDU(), pairs)
        return self.wire.sent.popleft()

    def inform(self, pairs: Sequence[tuple[str, object]], receiver: Callable[[bytes], bytes | None]) -> object:
        """The whole dialogue with a receiver; what pysnmp reports: None when it was acknowledged."""
        self.results.clear()
        self._send(api_v2c.InformRequestPDU(), pairs)
        while self.wire.sent:
            answer = receiver(self.wire.sent.popleft())
            if answer is not None:
                self.engine.message_dispatcher.receive_message(self.engine, udp.DOMAIN_NAME, self.ADDRESS, answer)
        return self.results[0] if self.results else 'no answer'

    def _send(self, pdu: Any, pairs: Sequence[tuple[str, object]]) -> None:
        api_v2c.apiPDU.set_defaults(pdu)
        api_v2c.apiPDU.set_varbinds(pdu, [(rfc1902.ObjectName(name), content) for name, content in (
            (ber.SYS_UP_TIME, rfc1902.TimeTicks(4711)), (ber.SNMP_TRAP_OID, rfc1902.ObjectIdentifier(TRAP_OID)),
            *pairs)])
        ntforg.NotificationOriginator().send_pdu(self.engine, 'receiver', None, b'', pdu,
                                                 lambda *args: self.results.append(args[2]))


# --- a receiver made of the functions under test ---

class Responder:
    """Answers v2c and v3 INFORMs as a receiver does that knows some users; keeps what it has accepted."""

    def __init__(self, users: Sequence[usm.User], boots: int = 3, time: int = 1000) -> None:
        self.users = {user.name: user for user in users}
        self.ours = usm.Engine(OURS, boots, time)
        self.accepted: list[ber.Pdu] = []
        self.reports: list[Report] = []

    def __call__(self, datagram: bytes) -> bytes | None:
        message = ber.read(datagram)
        if isinstance(message, ber.Message):
            self.accepted.append(pdu_of(datagram))
            return answers.acknowledgement(datagram, message) if message.tag == ber.INFORM else None
        return self._v3(datagram, message)

    def _v3(self, datagram: bytes, message: ber.V3Message) -> bytes | None:
        def refuse(why: Report, keys: usm.Keys | None = None) -> bytes | None:
            self.reports.append(why)
            return answers.report(why, len(self.reports), datagram, message, self.ours, keys)

        if message.engine_id != OURS:
            return refuse(Report.UNKNOWN_ENGINE_IDS)
        user = self.users.get(message.user)
        if user is None:
            return refuse(Report.UNKNOWN_USER_NAMES)
        if usm.level_of(message) != user.level:
            return refuse(Report.UNSUPPORTED_SECURITY_LEVELS)
        keys = usm.localise(user, OURS)
        if not usm.verify(datagram, message, keys):
            return refuse(Report.WRONG_DIGESTS)
        try:
            if message.authenticated:
                usm.check_ours(self.ours, message)
            scoped = usm.decrypt(datagram, message, keys)
        except usm.NotInTimeWindow:
            return refuse(Report.NOT_IN_TIME_WINDOWS, keys)
        except usm.DecryptionFailed:
            return refuse(Report.DECRYPTION_ERRORS)
        self.accepted.append(scoped.pdu)
        return answers.acknowledgement_v3(message, scoped, keys, self.ours)
