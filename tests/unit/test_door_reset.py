# SPDX-License-Identifier: Apache-2.0
"""After a lost session the next call begins with `reset_connection`, in threads and in processes alike."""

from __future__ import annotations

import http.client
import socket
import ssl

import paramiko
import pytest
import requests

from delfin import exception
from delfin.drivers.errors import session_lost
from tests.unit.door_drivers import SECRET, NoReset, ResetFails, ResetHangs, Session, StuckAtTheEnd, Told
from tests.unit.door_house import HANG_SECONDS, houses
from tests.unit.support import until


@pytest.fixture(params=['thread', 'process'])
def house(request, tmp_path):
    yield from houses(tmp_path, request.param)


def lose_session(house, error='expired', method='list_volumes'):
    house.write('fail', error)
    with pytest.raises((exception.DelfinException, RuntimeError)):
        house.call(method)


# --- what counts ---

def http_error(status):
    response = requests.Response()
    response.status_code = status
    return requests.exceptions.HTTPError(f'{status}', response=response)


def raised_while_handling(error, cause):
    try:
        raise cause
    except type(cause):
        try:
            raise error
        except type(error) as raised:
            return raised


def ring():
    first, second = ValueError(1), ValueError(2)
    first.__context__, second.__context__ = second, first
    return first


@pytest.mark.parametrize('error', [
    exception.InvalidUsernameOrPassword(), exception.NotAuthorized(), exception.InvalidCredential(),
    exception.SSHException('x'), exception.SSHConnectTimeout(), exception.ConnectTimeout(),
    exception.HTTPConnectionTimeout('x'), exception.InvalidIpOrPort(), exception.SSLHandshakeFailed(),
    requests.exceptions.ConnectionError('x'), requests.exceptions.ConnectTimeout('x'),
    requests.exceptions.ReadTimeout('x'), requests.exceptions.ChunkedEncodingError('x'), http_error(401),
    http_error(403), ConnectionResetError(), BrokenPipeError(), TimeoutError(), EOFError(), ssl.SSLEOFError(),
    paramiko.SSHException('SSH session not active'), paramiko.AuthenticationException(),
    paramiko.ssh_exception.NoValidConnectionsError({('10.0.0.1', 22): ConnectionRefusedError()}),
    OSError('Socket is closed'), OSError(9, 'Bad file descriptor'), http.client.RemoteDisconnected('x'),
    http.client.CannotSendRequest('x'), http.client.IncompleteRead(b''),
    raised_while_handling(exception.StorageBackendException('x'), EOFError()),
    raised_while_handling(exception.InvalidResults('x'), requests.exceptions.ConnectionError('x')),
], ids=lambda error: type(error).__name__)
def test_a_session_is_lost_after(error):
    assert session_lost(error)


@pytest.mark.parametrize('error', [
    exception.StorageBackendException('x'), exception.InvalidResults('x'), exception.BadResponse(), ValueError(),
    KeyError('x'), NotImplementedError(), http_error(500), requests.exceptions.JSONDecodeError('x', '', 0),
    FileNotFoundError(2, 'no'), OSError('x'), SystemExit(1), socket.gaierror(-2, 'x'), ring(),
    raised_while_handling(exception.StorageBackendException('x'), KeyError('x')),
], ids=lambda error: type(error).__name__)
def test_a_session_is_kept_after(error):
    assert not session_lost(error)


# --- what happens ---

@pytest.mark.parametrize('error', ['expired', 'login', 'connection'])
def test_the_next_call_resets_the_session_of_the_same_instance(house, error):
    made = house(Session)
    lose_session(made, error)
    assert made.call('list_volumes') == [1]
    assert made.told() == ['built 1', 'asked 1', f'reset 1 {SECRET} True', 'asked 1']


@pytest.mark.parametrize('error', ['value', 'refused'])
def test_another_error_resets_nothing(house, error):
    made = house(Session)
    lose_session(made, error)
    made.call('list_volumes')
    assert made.told('reset') == []


def test_a_call_that_failed_is_not_repeated(house):
    made = house(Session)
    lose_session(made)
    assert made.told('asked') == ['asked 1'] and made.told('reset') == []


def test_a_session_is_reset_once(house):
    made = house(Session)
    lose_session(made)
    for _ in range(3):
        made.call('list_volumes')
    assert len(made.told('reset')) == 1


def test_a_session_that_is_lost_in_the_middle_of_the_rows_is_reset(house):
    made = house(Session)
    lose_session(made, method='list_disks')
    made.call()
    assert len(made.told('reset')) == 1


def test_the_driver_gets_the_access_information_of_now(house):
    made = house(Session)
    lose_session(made)
    made.password = 'another-word'
    made.call()
    assert made.told('reset') == ['reset 1 another-word True']
    assert made.masker.mask('another-word') == '***'


@pytest.mark.parametrize('driver', [ResetFails, NoReset])
def test_a_driver_that_cannot_reset_is_built_anew_and_the_old_one_logs_out(house, driver):
    made = house(driver)
    lose_session(made)
    assert made.call('list_volumes') == [2]
    until(lambda: made.told('left') == ['left 1'])


def test_a_reset_counts_towards_the_deadline_of_its_call(house):
    made = house(ResetHangs)
    lose_session(made)
    with pytest.raises(exception.DriverCallTimeout):
        made.call('list_volumes', timeout_seconds=HANG_SECONDS)
    assert made.told('asked') == ['asked 1'] and made.call('list_volumes') == [2]


def test_new_access_information_makes_a_reset_needless(house):
    made = house(Session)
    lose_session(made)
    made.door.reset('storage-1')
    assert (made.call('list_volumes'), made.told('reset')) == ([2], [])


def test_forgetting_does_not_log_in_again(house):
    """`delete_storage` is called, nothing else."""
    made = house(Session)
    lose_session(made)
    made.door.forget('storage-1')
    assert made.told()[2:] == ['left 1']


# --- the service ends ---

def test_all_arrays_are_logged_out_of_when_the_service_ends(house):
    made = house(Told)
    for name in ('storage-1', 'storage-2', 'storage-3'):
        made.call(storage_id=name)
    made.door.stop(logout_seconds=30)
    assert sorted(made.told('left')) == ['left 1', 'left 2', 'left 3']


def test_an_array_that_does_not_answer_does_not_keep_the_service_from_ending(house):
    made = house(StuckAtTheEnd)
    made.call()
    made.door.stop(logout_seconds=HANG_SECONDS)
    with pytest.raises(exception.ServiceUnavailable):
        made.call()


def test_a_session_that_is_lost_needs_no_logout(house):
    made = house(Session)
    lose_session(made)
    made.door.stop(logout_seconds=30)
    assert made.told('left') == []
