# SPDX-License-Identifier: Apache-2.0
"""Many traps fast: what the make-believe array (`delfin.drivers.fake_storage`) sends when much goes wrong.

    with Generator(Traffic(port=1162, sources=100)) as generator:
        generator.burst(50_000)
        generator.paced(500, seconds=300)

    python -m tests.traps --port 1162 --sources 100 --rate 500 --seconds 300
    python -m tests.traps --port 1162 --count 50000 --user sealed --auth SHA:… --privacy AES:…

A trap is written once, by pysnmp, and then patched: request id, sequence number, location and time. It has 8 variables
and about 300 bytes (v3 authPriv: about 400). Each trap is a different alert unless `alerts` limits their number;
`occur_time` is when it was made, in epoch milliseconds: `paced` makes it right before it is sent, `burst` makes all
before the first. Sources take turns. Each is an address of its own below 127.0.0.0/8 and, for v3, an engine of its own
(`engine_id`).
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import hmac
import ipaddress
import itertools
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from pyasn1.codec.ber import encoder
from pyasn1.type import univ
from pysnmp.proto import api
from pysnmp.proto.mpmod.rfc3412 import ScopedPDU, SNMPv3Message
from pysnmp.proto.secmod.rfc3414.localkey import hash_passphrase, localize_key
from pysnmp.proto.secmod.rfc3414.service import UsmSecurityParameters

from delfin.common import constants
from delfin.drivers.fake_storage.alerts import trap_of
from tests.engines.snmp import User

_V2C = api.PROTOCOL_MODULES[api.SNMP_VERSION_2C]
_SYS_UP_TIME = '1.3.6.1.2.1.1.3.0'
_TRAP_OID = '1.3.6.1.6.3.1.1.4.1.0'
_AES_KEY_BYTES = 16
_SALT_BYTES = 8

# Hash function and length of the MAC, by the protocol's name in net-snmp.
_AUTH: Mapping[str, tuple[Callable[..., Any], int]] = {
    'MD5': (hashlib.md5, 12), 'SHA': (hashlib.sha1, 12), 'SHA-224': (hashlib.sha224, 16),
    'SHA-256': (hashlib.sha256, 24), 'SHA-384': (hashlib.sha384, 32), 'SHA-512': (hashlib.sha512, 48)}

# What stands in a template where each trap has something of its own; the length stays, so that no other byte changes.
_REQUEST_ID = 0x4D41524B
_MESSAGE_ID = 0x4D41524C
_ENGINE_TIME = 0x4D41524D
_NUMBER = b'5151515151'
_TIME = b'6161616161616'
_LOCATION = 'enclosure 07, shelf 02, slot 11, drive {number}, behind the backplane of the left side'

_TICK_SECONDS = 0.001


@dataclasses.dataclass(frozen=True)
class Traffic:
    """Where the traps go and what they look like."""

    port: int
    host: str = '127.0.0.1'
    sources: int = 1
    community: str = 'public'
    user: User | None = None        # v3 as this user, with AES of 128 bits if any privacy; else v2c
    alerts: int | None = None       # so many different ones that take turns; all different without it
    first: int = 0                  # number of the first trap: a second generator raises other alerts than the first
    boots: int = 1                  # of the sources' engines

    def __post_init__(self) -> None:
        auth, privacy = (self.user.auth, self.user.privacy) if self.user else (None, None)
        if (auth and auth[0] not in _AUTH) or (privacy and (privacy[0] != 'AES' or not auth)):
            raise ValueError('protocols are MD5, SHA, SHA-224 … SHA-512, and AES beside one of them')

    @property
    def addresses(self) -> tuple[str, ...]:
        """Of the sources."""
        return tuple(f'127.0.{1 + number // 250}.{1 + number % 250}' for number in range(self.sources))

    @property
    def engine_ids(self) -> tuple[str, ...]:
        """Of the sources, in hex."""
        return tuple(map(engine_id, self.addresses))


class Sent(NamedTuple):
    """What was sent."""

    traps: int
    seconds: float
    lag_seconds: float = 0.0        # paced: how much too late a trap was at worst

    @property
    def rate(self) -> float:
        """Traps a second."""
        return self.traps / self.seconds if self.seconds else 0.0


def engine_id(address: str) -> str:
    """The engine id of a source in hex: RFC 3411's form that contains an IPv4 address."""
    return '80007ed901' + ipaddress.IPv4Address(address).packed.hex()


