# SPDX-License-Identifier: Apache-2.0
"""Two simulated Storwizes for `delfin-compliance`, which tell the truth about themselves and fail when they are asked
to: `delfin-compliance --driver "ibm storwize_svc" --simulator tests.simulators.ibm.device:StorwizeDevice`.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, ClassVar, Self

from delfin.access import Access
from delfin.alert_manager.snmp import ber
from delfin.common.constants import Category
from delfin.drivers.compliance.device import Device
from tests.simulators.ibm.build import Sizes
from tests.simulators.ibm.levels import INSPUR, V8_7, Level
from tests.simulators.ibm.server import Storwize
from tests.simulators.ibm.truth import truth

_TRAP_SECONDS = 5.0


class StorwizeDevice(Device):
    """Of a level that knows everything there is."""

    mode: ClassVar[str] = 'simulator'
    may_change = True
    driver: ClassVar[str] = 'ibm storwize_svc'
    vendor: ClassVar[str] = 'IBM'
    level: ClassVar[Level] = V8_7

    def __init__(self) -> None:
        super().__init__({})
        self._array = Storwize('compliance', Sizes(), level=self.level)
        self._other = Storwize('another', Sizes(volumes=20), level=self.level)

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

    def _access_to(self, array: Storwize) -> Access:
        vendor, _, model = self.driver.partition(' ')
        return {'vendor': vendor, 'model': model, 'ssh': {
            'host': array.host, 'port': array.port, 'username': array.username, 'password': array.password,
            'pub_key': array.host_key}}

    def truth(self) -> Mapping[str, list[dict[str, Any]]] | None:
        """See `Device`."""
        return truth(self._array, self.vendor)

    def sessions(self) -> int | None:
        """See `Device`."""
        return self._array.sessions + self._other.sessions

    def expire_sessions(self) -> bool:
        """See `Device`."""
        self._array.control.hang_up()
        return True

    def failing(self) -> contextlib.AbstractContextManager[None] | None:
        """See `Device`."""
        return self._failing()

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        self._array.control.spoil('', code='CMMVC9999E', times=None)
        try:
            yield
        finally:
            self._array.control.unspoil()

    def trap_of(self, alert: Mapping[str, Any], category: str) -> Mapping[str, str] | None:
        """See `Device`. A real trap, sent and received. The array tells no end of what it has told."""
        if category == Category.RECOVERY:
            return None
        array = self._array
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(('127.0.0.1', 0))
            receiver.settimeout(_TRAP_SECONDS)
            manager = array.agent.add('127.0.0.1', receiver.getsockname()[1])
            try:
                array.agent.announce(array.events.find(int(alert['sequence_number'])))
                datagram = receiver.recv(65535)
            finally:
                array.agent.remove(manager)
                array.agent.close()
        message = ber.read(datagram)
        assert isinstance(message, ber.Message)
        return ber.trap_variables(ber.read_pdu(datagram[message.body]))


class As5500Device(StorwizeDevice):
    """An Inspur array, which knows commands only behind prefixes."""

    driver: ClassVar[str] = 'inspur as5500'
    vendor: ClassVar[str] = 'Inspur'
    level: ClassVar[Level] = INSPUR
