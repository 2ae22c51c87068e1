# SPDX-License-Identifier: Apache-2.0
"""A REST driver against recorded replies, over TLS; and the mix-in, as a driver package would use it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from delfin import cryptor, exception
from delfin.drivers.compliance.contract import Level
from delfin.drivers.compliance.replay import Replay
from delfin.drivers.compliance.run import Report, Standing, Verdict, judge
from delfin.drivers.compliance.subject import Subject
from delfin.drivers.compliance.testing import ComplianceTests
from delfin.drivers.driver import StorageDriver
from delfin.drivers.utils.rest_client import RestClient

GIB = 2**30
VOLUMES = [{'id': str(number), 'name': f'lun-{number}', 'gib': 10 + number} for number in range(5)]
ACCESS = {'rest': {'host': 'recorded.example.org', 'port': 443, 'username': 'admin', 'password': 'recorded-pass'}}
REPLIES: list[dict[str, Any]] = [
    {'method': 'POST', 'path': '/api/session', 'status': 201, 'headers': {'X-Token': 't'}, 'body': {}},
    {'method': 'DELETE', 'path': '/api/session', 'status': 204},
    {'path': '/api/system', 'body': {'name': 'array', 'serial': 'SN-1'}},
    {'path': '/api/pools', 'body': [{'id': 'p', 'name': 'pool', 'gib': 100}]},
    {'path': '/api/volumes?page=1', 'body': VOLUMES[:3]},
    {'path': '/api/volumes?page=2', 'file': 'second.json'},
    {'path': '/api/volumes?page=3', 'body': []},
    {'path': '/api/alerts', 'body': []},
]
TRUTH = {
    'storage': [{'name': 'array', 'serial_number': 'SN-1', 'status': 'normal'}],
    'volumes': [{'native_volume_id': each['id'], 'name': each['name'], 'native_storage_pool_id': 'p',
                 'total_capacity': each['gib'] * GIB} for each in VOLUMES],
}


class AcmeDriver(StorageDriver):
    """Driver of an array with a REST interface."""

    PROTOCOLS = ('rest',)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._client = self._log_in(kwargs)

    def _log_in(self, access: Any) -> RestClient:
        client = RestClient(**access)
        client.init_http_head()
        body = {'user': access['rest']['username'], 'password': cryptor.decode(access['rest']['password'])}
        answer = client.do_call('/api/session', json.dumps(body), 'POST')
        if answer.status_code != 201:
            raise exception.InvalidUsernameOrPassword()
        client.session.headers['X-Token'] = answer.headers['X-Token']
        return client

    def _get(self, path: str) -> Any:
        answer = self._client.do_call(path, None, 'GET')
        if answer.status_code != 200:
            raise exception.StorageBackendException(f'{path} is answered with {answer.status_code}')
        return answer.json()

    def reset_connection(self, context: Any, **kwargs: Any) -> None:
        """Log in anew."""
        self._client = self._log_in(kwargs)

    def get_storage(self, context: Any) -> dict[str, Any]:
        """The array."""
        system = self._get('/api/system')
        return {'name': system['name'], 'serial_number': system['serial'], 'status': 'normal'}

    def list_storage_pools(self, context: Any) -> list[dict[str, Any]]:
        """Pools."""
        return [{'native_storage_pool_id': each['id'], 'name': each['name'], 'total_capacity': each['gib'] * GIB}
                for each in self._get('/api/pools')]

    def list_volumes(self, context: Any) -> Iterator[dict[str, Any]]:
        """Volumes, page by page."""
        page = 1
        while found := self._get(f'/api/volumes?page={page}'):
            for each in found:
                yield {'native_volume_id': each['id'], 'name': each['name'], 'native_storage_pool_id': 'p',
                       'total_capacity': each['gib'] * GIB}
            page += 1

    def list_alerts(self, context: Any, query_para: Any = None) -> list[dict[str, Any]]:
        """Alerts."""
        return list(self._get('/api/alerts'))

    def clear_alert(self, context: Any, sequence_number: str) -> None:
        """Not possible."""
        raise NotImplementedError

    add_trap_config = remove_trap_config = clear_alert


class OnePage(AcmeDriver):
    """Driver that does not turn the page."""

    def list_volumes(self, context: Any) -> Iterator[dict[str, Any]]:
        """The first page."""
        rows = list(super().list_volumes(context))
        yield from rows[:3]


@pytest.fixture(scope='module')
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp('recorded'))


def record(directory: Path) -> Path:
    (directory / 'access.json').write_text(json.dumps(ACCESS))
    (directory / 'replies.json').write_text(json.dumps(REPLIES))
    (directory / 'second.json').write_text(json.dumps(VOLUMES[3:]))
    (directory / 'truth.json').write_text(json.dumps(TRUTH))
    return directory


def judged(driver_class: type, recorded: Path, *groups: str) -> Report:
    from delfin.drivers.compliance.rules import select
    with Replay(recorded, 'acme x1') as device:
        return judge(Subject.of_class(driver_class, 'acme x1'), device, rules=select(groups))


def test_a_driver_is_proved_by_what_an_array_once_said(recorded: Path) -> None:
    report = judged(AcmeDriver, recorded, 'R', 'C')
    assert {result.rule.id for result in report.results if result.verdict is Verdict.FAIL} == set()
    assert report.standing(Level.CORE) is Standing.PROVED


def test_a_page_that_is_not_asked_for_is_missed(recorded: Path) -> None:
    report = judged(OnePage, recorded, 'R')
    assert {result.rule.id for result in report.results if result.verdict is Verdict.FAIL} == {'R13'}


class TestMixIn(ComplianceTests):
    """What a driver package writes: here only the class is looked at."""

    driver_class: ClassVar[type] = AcmeDriver
    driver = 'acme x1'