class Generator:
    """Sends from one process. The numbers of traps go on from call to call."""

    def __init__(self, traffic: Traffic) -> None:
        self.traffic = traffic
        self._next = traffic.first
        self._target = (traffic.host, traffic.port)
        self._sockets: list[socket.socket] = []
        for address in traffic.addresses:
            self._sockets.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            self._sockets[-1].bind((address, 0))
        self._templates = [_template(traffic, engine) for engine in traffic.engine_ids]

    def prepare(self, count: int) -> list[bytes]:
        """The next datagrams; number n is of source n modulo their number."""
        return [self._datagram(number) for number in self._take(count)]

    def burst(self, count: int) -> Sent:
        """As fast as they can be handed over. All are in memory before the clock runs."""
        first = self._next
        return self.send(self.prepare(count), first)

    def send(self, datagrams: list[bytes], first: int = 0) -> Sent:
        """Send prepared datagrams, of which the first has this number."""
        sends = [one.sendto for one in self._sockets]
        turns = itertools.islice(itertools.cycle(sends), first % len(sends), None)
        target = self._target
        began = time.perf_counter()
        for send, datagram in zip(turns, datagrams, strict=False):
            send(datagram, target)
        return Sent(len(datagrams), time.perf_counter() - began)

    def paced(self, rate: float, seconds: float) -> Sent:
        """So many a second for so long, each made when it is due. What could not be sent in time is sent as soon as
        possible, so that the count is right."""
        count = round(rate * seconds)
        lag = 0.0
        sent = 0
        began = time.perf_counter()
        while sent < count:
            passed = time.perf_counter() - began
            lag = max(lag, passed - sent / rate)
            due = min(count, int(passed * rate) + 1)
            for number in self._take(due - sent):
                self._sockets[number % len(self._sockets)].sendto(self._datagram(number), self._target)
            sent = due
            ahead = sent / rate - (time.perf_counter() - began)
            if sent < count and ahead > 0:
                time.sleep(max(ahead, _TICK_SECONDS))
        return Sent(count, time.perf_counter() - began, lag)

    def close(self) -> None:
        """Close the sockets."""
        for one in self._sockets:
            one.close()

    def _take(self, count: int) -> range:
        numbers = range(self._next, self._next + count)
        self._next = numbers.stop
        return numbers

    def _datagram(self, number: int) -> bytes:
        alert = number if self.traffic.alerts is None else number % self.traffic.alerts
        return self._templates[number % len(self._templates)].datagram(number, alert)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


# --- templates ---

