# SPDX-License-Identifier: Apache-2.0
"""When a server that should answer as Prometheus does not, or not enough of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg

from delfin import exception
from delfin.history import Query, promql
from delfin.history.promql import PrometheusReader
from tests.checkouts import free_port
from tests.simulators.tls import Answer
from tests.unit.exporter_support import Web
from tests.unit.history_support import HOUR, NOON

ASK = Query('storage-1', 'volume', ('iops',), (), NOON, NOON + HOUR)
Make = Callable[..., PrometheusReader]


@pytest.fixture
def make(conf: cfg.ConfigOpts) -> Make:
    """The reader of a URL."""
    def make(url: str, **options: Any) -> PrometheusReader:
        for name, value in {'prometheus_url': url, **options}.items():
            conf.set_override(name, value, 'history')
        reader = promql.reader(conf)
        assert reader is not None
        return reader
    return make


class Server(Web):
    """Answers with `body`."""

    body: Any = {}

    def _answer(self, request: Any) -> Answer:
        return Answer(self.body, self.status)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def test_without_a_url_there_is_no_reader(conf: cfg.ConfigOpts) -> None:
    assert promql.reader(conf) is None


def test_a_server_that_is_away_is_named(make: Make) -> None:
    port = free_port()
    with pytest.raises(exception.ServiceUnavailable,
                       match=rf'\[history\] prometheus_url: http://127.0.0.1:{port}: no connection'):
        make(f'http://127.0.0.1:{port}').query(ASK)


@pytest.mark.parametrize('body', [
    {}, {'status': 'error'}, [], {'status': 'success', 'data': {'resultType': 'vector', 'result': []}},
    {'status': 'success', 'data': None}, {'status': 'success', 'data': {'resultType': 'matrix', 'result': [{}]}},
    {'status': 'success', 'data': {'resultType': 'matrix', 'result': [{'metric': {}, 'values': [['a', 'b']]}]}},
], ids=['nothing', 'error', 'list', 'vector', 'null', 'no metric', 'no number'])
def test_an_answer_that_is_not_that_of_prometheus_is_told(make: Make, server: Server, body: Any) -> None:
    server.body = body
    with pytest.raises(exception.ServiceUnavailable, match='does not answer as Prometheus does'):
        make(server.http).query(ASK)


def test_what_the_server_says_is_handed_on(make: Make, server: Server) -> None:
    server.status, server.body = 422, {'status': 'error', 'error': 'query processing would load too many samples'}
    with pytest.raises(exception.ServiceUnavailable, match='answered 422: .*too many samples'):
        make(server.http).query(ASK)


def test_an_answer_that_is_too_long_says_what_to_do(make: Make, server: Server,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promql, '_MOST_BYTES', 100)
    server.body = {'status': 'success', 'padding': 'x' * 1000}
    with pytest.raises(exception.InvalidInput, match='ask for a longer step'):
        make(server.http).query(ASK)


def test_points_are_those_of_the_time_and_finite(make: Make, server: Server) -> None:
    server.body = {'status': 'success', 'data': {'resultType': 'matrix', 'result': [{
        'metric': {'__name__': 'delfin_volume_iops', 'resource_id': 'v1', 'resource_name': 'data'},
        'values': [[(NOON - 1) / 1000, '1'], [NOON / 1000, '2.5'], [NOON / 1000 + 60, 'NaN'],
                   [NOON / 1000 + 61, '+Inf'], [(NOON + HOUR) / 1000, '3']]}]}}
    (series,) = make(server.http).query(ASK)
    assert (series.resource_id, series.resource_name, series.metric, series.unit, series.points) == (
        'v1', 'data', 'iops', 'IOPS', [(NOON, 2.5)])


def test_more_points_than_an_answer_has_are_refused(make: Make, server: Server) -> None:
    values = [[NOON / 1000 + second / 10, '1'] for second in range(2000)]
    server.body = {'status': 'success', 'data': {'resultType': 'matrix', 'result': [
        {'metric': {'__name__': 'delfin_volume_iops', 'resource_id': str(number)}, 'values': values}
        for number in range(20)]}}
    with pytest.raises(exception.InvalidInput, match='a step of 60 seconds fits'):
        make(server.http).query(ASK)


def test_a_token_is_sent_and_never_shown(make: Make, server: Server, tmp_path: Path) -> None:
    token = tmp_path / 'token'
    token.write_text('s3cret-token\n')
    token.chmod(0o600)
    server.status, server.body = 401, {'error': 'not with s3cret-token'}
    with pytest.raises(exception.ServiceUnavailable) as caught:
        make(server.http, bearer_token_file=str(token)).query(ASK)
    assert server.requests[0].headers['Authorization'] == 'Bearer s3cret-token'
    assert 's3cret' not in caught.value.msg


@pytest.mark.parametrize(('options', 'reason'), [
    ({'prometheus_url': 'prometheus:9090'}, 'must be a URL like'),
    ({'prometheus_url': 'http://user:secret@prometheus:9090'}, 'must not hold a password'),
    ({'prometheus_url': 'http://prometheus:9090/?a=b'}, 'must be a base URL'),
    ({'prometheus_url': 'http://prometheus:9090', 'username': 'delfin'}, 'belong together'),
    ({'prometheus_url': 'http://prometheus.example.com', 'bearer_token_file': 'TOKEN'}, 'only sent by https'),
])
def test_what_is_wrong_with_the_options_is_told_in_a_line(make: Make, tmp_path: Path, options: dict[str, str],
                                                          reason: str) -> None:
    token = tmp_path / 'token'
    token.write_text('s3cret-token\n')
    token.chmod(0o600)
    given = {name: str(token) if value == 'TOKEN' else value for name, value in options.items()}
    with pytest.raises(exception.InvalidConfiguration, match=reason) as caught:
        make(given.pop('prometheus_url'), **given)
    assert '[history]' in caught.value.msg and 'secret' not in caught.value.msg
