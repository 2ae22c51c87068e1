# SPDX-License-Identifier: Apache-2.0
"""The array behind the simulator: plain objects in neutral terms.

Capacities are bytes, speeds bit/s, times epoch seconds; states and kinds are words, those of the product where it has
some; a relation is the id of the other. None is what the array does not know. How all this looks on the wire is the
business of `views`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from tests.simulators.objects import Objects

KINDS = ('node', 'fc_port', 'eth_port', 'enclosure', 'pool', 'mdisk', 'drive', 'volume', 'host', 'host_cluster',
         'volume_group', 'mapping')


@dataclass(slots=True)
class System:
    """The array itself. `statistics_minutes` is how often statistics are written, if they are `on`."""

    id: str                     # 16 hex digits
    name: str
    product: str
    code: str
    ip: str
    time_zone: str
    serial: str                 # of the first enclosure
    statistics_on: bool = True
    statistics_minutes: int = 5


@dataclass(slots=True)
class Node:
    """A node, or node canister. One is the configuration node."""

    id: str
    name: str
    wwnn: str
    panel: str
    enclosure: str
    canister: str
    serial: str                 # of the enclosure
    hardware: str
    code: str
    service_ip: str
    cpu: str
    cpu_count: int
    memory: int
    io_group: str = '0'
    config: bool = False
    status: str = 'online'


@dataclass(slots=True)
class FcPort:
    """`type` is fc or ethernet (FCoE); `number` is that of the port in its node."""

    id: str
    node: str
    number: int
    type: str
    speed: int | None
    wwpn: str
    status: str
    attachment: str


@dataclass(slots=True)
class EthPort:
    """`state` is that of its addresses; `ipv6_prefix` a length."""

    id: str                     # <node>:<number>
    node: str
    number: int
    mac: str
    speed: int | None
    link: bool
    state: str
    ipv4: str = ''
    ipv4_mask: str = ''
    gateway: str = ''
    ipv6: str = ''
    ipv6_prefix: int | None = None
    gateway6: str = ''


@dataclass(slots=True)
class Enclosure:
    """A box with drives, and canisters if it is of `type` control."""

    id: str
    type: str
    serial: str
    machine_type: str
    status: str = 'online'


@dataclass(slots=True)
class Pool:
    """What it holds of is said by the volumes in it: see `Model.usage`. `parent` is its own id unless it is a child.
    `extent` is in MiB."""

    id: str
    name: str
    parent: str
    capacity: int
    extent: int
    data_reduction: bool = False
    warning: int = 80
    status: str = 'online'


@dataclass(slots=True)
class MDisk:
    """`mode` is array (of own drives) or managed; `fabric` fc, sas_direct, iscsi or blank."""

    id: str
    name: str
    pool: str
    capacity: int
    mode: str
    tier: str
    controller: str
    lun: str
    uid: str
    fabric: str
    status: str = 'online'


@dataclass(slots=True)
class Drive:
    """`use` is member, spare, candidate, failed or unused."""

    id: str
    technology: str
    capacity: int
    use: str
    mdisk: str | None
    member: str
    enclosure: str
    slot: str
    status: str = 'online'


@dataclass(slots=True)
class Copy:
    """One of the copies of a volume. `used` and `real` are both the capacity if it is thick."""

    id: str
    pool: str
    primary: bool
    used: int
    real: int
    thin: bool
    compressed: bool
    deduplicated: bool
    status: str = 'online'


@dataclass(slots=True)
class Volume:
    """`node` is the preferred one, which does most of its I/O."""

    id: str
    name: str
    uid: str
    capacity: int
    node: str
    copies: list[Copy]
    workload: str
    iops: float                 # on average while its workload is at its busiest
    group: str | None = None
    status: str = 'online'

    @property
    def primary(self) -> Copy:
        return next(copy for copy in self.copies if copy.primary)


@dataclass(slots=True)
class HostPort:
    """`kind` is fc, sas, iscsi or nvme; `name` its WWPN, IQN or NQN."""

    kind: str
    name: str
    state: str
    logins: int


@dataclass(slots=True)
class Host:
    """`protocol` is scsi or nvme."""

    id: str
    name: str
    type: str
    ports: list[HostPort]
    cluster: str | None = None
    protocol: str = 'scsi'
    status: str = 'online'


@dataclass(slots=True)
class HostCluster:
    """Its members say so themselves."""

    id: str
    name: str
    status: str = 'online'


@dataclass(slots=True)
class VolumeGroup:
    """Its members say so themselves."""

    id: str
    name: str


@dataclass(slots=True)
class Mapping:
    """That a host sees a volume; `shared`: because its cluster does."""

    id: str                     # <host>_<volume>
    host: str
    volume: str
    scsi: int
    shared: bool


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes. `used` is what was written, `real` what is set aside for it, `virtual` what hosts were promised; `free` is
    left for volumes and child pools."""

    capacity: int
    used: int
    real: int
    virtual: int
    free: int
    volumes: int


