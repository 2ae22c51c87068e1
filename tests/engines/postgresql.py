# SPDX-License-Identifier: Apache-2.0
"""A private PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import ClassVar

from tests.engines.databases import DatabaseEngine

_USER = 'delfin'

# What is committed survives a SIGKILL, because the kernel keeps what was written; only a power cut
# would lose it. synchronous_commit must therefore stay on. Shared memory is kept out of /dev/shm,
# where a SIGKILL would leave it.
_SETTINGS = {
    'listen_addresses': '127.0.0.1',
    'fsync': 'off',
    'full_page_writes': 'off',
    'dynamic_shared_memory_type': 'mmap',
    'max_connections': '200',
}


class PostgreSQL(DatabaseEngine):
    name: ClassVar[str] = 'PostgreSQL'
    package: ClassVar[str] = 'postgresql'
    programs: ClassVar[tuple[str, ...]] = ('initdb',)
    places: ClassVar[tuple[str, ...]] = ('$PATH', '/usr/lib/postgresql/*/bin')
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # "fast": connections are ended
    end_signal: ClassVar[signal.Signals] = (
        signal.SIGQUIT
    )  # "immediate", but shared memory is given back
    create_statement: ClassVar[str] = "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'"
    drop_statement: ClassVar[str] = 'DROP DATABASE IF EXISTS {} WITH (FORCE)'

    def url(self, database: str) -> str:
        return f'postgresql+psycopg://{_USER}@127.0.0.1:{self.port}/{database}'

    def commands(self) -> list[list[str]]:
        initdb = Path(self.program('initdb')).resolve()
        settings = _SETTINGS | {'port': str(self.port), 'unix_socket_directories': str(self.home)}
        server = [str(initdb.with_name('postgres')), '-D', str(self._data)]
        for name, value in settings.items():
            server += ['-c', f'{name}={value}']
        if self._data.exists():
            return [server]
        options = ['--no-sync', '-U', _USER, '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8']
        return [[str(initdb), '-D', str(self._data), *options], server]

    def check(self) -> None:
        [(data,)] = self.execute('SHOW data_directory')
        if data != str(self._data):
            raise ConnectionError(f'port {self.port} belongs to the server in {data}')

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        import psycopg

        with psycopg.connect(
            host='127.0.0.1',
            port=self.port,
            user=_USER,
            dbname='postgres',
            connect_timeout=5,
            autocommit=True,
        ) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    @classmethod
    def release(cls, directory: Path) -> None:
        """A killed server leaves a small segment of System V shared memory, which it names in its
        pid file."""
        pid_file = directory / 'home' / 'data' / 'postmaster.pid'
        if pid_file.exists():
            lines = pid_file.read_text().splitlines()
            owner = pid_file.stat().st_uid
            key, number = lines[6].split() if len(lines) > 6 else ('0', '0')
            if _is_unused_segment(int(key), int(number), owner):
                subprocess.run(['ipcrm', '-m', number], check=True, timeout=10)

    @property
    def _data(self) -> Path:
        return self.home / 'data'


def _is_unused_segment(key: int, number: int, owner: int) -> bool:
    """Whether the segment still exists, is the one that was meant and nobody uses it."""
    table = Path('/proc/sysvipc/shm')
    if not os.access(table, os.R_OK):
        return False
    names, *rows = (line.split() for line in table.read_text().splitlines())
    segments = [dict(zip(names, map(int, row), strict=False)) for row in rows]
    return any(
        segment['shmid'] == number
        and segment['key'] & 0xFFFFFFFF == key & 0xFFFFFFFF
        and segment['uid'] == owner
        and segment['nattch'] == 0
        for segment in segments
    )
