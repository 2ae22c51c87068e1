# SPDX-License-Identifier: Apache-2.0
"""How the API meets the network: the application that both servers serve, and the server inside `delfin-all`. Who may
reach it is said in `delfin.exposure`; docs/exposure.md is the operator's view of it."""

from __future__ import annotations

import functools
import ipaddress
import resource
import sys
import threading
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import waitress
from oslo_config import cfg
from paste import deploy
from waitress.channel import HTTPChannel

from delfin import exception
from delfin.api.backend import BACKEND, Backend
from delfin.exposure import API, TLS_FILES, Endpoint
from delfin.service import Parts

App = Callable[..., Iterable[bytes]]

_CONNECTION_LIMIT = 1000        # the default of 100 is used up by a hundred slow clients
_FORWARDING = ('HTTP_FORWARDED', 'HTTP_X_FORWARDED_')


def endpoint_of(conf: cfg.ConfigOpts, *, embedded: bool) -> Endpoint:
    """Where the API listens in `delfin-all` (`embedded`) or `delfin-api`; see `Endpoint.of`."""
    if embedded:
        _refuse_tls(conf)
    return Endpoint.of(conf, API)


def _refuse_tls(conf: cfg.ConfigOpts) -> None:
    for name in TLS_FILES:
        if conf.api[name]:
            raise exception.InvalidConfiguration(
                f'[api] {name}: delfin-all does not speak TLS; run delfin-api, delfin-task and delfin-alert, or put a '
                'reverse proxy in front and remove the option')


# --- the application ---

def application(parts: Parts) -> App:
    """The WSGI application: the pipeline `delfin` of the PasteDeploy file."""
    path = paste_file(parts.conf)
    try:
        pipeline = deploy.loadapp(f'config:{path}', name='delfin')
    except Exception as error:      # PasteDeploy raises whatever it stumbles over
        raise exception.InvalidConfiguration(f'[api] paste_config: {path}: {error}') from None
    backend = Backend.of(parts)
    trusted = {ipaddress.ip_address(proxy) for proxy in parts.conf.api.trusted_proxy}

    def with_backend(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        _believe_nothing(environ, trusted)
        environ[BACKEND] = backend

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, _relative(headers), exc_info)

        return pipeline(environ, start)

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


def _believe_nothing(environ: dict[str, Any], trusted: Collection[Any]) -> None:
    """Take away what a client may claim about itself and about us: forwarding headers, and the Host header.

    Only a trusted proxy's X-Forwarded-For is used; no answer depends on any of the others.
    """
    claimed = environ.get('HTTP_X_FORWARDED_FOR', '')
    environ['REMOTE_ADDR'] = _client(environ.get('REMOTE_ADDR', ''), claimed, trusted)
    for name in [name for name in environ if name.startswith(_FORWARDING)]:
        del environ[name]
    environ.pop('HTTP_HOST', None)


def _client(peer: str, claimed: str, trusted: Collection[Any]) -> str:
    """The address of the client: the nearest hop that is none of our proxies."""
    client = peer
    for hop in (peer, *reversed(claimed.split(','))) if claimed else (peer,):
        address, text = _parsed(hop)
        if address is None:
            break
        client = text
        if address not in trusted:
            break
    return client


@functools.lru_cache(maxsize=1024)      # nearly every request comes from where the one before came from
def _parsed(hop: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address | None, str]:
    """An IP address and its usual text, IPv4 as such; None if it is none."""
    try:
        address = ipaddress.ip_address(hop.strip())
    except ValueError:
        return None, hop
    address = getattr(address, 'ipv4_mapped', None) or address
    return address, str(address)


def _relative(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Headers with a Location that is a path (WebOb makes it absolute): right through every proxy and tunnel."""
    if all(name != 'Location' for name, _ in headers):
        return headers
    return [(name, urlsplit(value)._replace(scheme='', netloc='').geturl() if name.lower() == 'location' else value)
            for name, value in headers]


# --- the server inside delfin-all ---

class _Channel(HTTPChannel):
    """A connection on which a request has to be complete in time.

    waitress closes a connection without activity; every byte is activity to it, so a client could take for ever.
    """

    last_activity: float

    def handle_read(self) -> None:
        begun = self.last_activity if self.request is not None else None
        super().handle_read()
        if begun is not None and self.request is not None:      # still the same request
            self.last_activity = begun


class EmbeddedApi:
    """waitress in a thread of `delfin-all`."""

    name = 'api'

    def __init__(self, parts: Parts) -> None:
        api = parts.conf.api
        self._endpoint = endpoint_of(parts.conf, embedded=True)
        # Twice the limit: a body that is a little too large shall get our own answer.
        self._server = waitress.create_server(
            application(parts), sockets=[self._endpoint.bind()], threads=api.threads, ident='delfin',
            connection_limit=_connection_limit(), asyncore_use_poll=True,       # select() ends at descriptor 1023
            channel_timeout=api.request_timeout_seconds, cleanup_interval=1,
            max_request_body_size=2 * api.max_body_kb * 1024, clear_untrusted_proxy_headers=False)
        self._server.channel_class = _Channel
        self._thread = threading.Thread(target=self._server.run, name='api', daemon=True)

    def start(self) -> None:
        """Answer requests."""
        self._thread.start()
        self._endpoint.announce()

    def stop(self, timeout_seconds: float) -> None:
        """Take no more requests; those under way are finished."""
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=timeout_seconds)
        self._server.close()


def _connection_limit() -> int:
    """Connections may take half of the descriptors the process may have; databases and arrays need some, too."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _CONNECTION_LIMIT if soft == resource.RLIM_INFINITY else min(_CONNECTION_LIMIT, soft // 2)
