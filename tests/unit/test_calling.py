# SPDX-License-Identifier: Apache-2.0
"""Methods of drivers of every age and shape are called with what they take (decision D7)."""

from __future__ import annotations

import functools
from unittest import mock

import pytest

from delfin.drivers import calling
from delfin.drivers.driver import StorageDriver
from tests.unit.support import MinimalDriver

CONTEXT = object()


# Every way an author has written `get_capabilities`; each tells what it was called with.

class Static:
    @staticmethod
    def get_capabilities(context, filters=None):
        return 'got', context, filters


class StaticWithoutFilters:
    @staticmethod
    def get_capabilities(context):
        return 'got', context, None


class OfClass:
    @classmethod
    def get_capabilities(cls, context, filters=None):
        return 'got' if isinstance(cls, type) else 'no class', context, filters


class WithoutSelf:
    """As the driver guide prints it: no decorator, no self."""

    def get_capabilities(context, filters=None):      # noqa: N805
        return 'got', context, filters


class WithoutSelfOrFilters:
    def get_capabilities(ctx):      # noqa: N805
        return 'got', ctx, None


class Method:
    def get_capabilities(self, context, filters=None):
        return 'got' if isinstance(self, Method) else 'no instance', context, filters


class MethodWithoutFilters:
    def get_capabilities(self, context):
        return 'got' if isinstance(self, MethodWithoutFilters) else 'no instance', context, None


class Variadic:
    def get_capabilities(self, *args):
        return ('got' if isinstance(self, Variadic) else 'no instance', *args)


class StaticVariadic:
    @staticmethod
    def get_capabilities(*args, **kwargs):
        return ('got', *args)


