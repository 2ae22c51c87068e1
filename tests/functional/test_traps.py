# SPDX-License-Identifier: Apache-2.0
"""Traps and INFORMs of real senders become alerts in a real delfin-all; everything else is refused and counted."""

from __future__ import annotations

import contextlib
import itertools
import random
import socket
import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from delfin.alert_manager.snmp import ber, usm
from delfin.alert_manager.snmp.protocols import AUTH_NO_PRIV, AUTH_PRIV
from delfin.db import Database, traps
from delfin.db.sqlalchemy import models
from tests.engines.snmp import User, Variable, free_udp_ports, has_ipv6, send_trap
from tests.services import Client, Process, Site, fake, wait_for
from tests.unit.snmp_support import (
    CLEAR_MESSAGES,
    STALLS_PYSNMP,
    PysnmpSender,
    community_message,
    mutated,
    scoped_pdu,
    v3_message,
)
from tests.unit.trap_support import BASE, fault

# net-snmp's names of protocols -> those of the configuration.
AUTH = {'MD5': 'HMACMD5', 'SHA': 'HMACSHA', 'SHA-224': 'HMCSHA2224', 'SHA-256': 'HMCSHA2256', 'SHA-384': 'HMCSHA2384',
        'SHA-512': 'HMCSHA2512'}
PRIVACY = {'DES': 'DES', 'AES': 'AES', 'AES-192': 'AES192', 'AES-256': 'AES256', 'AES-192-C': 'AES192',
           'AES-256-C': 'AES256'}
SIGNING, SEALING = 'signing-phrase', 'sealing-phrase'
NOT_ANSWERED_SECONDS = 1.0      # so long an answer may take on a busy machine
BELL_SECONDS = 4        # less than the five after which Delfin would look by itself

_places = itertools.count(1)
_numbers = itertools.count(1)


class House:
    """A Delfin that receives traps, and those who send them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port, self.second_port = free_udp_ports()[0], free_udp_ports()[0]
        listen = [f'127.0.0.1:{self.port}', f'127.0.0.1:{self.second_port}']
        listen += [f'[::1]:{self.port}'] if has_ipv6() else []
        self.site = Site(root, alerts={'listen': ','.join(listen), 'sync_interval_seconds': 0,
                                       'probe_interval_seconds': 0})
        self.process: Process = self.site.start().ready()

    @property
    def client(self) -> Client:
        return self.process.client

    def restart(self) -> None:
        """Another life of the process, whatever became of the one before."""
        self.process = self.site.start().ready()

    def array(self, **configuration: Any) -> Array:
        """A registered array that sends from an address of its own."""
        place = next(_places)
        address = configuration.pop('address', f'127.0.{100 + place // 250}.{1 + place % 250}')
        rest_host = configuration.pop('rest_host', f'array-{place}.example')
        body = fake(9000 + place)
        body['rest']['host'] = rest_host
        array = Array(self, self.client.register(**body), address)
        if configuration.pop('configured', True):
            array.configure(**configuration)
        return array

    def raw(self, datagram: bytes, address: str, answered: bool = False) -> bytes | None:
        """Send bytes from an address; the answer, if one is waited for and comes."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind((address, 0))
            sender.settimeout(NOT_ANSWERED_SECONDS)
            sender.sendto(datagram, ('127.0.0.1', self.port))
            with contextlib.suppress(TimeoutError):
                return sender.recv(65535) if answered else None
        return None

    def rejected(self) -> Counter[tuple[str, str]]:
        """What was refused, by sender and reason."""
        return Counter({(row['address'], row['reason']): row['count']
                        for row in self.client.get('/v1/traps/rejected')['rejected_traps']})

    def failed(self, array: Array) -> list[dict[str, Any]]:
        """The traps from an array's address that could not be understood, newest first."""
        return [row for row in self.client.get('/v1/traps/failed', limit=500)['failed_traps']
                if row['source'] == array.address]

    def database(self) -> Any:
        """A transaction in its database."""
        return Database(self.site.database).write()


