# SPDX-License-Identifier: Apache-2.0
"""The REST client against real TLS servers: whom it believes, what it says, how long it waits, what it never sends."""

from __future__ import annotations

import base64
import itertools
import logging
import os
import socket
import ssl
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import requests

from delfin import cryptor, exception, ssl_utils
from delfin.drivers.utils import rest_client
from delfin.drivers.utils.rest_client import RestClient
from delfin.drivers.verify import verify_for
from tests.simulators.tls import Answer, Authority, Certificate, Request, TlsServer, self_signed

HOST = '127.0.0.1'
PASSWORD = 'S3cret-of-the-array'
TOKEN = 'token-0123456789'

Serve = Callable[..., TlsServer]

# urllib3's own; ours is tested.
pytestmark = pytest.mark.filterwarnings('ignore::urllib3.exceptions.InsecureRequestWarning')


def echo(request: Request) -> Answer:
    """What the client asked for."""
    return Answer({'method': request.method, 'path': request.path, 'body': request.body.decode()})


@pytest.fixture(scope='module')
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope='module')
def good(authority: Authority) -> Certificate:
    return authority.issue(HOST, '::1', 'localhost')


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers; they end with the test."""
    running: list[TlsServer] = []

    def start(certificate: Certificate | None, handler: Callable[[Request], Answer] = echo,
              **options: Any) -> TlsServer:
        server = TlsServer(handler, certificate, **options)
        running.append(server.__enter__())
        return server

    yield start
    for server in running:
        server.__exit__()


def client_of(server: TlsServer | SilentPort, verify: Any = None, **rest: Any) -> RestClient:
    """A client that has a secret on its session, as drivers do after their login."""
    section = {'host': server.host, 'port': server.port, 'username': 'admin', 'password': cryptor.encode(PASSWORD)}
    client = RestClient(rest={**section, **rest}, **({} if verify is None else {'verify': verify}))
    log_in(client)
    return client


def log_in(client: RestClient) -> None:
    client.init_http_head()
    assert client.session is not None
    client.session.auth = (str(client.rest_username), cryptor.decode(str(client.rest_password)))
    client.session.headers['X-Auth-Token'] = TOKEN


def accepts(client: RestClient) -> bool:
    """Whether the client talks to the server."""
    try:
        return client.do_call('/ask', None, 'GET').status_code == 200
    except exception.SSLCertificateFailed:
        return False


def refusal(server: TlsServer, **options: Any) -> exception.SSLCertificateFailed:
    """The error of a client that must refuse the server, which must not have got a single byte."""
    client = client_of(server, **options)
    with pytest.raises(exception.SSLCertificateFailed) as caught:
        client.do_call('/ask', {'password': PASSWORD}, 'POST')
    server.settled(connections=2)       # the refused one, and the look at the certificate
    assert server.received == b''
    assert server.requests == []
    return caught.value


# --- the contract of the drivers' sheet ---

def test_without_a_rest_section_there_is_no_client() -> None:
    accesses: list[dict[str, Any]] = [{}, {'rest': None}, {'rest': {}}, {'ssh': {'host': HOST}}]
    for access in accesses:
        with pytest.raises(exception.InvalidInput, match='rest .* is required'):
            RestClient(**access)


def test_attributes_are_those_of_the_section() -> None:
    encoded = cryptor.encode(PASSWORD)
    client = RestClient(rest={'host': 'array', 'port': 8443, 'username': 'admin', 'password': encoded}, storage_id='1',
                        vendor='v', anything='else')
    assert (client.rest_host, client.rest_port, client.rest_username) == ('array', 8443, 'admin')
    assert client.rest_password == encoded
    assert client.san_address == 'https://array:8443'
    assert (client.session, client.rest_auth_token, client.device_id, client.verify) == (None, None, None, True)
    assert rest_client.SOCKET_TIMEOUT == 10


@pytest.mark.parametrize(('host', 'address'), [
    ('::1', 'https://[::1]:1'), ('2001:DB8::7', 'https://[2001:DB8::7]:1'), ('[::1]', 'https://[::1]:1'),
    ('192.0.2.1', 'https://192.0.2.1:1'), ('array.example', 'https://array.example:1'),
])
def test_ipv6_addresses_stand_in_brackets(host: str, address: str) -> None:
    assert RestClient(rest={'host': host, 'port': '1'}).san_address == address


def test_the_session_is_a_real_one_with_json_headers(serve: Serve, good: Certificate) -> None:
    client = client_of(serve(good))
    assert isinstance(client.session, requests.Session)
    assert client.session.trust_env is False
    wanted = {'Connection': 'keep-alive', 'Accept': 'application/json', 'Content-Type': 'application/json'}
    assert wanted.items() <= dict(client.session.headers).items()


def test_init_http_head_closes_the_old_session(serve: Serve, authority: Authority, good: Certificate) -> None:
    server = serve(good)
    client = client_of(server, ca_cert=authority.pem)
    client.do_call('/', None, 'GET')
    old = client.session
    client.init_http_head()
    assert client.session is not old
    server.settled(connections=1)


@pytest.mark.parametrize('method', ['GET', 'POST', 'PUT', 'DELETE'])
def test_do_call_sends_method_path_and_json(serve: Serve, authority: Authority, good: Certificate, method: str) -> None:
    client = client_of(serve(good), ca_cert=authority.pem)
    answer = client.do_call('/api/x?y=1', {'name': 'ä'}, method)
    assert answer.json() == {'method': method, 'path': '/api/x?y=1', 'body': '{"name": "\\u00e4"}'}
    assert client.do_call('/', None, method).json()['body'] == ''


def test_a_full_url_is_left_alone_and_http_inside_a_path_is_no_url(serve: Serve, authority: Authority,
                                                                   good: Certificate) -> None:
    server = serve(good)
    client = client_of(server, ca_cert=authority.pem)
    assert client.do_call(f'{server.url}/full', None, 'GET').json()['path'] == '/full'
    assert client.do_call('/http/path', None, 'GET').json()['path'] == '/http/path'


@pytest.mark.parametrize('status', [204, 401, 404, 500, 503])
def test_the_response_comes_back_whatever_its_status(serve: Serve, good: Certificate, status: int) -> None:
    server = serve(good, lambda request: Answer(b'', status))
    assert client_of(server, fingerprint=good.fingerprint).do_call('/', None, 'GET').status_code == status


def test_other_methods_are_refused() -> None:
    client = RestClient(rest={'host': HOST, 'port': 1})
    with pytest.raises(exception.StorageBackendException, match='Exception from Storage Backend: PATCH'):
        client.do_call('/', None, 'PATCH')


def test_ipv6_works(serve: Serve, authority: Authority, good: Certificate) -> None:
    try:
        server = serve(good, host='::1')
    except OSError:
        pytest.skip('this machine has no IPv6')
    assert accepts(client_of(server, ca_cert=authority.pem))


def test_connections_are_reused_and_do_not_wait_to_fill_packets(serve: Serve, authority: Authority, good: Certificate,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    options = set()

    class Observed(ssl_utils._Socket):
        def recv_into(self, *args: Any, **kwargs: Any) -> int:
            options.add(self.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            return super().recv_into(*args, **kwargs)

    monkeypatch.setattr(ssl_utils._Context, 'sslsocket_class', Observed)
    server = serve(good)
    client = client_of(server, ca_cert=authority.pem)
    for _ in range(5):
        client.do_call('/', {'a': 1}, 'POST')
    assert (server.connections, len(server.requests)) == (1, 5)
    assert options == {1}


def test_clients_with_the_same_trust_share_a_context(serve: Serve, authority: Authority, good: Certificate) -> None:
    same = [ssl_utils.Trust(ca_cert=authority.pem).context() for _ in range(2)]
    assert same[0] is same[1]
    others = [ssl_utils.Trust(), ssl_utils.Trust(verified=False), ssl_utils.Trust(ca_cert=good.pem)]
    assert len({id(trust.context()) for trust in others} | {id(same[0])}) == 4
    pinned = [ssl_utils.Trust(fingerprint=digest) for digest in (good.digest, bytes(32))]
    assert pinned[0].context() is pinned[1].context()


# --- tests of drivers replace parts of the class ---

def test_do_call_can_be_replaced_on_the_class() -> None:
    class Handler(RestClient):
        def volumes(self) -> Any:
            return self.do_call('/volumes', None, 'GET').json()

    response = requests.Response()
    response._content = b'[1]'
    with mock.patch.object(RestClient, 'do_call', mock.Mock(return_value=response)):
        assert Handler(rest={'host': 'array', 'port': 1}).volumes() == [1]


@pytest.mark.parametrize(('name', 'method'), [('request', 'GET'), ('request', 'POST'), ('get', 'GET'), ('post', 'POST'),
                                              ('put', 'PUT'), ('delete', 'DELETE')])
def test_methods_of_requests_can_be_replaced_on_the_class(name: str, method: str) -> None:
    client = RestClient(rest={'host': 'array.invalid', 'port': 1})
    client.init_http_head()
    with mock.patch.object(requests.Session, name, mock.Mock(return_value='answer')) as replaced:
        assert client.do_call('/x', {'a': 1}, method) == 'answer'
    assert replaced.called


# --- whom it believes ---

def test_a_private_ca_is_unknown_and_the_message_says_which_field_accepts_it(serve: Serve, good: Certificate) -> None:
    error = refusal(serve(good))
    assert 'unknown issuer' in error.msg
    assert 'subject "CN=array", for 127.0.0.1, ::1, localhost' in error.msg
    begins, ends = good.certificate.not_valid_before_utc, good.certificate.not_valid_after_utc
    assert f'valid from {begins:%Y-%m-%d} to {ends:%Y-%m-%d}' in error.msg
    assert f'rest.fingerprint = "{good.fingerprint}"' in error.msg
    assert 'rest.ca_cert' in error.msg
    assert 'rest.verify = false' in error.msg
    assert error.error_args == (good.fingerprint,)


def test_a_self_signed_certificate_is_called_so(serve: Serve) -> None:
    assert 'is self-signed and not among the CAs of the system' in refusal(serve(self_signed(HOST))).msg


def test_a_wrong_host_name_is_called_so(serve: Serve, authority: Authority) -> None:
    error = refusal(serve(authority.issue('array.example')), ca_cert=authority.pem)
    assert 'wrong host name: it was not issued for 127.0.0.1' in error.msg
    assert 'for array.example' in error.msg
    assert 'rest.ca_cert' not in error.msg       # it would not help


def test_the_common_name_is_no_host_name(serve: Serve, authority: Authority) -> None:
    server = serve(authority.issue('other', subject='localhost'))
    server.host = 'localhost'
    assert 'wrong host name' in refusal(server, ca_cert=authority.pem).msg


@pytest.mark.parametrize(('days', 'words'), [((-9, -2), 'has expired'), ((2, 9), 'is not valid yet')])
def test_the_validity_counts(serve: Serve, authority: Authority, days: tuple[int, int], words: str) -> None:
    assert words in refusal(serve(authority.issue(HOST, days=days)), ca_cert=authority.pem).msg


def test_an_expired_ca_is_not_blamed_on_the_array(serve: Serve) -> None:
    expired = Authority(days=(-9, -2))
    error = refusal(serve(expired.issue(HOST)), ca_cert=expired.pem)
    assert 'issued by a CA whose certificate has expired' in error.msg


def test_a_certificate_that_cannot_be_parsed_still_has_a_fingerprint() -> None:
    presented = ssl_utils.Presented.parse(b'rubbish')
    assert ssl_utils.fingerprint_text(presented.digest) in str(presented)


def test_ca_cert_is_the_only_ca(serve: Serve, authority: Authority, good: Certificate) -> None:
    server = serve(good)
    assert accepts(client_of(server, ca_cert=authority.pem))
    other = Authority('Other CA')
    assert accepts(client_of(server, ca_cert=f'a comment\r\n{other.pem}\r\n{authority.pem}'))
    assert 'neither rest.ca_cert nor' in refusal(serve(good), ca_cert=other.pem).msg
    # requests adds its bundle of public CAs to any context it is given.
    assert len(ssl_utils.Trust(ca_cert=authority.pem).context().get_ca_certs()) == 1


def test_ca_cert_replaces_the_systems_cas(serve: Serve, authority: Authority, good: Certificate,
                                          system_ca: None) -> None:
    server = serve(good)
    assert accepts(client_of(server))
    assert not accepts(client_of(server, ca_cert=Authority('Other CA').pem))
    assert accepts(client_of(server))       # the context for one is not the context for the other


@pytest.fixture
def system_ca(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The test's CA is one of the system's."""
    file = tmp_path / 'system.pem'
    file.write_text(authority.pem)
    ssl_utils._shared_context.cache_clear()
    monkeypatch.setenv('SSL_CERT_FILE', str(file))      # OpenSSL's own setting
    yield
    ssl_utils._shared_context.cache_clear()


