# SPDX-License-Identifier: Apache-2.0
"""Who is logged in: accounts, their lock-out, sessions with token and cookie, the cap on them, and their end."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.simulators.http import Request
from tests.simulators.huawei import errors
from tests.simulators.huawei.errors import Refusal
from tests.simulators.huawei.firmware import Firmware

COOKIE = 'session'
ACCOUNT_STATES = {'normal': 1, 'healthy': 2, 'expired': 3, 'initial': 4, 'expiring': 5, 'must change': 6,
                  'never expires': 7, 'e-mail code': 8, 'not initialised': 9, 'RADIUS code': 10,
                  'RADIUS challenge': 11, 'garbled': 'normal'}
_SCOPES = ('0', '1', '8')
_LOCK_SECONDS = 900.0


@dataclass
class Account:
    """`scope` is 0 local, 1 LDAP, 8 RADIUS; `state` a key of ACCOUNT_STATES."""

    name: str
    password: str = field(repr=False)
    scope: str = '0'
    state: str = 'normal'
    failures: int = 0
    locked_until: float = 0.0


@dataclass
class Session:
    """`ended` is the code that its token is answered with once it is over."""

    token: str = field(repr=False)
    cookie: str = field(repr=False)
    account: str
    client: str
    seen: float
    ended: int | None = None


class Sessions:
    """Thread-safe. `clock` counts seconds and need not be the time of day."""

    def __init__(self, firmware: Firmware, *, cap: int = 32, idle_seconds: float = 1200.0, attempts: int = 3,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.cap = cap
        self.idle_seconds = idle_seconds
        self.attempts = attempts        # wrong passwords until an account is locked
        self.accounts: dict[str, Account] = {}
        self.locked_clients: set[str] = set()
        self.logins = self.logouts = self.refused = 0
        self._firmware = firmware
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}

    @property
    def open(self) -> list[Session]:
        """Those that count against the cap."""
        with self._lock:
            self._expire()
            return [session for session in self._sessions.values() if session.ended is None]

    def login(self, body: Any, client: str) -> tuple[Session, Account]:
        """A new session; Refusal."""
        if not isinstance(body, dict) or not all(isinstance(body.get(key), str) for key in ('username', 'password')):
            raise Refusal(errors.BAD_PARAMETER)
        scope = str(body.get('scope', '0'))
        if scope not in _SCOPES:
            raise Refusal(errors.BAD_PARAMETER)
        with self._lock:
            try:
                return self._login(body['username'], body['password'], scope, client)
            except Refusal:
                self.refused += 1
                raise

    def _login(self, name: str, password: str, scope: str, client: str) -> tuple[Session, Account]:
        if client in self.locked_clients:
            raise Refusal(errors.IP_LOCKED)
        account = self.accounts.get(name)
        if account is None or account.scope != scope:
            raise Refusal(self._firmware.refuses_password, self.attempts)
        if self._clock() < account.locked_until:
            raise Refusal(self._firmware.locks_account)
        if not secrets.compare_digest(account.password.encode(), password.encode()):
            account.failures += 1
            if account.failures >= self.attempts:
                account.failures = 0
                account.locked_until = self._clock() + _LOCK_SECONDS
                raise Refusal(self._firmware.locks_account)
            raise Refusal(self._firmware.refuses_password, self.attempts - account.failures)
        self._expire()
        if sum(session.ended is None for session in self._sessions.values()) >= self.cap:
            raise Refusal(errors.TOO_MANY_SESSIONS)
        account.failures = 0
        session = Session(secrets.token_hex(16).upper(), f'ismsession={secrets.token_hex(24)}', name, client,
                          self._clock())
        self._sessions[session.token] = session
        self.logins += 1
        return session, account

    def authenticate(self, request: Request) -> Session:
        """The session of a request, which must show its token and its cookie; Refusal."""
        with self._lock:
            session = self._sessions.get(request.headers.get('ibasetoken', ''))
            if session is None or session.cookie not in _cookies(request.headers.get('cookie', '')):
                raise Refusal(errors.NO_SESSION)
            self._expire()
            if session.ended is not None:
                raise Refusal(session.ended)
            session.seen = self._clock()
            return session

    def logout(self, session: Session) -> None:
        """End it at its owner's wish."""
        with self._lock:
            self._sessions.pop(session.token, None)
            self.logouts += 1

    def end_all(self, code: int = errors.NO_SESSION) -> int:
        """End all: their tokens get this code from now on. Returns how many were open."""
        with self._lock:
            ended = [session for session in self._sessions.values() if session.ended is None]
            for session in ended:
                session.ended = code
            return len(ended)

    def fill(self, left: int = 0) -> None:
        """Let others take all sessions but so many."""
        with self._lock:
            self._expire()
            taken = sum(session.ended is None for session in self._sessions.values())
            for _ in range(self.cap - left - taken):
                token = secrets.token_hex(16).upper()
                self._sessions[token] = Session(token, secrets.token_hex(24), 'somebody', '192.0.2.250', self._clock())

    def empty(self) -> None:
        """Forget all sessions."""
        with self._lock:
            self._sessions.clear()

    def lock(self, name: str, locked: bool = True) -> None:
        """Lock an account, or let it in again."""
        with self._lock:
            account = self.accounts[name]
            account.failures = 0
            account.locked_until = self._clock() + _LOCK_SECONDS if locked else 0.0

    def _expire(self) -> None:
        now = self._clock()
        for session in self._sessions.values():
            if session.ended is None and now - session.seen >= self.idle_seconds:
                session.ended = errors.NO_SESSION


def _cookies(header: str) -> list[str]:
    return [value for name, _, value in (part.strip().partition('=') for part in header.split(';')) if name == COOKIE]
