# SPDX-License-Identifier: Apache-2.0
"""What an array may say no with, as far as a `RestSession` acts on it. Tables of error codes name these classes, or any
of `delfin.exception`.

They come out of the driver as the public class that they derive from.
"""

from __future__ import annotations

from typing import Any

from delfin import exception


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
