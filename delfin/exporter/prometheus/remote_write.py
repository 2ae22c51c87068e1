# SPDX-License-Identifier: Apache-2.0
"""The exporter `remote_write`: points with their times, by Prometheus remote write 1.0.

A Prometheus refuses a request (400) if it holds a point that is older than what it has, and then takes nothing of it;
other receivers take the rest. So a refused request is divided, first by time: what comes a second time is older than
what is new.
"""

from __future__ import annotations

import hashlib
import logging
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Self

import cramjam
from oslo_config import cfg

from delfin import exception
from delfin.common.constants import metric_struct
from delfin.context import RequestContext
from delfin.exporter import receiver
from delfin.exporter.base_exporter import EventRefused, PerformanceExporterBase
from delfin.exporter.prometheus.names import NAMES, Labels, Names
from delfin.exporter.receiver import Receiver
from delfin.own_metrics import PROCESS, OwnMetrics

LOG = logging.getLogger(__name__)

REQUEST_SAMPLES: Final = 10_000
REQUEST_BYTES: Final = 1024 * 1024      # before it is compressed

_VERSION = '0.1.0'      # what the specification calls 1.0
_MORE_POSTS = 256       # for one call, to find what is refused
_IN_A_ROW = 16          # single points refused one after the other: then all of this time will be
_SAMPLE_BYTES = 24      # at most
_DOUBLE = struct.Struct('<d')


class Sample(NamedTuple):
    """A value and its time, epoch ms."""

    at: int
    value: float


class Series(NamedTuple):
    """Labels as they are sent, and samples, the oldest first."""

    labels: bytes
    samples: Sequence[Sample]


class PrometheusRemoteWrite(PerformanceExporterBase):
    """Writes to one receiver."""

    def __init__(self, target: Receiver, names: Names, labels: Mapping[str, str],
                 own: OwnMetrics = PROCESS) -> None:
        self._receiver, self._names, self._labels, self._own = target, names, dict(labels), own
        self._written: set[bytes] = set()       # of a call that failed in the middle
        self._complained: str | None = None

    @classmethod
    def create(cls, conf: cfg.ConfigOpts) -> Self:
        """See `BaseExporter.create`."""
        options = conf.remote_write
        if not options.url:
            raise exception.InvalidConfiguration('[remote_write] url must be set for the exporter remote_write')
        headers = receiver.credentials(options, 'remote_write')
        receiver.check_way(receiver.read_url(options.url, '[remote_write] url'), headers, '[remote_write] url')
        return cls(Receiver(options.url, timeout_seconds=options.timeout_seconds, ca_file=options.ca_file,
                            headers=headers, content_type='application/x-protobuf'),
                   NAMES[conf.prometheus.names](), options.labels)

    def dispatch(self, ctxt: RequestContext, data: list[metric_struct]) -> None:
        """See the base class. What the receiver will never take is counted and left out."""
        posts, in_a_row = _MORE_POSTS, 0
        refused, reason = 0, ''
        todo = list(reversed(list(self._requests(data))))
        while todo:
            request = todo.pop()
            body = encode(request)
            digest = hashlib.blake2b(body, digest_size=16).digest()
            if digest in self._written:
                continue
            try:
                self._receiver.post(bytes(cramjam.snappy.compress_raw(body)), {
                    'Content-Encoding': 'snappy', 'X-Prometheus-Remote-Write-Version': _VERSION})
            except EventRefused as error:
                if not error.final:
                    raise
                halves = divided(request, by_series=in_a_row < _IN_A_ROW) if posts > 0 else ()
                posts -= len(halves)
                todo += reversed(halves)
                if not halves:
                    refused += sum(len(series.samples) for series in request)
                    in_a_row += 1
                    reason = str(error)
            else:
                in_a_row = 0
            self._written.add(digest)
        self._written = set()
        self._tell(refused, reason)

    def _requests(self, data: Iterable[metric_struct]) -> Iterator[list[Series]]:
        """In pieces that a receiver takes."""
        request: list[Series] = []
        samples = size = 0
        for series in self._series(data):
            for part in _parts(series):
                grown = len(part.labels) + _SAMPLE_BYTES * len(part.samples)
                if request and (samples + len(part.samples) > REQUEST_SAMPLES or size + grown > REQUEST_BYTES):
                    yield request
                    request, samples, size = [], 0, 0
                request.append(part)
                samples += len(part.samples)
                size += grown
        if request:
            yield request

    def _series(self, data: Iterable[metric_struct]) -> Iterator[Series]:
        for name, labels, values in data:
            family = self._names.family(labels['resource_type'], name, labels.get('unit', ''))
            if family is None or not values:
                continue
            own = {**self._labels, **dict(self._names.labels(labels)), '__name__': family.name}
            yield Series(encode_labels(tuple(sorted(own.items()))), [
                Sample(at, value * family.times / family.per) for at, value in values.items()])

    def _tell(self, refused: int, reason: str) -> None:
        if refused:
            self._own.points_refused(refused)
            (LOG.debug if reason == self._complained else LOG.warning)(
                'remote write: the receiver will not take %d points, they are left out: %s', refused, reason)
            self._complained = reason


def _parts(series: Series) -> Iterator[Series]:
    for begin in range(0, len(series.samples), REQUEST_SAMPLES):
        yield Series(series.labels, series.samples[begin:begin + REQUEST_SAMPLES])


def divided(request: Sequence[Series], *, by_series: bool) -> tuple[list[Series], ...]:
    """A request as two: the older and the newer samples, or if all are of one time, some series and the others. Nothing
    if neither can be.
    """
    times = sorted({sample.at for series in request for sample in series.samples})
    if len(times) > 1:
        middle = times[len(times) // 2]
        return (_of_time(request, lambda at: at < middle), _of_time(request, lambda at: at >= middle))
    if by_series and len(request) > 1:
        return list(request[:len(request) // 2]), list(request[len(request) // 2:])
    return ()


def _of_time(request: Sequence[Series], wanted: Callable[[int], bool]) -> list[Series]:
    parts = (Series(series.labels, [sample for sample in series.samples if wanted(sample.at)]) for series in request)
    return [part for part in parts if part.samples]


# --- protobuf: WriteRequest of prometheus/prompb, whose messages are these four ---

def encode(request: Sequence[Series]) -> bytes:
    """`WriteRequest {1: TimeSeries}`, `TimeSeries {1: Label, 2: Sample}`."""
    return b''.join([_field(1, b''.join([series.labels, *map(_encode_sample, series.samples)])) for series in request])


def encode_labels(labels: Labels) -> bytes:
    """`Label {1: name, 2: value}` for each of them, in the order of names."""
    return b''.join([_field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in labels])


def _encode_sample(sample: Sample) -> bytes:
    """`Sample {1: double, 2: int64}`."""
    return _field(2, b'\x09' + _DOUBLE.pack(sample.value) + b'\x10' + _varint(sample.at & 0xFFFFFFFFFFFFFFFF))


def _field(number: int, data: bytes) -> bytes:
    return bytes((number << 3 | 2,)) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)
