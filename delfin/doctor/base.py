# SPDX-License-Identifier: Apache-2.0
"""How an examination goes: checks in groups, side by side, in a limited time, whatever is broken.

A check is a small function that looks at a `Patient` and yields findings. A group of checks runs in a thread of its
own, one after the other, and ends when a check says that what comes after it makes no sense (`Unreachable`). Whatever
hangs or breaks costs its own group only. No finding holds a secret.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from delfin import exception, rpc, service
from delfin.common import config
from delfin.common.masking import Masker
from delfin.common.text import first_line
from delfin.db import Database


class Level(StrEnum):
    """How bad it is: a problem keeps Delfin from doing its work, a warning may one day."""

    OK = 'ok'
    WARNING = 'warning'
    PROBLEM = 'problem'


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    level: Level
    check: str
    message: str

    def line(self) -> str:
        """For people."""
        return f'{self.level:<8} {self.check}: {self.message}'

    def view(self) -> dict[str, str]:
        """For machines."""
        return {'level': self.level.value, 'check': self.check, 'message': self.message}


class Unreachable(Exception):
    """What a group of checks is about cannot be asked; the argument says why and what to do."""


class Patient:
    """An installation: its configuration and ways to ask its parts."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self.conf = conf

    @functools.cached_property
    def database(self) -> Database:
        """The configured database."""
        return service.open_database(self.conf)

    @property
    def url(self) -> sa.URL:
        """Where the database is."""
        return sa.make_url(config.database_url(self.conf))

    def clean(self, error: object) -> str:
        """The first line of somebody else's error message, without the passwords of the configuration."""
        masker = Masker()
        masker.learn('configuration', self._passwords())
        text = first_line(error) if isinstance(error, SQLAlchemyError) else str(error)
        return masker.mask(' '.join(text.split()) or type(error).__name__)

    def close(self) -> None:
        """Give the connections back."""
        if 'database' in vars(self):
            self.database.close()

    def _passwords(self) -> list[str]:
        found = [self.conf.api.tls_key_password or '']
        try:
            found.append(self.url.password or '')
            found += [host.password or '' for host in transport(self.conf).hosts]
        except (ArgumentError, exception.DelfinException):
            pass
        return found


Check = Callable[[Patient], Iterable[Finding]]
Group = tuple[str, Sequence[Check]]


def transport(conf: cfg.ConfigOpts) -> Any:
    """The parsed `transport_url`; `InvalidConfiguration` without the URL if it is none."""
    rpc.register(conf)
    try:
        return rpc.messaging.TransportURL.parse(conf)
    except (rpc.messaging.InvalidTransportURL, ValueError):
        raise exception.InvalidConfiguration(
            'transport_url cannot be read; it must look like rabbit://user:password@host:5672/vhost') from None


def examine(conf: cfg.ConfigOpts, groups: Sequence[Group], seconds: float) -> list[Finding]:
    """All findings, in the order of the checks, within `seconds`."""
    patient = Patient(conf)
    wards = [_Ward(name, checks, patient) for name, checks in groups]
    deadline = time.monotonic() + seconds
    for ward in wards:
        ward.start()
    findings = [finding for ward in wards for finding in ward.findings_until(deadline)]
    if not any(ward.is_alive() for ward in wards):
        patient.close()
    return findings


class _Ward(threading.Thread):
    """One group at work."""

    def __init__(self, name: str, checks: Sequence[Check], patient: Patient) -> None:
        super().__init__(name=f'doctor-{name}', daemon=True)
        self._group = name
        self._checks = checks
        self._patient = patient
        self._findings: list[Finding] = []
        self._at = ''

    def run(self) -> None:
        for check in self._checks:
            self._at = _title(check)
            try:
                self._findings += list(check(self._patient))
            except Unreachable as error:
                self._findings.append(Finding(Level.PROBLEM, self._at, str(error)))
                return
            except exception.DelfinException as error:
                self._findings.append(Finding(Level.PROBLEM, self._at, error.msg))
            except cfg.Error:
                self._findings.append(Finding(Level.WARNING, self._at, 'not examined: the configuration is wrong'))
            except Exception as error:      # a check must not keep the others from being made
                self._findings.append(Finding(
                    Level.PROBLEM, self._at, f'could not be examined: {type(error).__name__}: '
                    f'{self._patient.clean(error)}'))

    def findings_until(self, deadline: float) -> list[Finding]:
        """What was found by then."""
        self.join(max(0.0, deadline - time.monotonic()))
        late = [Finding(Level.PROBLEM, self._at, f'no answer in time; nothing more is known of "{self._group}"')]
        return [*self._findings, *(late if self.is_alive() else [])]


def _title(check: Check) -> str:
    return check.__name__.replace('_', ' ')


def ok(check: Check, message: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, _title(check), message)


def warning(check: Check, message: str) -> Finding:
    """Not well; it works."""
    return Finding(Level.WARNING, _title(check), message)


def problem(check: Check, message: str) -> Finding:
    """It does not work."""
    return Finding(Level.PROBLEM, _title(check), message)
