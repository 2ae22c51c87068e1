# SPDX-License-Identifier: Apache-2.0
"""A Huawei OceanStor that runs anywhere: the DeviceManager REST interface and SNMP traps around a model of an array.

Written from the facts of the protocol, not from the driver: the two share no module, table or constant, so that one
can find the other wrong.
"""

from tests.simulators.huawei.build import Sizes
from tests.simulators.huawei.firmware import DORADO_V6, EVERYTHING, OCEANSTOR_6, OLD_18800, V3, Firmware
from tests.simulators.huawei.injection import Fault
from tests.simulators.huawei.server import OceanStor

__all__ = ['DORADO_V6', 'EVERYTHING', 'OCEANSTOR_6', 'OLD_18800', 'V3', 'Fault', 'Firmware', 'OceanStor', 'Sizes']
