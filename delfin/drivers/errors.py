# SPDX-License-Identifier: Apache-2.0
"""Turns whatever a driver raises into Delfin's exception family, with the text cleaned of secrets, and tells whether
its session is worth anything after that.
"""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
from collections.abc import Callable, Iterator

import requests

from delfin import exception
from delfin.common.imports import without
from delfin.common.text import printable

# A dependency of paramiko's, for `Match exec` in a configuration file of ssh, which nobody reads here. It brings
# unittest.mock along: together they are a tenth of a service's start. This is the first import of paramiko in one.
with without('invoke'):
    import paramiko

# First match wins, so subclasses stand before their bases.
_TABLE: tuple[tuple[type[BaseException], type[exception.DelfinException]], ...] = (
    (requests.exceptions.SSLError, exception.SSLCertificateFailed),
    (requests.exceptions.ConnectTimeout, exception.ConnectTimeout),
    (requests.exceptions.Timeout, exception.HTTPConnectionTimeout),
    (requests.exceptions.ConnectionError, exception.InvalidIpOrPort),
    (requests.exceptions.RequestException, exception.BadResponse),
    (paramiko.AuthenticationException, exception.InvalidUsernameOrPassword),
    (paramiko.BadHostKeyException, exception.SSHNotFoundKnownHosts),
    (paramiko.SSHException, exception.SSHException),
    (paramiko.ssh_exception.NoValidConnectionsError, exception.InvalidIpOrPort),
    (socket.gaierror, exception.InvalidIpOrPort),
    (ssl.SSLCertVerificationError, exception.SSLCertificateFailed),
    (ssl.SSLError, exception.SSLHandshakeFailed),
    (TimeoutError, exception.ConnectTimeout),
    (ConnectionRefusedError, exception.InvalidIpOrPort),
    (ConnectionError, exception.StorageBackendException),
)
_TEXT_LIMIT = 2000


class SessionLost(Exception):
    """In place of an error that only another process has seen: the session is lost."""


# After these a session is broken, expired or was never there. Not BadResponse and StorageBackendException: a device
# that says no has understood us.
_SESSION_LOST = (
    exception.NotAuthorized, exception.InvalidCredential, exception.InvalidUsernameOrPassword,
    exception.InvalidIpOrPort, exception.SSHException, exception.SSHConnectTimeout, exception.ConnectTimeout,
    exception.HTTPConnectionTimeout, exception.SSLHandshakeFailed, SessionLost,
    requests.exceptions.ConnectionError, requests.exceptions.Timeout, requests.exceptions.ChunkedEncodingError,
    paramiko.SSHException, paramiko.ssh_exception.NoValidConnectionsError,
    http.client.ImproperConnectionState, http.client.IncompleteRead,
    ConnectionError, TimeoutError, EOFError, ssl.SSLError,
)
# After one of these the array is not asked again at once: more attempts at a login may lock the account, and a
# different array behind the address must not leave what it says under the name of the registered one.
_HOPELESS = (
    exception.StorageSerialNumberMismatch, exception.InvalidUsernameOrPassword, exception.InvalidCredential,
    exception.InvalidIpOrPort, exception.InvalidPrivateKey, exception.ConnectTimeout, exception.SSHConnectTimeout,
    exception.SSHNotFoundKnownHosts, exception.SSLCertificateFailed, exception.SSLHandshakeFailed,
    exception.StorageQuarantined, exception.StorageDriverNotFound, exception.AccessInfoNotFound,
    exception.SecretUnreadable,
)
_SOCKET_LOST = frozenset({errno.EBADF, errno.EPIPE, errno.ENOTCONN, errno.ESHUTDOWN, errno.EHOSTUNREACH,
                          errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})
_HTTP_LOGGED_OUT = frozenset({401, 403})
_CHAIN_LIMIT = 10


def is_hopeless(error: BaseException) -> bool:
    """Whether other calls to the array would fail the same way, or do harm."""
    return isinstance(error, _HOPELESS)


def session_lost(error: BaseException) -> bool:
    """Whether the driver's session has to be reset before its next call.

    Drivers often raise an error of their own while they handle the one that counts: both are looked at.
    """
    return any(_session_lost(link) for link in _chain(error))


def _session_lost(error: BaseException) -> bool:
    if isinstance(error, _SESSION_LOST):
        return True
    if isinstance(error, requests.exceptions.HTTPError):
        return getattr(error.response, 'status_code', None) in _HTTP_LOGGED_OUT
    # paramiko raises a plain OSError from a channel whose transport is gone.
    return isinstance(error, OSError) and (
        error.errno in _SOCKET_LOST or error.errno is None and printable(error) == 'Socket is closed')


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    for _ in range(_CHAIN_LIMIT):       # somebody may have tied it to a ring
        if link is None:
            return
        yield link
        link = link.__cause__ or link.__context__


def translate(error: BaseException, doing: str, mask: Callable[[str], str],
              limit: int = _TEXT_LIMIT) -> exception.DelfinException:
    """The error to raise instead of `error`, which happened while `doing` something ("list_volumes").

    Raise it `from None`: the original may still carry secrets in its text. The text is cut after `limit` characters.
    """
    # ServiceUnavailable is ours to say: the call would be made again and again.
    if isinstance(error, exception.DelfinException) and not isinstance(error, exception.ServiceUnavailable):
        return _cleaned(error, mask, limit)
    text = mask(printable(error))[:limit]
    for known, ours in _TABLE:
        if isinstance(error, known):
            sentence = ours.msg_fmt.partition('{')[0].rstrip(' :.')
            return ours(text, message=f'{sentence}: {text}' if sentence else text)
    name = type(error).__name__
    return exception.StorageBackendException(f'{doing} raised {name}: {text}'.rstrip(': '), unexpected=name)


def unexpected(error: BaseException) -> str | None:
    """The name of the exception that no driver should let out and that `translate` made `error` of; None if neither."""
    return getattr(error, 'kwargs', {}).get('unexpected')


def _cleaned(error: exception.DelfinException, mask: Callable[[str], str], limit: int) -> exception.DelfinException:
    """A new exception of the same meaning: traceback, cause and private constructors stay behind."""
    arguments = [mask(printable(argument)) for argument in getattr(error, 'error_args', ())]
    text = getattr(error, 'msg', None) or printable(error)
    return _public(type(error))(*arguments, message=mask(printable(text))[:limit])


def _public(error_class: type[exception.DelfinException]) -> type[exception.DelfinException]:
    """A driver's private subclass as the public class it derives from: the other end of RPC must know it."""
    return next(base for base in error_class.__mro__
                if issubclass(base, exception.DelfinException) and base.__module__ == exception.__name__)
