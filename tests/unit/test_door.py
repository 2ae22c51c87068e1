# SPDX-License-Identifier: Apache-2.0
"""The one door to the devices: lanes, deadlines, quarantine, instances, errors."""

from __future__ import annotations

import threading
import time

import pytest
from sqlalchemy.exc import OperationalError

from delfin import cryptor, exception
from delfin.common.masking import MASK, Masker
from delfin.context import RequestContext
from delfin.drivers import api
from delfin.drivers.api import Door, Lane, Limits
from delfin.drivers.streaming import Handover
from tests.unit.support import PATIENCE_SECONDS, Drivers, MinimalDriver, in_thread, make_driver, until

ID = 'storage-1'
ACCESS = {'vendor': 'v', 'model': 'm', 'rest': {'host': 'h', 'port': 1, 'username': 'u', 'password': 's3cret-word'}}
SHORT = 0.05        # deadline of calls that are meant to hang


class Hanging:
    """A driver's method that does not return before it is told to."""

    def __init__(self, result='late'):
        self.result = result
        self.started = threading.Semaphore(0)
        self.release = threading.Event()

    def method(self, *driver_and_context):
        self.started.release()
        assert self.release.wait(PATIENCE_SECONDS)
        return self.result

    def wait_until_inside(self):
        assert self.started.acquire(timeout=PATIENCE_SECONDS)


class Clock:
    """The door's clock: real time, plus what the test adds."""

    def __init__(self):
        self.ahead = 0.0

    def monotonic(self):
        return time.monotonic() + self.ahead


class House:
    """A door, what it told of quarantines, and the drivers that were built."""

    def __init__(self, driver_class, limits, load_access, clock, hanging):
        self.hanging = hanging
        self.told = []
        self.built = built = []

        class Counted(driver_class):
            def __init__(self, **kwargs):
                built.append(self)
                super().__init__(**kwargs)

        self.masker = Masker()
        self.door = Door(Drivers(Counted), load_access, limits=limits, masker=self.masker, clock=clock.monotonic,
                         on_quarantine=lambda storage_id, until: self.told.append((storage_id, until)))

    def call(self, method='list_volumes', lane=Lane.BULK, storage_id=ID, **kwargs):
        return self.door.call(storage_id, method, lane=lane, **kwargs)

    def call_beside(self, *args, **kwargs):
        return in_thread(self.call, *args, **kwargs)

    def hang(self, times=1):
        """So many calls pass their deadline while the driver hangs, however slow this machine is."""
        for _ in range(times):
            call = self.call_beside()
            self.hanging.wait_until_inside()
            for handover in list(self.door._under_way):
                if handover.wanted:
                    self._pass_deadline(handover)
            with pytest.raises(exception.DriverCallTimeout):
                call.result(PATIENCE_SECONDS)

    @staticmethod
    def _pass_deadline(handover):
        with handover._changed:
            handover._deadline = 0
            handover._changed.notify_all()

    def waiting(self, storage_id=ID):
        return len(self.door._array(storage_id).waiting)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def hanging():
    """Released at the end, so that no thread is left behind."""
    hanging = Hanging()
    yield hanging
    hanging.release.set()


@pytest.fixture
def house(clock, hanging):
    """`house(list_volumes=…)`: a house whose driver has these methods."""
    def make(base=MinimalDriver, limits=None, load_access=lambda storage_id: ACCESS, **members):
        limits = limits or Limits(*[PATIENCE_SECONDS] * 3)
        return House(make_driver(base, **members), limits, load_access, clock, hanging)
    return make


@pytest.fixture
def stuck(house, hanging):
    """A house whose `list_volumes` hangs; `get_storage` works."""
    return house(list_volumes=hanging.method)


# --- calls ---

def test_a_call_returns_what_the_driver_answers(house):
    assert house(list_volumes=lambda self, context: [{'a': 1}]).call() == [{'a': 1}]


