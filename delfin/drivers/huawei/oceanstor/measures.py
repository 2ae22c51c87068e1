# SPDX-License-Identifier: Apache-2.0
"""Which statistic of the array is which metric: its number, and the array's unit. The array tells the current sample
only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from delfin.common.constants import ResourceType
from delfin.drivers import kit
from delfin.drivers.huawei.oceanstor import codes
from delfin.drivers.kit import MetricTable, units
from delfin.drivers.kit.mapping import field_of

LOAD: Final = {
    'iops': ('22', 'IOPS'), 'readIops': ('25', 'IOPS'), 'writeIops': ('28', 'IOPS'),
    'throughput': ('21', 'MiB/s'), 'readThroughput': ('23', 'MiB/s'), 'writeThroughput': ('26', 'MiB/s'),
    'responseTime': ('370', 'us'),
}
POOLS: Final = MetricTable(ResourceType.STORAGE_POOL, LOAD)
VOLUMES: Final = MetricTable(ResourceType.VOLUME, {
    **LOAD,
    'readResponseTime': ('384', 'us'), 'writeResponseTime': ('385', 'us'),
    'cacheHitRatio': ('303', '%'), 'readCacheHitRatio': ('93', '%'), 'writeCacheHitRatio': ('95', '%'),
    'ioSize': ('228', 'KiB'), 'readIoSize': ('24', 'KiB'), 'writeIoSize': ('27', 'KiB'),
})
CONTROLLERS: Final = MetricTable(ResourceType.CONTROLLER, {**LOAD, 'cpuUsage': ('68', '%')})
PORTS: Final = MetricTable(ResourceType.PORT, LOAD)
DISKS: Final = MetricTable(ResourceType.DISK, LOAD)
ALL: Final = (POOLS, VOLUMES, CONTROLLERS, PORTS, DISKS)

# Types of ports that have statistics; Ethernet ports have none.
MEASURED_PORTS: Final = (codes.FC_PORT, codes.FCOE_PORT, codes.SAS_PORT, codes.PCIE_PORT, codes.BOND_PORT)

# The same by releases; the newest first, the oldest with the vendor's misspelling.
PATHS: Final = ('/performance_statistic/cur_statistic_data', '/performace_statistic/cur_statistic_data',
                '/performance/statdata')
_NUMBERS, _VALUES = 'CMO_STATISTIC_DATA_ID_LIST', 'CMO_STATISTIC_DATA_LIST'
_TIME = 'CMO_STATISTIC_TIMESTAMP'


def question(table: MetricTable, wanted: Mapping[str, Any], uuid: str) -> dict[str, str]:
    """The query for the current sample of an object, whose `uuid` is TYPE:ID."""
    numbers = [field for name, (field, _) in table.fields.items() if name in wanted]
    return {'CMO_STATISTIC_UUID': uuid, _NUMBERS: ','.join(numbers), 'timeConversion': '0'}


class Sample(NamedTuple):
    """Time in epoch ms, and values by their numbers."""

    time: int
    values: dict[str, str]


def sample(reply: Mapping[str, Any], question: Mapping[str, str]) -> Sample | None:
    """What an answer says; None if the array has no sample. Values stand in an order of the array's own, which it
    tells; if not, in that of the question. What is unknown is absent, or no number, or negative.
    """
    at = units.epoch_seconds(field_of(reply, _TIME))
    values = str(field_of(reply, _VALUES) or '')
    if not isinstance(at, int) or at <= 0 or not values:
        return None
    numbers = str(field_of(reply, _NUMBERS) or question[_NUMBERS])
    found = dict(zip((number.strip() for number in numbers.split(',')), values.split(','), strict=False))
    return Sample(at, {number: value for number, value in found.items() if (units.number(value) or 0) >= 0})


def capabilities() -> dict[str, Any]:
    """What can be measured."""
    return kit.capabilities(*ALL, historic=False)
