# SPDX-License-Identifier: Apache-2.0
"""Remote write: what is sent, in which pieces, and what becomes of what a receiver will not take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cramjam
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from delfin import exception
from delfin.exporter.base_exporter import DeliveryFailed, EventRefused
from delfin.exporter.prometheus import remote_write
from delfin.exporter.prometheus.names import OwnNames
from delfin.exporter.prometheus.remote_write import PrometheusRemoteWrite, Sample, Series
from delfin.own_metrics import OwnMetrics
from tests.simulators.tls import Answer, Request, TlsServer
from tests.unit.metrics_support import ODD, points

NAME = 'delfin_volume_iops'


def _messages() -> Any:
    """WriteRequest as Google's library knows it."""
    file = descriptor_pb2.FileDescriptorProto(name='remote.proto', package='prometheus', syntax='proto3')
    kind = descriptor_pb2.FieldDescriptorProto
    for name, fields in {
        'Label': [('name', 1, kind.TYPE_STRING, ''), ('value', 2, kind.TYPE_STRING, '')],
        'Sample': [('value', 1, kind.TYPE_DOUBLE, ''), ('timestamp', 2, kind.TYPE_INT64, '')],
        'TimeSeries': [('labels', 1, kind.TYPE_MESSAGE, 'Label'), ('samples', 2, kind.TYPE_MESSAGE, 'Sample')],
        'WriteRequest': [('timeseries', 1, kind.TYPE_MESSAGE, 'TimeSeries')],
    }.items():
        message = file.message_type.add(name=name)
        for field, number, of, other in fields:
            message.field.add(name=field, number=number, type=of,
                              label=kind.LABEL_REPEATED if other else kind.LABEL_OPTIONAL,
                              **({'type_name': f'.prometheus.{other}'} if other else {}))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName('prometheus.WriteRequest'))


WriteRequest = _messages()


def decoded(body: bytes) -> list[tuple[dict[str, str], dict[int, float]]]:
    """Labels and samples of each series."""
    return [({label.name: label.value for label in series.labels},
             {sample.timestamp: sample.value for sample in series.samples})
            for series in WriteRequest.FromString(body).timeseries]


class Store(TlsServer):
    """A receiver that, as Prometheus does, takes a request as a whole or not at all: each series in the order of time.
    """

    def __init__(self) -> None:
        self.samples: dict[str, dict[int, float]] = {}
        self.statuses: list[int] = []       # what it answers next, whatever comes
        super().__init__(self._answer, None)

    def _answer(self, request: Request) -> Answer:
        series = decoded(bytes(cramjam.snappy.decompress_raw(request.body)))
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            for labels, samples in series:
                newest = max(self.samples.get(labels['resource_id'], {-1: 0.0}))
                if min(samples) < newest:
                    return Answer({'error': 'out of order sample'}, 400)
            for labels, samples in series:
                self.samples.setdefault(labels['resource_id'], {}).update(samples)
        return Answer({}, status)

    @property
    def http(self) -> str:
        return self.url.replace('https:', 'http:')


@pytest.fixture
def store() -> Iterator[Store]:
    with Store() as server:
        yield server


@pytest.fixture
def own() -> OwnMetrics:
    return OwnMetrics()


@pytest.fixture
def exporter(store, own) -> PrometheusRemoteWrite:
    return PrometheusRemoteWrite(remote_write.Receiver(f'{store.http}/api/v1/write', timeout_seconds=5), OwnNames(),
                                 {'job': 'delfin'}, own)


def refused(own: OwnMetrics) -> float:
    return own.registry.get_sample_value('delfin_remote_write_refused_points_total')


@given(st.dictionaries(st.text(min_size=1), st.text(min_size=1), min_size=1),
       st.lists(st.tuples(st.integers(-2**63, 2**63 - 1), st.floats(allow_nan=False))))
def test_googles_protobuf_reads_what_we_write(labels, samples):
    body = remote_write.encode([Series(remote_write.encode_labels(tuple(labels.items())),
                                       [Sample(*each) for each in samples])])
    request = WriteRequest.FromString(body)
    assert [(label.name, label.value) for label in request.timeseries[0].labels] == list(labels.items())
    assert [(sample.timestamp, sample.value) for sample in request.timeseries[0].samples] == samples
    assert request.SerializeToString() == body or any(0 in each for each in samples)   # proto3 leaves out zeros


