# SPDX-License-Identifier: Apache-2.0
"""delfin-api: the REST API in worker processes of granian."""

from __future__ import annotations

import asyncio
import ctypes
import io
import json
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote_to_bytes

from granian import Granian
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from oslo_config import cfg

from delfin import exception, service
from delfin.api.server import App, application, endpoint_of
from delfin.common import config
from delfin.common.masking import Masker
from delfin.exposure import Endpoint, Tls

PROG = 'delfin-api'
_ARGUMENTS = 'DELFIN_API_ARGUMENTS'     # how the workers, fresh processes, learn the command line
_BACKPRESSURE = 512                     # connections a worker holds before it stops taking more
_OWN_SECONDS = 1                        # of the time to stop, what granian needs around its workers' end
_DEATH_SIGNAL = 1                       # PR_SET_PDEATHSIG of prctl(2)
# granian's messages go the way of ours, which is set up already.
_LOGGING = {'incremental': True, 'formatters': {}, 'handlers': {}, 'loggers': {'_granian': {}}}

LOG = logging.getLogger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def main() -> None:
    """Console entry point. Everything is checked here, lest a bad configuration make worker after worker die."""
    try:
        conf, masker = _prepare(sys.argv[1:])
        with service.parts(conf, masker, embedded=False) as parts:
            endpoint = endpoint_of(conf, embedded=False)
            application(parts)
            endpoint.bind().close()
    except exception.InvalidConfiguration as error:
        service.leave(config.fail(PROG, error))
    os.environ[_ARGUMENTS] = json.dumps(sys.argv[1:])
    endpoint.announce()
    _server(conf, endpoint).serve()
    LOG.info('stopped')


def worker() -> Bridge:
    """The application of one worker process."""
    ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGTERM)      # never outlive the process that would respawn us
    conf, masker = _prepare(json.loads(os.environ[_ARGUMENTS]))
    return Bridge(application(service.make_parts(conf, masker)), threads=conf.api.threads,
                  max_body_bytes=conf.api.max_body_kb * 1024, body_seconds=conf.api.request_timeout_seconds)


def _prepare(argv: Sequence[str]) -> tuple[cfg.ConfigOpts, Masker]:
    conf, masker = service.prepare(argv, PROG)
    masker.learn('[api] tls_key_password', filter(None, [conf.api.tls_key_password]))
    return conf, masker


def _server(conf: cfg.ConfigOpts, endpoint: Endpoint) -> Any:
    server = Granian(
        'delfin.cmd.api:worker', factory=True, interface=Interfaces.ASGINL, address=endpoint.address,
        port=endpoint.port, workers=conf.api.workers, backpressure=_BACKPRESSURE, http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=conf.api.request_timeout_seconds * 1000),
        workers_kill_timeout=max(1, conf.shutdown_timeout_seconds - _OWN_SECONDS), respawn_failed_workers=True,
        log_dictconfig=_LOGGING, log_access=False, websockets=False)
    if endpoint.tls:
        files = TlsFiles(endpoint.tls)
        server.ssl_ctx = files.as_granian_wants_it()
        server.on_reload(lambda: _renew(conf, files))
    return server


# --- TLS ---

class TlsFiles:
    """Certificates and key as files that are in memory only and belong to this process.

    granian takes paths, cannot read encrypted keys (it panics), and reads again whenever it starts a worker. It gets
    what was checked, whatever has become of the operator's files since, and the key's password stays here.
    """

    def __init__(self, tls: Tls) -> None:
        self._files = {name: os.memfd_create(f'delfin-{name}') for name in ('certificates', 'key', 'client_cas')}
        self._verify = tls.client_cas is not None
        self.write(tls)

    def write(self, tls: Tls) -> None:
        """Replace the content; workers that start from now on use it."""
        for name, descriptor in self._files.items():
            data = getattr(tls, name) or b''
            os.pwrite(descriptor, data, 0)
            os.ftruncate(descriptor, len(data))

    def as_granian_wants_it(self) -> tuple[Any, ...]:
        """What Granian.build_ssl_context() would make of paths, which it would resolve to nothing."""
        paths = {name: f'/proc/{os.getpid()}/fd/{descriptor}' for name, descriptor in self._files.items()}
        return (True, paths['certificates'], paths['key'], None, str(SSLProtocols.tls12),
                paths['client_cas'] if self._verify else None, [], self._verify)