def test_the_systems_cas_are_the_default_and_the_name_counts_with_them_too(serve: Serve, authority: Authority,
                                                                           good: Certificate, system_ca: None) -> None:
    assert accepts(client_of(serve(good)))
    assert accepts(client_of(serve(good), verify=True))
    assert 'wrong host name' in refusal(serve(authority.issue('array.example'))).msg


def test_an_intermediate_ca_may_be_sent_along_or_be_trusted_itself(serve: Serve, authority: Authority) -> None:
    between = Authority('Intermediate CA', authority)
    certificate = between.issue(HOST)
    server = serve(certificate)
    assert accepts(client_of(server, ca_cert=authority.pem))
    assert accepts(client_of(server, ca_cert=between.pem))
    bare = serve(Certificate(certificate.certificate, certificate.key))
    assert 'unknown issuer' in refusal(bare, ca_cert=authority.pem).msg


def test_a_self_signed_certificate_may_be_its_own_ca_cert(serve: Serve) -> None:
    certificate = self_signed(HOST)
    assert accepts(client_of(serve(certificate), ca_cert=certificate.pem))


def _spellings(certificate: Certificate) -> list[str]:
    digest = certificate.digest
    encoded = base64.b64encode(digest).decode()
    return [certificate.fingerprint, digest.hex(), digest.hex().upper(), digest.hex(':'), f'sha256:{digest.hex(":")}',
            encoded, encoded.rstrip('='), f'SHA256:{encoded.rstrip("=")}', f' SHA256:{encoded}\n',
            f'sha256 Fingerprint={digest.hex(":").upper()}', digest.hex(' ').upper(), f'SHA-256: {digest.hex()}']


