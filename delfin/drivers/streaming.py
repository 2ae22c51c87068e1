# SPDX-License-Identifier: Apache-2.0
"""What goes from the thread of a driver call to the thread that asked: an answer, rows in chunks, or an error.

A driver's generator runs in the thread of its call from the first row to the last, since many drivers bind sessions to
threads. Its rows go over in lists of `CHUNK_ROWS` through a queue of `_CHUNKS_WAITING`, so locks are taken once for a
list, memory holds a few lists, and a slow consumer makes the driver wait. This waiting is not the driver's fault:
whenever the consumer takes a list while the driver waits, the deadline moves by as long as the driver has waited.
"""

from __future__ import annotations

import abc
import contextlib
import itertools
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Any

CHUNK_ROWS = 1000
_CHUNKS_WAITING = 2


class Source(abc.ABC):
    """Rows that come: lists, made by iterating it (once, in the call's own thread)."""

    @abc.abstractmethod
    def __iter__(self) -> Generator[list[Any], None, None]:
        """Closing the generator ends the driver's, too."""

    @abc.abstractmethod
    def stop(self) -> None:
        """End at the next row, without the rows that were not handed over yet. From any thread; never blocks."""


class Chunks(Source):
    """The source of an iterator of rows. However its iteration ends, it closes the iterator."""

    def __init__(self, rows: Iterator[Any]) -> None:
        self._rows = rows
        self._stopped = False

    def stop(self) -> None:
        """See `Source`."""
        self._stopped = True

    def __iter__(self) -> Generator[list[Any], None, None]:
        """See `Source`."""
        try:
            while not self._stopped:
                chunk: list[Any] = []
                for row in itertools.islice(self._rows, CHUNK_ROWS):
                    chunk.append(row)
                    if self._stopped:
                        return
                if not chunk:
                    return
                yield chunk
        finally:
            close = getattr(self._rows, 'close', None)
            if close is not None:
                close()


class Handover:
    """One call between its two threads. Time is what `clock` says.

    `overdue` is called (by the thread that waits) when the deadline has passed. It must `give_up`, which fails if the
    call has ended meanwhile. `clean` makes what the consumer gets of what the driver raised.
    """

    def __init__(self, deadline: float, clock: Callable[[], float], overdue: Callable[[Handover], None],
                 clean: Callable[[BaseException], Exception]) -> None:
        self._changed = threading.Condition()
        self._deadline = deadline
        self._clock = clock
        self._overdue = overdue
        self._clean = clean
        self._source: Source | None = None
        self._chunks: deque[list[Any]] = deque()
        self._waiting_since: float | None = None        # the driver, for the consumer
        self._ended = False
        self._given_up = False
        self._left = False
        self._answer: Any = None
        self._error: BaseException | None = None        # what the driver raised
        self._refusal: Exception | None = None          # what the consumer is told instead of anything else

    # --- the thread of the call ---

    @property
    def wanted(self) -> bool:
        """Whether anybody still waits for the call."""
        return not (self._left or self._refusal)

    def pass_on(self, source: Source) -> None:
        """Hand over all rows of a source, or as many as are wanted. Raises what the source raises."""
        with self._changed:
            self._source = source
            if not self.wanted:
                source.stop()
            self._changed.notify_all()
        with contextlib.closing(iter(source)) as chunks:
            for chunk in chunks:
                if not self._put(chunk):
                    return

    def _put(self, chunk: list[Any]) -> bool:
        with self._changed:
            while self.wanted and len(self._chunks) >= _CHUNKS_WAITING:
                if self._waiting_since is None:
                    self._waiting_since = self._clock()
                self._changed.wait()
            if not self.wanted:
                return False
            self._chunks.append(chunk)
            self._changed.notify_all()
            return True

    def end(self, answer: Any, error: BaseException | None) -> bool:
        """The call has ended; False when it had been given up."""
        with self._changed:
            self._ended = True
            self._answer, self._error = answer, error
            self._changed.notify_all()
            return not self._given_up

    # --- the thread that asked ---

    def answer(self) -> Any:
        """Wait for the answer, or for an iterator of the rows that come. Raises what went wrong, cleaned."""
        self._wait(lambda: self._source is not None)
        with self._changed:
            if self._refusal is None and self._source is not None:
                return self._rows()
            self._raise()
            return self._answer

    def _rows(self) -> Iterator[Any]:
        while (chunk := self._next_chunk()) is not None:
            yield from chunk

    def _next_chunk(self) -> list[Any] | None:
        """The next rows, None after the last."""
        if self._left:
            raise RuntimeError('rows of a driver can only be read while the call is open')
        self._wait(lambda: bool(self._chunks))
        with self._changed:
            if self._refusal is None and self._chunks:
                self._go_on()
                return self._chunks.popleft()
            self._raise()
            return None

    def leave(self) -> bool:
        """Nothing more is wanted. True when the driver has ended, or nobody cares whether it does."""
        with self._changed:
            self._left = True
            self._chunks.clear()
            self._go_on()
            self._stop_source()
            return self._ended or self._refusal is not None

    def watch(self) -> None:
        """Wait until a call that was left ends, or is given up."""
        self._wait(lambda: False)

    def _wait(self, ready: Callable[[], bool]) -> None:
        while True:
            with self._changed:
                while not (ready() or self._ended or self._refusal):
                    left = self._deadline - self._clock()
                    if left <= 0:
                        break
                    self._changed.wait(left)
                else:
                    return
            self._overdue(self)         # without our lock: whoever decides holds others

    def _raise(self) -> None:
        if self._refusal is not None:
            raise self._refusal
        if self._error is not None:
            raise self._clean(self._error)

    def _go_on(self) -> None:
        """The driver need not wait any longer; the deadline moves by as long as it has."""
        if self._waiting_since is not None:
            self._deadline += self._clock() - self._waiting_since
            self._waiting_since = None
        self._changed.notify_all()

    # --- others ---

    def give_up(self, error: Exception) -> bool:
        """The deadline has passed: the consumer gets `error`. False when the call has ended or nobody wants it."""
        with self._changed:
            if self._ended or self._refusal:
                return False
            self._given_up = True
            self._refuse(error)
            return True

    def refuse(self, error: Exception) -> None:
        """The consumer gets `error` now, unless all is there already."""
        with self._changed:
            if not (self._ended or self._refusal):
                self._refuse(error)

    def _refuse(self, error: Exception) -> None:
        self._refusal = error
        self._stop_source()
        self._changed.notify_all()

    def _stop_source(self) -> None:
        if self._source is not None:
            self._source.stop()
