# SPDX-License-Identifier: Apache-2.0
"""Real servers for tests: PostgreSQL, MariaDB, RabbitMQ and OpenSSH, private, unprivileged and gone
afterwards.

    with PostgreSQL() as engine, engine.database() as url:
        sqlalchemy.create_engine(url)

An engine lives in a directory of its own below /tmp and listens on free ports of 127.0.0.1, so it
never meets a system-wide server of its kind nor the engine of another test run. `start`, `stop`,
`kill` and `restart` keep its data and its ports; `close` (the end of the `with`) removes
everything. Whatever happens to the test process, SIGKILL included, the server ends with it (see
`keeper`).

The fixtures are in `tests.engines.plugin`. They last for the session: a test that stops or kills a
server takes an engine of its own instead.
"""

from tests.engines.base import Engine, EngineError, NotPossible
from tests.engines.databases import DatabaseEngine
from tests.engines.mariadb import MariaDB
from tests.engines.postgresql import PostgreSQL
from tests.engines.rabbitmq import RabbitMQ
from tests.engines.sshd import Account, Sshd

__all__ = [
    'Account',
    'DatabaseEngine',
    'Engine',
    'EngineError',
    'MariaDB',
    'NotPossible',
    'PostgreSQL',
    'RabbitMQ',
    'Sshd',
]