def test_generators_are_run_to_their_end(house):
    def list_volumes(self, context):
        yield 1
        yield 2
    assert house(list_volumes=list_volumes).call() == [1, 2]


def test_a_generator_that_raises_midway_is_an_error_and_no_short_answer(house):
    def list_volumes(self, context):
        yield 1
        raise ValueError('page 2')
    with pytest.raises(exception.StorageBackendException, match='page 2'):
        house(list_volumes=list_volumes).call()


def test_arguments_reach_the_driver(house):
    made = house(clear_alert=lambda self, context, alert: alert)
    assert made.door.call(ID, 'clear_alert', '17', lane=Lane.INTERACTIVE) == '17'


def test_every_call_has_a_fresh_context_that_knows_the_storage(house):
    contexts = []
    made, given = house(list_volumes=lambda self, context: contexts.append(context)), RequestContext(request_id='req-1')
    for _ in range(2):
        made.call(context=given)
    assert [(context.storage_id, context.request_id) for context in contexts] == [(ID, 'req-1')] * 2
    assert contexts[0] is not contexts[1] and given not in contexts and given.storage_id is None


def test_a_method_that_the_driver_does_not_have_is_not_implemented(house):
    with pytest.raises(NotImplementedError):
        house().call('list_disks')


def test_a_duck_without_our_base_class_may_lack_optional_methods(house):
    class Duck:
        def __init__(self, **kwargs):
            pass
    with pytest.raises(NotImplementedError):
        house(Duck).call('list_disks')


def test_not_implemented_passes_without_secrets(house):
    def list_volumes(self, context):
        raise NotImplementedError('not for s3cret-word')
    with pytest.raises(NotImplementedError, match='not for [*]{3}'):
        house(list_volumes=list_volumes).call()


@pytest.mark.parametrize('error', [SystemExit(0), KeyboardInterrupt(), GeneratorExit()],
                         ids=lambda error: type(error).__name__)
def test_a_driver_cannot_end_the_process_nor_pass_for_success(house, error):
    def list_volumes(self, context):
        raise error
    with pytest.raises(exception.StorageBackendException, match=type(error).__name__):
        house(list_volumes=list_volumes).call()


def test_an_error_holds_no_secret_and_no_original(house):
    def list_volumes(self, context):
        raise ValueError('login with s3cret-word failed')
    with pytest.raises(exception.StorageBackendException) as caught:
        house(list_volumes=list_volumes).call()
    assert MASK in caught.value.msg and 's3cret-word' not in repr(caught.value)
    assert caught.value.__cause__ is None and caught.value.__context__ is None


def test_a_secret_in_an_error_of_the_constructor_is_masked(house):
    def __init__(self, **kwargs):       # noqa: N807
        raise ValueError(cryptor.decode(kwargs['rest']['password']))
    with pytest.raises(exception.StorageBackendException) as caught:
        house(__init__=__init__).call()
    assert 's3cret-word' not in caught.value.msg


def test_unknown_access_information_is_told(house):
    def load_access(storage_id):
        raise exception.AccessInfoNotFound(storage_id)
    with pytest.raises(exception.AccessInfoNotFound):
        house(load_access=load_access).call()


def test_a_database_that_is_away_is_not_the_arrays_fault(house):
    """The access information is loaded inside the call; nobody asked the array yet."""
    def load_access(storage_id):
        raise OperationalError('SELECT rest FROM access_info', {}, Exception('gone'))
    with pytest.raises(exception.ServiceUnavailable):
        house(load_access=load_access).call()


# --- instances ---

def test_one_instance_serves_all_calls(house):
    made = house()
    for method in ('get_storage', 'list_volumes', 'list_volumes'):
        made.call(method)
    assert len(made.built) == 1


def test_every_storage_has_its_own_instance(house):
    made = house()
    made.call(storage_id='one')
    made.call(storage_id='two')
    assert [driver.storage_id for driver in made.built] == ['one', 'two']


