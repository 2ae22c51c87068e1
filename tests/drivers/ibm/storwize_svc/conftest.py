# SPDX-License-Identifier: Apache-2.0
"""A driver and the simulated array that it talks to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from delfin import access
from delfin.drivers.ibm.storwize_svc import StorwizeDriver
from delfin.drivers.inspur.as5500 import As5500Driver
from tests.drivers.inventory import leaving
from tests.simulators.ibm.build import Sizes
from tests.simulators.ibm.server import Storwize

FEW = Sizes(volumes=12, pools=4, hosts=4, host_clusters=2, volume_groups=2)


def access_info(array: Storwize, **more: Any) -> dict[str, Any]:
    """The body of a registration; `more` for its section `ssh`."""
    name = ('inspur', 'as5500') if array.level.prefixed else ('ibm', 'storwize_svc')
    return {'vendor': name[0], 'model': name[1], 'ssh': {
        'host': array.host, 'port': array.port, 'username': array.username, 'password': array.password,
        'pub_key': array.host_key, **more}}


def driver_of(array: Storwize, **more: Any) -> StorwizeDriver:
    """Not connected yet."""
    kind = As5500Driver if array.level.prefixed else StorwizeDriver
    return kind(**access.for_driver(access_info(array, **more), '1', {}))


@pytest.fixture
def drive() -> Iterator[Callable[..., StorwizeDriver]]:
    """Makes drivers of running arrays; at the end they leave."""
    yield from leaving(driver_of)


@pytest.fixture
def array() -> Iterator[Storwize]:
    """A small one, to break."""
    with Storwize(sizes=FEW) as made:
        yield made


@pytest.fixture
def driver(array: Storwize, drive: Callable[..., StorwizeDriver]) -> StorwizeDriver:
    """Its driver."""
    return drive(array)