@dataclass
class _Sum:
    """What one pool's copies add up to."""

    used: int = 0
    real: int = 0
    virtual: int = 0
    volumes: set[str] = field(default_factory=set)


class Model(Objects):
    """All objects, and what follows from them."""

    def __init__(self, seed: str, system: System) -> None:
        super().__init__(seed, system, KINDS)

    def usage(self) -> dict[str, Usage]:
        """By pool. What a child pool has is not its parent's, but its capacity is."""
        return self.derived('usage', self._usage)

    def _usage(self) -> dict[str, Usage]:
        accounts = {id: _Sum() for id in self['pool']}
        for volume in self['volume'].values():
            for copy in volume.copies:
                one = accounts[copy.pool]
                one.used += copy.used
                one.real += copy.real
                one.virtual += volume.capacity
                one.volumes.add(volume.id)
        found = {}
        for pool in self['pool'].values():
            children = sum(child.capacity for child in self.children(pool))
            one = accounts[pool.id]
            found[pool.id] = Usage(pool.capacity, one.used, one.real, one.virtual,
                                   max(0, pool.capacity - one.real - children), len(one.volumes))
        return found

    def children(self, pool: Pool) -> list[Pool]:
        """The child pools of a pool."""
        return [other for other in self.by('pool', 'parent').get(pool.id, ()) if other.id != pool.id]

    def whole(self) -> Usage:
        """Of the array: child pools count as part of their parents."""
        usage = self.usage()
        tops = [pool for pool in self['pool'].values() if pool.parent == pool.id]
        capacity = sum(pool.capacity for pool in tops)
        real = sum(one.real for one in usage.values())
        return Usage(capacity, sum(one.used for one in usage.values()), real,
                     sum(volume.capacity for volume in self['volume'].values()), capacity - real,
                     len(self['volume']))

    @property
    def raw(self) -> int:
        """What the MDisks hold."""
        return sum(mdisk.capacity for mdisk in self['mdisk'].values())

    @property
    def config_node(self) -> Node:
        """The node that answers."""
        return next(node for node in self['node'].values() if node.config)

    def mappings_of(self, volume: str) -> list[Mapping]:
        """Who sees a volume."""
        return self.by('mapping', 'volume').get(volume, [])

    def move(self, step: int = 16 * 2**20) -> None:
        """Let every third thin volume take up more space, as far as it and its pools reach."""
        with self.changing():
            free = {id: one.free for id, one in self.usage().items()}
            for number, volume in enumerate(self['volume'].values()):
                if (number + self.version) % 3:
                    continue
                for copy in volume.copies:
                    more = min(step, volume.capacity - copy.real, free[copy.pool])
                    if copy.thin and more > 0:
                        copy.used += more
                        copy.real += more
                        free[copy.pool] -= more

    def next_id(self, kind: str) -> str:
        """The lowest number that nothing of the kind has."""
        return next(id for id in map(str, itertools.count()) if id not in self.objects[kind])

    def named(self, kind: str, text: str) -> Any:
        """By id, else by name; KeyError."""
        found = self.objects[kind].get(text) or self._by_name(kind).get(text)
        if found is None:
            raise KeyError(f'no {kind} {text!r}')
        return found

    def _by_name(self, kind: str) -> dict[str, Any]:
        return self.derived(('names', kind), lambda: {
            item.name: item for item in self.objects[kind].values() if hasattr(item, 'name')})