def test_the_driver_gets_encoded_secrets_and_verify(house):
    given = {}

    def __init__(self, **kwargs):       # noqa: N807
        given.update(kwargs)
    house(__init__=__init__).call()
    assert (given['storage_id'], given['verify'], cryptor.decode(given['rest']['password'])) == (
        ID, True, 's3cret-word')


def test_a_constructor_that_fails_is_tried_again_by_the_next_call(house):
    outcomes = iter([ValueError('busy'), None])

    def __init__(self, **kwargs):       # noqa: N807
        outcome = next(outcomes)
        if outcome:
            raise outcome
    made = house(__init__=__init__)
    with pytest.raises(exception.StorageBackendException):
        made.call()
    assert made.call() == []


def test_discover_keeps_its_instance_for_later_calls(house):
    made = house()
    assert made.door.discover(ACCESS, ID)['serial_number'] == 'SN-1'
    made.call()
    assert len(made.built) == 1


def test_discover_takes_the_access_information_it_is_given(house):
    def load_access(storage_id):
        raise AssertionError('nothing is stored yet')
    assert house(load_access=load_access).door.discover(ACCESS, ID)['serial_number'] == 'SN-1'


def test_concurrent_calls_share_the_first_instance(house):
    """Arrays allow few sessions: three calls at once must not log in three times."""
    gate, entered = threading.Event(), threading.Semaphore(0)

    def __init__(self, **kwargs):       # noqa: N807
        entered.release()
        assert gate.wait(PATIENCE_SECONDS)
    made = house(__init__=__init__, MAX_CONCURRENT_CALLS=3)
    gate.set()
    made.call()                     # from now on it is known that the driver takes three calls
    made.door.reset(ID)
    made.built.clear()
    gate.clear()
    calls = [made.call_beside() for _ in range(3)]
    assert entered.acquire(timeout=PATIENCE_SECONDS)
    until(lambda: made.door._array(ID).running == 3 or len(made.built) == 3 or made.waiting() == 2)
    gate.set()
    assert [call.result(PATIENCE_SECONDS) for call in calls] == [[], [], []] and len(made.built) == 1


def test_after_a_reset_the_next_call_builds_anew(house):
    made = house()
    made.call()
    made.door.reset(ID)
    made.call()
    assert len(made.built) == 2


def test_an_instance_built_while_the_access_changed_is_not_kept(house):
    """It was built with the old password."""
    gate, entered = threading.Event(), threading.Event()

    def __init__(self, **kwargs):       # noqa: N807
        entered.set()
        assert gate.wait(PATIENCE_SECONDS)
    made = house(__init__=__init__)
    call = made.call_beside()
    assert entered.wait(PATIENCE_SECONDS)
    made.door.reset(ID)
    gate.set()
    call.result(PATIENCE_SECONDS)
    made.call()
    assert len(made.built) == 2


# --- forget ---

def test_forgetting_tells_the_driver(house):
    told = []
    made = house(delete_storage=lambda self, context: told.append(context.storage_id))
    made.call()
    made.door.forget(ID)
    assert told == [ID]


def test_forgetting_quietly_does_not_tell_the_driver(house):
    told = []
    made = house(delete_storage=lambda self, context: told.append(1))
    made.call()
    made.door.forget(ID, tell_driver=False)
    assert told == []


def test_forgetting_a_storage_that_was_never_called_builds_no_driver(house):
    made = house()
    made.door.forget(ID)
    assert made.built == []


@pytest.mark.parametrize('error', [ValueError('no'), exception.InvalidUsernameOrPassword(), NotImplementedError(),
                                   SystemExit(1)], ids=lambda error: type(error).__name__)
def test_a_storage_goes_whatever_its_driver_says(house, error):
    def delete_storage(self, context):
        raise error
    made = house(delete_storage=delete_storage)
    made.call()
    made.door.forget(ID)
    made.call()
    assert len(made.built) == 2


