# SPDX-License-Identifier: Apache-2.0
"""The engines as fixtures of pytest; `pytest_plugins = ['tests.engines.plugin']` in
tests/conftest.py loads them.

Engines start when the first test asks for them and last for the session. A missing one is a reason
to skip, or to fail where all engines are promised (DELFIN_REQUIRE_ENGINES=1).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from tests.engines import (
    Account,
    DatabaseEngine,
    Engine,
    MariaDB,
    NotPossible,
    PostgreSQL,
    RabbitMQ,
    Sshd,
)
from tests.engines.alertmanager import Alertmanager
from tests.engines.prometheus import Prometheus
from tests.engines.snmp import Snmpd, Snmptrapd

E = TypeVar('E', bound=Engine)


def require(kind: type[Engine]) -> None:
    """Skip or fail the test if this machine does not have the engine's programs."""
    missing = kind.missing()
    if missing is None:
        return
    if os.environ.get('DELFIN_REQUIRE_ENGINES') == '1':
        pytest.fail(f'{missing} (DELFIN_REQUIRE_ENGINES=1)', pytrace=False)
    pytest.skip(missing)


def _for_the_session(kind: type[E]) -> Iterator[E]:
    require(kind)
    with kind() as engine:
        yield engine


@pytest.fixture(scope='session')
def postgresql() -> Iterator[PostgreSQL]:
    yield from _for_the_session(PostgreSQL)


@pytest.fixture(scope='session')
def mariadb() -> Iterator[MariaDB]:
    yield from _for_the_session(MariaDB)


@pytest.fixture(scope='session')
def rabbitmq() -> Iterator[RabbitMQ]:
    yield from _for_the_session(RabbitMQ)


@pytest.fixture(scope='session')
def sshd() -> Iterator[Sshd]:
    yield from _for_the_session(Sshd)


@pytest.fixture(scope='session')
def sshd_password_user(sshd: Sshd) -> Account:
    """An account that can log in to `sshd` with a password; skips where that is not possible."""
    try:
        return sshd.password_user()
    except NotPossible as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope='session')
def alertmanager() -> Iterator[Alertmanager]:
    yield from _for_the_session(Alertmanager)


@pytest.fixture(scope='session')
def prometheus() -> Iterator[Prometheus]:
    yield from _for_the_session(Prometheus)


@pytest.fixture(scope='session')
def snmpd() -> Iterator[Snmpd]:
    yield from _for_the_session(Snmpd)


@pytest.fixture(scope='session')
def snmptrapd() -> Iterator[Snmptrapd]:
    yield from _for_the_session(Snmptrapd)


@pytest.fixture(params=['sqlite', 'postgresql', 'mariadb'])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, once on each engine; it is dropped afterwards."""
    if request.param == 'sqlite':
        file = tmp_path / 'delfin.db'
        yield f'sqlite:///{file}'
        for remains in tmp_path.glob(f'{file.name}*'):  # with -wal, -shm and -journal
            remains.unlink()
        return
    engine: DatabaseEngine = request.getfixturevalue(request.param)
    with engine.database() as url:
        yield url
