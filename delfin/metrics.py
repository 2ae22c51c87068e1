# SPDX-License-Identifier: Apache-2.0
"""What can be measured: metrics with their units, the resource types that have them, and whose points they are.

Units are those of drivers: operations a second, MB/s of 2^20 bytes, ms, KB of 1024 bytes, per cent. Exporters that want
others convert.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from delfin.common import constants
from delfin.common.constants import Metric, ResourceType

# The sixteen by name. Every resource type may have any of them: which ones make sense is for the array to say.
METRICS: Final[Mapping[str, Metric]] = {
    metric.name: metric for metric in vars(constants).values() if isinstance(metric, Metric)}

# Resource type -> the kind of the inventory whose native ids are the resource ids; None: the storage itself.
KINDS_OF: Final[Mapping[str, str | None]] = {
    ResourceType.STORAGE: None,
    ResourceType.STORAGE_POOL: 'storage_pools',
    ResourceType.VOLUME: 'volumes',
    ResourceType.CONTROLLER: 'controllers',
    ResourceType.PORT: 'ports',
    ResourceType.DISK: 'disks',
    ResourceType.FILESYSTEM: 'filesystems',
    ResourceType.SHARE: 'shares',
}

# Metrics of a vendor's own begin so: their names and units mean what the vendor says.
VENDOR_PREFIX: Final = 'x_'
VENDOR_NAME: Final = re.compile(r'x_[A-Za-z][A-Za-z0-9_]{0,61}')
UNIT_LENGTH: Final = 32

RAW: Final = 'RAW'      # label `type` of a point as it was measured


@dataclass(frozen=True, slots=True)
class Owner:
    """The storage whose points they are, as it is known when they are collected."""

    storage_id: str
    name: str
    vendor: str
    model: str
    serial_number: str


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a resource type is collected. After `failures` in a row it is not tried before `retry_at` (epoch s)."""

    until: int
    failures: int = 0
    retry_at: float = 0.0
    newest: int | None = None


class Gap(NamedTuple):
    """Metrics of a time that are lost."""

    resource_type: str
    begin: int
    end: int
    reason: str
