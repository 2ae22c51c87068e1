# SPDX-License-Identifier: Apache-2.0
"""Two simulated OceanStors for `delfin-compliance`, which tell the truth about themselves and fail when they are asked
to: `delfin-compliance --driver "huawei oceanstor" --simulator tests.simulators.huawei.device:OceanStorDevice`.
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
from tests.simulators.huawei.build import Sizes
from tests.simulators.huawei.firmware import EVERYTHING
from tests.simulators.huawei.server import OceanStor
from tests.simulators.huawei.truth import truth

_TRAP_SECONDS = 5.0
_UPGRADE_IN_PROGRESS = 1077949021


class OceanStorDevice(Device):
    """Of a firmware that knows everything there is."""

    mode: ClassVar[str] = 'simulator'
    may_change = True
    driver: ClassVar[str] = 'huawei oceanstor'

    def __init__(self) -> None:
        super().__init__({})
        self._array = OceanStor('compliance', Sizes(luns=120), firmware=EVERYTHING)
        self._other = OceanStor('another', Sizes(luns=20), firmware=EVERYTHING)

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

    def _access_to(self, array: OceanStor) -> Access:
        vendor, _, model = self.driver.partition(' ')
        return {'vendor': vendor, 'model': model, 'rest': {
            'host': array.host, 'port': array.port, 'username': array.username, 'password': array.password,
            'ca_cert': array.ca_pem}}

    def truth(self) -> Mapping[str, list[dict[str, Any]]] | None:
        """See `Device`."""
        return truth(self._array)

    def sessions(self) -> int | None:
        """See `Device`."""
        return len(self._array.sessions.open) + len(self._other.sessions.open)

    def expire_sessions(self) -> bool:
        """See `Device`."""
        self._array.control.expire_sessions()
        return True

    def failing(self) -> contextlib.AbstractContextManager[None] | None:
        """See `Device`."""
        return self._upgrading()

    @contextlib.contextmanager
    def _upgrading(self) -> Iterator[None]:
        control = self._array.control
        control.spoil(code=_UPGRADE_IN_PROGRESS, method='GET', times=None)
        control.spoil('server', code=_UPGRADE_IN_PROGRESS, times=None)
        try:
            yield
        finally:
            control.unspoil()

    def trap_of(self, alert: Mapping[str, Any], category: str) -> Mapping[str, str] | None:
        """See `Device`. A real trap, sent and received; the array tells nobody of informational alarms."""
        array = self._array
        alarm = array.alarms.find(int(alert['sequence_number']))
        if alarm.type.severity == 'informational':
            return None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(('127.0.0.1', 0))
            receiver.settimeout(_TRAP_SECONDS)
            manager = array.agent.add('127.0.0.1', receiver.getsockname()[1])
            try:
                array.agent.announce(alarm, category == Category.RECOVERY)
                datagram = receiver.recv(65535)
            finally:
                array.agent.delete(manager)
                array.agent.close()
        message = ber.read(datagram)
        assert isinstance(message, ber.Message)
        return ber.trap_variables(ber.read_pdu(datagram[message.body]))