class Array:
    """A make-believe array, and the machine that sends its traps with net-snmp."""

    def __init__(self, house: House, storage: dict[str, Any], address: str) -> None:
        self.house, self.storage, self.id, self.address = house, storage, storage['id'], address
        self.engine_id = '80007ed901' + socket.inet_aton(address).hex()
        self.community, self.user = 'public', User('')
        self._version = '2c'
        self._folder = house.root / 'senders' / address
        self._folder.mkdir(parents=True, exist_ok=True)

    def configure(self, *, user: User | None = None, community: str | None = 'public', version: str = 'SNMPv2c',
                  **more: Any) -> None:
        """PUT, and wait until its INFORMs are acknowledged."""
        self.put(user=user, community=community, version=version, **more)
        wait_for(f'{self.address} to be known', lambda: self.inform() is not None, 10)

    def put(self, *, user: User | None = None, community: str | None = 'public', version: str = 'SNMPv2c',
            host: str | None = None, **more: Any) -> None:
        """Tell Delfin who it is, and send like that from now on."""
        body: dict[str, Any] = {'host': host or self.address, 'version': version, 'community_string': community}
        self._version, self.community = {'SNMPv1': '1', 'SNMPv2c': '2c'}[version], community or ''
        if user is not None:
            self._version, self.user = '3', user
            body = {'host': host or self.address, 'version': 'SNMPv3', 'username': user.user,
                    'security_level': user.level}
            for name, secret, names in (('auth', user.auth, AUTH), ('privacy', user.privacy, PRIVACY)):
                body |= {f'{name}_protocol': names[secret[0]], f'{name}_key': secret[1]} if secret else {}
        answer = self.house.client.request('PUT', f'/v1/storages/{self.id}/snmp-config', json={**body, **more})
        assert answer.status_code == 200, answer.text

    def config(self) -> dict[str, Any]:
        return self.house.client.get(f'/v1/storages/{self.id}/snmp-config')

    # --- sending ---

    def trap(self, number: int | None = None, variables: dict[int, Any] | None = None, **options: Any) -> int:
        """Send a trap; the sequence number of its alert."""
        number = next(_numbers) if number is None else number
        said = {1: '0x1001', 2: 'Disk failed', 6: number, 9: f'disk {number}', **(variables or {})}
        self._send(said, inform=False, **options)
        return number

    def inform(self, number: int | None = None, **options: Any) -> int | None:
        """Send an INFORM; the sequence number of its alert, or None if it was not acknowledged."""
        number = next(_numbers) if number is None else number
        said = {1: '0x1001', 2: 'Disk failed', 6: number, 9: f'disk {number}'}
        done = self._send(said, inform=True, **{'version': '2c' if self._version == '1' else self._version,
                                                'timeout_seconds': NOT_ANSWERED_SECONDS, **options})
        return number if done.returncode == 0 else None

    def _send(self, said: dict[int, Any], *, inform: bool, **options: Any) -> Any:
        user = options.pop('user', self.user)
        identity: dict[str, Any] = {}
        version = options.get('version', self._version)
        if version == '3':
            identity = {**user._asdict(), **({} if inform else {'engine_id': self.engine_id})}
        options = {'version': version, 'community': self.community, 'source': self.address, 'folder': self._folder,
                   **identity, **options}
        if ':' in options.get('host', ''):
            del options['source']
        port = options.pop('port', self.house.port)
        done = send_trap(port, inform=inform, oid=f'{BASE}.0.1', variables=[
            Variable(f'{BASE}.{name}.0', 's', str(value)) for name, value in said.items()], **options)
        assert inform or done.returncode == 0, done.stderr
        return done

    # --- what became of it ---

    def alert(self, number: int) -> dict[str, Any]:
        """The alert with this sequence number, once it is there."""
        return wait_for(f'alert {number} of {self.address}', lambda: self.alerts().get(str(number)), 10)

    def alerts(self) -> dict[str, dict[str, Any]]:
        """Its alerts by sequence number, without those that Delfin has raised itself."""
        found = self.house.client.get('/v1/alerts', storage_id=self.id, limit=1000)['alerts']
        return {row['sequence_number']: row for row in found if row['origin'] != 'delfin'}


