# SPDX-License-Identifier: Apache-2.0
"""TLS of delfin-api: client certificates, renewal, refusals; and a request id on its way through separate services."""

from __future__ import annotations

import contextlib
import datetime
import os
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from oslo_config import cfg

from delfin import exception
from delfin.api.server import endpoint_of
from delfin.common import config
from tests.engines import RabbitMQ
from tests.services import START_SECONDS, Client, Site, fake, wait_for

PASSWORD = 'geheim-Schluessel-1!'
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


# --- certificates ---

def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass
class Authority:
    """A CA of a test."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, folder: Path, subject: str) -> Authority:
        folder.mkdir(exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _sign(subject, key.public_key(), subject, key, NOW + 30 * DAY, NOW - DAY, ca=True)
        made = cls(folder, key, certificate)
        made.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return made

    @property
    def file(self) -> Path:
        return self.folder / f'{self.certificate.subject.rfc4514_string()}.pem'

    def issue(self, subject: str, key: Any = None, *, password: str = '', until: datetime.datetime = NOW + 30 * DAY,
              since: datetime.datetime = NOW - DAY) -> tuple[Path, Path]:
        """Certificate file and key file."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        certificate = _sign(subject, key.public_key(), self.certificate.subject.rfc4514_string()[3:], self.key, until,
                            since, ca=False)
        cert_file, key_file = self.folder / f'{subject}.crt', self.folder / f'{subject}.key'
        cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.touch(0o600)
        key_file.write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()))
        return cert_file, key_file


def _sign(subject: str, public_key: Any, issuer: str, issuer_key: ec.EllipticCurvePrivateKey,
          until: datetime.datetime, since: datetime.datetime, ca: bool) -> x509.Certificate:
    return (x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer)).public_key(public_key)
            .serial_number(x509.random_serial_number()).not_valid_before(since).not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address('127.0.0.1'))]), critical=False)
            .sign(issuer_key, hashes.SHA256()))


# --- a site with everything ---

@dataclass
class TlsSite:
    """delfin-task and delfin-api on RabbitMQ, with an encrypted key and client certificates, open to the network."""

    site: Site
    authority: Authority
    pid: int

    def client(self, certificate: tuple[Path, Path] | None) -> Client:
        client = Client(self.site.port)
        client.url = client.url.replace('http:', 'https:')
        client.session.verify = str(self.authority.file)
        client.session.cert = (str(certificate[0]), str(certificate[1])) if certificate else None
        return client

    def presented(self) -> int:
        """The serial number of the certificate that a new connection gets to see."""
        pem = ssl.get_server_certificate(('127.0.0.1', self.site.port), timeout=10)
        return x509.load_pem_x509_certificate(pem.encode()).serial_number

    def log(self) -> str:
        return self.site.log.read_text()


@pytest.fixture(scope='module')
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp('ca'), 'Delfin test CA')


@pytest.fixture(scope='module')
def operator(authority: Authority) -> tuple[Path, Path]:
    """A client certificate."""
    return authority.issue('operator')


@pytest.fixture(scope='module')
def tls(authority: Authority, operator: tuple[Path, Path], rabbitmq: RabbitMQ,
        tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsSite]:
    cert_file, key_file = authority.issue('server', password=PASSWORD)
    site = Site(tmp_path_factory.mktemp('tls'), transport=rabbitmq.create_vhost(), api={
        'host': '0.0.0.0', 'tls_cert_file': cert_file, 'tls_key_file': key_file, 'tls_key_password': PASSWORD,
        'tls_client_ca_file': authority.file})
    with site.start('task'), site.start('api') as api:
        found = TlsSite(site, authority, api._process.pid)

        def ready() -> bool:
            with contextlib.suppress(requests.ConnectionError):
                return found.client(operator).request('GET', '/readiness').status_code == 200
            return False
        wait_for('delfin-api', ready, START_SECONDS)
        yield found
        assert api.stop() == 0


def test_a_client_with_a_certificate_is_served(tls: TlsSite, operator: tuple[Path, Path]) -> None:
    assert tls.client(operator).get('/v1/storages') == {'storages': []}
    assert 'open to everybody' not in tls.log()


def test_a_client_without_a_good_certificate_is_not(tls: TlsSite, tmp_path: Path) -> None:
    stranger = Authority.make(tmp_path, 'Another CA').issue('stranger')
    for certificate in (None, stranger):
        with pytest.raises(requests.ConnectionError):
            tls.client(certificate).request('GET', '/healthcheck')
    with pytest.raises(requests.ConnectionError):
        Client(tls.site.port).request('GET', '/healthcheck')        # plain HTTP


