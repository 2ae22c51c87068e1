# SPDX-License-Identifier: Apache-2.0
"""The embedded history: what this node has collected, for some days, in SQLite files of its own.

Collectors only put their points into a buffer; a thread of ours writes them. Points that cannot be kept (a full disk,
more than is written in time, a clock that is wrong) are counted and told to the log, and collection goes on.

A file holds a stretch of time, named after its beginning, up to that of the next. Removing what is too old is deleting
a file.
"""

from __future__ import annotations

import bisect
import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from oslo_config import cfg

from delfin import exception
from delfin.common import locks
from delfin.common.constants import metric_struct
from delfin.db import Database
from delfin.exporter.base_exporter import MetricsListenerBase
from delfin.history import Query, Series, ordered, sheets
from delfin.history.sheets import Batch, Collected, Sheets
from delfin.metrics import Owner
from delfin.own_metrics import PROCESS, OwnMetrics

LOG = logging.getLogger(__name__)

_DAY_MS = 86_400_000
_STRETCH_MS = 6 * 3_600_000     # of one file, unless it grows too large before
_AHEAD_MS = 3_600_000           # a point of later than that has a wrong time
_PARTS = 8                      # a file has at most about this part of the room
_OPEN = 4                       # files open for writing: the newest, and those that late points go to
_BUFFER_POINTS: Final = 1_000_000       # some 100 MB
_TRIM_SECONDS = 15.0
_TELL_SECONDS = 3600.0          # between lines about what is lost for one reason
_QUERY_SECONDS = 20.0
_ROOM_BYTES = 128 << 20         # left on the disk for the others: the spool of traps, the database

_CROWDED = 'more comes than can be written'
_OUT_OF_TIME = 'their times are older than what is kept, or in the future; look at the clock of the array'
_COLUMNS = 'the array has too many different metrics'


