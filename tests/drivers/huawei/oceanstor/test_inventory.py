# SPDX-License-Identifier: Apache-2.0
"""The driver's rows are the model inside the simulator, on every firmware."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from delfin.drivers.huawei.oceanstor import OceanStorDriver
from tests.drivers.inventory import assert_same, inventory
from tests.simulators.huawei import DORADO_V6, OceanStor, Sizes
from tests.simulators.huawei.firmware import BY_NAME
from tests.simulators.huawei.truth import truth

Drive = Callable[..., OceanStorDriver]


def check(driver: OceanStorDriver, array: OceanStor) -> None:
    said, odd = inventory(driver)
    assert odd == []
    assert_same(said, truth(array))
    assert len(array.sessions.open) == 1
    assert array.sessions.logins == 1


@pytest.mark.parametrize('firmware', BY_NAME)
def test_all_kinds_of_an_array_where_everything_occurs(firmware: str, drive: Drive) -> None:
    with OceanStor(firmware=BY_NAME[firmware]) as array:
        check(drive(array), array)


@pytest.mark.parametrize('manner', [{'shared': True}, {'firmware': replace(DORADO_V6, batch=None)},
                                    {'firmware': replace(DORADO_V6, chunked=True, http_status=True)}])
def test_whatever_the_ids_of_ports_and_however_members_are_asked_for(manner: dict[str, Any], drive: Drive) -> None:
    with OceanStor('other', Sizes(luns=100), shared_port_ids='shared' in manner,
                   firmware=manner.get('firmware', BY_NAME['everything'])) as array:
        check(drive(array), array)


def test_flat_kinds_take_a_request_for_each_hundred_objects_and_members_one_for_each_hundred_groups(
        drive: Drive) -> None:
    with OceanStor(sizes=Sizes.of(1000), firmware=BY_NAME['everything']) as array:
        driver = drive(array)
        driver.get_storage(None)
        array.log.clear()
        assert len(list(driver.list_volumes(None))) == 1000
        assert len(array.log) == 12         # the sector size, ten full pages, and one to see that there is no more
        array.log.clear()
        driver.list_disks(None)
        assert len(array.log) == len(array.model['disk']) // 100 + 1
        array.log.clear()
        driver.list_storage_host_groups(None)
        assert len(array.log) <= 3
        array.log.clear()
        driver.list_masking_views(None)
        assert len(array.log) <= 8
