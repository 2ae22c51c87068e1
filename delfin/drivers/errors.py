# SPDX-License-Identifier: Apache-2.0
"""Turns whatever a driver raises into Delfin's exception family, with the text cleaned of secrets."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable

import paramiko
import requests

from delfin import exception
from delfin.common.text import printable

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


def translate(error: BaseException, doing: str, mask: Callable[[str], str]) -> exception.DelfinException:
    """The error to raise instead of `error`, which happened while `doing` something ("list_volumes").

    Raise it `from None`: the original may still carry secrets in its text.
    """
    if isinstance(error, exception.DelfinException):
        return _cleaned(error, mask)
    text = mask(printable(error))[:_TEXT_LIMIT]
    for known, ours in _TABLE:
        if isinstance(error, known):
            sentence = ours.msg_fmt.partition('{')[0].rstrip(' :.')
            return ours(text, message=f'{sentence}: {text}' if sentence else text)
    return exception.StorageBackendException(f'{doing} raised {type(error).__name__}: {text}'.rstrip(': '))


def _cleaned(error: exception.DelfinException, mask: Callable[[str], str]) -> exception.DelfinException:
    """A new exception of the same meaning: traceback, cause and private constructors stay behind."""
    arguments = [mask(printable(argument)) for argument in getattr(error, 'error_args', ())]
    text = getattr(error, 'msg', None) or printable(error)
    return _public(type(error))(*arguments, message=mask(printable(text))[:_TEXT_LIMIT])


def _public(error_class: type[exception.DelfinException]) -> type[exception.DelfinException]:
    """A driver's private subclass as the public class it derives from: the other end of RPC must know it."""
    return next(base for base in error_class.__mro__
                if issubclass(base, exception.DelfinException) and base.__module__ == exception.__name__)