@pytest.mark.parametrize('version', [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_modern_tls_is_spoken(tls: TlsSite, operator: tuple[Path, Path], version: ssl.TLSVersion) -> None:
    assert _status_line(tls, operator, version).startswith(b'HTTP/1.1 200')


@pytest.mark.filterwarnings('ignore:ssl.TLSVersion.TLSv1_1')
def test_old_tls_is_not(tls: TlsSite, operator: tuple[Path, Path]) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        _status_line(tls, operator, ssl.TLSVersion.TLSv1_1)


def _status_line(tls: TlsSite, operator: tuple[Path, Path], version: ssl.TLSVersion) -> bytes:
    context = ssl.create_default_context(cafile=str(tls.authority.file))
    context.load_cert_chain(*operator)
    context.set_ciphers('DEFAULT:@SECLEVEL=0')          # else OpenSSL itself would not even offer the old one
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(('127.0.0.1', tls.site.port), 10) as plain, \
            context.wrap_socket(plain, server_hostname='127.0.0.1') as connection:
        connection.sendall(b'GET /healthcheck HTTP/1.1\r\nHost: x\r\n\r\n')
        return connection.recv(100)


def test_a_request_id_goes_through_api_broker_and_task_service(tls: TlsSite, operator: tuple[Path, Path]) -> None:
    answer = tls.client(operator).request('POST', '/v1/storages', json=fake(9710), headers={'X-Request-Id': 'far-1'})
    assert (answer.status_code, answer.headers['X-Request-Id']) == (201, 'far-1')
    def lines_of_both() -> list[str]:
        lines = [line for line in tls.log().splitlines() if '[far-1 ' in line]
        return lines if len({line.split()[2] for line in lines}) == 2 else []

    lines = wait_for('lines of two processes', lines_of_both)
    assert any('delfin.task_manager' in line for line in lines), lines


def test_the_password_of_the_key_is_nowhere_to_be_seen(tls: TlsSite) -> None:
    pids = {line.split()[2] for line in tls.log().splitlines() if line[:2] == '20'}
    living = [Path(f'/proc/{pid}') for pid in pids if Path(f'/proc/{pid}/cmdline').exists()]
    assert len(living) >= 3
    for process in living:
        for file in ('cmdline', 'environ'):
            assert PASSWORD.encode() not in (process / file).read_bytes()
    assert PASSWORD not in tls.log()
    assert not [file for file in tls.site.root.rglob('*') if file.is_file() and file != tls.site.config
                and (PASSWORD.encode() in file.read_bytes() or b'PRIVATE KEY' in file.read_bytes())]


def test_sighup_renews_the_certificate_unless_the_new_one_is_bad(tls: TlsSite, operator: tuple[Path, Path]) -> None:
    old = tls.presented()
    tls.authority.issue('server', password='another password')
    os.kill(tls.pid, signal.SIGHUP)
    wait_for('the complaint', lambda: 'not renewed: [api] tls_key_file' in tls.log())
    assert tls.presented() == old
    tls.authority.issue('server', password=PASSWORD)
    wait_for('the end of the first renewal', lambda: tls.log().count('Stopped old worker') >= 1)
    os.kill(tls.pid, signal.SIGHUP)
    wait_for('the new certificate', lambda: tls.presented() != old)
    assert tls.client(operator).get('/healthcheck') == {'status': 'ok'}
    wait_for('the end of the second renewal', lambda: tls.log().count('Stopped old worker') >= 2)


# --- refusals ---

@pytest.fixture
def complaint(tmp_path: Path) -> Callable[..., str]:
    """`complaint(tls_cert_file=…)`: the one line with which the endpoint is refused."""
    def make(**options: object) -> str:
        file = tmp_path / 'delfin.conf'
        file.write_text('[api]\n' + ''.join(f'{option} = {value}\n' for option, value in options.items()))
        conf = config.load(['--config-file', str(file)], 'test', cfg.ConfigOpts(), default_config_dirs=[])
        with pytest.raises(exception.InvalidConfiguration) as caught:
            endpoint_of(conf, embedded=False)
        assert '\n' not in caught.value.msg
        return caught.value.msg
    return make


def files(pair: tuple[Path, Path], **more: object) -> dict[str, object]:
    return {'tls_cert_file': pair[0], 'tls_key_file': pair[1], **more}


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return Authority.make(tmp_path / 'ca', 'CA of one test')


def test_half_of_the_options_is_refused(complaint: Callable[..., str], ca: Authority) -> None:
    pair = ca.issue('server')
    assert '[api] tls_key_file is not set' in complaint(tls_cert_file=pair[0])
    assert '[api] tls_cert_file is not set' in complaint(tls_key_file=pair[1])
    assert '[api] tls_cert_file is not set' in complaint(tls_client_ca_file=ca.file)


def test_files_that_are_none_are_refused(complaint: Callable[..., str], ca: Authority, tmp_path: Path) -> None:
    pair, nothing = ca.issue('server'), tmp_path / 'nothing'
    assert complaint(**files((nothing, pair[1]))) == f'[api] tls_cert_file: {nothing}: No such file or directory'
    assert complaint(**files((pair[0], nothing))) == f'[api] tls_key_file: {nothing}: No such file or directory'
    nothing.touch(0o600)
    assert 'holds no certificate' in complaint(**files((nothing, pair[1])))
    assert 'holds no private key' in complaint(**files((pair[0], nothing)))
    assert 'tls_client_ca_file' in complaint(**files(pair, tls_client_ca_file=nothing))
    damaged = pair[0].read_text().replace('MII', 'XXX')
    pair[0].write_text(damaged)
    assert 'damaged' in complaint(**files(pair))


def test_a_key_of_another_certificate_is_refused(complaint: Callable[..., str], ca: Authority) -> None:
    assert 'does not belong' in complaint(**files((ca.issue('one')[0], ca.issue('two')[1])))


def test_a_certificate_out_of_time_is_refused(complaint: Callable[..., str], ca: Authority) -> None:
    assert 'has expired on' in complaint(**files(ca.issue('old', until=NOW - DAY / 2)))
    assert 'not valid before' in complaint(**files(ca.issue('new', since=NOW + DAY)))


@pytest.mark.parametrize('mode', [0o604, 0o644, 0o660, 0o666])
def test_a_key_that_others_can_read_is_refused(complaint: Callable[..., str], ca: Authority, mode: int) -> None:
    pair = ca.issue('server')
    pair[1].chmod(mode)
    assert f'chmod 600 {pair[1]}' in complaint(**files(pair))


def test_passwords_have_to_fit(complaint: Callable[..., str], ca: Authority) -> None:
    locked = ca.issue('locked', password=PASSWORD)
    assert 'set tls_key_password' in complaint(**files(locked))
    assert 'tls_key_password is wrong' in complaint(**files(locked, tls_key_password='something else'))
    assert 'remove tls_key_password' in complaint(**files(ca.issue('open'), tls_key_password=PASSWORD))


@pytest.mark.parametrize('key', [ec.generate_private_key(ec.SECP521R1()), ec.generate_private_key(ec.SECP256K1()),
                                 rsa.generate_private_key(65537, 1024)], ids=['P-521', 'secp256k1', 'RSA-1024'])
def test_a_key_that_would_kill_workers_is_refused(complaint: Callable[..., str], ca: Authority, key: Any) -> None:
    assert 'is of a kind' in complaint(**files(ca.issue('server', key)))


def test_tls_alone_is_no_access_control(complaint: Callable[..., str], ca: Authority) -> None:
    assert 'tls_client_ca_file' in complaint(**files(ca.issue('server')), host='0.0.0.0')


def test_good_keys_are_served(tmp_path: Path, ca: Authority) -> None:
    """A bad file is one line before any worker; then every kind of key in turn, in the same installation."""
    pair = ca.issue('server', until=NOW - DAY / 2)
    site = Site(tmp_path / 'site', transport='kombu+memory:////', api=files(pair))
    for program in (('api',), ('manage', 'config', 'check')):
        done = site.run(*program)
        assert done.returncode != 0
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert 'has expired' in done.stderr
    assert 'Spawning worker' not in site.log.read_text()
    ca.issue('server', rsa.generate_private_key(65537, 2048))
    with site.start('api') as api:
        found = TlsSite(site, ca, api._process.pid)
        serial = 0
        for key in (None, ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1())):
            serial = wait_for('another certificate', lambda before=serial: _other(found, before), START_SECONDS)
            ca.issue('server', key)
            os.kill(found.pid, signal.SIGHUP)
        wait_for('the last certificate', lambda: _other(found, serial))


def _other(found: TlsSite, serial: int) -> int:
    with contextlib.suppress(OSError):
        presented = found.presented()
        return presented if presented != serial else 0
    return 0
