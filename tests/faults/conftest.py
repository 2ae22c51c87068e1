# SPDX-License-Identifier: Apache-2.0
"""The cluster on which faults happen: one for the session on each engine, since its start takes longest.

Broker and database are its own: they are stopped and killed, too.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engines import DatabaseEngine, MariaDB, PostgreSQL, RabbitMQ
from tests.engines.plugin import require
from tests.faults.cluster import LONG, Cluster

_ENGINES: tuple[type[DatabaseEngine], ...] = (PostgreSQL, MariaDB) if LONG else (PostgreSQL,)


@pytest.fixture(scope='session')
def broker() -> Iterator[RabbitMQ]:
    require(RabbitMQ)
    with RabbitMQ() as broker:
        yield broker


@pytest.fixture(scope='session', params=_ENGINES, ids=lambda kind: kind.name.lower())
def server(request: pytest.FixtureRequest) -> Iterator[DatabaseEngine]:
    require(request.param)
    with request.param() as engine:
        yield engine


@pytest.fixture(scope='session')
def installation(server: DatabaseEngine, broker: RabbitMQ,
                 tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """API and arrays."""
    with (server.database() as url,
          Cluster(tmp_path_factory.mktemp(server.name.lower()), url, broker.create_vhost()) as made):
        made.ensure('a')
        made.populate()
        yield made


@pytest.fixture
def cluster(installation: Cluster) -> Cluster:
    """API, node `a` and nobody else, all in good order."""
    installation.turn_the_page()
    installation.ensure('a')
    installation.populate()
    return installation