def _renew(conf: cfg.ConfigOpts, files: TlsFiles) -> None:
    """SIGHUP: new workers get what stands in the files now, unless that is bad."""
    try:
        tls = endpoint_of(conf, embedded=False).tls
    except exception.InvalidConfiguration as error:
        LOG.error('the certificate is not renewed: %s', error)
        return
    if tls:
        files.write(tls)
        LOG.info('the certificate of the REST API is renewed; it expires on %s', tls.expires.date())


# --- the bridge ---

class Bridge:
    """Our WSGI application as an ASGI application: a thread is taken only for a request that has arrived completely.

    granian's own WSGI interface lets the thread that answers wait for the body, without any time limit: a few clients
    that never finish theirs would stop a worker for ever. Of repeated headers it keeps the first: with a proxy that
    adds an X-Forwarded-For of its own, that is the client's.
    """

    def __init__(self, app: App, *, threads: int, max_body_bytes: int, body_seconds: float) -> None:
        self._app = app
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix='api')
        self._max_body_bytes = max_body_bytes
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        body: io.BytesIO | LateBody
        try:
            async with asyncio.timeout(self._body_seconds):
                body = io.BytesIO(await self._body(receive))
        except TimeoutError:
            body = LateBody(self._body_seconds)
        except ConnectionError:
            return
        status, headers, content = await asyncio.get_running_loop().run_in_executor(
            self._threads, self._answer, environ(scope, body))
        await send({'type': 'http.response.start', 'status': status, 'headers': headers})
        await send({'type': 'http.response.body', 'body': content})

    async def _body(self, receive: Receive) -> bytes:
        """The body; of one that is too large, so much that the application sees it."""
        parts, size, more = [], 0, True
        while more and size <= self._max_body_bytes:
            message = await receive()
            if message['type'] == 'http.disconnect':
                raise ConnectionError
            parts.append(message.get('body', b''))
            size += len(parts[-1])
            more = message.get('more_body', False)
        return b''.join(parts)

    def _answer(self, environment: dict[str, Any]) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        started: list[Any] = []

        def start_response(status: str, headers: Iterable[tuple[str, str]], exc_info: Any = None) -> None:
            started[:] = [int(status[:3]), [(name.lower().encode('latin-1'), value.encode('latin-1'))
                                            for name, value in headers]]

        chunks = self._app(environment, start_response)
        try:
            content = b''.join(chunks)
        finally:
            getattr(chunks, 'close', lambda: None)()
        return started[0], started[1], content


class LateBody:
    """The body of a client that took too long."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def read(self, size: int = -1) -> bytes:
        """Raises `BadRequest`."""
        raise exception.BadRequest(message=f'The request body did not arrive within {self._seconds:g} seconds.')


def environ(scope: Scope, body: io.BytesIO | LateBody) -> dict[str, Any]:
    """The WSGI environment (PEP 3333) of an ASGI request."""
    result = {
        'REQUEST_METHOD': scope['method'], 'SCRIPT_NAME': '',
        'PATH_INFO': unquote_to_bytes(scope['raw_path']).decode('latin-1'),
        'QUERY_STRING': scope['query_string'].decode('latin-1'),
        'SERVER_NAME': scope['server'][0], 'SERVER_PORT': str(scope['server'][1]),
        'SERVER_PROTOCOL': f'HTTP/{scope["http_version"]}', 'REMOTE_ADDR': scope['client'][0],
        'wsgi.version': (1, 0), 'wsgi.url_scheme': scope['scheme'], 'wsgi.input': body, 'wsgi.errors': sys.stderr,
        'wsgi.input_terminated': True, 'wsgi.multithread': True, 'wsgi.multiprocess': True, 'wsgi.run_once': False,
    }
    for raw_name, raw_value in scope['headers']:
        if b'_' in raw_name:        # would pass for the name with hyphens
            continue
        name, value = raw_name.decode('latin-1').upper().replace('-', '_'), raw_value.decode('latin-1')
        key = name if name == 'CONTENT_TYPE' else f'HTTP_{name}'
        result[key] = f'{result[key]}, {value}' if key in result else value
    # The body is here, however it came.
    for key in ('HTTP_CONTENT_LENGTH', 'HTTP_TRANSFER_ENCODING'):
        result.pop(key, None)
    if isinstance(body, io.BytesIO):
        result['CONTENT_LENGTH'] = str(len(body.getbuffer()))
    return result


if __name__ == '__main__':
    main()