def test_a_storage_goes_although_its_driver_hangs(house, hanging, monkeypatch):
    monkeypatch.setattr(api, 'LOGOUT_SECONDS', SHORT)
    made = house(delete_storage=hanging.method)
    made.call()
    made.door.forget(ID)


def test_a_forgotten_storage_frees_its_secrets(house):
    made = house()
    made.call()
    masked = made.masker.mask('s3cret-word')
    made.door.forget(ID)
    assert (masked, made.masker.mask('s3cret-word')) == (MASK, 's3cret-word')


# --- lanes ---

def test_interactive_calls_go_first_then_metrics_then_bulk(house, hanging):
    order = []
    made = house(list_volumes=hanging.method, get_storage=lambda self, context: order.append('bulk'),
                 list_alerts=lambda self, context, query=None: order.append('interactive'),
                 get_latest_perf_timestamp=lambda self, context: order.append('metrics'))
    first = made.call_beside()
    hanging.wait_until_inside()
    calls = []
    for number, (method, lane) in enumerate([('get_storage', Lane.BULK), ('get_latest_perf_timestamp', Lane.METRICS),
                                             ('list_alerts', Lane.INTERACTIVE), ('get_storage', Lane.BULK)], 1):
        calls.append(made.call_beside(method, lane))
        until(lambda expected=number: made.waiting() == expected)
    hanging.release.set()
    for call in [first, *calls]:
        call.result(PATIENCE_SECONDS)
    assert order == ['interactive', 'metrics', 'bulk', 'bulk']


def test_calls_of_one_lane_go_in_the_order_they_came(house, hanging):
    order = []
    made = house(list_volumes=hanging.method, clear_alert=lambda self, context, number: order.append(number))
    made.call_beside()
    hanging.wait_until_inside()
    calls = []
    for number in range(5):
        calls.append(in_thread(made.door.call, ID, 'clear_alert', number, lane=Lane.INTERACTIVE))
        until(lambda expected=number + 1: made.waiting() == expected)
    hanging.release.set()
    for call in calls:
        call.result(PATIENCE_SECONDS)
    assert order == [0, 1, 2, 3, 4]


class Counting:
    """Counts calls that are inside at the same time; each stays until `expected` are there or nobody else can come."""

    def __init__(self, expected):
        self.lock, self.inside, self.most = threading.Lock(), 0, 0
        self.full, self.expected = threading.Event(), expected

    def method(self, *driver_and_context):
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            if self.inside >= self.expected:
                self.full.set()
        self.full.wait(PATIENCE_SECONDS if self.expected > 1 else 0.01)
        with self.lock:
            self.inside -= 1


@pytest.mark.parametrize(('declared', 'at_once'), [(1, 1), (3, 3), (0, 1), (-2, 1), ('many', 1), (None, 1), (2.5, 1)])
def test_a_driver_takes_as_many_calls_at_once_as_it_says(house, declared, at_once):
    counting = Counting(at_once)
    made = house(list_volumes=counting.method, MAX_CONCURRENT_CALLS=declared)
    made.call('get_storage')
    for call in [made.call_beside() for _ in range(at_once * 2)]:
        call.result(PATIENCE_SECONDS)
    assert counting.most == at_once


def test_a_driver_that_says_nothing_takes_one_call_at_a_time(house):
    counting = Counting(1)
    made = house(list_volumes=counting.method)
    for call in [made.call_beside() for _ in range(4)]:
        call.result(PATIENCE_SECONDS)
    assert counting.most == 1


def test_storages_do_not_wait_for_one_another(house, hanging):
    made = house(list_volumes=hanging.method)
    made.call_beside()
    hanging.wait_until_inside()
    assert made.call('get_storage', storage_id='other')['serial_number'] == 'SN-1'


def test_who_does_not_get_a_turn_in_time_is_told_so_and_nothing_is_abandoned(house, hanging):
    made = house(list_volumes=hanging.method)
    first = made.call_beside()
    hanging.wait_until_inside()
    with pytest.raises(exception.DriverCallTimeout, match='did not get its turn'):
        made.call('get_storage', timeout_seconds=SHORT)
    hanging.release.set()
    assert (first.result(PATIENCE_SECONDS), len(made.built)) == ('late', 1)


