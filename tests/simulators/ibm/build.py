# SPDX-License-Identifier: Apache-2.0
"""Makes the model of an array: the same seed, sizes and level give the same array.

Unless it is to be flawless, every condition an object of a kind can be in occurs; so do thick, thin, compressed and
mirrored volumes, names with blanks and dots, a child pool, a pool with data reduction, external MDisks, hosts without
ports. Pools are made after the volumes, MDisks after the pools, and drives after the MDisks: the sums are right.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from tests.simulators.ibm.levels import V8_3, Level
from tests.simulators.ibm.model import (
    Copy,
    Drive,
    Enclosure,
    EthPort,
    FcPort,
    Host,
    HostCluster,
    HostPort,
    Mapping,
    MDisk,
    Model,
    Node,
    Pool,
    System,
    Volume,
    VolumeGroup,
)
from tests.simulators.load import WORKLOADS
from tests.simulators.objects import condition

MIB, GIB, TIB = 2**20, 2**30, 2**40
GIGABIT = 10**9
EXTENT = 1024                   # MiB, of all pools
CHILD = 2                       # number of the child pool, and of its parent
PARENT = 1
REDUCING = 3                    # number of the pool with data reduction

NODE_STATES = ('online', 'online', 'online', 'service', 'online', 'offline', 'flushing', 'pending', 'adding',
               'deleting')
POOL_STATES = ('degraded_paths', 'offline', 'degraded', 'degraded_ports', 'excluded')
MDISK_STATES = ('degraded_paths', 'excluded', 'degraded_ports', 'offline', 'degraded')
VOLUME_STATES = ('degraded', 'offline', 'degraded_paths')
DRIVE_STATES = ('degraded', 'offline')
HOST_STATES = ('degraded', 'offline', 'mask')
HOST_TYPES = ('generic', 'generic', 'hpux', 'tpgs', 'openvms', 'adminlun', 'hide_secondary', 'vvol')
HOST_PORT_STATES = ('inactive', 'offline', 'degraded')
TIERS = (('tier0_flash', 'tier0_flash'), ('tier_enterprise', 'tier_enterprise'), ('tier_enterprise', 'sas_hdd'),
         ('tier_nearline', 'tier_nearline'), ('tier1_flash', 'sas_ssd'), ('tier_nearline', 'sas_nearline_hdd'))
FABRICS = ('fc', 'sas_direct', 'iscsi')

_NAMES = ('db_vol', 'esx ds', 'arch.v3', 'oracle_redo', 'backup', 'log-archive', 'Exchange Mail', 'vdi_gold', 'test_a',
          'quorum_x')
_SIZES_GIB = (1, 10, 20, 50, 100, 100, 200, 512, 1024, 2048)

# What no name can be on a real array, and what the first volumes are called on one with hostile names.
HOSTILE = ('; rm -rf /', 'a!b!c', 'torn\nin two', 'ü' * 127 + 'x', '$(reboot)', "it's `id`", '-delim !',
           ' padded  twice ', '"quoted" \\', '../../etc/passwd', '7', '| cat', '名前' * 42 + 'abc',
           'tab\tand \x1b[31mred', '*')


@dataclass(frozen=True)
class Sizes:
    """How many objects. `fc_ports` and `eth_ports` are those of each node; mappings follow from volumes and hosts."""

    volumes: int = 60
    pools: int = 6              # with a child pool as the third and data reduction in the fourth
    nodes: int = 2
    fc_ports: int = 4
    eth_ports: int = 3
    hosts: int = 16
    host_clusters: int = 3
    volume_groups: int = 4

    @classmethod
    def of(cls, volumes: int) -> Self:
        """An array with so many volumes and what usually is around them."""
        return cls(volumes=volumes, hosts=max(cls.hosts, volumes // 25), host_clusters=max(3, volumes // 500),
                   volume_groups=max(4, volumes // 250))


def build(seed: str = 'storwize', sizes: Sizes | None = None, *, level: Level = V8_3, flawless: bool = False,
          hostile_names: bool = False, time_zone: str = 'Europe/Berlin') -> Model:
    """The array of a seed."""
    return _Builder(seed, sizes or Sizes(), level, flawless, hostile_names, time_zone).build()


class _Builder:
    def __init__(self, seed: str, sizes: Sizes, level: Level, flawless: bool, hostile: bool, time_zone: str) -> None:
        self.sizes = sizes
        self.level = level
        self.flawless = flawless
        self.hostile = hostile
        self.reducing = None if 'data_reduction' in level.without else REDUCING
        self.chance = random.Random(seed)
        self.mark = f'{self.chance.getrandbits(32):08X}'        # of this array in all its WWNs
        self.model = Model(seed, System(
            id=f'00000204{self.mark}', name=f'svc lab {self.mark[:4].lower()}', product=level.product,
            code=level.code, ip='192.0.2.40', time_zone=time_zone, serial=f'78{self.mark[:5]}'))

    def build(self) -> Model:
        self._nodes()
        self._ports()
        self._volumes()
        self._pools()
        self._mdisks()
        self._hosts()
        self._mappings()
        return self.model

    def _add(self, kind: str, item: Any) -> None:
        self.model[kind][item.id] = item

    def _state(self, number: int, odd: Sequence[str], normal: str = 'online') -> str:
        return condition(number, normal, odd, self.flawless)

    # --- hardware ---

    def _nodes(self) -> None:
        for number in range(self.sizes.nodes):
            enclosure, canister = number // 2 + 1, number % 2 + 1
            serial = self.model.system.serial if enclosure == 1 else f'78{self.mark[:4]}{enclosure}'
            if canister == 1:
                self._add('enclosure', Enclosure(str(enclosure), 'control', serial, self.level.machine_type))
            self._add('node', Node(
                id=str(number + 1), name=f'node{number + 1}', wwnn=f'50050768{self.mark[:4]}00{number:02X}',
                panel=f'{enclosure:02}-{canister}', enclosure=str(enclosure), canister=str(canister), serial=serial,
                hardware='400', code=self.level.code.split()[0], service_ip=f'192.0.2.{41 + number}',
                cpu='8 core Intel(R) Xeon(R) CPU E5-2628L v2 @ 1.90GHz', cpu_count=1 + number // 2 % 2,
                memory=64 * GIB, io_group=str(number // 2), config=number == 0,
                status='online' if self.flawless else NODE_STATES[number % len(NODE_STATES)]))

    def _ports(self) -> None:
        nodes = list(self.model['node'].values())
        for place, node in enumerate(nodes):
            for number in range(1, self.sizes.fc_ports + 1):
                ordinal = place * self.sizes.fc_ports + number - 1
                status = self._state(ordinal, ('inactive_unconfigured', 'inactive_configured'), 'active')
                is_fc = number < 4 or number % 4
                self._add('fc_port', FcPort(
                    id=str(ordinal), node=node.id, number=number, type='fc' if is_fc else 'ethernet',
                    speed=(16, 8, 32)[number % 3] * GIGABIT if status == 'active' and is_fc else
                    10 * GIGABIT if status == 'active' else None,
                    wwpn=f'50050768{self.mark[:4]}{number:02X}{place:02X}', status=status,
                    attachment='switch' if status == 'active' else 'none'))
            for number in range(1, self.sizes.eth_ports + 1):
                self._eth_port(place, node, number)

    def _eth_port(self, place: int, node: Node, number: int) -> None:
        ordinal = place * self.sizes.eth_ports + number - 1
        state = self._state(ordinal, ('unconfigured', 'offline', 'management_only'),
                            ('configured', 'online')[place % 2])
        link = state in ('configured', 'online') or ordinal % 2 == 0
        port = EthPort(
            id=f'{node.id}:{number}', node=node.id, number=number, link=link, state=state,
            mac=f'5c:f3:fc:{place:02x}:{self.mark[:2].lower()}:{number:02x}',
            speed=None if not link else (10 * GIGABIT, 25 * GIGABIT, GIGABIT, 100 * 10**6)[ordinal % 4])
        if state != 'unconfigured' and place % 2 == 0:
            port.ipv4, port.ipv4_mask = f'198.51.100.{51 + ordinal % 200}', '255.255.255.0'
            port.gateway = '198.51.100.1'
        if state != 'unconfigured' and (place % 2 or number % 3 == 0):
            port.ipv6, port.ipv6_prefix, port.gateway6 = f'2001:db8::{0x51 + ordinal:x}', 64, '2001:db8::1'
        self._add('eth_port', port)

    # --- what is stored ---

    def _volumes(self) -> None:
        nodes = [node.id for node in self.model['node'].values() if node.status == 'online']
        for number in range(self.sizes.volume_groups):
            self._add('volume_group', VolumeGroup(str(number), f'vg {number}'))
        for number in range(self.sizes.volumes):
            pool = number % self.sizes.pools
            capacity = self.chance.choice(_SIZES_GIB) * GIB
            status = self._state(number, VOLUME_STATES)
            hostile = self.hostile and number < len(HOSTILE)
            self._add('volume', Volume(
                id=str(number), uid=f'60050768{self.mark}{number:016X}', capacity=capacity,
                name=HOSTILE[number] if hostile else f'{_NAMES[number % len(_NAMES)]} {number // len(_NAMES) + 1:04}'
                if number % 3 == 0 else f'{_NAMES[number % len(_NAMES)]}_{number // len(_NAMES) + 1:04}',
                node=nodes[number % len(nodes)], copies=self._copies(number, pool, capacity, status),
                workload=WORKLOADS[number % len(WORKLOADS)], iops=float(self.chance.randint(20, 3000)),
                group=str(number % self.sizes.volume_groups) if self.sizes.volume_groups and number % 4 == 1 else None,
                status=status))

    def _copies(self, number: int, pool: int, capacity: int, status: str) -> list[Copy]:
        """One; two in every seventh volume, of which the second is the primary one."""
        reducing = pool == self.reducing
        thin = number % 2 == 0 or reducing
        compressed = thin and (number % 5 == 0 or reducing)
        used = int(capacity // MIB * self.chance.uniform(0.02, 0.9)) * MIB if thin else capacity
        real = min(capacity, used + 32 * MIB) if thin else capacity
        copies = [Copy('0', str(pool), True, used, real, thin, compressed, reducing and number % 3 == 0, status)]
        if number % 7 == 1 and self.sizes.pools > 1:
            copies[0].primary = False
            other = (pool + 1) % self.sizes.pools
            copies.append(Copy('1', str(other), True, used, real, thin, compressed, False, status))
        return copies

    def _pools(self) -> None:
        needed = [0] * self.sizes.pools
        for volume in self.model['volume'].values():
            for copy in volume.copies:
                needed[int(copy.pool)] += copy.real
        extent = EXTENT * MIB
        sizes = [max(100, need * 100 // self.chance.randint(40, 90) // extent + 1) * extent for need in needed]
        if self.sizes.pools > CHILD:
            sizes[PARENT] += sizes[CHILD]
        for number, size in enumerate(sizes):
            name = ('Pool_Flash', 'Pool SAS', 'Pool_Child', 'Pool R6', 'Pool NL', 'Pool_ext')[number % 6]
            self._add('pool', Pool(
                id=str(number), name=name if number < 6 else f'{name} {number}', capacity=size, extent=EXTENT,
                parent=str(PARENT if number == CHILD else number), data_reduction=number == self.reducing,
                warning=0 if number == CHILD else 80, status=self._state(number, POOL_STATES)))

    def _mdisks(self) -> None:
        """Internal arrays, and in every third pool external ones; one at the end that is in no pool."""
        number = 0
        for pool in [pool for pool in self.model['pool'].values() if pool.parent == pool.id]:
            external = int(pool.id) % 3 == 2 or pool.id == str(PARENT)
            count = 3 if external else 1 + int(pool.id) % 2
            tier, technology = TIERS[int(pool.id) % len(TIERS)]
            size = -(-pool.capacity // count // (EXTENT * MIB)) * EXTENT * MIB
            for place in range(count):
                mdisk = self._mdisk(number, pool.id, size, tier, external, place)
                number += 1
                if not external:
                    self._drives(mdisk, technology)
        self._mdisk(number, '', TIB, 'tier_enterprise', True, 0).mode = 'unmanaged'
        for use in ('candidate', 'failed', 'unused', 'spare'):
            self._drive(None, 'sas_hdd', 900 * GIB, use, 'offline' if use == 'failed' else 'online')
        boxes = {drive.enclosure for drive in self.model['drive'].values()}
        for box in sorted(boxes - set(self.model['enclosure']), key=int):
            self._add('enclosure', Enclosure(box, 'expansion', f'78EX{box:>03}', '2076224'))

    def _mdisk(self, number: int, pool: str, size: int, tier: str, external: bool, place: int) -> MDisk:
        mdisk = MDisk(
            id=str(number), name=f'mdisk{number}' if not external else f'mdisk_ext {number}', pool=pool, capacity=size,
            mode='managed' if external else 'array', tier=tier, controller='ctrl_ds3500' if external else '',
            lun=f'{place:016X}' if external else '',
            uid=f'600a0b80{self.mark.lower()}{number:016x}' + '0' * 32 if external else '',
            fabric=FABRICS[place % len(FABRICS)] if external else '', status=self._state(number, MDISK_STATES))
        self._add('mdisk', mdisk)
        return mdisk

    def _drives(self, mdisk: MDisk, technology: str) -> None:
        """What an array consists of: of twelve drives two are for parity."""
        size = -(-mdisk.capacity // 10 // GIB) * GIB
        for member in range(12):
            self._drive(mdisk.id, technology, size, 'member',
                        self._state(len(self.model['drive']), DRIVE_STATES), str(member))
        self._drive(None, technology, size, 'spare', 'online')

    def _drive(self, mdisk: str | None, technology: str, size: int, use: str, status: str, member: str = '') -> None:
        number = len(self.model['drive'])
        box, slot = divmod(number, 24)
        self._add('drive', Drive(
            str(number), technology, size, use, mdisk, member, str(box + 1), str(slot + 1), status))

    # --- hosts and what they see ---

    def _hosts(self) -> None:
        for number in range(self.sizes.host_clusters):
            self._add('host_cluster', HostCluster(
                str(number), f'cluster {number}', self._state(number, ('host_degraded', 'offline'))))
        for number in range(self.sizes.hosts):
            name = f'{("esx ", "aix-db", "vms", "win.")[number % 4]}{number:02}'
            cluster = str(number % self.sizes.host_clusters) if self.sizes.host_clusters and number % 4 == 0 else None
            self._add('host', Host(
                id=str(number), name=name, type=HOST_TYPES[number % len(HOST_TYPES)], cluster=cluster,
                ports=[] if number % 8 == 7 else self._host_ports(number, name),
                protocol='nvme' if number % 8 == 6 else 'scsi', status=self._state(number, HOST_STATES)))

    def _host_ports(self, number: int, name: str) -> list[HostPort]:
        kinds = {0: ('fc', 'fc', 'iscsi'), 1: ('fc', 'fc'), 2: ('sas', 'sas'), 3: ('iscsi',), 6: ('nvme',)}
        ports = []
        for place, kind in enumerate(kinds.get(number % 8, ('fc', 'fc'))):
            serial = f'{number:06X}{place:02X}'
            state = condition(number + place, 'active', HOST_PORT_STATES, self.flawless)
            ports.append(HostPort(kind, {
                'fc': f'10000090{serial}', 'sas': f'50050760{serial}',
                'iscsi': f'iqn.1998-01.com.vmware:{name.replace(" ", "")}-{place}',
                'nvme': f'nqn.2014-08.org.nvmexpress:uuid:{self.mark.lower()}-{number:04x}'}[kind], state,
                0 if state == 'offline' else 2))
        return ports

    def _mappings(self) -> None:
        """Three quarters of the volumes: one host each, or all hosts of a cluster."""
        hosts = list(self.model['host'].values())
        by_cluster = self.model.by('host', 'cluster')
        slots: dict[str, int] = {}
        for number, volume in enumerate(self.model['volume'].values()):
            if number % 4 == 3 or not hosts:
                continue
            host = hosts[number // 2 % len(hosts)]
            shared = host.cluster is not None and number % 8 == 0
            for one in by_cluster[host.cluster] if shared else [host]:
                scsi = slots[one.id] = slots.get(one.id, -1) + 1
                self._add('mapping', Mapping(f'{one.id}_{volume.id}', one.id, volume.id, scsi, shared))
