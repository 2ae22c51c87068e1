# SPDX-License-Identifier: Apache-2.0
"""What an array may say no with, as far as a session of the kit acts on it. Tables of error codes name these classes,
or any of `delfin.exception`.

They come out of the driver as the public class that they derive from.
"""

from __future__ import annotations

from typing import Any

from delfin import exception

Error = type[exception.DelfinException]
Meaning = Error | tuple[Error, str]     # what a code of the array means, and what to do about it


def meant(meaning: Meaning, text: str) -> tuple[Error, str]:
    """The exception of a code, and its text with the advice."""
    if isinstance(meaning, tuple):
        kind, advice = meaning
        return kind, f'{text.rstrip(".")}. {advice}'
    return meaning, text


class SessionExpired(exception.NotAuthorized):
    """The array does not know the session (any more): it is renewed once and the request repeated. While logging in it
    means that the login was refused.
    """

    msg_fmt = 'The array does not accept the session.'


class ArrayBusy(exception.StorageBackendException):
    """Not now: reads are repeated after a pause, that of `retry_after` seconds if the array asked for one."""

    def __init__(self, *args: Any, retry_after: float | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.retry_after = retry_after


class NotThere(exception.StorageBackendException):
    """The array has no such thing. Drivers catch it where that is no error: a model without the feature, an object that
    went between the list and a look at it.
    """


class Refused(exception.StorageBackendException):
    """The array said no with a code that `ERRORS` does not have. Unlike a time-out or a web page it is an answer, so a
    driver may catch it where the vendor has no code of its own for "this model does not have that".
    """


class ConnectionBroke(exception.BadResponse):
    """The connection ended in the middle of an answer, or of waiting for one: reads are repeated."""


class ShellBroke(exception.SSHException):
    """The SSH connection ended in the middle of a command, or before it was sent (`sent` is false): those that only
    read, or were not sent, are run again, once.
    """

    def __init__(self, *args: Any, sent: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sent = sent


class UnknownCommand(exception.StorageBackendException):
    """The array's CLI has no such command, or not that option of it. Drivers catch it where an older or another model
    is asked in another way.
    """
