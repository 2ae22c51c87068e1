# SPDX-License-Identifier: Apache-2.0
"""What the unit tests share: a database that is migrated once and copied for each test, keys, a private configuration.

Hypothesis runs the same examples each time and writes nothing into the tree; set HYPOTHESIS_PROFILE=default to explore.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from oslo_config import cfg

from delfin.common import config
from delfin.common.masking import Masker
from delfin.db import Database
from delfin.db.schema import Schema
from delfin.keyring import Keyring, new_key, write_key_file
from tests.unit import support

settings.register_profile(
    'unit', deadline=None, max_examples=100, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
settings.load_profile(os.environ.get('HYPOTHESIS_PROFILE', 'unit'))


@pytest.fixture(scope='session')
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with the schema and nothing else."""
    path = tmp_path_factory.mktemp('schema') / 'delfin.sqlite'
    database = Database(f'sqlite:///{path}')
    Schema(database).upgrade()
    database.close()
    return path


@pytest.fixture
def database(migrated_file: Path, tmp_path: Path) -> Iterator[Database]:
    """A database of this test's own."""
    path = tmp_path / 'delfin.sqlite'
    shutil.copy(migrated_file, path)
    opened = Database(f'sqlite:///{path}', sqlite_busy_timeout_seconds=5)
    yield opened
    opened.close()


@pytest.fixture
def storage_id(database: Database) -> str:
    """A registered storage with serial number SN-1."""
    return support.add_storage(database)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A key file with one key."""
    path = tmp_path / 'keys'
    key_id, key = new_key()
    write_key_file(path, {key_id: key})
    return path


@pytest.fixture
def keyring(key_file: Path) -> Keyring:
    """The keys of `key_file`."""
    return Keyring(str(key_file))


@pytest.fixture
def masker() -> Masker:
    """A masker that knows no secret yet."""
    return Masker()


@pytest.fixture
def conf(tmp_path: Path, key_file: Path) -> Iterator[cfg.ConfigOpts]:
    """All defaults but the places of files, on the global configuration (oslo.messaging knows no other)."""
    path = tmp_path / 'delfin.conf'
    path.write_text(f'[DEFAULT]\nhost = node-1\nstate_path = {tmp_path}\n[secrets]\nkey_file = {key_file}\n')
    yield config.load(['--config-file', str(path)], 'delfin-test', default_config_dirs=[])
    config.CONF.reset()


@pytest.fixture
def rest(conf: cfg.ConfigOpts, database: Database, keyring: Keyring) -> support.Rest:
    """The REST API: the real pipeline over the test's database, with a stand-in for the task service."""
    return support.Rest(conf, database, keyring)
