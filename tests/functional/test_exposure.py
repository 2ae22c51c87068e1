# SPDX-License-Identifier: Apache-2.0
"""Who reaches the REST API, what clients can make it believe, and what hostile ones can do to it; see docs/exposure.md.

Everything holds for both servers: waitress in delfin-all and granian in delfin-api.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from oslo_config import cfg

from delfin import exception
from delfin.api.server import endpoint_of
from delfin.common import config
from delfin.db import Database
from delfin.exposure import Endpoint
from tests.services import START_SECONDS, STOP_SECONDS, Client, Process, Site, fake, wait_for
from tests.unit.support import add_storage

NO_BROKER = 'kombu+memory:////'     # a broker that has nobody behind it, for a delfin-api on its own
ORIGIN = 'https://console.example.com'
PROXY = '127.0.0.2'
TIMEOUT_SECONDS = 2
SLOW_CLIENTS = 120
GIGABYTE = 1 << 30
GROWTH_BYTES = 100 << 20


@dataclass
class Server:
    """One of the two servers."""

    program: str
    site: Site
    process: Process

    @property
    def client(self) -> Client:
        return Client(self.site.port)

    def connect(self, data: bytes = b'') -> socket.socket:
        """A connection on which these bytes were sent."""
        connection = socket.create_connection(('127.0.0.1', self.site.port), timeout=STOP_SECONDS)
        connection.sendall(data)
        return connection

    def log_of(self, word: str) -> list[str]:
        return [line for line in self.site.log.read_text().splitlines() if word in line]

    def pids(self) -> set[int]:
        """The processes that live; every line of the log names its process."""
        return {pid for pid in {int(line.split()[2]) for line in self.log_of(' INFO ')} if _lives(pid)}

    def rss_bytes(self) -> int:
        return sum(int(Path(f'/proc/{pid}/statm').read_text().split()[1]) for pid in self.pids()) * 4096


@contextlib.contextmanager
def running(root: Path, program: str, **options: object) -> Iterator[Server]:
    site = Site(root, transport=NO_BROKER if program == 'api' else None,
                api={'workers': 2, 'threads': 4, 'request_timeout_seconds': TIMEOUT_SECONDS, **options})
    with site.start(program) as process:
        server = Server(program, site, process)
        wait_for('the API', lambda: _answers(server.client), START_SECONDS)
        yield server


def _lives(pid: int) -> bool:
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(') ')[2][0] != 'Z'
    except OSError:
        return False


def _answers(client: Client) -> bool:
    try:
        return client.request('GET', '/healthcheck').status_code == 200
    except requests.ConnectionError:
        return False


@pytest.fixture(scope='module', params=['all', 'api'])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp(request.param)
    with running(root, request.param, cors_allowed_origins=ORIGIN, trusted_proxy=PROXY) as server:
        yield server


# --- where it listens ---

@pytest.fixture
def endpoint(tmp_path: Path) -> Callable[..., Endpoint]:
    """`endpoint(host='::1')`: the endpoint of this configuration, or `InvalidConfiguration`."""
    def make(embedded: bool = False, **options: object) -> Endpoint:
        file = tmp_path / 'delfin.conf'
        file.write_text('[api]\n' + ''.join(f'{name} = {value}\n' for name, value in options.items()))
        conf = config.load(['--config-file', str(file)], 'test', cfg.ConfigOpts(), default_config_dirs=[])
        return endpoint_of(conf, embedded=embedded)
    return make


@pytest.mark.parametrize('host', ['127.0.0.1', '127.8.9.1', '::1', 'localhost'])
def test_loopback_needs_nothing(endpoint: Callable[..., Endpoint], host: str) -> None:
    assert not endpoint(host=host).open_to_network


@pytest.mark.parametrize('embedded', [True, False])
@pytest.mark.parametrize('host', ['0.0.0.0', '::', '192.0.2.1', '2001:db8::1', '::ffff:192.0.2.1'])
def test_the_network_needs_the_explicit_option(endpoint: Callable[..., Endpoint], host: str, embedded: bool) -> None:
    with pytest.raises(exception.InvalidConfiguration, match='allow_unauthenticated_network_access'):
        endpoint(embedded, host=host)
    assert endpoint(embedded, host=host, allow_unauthenticated_network_access=True).open_to_network


def test_a_name_is_as_good_as_the_address_that_it_stands_for(
        endpoint: Callable[..., Endpoint], monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET6, 1, 6, '', ('::1', 0, 0, 0)), (socket.AF_INET, 1, 6, '', ('192.0.2.7', 0))]
    monkeypatch.setattr(socket, 'getaddrinfo', lambda *args, **kwargs: found)
    with pytest.raises(exception.InvalidConfiguration, match=r'storage-host \(192\.0\.2\.7\)'):
        endpoint(host='storage-host')
    found.reverse()
    assert endpoint(host='storage-host', allow_unauthenticated_network_access=True).address == '192.0.2.7'
    del found[0]
    assert endpoint(host='storage-host').address == '::1'


def test_a_refused_address_is_one_line(tmp_path: Path) -> None:
    site = Site(tmp_path, api={'host': '0.0.0.0'})
    _refuses(site, 'manage', 'config', 'check')
    _refuses(site, 'all')
    site.config.write_text(site.config.read_text().replace('[DEFAULT]', f'[DEFAULT]\ntransport_url = {NO_BROKER}'))
    _refuses(site, 'api')


def _refuses(site: Site, program: str, *arguments: str) -> None:
    done = site.run(program, *arguments)
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert 'allow_unauthenticated_network_access' in done.stderr


@pytest.mark.parametrize('option', ['tls_cert_file', 'tls_key_file', 'tls_client_ca_file'])
def test_delfin_all_refuses_tls_and_says_what_has_it(endpoint: Callable[..., Endpoint], option: str) -> None:
    with pytest.raises(exception.InvalidConfiguration, match=f'{option}.*delfin-api.*reverse proxy'):
        endpoint(True, **{option: '/nowhere'})


# --- what it believes ---

FORGED = {'Host': 'forged.example', 'X-Forwarded-Host': 'forged.example', 'X-Forwarded-Proto': 'https',
          'X-Forwarded-For': '203.0.113.9', 'Forwarded': 'for=203.0.113.9;host=forged.example;proto=https'}


def test_forged_headers_change_neither_answers_nor_log(server: Server) -> None:
    client = server.client
    storage_id = add_storage(Database(server.site.database), f'SN-{server.program}')
    answers = [client.request('POST', f'/v1/storages/{storage_id}/sync', headers=FORGED),
               client.request('GET', '/nowhere', headers=FORGED),
               client.request('GET', '/v1/storages', headers={'Host': ']['})]
    assert [answer.status_code for answer in answers] == [202, 404, 200]
    assert answers[0].headers['Location'] == f'/v1/storages/{storage_id}/syncs/latest'
    assert not any(b'forged' in body for body in client.bodies)
    wait_for('the line in the log', lambda: server.log_of('127.0.0.1 GET /nowhere'))
    assert not server.log_of('203.0.113.9')


@pytest.mark.parametrize(('claimed', 'shown'), [
    ('203.0.113.1, 198.51.100.7', '198.51.100.7'), (f'198.51.100.8, {PROXY}', '198.51.100.8'),
    ('2001:db8::7', '2001:db8::7'), ('garbage', PROXY), ('', PROXY)])
def test_a_trusted_proxy_names_the_client(server: Server, claimed: str, shown: str) -> None:
    path = f'/nowhere-{re.sub("[^0-9a-f]", "-", claimed)}'
    connection = http.client.HTTPConnection('127.0.0.1', server.site.port, STOP_SECONDS, source_address=(PROXY, 0))
    connection.putrequest('GET', path)
    for hop in claimed.split(', '):         # as HAProxy does it: a line of its own, behind the client's
        connection.putheader('X-Forwarded-For', hop)
    connection.putheader('X_Forwarded_For', '203.0.113.2')
    connection.endheaders()
    assert connection.getresponse().status == 404
    connection.close()
    wait_for('the line in the log', lambda: server.log_of(f'{shown} GET {path}'))


# --- browsers ---

PREFLIGHT = {'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'content-type'}


def test_the_page_of_a_listed_origin_may_ask_and_read(server: Server) -> None:
    answer = server.client.request('OPTIONS', '/v1/storages', headers={'Origin': ORIGIN, **PREFLIGHT})
    assert (answer.status_code, answer.content) == (204, b'')
    assert answer.headers['Access-Control-Allow-Origin'] == ORIGIN
    assert 'POST' in answer.headers['Access-Control-Allow-Methods']
    assert 'content-type' in answer.headers['Access-Control-Allow-Headers'].lower()
    assert 'Access-Control-Allow-Credentials' not in answer.headers
    for path, status in (('/v1/storages', 200), ('/v1/storages/unknown', 404)):
        answer = server.client.request('GET', path, headers={'Origin': ORIGIN})
        assert (answer.status_code, answer.headers['Access-Control-Allow-Origin']) == (status, ORIGIN)
        assert 'Origin' in answer.headers['Vary']


@pytest.mark.parametrize('origin', ['null', 'https://console.example.com.evil.example', 'http://console.example.com'])
def test_no_other_page_may(server: Server, origin: str) -> None:
    for method in ('OPTIONS', 'GET'):
        answer = server.client.request(method, '/v1/storages', headers={'Origin': origin, **PREFLIGHT})
        assert not [name for name in answer.headers if name.lower().startswith('access-control')]
        assert 'Origin' in answer.headers['Vary']


@pytest.mark.parametrize('origin', ['*', 'null', 'console.example.com', f'{ORIGIN}/', f'{ORIGIN}/page'])
def test_what_is_no_origin_is_refused(endpoint: Callable[..., Endpoint], origin: str) -> None:
    with pytest.raises(exception.InvalidConfiguration, match='cors_allowed_origins'):
        endpoint(cors_allowed_origins=origin)


# --- request ids ---

@pytest.mark.parametrize('server', ['all'], indirect=True)
def test_a_request_id_goes_all_the_way(server: Server) -> None:
    answer = server.client.request('POST', '/v1/storages', json=fake(9700), headers={'X-Request-Id': 'my-id.1'})
    assert (answer.status_code, answer.headers['X-Request-Id']) == (201, 'my-id.1')
    access = wait_for('the line of the API', lambda: server.log_of('POST /v1/storages 201'))
    assert all('delfin.api.middleware [my-id.1 ' in line for line in access)
    assert [line for line in server.log_of('[my-id.1 ') if 'delfin.task_manager' in line]


# --- hostile clients ---

def test_slow_clients_do_not_stop_the_others(server: Server) -> None:
    beginnings = (b'', b'GET /healthch', b'GET /healthcheck HTTP/1.1\r\nHost: x\r\nX-Slow: ')
    with contextlib.ExitStack() as stack:
        for number in range(SLOW_CLIENTS):
            stack.enter_context(server.connect(beginnings[number % len(beginnings)]))
        client, seconds = server.client, []
        for _ in range(100):
            begin = time.monotonic()
            client.get('/v1/storages')
            seconds.append(time.monotonic() - begin)
    assert sorted(seconds)[98] < 2


BEGINNINGS = (
    b'GET /healthcheck HTTP/1.1\r\nHost: x\r\nX-Slow: ',
    b'POST /v1/storages/sync HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n{',
    b'POST /v1/storages/sync HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n270f\r\n',
)


def test_a_request_that_comes_byte_by_byte_ends_and_holds_no_thread(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(server.connect(beginning)) for beginning in 12 * BEGINNINGS]    # 4 or 8 threads
        for connection in slow:
            connection.setblocking(False)
        assert server.client.request('GET', '/v1/storages').elapsed.total_seconds() < 1
        wait_for('the end of the slow requests', lambda: all([_ended(connection) for connection in slow]),
                 4 * TIMEOUT_SECONDS)


def _ended(connection: socket.socket) -> bool:
    """Send one more byte; whether the other side has answered or hung up."""
    try:
        connection.send(b'x')
        connection.recv(1)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


@pytest.mark.parametrize('chunked', [False, True], ids=['length', 'chunked'])
def test_a_gigabyte_is_refused_and_not_kept(server: Server, chunked: bool) -> None:
    before, most, result = server.rss_bytes(), 0, []
    sender = threading.Thread(target=lambda: result.extend(_send_gigabyte(server, chunked)))
    sender.start()
    while sender.is_alive():
        server.client.get('/v1/storages')
        most = max(most, server.rss_bytes())
    sent, answer = result
    assert sent < GIGABYTE // 8
    assert answer == b'' or answer.startswith(b'HTTP/1.1 413 ')
    assert most - before < GROWTH_BYTES


def _send_gigabyte(server: Server, chunked: bool) -> tuple[int, bytes]:
    """How much of it was taken, and the answer (empty: the connection was closed)."""
    length = 'Transfer-Encoding: chunked' if chunked else f'Content-Length: {GIGABYTE}'
    piece = b'x' * 65536
    sent, answer = 0, b''
    with server.connect('POST /v1/storages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
                        f'{length}\r\n\r\n'.encode()) as connection, contextlib.suppress(ConnectionError):
        with contextlib.suppress(ConnectionError):
            while sent < GIGABYTE:
                connection.sendall(b'10000\r\n' + piece + b'\r\n' if chunked else piece)
                sent += len(piece)
        answer = connection.recv(4096)
    return sent, answer


@pytest.mark.parametrize('chunked', [False, True], ids=['length', 'chunked'])
def test_a_body_just_too_large_gets_our_answer(server: Server, chunked: bool) -> None:
    body = b'x' * (1024 * 1024 + 1)
    answer = server.client.request('POST', '/v1/storages', data=iter([body]) if chunked else body,
                                   headers={'Content-Type': 'application/json', 'X-Request-Id': 'large-1'})
    assert (answer.status_code, answer.json()['error_code']) == (413, 'RequestBodyTooLarge')
    assert answer.headers['X-Request-Id'] == 'large-1'


# --- processes ---

@pytest.mark.parametrize('program', ['all', 'api'])
def test_an_open_api_warns_and_sigterm_ends_it_in_time_whatever_clients_do(tmp_path: Path, program: str) -> None:
    with running(tmp_path, program, host='0.0.0.0', allow_unauthenticated_network_access=True,
                 request_timeout_seconds=60) as server, contextlib.ExitStack() as stack:
        wait_for('the warning', lambda: server.log_of('open to everybody'))
        idle = server.client
        stack.callback(idle.session.close)
        answer = idle.request('GET', '/v1/storages', headers={'Origin': ORIGIN})
        assert not [name for name in answer.headers if name.lower().startswith('access-control')]
        for beginning in (b'', b'GET /health', *BEGINNINGS):
            stack.enter_context(server.connect(beginning))
        assert server.process.stop(STOP_SECONDS) == 0


def test_workers_share_port_and_log_and_a_killed_one_is_replaced(tmp_path: Path) -> None:
    with running(tmp_path, 'api') as server:
        workers = wait_for('two workers', lambda: _serving(server, 2))
        os.kill(min(workers), signal.SIGKILL)
        wait_for('a new worker', lambda: _serving(server, 2) - workers)
        layout = re.compile(r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \d+ [A-Z]+ [\w.]+ \[\S+ ?\S*\] ')
        lines = server.site.log.read_text().splitlines()
        assert [line for line in lines if '_granian' in line]
        assert [line for line in lines if not layout.match(line)] == []
        assert server.process.output == ''
        main, = server.pids() - _serving(server, 2)
        os.kill(main, signal.SIGKILL)
        wait_for('the end of the workers', lambda: not server.pids())


def _serving(server: Server, count: int) -> set[int]:
    """The living workers that have answered a request, if there are so many."""
    with contextlib.suppress(requests.ConnectionError), contextlib.closing(server.client.session) as session:
        session.get(f'http://127.0.0.1:{server.site.port}/nowhere', timeout=STOP_SECONDS)
    found = {int(line.split()[2]) for line in server.log_of('GET /nowhere')} & server.pids()
    return found if len(found) >= count else set()
