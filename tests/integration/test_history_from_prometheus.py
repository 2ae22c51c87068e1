# SPDX-License-Identifier: Apache-2.0
"""The same question to a real Prometheus, into which the same points were exported, and to the embedded history: both
give the same answer, in the units of drivers.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from oslo_config import cfg

from delfin import exception
from delfin.common import config
from delfin.common.constants import metric_struct
from delfin.context import RequestContext
from delfin.exporter.prometheus.names import NAMES
from delfin.exporter.prometheus.remote_write import PrometheusRemoteWrite
from delfin.history import Query, Series, promql
from delfin.history.promql import PrometheusReader
from delfin.history.store import History
from delfin.metrics import METRICS
from tests.engines.prometheus import Prometheus
from tests.unit.history_support import HOUR, MINUTE, OWNER, Clock, put, running, series

# Prometheus takes what is not much older than what it has.
END = int(time.time() * 1000) // HOUR * HOUR
BEGIN = END - HOUR
RESOURCES = ('lun-1', 'lun "2" \\ a.b+c|d é')


def collected() -> list[metric_struct]:
    """An hour of two volumes, all metrics and one of the vendor's, a point a minute but for a hole."""
    moments = [*range(BEGIN, BEGIN + 20 * MINUTE, MINUTE), *range(BEGIN + 30 * MINUTE, END, MINUTE)]
    metrics = [*((metric.name, metric.unit) for metric in METRICS.values()), ('x_hops', 'hops')]
    return [series(resource_id, {moment: 10 * place + math.sin(moment) for moment in moments}, metric, unit=unit,
                   name='array', serial_number='SN-1', vendor='Example', model='X1')
            for resource_id, (place, (metric, unit)) in itertools.product(RESOURCES, enumerate(metrics))]


@pytest.fixture(scope='module')
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    with running(tmp_path_factory.mktemp('history'), Clock(END)) as history:
        put(history, *collected())
        yield history


@pytest.fixture(scope='module', params=NAMES)
def reader(request: pytest.FixtureRequest, prometheus: Prometheus, tmp_path_factory: pytest.TempPathFactory
           ) -> PrometheusReader:
    """With the names of Delfin, and with those of SODA Delfin."""
    conf = configured(tmp_path_factory.mktemp('etc'), prometheus.url, names=request.param)
    PrometheusRemoteWrite.create(conf).dispatch(RequestContext(), collected())
    made = promql.reader(conf)
    assert made is not None
    return made


def configured(folder: Path, url: str, names: str) -> cfg.ConfigOpts:
    file = folder / 'delfin.conf'
    file.write_text(f'[history]\nprometheus_url = {url}/\n[prometheus]\nnames = {names}\n'
                    f'[remote_write]\nurl = {url}/api/v1/write\n')
    return config.load(['--config-file', str(file)], 'test', cfg.ConfigOpts(), default_config_dirs=[])


def shown(found: list[Series]) -> dict[tuple[str, str, str | None], list[tuple[int, object]]]:
    return {(one.resource_id, one.metric, one.unit): [(moment, pytest.approx(value)) for moment, value in one.points]
            for one in found}


KNOWN = tuple(METRICS)


@pytest.mark.parametrize('metrics', [(), ('x_hops',), ('responseTime', 'cacheHitRatio', 'throughput', 'ioSize')],
                         ids=['all', 'of the vendor', 'of all units'])
@pytest.mark.parametrize('step', [None, 5 * MINUTE, 7 * MINUTE, 2 * HOUR])
@pytest.mark.parametrize('resources', [(), RESOURCES[1:]], ids=['all', 'an odd one'])
def test_it_answers_as_the_history_does(reader: PrometheusReader, history: History, metrics: tuple[str, ...],
                                        step: int | None, resources: tuple[str, ...]) -> None:
    wanted = Query(OWNER.storage_id, 'volume', metrics or KNOWN, resources, BEGIN + 3 * MINUTE, END - 3 * MINUTE, step)
    expected = shown(history.query(wanted))
    if metrics == ('x_hops',) and isinstance(reader._names, NAMES['delfin']):
        expected = {(*key[:2], None): points for key, points in expected.items()}       # its names do not tell the unit
    assert shown(reader.query(wanted)) == expected
    assert len(expected) == len(metrics or KNOWN) * len(resources or RESOURCES)


def test_what_was_not_exported_is_not_there(reader: PrometheusReader) -> None:
    for wanted in (Query('storage-2', 'volume', (), (), BEGIN, END), Query('storage-1', 'disk', (), (), BEGIN, END),
                   Query('storage-1', 'volume', (), ('lun-.',), BEGIN, END, HOUR)):
        assert reader.query(wanted) == []


def test_more_steps_than_prometheus_gives_are_refused_with_one_that_fits(reader: PrometheusReader) -> None:
    with pytest.raises(exception.InvalidInput, match='a step of 60 seconds fits'):
        reader.query(Query('storage-1', 'volume', ('iops',), (), BEGIN - 10 * HOUR, END, 1000))
