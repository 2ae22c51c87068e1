# SPDX-License-Identifier: Apache-2.0
"""Every misbehaviour does what it says, and only where it was asked for."""

from __future__ import annotations

import base64
import json
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from delfin import exception
from delfin.drivers.fake_storage import FakeStorageDriver
from delfin.drivers.fake_storage.actions import METHODS, Shape
from delfin.drivers.fake_storage.garbage import Unprintable
from tests.drivers.fake_storage import PASSWORD, inventory, make_driver

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    'add_trap_config': ({'host': '192.0.2.1'},),
    'remove_trap_config': ({'host': '192.0.2.1'},),
    'clear_alert': ('1000',),
    'collect_perf_metrics': ('s', {'storage': {'iops': {}}}, 1_700_000_000_000, 1_700_000_120_000),
}
CALLED = [method for method in METHODS if method != 'init']
ROWS = [method for method, shape in METHODS.items() if shape is Shape.ROWS]


def call(driver: FakeStorageDriver, method: str) -> Any:
    return getattr(driver, method)(None, *ARGUMENTS.get(method, ()))


def listings(answer: Any) -> list[Any]:
    return list(answer.values()) if isinstance(answer, dict) else [answer]


# --- raising ---

@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('action, error', [
    ('raise', KeyError), ('raise_typed', exception.StorageBackendException), ('notimplemented', NotImplementedError),
    ('exit', SystemExit), ('secret_leak', RuntimeError)])
def test_raising(method, action, error):
    with pytest.raises(error):
        call(make_driver(misbehave=f'{method}:{action}'), method)


def test_only_what_is_named_misbehaves():
    driver = make_driver(misbehave='list_volumes:raise, list_disks:vanish')
    with pytest.raises(KeyError):
        driver.list_volumes(None)
    assert driver.list_disks(None) == []
    assert driver.list_ports(None) == make_driver().list_ports(None)


def test_patterns_and_the_last_word():
    driver = make_driver(misbehave='*:raise,list_disks:vanish')
    for method in CALLED:
        if method != 'list_disks':
            with pytest.raises(KeyError):
                call(driver, method)
    assert driver.list_disks(None) == []


def test_secrets_are_leaked_as_promised(caplog):
    caplog.set_level(logging.DEBUG)
    encoded = base64.b64encode(PASSWORD.encode()).decode()
    with pytest.raises(RuntimeError) as error:
        make_driver(misbehave='get_storage:secret_leak').get_storage(None)
    assert PASSWORD in str(error.value) and encoded in str(error.value)
    assert PASSWORD in caplog.text and encoded in caplog.text


# --- spoilt answers ---

@pytest.mark.parametrize('method', CALLED)
def test_none(method):
    assert call(make_driver(misbehave=f'{method}:none'), method) is None


@pytest.mark.parametrize('method', ROWS)
def test_vanish(method):
    assert all(rows == [] for rows in listings(call(make_driver(misbehave=f'{method}:vanish'), method)))


def test_a_vanished_storage_is_empty():
    assert make_driver(misbehave='get_storage:vanish').get_storage(None) == {}


@pytest.mark.parametrize('size', range(1, 24))
def test_shrink_is_less_than_half(size):
    driver = make_driver(volumes=str(size), misbehave='list_volumes:shrink')
    rows = driver.list_volumes(None)
    assert len(rows) < size / 2
    assert all(row in make_driver(volumes=str(size)).list_volumes(None) for row in rows)
    assert len(rows) > 0 or size < 3


@pytest.mark.parametrize('method', ROWS)
def test_shrink_everywhere(method):
    shrunk = call(make_driver(misbehave=f'{method}:shrink'), method)
    whole = call(make_driver(), method)
    for some, rows in zip(listings(shrunk), listings(whole), strict=True):
        assert len(some) < len(rows) / 2