def test_who_gave_up_waiting_does_not_block_the_queue(house, hanging):
    made = house(list_volumes=hanging.method)
    made.call_beside()
    hanging.wait_until_inside()
    with pytest.raises(exception.DriverCallTimeout):
        made.call('get_storage', lane=Lane.INTERACTIVE, timeout_seconds=SHORT)
    hanging.release.set()
    assert made.call('get_storage')['serial_number'] == 'SN-1'


@pytest.mark.parametrize(('lane', 'seconds'), [(Lane.INTERACTIVE, 60), (Lane.METRICS, 120), (Lane.BULK, 600)])
def test_every_lane_has_its_own_deadline(lane, seconds):
    assert Limits().deadline(lane) == seconds


# --- deadlines ---

def test_a_call_past_its_deadline_says_which_and_how_long(stuck):
    with pytest.raises(exception.DriverCallTimeout) as caught:
        stuck.call(timeout_seconds=SHORT)
    assert caught.value.msg == 'list_volumes of storage storage-1 did not answer within 0.05 seconds and was abandoned.'


def test_after_an_abandoned_call_the_next_one_gets_a_new_instance(stuck):
    stuck.hang()
    assert stuck.call('get_storage')['serial_number'] == 'SN-1'
    assert len(stuck.built) == 2


def test_the_instance_of_an_abandoned_call_logs_out_when_the_call_returns(house, hanging):
    """Its session at the array should not stay open; arrays allow few."""
    logged_out = []
    made = house(list_volumes=hanging.method, delete_storage=lambda self, context: logged_out.append(self))
    made.hang()
    hanging.release.set()
    until(lambda: logged_out)
    assert logged_out == made.built


def test_the_answer_of_an_abandoned_call_is_thrown_away(stuck, hanging):
    stuck.hang()
    hanging.release.set()
    until(lambda: stuck.door._array(ID).abandoned == 0)
    assert stuck.call() == 'late' and len(stuck.built) == 2


def test_a_constructor_that_hangs_is_abandoned_too(house, hanging):
    made = house(__init__=lambda self, **kwargs: hanging.method())
    with pytest.raises(exception.DriverCallTimeout):
        made.call(timeout_seconds=SHORT)


def test_the_instance_of_a_constructor_that_returns_late_is_not_used(house, hanging):
    slow = [True]

    def __init__(self, **kwargs):       # noqa: N807
        self.slow = slow[0]
        if self.slow:
            hanging.method()
    made = house(__init__=__init__, get_storage=lambda self, context: self.slow)
    with pytest.raises(exception.DriverCallTimeout):
        made.call(timeout_seconds=SHORT)
    slow[0] = False
    hanging.release.set()
    until(lambda: made.door._array(ID).abandoned == 0)
    assert made.call('get_storage') is False


# --- quarantine ---

def test_one_abandoned_call_is_no_quarantine(stuck):
    stuck.hang()
    assert stuck.told == [] and stuck.call('get_storage')


def test_after_two_abandoned_calls_the_array_is_left_alone_and_that_is_told(stuck):
    stuck.hang(2)
    built = len(stuck.built)
    with pytest.raises(exception.StorageQuarantined, match=f'Storage {ID} is quarantined until 20'):
        stuck.call('get_storage')
    assert len(stuck.built) == built
    assert [(storage_id, ends is None) for storage_id, ends in stuck.told] == [(ID, False)]


def test_a_quarantine_of_one_array_does_not_touch_another(stuck):
    stuck.hang(2)
    assert stuck.call('get_storage', storage_id='other')['serial_number'] == 'SN-1'


