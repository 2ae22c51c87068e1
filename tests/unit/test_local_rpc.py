# SPDX-License-Identifier: Apache-2.0
"""`local://`: RPC inside one process behaves as it would over a broker."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from futurist import _thread

from delfin import exception, rpc
from delfin.context import RequestContext, get_admin_context
from tests.unit.support import PATIENCE_SECONDS, in_thread

TOPIC = 'test-topic'


class Endpoint:
    """What the server answers."""

    target = rpc.messaging.Target(version=rpc.VERSION)

    def __init__(self):
        self.heard = []
        self.heard_something = threading.Semaphore(0)
        self.gate = threading.Event()

    def hear(self, context, **kwargs):
        self.heard.append(kwargs)
        self.heard_something.release()

    def echo(self, context, value):
        return value

    def shapes(self, context):
        return {'tuple': (1, 2), 3: 'number as key'}

    def tell_context(self, context):
        return {**context.to_dict(), 'class': type(context).__name__}

    def keep(self, context, value):
        value['changed'] = True
        self.kept = value
        return value

    @rpc.messaging.expected_exceptions(exception.DelfinException)
    def fail(self, context, name, arguments):
        raise getattr(exception, name)(*arguments)

    def fail_with_message(self, context):
        raise exception.InvalidResults('a', message='own words')

    def fail_strangely(self, context):
        raise ZeroDivisionError('private matters')

    def wait(self, context):
        assert self.gate.wait(PATIENCE_SECONDS)
        return 'at last'

    def thread_name(self, context):
        return threading.current_thread().name

    def _private(self, context):
        return 'not for callers'


@pytest.fixture(autouse=True)
def quick_stop(monkeypatch):
    """An idle worker looks once a second whether it shall end."""
    monkeypatch.setattr(_thread.ThreadWorker, 'MAX_IDLE_FOR', 0.005)


@pytest.fixture
def transport(conf):
    made = rpc.Rpc(conf)
    yield made
    made.close()


@pytest.fixture
def endpoint():
    endpoint = Endpoint()
    yield endpoint
    endpoint.gate.set()


@pytest.fixture
def server(transport, endpoint):
    server = transport.server(TOPIC, [endpoint])
    server.start()
    yield server
    endpoint.gate.set()
    server.stop()


@pytest.fixture
def call(transport, server):
    """`call('echo', value=…)`"""
    client = transport.client(TOPIC)
    return lambda method, **kwargs: client.call(get_admin_context(), method, timeout_seconds=PATIENCE_SECONDS, **kwargs)


def heard(endpoint, times=1):
    for _ in range(times):
        assert endpoint.heard_something.acquire(timeout=PATIENCE_SECONDS)
    return endpoint.heard


# --- calls ---

@pytest.mark.parametrize('value', [None, 7, 1.5, 'größe', [1, [2]], {'a': {'b': None}}, True], ids=repr)
def test_a_call_brings_back_its_answer(call, value):
    assert call('echo', value=value) == value


def test_answers_travel_as_json(call):
    """Tuples become lists and keys text, here as over a broker."""
    assert call('shapes') == {'tuple': [1, 2], '3': 'number as key'}


def test_arguments_travel_as_copies(call, endpoint):
    value = {'a': 1}
    answer = call('keep', value=value)
    assert (value, answer) == ({'a': 1}, {'a': 1, 'changed': True}) and endpoint.kept is not answer


def test_the_context_travels_along(transport, server):
    context = RequestContext(request_id='req-1', user_id='u', is_admin=True, storage_id='s')
    told = transport.client(TOPIC).call(context, 'tell_context', timeout_seconds=PATIENCE_SECONDS)
    assert told == {**context.to_dict(), 'class': 'RequestContext'}


def test_a_call_is_served_by_another_thread(call):
    assert call('thread_name') != threading.current_thread().name


def test_calls_run_side_by_side(call):
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(call, 'echo', value=number) for number in range(50)]
        assert [future.result(PATIENCE_SECONDS) for future in waiting] == list(range(50))


def test_a_slow_call_does_not_hold_up_a_quick_one(call, endpoint):
    slow = in_thread(call, 'wait')
    assert call('echo', value=1) == 1
    endpoint.gate.set()
    assert slow.result(PATIENCE_SECONDS) == 'at last'


def test_a_private_method_cannot_be_called(call):
    with pytest.raises(exception.DelfinException):
        call('_private')


def test_an_unknown_method_is_an_error(call):
    with pytest.raises(exception.DelfinException):
        call('no_such_method')


# --- failures ---

@pytest.mark.parametrize(('name', 'arguments'), [
    ('StorageNotFound', ['id-1']), ('InvalidUsernameOrPassword', []), ('DriverCallTimeout', ['m', 'id', 3]),
    ('StorageAlreadyExists', []), ('ServiceUnavailable', ['later'])])
def test_an_error_of_our_family_arrives_as_it_was_raised(call, name, arguments):
    original = getattr(exception, name)(*arguments)
    with pytest.raises(getattr(exception, name)) as caught:
        call('fail', name=name, arguments=arguments)
    assert (caught.value.error_code, caught.value.code, caught.value.msg, list(caught.value.error_args)) == (
        name, original.code, original.msg, arguments)


def test_words_of_its_own_survive_the_way(call):
    with pytest.raises(exception.InvalidResults) as caught:
        call('fail_with_message')
    assert (caught.value.msg, caught.value.error_code) == ('own words', 'InvalidResults')


def test_a_strange_error_becomes_one_of_ours_that_does_not_tell_its_text(call):
    with pytest.raises(exception.DelfinException) as caught:
        call('fail_strangely')
    assert caught.value.msg == f'{TOPIC} failed: ZeroDivisionError; see its log'
    assert 'private matters' not in repr(caught.value) and caught.value.__suppress_context__


def test_an_answer_that_does_not_come_in_time_is_service_unavailable(transport, server):
    with pytest.raises(exception.ServiceUnavailable, match=f'no answer from {TOPIC} in time'):
        transport.client(TOPIC).call(get_admin_context(), 'wait', timeout_seconds=0.05)


def test_without_a_server_a_call_is_service_unavailable(transport):
    with pytest.raises(exception.ServiceUnavailable, match='is the service running'):
        transport.client('nobody').call(get_admin_context(), 'echo', timeout_seconds=0.05, value=1)


# --- doorbells ---

def test_a_ring_reaches_the_server(transport, server, endpoint):
    transport.client(TOPIC).ring(get_admin_context(), 'hear', number=1)
    assert heard(endpoint) == [{'number': 1}]


def test_a_ring_reaches_every_server_of_the_topic(transport, server, endpoint):
    other = Endpoint()
    second = transport.server(TOPIC, [other])
    second.start()
    transport.client(TOPIC).ring(get_admin_context(), 'hear', number=1)
    assert heard(endpoint) == heard(other) == [{'number': 1}]
    second.stop()


def test_a_call_reaches_one_server_of_the_topic_in_turn(transport, server, call, endpoint):
    other = Endpoint()
    second = transport.server(TOPIC, [other])
    second.start()
    for number in range(4):
        call('hear', number=number)
    assert (len(endpoint.heard), len(other.heard)) == (2, 2)
    second.stop()


def test_a_ring_does_not_wait_for_what_it_wakes(transport, server, endpoint):
    transport.client(TOPIC).ring(get_admin_context(), 'wait')


def test_a_failing_ring_is_not_the_callers_business(transport, server, endpoint):
    client = transport.client(TOPIC)
    client.ring(get_admin_context(), 'fail_strangely')
    client.ring(get_admin_context(), 'hear', number=2)
    assert heard(endpoint) == [{'number': 2}]


def test_a_ring_that_nobody_hears_is_no_error(transport):
    transport.client('nobody').ring(get_admin_context(), 'hear')


# --- starting and stopping ---

def test_messages_from_before_the_start_are_delivered_at_the_start(transport, endpoint):
    for number in range(3):
        transport.client(TOPIC).ring(get_admin_context(), 'hear', number=number)
    server = transport.server(TOPIC, [endpoint])
    server.start()
    assert sorted(message['number'] for message in heard(endpoint, 3)) == [0, 1, 2]
    server.stop()


def test_a_call_from_before_the_start_is_answered(transport, endpoint):
    client = transport.client(TOPIC)
    early = in_thread(client.call, get_admin_context(), 'echo', timeout_seconds=PATIENCE_SECONDS, value=1)
    server = transport.server(TOPIC, [endpoint])
    server.start()
    assert early.result(PATIENCE_SECONDS) == 1
    server.stop()


def test_memory_for_kept_messages_is_bounded(transport, endpoint):
    client = transport.client(TOPIC)
    for number in range(1100):
        client.ring(get_admin_context(), 'hear', number=number)
    server = transport.server(TOPIC, [endpoint])
    server.start()
    server.stop()
    assert min(message['number'] for message in endpoint.heard) == 100


def test_a_stopped_server_hears_nothing_more(transport, endpoint):
    server = transport.server(TOPIC, [endpoint])
    server.start()
    server.stop()
    transport.client(TOPIC).ring(get_admin_context(), 'hear')
    assert endpoint.heard == []


def test_stopping_waits_for_calls_under_way(transport, endpoint):
    server = transport.server(TOPIC, [endpoint])
    server.start()
    client = transport.client(TOPIC)
    call = in_thread(client.call, get_admin_context(), 'wait', timeout_seconds=PATIENCE_SECONDS)
    client.ring(get_admin_context(), 'hear')
    heard(endpoint)
    stopped = in_thread(server.stop)
    endpoint.gate.set()
    stopped.result(PATIENCE_SECONDS)
    assert call.result(PATIENCE_SECONDS) == 'at last'


def test_two_processes_parts_do_not_hear_one_another(conf, endpoint):
    """Each transport has its own bus (tests start several services in one process)."""
    one, two = rpc.Rpc(conf), rpc.Rpc(conf)
    server = one.server(TOPIC, [endpoint])
    server.start()
    with pytest.raises(exception.ServiceUnavailable):
        two.client(TOPIC).call(get_admin_context(), 'echo', timeout_seconds=0.05, value=1)
    server.stop()


# --- the setting ---

@pytest.mark.parametrize('url', ['nonsense://', 'no url at all', 'rabbit://user:word@host'])
def test_a_transport_that_does_not_exist_is_a_line_without_the_url(conf, url):
    rpc.register(conf)
    conf.set_override('transport_url', f'{url}:s3cret-word')
    with pytest.raises(exception.InvalidConfiguration, match='^transport_url cannot be used: [^\n]*$') as caught:
        rpc.Rpc(conf)
    assert 's3cret-word' not in caught.value.msg


@pytest.mark.parametrize(('url', 'local'), [('local://', True), ('fake://', True), ('rabbit://u:p@h/v', False)])
def test_it_is_known_which_transports_stay_inside_the_process(conf, url, local):
    rpc.register(conf)
    conf.set_override('transport_url', url)
    assert rpc.is_local(conf) is local


def test_without_a_setting_the_transport_is_local(conf):
    assert rpc.is_local(conf)