@pytest.fixture(scope='module')
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One Delfin for all but those who stop it."""
    house = House(tmp_path_factory.mktemp('traps'))
    with house.process as process:
        yield house
        assert process.stop() == 0
    errors = [line for line in house.site.log.read_text().splitlines() if 'Traceback' in line]
    assert errors == []
    texts = house.site.log.read_bytes() + b''.join(house.client.bodies)
    assert SIGNING.encode() not in texts and SEALING.encode() not in texts, 'a secret has escaped'


@pytest.fixture(scope='module')
def array(house: House) -> Array:
    """One that many tests configure as they need it."""
    return house.array()


# --- every version, level and protocol ---

WAYS: list[dict[str, Any]] = [{}, {'second_port': True}, *([{'host': '::1'}] if has_ipv6() else [])]


@pytest.mark.parametrize('way', WAYS, ids=['first port', 'second port', 'IPv6'][:len(WAYS)])
@pytest.mark.parametrize('version', ['1', '2c', '3'])
def test_traps_of_every_version_arrive_wherever_delfin_listens(house: House, array: Array, version: str,
                                                               way: dict[str, Any]) -> None:
    user = User('plain') if version == '3' else None
    array.configure(user=user, version=f'SNMPv{version}' if version != '3' else 'SNMPv2c',
                    host=f'{array.address}, ::1')
    options = {'port': house.second_port} if 'second_port' in way else way
    number = array.trap(variables={3: 2, 5: 'EquipmentAlarm', 7: 1_700_000_000_000, 8: 'Größe 5'}, **options)
    alert = array.alert(number)
    assert {name: alert[name] for name in (
        'alert_id', 'alert_name', 'severity', 'category', 'type', 'sequence_number', 'occur_time', 'description',
        'location', 'state', 'count', 'storage_id', 'serial_number', 'vendor', 'origin')} == {
        'alert_id': '0x1001', 'alert_name': 'Disk failed', 'severity': 'Critical', 'category': alert['category'],
        'type': 'EquipmentAlarm', 'sequence_number': str(number), 'occur_time': 1_700_000_000_000,
        'description': 'Größe 5', 'location': f'disk {number}', 'state': 'open', 'count': 1, 'storage_id': array.id,
        'serial_number': array.storage['serial_number'], 'vendor': array.storage['vendor'], 'origin': 'trap'}
    trap = house.client.get(f'/v1/alerts/{alert["id"]}')['trap']
    assert (trap['source'], trap['version'], trap['variables'][ber.SNMP_TRAP_OID]) == (
        options.get('host', array.address), {'1': 'SNMPv1', '2c': 'SNMPv2c', '3': 'SNMPv3'}[version], f'{BASE}.0.1')


USERS = [*(User('ann', (name, SIGNING)) for name in AUTH),
         *(User('eve', ('SHA', SIGNING), (name, SEALING)) for name in PRIVACY),
         User('eve', ('MD5', SIGNING), ('AES-256', SEALING)), User('eve', ('SHA-512', SIGNING), ('AES', SEALING))]


@pytest.mark.parametrize('user', USERS, ids=lambda user: '-'.join(
    secret[0] for secret in (user.auth, user.privacy) if secret))
def test_each_protocol_of_net_snmp_is_understood(house: House, array: Array, user: User) -> None:
    array.configure(user=user)
    told = [array.trap(), array.inform()]
    assert [array.alert(number or 0)['count'] for number in told] == [1, 1]


@pytest.mark.parametrize('privacy', ['3DES', 'DES'])
def test_triple_des_of_pysnmp_is_understood(house: House, array: Array, privacy: str) -> None:
    user = usm.User(b'ted', AUTH_PRIV, 'HMACSHA', SIGNING, privacy, SEALING)
    array.put(host=array.address, version='SNMPv2c')
    body = {'host': array.address, 'version': 'SNMPv3', 'username': 'ted', 'security_level': 'authPriv',
            'auth_protocol': 'HMACSHA', 'auth_key': SIGNING, 'privacy_protocol': privacy, 'privacy_key': SEALING}
    assert house.client.request('PUT', f'/v1/storages/{array.id}/snmp-config', json=body).status_code == 200
    sender, number = PysnmpSender(user), next(_numbers)
    said = [(f'{BASE}.1.0', sender_text('0x1001')), (f'{BASE}.6.0', sender_text(str(number)))]
    wait_for('an acknowledged INFORM', lambda: sender.inform(
        said, lambda datagram: house.raw(datagram, array.address, answered=True)) is None, 10)
    later = next(_numbers)
    said[1] = (said[1][0], sender_text(str(later)))
    house.raw(sender.trap(said), array.address)
    assert [array.alert(each)['state'] for each in (number, later)] == ['open', 'open']


def sender_text(text: str) -> Any:
    """A value for pysnmp."""
    from pysnmp.proto import rfc1902
    return rfc1902.OctetString(text)


# --- refused ---

def test_what_cannot_prove_who_it_is_becomes_no_alert_and_is_counted(house: House) -> None:
    eve, ann = User('eve', ('SHA', SIGNING), ('AES', SEALING)), User('ann', ('SHA-256', SIGNING))
    open_one, sealed, signed = house.array(address='127.0.95.1'), house.array(user=eve), house.array(user=ann)
    sealed.alert(sealed.trap())                    # its engine is pinned
    before = house.rejected()
    expected: Counter[tuple[str, str]] = Counter()
    known = {array.id: set(array.alerts()) for array in (open_one, sealed, signed)}

    def refused(array: Array, reason: str, sent: object = None) -> None:
        assert sent is None or isinstance(sent, int), 'it was answered'
        expected[array.address, reason] += 1

    def not_acknowledged(array: Array, reason: str, **options: Any) -> None:
        array.trap(**options)
        refused(array, reason)
        assert array.inform(**options) is None
        refused(array, reason)

    stranger = f'{open_one.address}0'       # begins alike
    for sent in (community_message(ber.V2C, fault(next(_numbers))), STALLS_PYSNMP):
        house.raw(sent, stranger)
        expected[stranger, 'unknown_sender'] += 1
    not_acknowledged(open_one, 'wrong_community', community='Public')
    not_acknowledged(sealed, 'wrong_community', version='2c', community='public')
    open_one.trap(version='3', user=eve)
    refused(open_one, 'unknown_user')
    sealed.trap(user=ann)
    refused(sealed, 'unknown_user')
    sealed.trap(user=User('eve', ('SHA', 'another phrase'), ('AES', SEALING)))
    refused(sealed, 'wrong_digest')
    sealed.trap(user=User('eve', ('SHA', SIGNING), ('AES', 'another phrase')))
    refused(sealed, 'decryption_failed')
    sealed.trap(user=User('eve', ('SHA', SIGNING)))
    refused(sealed, 'wrong_security_level')
    sealed.trap(user=User('eve'))
    refused(sealed, 'wrong_security_level')
    signed.trap(user=User('ann', ('SHA-256', SIGNING), ('AES', SEALING)))
    refused(signed, 'wrong_security_level')
    sealed.trap(engine_id='80007ed9041234567890')
    refused(sealed, 'wrong_engine')
    for size in (0, 1, 6):
        house.raw(random.Random(size).randbytes(size), open_one.address)
        refused(open_one, 'malformed')
    assert house.raw(STALLS_PYSNMP, open_one.address, answered=True) is None
    refused(open_one, 'malformed')
    house.raw(bytes(65507), open_one.address)
    refused(open_one, 'too_long')
    rng = random.Random(1)
    for _ in range(200):
        house.raw(mutated(CLEAR_MESSAGES[0], rng, CLEAR_MESSAGES[:1]), stranger)
        expected[stranger, 'unknown_sender'] += 1

    good = next(_numbers)
    sent = v3_message(scoped_pdu(fault(good)), usm.User(b'ann', AUTH_NO_PRIV, 'HMCSHA2256', SIGNING),
                      engine_id=bytes.fromhex(signed.engine_id), boots=90, time=500)
    old = v3_message(scoped_pdu(fault(next(_numbers))), usm.User(b'ann', AUTH_NO_PRIV, 'HMCSHA2256', SIGNING),
                     engine_id=bytes.fromhex(signed.engine_id), boots=89, time=900)
    for datagram in (sent, sent, old):
        house.raw(datagram, signed.address)
    refused(signed, 'replayed')
    refused(signed, 'not_in_time_window')

    after = {array.id: array.inform() for array in (open_one, sealed, signed)}
    assert None not in after.values()
    for array in (open_one, sealed, signed):
        array.alert(after[array.id] or 0)
    wait_for('everything to be counted', lambda: house.rejected() - before == expected, 12)
    new = [set(array.alerts()) - known[array.id] - {str(after[array.id])} for array in (open_one, sealed, signed)]
    assert new == [set(), set(), {str(good)}]


def test_ten_thousand_broken_messages_cost_nothing(house: House) -> None:
    """Cut ones of a sender that is known, and signed ones with something changed."""
    user = User('mallory', ('SHA', SIGNING), ('AES', SEALING))
    plain, sealed = house.array(), house.array(user=user)
    sealed.alert(sealed.trap())
    known = {array.id: set(array.alerts()) for array in (plain, sealed)}
    rng = random.Random(20261120)
    clear = community_message(ber.V2C, fault(1))
    closed = v3_message(scoped_pdu(fault(2)), usm.User(b'mallory', AUTH_PRIV, 'HMACSHA', SIGNING, 'AES', SEALING),
                        engine_id=bytes.fromhex(sealed.engine_id), boots=90, time=500)
    before = house.process.memory_kb()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, socket.socket(
            socket.AF_INET, socket.SOCK_DGRAM) as other:
        one.bind((plain.address, 0))
        other.bind((sealed.address, 0))
        for _ in range(5000):
            one.sendto(clear[:rng.randrange(len(clear))], ('127.0.0.1', house.port))
            changed = mutated(closed, rng)
            other.sendto(changed if changed != closed else closed[1:], ('127.0.0.1', house.port))
    after = {array.id: array.inform() for array in (plain, sealed)}
    assert None not in after.values()
    for array in (plain, sealed):
        array.alert(after[array.id] or 0)
        assert set(array.alerts()) == {*known[array.id], str(after[array.id])}
    wait_for('all to be counted', lambda: sum(number for (address, _), number in house.rejected().items()
                                              if address in (plain.address, sealed.address)) == 10_000, 12)
    assert house.process.memory_kb() - before < 30_000


# --- configuration ---

def test_a_new_source_is_known_and_a_removed_one_stops_at_once(house: House) -> None:
    array = house.array(configured=False)
    assert array.inform() is None
    array.put()
    wait_for('the new source', lambda: array.inform() is not None, BELL_SECONDS)
    house.client.delete(f'/v1/storages/{array.id}/snmp-config', 200)
    wait_for('its removal', lambda: array.inform() is None, BELL_SECONDS)


def test_with_a_new_community_the_old_one_stops(house: House, array: Array) -> None:
    array.configure(community='first-community')
    array.configure(community='second-community')
    assert (array.inform(community='first-community'), array.inform() is None) == (None, False)


def test_an_engine_id_is_learned_shown_and_forgotten(house: House, array: Array) -> None:
    array.configure(user=User('ann', ('SHA', SIGNING)))
    array.alert(array.trap())
    wait_for('the engine id', lambda: array.config()['engine_id'] == array.engine_id, 5)
    assert array.config()['engine_id_learned'] is True
    other = '80007ed904' + random.Random(2).randbytes(8).hex()
    refused = array.trap(engine_id=other)
    house.client.delete(f'/v1/storages/{array.id}/snmp-config/engine-id', 200)

    def taken() -> bool:
        number = array.trap(engine_id=other)
        with contextlib.suppress(AssertionError):
            return bool(wait_for('it', lambda: array.alerts().get(str(number)), 0.5))
        return False
    wait_for('a trap of the other engine', taken, 5)
    wait_for('the new engine id', lambda: array.config()['engine_id'] == other, 5)
    assert str(refused) not in array.alerts()


def test_sources_that_cannot_be_used_disturb_no_other(house: House, array: Array) -> None:
    lost, nowhere = house.array(configured=False), house.array(configured=False)
    lost.put()
    nowhere.put(host='no-such-host.invalid')
    with house.database() as connection:
        connection.execute(sa.update(models.alert_sources).where(models.alert_sources.c.storage_id == lost.id), {
            'community_string': '$delfin$1$00000000$AAAA'})
    array.configure(community='third-community')
    assert (lost.inform(), nowhere.inform()) == (None, None)


def test_a_source_may_have_several_hosts_and_names(house: House) -> None:
    array = house.array(address='127.0.0.1', configured=False)
    array.configure(host='localhost, 127.0.99.2, 127.0.99.3')
    numbers = [array.inform(source=source) for source in ('127.0.0.1', '127.0.99.2', '127.0.99.3', '127.0.99.4')]
    assert [number is not None for number in numbers] == [True, True, True, False]
    house.client.delete(f'/v1/storages/{array.id}/snmp-config', 200)


def test_what_the_driver_names_as_senders_may_send(house: House) -> None:
    array = house.array(rest_host='127.0.98.1')
    wait_for('what the driver names', lambda: array.inform(source='127.0.98.1') is not None, 10)
    assert array.inform(source='127.0.98.10') is None


def test_traps_that_say_too_little_ask_for_an_alert_sync(house: House) -> None:
    array = house.array()
    sync = f'/v1/storages/{array.id}/alerts/sync'
    first = wait_for('the first sync', lambda: house.client.get(sync)['finished_at'], 15)
    for _ in range(5):
        array.trap(variables={99: 'incomplete'})
    wait_for('the request', lambda: house.client.get(sync)['pending'], 5)
    wait_for('the sync', lambda: not house.client.get(sync)['pending'], 15)
    assert (house.client.get(sync)['state'], house.client.get(sync)['finished_at'] > first) == ('done', True)
    assert house.failed(array) == []


# --- several arrays behind one address ---

def test_arrays_behind_one_address_get_their_own_alerts_and_no_others(house: House) -> None:
    address = '127.0.97.1'
    first, second, elsewhere = house.array(address=address), house.array(address=address), house.array()
    numbers = {array.id: first.trap(variables={12: array.storage['serial_number']}) for array in (first, second)}
    nobody = first.trap()
    forged = first.trap(variables={12: elsewhere.storage['serial_number']})
    foreign = elsewhere.trap(variables={12: first.storage['serial_number']})
    failed = wait_for('three failed traps', lambda: len(found := [
        row for row in (*house.failed(first), *house.failed(elsewhere))
        if any(f'disk {number}' in row['variables'].values() for number in (nobody, forged, foreign))]) == 3 and found)
    assert all('fits' in row['error'] for row in failed), failed
    assert str(numbers[first.id]) in first.alerts() and str(numbers[first.id]) not in second.alerts()
    assert str(numbers[second.id]) in second.alerts() and str(numbers[second.id]) not in first.alerts()
    assert not {str(forged), str(foreign), str(nobody)} & {*first.alerts(), *second.alerts(), *elsewhere.alerts()}


# --- drivers that misbehave ---

def test_what_a_driver_cannot_read_stays_readable_and_holds_nobody_up(house: House) -> None:
    array = house.array()
    numbers = {action: array.trap(variables={99: action})
               for action in ('raise', 'raise_typed', 'exit', 'garbage', 'none', 'notimplemented')}
    after = array.trap()
    array.alert(after)
    errors = {next(text for text in row['variables'].values() if text in numbers): row['error']
              for row in house.failed(array)}
    assert set(errors) == {'raise', 'raise_typed', 'exit', 'garbage'} and all(errors.values())
    assert house.process.running and not {str(number) for number in numbers.values()} & set(array.alerts())


def test_failed_traps_are_tried_again_when_the_driver_was_mended(house: House) -> None:
    array = house.array()
    broken, mended = array.trap(variables={99: 'raise'}), next(_numbers)
    wait_for('it to be kept', lambda: house.failed(array), 10)
    row = house.failed(array)[0]
    # As if the driver had not understood this one, either, when it came.
    said = {name: text for name, text in row['variables'].items() if not name.startswith(f'{BASE}.99')}
    said[f'{BASE}.6.0'] = str(mended)
    with house.database() as connection:
        traps.add_failed(connection, [traps.Failed(datetime.now(UTC), array.address, (array.id,), 'SNMPv2c', said,
                                                   'as it was')], 'node', 1000)
    assert '1 traps were read' in house.site.manage('traps', 'retry')
    array.alert(mended)
    assert [entry['id'] for entry in house.failed(array)] == [row['id']]
    assert str(broken) not in array.alerts() and str(row['id']) in house.site.manage('traps', 'list')


# --- the life of an alert ---

def test_a_recovery_clears_its_fault(house: House, array: Array) -> None:
    array.configure(community='fourth-community')
    number = array.trap(variables={4: 1})
    assert array.alert(number)['state'] == 'open'
    array.trap(number, variables={4: 3})
    wait_for('the end', lambda: array.alert(number)['state'] == 'cleared', 5)


def test_a_thousand_faults_of_fifty_senders_all_end(house: House) -> None:
    addresses = [f'127.0.96.{last}' for last in range(1, 51)]
    arrays = [house.array(address=addresses[at], host=','.join(addresses[at:at + 17])) for at in range(0, 50, 17)]
    with contextlib.ExitStack() as stack:
        senders = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in addresses]
        for sender, address in zip(senders, addresses, strict=True):
            sender.bind((address, 0))
        for number in range(100_000, 101_000):
            for recovered in (False, True):
                senders[number % 50].sendto(community_message(ber.V2C, fault(number, recovered=recovered)),
                                            ('127.0.0.1', house.port))
    wanted = {str(number) for number in range(100_000, 101_000)}

    def states() -> Counter[str]:
        return Counter(row['state'] for array in arrays for number, row in array.alerts().items() if number in wanted)
    wait_for('their end', lambda: states() == {'cleared': 1000}, 20)


# --- what happens to Delfin itself ---

def test_neither_a_locked_database_nor_a_killed_process_costs_or_doubles_anything(tmp_path: Path) -> None:
    house = House(tmp_path / 'house')
    try:
        array = house.array(user=User('ann', ('SHA', SIGNING)))
        user = usm.User(b'ann', AUTH_NO_PRIV, 'HMACSHA', SIGNING)
        engine = bytes.fromhex(array.engine_id)
        sent, old = next(_numbers), next(_numbers)
        replayed = v3_message(scoped_pdu(fault(sent), engine), user, engine_id=engine, boots=50, time=500)
        from_before = v3_message(scoped_pdu(fault(old), engine), user, engine_id=engine, boots=49, time=900)
        house.raw(replayed, array.address)
        array.alert(sent)
        with contextlib.closing(sqlite3.connect(house.root / 'delfin.sqlite', isolation_level=None)) as other:
            other.execute('BEGIN IMMEDIATE')
            numbers = [array.inform() for _ in range(5)]
            assert None not in numbers, 'reception goes on'
            assert not {str(number) for number in numbers} & set(array.alerts())
            house.process.kill()
            other.execute('ROLLBACK')
        house.restart()
        for datagram in (replayed, from_before):
            house.raw(datagram, array.address)
        assert [array.alert(number or 0)['count'] for number in numbers] == [1] * 5
        wait_for('the replays to be counted', lambda: house.rejected() == {
            (array.address, 'replayed'): 1, (array.address, 'not_in_time_window'): 1}, 12)
        assert (array.alerts()[str(sent)]['count'], str(old) in array.alerts()) == (1, False)
        assert house.process.stop() == 0
    finally:
        if house.process.running:
            house.process.kill()
