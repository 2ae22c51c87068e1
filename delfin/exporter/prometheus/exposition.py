# SPDX-License-Identifier: Apache-2.0
"""The latest values, kept as the text that Prometheus scrapes.

A line is formatted when its value arrives, so that a scrape only has to put together what is there. For each metric
and storage there are chunks of lines; what a scrape compresses is kept, too, until one of its chunks changes.
"""

from __future__ import annotations

import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from delfin.common.constants import metric_struct
from delfin.exporter.prometheus.names import Family, Names, written
from delfin.metrics import RAW, Owner

INTERVALS: Final = 2        # after so many without another value a series is gone

_LINES = 2048               # in a chunk: joining them holds up other threads for a millisecond
_SPAN_BYTES = 64 * 1024     # what is sent at once, and compressed by itself
_SPARE_LABELS = 1000        # of resources that are not there any more, before they are looked for
_LEVEL = 1                  # labels repeat so much that more effort gains little
_GZIP_HEAD = b'\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff'
_DEFLATE_END = b'\x03\x00'

# An array's series are the same whichever node shows them: an empty instance keeps Prometheus from adding its own.
_NO_INSTANCE = 'instance=""'

_Key = tuple[str, str, str]                         # resource id, type, unit where it is a label
_Point = tuple[int, float, bytes, bytes]            # its time, until when it is shown, labels, value
_Known = dict[_Key, tuple[str | None, bytes]]       # resource name and labels as they are written


def line(family: Family, labels: Sequence[tuple[str, str]], value: float, *, of_array: bool = True) -> bytes:
    """A line of the text format."""
    return b'%b%b%b' % (family.name.encode(), _braces(labels, of_array), _value(value))


class Exposition:
    """The store. Any thread may call any method."""

    def __init__(self, names: Names, clock: Callable[[], float] = time.monotonic) -> None:
        self._names = names
        self._clock = clock
        self._lock = threading.Lock()       # of the two dictionaries, and of those in families
        self._measured: dict[str, _Family] = {}
        self._states: dict[str, _Family] = {}
        self._states_end = float('-inf')
        self._labels: dict[tuple[str, str], tuple[Owner, _Known]] = {}

    # --- what arrives ---

    def collected(self, owner: Owner, resource_type: str, series: Sequence[metric_struct],
                  interval_seconds: float) -> None:
        """See `MetricsListenerBase`. Of each series the latest value counts, whatever the order of arrival."""
        ends = self._clock() + INTERVALS * interval_seconds
        known = self._known_labels(owner, resource_type)
        families: dict[tuple[str, str], tuple[Family | None, dict[_Key, _Point]]] = {}
        for name, labels, values in series:
            unit = labels.get('unit', '')
            found = families.get((name, unit))
            if found is None:
                found = families[name, unit] = (self._names.family(resource_type, name, unit), {})
            family, points = found
            if family is None or not values:
                continue
            key = (labels['resource_id'], labels.get('type', RAW), unit if self._names.labels_tell_unit else '')
            resource_name = labels.get('resource_name')
            before = known.get(key)
            if before is None or before[0] != resource_name:
                before = known[key] = (resource_name, _braces(self._names.labels(labels), of_array=True))
            at = next(reversed(values))
            points[key] = (at, ends, before[1], _value(values[at] * family.times / family.per))
        for family, points in families.values():
            if family is not None and points:
                self._block(family, owner.storage_id).update(family, points, self._clock())
        if len(known) > 2 * len(series) + _SPARE_LABELS:      # of resources that came and went
            present = {key for _, points in families.values() for key in points}
            for key in known.keys() - present:
                del known[key]

    def show(self, states: Mapping[Family, Mapping[str, Sequence[bytes]]], seconds: float) -> None:
        """Replace what was shown so before: lines of `line` for each family and storage (or '', of the node itself).
        They are shown for so long unless there are others.
        """
        with self._lock:
            before = self._states
            self._states = {family.name: _Family(family, {
                storage_id: _Block.of(lines, before.get(family.name), storage_id)
                for storage_id, lines in of_storages.items()}, before.get(family.name))
                for family, of_storages in states.items()}
            self._states_end = self._clock() + seconds

    def forget(self, storage_id: str) -> None:
        """Show nothing of this storage any more."""
        with self._lock:
            for family in (*self._measured.values(), *self._states.values()):
                family.blocks.pop(storage_id, None)
            for key in [key for key in self._labels if key[0] == storage_id]:
                del self._labels[key]

    def count(self) -> int:
        """How many measured series there are."""
        return sum(len(block.points) for family in self._families() for block in self._blocks(family))

    # --- what is scraped ---

    def plain(self, more: bytes = b'') -> list[bytes]:
        """All of it in the text format 0.0.4, followed by `more`; in parts."""
        return [b''.join(span) for family in self._families() for span in self._spans(family)] + [more]

    def packed(self, more: bytes = b'') -> list[bytes]:
        """The same as one gzip stream."""
        parts, crc, size = [_GZIP_HEAD], 0, 0
        for family in self._families():
            before, family.packed = family.packed, {}
            for span in self._spans(family):
                # Parts of a deflate stream that end at a whole byte and refer to nothing outside can be put together.
                data = family.packed[span] = before.get(span) or _deflated(b''.join(span))
                parts.append(data)
                for chunk in span:
                    crc = zlib.crc32(chunk, crc)
                    size += len(chunk)
        parts += [_deflated(more), _DEFLATE_END,
                  struct.pack('<II', zlib.crc32(more, crc), (size + len(more)) & 0xFFFFFFFF)]
        return parts

    # --- inside ---

    def _known_labels(self, owner: Owner, resource_type: str) -> _Known:
        """The labels of this storage's resources; they begin anew when its name changes."""
        with self._lock:
            before = self._labels.get((owner.storage_id, resource_type))
            if before is None or before[0] != owner:
                before = self._labels[owner.storage_id, resource_type] = (owner, {})
            return before[1]

    def _block(self, family: Family, storage_id: str) -> _Block:
        with self._lock:
            found = self._measured.get(family.name)
            if found is None:
                found = self._measured[family.name] = _Family(family, {})
            return found.blocks.setdefault(storage_id, _Block())

    def _families(self) -> list[_Family]:
        with self._lock:
            shown = dict(self._measured)
            if self._clock() < self._states_end:
                shown |= self._states
        return [shown[name] for name in sorted(shown)]

    def _blocks(self, family: _Family) -> list[_Block]:
        with self._lock:
            return list(family.blocks.values())

    def _spans(self, family: _Family) -> Iterator[tuple[bytes, ...]]:
        """The lines of a family with its head, some chunks at a time; nothing if there are no lines."""
        now = self._clock()
        chunks = [chunk for block in self._blocks(family) for chunk in block.current(family.family, now)]
        span: list[bytes] = [family.head]
        size = 0
        for chunk in chunks:
            span.append(chunk)
            size += len(chunk)
            if size >= _SPAN_BYTES:
                yield tuple(span)
                span, size = [], 0
        if size:
            yield tuple(span)


