# SPDX-License-Identifier: Apache-2.0
"""The port for Prometheus: what it answers, whom it lets in, and clients that mean no good."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from oslo_config import cfg

from delfin import exception
from delfin.common import config
from delfin.db import Database
from delfin.db.schema import Schema
from delfin.exporter.prometheus import endpoint as module
from delfin.exporter.prometheus.endpoint import PrometheusEndpoint
from delfin.own_metrics import OwnMetrics
from tests.checkouts import free_port
from tests.services import Site, fake, wait_for
from tests.simulators.tls import Authority, Certificate
from tests.unit.metrics_support import OWNER, points
from tests.unit.support import add_storage

SECONDS = 10
Start = Callable[..., PrometheusEndpoint]


@pytest.fixture(scope='module')
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    path = tmp_path_factory.mktemp('database') / 'delfin.sqlite'
    with contextlib.closing(Database(f'sqlite:///{path}')) as database:
        Schema(database).upgrade()
        add_storage(database)
        yield database


@pytest.fixture
def conf(tmp_path: Path) -> Callable[..., cfg.ConfigOpts]:
    """`conf(host='0.0.0.0')`: a configuration."""
    def make(**options: object) -> cfg.ConfigOpts:
        file = tmp_path / 'delfin.conf'
        file.write_text('[DEFAULT]\nhost = node-1\n[prometheus]\n' + ''.join(
            f'{name} = {value}\n' for name, value in {'port': free_port(), **options}.items()))
        return config.load(['--config-file', str(file)], 'test', cfg.ConfigOpts(), default_config_dirs=[])
    return make


@pytest.fixture
def start(conf: Callable[..., cfg.ConfigOpts], database: Database) -> Iterator[Start]:
    """`start(port=…)`: an endpoint that runs."""
    with contextlib.ExitStack() as stack:
        def begin(**options: object) -> PrometheusEndpoint:
            made = PrometheusEndpoint(conf(**options), OwnMetrics())
            stack.callback(made.stop, 1)
            made.start(database)
            return made
        yield begin


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def url(endpoint: PrometheusEndpoint, path: str = '/metrics', scheme: str = 'http') -> str:
    return f'{scheme}://127.0.0.1:{endpoint.address[1]}{path}'


def files(folder: Path, certificate: Certificate, name: str = 'server') -> tuple[Path, Path]:
    cert, key = folder / f'{name}.crt', folder / f'{name}.key'
    cert.write_text(certificate.pem)
    key.touch(0o600)
    key.write_text(certificate.private_pem)
    return cert, key


# --- what it answers ---

@pytest.mark.parametrize('accepted', ['gzip', 'identity', 'gzip;q=0, deflate'])
def test_metrics_are_there_compressed_for_who_wants_it(start: Start, session: requests.Session, accepted: str) -> None:
    endpoint = start()
    endpoint.collected(OWNER, 'volume', [points('0x17', {5: 1.5})], 60)
    answer = session.get(url(endpoint), headers={'Accept-Encoding': accepted}, timeout=SECONDS)
    assert answer.headers['Content-Type'] == 'text/plain; version=0.0.4; charset=utf-8'
    assert answer.headers.get('Content-Encoding') == ('gzip' if accepted == 'gzip' else None)
    assert 'resource_id="0x17"' in answer.text
    for own in ('delfin_build_info{', 'process_resident_memory_bytes ', 'delfin_scrapes_total 1.0', 'delfin_series 1.0',
                'delfin_driver_calls_abandoned_total 0.0', 'delfin_inventory_age_seconds '):
        assert own in answer.text


def test_the_inventory_comes_by_itself(start: Start, session: requests.Session) -> None:
    endpoint = start()
    wait_for('the storage', lambda: 'serial_number="SN-1"' in session.get(url(endpoint), timeout=SECONDS).text, SECONDS)


@pytest.mark.parametrize(('method', 'path', 'status'), [
    ('GET', '/', 200), ('HEAD', '/metrics', 200), ('GET', '/metrics?name=x', 200), ('GET', '/v1/storages', 404),
    ('POST', '/metrics', 405), ('DELETE', '/metrics', 405)])
def test_there_is_nothing_else(start: Start, session: requests.Session, method: str, path: str, status: int) -> None:
    answer = session.request(method, url(start(), path), timeout=SECONDS)
    assert answer.status_code == status
    assert bool(answer.content) == (method != 'HEAD')


@pytest.mark.parametrize('request_bytes', [b'\x16\x03\x01\r\n\r\n', b'GET /metrics\r\n\r\n', b'GET / SMTP/1\r\n\r\n',
                                           b'GET /' + b'a' * 40_000])
def test_what_is_no_request_is_refused(start: Start, request_bytes: bytes) -> None:
    with socket.create_connection(start().address, SECONDS) as client:
        client.sendall(request_bytes)
        assert client.recv(100).startswith(b'HTTP/1.1 400 ')


# --- whom it lets in ---

def test_the_network_needs_the_explicit_option(conf: Callable[..., cfg.ConfigOpts]) -> None:
    with pytest.raises(exception.InvalidConfiguration, match=r'^\[prometheus\] host: 0\.0\.0\.0 is reached from the '
                       r'network and the metrics endpoint asks nobody .* allow_unauthenticated_network_access'):
        PrometheusEndpoint.create(conf(host='0.0.0.0'))
    PrometheusEndpoint.create(conf(host='0.0.0.0', allow_unauthenticated_network_access=True))


def test_a_port_in_use_is_said_in_a_line(start: Start) -> None:
    port = start().address[1]
    with pytest.raises(exception.InvalidConfiguration, match=rf'cannot listen on 127.0.0.1, port {port}: .*in use; set '
                       r'host and port in \[prometheus\]'):
        start(port=port)


def test_a_client_must_show_a_certificate_where_that_is_wanted(
        start: Start, session: requests.Session, tmp_path: Path) -> None:
    authority = Authority()
    ca = tmp_path / 'ca.pem'
    ca.write_text(authority.pem)
    cert, key = files(tmp_path, authority.issue('127.0.0.1'))
    endpoint = start(host='0.0.0.0', tls_cert_file=cert, tls_key_file=key, tls_client_ca_file=ca)
    session.verify = str(ca)
    with pytest.raises((requests.exceptions.SSLError, requests.exceptions.ConnectionError)):
        session.get(url(endpoint, scheme='https'), timeout=SECONDS)
    session.cert = tuple(map(str, files(tmp_path, authority.issue(subject='prometheus'), 'client')))
    assert session.get(url(endpoint, scheme='https'), timeout=SECONDS).status_code == 200


def test_a_renewed_certificate_is_found_and_a_bad_one_is_not_taken(
        start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    authority = Authority()
    cert, key = files(tmp_path, authority.issue('127.0.0.1'))
    endpoint = start(tls_cert_file=cert, tls_key_file=key)

    def presented() -> str:
        return ssl.get_server_certificate(endpoint.address, timeout=SECONDS)

    first = presented()
    renewed = authority.issue('127.0.0.1')
    files(tmp_path, renewed)
    later = time.time_ns() + 10**9
    os.utime(cert, ns=(later, later))
    assert presented() != first
    cert.write_text('damaged')
    assert presented() == renewed.pem
    assert 'is not renewed' in caplog.text


# --- clients that mean no good ---

class Impatient:
    """An endpoint's server with short time limits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **limits: Any) -> None:
        server = module.Server
        monkeypatch.setattr(module, 'Server', lambda *args, **kwargs: server(*args, **{**kwargs, **limits}))


