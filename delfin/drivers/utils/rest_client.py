# SPDX-License-Identifier: Apache-2.0
"""A client for arrays with a REST interface over HTTPS.

A driver holds a `RestClient` or derives from it, calls `init_http_head()` when it logs in, puts its headers or its
`auth` on `session`, and makes every request with `do_call`. Which certificate of the array is accepted is decided
here: see `RestClient`.
"""

from __future__ import annotations

import json
import logging
import math
import os
import ssl
import time
import warnings
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
import urllib3

from delfin import exception, ssl_utils
from delfin.ssl_utils import Trust, TrustAdapter

LOG = logging.getLogger(__name__)

SOCKET_TIMEOUT = 10     # seconds, to connect and to wait for an answer
# An answer may take so many times its time-out in all, for lists that are long but flow.
ANSWER_TIMEOUTS = 10

_METHODS = ('POST', 'PUT', 'GET', 'DELETE')
_DEFAULT_PORTS = {'https': 443, 'http': 80}

# What OpenSSL's reasons for a failed handshake tell somebody who set up an array. First match counts.
_HANDSHAKE_HINTS = (
    (('WRONG_VERSION_NUMBER', 'HTTP_REQUEST', 'RECORD_LAYER_FAILURE', 'PACKET_LENGTH_TOO_LONG'),
     'The port does not speak TLS; check rest.port.'),
    (('UNSUPPORTED_PROTOCOL', 'PROTOCOL_VERSION', 'VERSION_TOO_LOW', 'LEGACY_SIGALG'),
     'The array does not offer TLS 1.2 or newer; enable it there or update its firmware.'),
    (('UNSAFE_LEGACY_RENEGOTIATION',),
     'The array lacks secure renegotiation (RFC 5746); update its firmware.'),
    (('HANDSHAKE_FAILURE', 'NO_SHARED_CIPHER', 'KEY_TOO_SMALL', 'INSUFFICIENT_SECURITY'),
     'The array and Delfin share no cipher that is secure; check the TLS settings of the array or update its '
     'firmware.'),
    (('CERTIFICATE_REQUIRED', 'BAD_CERTIFICATE', 'CERTIFICATE_UNKNOWN', 'UNKNOWN_CA'),
     'The array asks for a client certificate, which Delfin has not.'),
    (('EOF',), 'The array closed the connection; check that rest.port is its HTTPS port and asks for no client '
               'certificate.'),
)

# urllib3 warns again for every single request that is not verified; we log it once for each client.
warnings.filterwarnings('once', category=urllib3.exceptions.InsecureRequestWarning)


