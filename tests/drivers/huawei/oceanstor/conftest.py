# SPDX-License-Identifier: Apache-2.0
"""A driver and the simulated array that it talks to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from delfin import access
from delfin.drivers.huawei.oceanstor import OceanStorDriver
from tests.drivers.inventory import leaving
from tests.simulators.huawei import OceanStor, Sizes

FEW = Sizes(luns=12, pools=4, controllers=2, filesystems=4, hosts=4, host_groups=3, fc_ports=4, eth_ports=4)


def access_info(array: OceanStor, **more: Any) -> dict[str, Any]:
    """The body of a registration."""
    return {'vendor': 'huawei', 'model': 'oceanstor', **more, 'rest': {
        'host': array.host, 'port': array.port, 'username': array.username, 'password': array.password,
        'ca_cert': array.ca_pem}}


def driver_of(array: OceanStor, **more: Any) -> OceanStorDriver:
    return OceanStorDriver(**access.for_driver(access_info(array, **more), '1', {}))


@pytest.fixture
def drive() -> Iterator[Callable[..., OceanStorDriver]]:
    """Makes drivers of running arrays; at the end they log out."""
    yield from leaving(driver_of)


@pytest.fixture
def array() -> Iterator[OceanStor]:
    """A small one, to break."""
    with OceanStor(sizes=FEW) as made:
        yield made


@pytest.fixture
def driver(array: OceanStor, drive: Callable[..., OceanStorDriver]) -> OceanStorDriver:
    """Its driver."""
    return drive(array)
