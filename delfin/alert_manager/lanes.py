# SPDX-License-Identifier: Apache-2.0
"""From the spool to the database: a thread for each lane, in the order in which its senders sent.

A lane's alerts, what it could not read, and its mark (up to which trap of the spool this is) are in one transaction
(`storing`); then the traps leave the spool. So nothing is lost and nothing counts twice, whenever the process dies.
While the database is away a lane waits; a driver that does not return costs the trap it was given, and its lane a few
seconds. When it does that with several traps of a storage, further ones of this storage fail at once until it comes
back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from sqlalchemy.exc import SQLAlchemyError

from delfin.alert_manager.interpreter import NOTHING, Interpreter, Meaning, Trap
from delfin.alert_manager.snmp import ber
from delfin.alert_manager.spool import LANES, Received, Spool, SpoolError
from delfin.alert_manager.storing import Store, Work
from delfin.common.text import first_line
from delfin.db import Database, traps

LOG = logging.getLogger(__name__)

_BATCH, _BATCH_SECONDS = 500, 1.0       # what is read is stored at the latest then, however slow a driver is
_IDLE_SECONDS = 30.0            # nobody needs to tell a lane of work, but somebody does
_RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0)
_WATCH_SECONDS = 1.0
_MOST_HANGING = 3               # of one storage: each holds a thread, and its lane has waited for it

Row = tuple[int, Received]


class _Superseded(Exception):
    """Another thread does the work of this one, which hung in a driver."""


class Lane:
    """One lane. What a `generation` of its thread has begun, only that one may finish."""

    def __init__(self, lanes: Lanes, number: int) -> None:
        self._lanes, self._number = lanes, number
        self._bell = threading.Event()
        self._lock = threading.Lock()
        self._generation = 0
        self._thread: threading.Thread | None = None
        self._reading: tuple[int, Trap, float] | None = None      # a trap, and since when a driver has it
        self._hung: set[int] = set()

    def start(self) -> None:
        """Begin, or go on in another thread."""
        self._generation += 1
        self._thread = threading.Thread(target=self._run, args=(self._generation,), daemon=True,
                                        name=f'trap-lane-{self._number}')
        self._thread.start()

    def wake(self) -> None:
        """There is something in the spool."""
        self._bell.set()

    def join(self, timeout_seconds: float) -> None:
        """Wait for the thread's end."""
        self._bell.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(timeout_seconds)

    def watch(self, timeout_seconds: float) -> None:
        """Give a thread up that a driver does not give back."""
        with self._lock:
            reading = self._reading
            if reading is None or time.monotonic() - reading[2] < timeout_seconds:
                return
            self._reading = None
            self._hung.add(reading[0])
            self._lanes.count_hanging(reading[1], 1)
            LOG.error('a driver did not read a trap within %g s; the trap is kept as failed', timeout_seconds)
            self.start()

    # --- the thread ---

    def _run(self, generation: int) -> None:
        mark: tuple[str, int] | None = None         # of which spool, up to where
        failures = 0
        while self._generation == generation and not self._lanes.stopping.is_set():
            self._bell.clear()
            try:
                if mark is None or mark[0] != self._lanes.spool.spool_id:
                    mark = self._lanes.begin(self._number)
                # Smaller ones after failures: perhaps the database takes no statements so long.
                rows = self._lanes.spool.read(self._number, mark[1], max(1, _BATCH >> 2 * failures))
                if rows:
                    mark = (mark[0], self._do(rows, generation))
                    self._lanes.remove(self._number, mark[1])
                failures = 0
            except _Superseded:
                return
            except (SQLAlchemyError, SpoolError) as error:
                mark = None
                pause = _RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)]
                failures += 1
                advice = 'has its disk room?' if isinstance(error, SpoolError) else 'is the database up?'
                LOG.warning('traps wait in the spool, next try in %g s; %s %s', pause, advice, first_line(error))
                self._lanes.stopping.wait(pause)
                continue
            except Exception:       # traps would wait for ever
                LOG.exception('lane %d of traps', self._number)
                mark = None
                self._lanes.stopping.wait(_RETRY_SECONDS[-1])
                continue
            if not rows:
                self._bell.wait(_IDLE_SECONDS)

    def _do(self, rows: Sequence[Row], generation: int) -> int:
        """Read and store; up to which trap it came."""
        work: list[Work] = []
        began = time.monotonic()
        for number, received in rows:
            work.append(self._read(number, received, generation))
            if time.monotonic() - began > _BATCH_SECONDS:
                break
        self._lanes.store(self._number, work)
        self._hung.difference_update(number for number, *_ in work)
        return work[-1][0]

    def _read(self, number: int, received: Received, generation: int) -> Work:
        try:
            trap = Trap.of(received)
        except ber.Malformed:
            self._lanes.refuse(received.source)
            return number, None, NOTHING
        with self._lock:
            if self._generation != generation:
                raise _Superseded
            if number in self._hung:
                return number, trap, Meaning(error='parse_alert did not return in time')
            if any(self._lanes.hanging[storage_id] >= _MOST_HANGING for storage_id in trap.storage_ids):
                return number, trap, Meaning(error='parse_alert has not returned yet from earlier traps')
            self._reading = number, trap, time.monotonic()
        meaning = self._lanes.interpreter.read(trap)
        with self._lock:
            if self._generation != generation:
                self._lanes.count_hanging(trap, -1)
                raise _Superseded
            self._reading = None
        return number, trap, meaning


