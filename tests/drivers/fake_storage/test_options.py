# SPDX-License-Identifier: Apache-2.0
"""Options: all documented, all checked."""

from __future__ import annotations

import pytest

from delfin import cryptor, exception
from delfin.drivers.fake_storage import FakeStorageDriver
from delfin.drivers.fake_storage.options import OPTIONS, SIZES
from tests.drivers.fake_storage import PASSWORD, make_driver


def test_every_option_is_described():
    described = FakeStorageDriver.get_driver_options()
    assert {option.name for option in OPTIONS} <= described.keys()
    for name, entry in described.items():
        assert entry['description'].endswith('.'), name
        assert entry['secret'] is (name == 'login_password')
        assert isinstance(entry.get('default', ''), str)


def test_everything_described_is_accepted_with_its_default():
    described = FakeStorageDriver.get_driver_options()
    defaults = {name: entry['default'] for name, entry in described.items() if 'default' in entry}
    assert make_driver(**defaults).get_storage(None) == make_driver().get_storage(None)
    scoped = {name: '1' for name, entry in described.items() if '.' in name}
    assert scoped and make_driver(**scoped)


def test_no_extra_attributes_at_all():
    for none in (None, {}):
        FakeStorageDriver(storage_id='s', extra_attributes=none).get_storage(None)


def test_an_unknown_option_is_refused_and_the_known_ones_are_named():
    with pytest.raises(exception.InvalidInput) as error:
        make_driver(volumse='5')
    assert 'volumse' in str(error.value)
    assert all(option.name in str(error.value) for option in OPTIONS)


@pytest.mark.parametrize('name, value', [
    ('volumes', 'many'), ('volumes', '-1'), ('volumes', '1.5'), ('volumes', '10000001'), ('volumes', ''),
    ('epoch', '-1'), ('epoch', 'x'), ('change_percent', '101'), ('change_percent', 'nan'),
    ('change_percent', '1e999999999'), ('change_percent.volumes', '-5'), ('change_percent.no_such_kind', '1'),
    ('grow', 'x'), ('remove.disks', 'x'), ('latency_ms', 'soon'), ('latency_ms.no_such_method', '1'),
    ('latency_ms.init', '1'), ('yield_rows', 'perhaps'), ('hang_seconds', 'inf'),
    ('sample_interval_seconds', '0'), ('clock_skew_seconds', 'x'),
    ('misbehave', 'list_volumes'), ('misbehave', 'list_volumes:sing'), ('misbehave', 'list_nothing:raise'),
    ('misbehave', 'get_storage:shrink'), ('misbehave', 'init:none'), ('misbehave', 'get_capabilities:raise'),
    ('seed', ['a', 'list']), ('login_password', 'plain text, not encoded')])
def test_a_bad_value_is_refused(name, value):
    with pytest.raises(exception.InvalidInput) as error:
        make_driver(**{name: value})
    assert name in str(error.value)


def test_a_secret_is_never_quoted():
    with pytest.raises(exception.InvalidInput) as error:
        make_driver(login_password='pl!in')
    assert 'pl!in' not in str(error.value)


@pytest.mark.parametrize('size', SIZES)
def test_sizes(size):
    make_driver(**{size: '0'}).get_storage(None)
    make_driver(**{size: ' 7 '}).get_storage(None)


def test_the_password_is_checked_on_every_call_if_login_password_is_set():
    right = make_driver(login_password=cryptor.encode(PASSWORD))
    assert right.get_storage(None)
    wrong = make_driver(login_password=cryptor.encode('another'))
    for call in (wrong.get_storage, wrong.list_volumes, wrong.list_alerts, wrong.get_latest_perf_timestamp):
        with pytest.raises(exception.InvalidUsernameOrPassword):
            call(None)
    wrong.delete_storage(None)


def test_reset_connection_takes_new_access_information():
    driver = make_driver(login_password=cryptor.encode('another'))
    rest = {'host': '192.0.2.10', 'port': 8088, 'username': 'monitor', 'password': cryptor.encode('another')}
    driver.reset_connection(None, rest=rest)
    assert driver.get_storage(None) == make_driver().get_storage(None)
    driver.reset_connection(None, rest={**rest, 'password': cryptor.encode('wrong again')})
    with pytest.raises(exception.InvalidUsernameOrPassword):
        driver.get_storage(None)
    driver.reset_connection(None, rest=rest, extra_attributes={'volumes': '3'})
    assert len(driver.list_volumes(None)) == 3
    with pytest.raises(exception.InvalidInput):
        driver.reset_connection(None, extra_attributes={'no_such': '1'})
    driver.reset_connection(None)
    assert len(driver.list_volumes(None)) == 3


def test_what_the_caller_passed_is_left_alone():
    extra = {'volumes': '3'}
    rest = {'host': 'h', 'port': 1}
    driver = FakeStorageDriver(storage_id='s', rest=rest, extra_attributes=extra)
    driver.get_storage(None)
    rest['host'] = 'other'
    assert driver.get_storage(None) == FakeStorageDriver(rest={'host': 'h', 'port': 1}, extra_attributes=extra
                                                         ).get_storage(None)
    assert extra == {'volumes': '3'}
