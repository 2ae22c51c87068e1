# SPDX-License-Identifier: Apache-2.0
"""What third parties' drivers do to Delfin: in a thread little, in a process of their own nothing."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from delfin import cryptor, exception
from delfin.common.masking import MASK, MaskingFilter
from delfin.drivers import api
from delfin.drivers.api import Door
from delfin.drivers.fake_storage import FakeStorageDriver
from delfin.drivers.lanes import ABANDONED_AT_MOST
from tests.unit.door_drivers import SECRET, Rude, Session, Stuck, StuckAtOnce, StuckAtTheEnd, Wide
from tests.unit.door_house import HANG_SECONDS, ID, houses, runs
from tests.unit.support import PATIENCE_SECONDS, Drivers, make_driver, until
from tests.unit.support import ROOT as CHECKOUT


@pytest.fixture(params=['thread', 'process'])
def house(request, tmp_path):
    yield from houses(tmp_path, request.param)


@pytest.fixture
def processes(tmp_path):
    yield from houses(tmp_path, 'process')


@pytest.fixture
def threads(tmp_path):
    yield from houses(tmp_path, 'thread')


@pytest.fixture
def rude(processes):
    made = processes(Rude)
    made.call()
    return made


class Lines(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)

    def texts(self):
        return [record.getMessage() for record in self.records]


@pytest.fixture
def lines():
    """What reaches the handlers of this process."""
    handler, root = Lines(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


# --- in threads and in processes alike ---

def test_an_exception_that_cannot_be_pickled_is_an_error_like_others(house):
    with pytest.raises(exception.StorageBackendException) as caught:
        house(Rude).call('list_ports')
    assert caught.value.msg == f'Exception from Storage Backend: list_ports raised Unpicklable: a lock, {MASK}.'


def test_an_error_holds_no_secret(house):
    with pytest.raises(exception.StorageBackendException) as caught:
        house(Rude).call('list_alerts')
    assert SECRET not in caught.value.msg
    assert caught.value.error_args == (f'list_alerts raised ValueError: login with {MASK} failed',)


def test_an_exit_is_an_error(house):
    made = house(Rude)
    with pytest.raises(exception.StorageBackendException, match='list_shares raised SystemExit: goodbye'):
        made.call('list_shares')
    assert made.call()['instance'] == 1


def test_errors_of_the_family_keep_their_names_and_arguments(house):
    made = house(Session)
    made.write('fail', 'refused')
    with pytest.raises(exception.StorageBackendException) as caught:
        made.call('list_volumes')
    assert (caught.value.error_code, caught.value.error_args, caught.value.msg) == (
        'StorageBackendException', ('no',), 'Exception from Storage Backend: no.')


def test_a_method_that_the_driver_does_not_have_is_not_implemented(house):
    with pytest.raises(NotImplementedError, match='list_qtrees'):
        house(Session).call('list_qtrees')


def test_what_a_driver_prints_disturbs_nothing(house):
    assert house(Rude).call('list_filesystems') == ['printed']


def test_a_thread_that_a_driver_leaves_behind_disturbs_nothing(house):
    made = house(Rude)
    assert made.call('list_qtrees') == ['left a thread behind']
    assert made.call()['instance'] == 1


def test_a_driver_can_read_its_secrets_and_options(house):
    made = house(Rude)
    answer = made.call('collect_perf_metrics', ID, {'secret': cryptor.encode('another-word')}, 0, 1)
    assert answer == ['another-word', True, f'{{"dir": "{made.dir}"}}', True]


def test_a_driver_works_in_the_directory_and_with_the_log_levels_of_the_service(house, lines):
    logging.getLogger('tests.quiet').setLevel(logging.ERROR)
    assert house(Rude).call('list_storage_hosts') == [os.getcwd(), logging.INFO, logging.ERROR]


def test_what_a_driver_logs_is_masked_and_names_the_storage(house, lines):
    made = house(Rude)
    lines.addFilter(MaskingFilter(made.masker))
    made.call('list_storage_hosts')
    until(lambda: f'host {MASK} of {ID}' in lines.texts())
    assert 'not wanted' not in lines.texts()
    assert not any(SECRET in text for text in lines.texts())


def test_a_trial_instance_answers_and_is_forgotten(house):
    made = house(Rude)
    trial = f'{ID}/trial/1'
    assert made.door.discover(made.access(), trial)['serial_number'] == 'SN-1'
    made.door.forget(trial)
    assert made.told() == ['built 1', 'left 1']


def test_a_driver_that_is_not_admitted_is_not_called(house):
    def admit(storage_id):
        raise exception.ServiceUnavailable(f'{storage_id} belongs to another node')
    made = house(Rude, admit=admit)
    with pytest.raises(exception.ServiceUnavailable, match='another node'):
        made.call()
    with pytest.raises(exception.ServiceUnavailable, match='another node'), made.answer('list_quotas'):
        pass
    assert made.told() == []


def test_registration_and_removal_need_no_admission(house):
    def admit(storage_id):
        raise exception.ServiceUnavailable('no')
    made = house(Rude, admit=admit)
    assert made.door.discover(made.access(), ID)['serial_number'] == 'SN-1'
    made.door.forget(ID)
    assert made.told() == ['built 1', 'left 1']


def test_a_class_that_a_function_has_made_is_found_by_its_declared_name(tmp_path):
    """The child cannot import it: it takes what the entry point declares."""
    made = make_driver(FakeStorageDriver)
    access = {'vendor': 'fake_storage', 'model': 'fake_driver',
              'rest': {'host': 'h', 'port': 1, 'username': 'u', 'password': 'word'}}
    door = Door(Drivers(made), lambda storage_id: access, isolation='process')
    try:
        assert door.discover(access, ID)['model']
    finally:
        door.stop()


# --- threads: what cannot be ended is bounded ---

def test_a_driver_that_hangs_for_ever_costs_eight_threads_and_the_others_nothing(threads):
    made = threads(StuckAtOnce)
    for _ in range(3 * ABANDONED_AT_MOST):
        with pytest.raises((exception.DriverCallTimeout, exception.StorageQuarantined)):
            made.call('list_volumes', timeout_seconds=0.05)
        made.clock.ahead += 10_000
    assert made.door.abandoned() == {ID: ABANDONED_AT_MOST}
    assert sum(thread.name == f'driver-list_volumes-{ID[:8]}' for thread in threading.enumerate()) == 8
    made.write('go')
    assert made.call(storage_id='another')['serial_number'] == 'SN-1'
    until(lambda: made.door.abandoned() == {})


def test_a_driver_that_hangs_when_it_logs_out_costs_two_threads(threads):
    made = threads(StuckAtTheEnd)
    for _ in range(5):
        made.call()
        made.door.reset(ID)
    assert sum(thread.name == f'driver-log-out-{ID[:8]}' for thread in threading.enumerate()) == 2


# --- processes: a call past its deadline ends with its process ---

def test_a_call_past_its_deadline_takes_its_process_with_it(processes):
    made = processes(Stuck)
    made.call()
    pid = made.pid()
    made.hang()
    until(lambda: not runs(pid))
    assert made.door.abandoned() == {} and made.call()['instance'] == 2


def test_a_process_in_which_nothing_can_run_is_killed_too(processes):
    made = processes(Stuck)
    made.call()
    pid = made.pid()
    made.hang('list_disks')
    until(lambda: not runs(pid))


def test_a_constructor_that_hangs_is_killed(processes):
    made = processes(StuckAtOnce)
    with pytest.raises(exception.DriverCallTimeout):
        made.call(timeout_seconds=2)
    until(lambda: not any(thread.name.startswith('driver-get_storage') for thread in threading.enumerate()))
    assert made.door.abandoned() == {}


def test_two_deadlines_in_a_row_are_a_quarantine(processes):
    made = processes(Stuck)
    made.call()
    for _ in range(2):
        with pytest.raises(exception.DriverCallTimeout):
            made.call('list_volumes', timeout_seconds=2)
    with pytest.raises(exception.StorageQuarantined):
        made.call()
    assert [until is None for until in made.quarantines] == [False]


def test_a_call_that_works_between_two_deadlines_prevents_the_quarantine(processes):
    made = processes(Stuck)
    for _ in range(2):
        made.hang()         # begins with a call that works
    assert made.call()['instance'] == 3 and made.quarantines == []


def test_a_quarantine_outlives_the_processes_and_ends_after_its_pause(processes):
    made = processes(StuckAtOnce)
    for _ in range(2):
        with pytest.raises(exception.DriverCallTimeout):
            made.call(timeout_seconds=HANG_SECONDS)
    made.write('go')
    with pytest.raises(exception.StorageQuarantined):
        made.call()
    made.clock.ahead += 61
    assert made.call()['serial_number'] == 'SN-1' and made.quarantines[-1] is None


def test_a_deadline_ends_the_calls_beside_it_with_a_clear_error(processes):
    made = processes(Wide)
    made.call()
    beside = made.call_beside('list_volumes')
    made.await_told('inside')
    made.hang()
    with pytest.raises(exception.StorageBackendException, match='was ended because another call did not return'):
        beside.result(PATIENCE_SECONDS)


# --- processes: a driver that dies ---

@pytest.mark.parametrize(('method', 'how'), [('list_volumes', 'exit code 1'), ('list_disks', 'killed by SIGSEGV')])
def test_a_driver_that_dies_fails_its_call_and_the_next_one_starts_a_new_one(rude, lines, method, how):
    with pytest.raises(exception.StorageBackendException) as caught:
        rude.call(method)
    assert caught.value.msg == (f'{method} of storage {ID} has no answer: the process of its driver has ended by '
                                f'itself ({how}).')
    assert rude.call()['instance'] == 2
    assert f'the process of the driver of storage {ID} has ended by itself ({how})' in lines.texts()


@pytest.mark.parametrize('method', ['list_volume_groups', 'list_all_again'])
def test_a_death_is_noticed_although_others_live_on(rude, method):
    """Programs and copies that escape must not hold the driver's socket."""
    with pytest.raises(exception.StorageBackendException, match='ended by itself'):
        rude.call(method, timeout_seconds=PATIENCE_SECONDS)


