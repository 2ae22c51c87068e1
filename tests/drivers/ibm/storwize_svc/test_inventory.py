# SPDX-License-Identifier: Apache-2.0
"""The driver's rows are the model inside the simulator, on every code level; in few commands, whatever names say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from delfin.drivers.ibm.storwize_svc import StorwizeDriver
from delfin.exception import DelfinException
from tests.drivers.inventory import assert_same, inventory, inventory_methods
from tests.simulators.ibm.build import HOSTILE, Sizes
from tests.simulators.ibm.levels import BY_NAME, V8_3, V8_7
from tests.simulators.ibm.server import Storwize
from tests.simulators.ibm.truth import printed, truth

Drive = Callable[..., StorwizeDriver]


def check(driver: StorwizeDriver, array: Storwize) -> None:
    has_groups = not array.level.lacks('lsvolumegroup')
    said, odd = inventory(driver, [name for name in inventory_methods(driver)
                                   if has_groups or name != 'list_volume_groups'])
    assert odd == []
    assert_same(said, truth(array, driver.VARIANT.vendor))
    assert array.connections == array.logins == 1
    assert array.injections == []


@pytest.mark.parametrize('level', BY_NAME)
def test_all_kinds_of_an_array_where_everything_occurs(level: str, drive: Drive) -> None:
    with Storwize(level=BY_NAME[level], sizes=Sizes(nodes=4)) as array:
        check(drive(array), array)


def test_names_are_inventory_and_no_commands(drive: Drive) -> None:
    with Storwize(level=V8_7, hostile_names=True) as array:
        driver = drive(array)
        check(driver, array)
        names = [row['name'] for row in driver.list_volumes(None)]
        assert names[:len(HOSTILE)] == [printed(name) for name in HOSTILE]


def test_a_name_that_tears_its_line_is_put_together_again(drive: Drive) -> None:
    """No real array has such names; who has made one does not hide others."""
    with Storwize(level=replace(V8_3, raw_control_characters=True), sizes=Sizes(volumes=4)) as array:
        array.control.rename('volume', '1', 'torn\nin two; rm -rf /\nor three')
        array.control.rename('volume', '2', 'a!b\n7!c')
        array.control.rename('pool', '0', '^\n!')
        names = [row['name'] for row in drive(array).list_volumes(None)]
        assert names[1:3] == ['torn\nin two; rm -rf /\nor three', 'a!b\n7!c']


def test_a_level_without_lists_of_copies_is_asked_for_volumes_that_have_more_to_tell(drive: Drive) -> None:
    level = replace(V8_3, missing=V8_3.missing | {'lsvdiskcopy', 'lssevdiskcopy'})
    with Storwize(level=level) as array:
        check(drive(array), array)
        single = sum(len(volume.copies) == 1 and not volume.primary.thin for volume in array.model['volume'].values())
        assert array.asked('lsvdisk') == 1 + len(array.model['volume']) - single


def test_commands_do_not_grow_with_volumes(drive: Drive) -> None:
    def commands(volumes: int) -> Counter[str]:
        with Storwize(level=V8_7, sizes=Sizes(volumes=volumes)) as array:
            inventory(drive(array))
            return Counter(seen.words[0] for seen in array.log)
    few = commands(10)
    assert commands(500) == few
    assert few['lsvdisk'] == 2      # one for the members of volume groups
    assert few['lshost'] == 18      # their ports, once for hosts and initiators; and the members of clusters


def test_hosts_are_asked_for_again_when_their_ports_could_not_be_had(drive: Drive) -> None:
    """Details that the ports of an earlier sync were read from are no answer of an array that fails."""
    with Storwize(level=V8_7) as array:
        driver = drive(array)
        assert list(driver.list_storage_host_initiators(None)) and list(driver.list_storage_hosts(None))
        list(driver.list_storage_host_initiators(None))
        array.control.spoil('lshost', times=None)
        for ask in (driver.list_storage_host_initiators, driver.list_storage_hosts):
            with pytest.raises(DelfinException):
                list(ask(None))