class History(MetricsListenerBase):
    """Keeps points in `folder` for `keep_days`, in at most about `max_mb` MiB; for any thread."""

    def __init__(self, folder: Path, keep_days: float = 7, max_mb: int = 4096,
                 clock: Callable[[], float] = time.time, buffer_points: int = _BUFFER_POINTS,
                 own: OwnMetrics = PROCESS) -> None:
        self._own = own
        self._folder, self._clock, self._buffer_points = folder, clock, buffer_points
        self._keep_ms, self._max_bytes = int(keep_days * _DAY_MS), max_mb << 20
        self._changed = threading.Condition()
        self._jobs: deque[tuple[Batch | str, int]] = deque()        # a batch, or a storage to delete; how many points
        self._waiting = 0               # points in the buffer
        self._taken = self._done = 0    # jobs
        self._stopping = False
        self._starts: list[int] = []    # of the files, ascending
        self._files_lock = threading.Lock()     # whoever opens or deletes one
        self._open: dict[int, Sheets] = {}      # of the writer; the one used last stands last
        self._lost: Counter[str] = Counter()    # points by reason, since the last line about it
        self._told_at: dict[str, float] = {}
        self._total_lost = 0
        self._lock_file: int | None = None
        self._writer = threading.Thread(target=self._run, name='history', daemon=True)

    @classmethod
    def create(cls, conf: cfg.ConfigOpts) -> Self:
        """With the options of [history]."""
        folder = Path(conf.state_path) / 'history' / f'node-{quote(conf.host, safe="")}'
        return cls(folder, conf.history.keep_days, conf.history.max_mb)

    def start(self, database: Database | None = None) -> None:
        """Begin to write; `InvalidConfiguration` when the folder cannot be used."""
        try:
            self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            self._lock_file = locks.exclusive(str(self._folder / 'points'), 'the history of metrics')
            self._starts = sorted(int(path.stem) for path in self._folder.glob('*.sqlite') if path.stem.isdigit())
        except OSError as error:
            raise exception.InvalidConfiguration(
                f'the history of metrics {self._folder} cannot be used: {error.strerror}') from None
        self._writer.start()

    def stop(self, timeout_seconds: float) -> None:
        """Write what waits, as far as there is time."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._writer.is_alive():
            self._writer.join(timeout_seconds)
        if self._lock_file is not None and not self._writer.is_alive():
            os.close(self._lock_file)
            self._lock_file = None

    def collected(self, owner: Owner, resource_type: str, series: Sequence[metric_struct],
                  interval_seconds: float) -> None:
        """See `MetricsListenerBase.collected`. A point that comes again is the same point, with the new value."""
        batch = Batch.of(owner.storage_id, resource_type, series)
        points = batch.points(batch.rows)
        if points and not self._put(batch, points):
            self._lose(_CROWDED, points)

    def delete(self, storage_id: str) -> None:
        """Remove all points of a storage that is removed."""
        self._put(storage_id, 0)

    def wait_written(self, timeout_seconds: float) -> bool:
        """Wait until all is on the disk that has come so far; whether it is."""
        with self._changed:
            taken = self._taken
            return self._changed.wait_for(lambda: self._done >= taken, timeout_seconds)

    @property
    def lost(self) -> int:
        """Points that came and were not kept, since the start."""
        return self._total_lost

    # --- reading ---

    def query(self, wanted: Query) -> list[Series]:
        """See `Reader.query`."""
        until = time.monotonic() + _QUERY_SECONDS
        oldest = int(self._clock() * 1000) - self._keep_ms
        wanted = Query(wanted.storage_id, wanted.resource_type, wanted.metrics, wanted.resource_ids,
                       max(wanted.start_ms, oldest), wanted.end_ms, wanted.step_ms)
        if wanted.start_ms >= wanted.end_ms:
            return []
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(contextlib.closing(connection))
                           for connection in self._readers(wanted, until)]
            try:
                return _read(connections, wanted)
            except sqlite3.Error as error:
                if getattr(error, 'sqlite_errorcode', None) == sqlite3.SQLITE_INTERRUPT:
                    raise exception.InvalidInput(
                        f'Reading takes longer than {_QUERY_SECONDS:g} seconds; ask for a shorter time, or name '
                        'resources (resource_id).') from None
                raise _unreadable(error) from None

    def _readers(self, wanted: Query, until: float) -> list[sqlite3.Connection]:
        """Connections to the files of that time, oldest first."""
        opened: list[sqlite3.Connection] = []
        try:
            with self._files_lock:      # or one is deleted before it is open
                for place, start in enumerate(self._starts):
                    end = self._starts[place + 1] if place + 1 < len(self._starts) else wanted.finish_ms
                    if start < wanted.finish_ms and end > wanted.begin_ms:
                        opened.append(sheets.open_reader(self._path(start), until))
        except sqlite3.Error as error:
            for connection in opened:
                connection.close()
            raise _unreadable(error) from None
        return opened

    # --- the buffer ---

    def _put(self, job: Batch | str, points: int) -> bool:
        with self._changed:
            if self._stopping:
                return True
            if points and self._waiting + points > self._buffer_points:
                return False
            self._jobs.append((job, points))
            self._waiting += points
            self._taken += 1
            self._changed.notify_all()
        return True

    def _run(self) -> None:
        trim_at = 0.0
        try:
            while (job := self._next(trim_at)) is not None or not self._stopping:
                if job is not None:
                    self._guarded(self._write, job)
                    with self._changed:
                        self._done += 1
                        self._changed.notify_all()
                if time.monotonic() >= trim_at:
                    self._guarded(self._trim)
                    trim_at = time.monotonic() + _TRIM_SECONDS
        finally:
            self._close_files()

    def _next(self, trim_at: float) -> Batch | str | None:
        """What is to be done next; None when it is time to look after the files, or to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._stopping, max(0.0, trim_at - time.monotonic()))
            if not self._jobs:
                return None
            job, points = self._jobs.popleft()
            self._waiting -= points
            return job

    def _guarded(self, action: Callable[..., None], *arguments: object) -> None:
        """The writer must survive. What goes wrong with files is dealt with where it does; this is for bugs."""
        try:
            action(*arguments)
        except Exception:
            LOG.exception('the history of metrics met a bug of ours and goes on')

    # --- writing ---

    def _write(self, job: Batch | str) -> None:
        if isinstance(job, str):
            self._delete(job)
            return
        now = int(self._clock() * 1000)
        in_time = [moment for moment in job.rows if now - self._keep_ms <= moment <= now + _AHEAD_MS]
        if len(in_time) < len(job.rows):
            self._lose(_OUT_OF_TIME, job.points(set(job.rows) - set(in_time)))
        while in_time:
            moments: list[int] = []
            try:
                self._check_room()
                with self._file_at(min(in_time)) as (file, end):
                    moments = [moment for moment in in_time if end is None or moment < end]
                    self._lose(_COLUMNS, file.put(job, moments))
            except (sqlite3.Error, OSError) as error:
                self._close_files()
                self._lose(f'they cannot be written: {error}', job.points(in_time))
                return
            in_time = [moment for moment in in_time if moment not in set(moments)]

    @contextlib.contextmanager
    def _file_at(self, moment: int) -> Iterator[tuple[Sheets, int | None]]:
        """The file for a moment, and where the next one begins. A damaged one is removed."""
        place = bisect.bisect_right(self._starts, moment) - 1
        start = self._starts[place] if place >= 0 else self._begin(moment - moment % _STRETCH_MS)
        if place >= 0 and place == len(self._starts) - 1:
            start = self._perhaps_next(start, moment)
        later = self._starts[self._starts.index(start) + 1:]
        with self._damage_of(start):
            yield self._opened(start), later[0] if later else None

    def _perhaps_next(self, start: int, moment: int) -> int:
        """The newest file, or a new one behind it when that is long or large enough. No moment is in two files."""
        with self._damage_of(start):
            file = self._opened(start)
            if moment - start >= _STRETCH_MS or file.size() >= self._max_bytes // _PARTS:
                begin = max(file.last_ms + 1, moment - moment % _STRETCH_MS)
                if start < begin <= moment:
                    return self._begin(begin)
        return start

    def _begin(self, start: int) -> int:
        sheets.remove(self._path(start))        # a log without a file would be taken for that of the new one
        self._opened(start)
        with self._files_lock:
            bisect.insort(self._starts, start)
        return start

    def _opened(self, start: int) -> Sheets:
        file = self._open.pop(start, None) or Sheets(self._path(start))
        self._open[start] = file
        while len(self._open) > _OPEN:
            self._open.pop(next(iter(self._open))).close()
        return file

    @contextlib.contextmanager
    def _damage_of(self, start: int) -> Iterator[None]:
        """Removes the file if it turns out to be damaged: a new one takes its place."""
        try:
            yield
        except sqlite3.Error as error:
            if sheets.is_damaged(error):
                LOG.error('a file of the history of metrics is damaged (%s) and removed with the points in it: %s',
                          error, self._path(start))
                self._remove(start)
            raise

    def _delete(self, storage_id: str) -> None:
        for start in list(self._starts):
            try:
                with self._damage_of(start):
                    self._opened(start).delete(storage_id)
            except (sqlite3.Error, OSError) as error:
                LOG.warning('metrics of the removed storage %s stay in %s until they are too old: %s', storage_id,
                            self._path(start), error)

    def _check_room(self) -> None:
        disk = os.statvfs(self._folder)
        room = disk.f_bavail * disk.f_frsize
        if room < _ROOM_BYTES:
            raise OSError(f'its disk has room for less than {_ROOM_BYTES >> 20} MiB')

    # --- what goes ---

    def _trim(self) -> None:
        """Delete files that are too old, then the oldest until the rest fits. Say what was lost since."""
        try:
            self._trim_files()
        except (sqlite3.Error, OSError) as error:
            LOG.warning('old metrics could not be removed; the next try is in %g s: %s', _TRIM_SECONDS, error)
        for reason in list(self._lost):
            self._tell(reason)

    def _trim_files(self) -> None:
        cutoff = int(self._clock() * 1000) - self._keep_ms
        while len(self._starts) > 1 and self._starts[1] <= cutoff:
            self._remove(self._starts[0])
        if len(self._starts) == 1 and self._starts[0] + _STRETCH_MS <= cutoff:      # nothing came for long
            with self._damage_of(self._starts[0]):
                last_ms = self._opened(self._starts[0]).last_ms
            if last_ms < cutoff:
                self._remove(self._starts[0])
        sizes = {start: sheets.size_of(self._path(start)) for start in self._starts}
        while len(self._starts) > 1 and sum(sizes.values()) > self._max_bytes:
            start = self._starts[0]
            LOG.warning('the history of metrics goes back only to %s: it has no more than [history] max_mb of room',
                        time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(self._starts[1] / 1000)))
            self._remove(start)
            del sizes[start]

    def _remove(self, start: int) -> None:
        with self._files_lock:
            file = self._open.pop(start, None)
            if file is not None:
                file.close()
            sheets.remove(self._path(start))
            self._starts.remove(start)

    def _close_files(self) -> None:
        for file in self._open.values():
            with contextlib.suppress(sqlite3.Error):        # what is in its log is read from there
                file.close()
        self._open.clear()

    def _path(self, start: int) -> Path:
        return self._folder / f'{start}.sqlite'

    def _lose(self, reason: str, points: int) -> None:
        if points:
            with self._changed:
                self._lost[reason] += points
                self._total_lost += points
            self._own.points_missing(points)
            self._tell(reason)

    def _tell(self, reason: str) -> None:
        """One line at once, then one an hour for what has come together."""
        now = time.monotonic()
        with self._changed:
            if not self._lost[reason] or now - self._told_at.get(reason, float('-inf')) < _TELL_SECONDS:
                return
            points = self._lost.pop(reason)
            self._told_at[reason] = now
        LOG.warning('%d points of metrics are missing in the history (collection goes on): %s', points, reason)


def _read(connections: Sequence[sqlite3.Connection], wanted: Query) -> list[Series]:
    found = [one for connection in connections if (one := sheets.find(connection, wanted)) is not None]
    count = len({(native_id, name, unit) for one in found for native_id, _ in one.resources.values()
                 for _, name, unit in one.metrics})
    wanted.check(count)
    collected = Collected(wanted)
    for one in found:
        if not collected.add(one):
            raise wanted.too_much(count)
    return ordered(collected.series())


def _unreadable(error: sqlite3.Error) -> exception.ServiceUnavailable:
    return exception.ServiceUnavailable(f'the history of metrics cannot be read: {error}; see the log of the task '
                                        'service')
