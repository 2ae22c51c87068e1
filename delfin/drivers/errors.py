# SPDX-License-Identifier: Apache-2.0
"""Turns whatever a driver raises into Delfin's exception family, with the text cleaned of secrets."""

from __future__ import annotations

import socket
from collections.abc import Callable

import paramiko
import requests

from delfin import exception

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
    (socket.gaierror, exception.InvalidIpOrPort),
    (TimeoutError, exception.ConnectTimeout),
    (ConnectionRefusedError, exception.InvalidIpOrPort),
    (ConnectionError, exception.StorageBackendException),
)
# Classes whose own sentence says all; of the others the driver's text follows.
_TEXT_LIMIT = 2000


def translate(error: BaseException, doing: str, mask: Callable[[str], str]) -> exception.DelfinException:
    """The error to raise instead of `error`, which happened while `doing` something ("list_volumes").

    Raise it `from None`: the original may still carry secrets in its text.
    """
    if isinstance(error, exception.DelfinException):
        return _cleaned(error, mask)
    text = mask(_text(error))[:_TEXT_LIMIT]
    for known, ours in _TABLE:
        if isinstance(error, known):
            sentence = ours.msg_fmt.partition('{')[0].rstrip(' :.')
            return ours(text, message=f'{sentence}: {text}' if sentence else text)
    return exception.StorageBackendException(f'{doing} raised {type(error).__name__}: {text}'.rstrip(': '))


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:       # a driver's own exception may be broken, too
        return 'its text cannot be shown'


def _cleaned(error: exception.DelfinException, mask: Callable[[str], str]) -> exception.DelfinException:
    """A new exception of the same class: the traceback and the cause of the old one stay behind."""
    try:
        arguments = [mask(str(argument)) for argument in error.error_args]
        clean = type(error)(*arguments, message=mask(error.msg)[:_TEXT_LIMIT])
    except Exception:       # a driver's subclass with a constructor of its own
        return exception.StorageBackendException(mask(_text(error))[:_TEXT_LIMIT])
    return clean if _importable(type(error)) else _nearest(clean)


def _importable(error_class: type) -> bool:
    return error_class.__module__ == exception.__name__


def _nearest(error: exception.DelfinException) -> exception.DelfinException:
    """A driver's private subclass as the public class it derives from: the other end of RPC must know it."""
    for base in type(error).__mro__:
        if issubclass(base, exception.DelfinException) and _importable(base):
            return base(*error.error_args, message=error.msg)
    raise AssertionError('DelfinException is importable')