def logged(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper


class Decorated:
    @logged
    def get_capabilities(self, context, filters=None):
        return 'got' if isinstance(self, Decorated) else 'no instance', context, filters


class DecoratedWithoutSelf:
    @logged
    def get_capabilities(context, filters=None):      # noqa: N805
        return 'got', context, filters


class Inherited(WithoutSelf):
    pass


SHAPES = [Static, StaticWithoutFilters, OfClass, WithoutSelf, WithoutSelfOrFilters, Method, MethodWithoutFilters,
          Variadic, StaticVariadic, Decorated, DecoratedWithoutSelf, Inherited]
WITHOUT_FILTERS = {StaticWithoutFilters, WithoutSelfOrFilters, MethodWithoutFilters}
NEED_INSTANCE = {Method, MethodWithoutFilters, Variadic, Decorated}


@pytest.mark.parametrize('shape', SHAPES, ids=lambda shape: shape.__name__)
def test_get_capabilities_of_every_shape_on_an_instance(shape):
    expected = None if shape in WITHOUT_FILTERS else 'filters'
    assert calling.call(shape(), 'get_capabilities', CONTEXT, 'filters') == ('got', CONTEXT, expected)


@pytest.mark.parametrize('shape', SHAPES, ids=lambda shape: shape.__name__)
def test_get_capabilities_of_every_shape_without_a_session(shape):
    expected = None if shape in WITHOUT_FILTERS else 'filters'
    assert calling.call_without_instance(shape, 'get_capabilities', 'id', CONTEXT, 'filters') == (
        'got', CONTEXT, expected)


@pytest.mark.parametrize('shape', SHAPES, ids=lambda shape: shape.__name__)
def test_it_is_known_which_shapes_need_an_instance(shape):
    assert calling.wants_instance(shape, 'get_capabilities') is (shape in NEED_INSTANCE)


@pytest.mark.parametrize('name', ['get_capabilities', 'parse_alert'])
def test_the_contracts_own_defaults_need_no_instance(name):
    assert not calling.wants_instance(StorageDriver, name)


# --- arguments ---

class Named:
    """The names that drivers in the field give their arguments."""

    def clear_alert(self, ctx, alert):
        return alert

    def list_alerts(self, content, query):
        return query

    def collect_perf_metrics(self, context, storage_id, metrics, start, stop):
        return storage_id, metrics, start, stop

    def list_volumes(self):
        return 'no context wanted'

    def list_disks(self, context, /):
        return context

    def list_ports(self, context, page_size=100):
        return page_size

    def reset_connection(self, context, **kwargs):
        return kwargs

    def get_storage(self, context):
        return 'plain'


@pytest.mark.parametrize(('method', 'arguments', 'result'), [
    ('clear_alert', (CONTEXT, '17'), '17'),
    ('list_alerts', (CONTEXT, None), None),
    ('collect_perf_metrics', (CONTEXT, 'id', {'a': 1}, 1, 2), ('id', {'a': 1}, 1, 2)),
    ('list_volumes', (CONTEXT,), 'no context wanted'),
    ('list_disks', (CONTEXT,), CONTEXT),
    ('list_ports', (CONTEXT,), 100)])
def test_arguments_go_by_position_whatever_their_names(method, arguments, result):
    assert calling.call(Named(), method, *arguments) == result


def test_trailing_arguments_that_are_not_taken_are_left_out():
    class Old:
        def list_alerts(self, context):
            return 'all'
    assert calling.call(Old(), 'list_alerts', CONTEXT, {'begin_time': 1}) == 'all'


def test_an_optional_argument_that_is_taken_is_given():
    class New:
        def list_alerts(self, context, query_para=None):
            return query_para
    assert calling.call(New(), 'list_alerts', CONTEXT, {'begin_time': 1}) == {'begin_time': 1}


def test_any_number_of_arguments_is_taken_as_a_whole():
    class Open:
        def list_alerts(self, *args):
            return args
    assert calling.call(Open(), 'list_alerts', CONTEXT, 'x') == (CONTEXT, 'x')


def test_keywords_go_to_methods_that_take_them():
    assert calling.call(Named(), 'reset_connection', CONTEXT, rest={'host': 'h'}) == {'rest': {'host': 'h'}}


def test_keywords_do_not_go_to_methods_that_do_not_take_them():
    assert calling.call(Named(), 'get_storage', CONTEXT, rest={'host': 'h'}) == 'plain'


def test_a_method_replaced_on_the_instance_is_the_one_that_is_called():
    driver = Named()
    driver.get_storage = lambda context: 'replaced'
    assert calling.call(driver, 'get_storage', CONTEXT) == 'replaced'


def test_a_mock_gets_all_arguments():
    driver = mock.Mock()
    calling.call(driver, 'list_alerts', CONTEXT, 'x')
    driver.list_alerts.assert_called_once_with(CONTEXT, 'x')


def test_a_patched_method_gets_all_arguments():
    """Drivers' own tests patch methods on the class."""
    with mock.patch.object(MinimalDriver, 'get_storage', return_value={'a': 1}) as patched:
        assert calling.call(MinimalDriver(), 'get_storage', CONTEXT) == {'a': 1}
    patched.assert_called_once_with(CONTEXT)


def test_a_method_that_is_not_there_is_not_implemented():
    """A driver that was written before the method, or without our base class."""
    with pytest.raises(NotImplementedError, match='list_volumes'):
        calling.call(object(), 'list_volumes', CONTEXT)


def test_a_type_error_inside_the_method_is_not_taken_for_a_wrong_shape():
    class Buggy:
        def get_storage(self, context):
            return 1 + 'x'
    with pytest.raises(TypeError, match='unsupported operand'):
        calling.call(Buggy(), 'get_storage', CONTEXT)


# --- parse_alert ---

class LogsIn(MinimalDriver):
    """Its constructor must not run for a trap."""

    def __init__(self, **kwargs):
        raise AssertionError('logged in')


ALERT = {'1.3.6.1': 'x'}


def parse(driver_class):
    return calling.call_without_instance(driver_class, 'parse_alert', 'storage-1', CONTEXT, ALERT)


def test_a_static_parse_alert_runs_on_the_class():
    class Driver(LogsIn):
        @staticmethod
        def parse_alert(context, alert):
            return context, alert
    assert parse(Driver) == (CONTEXT, ALERT)


def test_a_parse_alert_method_without_state_runs_without_login():
    class Driver(LogsIn):
        def parse_alert(self, context, alert):
            return self.severity(), context, alert

        def severity(self):
            return 'Major'
    assert parse(Driver) == ('Major', CONTEXT, ALERT)


def test_a_parse_alert_method_knows_its_storage():
    class Driver(LogsIn):
        def parse_alert(self, context, alert):
            return self.storage_id
    assert parse(Driver) == 'storage-1'


def test_a_parse_alert_method_that_misses_its_state_says_so():
    class Driver(LogsIn):
        def parse_alert(self, context, alert):
            return self.client.names[alert]
    with pytest.raises(calling.NeedsInstance, match='client'):
        parse(Driver)


def test_state_missed_deep_inside_is_noticed_too():
    class Driver(LogsIn):
        def parse_alert(self, context, alert):
            return self.lookup()

        def lookup(self):
            return self._names
    with pytest.raises(calling.NeedsInstance, match='_names'):
        parse(Driver)


def test_another_attribute_error_is_the_drivers_own():
    class Driver(LogsIn):
        def parse_alert(self, context, alert):
            return alert.get('absent').strip()
    with pytest.raises(AttributeError, match='NoneType'):
        parse(Driver)


def test_a_parse_alert_of_the_class_runs_on_the_class():
    class Driver(LogsIn):
        @classmethod
        def parse_alert(cls, context, alert):
            return cls
    assert parse(Driver) is Driver


def test_a_driver_without_parse_alert_drops_the_trap():
    assert parse(LogsIn) is None


# --- generators ---

def numbers():
    yield 1
    yield 2


def test_a_generator_is_run_to_its_end():
    assert calling.materialise(numbers()) == [1, 2]


def test_generators_inside_a_dict_of_lists_are_run_to_their_end():
    assert calling.materialise({'groups': numbers(), 'rels': [3]}) == {'groups': [1, 2], 'rels': [3]}


@pytest.mark.parametrize('value', [None, [], [1], (1,), 'text', {'a': 1}, 7], ids=repr)
def test_other_answers_stay_as_they_are(value):
    assert calling.materialise(value) is value or calling.materialise(value) == value


def test_iterators_other_than_generators_are_run_to_their_end():
    assert calling.materialise(map(str, [1, 2])) == ['1', '2']
