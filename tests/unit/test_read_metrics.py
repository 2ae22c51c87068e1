# SPDX-License-Identifier: Apache-2.0
"""The task service answers what it has collected, and says so when it keeps nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from oslo_config import cfg

from delfin import exception
from delfin.common.masking import Masker
from delfin.context import RequestContext
from delfin.db import Database
from delfin.history import unpacked
from delfin.keyring import Keyring
from delfin.metrics import Owner
from delfin.rpc import messaging
from delfin.task_manager.manager import TaskManager
from tests.unit.history_support import MINUTE, series
from tests.unit.support import Drivers, MinimalDriver

Start = Callable[[], TaskManager]


@pytest.fixture
def start(conf: cfg.ConfigOpts, database: Database, keyring: Keyring, masker: Masker) -> Iterator[Start]:
    """Starts a task service."""
    started: list[TaskManager] = []

    def start() -> TaskManager:
        started.append(TaskManager(conf, database, keyring, Drivers(MinimalDriver), masker))    # type: ignore[arg-type]
        started[-1].start()
        return started[-1]
    yield start
    for manager in started:
        manager.stop(5)


def read(manager: TaskManager, storage_id: str, now: int) -> list[dict[str, Any]]:
    return unpacked(manager.read_metrics(RequestContext(), storage_id, 'volume', ['iops'], [], now - MINUTE, now + 1,
                                         None))


def test_what_was_collected_is_read_from_the_node_that_did(start: Start, storage_id: str) -> None:
    manager = start()
    assert manager.history is not None
    now = int(manager.history._clock() * 1000)
    owner = Owner(storage_id, 'array', 'Example', 'X1', 'SN-1')
    manager.telemetry.exports.listeners[0].collected(owner, 'volume', [series('v1', {now: 1.5})], 60)
    assert manager.history.wait_written(10)
    assert read(manager, storage_id, now) == [{
        'resource_type': 'volume', 'resource_id': 'v1', 'resource_name': 'volume v1', 'metric': 'iops',
        'unit': 'IOPS', 'points': [[now, 1.5]]}]


def test_a_node_that_keeps_nothing_says_which_options_would(start: Start, conf: cfg.ConfigOpts,
                                                            storage_id: str) -> None:
    conf.set_override('keep_days', 0, 'history')
    with pytest.raises(messaging.ExpectedException) as caught:
        read(start(), storage_id, 0)
    error = caught.value.exc_info[1]
    assert isinstance(error, exception.StorageCapabilityNotSupported)
    assert 'keep_days' in error.msg and 'prometheus_url' in error.msg
