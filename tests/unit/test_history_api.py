# SPDX-License-Identifier: Apache-2.0
"""`GET /v1/storages/{id}/metrics`: points for a chart, from the node that has collected them or from Prometheus."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from delfin.api import listing
from delfin.db import Database
from delfin.exception import InvalidInput, ServiceUnavailable
from delfin.history import Query, Series
from delfin.history.store import History
from delfin.metrics import Owner
from tests.unit.history_support import HOUR, MINUTE, NOON, Clock, put, running, series
from tests.unit.support import Answer, Rest, as_documented

OPERATION = 'GET /v1/storages/{id}/metrics'


class Charts:
    """A client of one storage's metrics."""

    def __init__(self, rest: Rest, storage_id: str) -> None:
        self._rest, self._path = rest, f'/v1/storages/{storage_id}/metrics'

    def __call__(self, query: str) -> Answer:
        answer = self._rest.get(f'{self._path}?{query}')
        assert as_documented(answer, OPERATION)
        return answer

    def points(self, query: str) -> dict[tuple[str, str], Any]:
        answer = self(query)
        assert answer.status == 200, answer.body
        return {(each['resource_id'], each['metric']): each['points'] for each in answer.body['metrics']}


@pytest.fixture
def charts(rest: Rest, storage_id: str) -> Charts:
    return Charts(rest, storage_id)


@pytest.fixture
def collected(rest: Rest, storage_id: str, tmp_path: Path) -> Iterator[History]:
    """An hour of two volumes at a point a minute."""
    with running(tmp_path / 'history', Clock(NOON + HOUR)) as history:
        owner = Owner(storage_id, 'array', 'Example', 'X1', 'SN-1')
        moments = range(NOON, NOON + HOUR, MINUTE)
        put(history, *(series(volume, {moment: (moment - NOON) / MINUTE for moment in moments}, metric, unit=unit)
                       for volume in ('lun-1', 'lun 2+3') for metric, unit in (('iops', 'IOPS'),
                                                                              ('responseTime', 'ms'))), owner=owner)
        rest.tasks.history = history
        yield history


ALL = f'start={NOON}&end={NOON + HOUR}'


def test_points_come_with_what_a_chart_needs(charts: Charts, collected: History) -> None:
    answer = charts(f'resource_type=volume&metric=iops&resource_id=lun-1&start={NOON}&end={NOON + 2 * MINUTE}')
    assert answer.body == {
        'metrics': [{'resource_type': 'volume', 'resource_id': 'lun-1', 'resource_name': 'volume lun-1',
                     'metric': 'iops', 'unit': 'IOPS', 'points': [[NOON, 0.0], [NOON + MINUTE, 1.0]]}],
        'step_seconds': None, 'source': 'history'}


