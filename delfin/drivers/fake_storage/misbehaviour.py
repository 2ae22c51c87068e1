# SPDX-License-Identifier: Apache-2.0
"""The one place every call of the fake driver passes: it waits, fails, hangs or spoils the answer as it is told to."""

from __future__ import annotations

import base64
import functools
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, Protocol, TypeVar, cast

from delfin import exception
from delfin.drivers.fake_storage import garbage
from delfin.drivers.fake_storage.actions import METHODS, Shape
from delfin.drivers.fake_storage.model import Listing
from delfin.drivers.fake_storage.options import LAZY_ABOVE_ROWS, Settings

LOG = logging.getLogger(__name__)

_POLL_SECONDS = 0.05        # how soon a hanging call notices that the control file releases it


class Stage:
    """Where calls are performed. `settings` tells what holds now, `password` the secret that `secret_leak` leaks."""

    def __init__(self, settings: Callable[[], Settings], password: Callable[[], str]) -> None:
        self._settings = settings
        self._password = password
        self._reset = threading.Event()

    def reset(self) -> None:
        """Make the calls that wait or hang now go on; later ones wait anew."""
        waiting, self._reset = self._reset, threading.Event()
        waiting.set()

    def perform(self, method: str, answer: Callable[[], Any]) -> Any:
        """Answer `method`, after the latency and with the misbehaviour that hold when the call begins."""
        settings = self._settings()
        self._reset.wait(float(settings.scoped('latency_ms', method)) / 1000)
        self.fail(method)
        # After a hang: what was asked for may have changed while it lasted.
        settings = self._settings()
        return self._present(self._spoil(method, settings['misbehave'].get(method), answer), settings['yield_rows'])

    def fail(self, method: str) -> None:
        """Carry out those actions that need no answer: raise or hang."""
        action = self._settings()['misbehave'].get(method)
        if action == 'hang':
            self._hang(method, action)
        elif action == 'secret_leak':
            self._leak()
        elif action in _RAISES:
            _RAISES[action](method)

    def _hang(self, method: str, action: str) -> None:
        reset = self._reset
        begin = time.monotonic()
        while self._settings()['misbehave'].get(method) == action:
            if time.monotonic() - begin >= self._settings()['hang_seconds']:
                return
            if reset.wait(_POLL_SECONDS):
                raise exception.StorageBackendException(f'{method} was waiting when the connection was reset')

    def _leak(self) -> NoReturn:
        password = self._password()
        encoded = base64.b64encode(password.encode()).decode()
        LOG.debug('fake array: logging in with password %s (%s)', password, encoded)
        raise RuntimeError(f'login failed: {{"password": "{password}"}}, Authorization: Basic {encoded}')

    def _spoil(self, method: str, action: str | None, answer: Callable[[], Any]) -> Any:
        match action:
            case 'none':
                return None
            case 'vanish':
                return {} if METHODS[method] is Shape.ROW else _each(answer(), lambda rows: [])
            case 'shrink':
                return _each(answer(), _shrunk)
            case 'garbage':
                return self._garbage(method, answer)
            case 'half_generator' | 'half_hang':
                end = functools.partial(self._end_in_the_middle, method, action)
                return _each(answer(), lambda rows: _half(rows, end))
        return answer()

    def _end_in_the_middle(self, method: str, action: str) -> None:
        if action == 'half_hang':
            self._hang(method, action)
        else:
            raise RuntimeError(f'fake array: {method} broke off in the middle of its rows')

    @staticmethod
    def _garbage(method: str, answer: Callable[[], Any]) -> Any:
        match METHODS[method]:
            case Shape.ROW:
                return garbage.storage(answer())
            case Shape.ROWS:
                return _each(answer(), lambda rows: _garbage_rows(rows))
        return garbage.value()

    @staticmethod
    def _present(answer: Any, yield_rows: bool | None) -> Any:
        """Listings as what drivers return: lists, or generators where those are asked for or rows are many."""
        def present(rows: Any) -> Any:
            if not isinstance(rows, Listing):
                return rows
            lazy = len(rows) > LAZY_ABOVE_ROWS if yield_rows is None else yield_rows
            return iter(rows) if lazy else list(rows)
        return _each(answer, present)


def _each(answer: Any, change: Callable[[Listing], Any]) -> Any:
    """Apply `change` to the rows of an answer: a listing, or a dict of them. Other answers stay as they are."""
    if isinstance(answer, Listing):
        return change(answer)
    if isinstance(answer, dict):
        return {key: change(value) if isinstance(value, Listing) else value for key, value in answer.items()}
    return answer


def _shrunk(rows: Listing) -> Listing:
    """Two out of five rows, chosen so that it is less than half for every number of rows."""
    return Listing(lambda: (row for place, row in enumerate(rows) if place % 5 in (2, 4)), table=rows.table)


def _half(rows: Listing, end: Callable[[], None]) -> Iterator[Any]:
    middle = len(rows) // 2
    for place, row in enumerate(rows):
        if place == middle:
            end()
        yield row
    if middle == 0 == len(rows):
        end()


def _garbage_rows(rows: Listing) -> Listing:
    if rows.table is None:
        return Listing(garbage.metrics)
    table = rows.table
    return Listing(lambda: garbage.rows(table, next(iter(rows), None)))


def _raise(method: str) -> NoReturn:
    raise KeyError(f'fake array: {method} met something its author did not expect')


def _raise_typed(method: str) -> NoReturn:
    raise exception.StorageBackendException(f'{method} is refused because misbehave says so')


def _not_implemented(method: str) -> NoReturn:
    raise NotImplementedError(f'Driver API {method}() is not Implemented')


def _exit(method: str) -> NoReturn:
    raise SystemExit(f'fake array: {method} ends the process')


_RAISES: Mapping[str, Callable[[str], NoReturn]] = {
    'raise': _raise,
    'raise_typed': _raise_typed,
    'notimplemented': _not_implemented,
    'exit': _exit,
}


def misbehave_statically(action: str | None, method: str) -> Any:
    """For methods without an instance: raise, or give back what spoils the answer."""
    if action is not None and action in _RAISES:
        _RAISES[action](method)
    return garbage.value() if action == 'garbage' else None


class _OnStage(Protocol):
    stage: Stage

    def log_in(self) -> None: ...


F = TypeVar('F', bound=Callable[..., Any])


def call(method: F) -> F:
    """Decorator of the driver's methods: perform on stage and log in before answering."""
    return _on_stage(method, lambda self: self.log_in())


def call_without_login(method: F) -> F:
    """Like `call`, for methods that end a session."""
    return _on_stage(method, lambda self: None)


def _on_stage(method: F, prepare: Callable[[_OnStage], None]) -> F:
    @functools.wraps(method)
    def performed(self: _OnStage, *args: Any, **kwargs: Any) -> Any:
        def answer() -> Any:
            prepare(self)
            return method(self, *args, **kwargs)
        return self.stage.perform(method.__name__, answer)
    return cast('F', performed)