def test_a_waiting_call_learns_of_the_quarantine(stuck, hanging):
    stuck.hang(1)
    first = stuck.call_beside(timeout_seconds=1)
    hanging.wait_until_inside()
    second = stuck.call_beside('get_storage')
    until(lambda: stuck.waiting() == 1)
    with pytest.raises(exception.DriverCallTimeout):
        first.result(PATIENCE_SECONDS)
    with pytest.raises(exception.StorageQuarantined):
        second.result(PATIENCE_SECONDS)


def test_a_quarantine_ends_when_a_call_returns(stuck, hanging):
    stuck.hang(2)
    hanging.release.set()
    until(lambda: stuck.told[-1][1] is None)
    assert stuck.call('get_storage')['serial_number'] == 'SN-1'


def test_a_quarantine_ends_when_the_access_information_changes(stuck):
    stuck.hang(2)
    stuck.door.reset(ID)
    assert stuck.told[-1] == (ID, None) and stuck.call('get_storage')


def test_a_quarantine_ends_after_its_pause(stuck, clock):
    stuck.hang(2)
    clock.ahead += 61
    assert stuck.call('get_storage')['serial_number'] == 'SN-1' and stuck.told[-1] == (ID, None)


def pauses(stuck, clock, number):
    """Seconds of the next pauses, each provoked by one more call that hangs."""
    seconds = []
    stuck.hang(2)
    for _ in range(number):
        array = stuck.door._array(ID)
        seconds.append(round(array.quarantined_until - clock.monotonic()))
        clock.ahead += seconds[-1] + 1
        if len(seconds) < number:
            stuck.hang()
    return seconds


def test_the_pauses_double(stuck, clock):
    assert pauses(stuck, clock, 4) == [60, 120, 240, 480]


def test_the_pauses_have_a_maximum(house, hanging, clock):
    made = house(list_volumes=hanging.method,
                 limits=Limits(*[PATIENCE_SECONDS] * 3, quarantine_min_seconds=60, quarantine_max_seconds=200))
    assert pauses(made, clock, 4) == [60, 120, 200, 200]


def test_with_eight_abandoned_calls_the_array_waits_for_one_to_return(stuck, clock):
    pauses(stuck, clock, 7)
    clock.ahead += 100_000
    with pytest.raises(exception.StorageQuarantined, match='until an abandoned call returns'):
        stuck.call('get_storage')


def test_of_eight_abandoned_calls_one_return_is_enough(stuck, hanging, clock):
    pauses(stuck, clock, 7)
    hanging.release.set()
    until(lambda: stuck.door._array(ID).abandoned == 0)
    assert stuck.call('get_storage')['serial_number'] == 'SN-1'


def test_after_a_return_the_pauses_start_small_again(stuck, hanging, clock):
    pauses(stuck, clock, 3)
    hanging.release.set()
    until(lambda: stuck.door._array(ID).abandoned == 0)
    hanging.release.clear()
    assert pauses(stuck, clock, 1) == [60]


def test_a_call_that_returns_at_the_very_moment_of_its_deadline_is_not_counted(stuck, hanging, monkeypatch):
    """It returns between the verdict and the count: what has returned may not quarantine the array for ever."""
    real = Handover.give_up

    def join(seconds):
        for thread in threading.enumerate():
            if thread.name.startswith('driver-list_volumes'):
                thread.join(seconds)

    def give_up(handover, error):
        given_up = real(handover, error)
        hanging.release.set()
        join(0.2)       # it cannot end if the verdict holds a lock; so much the better
        return given_up
    with monkeypatch.context() as patch:
        patch.setattr(Handover, 'give_up', give_up)
        stuck.hang()
    join(PATIENCE_SECONDS)
    hanging.release.clear()
    stuck.hang()
    assert stuck.call('get_storage')['serial_number'] == 'SN-1' and stuck.told == []


