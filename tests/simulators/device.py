# SPDX-License-Identifier: Apache-2.0
"""Two simulated arrays of one kind for `delfin-compliance`, which tell the truth about themselves and fail when they
are asked to. What depends on the vendor is said by a subclass in the simulator's `device.py`.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, ClassVar, Self

from delfin.access import Access
from delfin.alert_manager.snmp import ber
from delfin.drivers.compliance.device import Device

_TRAP_SECONDS = 5.0


class ArrayDevice(Device):
    """`first` is looked at, `second` is another array of its kind; `driver` the name of the driver."""

    mode: ClassVar[str] = 'simulator'
    may_change = True
    driver: ClassVar[str]

    def __init__(self, first: Any, second: Any) -> None:
        super().__init__({})
        self._array, self._other = first, second

    def _section(self, array: Any) -> dict[str, Any]:
        """The section of the access information and what is in it beside address and account."""
        raise NotImplementedError

    def _fail(self, control: Any) -> None:
        """Let everything go wrong."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._array.__enter__()
        self._other.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._other.__exit__(kind, error, trace)
        self._array.__exit__(kind, error, trace)

    def access(self) -> Access:
        """See `Device`."""
        return self._access_to(self._array)

    def another(self) -> Access | None:
        """See `Device`."""
        return self._access_to(self._other)

    def _access_to(self, array: Any) -> Access:
        vendor, _, model = self.driver.partition(' ')
        return {'vendor': vendor, 'model': model, **{name: {
            'host': array.host, 'port': array.port, 'username': array.username, 'password': array.password, **more}
            for name, more in self._section(array).items()}}

    def failing(self) -> contextlib.AbstractContextManager[None] | None:
        """See `Device`."""
        return self._failing()

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        self._fail(self._array.control)
        try:
            yield
        finally:
            self._array.control.unspoil()

    def _trap(self, send: Callable[[], object]) -> Mapping[str, str]:
        """A real trap, sent and received."""
        agent = self._array.agent
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(('127.0.0.1', 0))
            receiver.settimeout(_TRAP_SECONDS)
            manager = agent.add('127.0.0.1', receiver.getsockname()[1])
            try:
                send()
                datagram = receiver.recv(65535)
            finally:
                agent.remove(manager)
                agent.close()
        message = ber.read(datagram)
        assert isinstance(message, ber.Message)
        return ber.trap_variables(ber.read_pdu(datagram[message.body]))
