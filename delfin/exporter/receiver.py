# SPDX-License-Identifier: Apache-2.0
"""HTTP servers that exporters post to. Errors name the server and never what is secret about it.

No proxies and passwords of the environment, no redirects: what is configured is where it goes.
"""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import os
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import requests
import urllib3
from requests import exceptions

from delfin import exception
from delfin.common.masking import Masker
from delfin.common.text import clean
from delfin.exporter.base_exporter import DeliveryFailed, EventRefused
from delfin.ssl_utils import Trust, TrustAdapter
from delfin.version import version_string

_CONNECT_SECONDS = 5.0
_ANSWER_BYTES = 4096        # of an answer's body; no more is read
_PIECE_BYTES = 64 * 1024
_SHOWN = 200                # of it in an error
_FILE_BYTES = 1 << 20       # of a file that an option names

_TRY_AGAIN = frozenset({408, 429})
_FINAL = frozenset({400, 413, 422})     # about what was sent; other 4xx may be about who sent it, and where


Headers = Callable[[], Mapping[str, str]]


class Receiver:
    """One URL. `headers` is asked before each post, since keys in files may change; errors never show their values."""

    def __init__(self, url: str, *, timeout_seconds: float, ca_file: str | None = None, headers: Headers = dict,
                 content_type: str = 'application/json') -> None:
        self._url = url
        self._headers = headers
        self._timeout = (min(_CONNECT_SECONDS, timeout_seconds), timeout_seconds)
        self.name = _place(urlsplit(url))
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.update({'User-Agent': f'delfin/{version_string()}', 'Content-Type': content_type})
        try:
            self._session.mount('https://', TrustAdapter(Trust(ca_path=ca_file), self._timeout))
        except exception.InvalidCAPath as error:
            raise exception.InvalidConfiguration(error.msg) from None

    def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Post. `DeliveryFailed` unless the answer is 2xx, `EventRefused` if it is 4xx."""
        self._exchange(body, headers, _drain)

    def ask(self, body: bytes, most_bytes: int) -> bytes:
        """Post, and what is answered, at most so many bytes of it; errors as for `post`, also for half an answer."""
        return self._exchange(body, {}, lambda answer: _read(answer, most_bytes, self._timeout[1]))

    def _exchange(self, body: bytes, headers: Mapping[str, str], read: Callable[[requests.Response], bytes]) -> bytes:
        try:
            own = self._headers()
        except exception.InvalidConfiguration as error:     # a file has gone or changed
            raise DeliveryFailed(error.msg) from None
        try:
            with self._session.post(self._url, data=body, headers={**own, **headers}, timeout=self._timeout,
                                    allow_redirects=False, stream=True) as answer:
                if 200 <= answer.status_code < 300:
                    return read(answer)
                said, status = answer.raw.read(_ANSWER_BYTES, decode_content=True), answer.status_code
        except (exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise DeliveryFailed(f'{self.name}: {self._why(error)}') from None
        raise _failure(status, f'{self.name} answered {status}{self._excerpt(said, own)}')

    def _why(self, error: BaseException) -> str:
        """Without the texts of the libraries, which quote the URL."""
        if isinstance(error, exceptions.ConnectTimeout):
            return f'no connection within {self._timeout[0]:g} s'
        if isinstance(error, exceptions.Timeout | urllib3.exceptions.TimeoutError):
            return f'no answer within {self._timeout[1]:g} s'
        cause = _innermost(error)
        if isinstance(error, exceptions.SSLError):
            return f'TLS failed: {getattr(cause, "verify_message", None) or getattr(cause, "reason", None) or "?"}'
        if isinstance(error, exceptions.ChunkedEncodingError):
            return 'the answer broke off'
        if isinstance(error, exceptions.ConnectionError | OSError) and isinstance(cause, OSError) and cause.strerror:
            return f'no connection: {cause.strerror}'
        return f'no answer ({type(error).__name__})'

    def _excerpt(self, said: bytes, headers: Mapping[str, str]) -> str:
        """What the receiver says to it, which may quote what it got."""
        masker = Masker()
        masker.learn('', [word for value in headers.values() for word in (value, value.rpartition(' ')[2])])
        text = ' '.join(masker.mask(said.decode('utf-8', 'replace')).split())
        shown = ''.join(character for character in clean(text) if character.isprintable())
        return f': {shown[:_SHOWN]}' if shown else ''


def _drain(answer: requests.Response) -> bytes:
    """Read what nobody wants to know, so that the connection can be used again. It is delivered, whatever follows."""
    with contextlib.suppress(urllib3.exceptions.HTTPError, OSError):
        answer.raw.read(_ANSWER_BYTES)
    return b''


def _read(answer: requests.Response, most_bytes: int, seconds: float) -> bytes:
    """The body; whoever sends it byte by byte has no more time for all of it than for one."""
    until, found = time.monotonic() + seconds, bytearray()
    while len(found) < most_bytes and (piece := answer.raw.read1(_PIECE_BYTES, decode_content=True)):
        found += piece
        if time.monotonic() > until:
            raise exceptions.ReadTimeout
    return bytes(found)


def _failure(status: int, text: str) -> DeliveryFailed:
    if 400 <= status < 500 and status not in _TRY_AGAIN:
        return EventRefused(text, final=status in _FINAL)
    return DeliveryFailed(text)


def _innermost(error: BaseException) -> BaseException:
    """The error that the libraries have wrapped, in their arguments or as a cause."""
    while True:
        inside = [part for part in (getattr(error, 'reason', None), *error.args, error.__cause__, error.__context__)
                  if isinstance(part, BaseException)]
        if not inside:
            return error
        error = inside[0]


# --- what stands in the configuration ---

def read_url(value: str, option: str) -> SplitResult:
    """A URL as we take it; `InvalidConfiguration` names the `option`, not the value: it may hold a secret."""
    try:
        url = urlsplit(value)
        usable = url.scheme in ('http', 'https') and bool(url.hostname) and url.port != 0 and not url.fragment
    except ValueError:
        usable = False
    if not usable:
        raise exception.InvalidConfiguration(f'{option} must be a URL like https://host.example.com:port')
    if url.username is not None or url.password is not None:
        raise exception.InvalidConfiguration(f'{option} must not hold a password; there are options for that')
    return url


def read_file(path: str, option: str, *, private: bool = False) -> bytes:
    """A file that an option names; `InvalidConfiguration` if it is not there, or private and open to others."""
    try:
        with Path(path).open('rb') as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(_FILE_BYTES)
    except OSError as error:
        raise exception.InvalidConfiguration(f'{option}: {error.strerror}: {path}') from None
    if private and mode & 0o007:
        raise exception.InvalidConfiguration(f'{option}: {path} is open to others; run "chmod o= {path}"')
    return content


def read_secret(path: str, option: str) -> str:
    """A secret in a file, without the line break at its end; `InvalidConfiguration` names the `option`."""
    try:
        text = read_file(path, option, private=True).decode('utf-8').rstrip('\r\n')
    except UnicodeDecodeError:
        raise exception.InvalidConfiguration(f'{option}: {path} is not UTF-8 text') from None
    if not text or not text.isprintable():
        raise exception.InvalidConfiguration(f'{option}: {path} must hold one line of text')
    return text


def credentials(options: Any, group: str) -> Headers:
    """What makes the Authorization header of `username`, `password_file` or `bearer_token_file`; `dict` if there is
    none. `InvalidConfiguration` names the option `group`.
    """
    if options.bearer_token_file and options.username:
        raise exception.InvalidConfiguration(f'[{group}] username and bearer_token_file exclude each other')
    if bool(options.username) != bool(options.password_file):
        raise exception.InvalidConfiguration(f'[{group}] username and password_file belong together')
    if not options.bearer_token_file and not options.username:
        return dict

    def header() -> Mapping[str, str]:
        if options.bearer_token_file:
            token = read_secret(options.bearer_token_file, f'[{group}] bearer_token_file')
            if not token.isascii():
                raise exception.InvalidConfiguration(f'[{group}] bearer_token_file: it is no token')
            return {'Authorization': f'Bearer {token}'}
        password = read_secret(options.password_file, f'[{group}] password_file')
        pair = base64.b64encode(f'{options.username}:{password}'.encode()).decode('ascii')
        return {'Authorization': f'Basic {pair}'}

    header()        # now, when somebody looks
    return header


def check_way(url: SplitResult, headers: Headers, option: str) -> None:
    """`InvalidConfiguration` if credentials would leave this machine in clear."""
    if headers is not dict and not is_private_way(url):
        raise exception.InvalidConfiguration(f'{option}: a password or token is only sent by https, or to this machine')


def is_private_way(url: SplitResult) -> bool:
    """Whether a password may travel to it: by TLS, or without leaving this machine."""
    host = url.hostname or ''
    try:
        return url.scheme == 'https' or host == 'localhost' or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _place(url: SplitResult) -> str:
    """Scheme, host and port: paths and queries of webhooks are often secrets."""
    port = f':{url.port}' if url.port else ''
    host = f'[{url.hostname}]' if ':' in (url.hostname or '') else url.hostname
    return f'{url.scheme}://{host}{port}'
