# SPDX-License-Identifier: Apache-2.0
"""Two simulated OceanStors for `delfin-compliance`:
`delfin-compliance --driver "huawei oceanstor" --simulator tests.simulators.huawei.device:OceanStorDevice`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from delfin.common.constants import Category
from tests.simulators.device import ArrayDevice
from tests.simulators.huawei.build import Sizes
from tests.simulators.huawei.control import OceanStorControl
from tests.simulators.huawei.firmware import EVERYTHING
from tests.simulators.huawei.server import OceanStor
from tests.simulators.huawei.truth import truth

_UPGRADE_IN_PROGRESS = 1077949021


class OceanStorDevice(ArrayDevice):
    """Of a firmware that knows everything there is."""

    driver: ClassVar[str] = 'huawei oceanstor'

    def __init__(self) -> None:
        super().__init__(OceanStor('compliance', Sizes(luns=120), firmware=EVERYTHING),
                         OceanStor('another', Sizes(luns=20), firmware=EVERYTHING))

    def _section(self, array: OceanStor) -> dict[str, Any]:
        return {'rest': {'ca_cert': array.ca_pem}}

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

    def _fail(self, control: OceanStorControl) -> None:
        control.spoil(code=_UPGRADE_IN_PROGRESS, method='GET', times=None)
        control.spoil('server', code=_UPGRADE_IN_PROGRESS, times=None)

    def trap_of(self, alert: Mapping[str, Any], category: str) -> Mapping[str, str] | None:
        """See `Device`. The array tells nobody of informational alarms."""
        alarm = self._array.alarms.find(int(alert['sequence_number']))
        if alarm.type.severity == 'informational':
            return None
        return self._trap(lambda: self._array.agent.announce(alarm, category == Category.RECOVERY))
