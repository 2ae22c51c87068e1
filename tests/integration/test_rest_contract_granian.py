# SPDX-License-Identifier: Apache-2.0
"""The same contract with delfin-api (granian), delfin-task and delfin-alert as processes of their own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.engines import PostgreSQL, RabbitMQ
from tests.functional.test_rest_contract import *  # noqa: F403   the cases, which take `delfin` from here
from tests.integration.test_separate_services import SERVICES
from tests.services import Client, Site


@pytest.fixture(scope='module')
def delfin(rabbitmq: RabbitMQ, postgresql: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The REST client of separate services."""
    with postgresql.database() as url, contextlib.ExitStack() as stack:
        site = Site(tmp_path_factory.mktemp('granian'), database=url.replace('%', '%%'),
                    transport=rabbitmq.create_vhost(), api={'workers': 2})
        processes = {name: stack.enter_context(site.start(name)) for name in SERVICES}
        yield processes['api'].ready().client
        assert {name: process.stop() for name, process in processes.items()} == dict.fromkeys(SERVICES, 0)