class RestClient:
    """One session with an array; `RestClient(**access_info)`, of which `rest` is needed.

    `rest` has `host`, `port`, `username`, `password` (encoded), and may have `timeout` (seconds) and, on the array's
    certificate, the first of these that is given counts:

    * `fingerprint`: SHA-256 of the certificate, which must be exactly this one;
    * `verify` False: any certificate, with a warning in the log;
    * `ca_cert`: PEM text of the CAs that may have issued it, for this host;
    * the attribute `verify`: True (the system's CAs), the path of a CA file or directory, or False. It begins as
      `verify` of the access information says, or True. A driver may set it, which counts from the next
      `init_http_head`; but it cannot switch off a check that `rest` asks for with `ca_cert` or `verify` True.

    The environment (proxies, CA bundles, .netrc) has no influence. Redirects are followed on the same host and port
    only: the session's headers, tokens among them, would go along.
    """

    def __init__(self, **kwargs: Any) -> None:
        rest = kwargs.get('rest')
        if not isinstance(rest, Mapping) or not rest:
            raise exception.InvalidInput('rest (host, port, username, password) is required.')
        self.rest_host = rest.get('host')
        self.rest_port = rest.get('port')
        self.rest_username = rest.get('username')
        self.rest_password = rest.get('password')       # encoded; drivers open it right before they log in
        self.san_address = _address(self.rest_host, self.rest_port)
        self.session: requests.Session | None = None
        self.rest_auth_token: Any = None
        self.device_id: Any = None
        self._timeout = _timeout(rest.get('timeout'))
        self._fingerprint = ssl_utils.read_fingerprint(rest['fingerprint'], 'rest.fingerprint') \
            if rest.get('fingerprint') else None
        self._ca_cert = ssl_utils.read_ca_cert(rest['ca_cert'], 'rest.ca_cert') if rest.get('ca_cert') else None
        stated = rest.get('verify')
        self._must_verify = bool(stated) or (stated is None and self._ca_cert is not None)
        self._default_verify = _usual(kwargs.get('verify'), True)
        self.verify: Any = self._default_verify if stated is None else bool(stated) and (self._default_verify or True)
        self._trust = Trust()
        self._warned = False

    def init_http_head(self) -> None:
        """Begin a new session; the old one's connections are closed. `InvalidCAPath` if `verify` names nothing."""
        if self.session is not None:
            self.session.close()
        self._trust = trust = self._trust_now()
        if not trust.verified and not self._warned:
            LOG.warning('the TLS certificate of %s is not verified: whoever answers there gets the password; give '
                        'rest.fingerprint or rest.ca_cert instead of rest.verify = false', self.san_address)
            self._warned = True
        self.session = _Session()
        self.session.headers.update({'Connection': 'keep-alive', 'Accept': 'application/json',
                                     'Content-Type': 'application/json'})
        # Proxies, .netrc and CA bundles named in the environment would override what was configured for the array.
        self.session.trust_env = False
        # For adapters that drivers mount; ours knows better. The drivers' contract has the one that ignores host
        # names here. That leaves every holder of any certificate of the CA able to pose as the array.
        self.session.verify = trust.ca_path or trust.verified
        self.session.mount('https://', TrustAdapter(trust, (self._connect_seconds, self._read_seconds(SOCKET_TIMEOUT))))

    def do_call(self, url: str, data: Any, method: str, calltimeout: float = SOCKET_TIMEOUT) -> requests.Response:
        """Make a request; the response, whatever its status.

        `url` is a path on the array or a full URL, `data` (if not empty) is sent as JSON. `calltimeout` is how many
        seconds each wait for the array may last; the usual value stands for `rest.timeout`, and others are raised to
        it. All waits for one answer may last `ANSWER_TIMEOUTS` times as long.

        Raises `InvalidIpOrPort` (no connection), `StorageBackendException` (no answer in time, another method than
        POST, PUT, GET, DELETE), `SSLCertificateFailed`, `SSLHandshakeFailed`, `ConnectTimeout` or `BadResponse`.
        Their texts hold neither paths nor headers: arrays put passwords and tokens there.
        """
        if method not in _METHODS:
            raise exception.StorageBackendException(f'{method} is none of the methods {", ".join(_METHODS)}')
        if self.session is None:
            self.init_http_head()
        target = url if url.lower().startswith(('http://', 'https://')) else f'{self.san_address}{url}'
        # Not session.request(): tests of drivers replace get() and post() of the class.
        send = getattr(self.session, method.lower())
        body = json.dumps(data) if data else None
        seconds = self._read_seconds(calltimeout or SOCKET_TIMEOUT)
        started = time.monotonic()
        try:
            with ssl_utils.limited(seconds * ANSWER_TIMEOUTS):
                return send(target, data=body, timeout=(self._connect_seconds, seconds))
        except exception.DelfinException:
            raise
        except Exception as error:      # as the contract says: anything else is a BadResponse
            # `from None`: the texts of requests hold the whole URL.
            raise self._mapped(error, target, seconds, time.monotonic() - started) from None

    # --- trust and time ---

    def _trust_now(self) -> Trust:
        if self._fingerprint is not None:
            return Trust(fingerprint=self._fingerprint)
        verify = _usual(self.verify, self._default_verify)
        if not verify and not self._must_verify:
            return Trust(verified=False)
        if self._ca_cert is not None:
            return Trust(ca_cert=self._ca_cert)
        verify = verify or self._default_verify
        return Trust() if isinstance(verify, bool) else Trust(ca_path=verify)

    @property
    def _connect_seconds(self) -> float:
        """For TCP and for the TLS handshake, each."""
        return self._timeout or SOCKET_TIMEOUT

    def _read_seconds(self, calltimeout: float) -> float:
        if self._timeout is None:
            return calltimeout
        return self._timeout if calltimeout == SOCKET_TIMEOUT else max(calltimeout, self._timeout)

    # --- errors ---

    def _mapped(self, error: Exception, target: str, seconds: float, passed: float) -> exception.DelfinException:
        """What `do_call` raises for an `error` of `requests`, after `passed` seconds."""
        cause = _innermost(error)
        text = f'{error} {cause}'
        parts = _split(target)
        host, port = parts.hostname or str(self.rest_host), _port(parts)
        where = f'{host} port {port}'
        if _is_no_connection(error, cause, text):       # before the time-out: NewConnectionError is one, too
            return exception.InvalidIpOrPort(message=(
                f'Invalid ip or port. Cannot connect to {where} ({_system_text(cause)}); check rest.host and '
                'rest.port, and that the REST service of the array runs there.'))
        if isinstance(error, requests.ConnectTimeout) or isinstance(cause, urllib3.exceptions.ConnectTimeoutError):
            return exception.InvalidIpOrPort(message=(
                f'Invalid ip or port. {where} did not answer within {self._connect_seconds:g} seconds; check '
                'rest.host, rest.port and the firewalls in between.'))
        if isinstance(error, requests.Timeout) or isinstance(cause, urllib3.exceptions.ReadTimeoutError):
            limit = seconds * ANSWER_TIMEOUTS
            waited = seconds if passed >= seconds else self._connect_seconds     # less: it was the TLS handshake
            slow = (f'did not finish its answer within {limit:g} seconds' if passed >= limit
                    else f'accepted the connection but did not answer within {waited:g} seconds (read timed out)')
            return exception.StorageBackendException(f'{where} {slow}; check the array and rest.port, or raise '
                                                     'rest.timeout')
        if isinstance(error, requests.exceptions.SSLError) or isinstance(cause, ssl.SSLError):
            if ssl_utils.is_verification_failure(cause) or ssl_utils.is_verification_failure(error):
                return ssl_utils.certificate_refused(cause, self._trust, host, port)
            return exception.SSLHandshakeFailed(message=(
                f'The TLS handshake with {where} failed ({_reason(cause)}). {_handshake_hint(cause)}'.rstrip()))
        if 'WSAETIMEDOUT' in text:
            return exception.ConnectTimeout(message=f'Connection timed out. {where} did not answer.')
        return exception.BadResponse(message=f'The device sent a bad response. {where}: {_reason(cause)}.')