def test_programs_that_a_driver_has_started_end_when_it_dies(rude):
    program = rude.call('list_port_groups')['pid']
    with pytest.raises(exception.StorageBackendException):
        rude.call('list_volumes')
    until(lambda: not runs(program))


def test_a_crash_leaves_a_trace_in_the_log(rude, lines):
    with pytest.raises(exception.StorageBackendException):
        rude.call('list_disks')
    until(lambda: any('in list_disks' in text for text in lines.texts()))


def test_a_driver_that_dies_between_two_calls_is_replaced(rude):
    instance = rude.door._array(ID).instance
    os.kill(rude.pid(), signal.SIGKILL)
    until(lambda: not instance.alive)
    assert rude.call()['instance'] == 2


def test_a_driver_that_closes_what_is_not_its_own_is_replaced(rude):
    pid = rude.pid()
    with pytest.raises(exception.StorageBackendException):
        rude.call('list_storage_host_initiators')
    until(lambda: not runs(pid))
    assert rude.call()['instance'] == 2


@pytest.mark.parametrize('method', ['list_controllers', 'list_quotas'])
def test_what_is_no_data_is_an_invalid_result_and_the_driver_lives_on(rude, method):
    with pytest.raises(exception.InvalidResults, match=f'{method} answered what cannot be passed on: an object of'):
        rude.call(method)
    assert rude.call()['instance'] == 1