def test_a_request_is_as_remote_write_wants_it(conf, store):
    conf.set_override('url', f'{store.http}/api/v1/write', 'remote_write')
    PrometheusRemoteWrite.create(conf).dispatch(None, [points('1', {5: 1.5, 6: 2}, 'responseTime', resource_name=ODD)])
    request, = store.requests
    assert {name: request.headers[name] for name in ('Content-Type', 'Content-Encoding',
                                                     'X-Prometheus-Remote-Write-Version')} == {
        'Content-Type': 'application/x-protobuf', 'Content-Encoding': 'snappy',
        'X-Prometheus-Remote-Write-Version': '0.1.0'}
    (labels, samples), = decoded(bytes(cramjam.snappy.decompress_raw(request.body)))
    assert list(labels) == sorted(labels)
    assert labels == {'__name__': 'delfin_volume_response_time_seconds', 'job': 'delfin', 'resource_id': '1',
                      'resource_name': ODD, 'storage_id': labels['storage_id'], 'storage_name': 'array'}
    assert samples == {5: 0.0015, 6: 0.002}


def test_a_request_is_never_too_large(exporter, store):
    exporter.dispatch(None, [points(f'{number}{"x" * 600}', {at: 1.0 for at in range(2)}) for number in range(4000)]
                      + [points('long', {at: 1.0 for at in range(25_000)})])
    sizes = []
    for request in store.requests:
        body = bytes(cramjam.snappy.decompress_raw(request.body))
        sizes.append((len(body), sum(len(samples) for _, samples in decoded(body))))
    assert max(size for size, _ in sizes) < 1.1 * 2**20
    assert max(samples for _, samples in sizes) <= 10_000
    assert sum(samples for _, samples in sizes) == 33_000
    assert list(store.samples['long']) == list(range(25_000))


def test_what_comes_a_second_time_does_not_keep_out_what_is_new(exporter, store, own):
    exporter.dispatch(None, [points(str(number), {at: at for at in range(1, 6)}) for number in range(30)])
    exporter.dispatch(None, [points(str(number), {at: at for at in range(1, 9)}) for number in range(40)])
    assert all(set(samples) >= {6, 7, 8} for samples in store.samples.values())
    assert len(store.samples) == 40


def test_a_series_that_is_refused_does_not_keep_out_the_others(exporter, store, own):
    store.samples['7'] = {99: 1}
    exporter.dispatch(None, [points(str(number), {5: 1}) for number in range(50)])
    assert [name for name in map(str, range(50)) if 5 not in store.samples.get(name, {})] == ['7']
    assert refused(own) == 1


def test_when_everything_is_refused_it_is_given_up_soon(exporter, store, own):
    store.statuses = [400] * 1000
    exporter.dispatch(None, [points(str(number), {5: 1}) for number in range(500)])
    assert len(store.requests) < 60
    assert refused(own) == 500


def test_after_a_failure_in_the_middle_only_the_rest_is_sent_again(exporter, store):
    data = [points('1', {at: 1 for at in range(25_000)})]
    store.statuses = [200, 503]
    with pytest.raises(DeliveryFailed) as failed:
        exporter.dispatch(None, data)
    assert not isinstance(failed.value, EventRefused)
    before = len(store.requests)
    exporter.dispatch(None, data)
    assert len(store.requests) - before == 2
    assert len(store.samples['1']) == 25_000


@pytest.mark.parametrize('status', [401, 404])
def test_a_wrong_configuration_is_tried_again(exporter, store, status):
    store.statuses = [status]
    with pytest.raises(EventRefused) as refused:
        exporter.dispatch(None, [points('1', {5: 1})])
    assert not refused.value.final


def test_a_url_is_needed(conf):
    with pytest.raises(exception.InvalidConfiguration, match=r'\[remote_write\] url must be set'):
        PrometheusRemoteWrite.create(conf)


def test_a_password_is_not_sent_in_clear(conf, tmp_path):
    key = tmp_path / 'password'
    key.write_text('geheim\n')
    key.chmod(0o600)
    for name, value in {'url': 'http://metrics.example.com/write', 'username': 'delfin',
                        'password_file': str(key)}.items():
        conf.set_override(name, value, 'remote_write')
    with pytest.raises(exception.InvalidConfiguration, match='only sent by https'):
        PrometheusRemoteWrite.create(conf)