class Lanes:
    """All lanes of a spool. `ring()` tells the task services that an alert sync is wanted, `on_change()` exporters that
    there is news; `refuse(source)` counts a malformed trap.
    """

    def __init__(self, spool: Spool, database: Database, interpreter: Interpreter, *, node: str,
                 parse_timeout_seconds: float, keep_failed: int, ring: Callable[[], None],
                 on_change: Callable[[], None], refuse: Callable[[str], None] = lambda source: None) -> None:
        self.spool, self.interpreter, self.refuse = spool, interpreter, refuse
        self.stopping = threading.Event()
        self.hanging: Counter[str] = Counter()      # how many traps of a storage a driver has not given back yet
        self._hanging_lock = threading.Lock()
        self._database = database
        self._store = Store(database, node=node, keep_failed=keep_failed, ring=ring, on_change=on_change)
        self._parse_timeout_seconds = parse_timeout_seconds
        self._lanes = [Lane(self, number) for number in range(LANES)]
        self._watcher = threading.Thread(target=self._watch, name='trap-watch', daemon=True)

    @property
    def stored(self) -> int:
        """How many reports of alerts came into the database."""
        return self._store.stored

    def start(self) -> None:
        """Begin with what an earlier life has left."""
        for lane in self._lanes:
            lane.start()
        self._watcher.start()

    def wake(self, numbers: Iterable[int]) -> None:
        """There is something new in these lanes."""
        for number in numbers:
            self._lanes[number].wake()

    def wake_all(self) -> None:
        """Look at all of them."""
        self.wake(range(LANES))

    def count_hanging(self, trap: Trap, number: int) -> None:
        """A driver does not give a trap back (1), or has done so at last (-1)."""
        with self._hanging_lock:
            for storage_id in trap.storage_ids:
                self.hanging[storage_id] += number

    def stop(self, timeout_seconds: float) -> None:
        """End after the batches under way. What is left in the spool waits for the next start."""
        deadline = time.monotonic() + timeout_seconds
        self.stopping.set()
        for lane in self._lanes:
            lane.join(max(0.0, deadline - time.monotonic()))

    def _watch(self) -> None:
        while not self.stopping.wait(_WATCH_SECONDS):
            for lane in self._lanes:
                lane.watch(self._parse_timeout_seconds)

    # --- the database ---

    def begin(self, lane: int) -> tuple[str, int]:
        """(spool, mark) from the database; what is in there already leaves the spool."""
        spool_id = self.spool.spool_id
        with self._database.read() as connection:
            mark = traps.mark(connection, spool_id, lane)
        self.remove(lane, mark)
        return spool_id, mark

    def remove(self, lane: int, mark: int) -> None:
        """What is in the database leaves the spool; if the disk does not let it, later."""
        try:
            self.spool.remove(lane, mark)
        except SpoolError as error:
            LOG.warning('traps that are in the database stay in the spool for now; has its disk room? %s', error)

    def store(self, lane: int, work: Sequence[Work]) -> None:
        """Returns when it is in the database."""
        self._store.put(self.spool.spool_id, lane, work)