def ended(client: socket.socket) -> bool:
    """Whether the other side closes the connection, whatever it says before that."""
    client.settimeout(SECONDS)
    try:
        while client.recv(2**20):
            pass
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize('sent', [b'', b'GET /metrics HTTP/1.1\r\n'])
def test_who_sends_no_whole_request_is_cut_off(start: Start, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    Impatient(monkeypatch, request_seconds=0.2)
    with socket.create_connection(start().address, SECONDS) as client:
        client.sendall(sent)
        assert ended(client)


def test_so_is_who_does_not_shake_hands(start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Impatient(monkeypatch, request_seconds=0.2)
    cert, key = files(tmp_path, Authority().issue('127.0.0.1'))
    with socket.create_connection(start(tls_cert_file=cert, tls_key_file=key).address, SECONDS) as client:
        client.sendall(b'\x16\x03')
        assert ended(client)


def large(endpoint: PrometheusEndpoint) -> None:
    """Much more than fits into the buffers of the kernel."""
    endpoint.collected(OWNER, 'volume', [points(f'{number:06}{"x" * 1000}', {5: 1}) for number in range(20_000)], 60)


def slow_reader(endpoint: PrometheusEndpoint) -> socket.socket:
    client = socket.create_connection(endpoint.address, SECONDS)
    client.sendall(b'GET /metrics HTTP/1.1\r\n\r\n')
    assert client.recv(17) == b'HTTP/1.1 200 OK\r\n'
    return client


def test_who_does_not_read_the_answer_is_cut_off(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    Impatient(monkeypatch, answer_seconds=0.3)
    endpoint = start()
    large(endpoint)
    with slow_reader(endpoint) as client:
        wait_for('the end', lambda: not endpoint._server._open, SECONDS)
        assert ended(client)


def test_who_asks_nothing_makes_room_for_who_does(
        start: Start, session: requests.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    Impatient(monkeypatch, most=4)
    endpoint = start()
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(socket.create_connection(endpoint.address, SECONDS))
        assert session.get(url(endpoint), timeout=SECONDS).status_code == 200


def test_when_all_are_busy_others_are_turned_away(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    Impatient(monkeypatch, most=2)
    endpoint = start()
    large(endpoint)
    with slow_reader(endpoint), slow_reader(endpoint), socket.create_connection(endpoint.address, SECONDS) as client:
        assert ended(client)


def test_a_stop_lets_nobody_wait_and_frees_the_port(start: Start, session: requests.Session) -> None:
    endpoint = start()
    large(endpoint)
    port = endpoint.address[1]
    with slow_reader(endpoint), socket.create_connection(endpoint.address, SECONDS):
        begun = time.monotonic()
        endpoint.stop(0.5)
        assert time.monotonic() - begun < 3
    assert session.get(url(start(port=port)), timeout=SECONDS).status_code == 200


def test_an_answer_on_its_way_is_finished_before_the_stop(start: Start) -> None:
    endpoint = start()
    large(endpoint)
    connection = http.client.HTTPConnection(*endpoint.address, timeout=SECONDS)
    connection.request('GET', '/metrics')
    answer = connection.getresponse()
    with contextlib.closing(connection):
        wait_for('the request', lambda: all(one.asked for one in endpoint._server._open), SECONDS)
        with ThreadPoolExecutor(1) as pool:
            stop = pool.submit(endpoint.stop, SECONDS)
            assert len(answer.read()) > 20 * 10**6
            stop.result(SECONDS)


# --- all of it ---

def test_a_registered_array_is_seen_by_prometheus(tmp_path: Path, session: requests.Session) -> None:
    port = free_port()
    site = Site(tmp_path, prometheus={'port': port},
                metrics={'enabled': True, 'interval_seconds': 5, 'settle_seconds': 0, 'exporters': 'prometheus'})
    with site.start() as process:
        storage = process.ready().client.post('/v1/storages', fake(sample_interval_seconds='1'), 201)

        def shown(words: str) -> bool:
            text = session.get(f'http://127.0.0.1:{port}/metrics', timeout=SECONDS).text
            return re.search(words, text, re.MULTILINE) is not None

        named = f'.*storage_id="{storage["id"]}"'
        wait_for('its volumes', lambda: shown(f'^delfin_volume_read_response_time_seconds{{{named}'), 3 * SECONDS)
        wait_for('what it is', lambda: shown(f'^delfin_storage_info{{{named}'), SECONDS)
        assert shown(r'^delfin_metrics_collections_total{state="done"} [1-9]')
        assert process.stop() == 0
