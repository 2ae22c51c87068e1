# SPDX-License-Identifier: Apache-2.0
"""What net-snmp's own commands send: read, verified, opened and acknowledged with every protocol that they have."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from delfin.alert_manager.snmp import ber, usm
from delfin.alert_manager.snmp.answers import Report
from delfin.alert_manager.snmp.protocols import AUTH_PRIV
from tests.engines.plugin import require
from tests.engines.snmp import Snmptrapd, send_trap
from tests.unit.snmp_support import (
    AUTH,
    AUTH_KEY,
    NOBODY,
    PRIVACY,
    PRIVACY_KEY,
    SENDER,
    TRAP_OID,
    USERS,
    Responder,
    named,
    pdu_of,
)

PATIENCE_SECONDS = 10
OF_NET_SNMP = [user for user in USERS if user.privacy_protocol is None or PRIVACY[user.privacy_protocol][1]]
# Each protocol once, and all levels: an INFORM takes two commands' worth of time.
INFORMERS = [user for user in OF_NET_SNMP
             if user.auth_protocol in (None, 'HMCSHA2512') or user.privacy_protocol in (None, 'AES256')]
SEALED = usm.User(b'sealed', AUTH_PRIV, 'HMACSHA', AUTH_KEY, 'AES', PRIVACY_KEY)


@pytest.fixture(scope='module', autouse=True)
def commands() -> None:
    require(Snmptrapd)


def options(user: usm.User) -> dict[str, object]:
    """How `send_trap` sends as this user."""
    chosen: dict[str, object] = {'version': '3', 'user': user.name.decode()}
    if user.auth_protocol:
        chosen['auth'] = (AUTH[user.auth_protocol][1], user.auth_key)
    if user.privacy_protocol:
        chosen['privacy'] = (PRIVACY[user.privacy_protocol][1], user.privacy_key)
    return chosen


@contextlib.contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(('127.0.0.1', 0))
        receiver.settimeout(PATIENCE_SECONDS)
        yield receiver


def sent(**how) -> bytes:
    """The datagram of a trap."""
    with listening() as receiver:
        send_trap(receiver.getsockname()[1], oid=TRAP_OID, **how)
        return receiver.recv(65535)


def inform(receiver: Responder, **how):
    """The finished `snmpinform`, with `receiver` at the other end."""
    with listening() as endpoint:
        def answer() -> None:
            while True:
                datagram, address = endpoint.recvfrom(65535)
                if not datagram:
                    return
                reply = receiver(datagram)
                if reply is not None:
                    endpoint.sendto(reply, address)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            return send_trap(endpoint.getsockname()[1], inform=True, oid=TRAP_OID, **how)
        finally:
            with listening() as waker:
                waker.sendto(b'', endpoint.getsockname())
                thread.join()


VALUES = [
    ('1.3.6.1.4.1.32473.1.1', 's', 'Fan 3 failed', 'Fan 3 failed'),
    ('1.3.6.1.4.1.32473.1.2', 'i', '-7', '-7'),
    ('1.3.6.1.4.1.32473.1.3', 'u', '4294967295', '4294967295'),
    ('1.3.6.1.4.1.32473.1.4', 'c', '3000000000', '3000000000'),
    ('1.3.6.1.4.1.32473.1.6', 't', '2147483648', '2147483648'),
    ('1.3.6.1.4.1.32473.1.7', 'a', '192.0.2.1', '192.0.2.1'),
    ('1.3.6.1.4.1.32473.1.8', 'o', '1.3.6.1.4.1.32473', '1.3.6.1.4.1.32473'),
    ('1.3.6.1.4.1.32473.1.9', 'x', '07EA0B14122400002B0100', '0x07ea0b14122400002b0100'),
    ('1.3.6.1.4.1.32473.1.10', 'd', '76 252 102', '0x4cfc66'),
    ('1.3.6.1.4.1.32473.1.11', 's', 'x' * 1000, 'x' * 1000),
]
COUNTER64 = ('1.3.6.1.4.1.32473.1.5', 'C', '18446744073709551615', '18446744073709551615')


@pytest.mark.parametrize(('version', 'values'), [('1', VALUES), ('2c', [*VALUES, COUNTER64])])
def test_every_type_of_value_is_read(version, values):
    datagram = sent(version=version, community='a community', variables=[value[:3] for value in values])
    found = ber.trap_variables(pdu_of(datagram))
    assert ber.read(datagram).community == b'a community'
    assert (found[ber.SYS_UP_TIME], found[ber.SNMP_TRAP_OID]) == ('4711', TRAP_OID)
    assert {name: found[name] for name, *_ in values} == {name: text for name, _, _, text in values}


@pytest.mark.parametrize('name', ['1.3.6.1.6.3.1.1.5.1', '1.3.6.1.6.3.1.1.5.4'])
def test_a_v1_trap_of_the_standard_bears_its_name(name):
    with listening() as receiver:
        send_trap(receiver.getsockname()[1], version='1', oid=name, agent_address='192.0.2.9')
        found = ber.trap_variables(pdu_of(receiver.recv(65535)))
    assert (found[ber.SNMP_TRAP_OID], found[ber.SNMP_TRAP_ADDRESS]) == (name, '192.0.2.9')


@pytest.mark.parametrize('user', OF_NET_SNMP, ids=named)
def test_a_v3_trap_is_verified_and_opened(user):
    datagram = sent(**options(user), engine_id=SENDER.hex(), context='bridge', variables=[VALUES[0][:3]])
    message = ber.read(datagram)
    keys = usm.localise(user, SENDER)
    assert usm.verify(datagram, message, keys)
    scoped = usm.decrypt(datagram, message, keys)
    assert (scoped.name, ber.trap_variables(scoped.pdu)[VALUES[0][0]]) == (b'bridge', 'Fan 3 failed')


@pytest.mark.parametrize('name', ['AES-192', 'AES-192-C', 'AES-256', 'AES-256-C'])
def test_plain_aes_opens_what_either_kind_of_agent_sends(name):
    user = usm.User(b'long', AUTH_PRIV, 'HMACSHA', AUTH_KEY, name.replace('-', '')[:6], PRIVACY_KEY)
    datagram = sent(version='3', user='long', auth=('SHA', AUTH_KEY), privacy=(name, PRIVACY_KEY),
                    engine_id=SENDER.hex())
    keys = usm.localise(user, SENDER)
    message = ber.read(datagram)
    assert usm.verify(datagram, message, keys) and usm.decrypt(datagram, message, keys).pdu.tag == ber.TRAP_V2


def test_a_v2c_inform_is_acknowledged():
    receiver = Responder([])
    assert inform(receiver, version='2c').returncode == 0
    assert [pdu.tag for pdu in receiver.accepted] == [ber.INFORM]


@pytest.mark.parametrize('user', INFORMERS, ids=named)
def test_a_v3_inform_finds_our_engine_and_is_acknowledged(user):
    receiver = Responder([user])
    done = inform(receiver, **options(user), variables=[VALUES[0][:3]])
    assert (done.returncode, done.stderr) == (0, '')
    assert [ber.trap_variables(pdu)[VALUES[0][0]] for pdu in receiver.accepted] == ['Fan 3 failed']


def test_a_v3_inform_with_a_wrong_clock_sets_it_and_is_acknowledged():
    receiver = Responder([SEALED], boots=3, time=1000)
    done = inform(receiver, **options(SEALED), engine_id=receiver.ours.engine_id.hex(), boots_and_time=(2, 5))
    assert (done.returncode, receiver.reports) == (0, [Report.NOT_IN_TIME_WINDOWS])


@pytest.mark.parametrize(('configured', 'told'), [
    (usm.User(b'somebody', AUTH_PRIV, 'HMACSHA', AUTH_KEY, 'AES', PRIVACY_KEY), 'Unknown user name'),
    (usm.User(b'sealed', NOBODY.level), 'Unsupported security level'),
    (usm.User(b'sealed', AUTH_PRIV, 'HMACSHA', 'another phrase', 'AES', PRIVACY_KEY), 'Authentication failure'),
    (usm.User(b'sealed', AUTH_PRIV, 'HMACSHA', AUTH_KEY, 'AES', 'another phrase'), 'Decryption error')])
def test_the_sender_is_told_what_is_wrong(configured, told):
    receiver = Responder([configured])
    done = inform(receiver, **options(SEALED), timeout_seconds=1)
    assert done.returncode != 0 and told.lower() in done.stderr.lower()
    assert receiver.accepted == []
