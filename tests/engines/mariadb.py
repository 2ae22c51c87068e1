# SPDX-License-Identifier: Apache-2.0
"""A private MariaDB."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from tests.engines.databases import DatabaseEngine

_USER = 'delfin'
_PASSWORD = 'delfin'

# Run at every start, so that it says the same each time. The name stands for connections over TCP.
_ACCOUNT = (
    f"CREATE OR REPLACE USER '{_USER}'@'127.0.0.1' IDENTIFIED BY '{_PASSWORD}';\n"
    f"GRANT ALL PRIVILEGES ON *.* TO '{_USER}'@'127.0.0.1' WITH GRANT OPTION;\n"
)


class MariaDB(DatabaseEngine):
    name: ClassVar[str] = 'MariaDB'
    package: ClassVar[str] = 'mariadb-server'
    programs: ClassVar[tuple[str, ...]] = ('mariadbd', 'mariadb-install-db')
    create_statement: ClassVar[str] = 'CREATE DATABASE {} CHARACTER SET utf8mb4'
    drop_statement: ClassVar[str] = 'DROP DATABASE IF EXISTS {}'

    def url(self, database: str) -> str:
        address = f'{_USER}:{_PASSWORD}@127.0.0.1:{self.port}'
        return f'mysql+pymysql://{address}/{database}?charset=utf8mb4'

    def commands(self) -> list[list[str]]:
        # --no-defaults must come first. The log is written at each commit but not synchronised:
        # what is committed survives a SIGKILL.
        common = [
            '--no-defaults',
            f'--datadir={self._data}',
            '--innodb-flush-log-at-trx-commit=2',
            '--innodb-log-file-size=16M',
            '--innodb-use-native-aio=0',
        ]
        server = [
            self.program('mariadbd'),
            *common,
            f'--init-file={self.write("account.sql", _ACCOUNT)}',
            f'--socket={self.home / "mariadb.sock"}',
            f'--pid-file={self.home / "mariadb.pid"}',
            '--skip-networking=0',
            '--bind-address=127.0.0.1',
            f'--port={self.port}',
            '--skip-name-resolve',
            '--max-connections=200',
        ]
        if self._data.exists():
            return [server]
        options = [
            '--auth-root-authentication-method=normal',
            '--skip-test-db',
            '--skip-name-resolve',
        ]
        return [[self.program('mariadb-install-db'), *common, *options], server]

    def check(self) -> None:
        [(data,)] = self.execute('SELECT @@datadir')
        if str(data).rstrip('/') != str(self._data):
            raise ConnectionError(f'port {self.port} belongs to the server in {data}')

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        import pymysql

        with (
            pymysql.connect(
                host='127.0.0.1',
                port=self.port,
                user=_USER,
                password=_PASSWORD,
                connect_timeout=5,
                read_timeout=30,
                autocommit=True,
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
            return list(cursor.fetchall())

    @property
    def _data(self) -> Path:
        return self.home / 'data'
