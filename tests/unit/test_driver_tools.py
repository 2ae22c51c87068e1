# SPDX-License-Identifier: Apache-2.0
"""delfin-driver, part by part: a new package works at once, try and validate tell what is odd, record keeps no secret.

(The whole way of an author, with the real command: tests/functional/test_driver_kit.py.)
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from delfin import alerts, capabilities, coerce, exception
from delfin.common.masking import Masker
from delfin.drivers import manager
from delfin.drivers.compliance.contract import METHODS
from delfin.drivers.compliance.replay import Replay
from delfin.drivers.kit import RestDriver, RestSession, SessionExpired, Table
from delfin.drivers.kit.simulator import Answer, Request, Simulator, route
from delfin.drivers.manager import NAMESPACE, logger_name, set_log_levels
from delfin.drivers.tools import lines, reference, row_models, scaffold, trial, validation, watching
from delfin.drivers.tools.examples import ANSWERS, ARGUMENTS
from delfin.drivers.tools.recording import Recorder
from delfin.drivers.tools.target import Drivers, read_access
from delfin.drivers.tools.trial import Trial
from delfin.findings import Findings
from delfin.kinds import KINDS
from delfin.task_manager.sync.inventory import rows_by_table, storage_values
from tests.checkouts import ROOT

# --- what is generated ---


def test_the_types_of_rows_are_those_of_the_kinds() -> None:
    assert row_models.TARGET.read_text('utf-8') == row_models.source(), 'python -m delfin.drivers.tools.row_models'


def test_the_reference_is_that_of_the_contract() -> None:
    assert (ROOT / 'docs' / 'driver-reference.md').read_text('utf-8') == reference.document(), (
        'python -m delfin.drivers.tools.reference docs/driver-reference.md')


def test_every_method_has_an_example_with_its_arguments() -> None:
    assert ANSWERS.keys() == METHODS.keys()
    with_arguments = {name for name, method in METHODS.items() if len(method.signature.parameters) > 1}
    assert ARGUMENTS.keys() == with_arguments


@pytest.mark.parametrize('kind', KINDS, ids=lambda kind: kind.name)
def test_examples_of_rows_are_read_without_a_finding(kind) -> None:
    found = Findings()
    for table, rows in rows_by_table(kind, ANSWERS[kind.method]):
        assert [coerce.RowReader(table).read(row, found) for row in rows]
    assert not found.listing()


def test_the_other_examples_are_read_without_a_finding() -> None:
    found = Findings()
    storage_values(ANSWERS['get_storage'], found)
    for row in (*ANSWERS['list_alerts'], ANSWERS['parse_alert']):
        alerts.parsed(row, found)
    _, more = capabilities.read(ANSWERS['get_capabilities'])
    assert not found.listing() + more.listing()


# --- new ---

@pytest.fixture(scope='module')
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scaffold.write('Acme-Corp', '3000.b', str(tmp_path_factory.mktemp('new') / 'package'))


def test_a_new_package_passes_its_own_tests(package: Path) -> None:
    done = subprocess.run([sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', 'tests'], cwd=package,
                          env={**os.environ, 'PYTHONPATH': str(package), 'PYTHONDONTWRITEBYTECODE': '1'},
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_a_new_package_breaks_no_static_rule_and_says_what_is_to_do(package: Path,
                                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(package))
    found = validation.examine(Drivers('acme_corp_3000_b.driver:AcmeCorp3000BDriver'))
    assert found.wrong == []
    assert 'for the level Alerts: parse_alert' in found.todo
    assert found.missing['Inventory'] == ['list_controllers', 'list_ports', 'list_disks']
    assert any('volumes: type, wwn' in line for line in found.todo)


def test_a_new_package_declares_the_name_as_it_was_given(package: Path) -> None:
    assert "'Acme-Corp 3000.b = acme_corp_3000_b.driver:AcmeCorp3000BDriver'" in (package / 'setup.py').read_text()


@pytest.mark.parametrize(('vendor', 'model'), [
    ('', 'x'), ('a b', 'x'), ('../a', 'x'), ("a'", 'x'), ('1a', 'x'), ('a', '$x'), ('a', 'x y'), ('a' * 64, 'x')])
def test_a_name_that_could_break_out_is_refused(vendor: str, model: str, tmp_path: Path) -> None:
    with pytest.raises(exception.InvalidInput):
        scaffold.write(vendor, model, str(tmp_path / 'new'))
    assert not (tmp_path / 'new').exists()


def test_nothing_is_written_over(tmp_path: Path) -> None:
    with pytest.raises(exception.InvalidInput, match='exists already'):
        scaffold.write('acme', 'x1', str(tmp_path))


# --- an array to try on ---

class Array(Simulator):
    """Two volumes, of which one is odd in three ways."""

    SECRET = 'token-of-the-session'

    def __init__(self) -> None:
        super().__init__()
        self.volumes = [{'id': 'a', 'state': 'ok', 'size': 2, 'pool': 'p'},
                        {'id': 'b', 'state': 'frozen', 'size': 'huge', 'pool': 'gone'}]

    def allowed(self, request: Request) -> Answer | None:
        if request.path != '/login' and request.header('X-Token') != self.SECRET:
            return Answer(b'', 401)
        return None

    @route('POST', '/login')
    def log_in(self, request: Request) -> Any:
        known = request.json == {'user': self.USERNAME, 'password': self.PASSWORD}
        return {'token': self.SECRET, 'user': self.USERNAME} if known else Answer(b'', 401)

    @route('GET', '/system')
    def system(self, request: Request) -> Any:
        return {'serial': 'S1', 'seen': self.SECRET, 'contact': f'call {self.PASSWORD}'}

    @route('GET', '/{name}')
    def things(self, request: Request, name: str) -> Any:
        return self.volumes if name == 'volumes' else [{'id': 'p', 'snmp_community': 'hush-hush'}]


class Session(RestSession):
    ERRORS = {401: SessionExpired}

    def log_in(self, username: str, password: str) -> None:
        self.headers['X-Token'] = self.post('/login', {'user': username, 'password': password})['token']


VOLUMES = Table('volumes', {'native_volume_id': 'id', 'status': ('state', {'ok': 'available'}),
                            'total_capacity': ('size', 'GiB'), 'native_storage_pool_id': 'pool'})


class Driver(RestDriver):
    """For tests of the tools."""

    SESSION = Session

    def get_storage(self, context: Any) -> Any:
        return {'serial_number': self.session.get('/system', token='in-the-query')['serial']}

    def list_storage_pools(self, context: Any) -> Any:
        return [{'native_storage_pool_id': pool['id']} for pool in self.session.get('/pools')]

    def list_volumes(self, context: Any) -> Any:
        return VOLUMES.rows(self.session.get('/volumes'))

    def list_disks(self, context: Any) -> Any:
        raise exception.StorageBackendException(f'no disks for {Array.PASSWORD}')

    def list_alerts(self, context: Any, query_para: Any = None) -> Any:
        return []

    clear_alert = add_trap_config = remove_trap_config = list_alerts


NAME = f'{__name__}:Driver'


@pytest.fixture
def array() -> Iterator[Array]:
    with Array() as made:
        yield made


def tried(array: Array, **options: Any) -> dict[str, trial.Step]:
    drivers = Drivers(NAME)
    return {step.method: step for step in Trial(drivers, array.access(), **options).run()}


# --- try ---

def test_try_tells_of_each_method_what_came_and_what_was_odd(array: Array) -> None:
    steps = tried(array)
    assert steps['list_volumes'].rows == 2
    assert {(each['code'], each['column'], each['example']) for each in steps['list_volumes'].findings} == {
        ('unknown_value', 'status', 'frozen'), ('not_a_number', 'total_capacity', 'huge')}
    assert steps['references between the lists'].findings[0]['example'] == 'gone'
    assert steps['list_ports'].state == trial.ABSENT
    page = trial.page(steps['list_volumes'])
    assert [line.split() for line in page.splitlines()[2:4]] == [
        ['a', 'available', 'p', '2147483648'], ['b', 'frozen', 'gone']]
    assert '! unknown_value in status, for example frozen' in page


def test_a_method_that_fails_does_not_stop_the_others_and_shows_no_secret(array: Array) -> None:
    steps = tried(array)
    assert steps['list_disks'].state == trial.FAILED
    assert 'StorageBackendException' in trial.page(steps['list_disks'])
    assert array.PASSWORD not in repr(steps['list_disks'])
    assert steps['list_alerts'].state == trial.OK


def test_an_array_that_refuses_the_login_is_asked_once(array: Array) -> None:
    access = array.access()
    access['rest']['password'] = 'wrong'
    (step,) = Trial(Drivers(NAME), access).run()
    assert (step.state, array.asked('POST', '/login')) == (trial.FAILED, 1)


def test_rows_are_shown_as_many_as_wanted(array: Array) -> None:
    step = tried(array, examples=1)['list_volumes']
    assert (step.rows, len(step.shown)) == (2, 1)
    assert trial.page(step).count('\n    …') == 1
    assert json.loads(json.dumps(step.view()))['rows'] == 2


@pytest.mark.parametrize(('name', 'words'), [
    ('linux hosts', 'Installed are: fake_storage fake_driver, '), ('Linux Host', 'Did you mean "linux host"?'),
    ('no_such_module:Driver', 'ModuleNotFoundError'), (f'{__name__}:NAME', 'is no class')])
def test_a_driver_that_is_not_there_is_told_with_what_there_is(name: str, words: str) -> None:
    with pytest.raises(exception.StorageDriverNotFound) as caught:
        Drivers(name).chosen()
    assert words in caught.value.msg


# --- access information ---

def test_a_password_that_is_not_in_the_file_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / 'access.json'
    file.write_text('{"rest": {"host": "array", "port": "443", "username": "me", "vendor": "x", "model": "y"}}')
    asked: list[str] = []
    access = read_access(str(file), 'acme', 'x1', lambda prompt: asked.append(prompt) or 'secret')
    assert access == {'vendor': 'acme', 'model': 'x1', 'rest': {
        'host': 'array', 'port': 443, 'username': 'me', 'password': 'secret'}}
    assert asked == ['Password of me at array: ']


@pytest.mark.parametrize(('text', 'words'), [
    ('{', 'is not JSON'), ('[]', 'must hold the body of a registration'), ('{}', 'At least one of'),
    ('{"ssh": {"host": "a"}}', 'username'), (None, 'No such file')])
def test_a_file_that_is_no_registration_is_told(text: str | None, words: str, tmp_path: Path) -> None:
    file = tmp_path / 'access.json'
    if text is not None:
        file.write_text(text)
    with pytest.raises(exception.InvalidInput) as caught:
        read_access(str(file), 'acme', 'x1')
    assert words in caught.value.msg


# --- record ---

def test_what_is_recorded_has_no_secret_and_can_be_replayed(array: Array, tmp_path: Path) -> None:
    chosen = Trial(Drivers(NAME), array.access())
    with Recorder(tmp_path / 'lab', chosen.masker) as recorder:
        rows = {step.method: step.rows for step in chosen.run()}
    text = ''.join(file.read_text() for file in (tmp_path / 'lab').iterdir())
    assert recorder.count == 4
    for secret in (array.SECRET, array.PASSWORD, 'hush-hush', 'in-the-query'):
        assert secret not in text
    assert '"seen": "***"' in text
    with Replay(tmp_path / 'lab', 'acme x1') as replay:
        again = {step.method: step.rows for step in Trial(Drivers(NAME), replay.access()).run()}
    assert again == rows


def test_after_the_recording_nothing_is_recorded(array: Array, tmp_path: Path) -> None:
    with Recorder(tmp_path, Masker()) as recorder:
        pass
    tried(array)
    assert recorder.count == 0


# --- watch ---

def test_a_command_runs_again_when_a_file_changes(tmp_path: Path) -> None:
    source, runs = tmp_path / 'driver.py', tmp_path / 'runs'
    source.write_text('')
    command = [sys.executable, '-S', '-c', f'open({str(runs)!r}, "a").write("x")']
    turns = iter(range(5))

    def keep_on() -> bool:
        turn = next(turns)
        if turn == 2:
            os.utime(source, (1, 1))
        return turn < 4
    watching.watch(tmp_path, command, keep_on, look_seconds=0)
    assert runs.read_text() == 'xx'
    assert watching.folder_of(Driver) == Path(__file__).parent


# --- log levels ---

@pytest.mark.parametrize(('target', 'name'), [
    ('acme_x1.driver:AcmeDriver', 'acme_x1'), ('acme:Driver', 'acme'),
    ('delfin.drivers.linux:LinuxHostDriver', 'delfin.drivers.linux'),
    ('delfin.drivers.huawei.oceanstor.driver:Driver', 'delfin.drivers.huawei')])
def test_the_level_of_a_driver_is_that_of_its_package(target: str, name: str) -> None:
    assert logger_name(target) == name


def test_levels_are_set_by_the_names_of_drivers(monkeypatch: pytest.MonkeyPatch,
                                                caplog: pytest.LogCaptureFixture) -> None:
    entry = EntryPoint('acme x1', 'acme_levels.driver:Driver', NAMESPACE)
    monkeypatch.setattr(manager._Scan, 'list_entry_points', lambda self: [entry])
    set_log_levels({'acme x1': 'debug', 'acme x2': 'INFO'})
    assert logging.getLogger('acme_levels').level == logging.DEBUG
    assert 'acme x2' in caplog.text
    assert 'acme_levels' not in sys.modules


# --- lines ---

def test_the_page_of_drivers_says_how_much_of_them_is_data() -> None:
    page = (ROOT / 'docs' / 'drivers' / 'README.md').read_text()
    assert lines.renewed(page) == page, 'stale: python -m delfin.drivers.tools.lines docs/drivers/README.md'


def test_data_is_what_modules_assign_and_code_is_what_runs(tmp_path: Path) -> None:
    (tmp_path / 'driver.py').write_text('''"""Words
of a page."""

import os

TABLE = {    # of words

    'a': 1,
    # no line
    'b': os.name}


@staticmethod
def call():
    """Words."""

    return TABLE    # a comment
''')
    assert lines.count(tmp_path) == (3, 3)