class _Family:
    """A metric with its blocks by storage, and what the last scrape has compressed of it."""

    def __init__(self, family: Family, blocks: dict[str, _Block], before: _Family | None = None) -> None:
        self.family = family
        self.blocks = blocks
        self.head = f'# HELP {family.name} {_help(family.help)}\n# TYPE {family.name} {family.kind}\n'.encode()
        self.packed: dict[tuple[bytes, ...], bytes] = {} if before is None else before.packed


class _Block:
    """The lines of one metric of one storage."""

    __slots__ = ('_chunks', '_ends', '_lock', 'points')

    def __init__(self, chunks: Sequence[bytes] = ()) -> None:
        self._lock = threading.Lock()
        self.points: dict[_Key, _Point] = {}
        self._chunks = chunks
        self._ends = float('inf')           # when the first of the points does

    @classmethod
    def of(cls, lines: Sequence[bytes], before: _Family | None, storage_id: str) -> _Block:
        """One of finished lines; the same as before if they are."""
        chunks = [b''.join(lines[begin:begin + _LINES]) for begin in range(0, len(lines), _LINES)]
        old = before.blocks.get(storage_id) if before is not None else None
        return old if old is not None and old._chunks == chunks else cls(chunks)

    def update(self, family: Family, points: Mapping[_Key, _Point], now: float) -> None:
        with self._lock:
            for key, point in points.items():
                old = self.points.get(key)
                if old is None or point[0] >= old[0] or old[1] <= now:
                    self.points[key] = point
            self._format(family, now)

    def current(self, family: Family, now: float) -> Sequence[bytes]:
        """The chunks, without what is too old."""
        if self._ends <= now:
            with self._lock:
                self._format(family, now)
        return self._chunks

    def _format(self, family: Family, now: float) -> None:
        if self._ends <= now:
            self.points = {key: point for key, point in self.points.items() if point[1] > now}
        name = family.name.encode()
        points = list(self.points.values())
        self._chunks = [_joined(name, points[begin:begin + _LINES]) for begin in range(0, len(points), _LINES)]
        self._ends = min((point[1] for point in points), default=float('inf'))


def _joined(name: bytes, points: Iterable[_Point]) -> bytes:
    return b''.join([part for _, _, labels, value in points for part in (name, labels, value)])


def _braces(labels: Sequence[tuple[str, str]], of_array: bool) -> bytes:
    text = written(tuple(labels))
    if of_array:
        text = f'{_NO_INSTANCE},{text}' if text else _NO_INSTANCE
    return f'{{{text}}}'.encode() if text else b''


def _value(value: float) -> bytes:
    return f' {value!r}\n'.encode()


def _help(text: str) -> str:
    return text.replace('\\', r'\\').replace('\n', r'\n')


def _deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(_LEVEL, wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush(zlib.Z_FULL_FLUSH)