class _Fields:
    """An encoded PDU and where its fields are."""

    def __init__(self, encoded: bytes) -> None:
        self.bytes = bytearray(encoded)
        self._request_id = _place(encoded, _REQUEST_ID.to_bytes(4, 'big'))
        self._numbers = (_place(encoded, _NUMBER), encoded.rindex(_NUMBER))
        self._time = _place(encoded, _TIME)

    def fill(self, number: int, alert: int) -> None:
        text = b'%010d' % alert
        for place in self._numbers:
            self.bytes[place:place + 10] = text
        self.bytes[self._time:self._time + 13] = b'%013d' % (time.time_ns() // 1_000_000)
        self.bytes[self._request_id:self._request_id + 4] = _positive(number)


class _CommunityTemplate:
    """A v2c trap."""

    def __init__(self, community: str) -> None:
        message = _V2C.Message()
        _V2C.apiMessage.set_defaults(message)
        _V2C.apiMessage.set_community(message, community)
        _V2C.apiMessage.set_pdu(message, _pdu())
        self._fields = _Fields(encoder.encode(message))

    def datagram(self, number: int, alert: int) -> bytes:
        self._fields.fill(number, alert)
        return bytes(self._fields.bytes)


class _UserTemplate:
    """A v3 trap of one engine."""

    def __init__(self, user: User, engine: bytes, boots: int) -> None:
        self._boots = boots.to_bytes(4, 'big')
        self._salts = itertools.count(int.from_bytes(os.urandom(4), 'big') << 32)
        scoped = ScopedPDU()
        scoped['contextEngineId'] = engine
        scoped['contextName'] = b''
        scoped['data'] = _pdu_choice(scoped)
        plain = encoder.encode(scoped)
        self._scoped = _Fields(plain)
        self._mac = hmac.new(_key(user.auth, user.auth[0], engine), digestmod=_AUTH[user.auth[0]][0]) if user.auth \
            else None
        self._mac_bytes = _AUTH[user.auth[0]][1] if user.auth else 0
        self._cipher = AES(_key(user.privacy, user.auth[0], engine)[:_AES_KEY_BYTES]) if user.auth and user.privacy \
            else None
        mac, salt = b'M' * self._mac_bytes, b'S' * _SALT_BYTES if user.privacy else b''
        encoded = encoder.encode(_v3_message(user, engine, boots, mac, salt, None if user.privacy else scoped,
                                             bytes(len(plain))))
        self._message = bytearray(encoded)
        self._message_id = _place(encoded, _MESSAGE_ID.to_bytes(4, 'big'))
        self._time = _place(encoded, _ENGINE_TIME.to_bytes(4, 'big'))
        self._mac_at = _place(encoded, mac) if mac else 0
        self._salt_at = _place(encoded, salt) if salt else 0
        self._scoped_at = len(encoded) - len(plain)

    def datagram(self, number: int, alert: int) -> bytes:
        message = self._message
        self._scoped.fill(number, alert)
        message[self._message_id:self._message_id + 4] = _positive(number)
        # The engine booted in 1970: then the time goes on from one generator to the next, in whatever process.
        moment = int(time.time()).to_bytes(4, 'big')
        message[self._time:self._time + 4] = moment
        content: bytes | bytearray = self._scoped.bytes
        if self._cipher is not None:
            salt = next(self._salts).to_bytes(_SALT_BYTES, 'big')
            message[self._salt_at:self._salt_at + _SALT_BYTES] = salt
            content = Cipher(self._cipher, CFB(self._boots + moment + salt)).encryptor().update(content)
        message[self._scoped_at:] = content
        if self._mac is not None:
            message[self._mac_at:self._mac_at + self._mac_bytes] = bytes(self._mac_bytes)
            mac = self._mac.copy()
            mac.update(message)
            message[self._mac_at:self._mac_at + self._mac_bytes] = mac.digest()[:self._mac_bytes]
        return bytes(message)


def _template(traffic: Traffic, engine: str) -> _CommunityTemplate | _UserTemplate:
    if traffic.user is None:
        return _CommunityTemplate(traffic.community)
    return _UserTemplate(traffic.user, bytes.fromhex(engine), traffic.boots)


def _pdu() -> Any:
    """The trap as pysnmp has it."""
    number = _NUMBER.decode()
    announced = trap_of({
        'alert_id': '0x1001', 'severity': constants.Severity.MAJOR, 'sequence_number': number,
        'occur_time': _TIME.decode(), 'location': _LOCATION.format(number=number)})
    variables = [(_SYS_UP_TIME, _V2C.TimeTicks(123456789))]
    variables += [(oid, _V2C.ObjectIdentifier(value) if oid == _TRAP_OID else _V2C.OctetString(value))
                  for oid, value in announced.items()]
    pdu = _V2C.TrapPDU()
    _V2C.apiTrapPDU.set_defaults(pdu)
    _V2C.apiTrapPDU.set_request_id(pdu, _REQUEST_ID)
    _V2C.apiTrapPDU.set_varbinds(pdu, variables)
    return pdu


def _pdu_choice(scoped: Any) -> Any:
    choice = scoped.componentType['data'].asn1Object.clone()
    pdu = _pdu()
    choice.setComponentByType(pdu.tagSet, pdu, verifyConstraints=False, matchTags=False, matchConstraints=False)
    return choice


def _v3_message(user: User, engine: bytes, boots: int, mac: bytes, salt: bytes, scoped: Any, encrypted: bytes) -> Any:
    """A message with a PDU in clear, or else with room for an encrypted one."""
    security = UsmSecurityParameters()
    for place, value in enumerate((engine, boots, _ENGINE_TIME, user.user, mac, salt)):
        security[place] = value
    message = SNMPv3Message()
    message['msgVersion'] = 3
    header = message.componentType['msgGlobalData'].asn1Object.clone()
    for place, value in enumerate((_MESSAGE_ID, 65507, bytes([bool(user.auth) | bool(user.privacy) << 1]), 3)):
        header[place] = value
    message['msgGlobalData'] = header
    message['msgSecurityParameters'] = encoder.encode(security)
    data = message.componentType['msgData'].asn1Object.clone()
    if scoped is None:
        data['encryptedPDU'] = univ.OctetString(encrypted)
    else:
        data['plaintext'] = scoped
    message['msgData'] = data
    return message


def _key(secret: tuple[str, str] | None, auth: str, engine: bytes) -> bytes:
    """The localised key of a pass phrase."""
    assert secret is not None
    function = _AUTH[auth][0]
    return bytes(localize_key(hash_passphrase(secret[1], function), univ.OctetString(engine), function))


def _positive(number: int) -> bytes:
    """Of four bytes as an INTEGER, and in its shortest form."""
    return (0x01000000 + number % 0x7E000000).to_bytes(4, 'big')


def _place(encoded: bytes, mark: bytes) -> int:
    return encoded.index(mark)


# --- a process of its own ---

class Child:
    """A generator in a process of its own, ready to send: what is measured beside it shares no interpreter with it.

    With `rate` the traps are paced, else they are a burst of prepared ones.
    """

    def __init__(self, traffic: Traffic, count: int, rate: float | None = None) -> None:
        order = {**dataclasses.asdict(traffic), 'user': traffic.user}
        command = [sys.executable, '-m', 'tests.traps', '--order', json.dumps(order), '--count', str(count), '--wait']
        command += [] if rate is None else ['--rate', str(rate)]
        self._process = subprocess.Popen(command, cwd=Path(__file__).resolve().parents[1], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def ready(self) -> None:
        """Wait until all that can be done before has been done."""
        if self._line() != 'ready':
            raise RuntimeError('the generator of traps did not get ready')

    def go(self) -> None:
        """Let it send."""
        assert self._process.stdin is not None
        self._process.stdin.write('\n')
        self._process.stdin.flush()

    def result(self) -> Sent:
        """Wait for the end."""
        told = json.loads(self._line())
        return Sent(told['traps'], told['seconds'], told['lag_seconds'])

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f'the generator of traps ended with {self._process.wait()}')
        return line.strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()


def main() -> None:
    """The command. Its last line is what was sent, as JSON."""
    parser = argparse.ArgumentParser(prog='python -m tests.traps', description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--port', type=int)
    parser.add_argument('--host', default='127.0.0.1')
    parser.add_argument('--sources', type=int, default=1, help='how many addresses send')
    parser.add_argument('--community', default='public')
    parser.add_argument('--user', help='v3: its name')
    parser.add_argument('--auth', type=_secret, help='v3: protocol:pass phrase, e.g. SHA:…')
    parser.add_argument('--privacy', type=_secret, help='v3: AES:pass phrase')
    parser.add_argument('--alerts', type=int, help='so many different alerts, else all are different')
    parser.add_argument('--first', type=int, default=0, help='number of the first trap')
    parser.add_argument('--boots', type=int, default=1, help='v3: boots of the engines')
    parser.add_argument('--rate', type=float, help='traps a second, else as fast as possible')
    amount = parser.add_mutually_exclusive_group(required=True)
    amount.add_argument('--count', type=int)
    amount.add_argument('--seconds', type=float, help='only with --rate')
    parser.add_argument('--wait', action='store_true', help='say "ready" and begin after a line on standard input')
    parser.add_argument('--order', type=json.loads, help=argparse.SUPPRESS)     # the fields of Traffic
    given = parser.parse_args()
    if given.order is None and given.port is None:
        parser.error('--port is missing')
    if given.count is None and given.rate is None:
        parser.error('--seconds needs --rate')
    try:
        traffic = _traffic(given)
    except ValueError as error:
        parser.error(str(error))
    with Generator(traffic) as generator:
        sent = _send(generator, given)
    print(json.dumps({**sent._asdict(), 'rate': round(sent.rate)}), flush=True)


def _send(generator: Generator, given: argparse.Namespace) -> Sent:
    datagrams = generator.prepare(given.count) if given.rate is None else []
    if given.wait:
        print('ready', flush=True)
        if not sys.stdin.readline():
            sys.exit('nobody is left who could say when')
    if given.rate is None:
        return generator.send(datagrams, generator.traffic.first)
    return generator.paced(given.rate, given.seconds if given.count is None else given.count / given.rate)


def _traffic(given: argparse.Namespace) -> Traffic:
    fields = given.order or {field.name: getattr(given, field.name) for field in dataclasses.fields(Traffic)}
    user = fields['user']
    if isinstance(user, str):
        user = User(user, given.auth, given.privacy)
    elif user is not None:
        name, auth, privacy = user
        user = User(name, auth and tuple(auth), privacy and tuple(privacy))
    return Traffic(**{**fields, 'user': user})


def _secret(text: str) -> tuple[str, str]:
    protocol, colon, phrase = text.partition(':')
    if not colon:
        raise argparse.ArgumentTypeError('write protocol:pass phrase')
    return protocol, phrase


if __name__ == '__main__':
    main()
