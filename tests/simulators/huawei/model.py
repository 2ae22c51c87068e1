# SPDX-License-Identifier: Apache-2.0
"""The array behind the simulator: plain objects in neutral terms.

Capacities are bytes, speeds bit/s, times epoch seconds; health, state and kinds are words; a relation is the id of the
other. None is what the array does not know. How all this looks on the wire is the business of `views`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.simulators.objects import Objects

PORT_KINDS = ('fc_port', 'fcoe_port', 'eth_port', 'pcie_port', 'bond_port', 'sas_port')
SHARE_KINDS = ('cifs_share', 'nfs_share', 'ftp_share')
INITIATOR_KINDS = ('fc_initiator', 'iscsi_initiator', 'ib_initiator')
KINDS = ('controller', *PORT_KINDS, 'pool', 'disk', 'lun', 'filesystem', 'qtree', 'quota', *SHARE_KINDS, 'host',
         *INITIATOR_KINDS, 'host_group', 'lun_group', 'port_group', 'mapping_view')


@dataclass(slots=True)
class System:
    """The array itself. `product` is the name of its model."""

    id: str                     # serial number
    name: str
    product: str
    location: str
    description: str
    wwn: str
    health: str = 'normal'
    state: str = 'normal'


@dataclass(slots=True)
class Controller:
    """One of the array's controllers."""

    id: str
    name: str
    location: str
    enclosure: str
    software: str
    cpu: str
    memory: int
    master: bool
    health: str = 'normal'
    state: str = 'online'


@dataclass(slots=True)
class Port:
    """Of any kind. `role` is what it is for; `ipv6_prefix` is a length."""

    id: str
    name: str
    location: str
    parent: str                 # controller, or interface module of one
    controller: str
    role: str | None
    speed: int | None
    max_speed: int | None
    wwn: str = ''
    mac: str = ''
    ipv4: str = ''
    ipv4_mask: str = ''
    ipv6: str = ''
    ipv6_prefix: int | None = None
    health: str = 'normal'
    state: str = 'link up'


@dataclass(slots=True)
class Pool:
    """What it holds of is said by those in it: see `Model.usage`. `serves` is block, file or both."""

    id: str
    name: str
    domain: str
    serves: str
    total: int
    health: str = 'normal'
    state: str = 'online'


@dataclass(slots=True)
class Disk:
    """`score` is 0 to 100, 255 for not rated, or None; `domain` that of its pool if it is a member or spare."""

    id: str
    location: str
    manufacturer: str
    model: str
    serial: str
    firmware: str
    technology: str
    role: str
    rpm: int
    sectors: int
    sector_size: int
    score: int | None
    temperature: int
    domain: str | None = None
    health: str = 'normal'
    state: str = 'online'

    @property
    def capacity(self) -> int:
        return self.sectors * self.sector_size


@dataclass(slots=True)
class Lun:
    """`block_size` is what hosts see. `compressed` and `deduplicated` are None where the array does not say."""

    id: str
    name: str
    description: str
    pool: str
    controller: str
    wwn: str
    capacity: int
    allocated: int
    thin: bool
    compressed: bool | None
    deduplicated: bool | None
    block_size: int
    workload: str
    iops: float                 # on average while its workload is at its busiest
    health: str = 'normal'
    state: str = 'online'


@dataclass(slots=True)
class FileSystem:
    """`worm` is none, compliance, audit log or enterprise."""

    id: str
    name: str
    pool: str
    controller: str
    capacity: int
    allocated: int
    thin: bool
    compressed: bool
    deduplicated: bool
    block_size: int
    worm: str
    workload: str
    iops: float
    health: str = 'normal'
    state: str = 'online'

    @property
    def available(self) -> int:
        return self.capacity - self.allocated


@dataclass(slots=True)
class Qtree:
    """`security` is mixed, native, ntfs, unix or None. One without a name stands for the root of its file system."""

    id: str
    name: str
    filesystem: str
    security: str | None


@dataclass(slots=True)
class Quota:
    """Of a file system, or of a qtree in it. `type` is tree, user or group; a limit that is not set is None."""

    id: str
    filesystem: str
    qtree: str | None
    type: str
    owner: str
    space_hard: int | None
    space_soft: int | None
    files_hard: int | None
    files_soft: int | None
    space_used: int
    files_used: int


@dataclass(slots=True)
class Share:
    """An NFS share may have no name; `user` is that of an FTP share."""

    id: str
    name: str
    path: str
    filesystem: str
    qtree: str | None = None
    user: str | None = None


@dataclass(slots=True)
class Host:
    """`os` is None if nobody said."""

    id: str
    name: str
    description: str
    ip: str
    os: str | None
    health: str = 'normal'
    state: str = 'normal'


@dataclass(slots=True)
class Initiator:
    """Its id is its WWPN or IQN. Free without host."""

    id: str
    name: str | None
    host: str | None
    health: str = 'normal'
    state: str = 'online'


@dataclass(slots=True)
class Group:
    """Of hosts, LUNs or ports. `members` are ids; those of ports are (kind, id)."""

    id: str
    name: str
    description: str
    members: list[Any]


@dataclass(slots=True)
class MappingView:
    """Which LUNs which hosts see, and through which ports."""

    id: str
    name: str
    description: str
    host_group: str
    lun_group: str
    port_group: str | None


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes. `configured` is what LUNs were promised; `used` is what LUNs and file systems hold."""

    total: int
    used: int
    configured: int

    @property
    def free(self) -> int:
        return self.total - self.used


class Model(Objects):
    """All objects, and what follows from them."""

    def __init__(self, seed: str, system: System) -> None:
        super().__init__(seed, system, KINDS)

    # --- capacities ---

    def usage(self) -> dict[str, Usage]:
        """By pool."""
        return self.derived('usage', self._usage)

    def _usage(self) -> dict[str, Usage]:
        luns, files = self.by('lun', 'pool'), self.by('filesystem', 'pool')
        return {pool.id: Usage(
            pool.total,
            sum(item.allocated for item in (*luns.get(pool.id, ()), *files.get(pool.id, ()))),
            sum(lun.capacity for lun in luns.get(pool.id, ()))) for pool in self.objects['pool'].values()}

    def whole(self) -> Usage:
        """Of the array: the sum of its pools."""
        pools = self.usage().values()
        return Usage(sum(pool.total for pool in pools), sum(pool.used for pool in pools),
                     sum(pool.configured for pool in pools))

    @property
    def raw(self) -> int:
        """What the member disks hold."""
        return sum(disk.capacity for disk in self.objects['disk'].values() if disk.role == 'member')

    def move(self, step: int = 16 * 2**20) -> None:
        """Let every third thin LUN and file system take up more space, as far as it and its pool reach."""
        with self.changing():
            free = {id: pool.free for id, pool in self.usage().items()}
            for kind in ('lun', 'filesystem'):
                for number, item in enumerate(self.objects[kind].values()):
                    more = min(step, item.capacity - item.allocated, free[item.pool])
                    if (number + self.version) % 3 == 0 and item.thin and more > 0:
                        item.allocated += more
                        free[item.pool] -= more
