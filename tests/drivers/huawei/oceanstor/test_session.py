# SPDX-License-Identifier: Apache-2.0
"""One session for each array, whatever happens to it; and what goes wrong on the way."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from delfin import access, exception
from delfin.drivers.huawei.oceanstor import OceanStorDriver
from tests.drivers.huawei.oceanstor.conftest import FEW, access_info
from tests.simulators.huawei import DORADO_V6, OceanStor, Sizes

Drive = Callable[..., OceanStorDriver]
BUSY = 1077949006


@pytest.fixture
def pauses(driver: OceanStorDriver) -> list[float]:
    """Pauses are noted and not made."""
    made: list[float] = []
    driver.session._sleep = made.append
    return made


def test_nothing_is_asked_before_it_is_needed_and_the_end_is_a_log_out(array: OceanStor, drive: Drive) -> None:
    driver = drive(array)
    assert array.sessions.logins == 0
    driver.get_storage(None)
    driver.list_disks(None)
    assert (array.sessions.logins, len(array.sessions.open)) == (1, 1)
    driver.delete_storage(None)
    assert (array.sessions.logouts, array.sessions.open) == (1, [])


@pytest.mark.parametrize('code', [-401, 1077949069])
@pytest.mark.parametrize('as_status', [False, True])
def test_a_session_that_ends_in_the_middle_of_a_list_is_renewed_once(code: int, as_status: bool, drive: Drive) -> None:
    with OceanStor(sizes=Sizes(luns=205), firmware=replace(DORADO_V6, http_status=as_status)) as array:
        driver = drive(array)
        rows = driver.list_volumes(None)
        first = [next(rows) for _ in range(100)]
        array.control.expire_sessions(code)
        assert len({row['native_volume_id'] for row in (*first, *rows)}) == 205
        assert array.sessions.logins == 2


def test_a_session_that_ends_while_members_are_asked_for_in_batches_is_renewed(
        array: OceanStor, driver: OceanStorDriver) -> None:
    expected = driver.list_storage_host_groups(None)
    array.control.spoil('server', code=-401)
    assert driver.list_storage_host_groups(None) == expected
    assert array.sessions.logins == 2


def test_an_account_that_may_not_send_batches_asks_one_by_one(array: OceanStor, driver: OceanStorDriver) -> None:
    array.control.spoil('server', code=-401, times=None)
    groups = driver.list_storage_host_groups(None)
    assert len(groups['storage_host_grp_host_rels']) == sum(
        len(group.members) for group in array.model['host_group'].values())
    driver.list_quotas(None)
    assert array.asked('server/compositeinfo') == 2         # once, and once more with a new session


def test_calls_at_once_share_the_session_and_its_renewal(array: OceanStor, driver: OceanStorDriver) -> None:
    assert driver.MAX_CONCURRENT_CALLS == 3
    with ThreadPoolExecutor(3) as pool:
        for _ in range(3):
            array.control.expire_sessions()
            lists = [pool.submit(lambda name: len(list(getattr(driver, name)(None))), name)
                     for name in ('list_ports', 'list_alerts', 'list_quotas')]
            assert all(each.result() for each in lists)
            assert len(array.sessions.open) == 1


def test_a_reset_logs_out_and_takes_the_new_password(array: OceanStor, driver: OceanStorDriver) -> None:
    driver.get_storage(None)
    array.control.password('Another-2', end_sessions=False)
    driver.reset_connection(None, **access.for_driver(access_info(array), '1', {}))
    assert array.sessions.open == []
    assert driver.get_storage(None)['serial_number'] == array.serial


def test_a_wrong_password_is_said_and_tried_once_for_all_who_wait(array: OceanStor, drive: Drive) -> None:
    driver = drive(array)
    array.control.password('Another-2')
    with pytest.raises(exception.InvalidUsernameOrPassword, match='Remaining attempts'):
        driver.get_storage(None)
    assert array.sessions.refused == 1


def test_a_locked_account_is_an_error_that_says_so(array: OceanStor, drive: Drive) -> None:
    array.control.lock()
    with pytest.raises(exception.InvalidCredential, match='account is locked: unlock it'):
        drive(array).get_storage(None)
    assert array.sessions.refused == 1


def test_an_expired_password_is_refused_and_leaves_no_session(array: OceanStor, drive: Drive) -> None:
    array.control.account_state('expired')
    with pytest.raises(exception.InvalidCredential, match='password has expired'):
        drive(array).get_storage(None)
    assert array.sessions.open == []


def test_a_full_array_is_no_wrong_password_and_is_asked_again_after_a_pause(
        array: OceanStor, driver: OceanStorDriver, pauses: list[float]) -> None:
    array.control.fill_sessions()
    with pytest.raises(exception.StorageMaxUserCountException, match='end some in DeviceManager'):
        driver.get_storage(None)
    assert pauses == [1, 2]
    array.control.empty_sessions()
    assert driver.get_storage(None)['serial_number'] == array.serial


def test_an_array_that_is_busy_twice_is_asked_a_third_time(
        array: OceanStor, driver: OceanStorDriver, pauses: list[float]) -> None:
    array.control.spoil('lun', code=BUSY, times=2)
    assert len(list(driver.list_volumes(None))) == FEW.luns
    assert pauses == [1, 2]


@pytest.mark.parametrize('form', ['drop', 'half'])
def test_a_connection_that_breaks_at_the_third_page_costs_no_row(form: str, drive: Drive) -> None:
    with OceanStor(sizes=Sizes(luns=205)) as array:
        driver = drive(array)
        driver.session._sleep = lambda seconds: None
        array.control.spoil('lun', form, page=2)
        assert len(list(driver.list_volumes(None))) == 205


@pytest.mark.parametrize(('how', 'error'), [
    ({'form': 'html', 'status': 503}, exception.StorageBackendException),
    ({'form': 'html', 'status': 200}, exception.BadResponse),
    ({'form': 'garbage'}, exception.BadResponse), ({'form': 'list'}, exception.BadResponse),
    ({'code': 1077949021}, exception.StorageBackendException)])
@pytest.mark.parametrize('method', ['list_volumes', 'list_shares', 'list_quotas', 'list_masking_views', 'list_alerts'])
def test_an_array_that_fails_never_has_an_empty_list(
        array: OceanStor, driver: OceanStorDriver, pauses: list[float], how: dict[str, Any],
        error: type[Exception], method: str) -> None:
    driver.get_storage(None)
    array.control.spoil('', times=None, **how)
    with pytest.raises(error):
        list(getattr(driver, method)(None))
    array.control.unspoil()


def test_a_resource_that_is_refused_on_a_later_page_is_an_error(drive: Drive) -> None:
    with OceanStor(sizes=Sizes(luns=20, filesystems=120)) as array:
        driver = drive(array)
        array.control.spoil('filesystem', code=1077949002, page=1)
        with pytest.raises(exception.StorageBackendException):
            driver.list_filesystems(None)


def test_users_of_a_directory_are_looked_up_there(array: OceanStor, drive: Drive) -> None:
    assert drive(array, extra_attributes={'scope': '0'}).get_storage(None)
    with pytest.raises(exception.InvalidUsernameOrPassword):
        drive(array, extra_attributes={'scope': '1'}).get_storage(None)