def test_texts_of_classes_of_their_own_are_texts(rude):
    rows = rude.call('list_masking_views')
    assert rows[0] == {'name': 'text', 'size': 1} and type(rows[0]['name']) is str


def test_what_a_driver_prints_is_logged_and_masked(rude, lines):
    lines.addFilter(MaskingFilter(rude.masker))
    rude.call('list_filesystems')
    prefix = f'the driver of storage {ID} printed:'
    expected = {f'{prefix} printed {MASK}', f'{prefix} complained {MASK}', f'{prefix} written'}
    until(lambda: expected <= set(lines.texts()))


def test_a_process_runs_no_signal_that_is_meant_for_the_service(rude):
    """systemd and terminals signal whole groups; the service lets calls end."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(rude.pid(), number)
    assert rude.call()['instance'] == 1


def test_secrets_are_nowhere_where_others_can_see_them(rude):
    seen = rude.call('list_storage_host_groups')
    assert ID in seen['cmdline'] and 'PATH=' in seen['environ']
    assert SECRET not in seen['cmdline'] + seen['environ'] and seen['core'] == 0
    assert seen['PYTHONPATH'] == os.environ.get('PYTHONPATH')


# --- processes: they end ---

def test_a_forgotten_storage_has_no_process(rude):
    pid = rude.pid()
    rude.door.forget(ID)
    until(lambda: not runs(pid))
    assert rude.told('left') == ['left 1']


def test_a_storage_is_forgotten_although_its_driver_hangs(processes, monkeypatch):
    monkeypatch.setattr(api, 'LOGOUT_SECONDS', HANG_SECONDS)

    made = processes(StuckAtTheEnd)
    made.call()
    pid = made.pid()
    made.door.forget(ID)
    until(lambda: not runs(pid))


def test_a_storage_that_is_forgotten_during_a_call_has_no_process(processes, monkeypatch):
    monkeypatch.setattr(api, 'LOGOUT_SECONDS', HANG_SECONDS)
    made = processes(Stuck)
    made.call()
    pid, beside = made.pid(), made.call_beside('list_volumes')
    made.await_told('inside')
    made.door.forget(ID)
    until(lambda: not runs(pid))
    with pytest.raises(exception.ServiceUnavailable):
        beside.result(PATIENCE_SECONDS)


def test_who_waits_for_a_storage_that_is_forgotten_is_told_so_and_starts_no_process(house, monkeypatch):
    monkeypatch.setattr(api, 'LOGOUT_SECONDS', HANG_SECONDS)
    made = house(Stuck)
    made.call()
    array = made.door._array(ID)
    made.call_beside('list_volumes')
    made.await_told('inside')
    waiting = made.call_beside()
    until(lambda: array.waiting)
    made.door.forget(ID)
    with pytest.raises(exception.ServiceUnavailable, match='was given up'):
        waiting.result(PATIENCE_SECONDS)
    assert made.told('built') == ['built 1']


def test_an_instance_whose_access_information_changed_during_a_call_ends_after_it(processes):
    made = processes(Stuck)
    made.call()
    pid, beside = made.pid(), made.call_beside('list_volumes')
    made.await_told('inside')
    made.door.reset(ID)
    assert made.call()['instance'] == 2 and runs(pid)
    made.write('go')
    assert beside.result(PATIENCE_SECONDS) == ['late']
    until(lambda: not runs(pid))
    assert made.told('left') == ['left 1']


def test_a_replaced_driver_logs_out_and_its_process_ends(rude):
    pid = rude.pid()
    rude.door.reset(ID)
    until(lambda: not runs(pid))
    assert rude.told('left') == ['left 1']


def test_programs_that_a_driver_has_started_end_with_it(rude):
    program = rude.call('list_port_groups')['pid']
    assert runs(program)
    rude.door.forget(ID)
    until(lambda: not runs(program))


def test_a_stopped_door_has_no_processes_and_starts_none(rude):
    rude.call(storage_id='another')
    pids = [rude.pid(), rude.pid('another')]
    rude.door.stop()
    until(lambda: not any(map(runs, pids)))
    with pytest.raises(exception.ServiceUnavailable):
        rude.call()


PARENT = '''
import sys, threading
from pathlib import Path
from tests.unit.door_drivers import Stuck
from tests.unit.door_house import House
house = House(Stuck, Path(sys.argv[1]), 'process')
house.call()
beside = house.call_beside('list_disks')
house.await_told('inside')
print(house.pid(), flush=True)
threading.Event().wait()
'''


def test_processes_end_with_a_service_that_is_killed(tmp_path):
    """Even those in which nothing can run."""
    with subprocess.Popen([sys.executable, '-c', PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True,
                          cwd=CHECKOUT) as parent:
        try:
            pid = int(parent.stdout.readline())
            assert runs(pid)
        finally:
            parent.kill()
    until(lambda: not runs(pid))


def test_a_process_ends_with_its_socket(rude):
    """Where the kernel does not end it with the service."""
    pid = rude.pid()
    rude.door._array(ID).instance._wire._connection.shutdown(socket.SHUT_RDWR)
    until(lambda: not runs(pid))


def test_a_driver_lives_longer_than_the_call_that_started_it(rude):
    """The kernel ties a process to the thread that started it."""
    pid = rude.pid()
    until(lambda: not any(thread.name.startswith('driver-get_storage') for thread in threading.enumerate()))
    assert rude.call('get_latest_perf_timestamp') == pid
