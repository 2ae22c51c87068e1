# SPDX-License-Identifier: Apache-2.0
"""Two simulated Storwizes for `delfin-compliance`:
`delfin-compliance --driver "ibm storwize_svc" --simulator tests.simulators.ibm.device:StorwizeDevice`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from delfin.common.constants import Category
from tests.simulators.device import ArrayDevice
from tests.simulators.ibm.build import Sizes
from tests.simulators.ibm.control import StorwizeControl
from tests.simulators.ibm.levels import INSPUR, V8_7, Level
from tests.simulators.ibm.server import Storwize
from tests.simulators.ibm.truth import truth


class StorwizeDevice(ArrayDevice):
    """Of a level that knows everything there is."""

    driver: ClassVar[str] = 'ibm storwize_svc'
    vendor: ClassVar[str] = 'IBM'
    level: ClassVar[Level] = V8_7

    def __init__(self) -> None:
        super().__init__(Storwize('compliance', Sizes(), level=self.level),
                         Storwize('another', Sizes(volumes=20), level=self.level))

    def _section(self, array: Storwize) -> dict[str, Any]:
        return {'ssh': {'pub_key': array.host_key}}

    def truth(self) -> Mapping[str, list[dict[str, Any]]] | None:
        """See `Device`."""
        return truth(self._array, self.vendor)

    def sessions(self) -> int | None:
        """See `Device`."""
        return int(self._array.sessions + self._other.sessions)

    def expire_sessions(self) -> bool:
        """See `Device`."""
        self._array.control.hang_up()
        return True

    def _fail(self, control: StorwizeControl) -> None:
        control.spoil('', code='CMMVC9999E', times=None)

    def trap_of(self, alert: Mapping[str, Any], category: str) -> Mapping[str, str] | None:
        """See `Device`. The array tells no end of what it has told."""
        if category == Category.RECOVERY:
            return None
        event = self._array.events.find(int(alert['sequence_number']))
        return self._trap(lambda: self._array.agent.announce(event))


class As5500Device(StorwizeDevice):
    """An Inspur array, which knows commands only behind prefixes."""

    driver: ClassVar[str] = 'inspur as5500'
    vendor: ClassVar[str] = 'Inspur'
    level: ClassVar[Level] = INSPUR