@pytest.mark.parametrize('number', range(12))
def test_fingerprints_are_read_as_people_write_them(number: int, good: Certificate) -> None:
    assert ssl_utils.read_fingerprint(_spellings(good)[number], 'rest.fingerprint') == good.digest


@pytest.mark.parametrize('text', ['x', 'SHA256:', 'SHA1:' + '00' * 20, '00' * 20, '00' * 33, 'g' * 64,
                                  'SHA256:' + 'A' * 42])
def test_what_is_no_fingerprint_is_refused_at_once(text: str) -> None:
    with pytest.raises(exception.InvalidInput, match='rest.fingerprint must be the SHA-256 fingerprint'):
        RestClient(rest={'host': HOST, 'port': 1, 'fingerprint': text})


@pytest.mark.parametrize('text', ['x', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'])
def test_what_is_no_certificate_is_refused_at_once(text: str) -> None:
    with pytest.raises(exception.InvalidInput, match='rest.ca_cert must be one or several certificates'):
        RestClient(rest={'host': HOST, 'port': 1, 'ca_cert': text})


@pytest.mark.parametrize('certificate', [
    self_signed('array.example'), self_signed(), Authority().issue('array.example', days=(-9, -2)),
], ids=['self-signed', 'without names', 'expired, wrong name, unknown CA'])
def test_with_the_right_fingerprint_nothing_else_matters(serve: Serve, certificate: Certificate) -> None:
    server = serve(certificate)
    assert accepts(client_of(server, fingerprint=certificate.fingerprint))
    assert accepts(client_of(server, fingerprint=certificate.fingerprint, verify=False))


def test_a_wrong_fingerprint_shows_both_and_warns_of_a_man_in_the_middle(serve: Serve, authority: Authority,
                                                                         good: Certificate, system_ca: None) -> None:
    expected = self_signed(HOST)
    for more in ({}, {'ca_cert': authority.pem}, {'verify': False}):     # not even a CA that is trusted helps
        error = refusal(serve(good), fingerprint=expected.fingerprint, **more)
        assert 'man in the middle' in error.msg
        assert f'is not the one with the fingerprint {expected.fingerprint}' in error.msg
        assert f'rest.fingerprint = "{good.fingerprint}"' in error.msg


def test_the_fingerprint_is_checked_on_every_connection(serve: Serve, good: Certificate) -> None:
    server = serve(good, lambda request: Answer({}, headers={'Connection': 'close'}))
    client = client_of(server, fingerprint=good.fingerprint)
    client.do_call('/', None, 'GET')
    server.settled(connections=1)
    size = len(server.received)
    server.context = self_signed(HOST).server_context()
    with pytest.raises(exception.SSLCertificateFailed, match='man in the middle'):
        client.do_call('/', None, 'GET')
    server.settled(connections=3)
    assert len(server.received) == size


def test_verify_false_accepts_anybody_and_is_logged_once(serve: Serve, caplog: pytest.LogCaptureFixture,
                                                         recwarn: pytest.WarningsRecorder) -> None:
    caplog.set_level(logging.WARNING, rest_client.LOG.name)
    server = serve(self_signed('array.example'))
    client = RestClient(rest={'host': HOST, 'port': server.port, 'verify': False}, verify='/no/such/path')
    for _ in range(3):
        client.init_http_head()
        assert accepts(client)
        assert accepts(client)
    assert len([record for record in caplog.records if 'is not verified' in record.message]) == 1
    assert PASSWORD not in caplog.text


# --- `verify` as the door and drivers give it ---

def test_the_doors_verify_is_the_default(serve: Serve, authority: Authority, good: Certificate, tmp_path: Path) -> None:
    server = serve(good)
    file = tmp_path / 'ca.pem'
    file.write_text(authority.pem)
    assert not accepts(client_of(server, verify=True))
    assert accepts(client_of(server, verify=False))
    assert accepts(client_of(server, verify=str(file)))


def client_with(server: TlsServer, default: Any, **rest: Any) -> RestClient:
    client = RestClient(rest={'host': server.host, 'port': server.port, **rest}, verify=default)
    client.init_http_head()
    return client


def test_what_the_section_says_beats_the_doors_default(serve: Serve, authority: Authority, good: Certificate) -> None:
    server = serve(good)
    assert not accepts(client_with(server, False, verify=True))
    assert accepts(client_with(server, True, verify=False))
    assert accepts(client_with(server, True, verify=True, ca_cert=authority.pem))
    assert accepts(client_with(server, '/no/such/path', ca_cert=authority.pem))
    assert not accepts(client_with(server, False, ca_cert=Authority('Other CA').pem))


def test_a_directory_of_cas_needs_no_hashed_names(serve: Serve, authority: Authority, good: Certificate,
                                                  tmp_path: Path) -> None:
    server = serve(good)
    assert not accepts(client_with(server, str(tmp_path)))
    (tmp_path / 'README').write_text('not a certificate')
    (tmp_path / 'ours.crt').write_text(authority.pem)
    assert accepts(client_with(server, str(tmp_path)))


@pytest.mark.parametrize('content', [None, 'no certificate'])
def test_a_ca_path_without_certificates_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / 'ca.pem'
    if content is not None:
        path.write_text(content)
    client = RestClient(rest={'host': HOST, 'port': 1}, verify=str(path))
    with pytest.raises(exception.InvalidCAPath, match=str(path)):
        client.init_http_head()


def test_a_driver_may_set_verify_for_the_next_session(serve: Serve, authority: Authority, good: Certificate,
                                                      tmp_path: Path) -> None:
    file = tmp_path / 'ca.pem'
    file.write_text(authority.pem)
    client = client_with(serve(good), True)
    client.verify = str(file)
    assert not accepts(client)
    client.init_http_head()
    assert accepts(client)
    client.verify = True
    client.init_http_head()
    assert not accepts(client)
    client.verify = False
    client.init_http_head()
    assert accepts(client)


@pytest.mark.parametrize('nothing', [None, ''])
def test_a_driver_that_sets_nothing_switches_nothing_off(serve: Serve, good: Certificate, nothing: Any) -> None:
    client = client_with(serve(good), True)
    client.verify = nothing     # kwargs.get('verify') of a reset_connection without arguments
    client.init_http_head()
    assert not accepts(client)


def test_a_driver_cannot_switch_off_what_the_section_asks_for(serve: Serve, good: Certificate) -> None:
    sections: list[dict[str, Any]] = [{'verify': True}, {'ca_cert': Authority('Other CA').pem},
                                      {'fingerprint': '00' * 32}]
    for section in sections:
        client = client_with(serve(good), True, **section)
        client.verify = False
        client.init_http_head()
        assert not accepts(client)


# --- nothing of the surroundings counts, nothing leaks ---

def test_the_environment_changes_nothing(serve: Serve, authority: Authority, good: Certificate, tmp_path: Path,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path / 'bundle.pem'
    bundle.write_text(authority.pem)
    (tmp_path / '.netrc').write_text(f'machine {HOST} login netrc password netrc\n')
    (tmp_path / '.netrc').chmod(0o600)
    monkeypatch.setenv('HOME', str(tmp_path))
    for name in ('REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE'):
        monkeypatch.setenv(name, str(bundle))
    for name in ('HTTPS_PROXY', 'https_proxy', 'ALL_PROXY'):
        monkeypatch.setenv(name, 'http://127.0.0.1:1')
    server = serve(good)
    assert not accepts(client_with(server, True))       # the bundle would have accepted it
    client = client_with(server, True, ca_cert=authority.pem)
    assert accepts(client)
    assert 'Authorization' not in server.requests[-1].headers
    monkeypatch.setenv('REQUESTS_CA_BUNDLE', '/no/such/file')
    assert accepts(client_with(server, True, verify=False))


def test_no_redirect_to_another_place_is_followed(serve: Serve, authority: Authority, good: Certificate) -> None:
    other = serve(good)
    plain = serve(None)
    targets = iter([f'{other.url}/x', f'//{HOST}:{other.port}/x', f'http://{HOST}:{plain.port}/x'])
    server = serve(good, lambda request: Answer({}, 302, {'Location': next(targets)}))
    client = client_of(server, ca_cert=authority.pem)
    for _ in range(3):
        assert client.do_call('/', None, 'GET').status_code == 302
    assert (other.connections, plain.connections) == (0, 0)


def test_redirects_on_the_array_are_followed(serve: Serve, good: Certificate) -> None:
    server = serve(good, lambda request: Answer({}, 302, {'Location': '/there'}) if request.path == '/here'
                   else Answer({'path': request.path}))
    client = client_of(server, fingerprint=good.fingerprint)
    assert client.do_call('/here', None, 'GET').json() == {'path': '/there'}


def test_errors_hold_neither_path_nor_headers_nor_password(serve: Serve, good: Certificate,
                                                           caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    secret = f'/login/{PASSWORD}?token={TOKEN}'
    closes = Answer({}, length=100)
    servers: list[tuple[TlsServer, dict[str, Any]]] = [
        (serve(good), {}), (serve(None), {}), (serve(good, lambda request: closes), {'fingerprint': good.fingerprint})]
    for server, options in servers:
        client = client_of(server, **options)
        with pytest.raises(exception.DelfinException) as caught:
            client.do_call(secret, None, 'GET')
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__
        shown = f'{caught.value} {caught.value!r} {caught.value.error_args} {client!r} {vars(client)!r}'
        assert PASSWORD not in shown
        assert TOKEN not in shown
    client.session.headers['X-Bad'] = f'{TOKEN}\n'
    with pytest.raises(exception.BadResponse) as bad:
        client.do_call('/', None, 'GET')
    assert TOKEN not in f'{bad.value}'
    assert PASSWORD not in caplog.text
    assert TOKEN not in caplog.text


def test_a_strangers_certificate_puts_no_codes_into_messages(serve: Serve) -> None:
    certificate = self_signed(HOST, subject='a\nb\x1b[31mc')
    error = refusal(serve(certificate))
    assert error.msg.isprintable()
    assert certificate.fingerprint in error.msg


# --- time ---

class SilentPort:
    """Accepts connections and says nothing."""

    def __init__(self) -> None:
        self._socket = socket.create_server((HOST, 0))
        self.host, self.port = self._socket.getsockname()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def silent() -> Iterator[SilentPort]:
    port = SilentPort()
    yield port
    port.close()


def test_a_silent_port_is_given_up(silent: SilentPort) -> None:
    started = time.monotonic()
    with pytest.raises(exception.StorageBackendException) as caught:
        client_of(silent, timeout=0.3).do_call('/', None, 'GET')
    assert time.monotonic() - started < 3
    assert 'did not answer within 0.3 seconds (read timed out)' in caught.value.msg


def test_a_certificate_that_cannot_be_looked_at_only_shortens_the_message(silent: SilentPort) -> None:
    started = time.monotonic()
    assert ssl_utils.presented_certificate(silent.host, silent.port, 0.2) is None
    assert time.monotonic() - started < 2
    with mock.patch.object(ssl_utils, 'presented_certificate', return_value=None):
        error = ssl_utils.certificate_refused(ssl.SSLCertVerificationError(), ssl_utils.Trust(), HOST, 1)
    assert 'rest.fingerprint' in error.msg
    assert error.error_args == ()


def test_a_server_that_never_answers_a_request_is_given_up(serve: Serve, good: Certificate) -> None:
    over = threading.Event()

    def wait(request: Request) -> Answer:
        over.wait(10)
        return Answer({})

    client = client_of(serve(good, wait), fingerprint=good.fingerprint)
    with pytest.raises(exception.StorageBackendException, match='did not answer within 0.2 seconds'):
        client.do_call('/', None, 'GET', 0.2)
    over.set()


def trickle(text: bytes) -> Iterator[bytes]:
    """Bytes that come slowly, but never so slowly that one read runs out of time."""
    yield text
    for _ in range(200):
        time.sleep(0.05)
        yield b'x'


@pytest.mark.parametrize('start', [
    b'HTTP/1.1 200 OK\r\nX-Header: ',
    b'HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n',
    b'HTTP/1.1 200 OK\r\n\r\n',
], ids=['in the headers', 'in the body', 'in a body without length'])
def test_an_answer_that_trickles_in_has_a_limit(serve: Serve, good: Certificate, start: bytes,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest_client, 'ANSWER_TIMEOUTS', 3)
    client = client_of(serve(good, lambda request: Answer(raw=trickle(start))), fingerprint=good.fingerprint,
                       timeout=0.3)
    started = time.monotonic()
    with pytest.raises(exception.StorageBackendException, match='did not finish its answer within 0.9 seconds'):
        client.do_call('/', None, 'GET')
    assert 0.8 < time.monotonic() - started < 3


def test_a_slow_answer_within_the_limit_is_good(serve: Serve, good: Certificate) -> None:
    slow = itertools.islice(trickle(b'HTTP/1.1 200 OK\r\n\r\n'), 11)
    client = client_of(serve(good, lambda request: Answer(raw=slow)), fingerprint=good.fingerprint, timeout=0.2)
    assert client.do_call('/', None, 'GET').text == 'x' * 10       # took half a second


@pytest.mark.parametrize(('timeout', 'asked', 'connect', 'read'), [
    (None, {}, 10, 10), (None, {'calltimeout': 180}, 10, 180), (None, {'calltimeout': None}, 10, 10),
    (45, {}, 45, 45), (3, {}, 3, 3), (45, {'calltimeout': 10}, 45, 45), (45, {'calltimeout': 180}, 45, 180),
    (45, {'calltimeout': 20}, 45, 45), ('7.5', {}, 7.5, 7.5),
])
def test_the_time_outs_of_a_call(timeout: Any, asked: dict[str, Any], connect: float, read: float) -> None:
    client = RestClient(rest={'host': 'array', 'port': 1, 'timeout': timeout})
    client.init_http_head()
    with mock.patch.object(requests.Session, 'request') as request:
        client.do_call('/', None, 'GET', **asked)
    assert request.call_args.kwargs['timeout'] == (connect, read)


@pytest.mark.parametrize('timeout', [0, -1, 'x', 'nan', 'inf', [3]])
def test_a_wrong_timeout_is_refused(timeout: Any) -> None:
    with pytest.raises(exception.InvalidInput, match='rest.timeout must be'):
        RestClient(rest={'host': 'array', 'port': 1, 'timeout': timeout})


def test_calls_past_do_call_have_time_outs_too(silent: SilentPort) -> None:
    client = client_of(silent, timeout=0.2)
    with pytest.raises(requests.Timeout):
        client.session.get(f'{client.san_address}/')


# --- the mapping of errors, row by row ---

def test_a_refused_connection_is_a_wrong_address() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(exception.InvalidIpOrPort) as caught:
        RestClient(rest={'host': HOST, 'port': port}).do_call('/', None, 'GET')
    assert caught.value.msg.startswith('Invalid ip or port.')
    assert f'{HOST} port {port} (Connection refused)' in caught.value.msg


@pytest.mark.parametrize('host', ['no-such-host.invalid', 'a..b', 'x' * 64, 'bad host'])
def test_a_name_that_leads_nowhere_is_a_wrong_address(host: str) -> None:
    with pytest.raises(exception.InvalidIpOrPort, match='Invalid ip or port'):
        RestClient(rest={'host': host, 'port': 443}).do_call('/', None, 'GET')


def test_no_connection_in_time_is_a_wrong_address() -> None:
    # A listener with a full queue drops further connections: the client sees what it sees of a dead address.
    with socket.create_server((HOST, 0), backlog=0) as full:
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex((HOST, port))
        with pytest.raises(exception.InvalidIpOrPort, match='did not answer within 0.3 seconds'):
            RestClient(rest={'host': HOST, 'port': port, 'timeout': 0.3}).do_call('/', None, 'GET')
        for each in waiting:
            each.close()


def test_a_port_without_tls_fails_the_handshake(serve: Serve) -> None:
    with pytest.raises(exception.SSLHandshakeFailed, match='does not speak TLS; check rest.port'):
        client_of(serve(None)).do_call('/', None, 'GET')


@pytest.mark.filterwarnings('ignore:ssl.TLSVersion')
def test_old_tls_fails_the_handshake(serve: Serve, good: Certificate) -> None:
    context = good.server_context()
    context.set_ciphers('ALL:@SECLEVEL=0')
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with pytest.raises(exception.SSLHandshakeFailed, match='does not offer TLS 1.2'):
        client_of(serve(good, context=context), fingerprint=good.fingerprint).do_call('/', None, 'GET')


def test_no_common_cipher_fails_the_handshake(serve: Serve, good: Certificate) -> None:
    context = good.server_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers('ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0')       # no client offers that, whatever its OpenSSL
    with pytest.raises(exception.SSLHandshakeFailed, match='share no cipher'):
        client_of(serve(good, context=context), fingerprint=good.fingerprint).do_call('/', None, 'GET')


def test_a_server_that_wants_a_client_certificate_fails_the_handshake(serve: Serve, good: Certificate) -> None:
    context = good.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=good.pem)
    with pytest.raises(exception.SSLHandshakeFailed, match='client certificate'):
        client_of(serve(good, context=context), fingerprint=good.fingerprint).do_call('/', None, 'GET')


@pytest.mark.parametrize('answer', [
    Answer({'half': 1}, length=1000), Answer(raw=[b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab']),
    Answer(raw=[]), Answer(raw=[b'rubbish\r\n\r\n']),
], ids=['mid-body', 'mid-chunk', 'at once', 'rubbish'])
def test_an_answer_that_breaks_off_is_a_bad_response(serve: Serve, good: Certificate, answer: Answer) -> None:
    client = client_of(serve(good, lambda request: answer), fingerprint=good.fingerprint)
    with pytest.raises(exception.BadResponse, match=r'bad response\. 127\.0\.0\.1 port \d+: .'):
        client.do_call('/', None, 'GET')


@pytest.mark.parametrize(('raised', 'expected'), [
    (requests.ConnectTimeout(), exception.InvalidIpOrPort),
    (requests.ConnectionError('x: Failed to establish a new connection: y'), exception.InvalidIpOrPort),
    (requests.ReadTimeout('Read timed out'), exception.StorageBackendException),
    (requests.exceptions.SSLError('certificate verify failed'), exception.SSLCertificateFailed),
    (requests.exceptions.SSLError('[SSL: CERTIFICATE_VERIFY_FAILED]'), exception.SSLCertificateFailed),
    (requests.exceptions.SSLError('bad handshake'), exception.SSLHandshakeFailed),
    (requests.ConnectionError('WSAETIMEDOUT'), exception.ConnectTimeout),
    (requests.ConnectionError('Connection aborted'), exception.BadResponse),
    (ValueError('anything'), exception.BadResponse),
    (exception.InvalidUsernameOrPassword(), exception.InvalidUsernameOrPassword),
])
def test_errors_as_tests_of_drivers_fake_them(raised: Exception, expected: type[Exception]) -> None:
    client = RestClient(rest={'host': HOST, 'port': 1})
    with mock.patch.object(requests.Session, 'request', side_effect=raised), pytest.raises(expected) as caught:
        client.do_call('/', None, 'GET')
    assert type(caught.value) is expected


# --- drivers with sessions of their own ---

def test_the_host_name_ignoring_adapter_verifies_the_chain_but_not_the_name(serve: Serve, authority: Authority,
                                                                            tmp_path: Path) -> None:
    file = tmp_path / 'ca.pem'
    file.write_text(authority.pem)
    server = serve(authority.issue('array.example'))
    for adapter in (ssl_utils.HostNameIgnoreAdapter(), ssl_utils.get_host_name_ignore_adapter()):
        session = requests.Session()
        session.trust_env = False
        session.mount('https://', adapter)
        session.verify = str(file)
        assert session.get(server.url, timeout=5).status_code == 200
        session.close()
        session.verify = True
        with pytest.raises(requests.exceptions.SSLError, match='certificate verify failed'):
            session.get(server.url, timeout=5)
        session.verify = False
        assert session.get(server.url, timeout=5).status_code == 200
    assert ssl_utils.get_host_name_ignore_adapter() is not ssl_utils.get_host_name_ignore_adapter()


def test_a_client_certificate_stays_with_its_session(serve: Serve, authority: Authority, good: Certificate,
                                                     tmp_path: Path) -> None:
    own = self_signed(subject='delfin')
    file = tmp_path / 'own.pem'
    file.write_text(own.private_pem + own.pem)
    context = good.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=own.pem)
    server = serve(good, context=context)
    client = client_of(server, ca_cert=authority.pem)
    client.session.cert = str(file)
    assert accepts(client)
    assert accepts(client)
    assert server.connections == 1
    with pytest.raises(exception.SSLHandshakeFailed, match='client certificate'):
        client_of(server, ca_cert=authority.pem).do_call('/', None, 'GET')


@pytest.mark.parametrize(('access', 'default', 'expected'), [
    ({}, True, True), ({'ssh': {'verify': False}}, True, True), ({'rest': {}}, '/ca', '/ca'),
    ({'rest': {'host': 'h'}}, False, False), ({'rest': {'verify': False}}, True, False),
    ({'rest': {'verify': True}}, True, True), ({'rest': {'verify': True}}, '/ca', '/ca'),
    ({'smis': {'verify': False}}, True, False), ({'rest': {'host': 'h'}, 'smis': {'verify': False}}, True, True),
    ({'rest': None, 'smis': {'verify': False}}, True, False),
    ({'rest': {'fingerprint': '00' * 32}}, True, True), ({'rest': {'fingerprint': '00' * 32}}, '/ca', '/ca'),
])
def test_verify_for_drivers_that_know_nothing_else(access: dict[str, Any], default: Any, expected: Any,
                                                   tmp_path: Path) -> None:
    assert verify_for(access, default, tmp_path / 'ca') == expected
    assert not (tmp_path / 'ca').exists()


def test_verify_for_with_a_ca_is_the_path_of_a_private_file(serve: Serve, authority: Authority, good: Certificate,
                                                            tmp_path: Path) -> None:
    directory = tmp_path / 'state' / 'ca'
    path = verify_for({'rest': {'ca_cert': f'comment\r\n{authority.pem}'}}, True, directory)
    assert isinstance(path, str)
    assert Path(path).parent == directory
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    before = os.stat(path)
    assert verify_for({'smis': {'ca_cert': authority.pem}}, False, directory) == path
    assert os.stat(path) == before
    other = verify_for({'rest': {'ca_cert': Authority().pem}}, True, directory)
    assert other != path
    assert len(list(directory.iterdir())) == 2
    session = requests.Session()
    session.trust_env = False
    assert session.get(serve(good).url, verify=path, timeout=5).status_code == 200
    with pytest.raises(exception.InvalidInput, match='smis.ca_cert must be'):
        verify_for({'smis': {'ca_cert': 'x'}}, True, directory)


def test_verify_for_leaves_no_half_written_file(authority: Authority, tmp_path: Path) -> None:
    with mock.patch('os.fsync', side_effect=OSError('disk full')), pytest.raises(OSError, match='disk full'):
        verify_for({'rest': {'ca_cert': authority.pem}}, True, tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- many at once ---

def test_many_clients_share_a_context_at_the_same_time(serve: Serve, authority: Authority, good: Certificate) -> None:
    server = serve(good, lambda request: Answer({}, headers={'Connection': 'close'}))
    failed: list[BaseException] = []

    def poll() -> None:
        try:
            client = client_of(server, ca_cert=authority.pem)
            for _ in range(5):
                client.do_call('/', None, 'GET')
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=poll) for _ in range(8)]
    for action, thread in itertools.product(('start', 'join'), threads):
        getattr(thread, action)()
    assert failed == []
    assert len(server.requests) == 40