def test_a_step_makes_means(charts: Charts, collected: History) -> None:
    answer = charts(f'resource_type=volume&metric=iops&resource_id=lun-1&{ALL}&step=1800')
    assert answer.body['step_seconds'] == 1800
    assert answer.body['metrics'][0]['points'] == [[NOON, 14.5], [NOON + HOUR // 2, 44.5]]


def test_several_metrics_and_resources_may_be_named_or_all_are_meant(charts: Charts, collected: History) -> None:
    names = {('lun-1', 'iops'), ('lun 2+3', 'iops'), ('lun-1', 'responseTime'), ('lun 2+3', 'responseTime')}
    assert set(charts.points(f'resource_type=volume&{ALL}')) == names
    assert set(charts.points(f'resource_type=volume&{ALL}&metric=iops&metric=responseTime&resource_id=lun-1'
                             '&resource_id=lun%202%2B3')) == names
    assert set(charts.points(f'resource_type=volume&{ALL}&metric=iops&resource_id=lun%202%2B3')) == {
        ('lun 2+3', 'iops')}
    assert charts.points(f'resource_type=disk&{ALL}') == {}


def test_by_default_it_is_the_last_hour(charts: Charts, rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Query] = []
    rest.tasks.history = _Answers(lambda wanted: asked.append(wanted) or [])
    monkeypatch.setattr('time.time', lambda: NOON / 1000)
    charts('resource_type=volume')
    charts('resource_type=volume&start=2026-11-05T08:00:00%2B01:00')
    charts(f'resource_type=volume&end={NOON - HOUR}')
    assert [(each.start_ms - NOON, each.end_ms - NOON, each.step_ms) for each in asked] == [
        (-HOUR, 0, None), (-5 * HOUR, 0, None), (-2 * HOUR, -HOUR, None)]


class _Answers:
    """A reader that a test has written."""

    def __init__(self, answer: Any) -> None:
        self.query = answer


@pytest.mark.parametrize('query', [
    '', 'resource_type=lun', 'resource_type=volume&resource_type=disk', 'resource_type=volume&metric=IOPS',
    'resource_type=volume&metric=x_', 'resource_type=volume&start=yesterday', 'resource_type=volume&end=-1',
    'resource_type=volume&start=2026-11-05', 'resource_type=volume&start=2026-11-05T12:00:00',
    'resource_type=volume&start=2026-11-05T12:00:00+00:00', 'resource_type=volume&start=6&end=5',
    'resource_type=volume&start=999999999999999', 'resource_type=volume&step=0', 'resource_type=volume&step=1.5',
    'resource_type=volume&step=60&step=60', 'resource_type=volume&begin=0',
    'resource_type=volume&' + '&'.join(f'resource_id={number}' for number in range(101))])
def test_what_makes_no_sense_is_refused(charts: Charts, query: str) -> None:
    answer = charts(query)
    assert (answer.status, answer.error) == (400, 'InvalidInput')


def test_too_much_is_refused_with_a_step_that_fits(charts: Charts, collected: History, storage_id: str) -> None:
    owner = Owner(storage_id, 'array', 'Example', 'X1', 'SN-1')
    put(collected, *(series(f'v{number}', {moment: 1.0 for moment in range(NOON, NOON + HOUR, MINUTE)})
                     for number in range(700)), owner=owner)
    answer = charts(f'resource_type=volume&metric=iops&{ALL}')
    assert answer.status == 400 and 'a step of 120 seconds fits' in answer.body['error_msg']
    assert len(charts.points(f'resource_type=volume&metric=iops&{ALL}&step=120')) == 702


def test_without_any_history_it_is_501(charts: Charts) -> None:
    answer = charts('resource_type=volume')
    assert (answer.status, answer.error) == (501, 'StorageCapabilityNotSupported')


def test_a_storage_that_is_not_there_is_404(rest: Rest, database: Database) -> None:
    answer = rest.get('/v1/storages/none/metrics?resource_type=volume')
    assert (answer.status, answer.error) == (404, 'StorageNotFound')


def test_where_prometheus_is_configured_it_answers(rest: Rest, charts: Charts) -> None:
    found = Series('volume', 'lun-1', None, 'iops', 'IOPS', [(NOON, 1.5)])
    rest.backend = dataclasses.replace(rest.backend, metrics=_Answers(lambda wanted: [found]))
    assert charts('resource_type=volume').body == {
        'metrics': [found.view()], 'step_seconds': None, 'source': 'prometheus'}


def test_a_prometheus_that_is_away_is_503(rest: Rest, charts: Charts) -> None:
    def away(wanted: Query) -> list[Series]:
        raise ServiceUnavailable('[history] prometheus_url: http://p:9090: no connection: Connection refused')

    rest.backend = dataclasses.replace(rest.backend, metrics=_Answers(away))
    answer = charts('resource_type=volume')
    assert answer.status == 503 and 'prometheus_url' in answer.body['error_msg']


@pytest.mark.parametrize(('text', 'milliseconds'), [
    ('0', 0), ('1793880000123', NOON + 123), ('2026-11-05T12:00:00Z', NOON), ('2026-11-05t12:00:00.25z', NOON + 250),
    ('2026-11-05T13:30:00+01:30', NOON), ('2026-11-05T12:00:00.123999999Z', NOON + 123),
    ('1969-12-31T23:59:59Z', 0), ('9999-12-31T23:59:59.999-23:59', listing.LATEST_MS)])
def test_times_are_numbers_or_rfc_3339(text: str, milliseconds: int) -> None:
    assert listing.moment(text, 'start') == milliseconds


@pytest.mark.parametrize('text', ['', '2026-02-30T00:00:00Z', '2026-11-05T25:00:00Z', '1e3',
                                  '2026-11-05 12:00:00Z', '٣', '0000-01-01T00:00:00Z'])
def test_times_that_are_none_say_how_to_write_them(text: str) -> None:
    with pytest.raises(InvalidInput, match=r'^Invalid input received\. start must be a'):
        listing.moment(text, 'start')