@pytest.mark.parametrize('method', ROWS)
def test_half_generator(method):
    for some, rows in zip(listings(call(make_driver(misbehave=f'{method}:half_generator'), method)),
                          listings(call(make_driver(), method)), strict=True):
        seen = []
        with pytest.raises(RuntimeError):
            for row in some:
                seen.append(row)
        assert seen == rows[:len(rows) // 2]


def test_half_generator_of_nothing_raises_too():
    with pytest.raises(RuntimeError):
        list(make_driver(volumes='0', misbehave='list_volumes:half_generator').list_volumes(None))


def test_garbage_rows_are_wrong_in_every_way_and_one_is_healthy():
    good = make_driver().list_volumes(None)
    rows = list(make_driver(misbehave='list_volumes:garbage').list_volumes(None))
    dicts = [row for row in rows if isinstance(row, dict)]
    assert len(dicts) < len(rows)
    assert rows[0] == good[0]
    ids = [row.get('native_volume_id') for row in dicts]
    assert ids.count('volume_0') == 2
    assert None in ids and 7 in [id_ for id_ in ids if type(id_) is int]
    assert any('native_volume_id' not in row for row in dicts)
    texts = [value for row in dicts for value in row.values() if isinstance(value, str)]
    assert any('\0' in text for text in texts) and any('\ud800' in text for text in texts)
    assert any(len(text) == 5_000 for text in texts)
    capacities = [row.get('total_capacity') for row in dicts]
    assert all(value in capacities for value in ('unknown', '123', 1.5, -1, 10**30))
    assert any(isinstance(value, float) and math.isnan(value) for value in capacities)
    assert any(row.get('status') == 'no-such-value' for row in dicts)
    assert 'true' in [row.get('compressed') for row in dicts]
    unprintable = [value for row in dicts for value in row.values() if isinstance(value, Unprintable)]
    with pytest.raises(RuntimeError):
        str(unprintable[0])


@pytest.mark.parametrize('method', CALLED)
def test_garbage_everywhere(method):
    whole = call(make_driver(), method)
    spoilt = call(make_driver(misbehave=f'{method}:garbage'), method)
    for rows in listings(spoilt) if METHODS[method] is Shape.ROWS else ():
        assert len(rows) > 15
    try:
        same = bool(spoilt == whole)
    except RuntimeError:
        same = False
    assert not same


def test_a_garbage_storage_keeps_its_serial_number():
    storage = make_driver(misbehave='get_storage:garbage').get_storage(None)
    assert storage['serial_number'] == make_driver().get_storage(None)['serial_number']
    assert storage['used_capacity'] == -1


# --- waiting ---

class Call:
    """A call in a thread of its own."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self.result: Any = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.result = self._function()
        except BaseException as error:      # noqa: BLE001  the test looks at it
            self.error = error

    def hangs(self, seconds: float = 0.2) -> bool:
        self._thread.join(seconds)
        return self._thread.is_alive()

    def ends(self) -> bool:
        return not self.hangs(10)


@pytest.mark.parametrize('release', ['reset_connection', 'delete_storage'])
def test_a_hanging_call_fails_when_the_connection_goes(release):
    driver = make_driver(misbehave='list_volumes:hang')
    hanging = [Call(lambda: driver.list_volumes(None)) for _ in range(2)]
    assert all(each.hangs() for each in hanging)
    getattr(driver, release)(None)
    assert all(each.ends() and isinstance(each.error, exception.StorageBackendException) for each in hanging)
    again = Call(lambda: driver.list_volumes(None))
    assert again.hangs()
    driver.delete_storage(None)
    assert again.ends()


def test_a_hanging_call_answers_in_the_end():
    driver = make_driver(misbehave='list_volumes:hang', hang_seconds='0.3')
    begin = time.monotonic()
    assert driver.list_volumes(None) == make_driver().list_volumes(None)
    assert 0.3 <= time.monotonic() - begin < 5


def test_construction_can_hang():
    building = Call(lambda: make_driver(misbehave='init:hang', hang_seconds='1'))
    assert building.hangs()
    assert building.ends() and building.error is None


def test_a_generator_can_hang_in_the_middle():
    driver = make_driver(misbehave='list_volumes:half_hang')
    seen: list[Any] = []
    hanging = Call(lambda: seen.extend(iter_into(driver.list_volumes(None), seen)))
    assert hanging.hangs() and len(seen) == 20
    driver.reset_connection(None)
    assert hanging.ends() and isinstance(hanging.error, exception.StorageBackendException)


def iter_into(rows: Iterator[Any], seen: list[Any]) -> list[Any]:
    for row in rows:
        seen.append(row)
    return []


def test_latency():
    driver = make_driver(**{'latency_ms': '50', 'latency_ms.list_volumes': '150', 'latency_ms.list_disks': '0'})
    for method, least in (('list_ports', 0.05), ('list_volumes', 0.15)):
        begin = time.monotonic()
        call(driver, method)
        assert time.monotonic() - begin >= least
    begin = time.monotonic()
    for _ in range(100):
        driver.list_disks(None)
    assert time.monotonic() - begin < 100 * 0.05


def test_latency_ends_with_the_connection():
    driver = make_driver(**{'latency_ms.list_volumes': '60000'})
    waiting = Call(lambda: driver.list_volumes(None))
    assert waiting.hangs()
    driver.delete_storage(None)
    assert waiting.ends() and len(waiting.result) == 40


def test_delete_storage_twice_is_fine():
    driver = make_driver()
    driver.delete_storage(None)
    driver.delete_storage(None)


def test_eight_threads_see_the_same_array():
    driver = make_driver()
    expected = inventory(driver)
    calls = [Call(lambda: inventory(driver)) for _ in range(8)]
    assert all(each.ends() and each.result == expected for each in calls)


# --- the control file ---

@pytest.fixture
def control(tmp_path: Path) -> Callable[[Any], Path]:
    path = tmp_path / 'control.json'

    def write(content: Any) -> Path:
        replacement = path.with_suffix('.new')
        replacement.write_text(content if isinstance(content, str) else json.dumps(content))
        os.replace(replacement, path)
        return path
    return write


def test_the_control_file_changes_behaviour_at_run_time(control):
    driver = make_driver(control_file=str(control({})), volumes='200')
    before = driver.list_volumes(None)
    control({'misbehave': 'list_volumes:vanish'})
    assert driver.list_volumes(None) == []
    control({'misbehave': {'list_volumes': 'raise', 'list_disks': 'none'}})
    with pytest.raises(KeyError):
        driver.list_volumes(None)
    assert driver.list_disks(None) is None
    control({'epoch': 1, 'change_percent': 1.5})
    assert sum(old != new for old, new in zip(before, driver.list_volumes(None), strict=True)) == 3
    control({'volumes': 5, 'yield_rows': True, 'serial_number': 'SN1'})
    assert len(list(driver.list_volumes(None))) == 5
    assert driver.get_storage(None)['serial_number'] == 'SN1'
    control({'volumes': None})
    assert len(driver.list_volumes(None)) == 40
    control({'login_password': 'another'})
    with pytest.raises(exception.InvalidUsernameOrPassword):
        driver.list_volumes(None)
    control({})
    assert driver.list_volumes(None) == before


@pytest.mark.parametrize('then', [{}, {'misbehave': 'list_volumes:vanish'}])
def test_the_control_file_releases_a_hanging_call(control, then):
    driver = make_driver(control_file=str(control({'misbehave': 'list_volumes:hang'})))
    hanging = Call(lambda: driver.list_volumes(None))
    assert hanging.hangs()
    control(then)
    assert hanging.ends() and hanging.error is None
    assert len(hanging.result) == (0 if then else 40)


def test_the_control_file_releases_construction(control):
    path = str(control({'misbehave': 'init:hang'}))
    building = Call(lambda: make_driver(control_file=path))
    assert building.hangs()
    control({})
    assert building.ends() and building.error is None


@pytest.mark.parametrize('content', [
    '', 'no json', '[]', '{"volumes": "many"}', '{"no_such_option": 1}', '{"control_file": "/etc/passwd"}',
    '{"volumes": [1]}', '\ud800'.encode('utf-8', 'surrogatepass').decode('latin-1')])
def test_a_bad_control_file_is_ignored_and_reported_once(control, caplog, content):
    driver = make_driver(control_file=str(control(content)), volumes='7')
    for _ in range(3):
        assert len(driver.list_volumes(None)) == 7
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1
    control({'volumes': '3'})
    assert len(driver.list_volumes(None)) == 3


def test_a_missing_control_file_is_ignored_and_reported_once(tmp_path, caplog):
    driver = make_driver(control_file=str(tmp_path / 'not-there'))
    for _ in range(3):
        assert len(driver.list_volumes(None)) == 40
    assert len(caplog.records) == 1