def test_a_quarantine_that_cannot_be_noted_does_not_break_the_door(house, hanging):
    def broken(storage_id, until):
        raise OperationalError('UPDATE storages', {}, Exception('gone'))
    door = Door(Drivers(make_driver(list_volumes=hanging.method)), lambda storage_id: ACCESS, on_quarantine=broken)
    for _ in range(2):
        with pytest.raises(exception.DriverCallTimeout):
            door.call(ID, 'list_volumes', lane=Lane.BULK, timeout_seconds=SHORT)
    with pytest.raises(exception.StorageQuarantined):
        door.call(ID, 'list_volumes', lane=Lane.BULK)


# --- stopping ---

def test_stopping_lets_those_go_who_wait_for_a_driver(stuck, hanging):
    call = stuck.call_beside()
    hanging.wait_until_inside()
    stuck.door.stop()
    with pytest.raises(exception.ServiceUnavailable):
        call.result(PATIENCE_SECONDS)


def test_stopping_lets_those_go_who_wait_for_their_turn(stuck, hanging):
    stuck.call_beside()
    hanging.wait_until_inside()
    call = stuck.call_beside('get_storage')
    until(lambda: stuck.waiting() == 1)
    stuck.door.stop()
    with pytest.raises(exception.ServiceUnavailable):
        call.result(PATIENCE_SECONDS)


def test_after_stopping_no_call_is_taken(stuck):
    stuck.door.stop()
    with pytest.raises(exception.ServiceUnavailable):
        stuck.call('get_storage')
    assert stuck.built == []


def test_stopping_abandons_nothing(stuck, hanging):
    call = stuck.call_beside()
    hanging.wait_until_inside()
    stuck.door.stop()
    with pytest.raises(exception.ServiceUnavailable):
        call.result(PATIENCE_SECONDS)
    assert (stuck.door._array(ID).abandoned, stuck.told) == (0, [])


# --- traps ---

def test_a_trap_needs_no_session(house):
    made = house(parse_alert=staticmethod(lambda context, alert: {'storage': context.storage_id, **alert}))
    assert (made.door.parse_alert(ID, {'1.3': 'x'}), made.built) == ({'storage': ID, '1.3': 'x'}, [])


def test_a_trap_goes_to_the_instance_if_the_method_needs_it(house):
    def __init__(self, **kwargs):       # noqa: N807
        self.names = {'x': 'Fan'}
    made = house(__init__=__init__, parse_alert=lambda self, context, alert: self.names[alert['1.3']])
    assert (made.door.parse_alert(ID, {'1.3': 'x'}), len(made.built)) == ('Fan', 1)


def test_a_driver_cannot_change_the_trap(house):
    alert = {'1.3': 'x'}
    house(parse_alert=staticmethod(lambda context, alert: alert.clear())).door.parse_alert(ID, alert)
    assert alert == {'1.3': 'x'}


@pytest.mark.parametrize('error', [exception.IncompleteTrapInformation(ID), exception.InvalidResults('x')],
                         ids=lambda error: type(error).__name__)
def test_what_a_driver_says_of_a_trap_passes(house, error):
    def parse_alert(context, alert):
        raise error
    with pytest.raises(type(error)):
        house(parse_alert=staticmethod(parse_alert)).door.parse_alert(ID, {})


@pytest.mark.parametrize('error', [KeyError('1.3'), exception.StorageBackendException('x')],
                         ids=lambda error: type(error).__name__)
def test_any_other_error_of_a_trap_is_an_invalid_result(house, error):
    def parse_alert(context, alert):
        raise error
    with pytest.raises(exception.InvalidResults):
        house(parse_alert=staticmethod(parse_alert)).door.parse_alert(ID, {})


def test_what_a_driver_says_of_a_trap_holds_no_secret(house):
    """The array's password is known to the masker once a call was made."""
    def parse_alert(context, alert):
        raise exception.InvalidResults('community s3cret-word')
    made = house(parse_alert=staticmethod(parse_alert))
    made.call('get_storage')
    with pytest.raises(exception.InvalidResults) as caught:
        made.door.parse_alert(ID, {})
    assert 's3cret-word' not in caught.value.msg
