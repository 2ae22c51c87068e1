# SPDX-License-Identifier: Apache-2.0
"""The life of a simulated array, whatever it speaks: it serves, may be controlled over HTTP, and its numbers move."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Protocol, Self

from tests.simulators.control import Control, ControlServer


class ArrayServer(Protocol):
    """What clients of the array meet."""

    host: str
    port: int
    connections: int

    def __enter__(self) -> Self: ...

    def close(self) -> None:
        """End everything."""

    def hang_up(self) -> object:
        """Close all connections."""


class Simulated:
    """Building one takes its ports, entering it serves, leaving it ends all connections and threads.

    A subclass makes `model` and `agent` (who sends its traps) and calls `_live`; `username` and `password` let one in.
    """

    model: Any
    agent: Any
    username: str
    password: str

    def _live(self, server: ArrayServer, control: Control, control_port: int | None, move_every: float | None) -> None:
        """`control_port`: where the control interface listens (0 takes a free one, None: there is none); `move_every`
        seconds between changes of used capacities (None: only `model.move()` changes them)."""
        self._array_server = server
        self._control_server: ControlServer | None = None if control_port is None else control._server(control_port)
        self._stopping = threading.Event()
        self._mover = threading.Thread(target=self._move, args=(move_every,), name='simulator-moves', daemon=True) \
            if move_every else None

    @property
    def host(self) -> str:
        return self._array_server.host

    @property
    def port(self) -> int:
        return self._array_server.port

    @property
    def control_url(self) -> str | None:
        """Of the control interface, if there is one."""
        return self._control_server.url if self._control_server else None

    @property
    def connections(self) -> int:
        """How many were accepted."""
        return self._array_server.connections

    def hang_up(self) -> None:
        """Close all connections."""
        self._array_server.hang_up()

    def __enter__(self) -> Self:
        self._array_server.__enter__()
        if self._control_server:
            self._control_server.__enter__()
        if self._mover:
            self._mover.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stopping.set()
        self._array_server.close()
        if self._control_server:
            self._control_server.close()
        if self._mover:
            self._mover.join()
        self.agent.close()

    def _move(self, every: float) -> None:
        while not self._stopping.wait(every):
            self.model.move()
