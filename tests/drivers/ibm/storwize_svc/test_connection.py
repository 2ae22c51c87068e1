# SPDX-License-Identifier: Apache-2.0
"""One SSH connection, and what happens to it: the kit's command lines on the simulated array."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from delfin import access, exception
from delfin.drivers import kit
from delfin.drivers.ibm.storwize_svc import StorwizeDriver
from delfin.drivers.ibm.storwize_svc.session import StorwizeSession
from delfin.drivers.utils import ssh_connection
from tests.drivers.ibm.storwize_svc.conftest import FEW, access_info
from tests.services import wait_for
from tests.simulators.ibm.levels import V8_3
from tests.simulators.ibm.server import Storwize

Drive = Callable[..., StorwizeDriver]


@pytest.fixture
def pauses(driver: StorwizeDriver) -> list[float]:
    """What was waited before commands were repeated; nobody waits here."""
    waited: list[float] = []
    driver.session._sleep = waited.append
    return waited


def volumes(driver: StorwizeDriver) -> int:
    return len(list(driver.list_volumes(None)))


# --- one connection ---

def test_all_threads_share_one_connection(array: Storwize, driver: StorwizeDriver) -> None:
    methods = [driver.list_volumes, driver.list_storage_hosts, driver.list_alerts, driver.list_ports] * 3
    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(lambda method: list(method(None)), methods))
    assert array.connections == array.logins == 1


def test_who_waits_for_a_login_that_fails_does_not_try_again(array: Storwize, driver: StorwizeDriver) -> None:
    """Each attempt counts towards the lock of the account."""
    array.control.password('another')
    barrier = threading.Barrier(4)

    def ask(_: int) -> type[Exception] | None:
        barrier.wait()
        try:
            driver.get_storage(None)
        except exception.InvalidUsernameOrPassword as error:
            return type(error)
        return None
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(ask, range(4))) == {exception.InvalidUsernameOrPassword}
    assert array.refused < 4


def test_leaving_ends_the_connection_and_the_next_command_begins_one(array: Storwize, driver: StorwizeDriver) -> None:
    for _ in range(2):
        driver.get_storage(None)
        driver.delete_storage(None)
    assert array.logins == 2
    wait_for('the end of the connection', lambda: array.sessions == 0, 5)


def test_a_user_may_come_with_a_key(array: Storwize) -> None:
    info = access_info(array, private_key=array.client_key)
    del info['ssh']['password']
    driver = StorwizeDriver(**access.for_driver(info, '1', {}))
    assert volumes(driver) == 12
    driver.delete_storage(None)


# --- what breaks ---

@pytest.mark.parametrize(('form', 'logins'), [('drop', 2), ('cut', 2), ('close', 1)])
def test_a_command_that_broke_off_is_asked_again(form: str, logins: int, array: Storwize,
                                                 driver: StorwizeDriver) -> None:
    array.control.spoil('lsvdisk', form)
    assert volumes(driver) == 12
    assert (array.logins, array.asked('lsvdisk')) == (logins, 2)


def test_it_is_asked_again_once(array: Storwize, driver: StorwizeDriver) -> None:
    array.control.spoil('lsvdisk', 'drop', times=None)
    with pytest.raises(exception.SSHException, match='broke'):
        volumes(driver)
    assert array.asked('lsvdisk') == 2


def test_a_command_that_changes_something_is_sent_once(array: Storwize, driver: StorwizeDriver) -> None:
    array.control.spoil('cheventlog', 'drop')
    with pytest.raises(exception.SSHException):
        driver.clear_alert(None, '160')
    assert array.asked('cheventlog') == 1


def test_a_connection_that_the_array_has_closed_is_opened_again(array: Storwize, driver: StorwizeDriver) -> None:
    volumes(driver)
    array.control.fail_over()
    driver.clear_alert(None, '160')
    assert array.logins == 2


def test_a_command_that_takes_too_long_is_given_up(array: Storwize, driver: StorwizeDriver,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StorwizeSession, 'SECONDS', 0.3)
    array.control.spoil('lsvdisk', 'stall', seconds=2)
    with pytest.raises(exception.ConnectTimeout, match='"lsvdisk" on .* did not end within 0.3 seconds'):
        volumes(driver)
    assert driver.get_storage(None)['serial_number'] == array.model.system.id


def test_output_has_a_limit(array: Storwize, driver: StorwizeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_connection, 'MAX_OUTPUT_BYTES', 2**20)
    array.control.spoil('lsvdisk', 'flood', size=2)
    with pytest.raises(exception.StorageBackendException, match='more than 1 MiB'):
        volumes(driver)


def test_a_busy_array_is_asked_again_after_a_pause(array: Storwize, driver: StorwizeDriver,
                                                   pauses: list[float]) -> None:
    array.control.spoil('lsvdisk', times=2)
    assert volumes(driver) == 12
    assert pauses == [1, 2]
    array.control.spoil('lsvdisk', times=None)
    with pytest.raises(kit.ArrayBusy, match='CMMVC5786E'):
        volumes(driver)


def test_an_array_without_a_free_channel_is_asked_again(drive: Drive) -> None:
    with Storwize(sizes=FEW, channel_limit=2) as array:
        driver = drive(array)
        driver.session._sleep = lambda seconds: time.sleep(seconds / 4)
        assert len(list(driver.list_storage_hosts(None))) == 4
        assert array.connections == 1


def test_a_file_waits_for_a_free_channel_as_a_command_does(drive: Drive) -> None:
    with Storwize(sizes=FEW, channel_limit=1) as array:
        session = drive(array).session
        array.control.latency(1.0, 'lsvdisk')
        slow = threading.Thread(target=session.read, args=('lsvdisk',))
        waited: list[float] = []

        def sleep(seconds: float) -> None:
            waited.append(seconds)
            slow.join()
            wait_for('a free channel', lambda: not any(each.channels for each in array._server.open))
        session._sleep = sleep
        slow.start()
        wait_for('the command', lambda: array.asked('lsvdisk'))
        assert session.read_file('/dumps/iostats/none') is None
        assert (len(waited), array.connections) == (1, 1)


def test_what_is_no_list_is_an_error(array: Storwize, driver: StorwizeDriver) -> None:
    array.control.spoil('lsvdisk', 'garbage')
    with pytest.raises(exception.InvalidResults, match='no list'):
        volumes(driver)


def test_warnings_beside_the_answer_do_not_matter(array: Storwize, driver: StorwizeDriver) -> None:
    array.control.spoil('lsvdisk', 'warning')
    assert volumes(driver) == 12


def test_the_arrays_own_words_are_in_the_error(array: Storwize, driver: StorwizeDriver) -> None:
    array.control.spoil('lsvdisk', code='CMMVC9999E', text='Größe unbekannt')
    with pytest.raises(kit.Refused, match='"lsvdisk" on 127.0.0.1 ended with status 1: CMMVC9999E Größe unbekannt'):
        volumes(driver)


def test_a_host_that_goes_while_it_is_looked_at_is_left_out(array: Storwize, driver: StorwizeDriver) -> None:
    array.control.spoil('lshost -delim ! 2', code='CMMVC5753E')
    assert [row['native_storage_host_id'] for row in driver.list_storage_hosts(None)] == ['0', '1', '3']


# --- who it is ---

def test_another_product_is_told(drive: Drive) -> None:
    with Storwize(sizes=FEW, level=replace(V8_3, prefixed=True)) as array:
        driver = StorwizeDriver(**access.for_driver(access_info(array), '1', {}))
        with pytest.raises(exception.InvalidIpOrPort, match='no array of this kind'):
            driver.get_storage(None)
        driver.delete_storage(None)


@pytest.mark.parametrize('state', ['locked', 'expired'])
def test_an_account_that_may_not_come_in(state: str, array: Storwize, driver: StorwizeDriver) -> None:
    array.control.account_state(state)
    with pytest.raises(exception.DelfinException) as caught:
        driver.get_storage(None)
    assert 'password' in caught.value.msg and array.password not in caught.value.msg


def test_a_new_password_counts_after_a_reset(array: Storwize, driver: StorwizeDriver) -> None:
    driver.get_storage(None)
    array.control.password('Changed-2')
    array.control.hang_up()
    with pytest.raises(exception.InvalidUsernameOrPassword):
        driver.get_storage(None)
    driver.reset_connection(None, **access.for_driver(access_info(array), '1', {}))
    assert driver.get_storage(None)['status']


def test_a_changed_host_key_is_refused_and_how_to_accept_it_is_told(array: Storwize, driver: StorwizeDriver) -> None:
    driver.get_storage(None)
    array.control.change_host_key()
    array.control.hang_up()
    logins = array.logins
    with pytest.raises(exception.SSHNotFoundKnownHosts) as caught:
        driver.get_storage(None)
    assert f'accept it with ssh.fingerprint = "{array.fingerprint}"' in caught.value.msg
    assert array.logins == logins       # nobody was given the password
