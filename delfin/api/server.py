# SPDX-License-Identifier: Apache-2.0
"""The application, and the server inside `delfin-all`."""

from __future__ import annotations

import logging
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import waitress
from oslo_config import cfg
from paste import deploy

from delfin import exception
from delfin.api.backend import BACKEND, Backend
from delfin.service import Parts

LOG = logging.getLogger(__name__)

_CONNECTION_LIMIT = 1000        # the default of 100 is used up by a hundred slow clients
_CHANNEL_TIMEOUT_SECONDS = 60


def application(parts: Parts) -> Any:
    """The WSGI application: the pipeline `delfin` of the PasteDeploy file."""
    path = paste_file(parts.conf)
    try:
        pipeline = deploy.loadapp(f'config:{path}', name='delfin')
    except Exception as error:      # PasteDeploy raises whatever it stumbles over
        raise exception.InvalidConfiguration(f'[api] paste_config: {path}: {error}') from None
    backend = Backend.of(parts)

    def with_backend(environ: dict[str, Any], start_response: Any) -> Any:
        environ[BACKEND] = backend
        return pipeline(environ, start_response)

    return with_backend


def paste_file(conf: cfg.ConfigOpts) -> Path:
    """Where the pipeline stands."""
    wanted = Path(conf.api.paste_config)
    if wanted.is_absolute():
        candidates = [wanted]
    else:
        beside = [Path(name).parent for name in conf.config_file or ()]
        checkout = Path(__file__).resolve().parents[2] / 'etc' / 'delfin'
        candidates = [folder / wanted for folder in (*beside, Path('/etc/delfin'), checkout,
                                                     Path(sys.prefix) / 'etc' / 'delfin')]
    for path in candidates:
        if path.is_file():
            return path.resolve()
    raise exception.InvalidConfiguration(
        f'[api] paste_config: {wanted} was not found in {", ".join(str(path.parent) for path in candidates)}')


def check_address(conf: cfg.ConfigOpts) -> None:
    """`InvalidConfiguration` when the API's address cannot be listened on."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            conf.api.host, conf.api.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise _cannot_listen(conf, error) from None


def _cannot_listen(conf: cfg.ConfigOpts, error: OSError) -> exception.InvalidConfiguration:
    return exception.InvalidConfiguration(
        f'the API cannot listen on {conf.api.host}, port {conf.api.port}: {error.strerror}; '
        'set host and port in [api]')


class EmbeddedApi:
    """waitress in a thread of `delfin-all`."""

    name = 'api'

    def __init__(self, parts: Parts) -> None:
        conf = parts.conf
        self._address = f'{conf.api.host}:{conf.api.port}'
        app = application(parts)
        try:
            self._server = waitress.create_server(
                app, host=conf.api.host, port=conf.api.port, threads=conf.api.threads, ident='delfin',
                connection_limit=_CONNECTION_LIMIT, channel_timeout=_CHANNEL_TIMEOUT_SECONDS,
                max_request_body_size=2 * conf.api.max_body_kb * 1024, clear_untrusted_proxy_headers=True)
        except OSError as error:
            raise _cannot_listen(conf, error) from None
        self._thread = threading.Thread(target=self._server.run, name='api', daemon=True)

    def start(self) -> None:
        """Answer requests."""
        self._thread.start()
        LOG.info('REST API on http://%s/v1', self._address)

    def stop(self, timeout_seconds: float) -> None:
        """Take no more requests; those under way are finished."""
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=timeout_seconds)
        self._server.close()