class _Session(requests.Session):
    """Follows redirects to the same scheme, host and port only; others come back as the answer.

    A request that brings only what `do_call` gives it is prepared without merging, which takes requests as long as
    everything else before sending.
    """

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        if (request.headers or request.cookies or request.params or request.auth or request.files or request.json
                or any(request.hooks.values()) or self.params or self.auth or self.trust_env):
            return super().prepare_request(request)
        prepared = requests.PreparedRequest()
        prepared.prepare(str(request.method).upper(), request.url, self.headers, data=request.data,
                         cookies=self.cookies, hooks=self.hooks)
        return prepared

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        if proxies or self.proxies or self.trust_env:
            return super().merge_environment_settings(url, proxies, stream, verify, cert)
        return {'proxies': {}, 'stream': self.stream if stream is None else stream,
                'verify': self.verify if verify is None else verify, 'cert': self.cert if cert is None else cert}

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target is None or _origin(urljoin(resp.url, target)) == _origin(resp.url):
            return target
        LOG.warning('%s redirects to another place, which is not followed', _split(resp.url).netloc.rpartition('@')[2])
        return None


# --- fields ---

def _address(host: Any, port: Any) -> str:
    """`https://host:port`, with IPv6 addresses in brackets."""
    name = str(host or '').strip('[]')
    name = f'[{name}]' if ':' in name else name
    return f'https://{name}:{port}' if port else f'https://{name}'


def _timeout(value: Any) -> float | None:
    if value is None:
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if not (math.isfinite(seconds) and seconds > 0):
        raise exception.InvalidInput('rest.timeout must be a number of seconds above 0.')
    return seconds


def _usual(verify: Any, default: bool | str) -> bool | str:
    """`verify` as True, False or a path; None and '' say nothing (drivers pass `kwargs.get('verify')` on)."""
    if verify is None or verify == '':
        return default
    return os.fspath(verify) if isinstance(verify, str | os.PathLike) else bool(verify)


# --- addresses and texts ---

def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:      # brackets that do not match
        return urlsplit('')


def _port(parts: SplitResult) -> int:
    try:
        return parts.port or _DEFAULT_PORTS.get(parts.scheme.lower(), 443)
    except ValueError:
        return 0


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = _split(url)
    return parts.scheme.lower(), parts.hostname, _port(parts)


def _innermost(error: BaseException) -> BaseException:
    """The exception that `requests` and urllib3 have wrapped."""
    while True:
        reason = getattr(error, 'reason', None)
        inner = next((item for item in (reason, *error.args) if isinstance(item, BaseException)), None)
        if inner is None:
            return error
        error = inner


def _is_no_connection(error: BaseException, cause: BaseException, text: str) -> bool:
    return isinstance(cause, urllib3.exceptions.NewConnectionError | urllib3.exceptions.LocationValueError) or (
        isinstance(error, requests.exceptions.InvalidURL) or 'Failed to establish a new connection' in text)


def _system_text(cause: BaseException) -> str:
    """What the system says of a connection that was not made, for example "Connection refused"."""
    system = cause.__cause__ or cause.__context__
    return getattr(system, 'strerror', None) or type(cause).__name__


def _reason(cause: BaseException) -> str:
    """The text of an error if it is sure to hold no URL and no header; else only its kind."""
    safe = isinstance(cause, OSError | urllib3.exceptions.HTTPError) or type(cause).__module__ == 'http.client'
    if isinstance(cause, requests.RequestException) or not safe:
        return type(cause).__name__
    return str(cause).strip().rstrip('.') or type(cause).__name__


def _handshake_hint(cause: BaseException) -> str:
    # An older ssl module writes reasons that it does not know with blanks.
    text = f'{getattr(cause, "reason", None)} {cause}'.upper().replace(' ', '_')
    return next((hint for words, hint in _HANDSHAKE_HINTS if any(word in text for word in words)), '')
