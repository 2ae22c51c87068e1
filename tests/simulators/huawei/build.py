# SPDX-License-Identifier: Apache-2.0
"""Makes the model of an array: the same seed and sizes give the same array.

Unless it is to be flawless, every condition an object of a kind can be in occurs; so does every kind of disk, share,
quota and port, names in several scripts, and what is not there: free initiators, empty groups, views without ports.
Pools are made last, around what stands in them, and disks around the pools: the sums are right.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any, Self

from tests.simulators.huawei.model import (
    Controller,
    Disk,
    FileSystem,
    Group,
    Host,
    Initiator,
    Lun,
    MappingView,
    Model,
    Pool,
    Port,
    Qtree,
    Quota,
    Share,
    System,
)
from tests.simulators.load import WORKLOADS
from tests.simulators.objects import condition

MIB, GIB = 2**20, 2**30
MEGABIT = 10**6

# Conditions (health, state) beside the normal one, by kind.
CONDITIONS: dict[str, tuple[tuple[str, str], ...]] = {
    'pool': (('degraded', 'reconstruction'), ('normal', 'balancing'), ('normal', 'pre-copy'), ('failing', 'online'),
             ('degraded', 'online'), ('faulty', 'online'), ('faulty', 'offline'), ('normal', 'initialising')),
    'lun': (('normal', 'initialising'), ('degraded', 'online'), ('faulty', 'offline'), ('faulty', 'online'),
            ('write-protected', 'online'), ('normal', 'deleting'), ('unknown', 'unknown')),
    'filesystem': (('faulty', 'offline'), ('degraded', 'online'), ('partially damaged', 'online'),
                   ('normal', 'initialising')),
    'controller': (('degraded', 'online'), ('failing', 'online'), ('faulty', 'online'), ('normal', 'offline'),
                   ('unknown', 'unknown'), ('faulty', 'power-on failed')),
    'disk': (('faulty', 'online'), ('failing', 'online'), ('degraded', 'online'), ('bit errors', 'online'),
             ('single link', 'online'), ('normal', 'offline'), ('unknown', 'unknown'), ('normal', 'reconstruction'),
             ('normal', 'pre-copy'), ('offline', 'offline'), ('normal', 'sleeping'), ('normal', 'spun down')),
    'port': (('normal', 'link down'), ('unknown', 'unknown'), ('faulty', 'link down'), ('degraded', 'link up'),
             ('normal', 'to be recovered'), ('normal', 'running'), ('normal', 'normal')),
    'host': (('single link', 'normal'), ('faulty', 'offline'), ('normal', 'not running')),
    'initiator': (('normal', 'offline'), ('unknown', 'unknown')),
}
ROLES = ('service', 'expansion', 'management', 'internal', 'maintenance', 'management and service',
         'maintenance and service', 'interconnect', None)
WORMS = ('none', 'compliance', 'audit log', 'enterprise')
SECURITY = ('unix', 'ntfs', 'native', 'mixed', None)
SYSTEMS = ('Linux', 'Windows', 'Solaris', 'HP-UX', 'AIX', 'XenServer', 'Mac OS', 'VMware ESX', 'LINUX_VIS',
           'Windows Server 2012', 'Oracle VM', 'OpenVMS', 'Oracle VM (x86)', 'Oracle VM (SPARC)', None)
TECHNOLOGIES = ('nvme ssd', 'ssd', 'sas', 'nl-sas', 'sata', 'fc', 'slc ssd', 'mlc ssd', 'fc sed', 'sas sed', 'sata sed',
                'ssd sed', 'nl-sas sed', 'ssd card', 'ssd card sed', 'nvme ssd sed', 'scm ssd', 'scm ssd sed')
_SPINNING = {'sas': 10000, 'sas sed': 15000, 'fc': 15000, 'fc sed': 15000, 'nl-sas': 7200, 'nl-sas sed': 7200,
             'sata': 7200, 'sata sed': 5400}
_SECTOR_SIZES = (512, 520, 4096)
_DISK_GIB = (558, 1117, 1787, 3576, 7153, 14307, 28614)
_MEMBERS = 48                   # of a disk domain, if disks of some size allow for it
_OVERHEAD = 3, 2                # raw capacity of the members to that of their pool
_NAMES = ('erp', 'vmfs', 'mail', 'backup', 'db', 'größe', '数据库', 'архив', 'ログ', 'home', 'web', 'test')
_LUN_GIB = (1, 10, 20, 50, 100, 100, 200, 500, 1024, 2048)


@dataclass(frozen=True)
class Sizes:
    """How many objects. What is not given grows with the LUNs."""

    luns: int = 205
    pools: int = 12
    controllers: int = 8
    filesystems: int = 16
    hosts: int = 24
    host_groups: int = 10
    fc_ports: int = 32
    eth_ports: int = 24         # beside one for management on each controller
    disks: int = 0              # at least

    @classmethod
    def of(cls, luns: int) -> Self:
        """An array with so many LUNs and what usually is around them."""
        return cls(luns=luns, filesystems=max(cls.filesystems, luns // 50), hosts=max(cls.hosts, luns // 25),
                   host_groups=max(cls.host_groups, luns // 100))


def build(seed: str = 'oceanstor', sizes: Sizes | None = None, *, product: str = 'Dorado 5000 V6',
          software: str = '6.0.1.SPH5', flawless: bool = False, shared_port_ids: bool = False) -> Model:
    """The array of a seed. `shared_port_ids`: ids of ports are unique only among ports of their kind."""
    return _Builder(seed, sizes or Sizes(), product, software, flawless, shared_port_ids).build()


class _Builder:
    def __init__(self, seed: str, sizes: Sizes, product: str, software: str, flawless: bool,
                 shared_port_ids: bool) -> None:
        self.sizes = sizes
        self.chance = random.Random(seed)
        self.software = software
        self.flawless = flawless
        self.shared_port_ids = shared_port_ids
        self.mark = f'{self.chance.getrandbits(32):08x}'        # of this array in all its WWNs
        self.model = Model(seed, System(
            id=f'2102351XYZ10{self.mark.upper()}', name=f'dc1-阵列-{self.mark[:4]}', product=product,
            location='DC1, Größe 2, row 4', description='', wwn=f'2100{self.mark}{self.mark}'))
        self._port_ids = count(1_114_368)

    def build(self) -> Model:
        self._controllers()
        self._ports()
        self._luns()
        self._filesystems()
        self._pools_and_disks()
        self._hosts()
        self._groups()
        return self.model

    def _add(self, kind: str, item: Any) -> None:
        self.model.objects[kind][item.id] = item

    def _condition(self, kind: str, number: int, normal: tuple[str, str] = ('normal', 'online')) -> dict[str, str]:
        """Every third object is in one of the other conditions, in turn."""
        health, state = condition(number, normal, CONDITIONS[kind], self.flawless)
        return {'health': health, 'state': state}

    # --- hardware ---

    def _controllers(self) -> None:
        odd = (('normal', 'online'), ('normal', 'online'), *CONDITIONS['controller'])
        for number in range(self.sizes.controllers):
            enclosure, letter = divmod(number, 4)
            health, state = odd[number % len(odd)] if not self.flawless else odd[0]
            id = f'{enclosure}{"ABCD"[letter]}'
            self._add('controller', Controller(
                id=id, name=f'Controller {"ABCD"[letter]}', location=f'CTE{enclosure}.{"ABCD"[letter]}',
                enclosure=str(enclosure), software=self.software, cpu='Kunpeng 920 48Core@2.6GHz', memory=128 * GIB,
                master=number == 0, health=health, state=state))

    def _ports(self) -> None:
        controllers = list(self.model['controller'].values())
        for number, controller in enumerate(controllers):
            self._port('eth_port', number, controller, speed=1000, role='management', name='MGMT', parent=controller.id,
                       location=f'{controller.location}.MGMT', condition={'health': 'normal', 'state': 'link up'},
                       ipv4=f'192.0.2.{21 + number % 200}', ipv4_mask='255.255.255.0')
        amounts = {'fc_port': (self.sizes.fc_ports, 32000), 'eth_port': (self.sizes.eth_ports, 25000),
                   'sas_port': (2 * len(controllers), 12000), 'fcoe_port': (9, 10000),
                   'pcie_port': (len(controllers), 64000), 'bond_port': (3, 20000)}
        for kind, (amount, speed) in amounts.items():
            for number in range(amount):
                controller = controllers[number % len(controllers)]
                slot = number // len(controllers)
                usual = {'sas_port': 'expansion', 'pcie_port': 'interconnect'}.get(kind, 'service')
                self._port(kind, number, controller, speed=speed, parent=f'{controller.id}.{slot // 4}',
                           name=f'P{slot % 4}', location=f'{controller.location}.IOM{slot // 4}.P{slot % 4}',
                           role=ROLES[number // 2 % len(ROLES)] if number % 2 and kind != 'pcie_port' else usual,
                           condition=self._condition('port', number, ('normal', 'link up')),
                           **self._addresses(kind, number))

    def _addresses(self, kind: str, number: int) -> dict[str, Any]:
        if kind not in ('eth_port', 'bond_port') or number % 3 == 1:
            return {}
        place = {'eth_port': 0, 'bond_port': 1}[kind] << 8 | number % 256
        return {'ipv4': f'198.51.100.{10 + number % 240}', 'ipv4_mask': '255.255.255.128'} if number % 3 == 0 else {
            'ipv6': f'2001:db8:0:1::{place:x}', 'ipv6_prefix': 64}

    def _port(self, kind: str, number: int, controller: Controller, *, speed: int, condition: dict[str, Any],
              **more: Any) -> None:
        id = str(1_114_368 + len(self.model[kind]) if self.shared_port_ids else next(self._port_ids))
        up = condition['state'] not in ('link down', 'unknown')
        if kind in ('fc_port', 'fcoe_port'):
            more['wwn'] = f'2{len(self.model[kind]):03x}{self.mark}{kind == "fcoe_port":04x}'
        if kind in ('eth_port', 'bond_port', 'fcoe_port'):
            more['mac'] = f'0c:41:e9:{int(id) >> 16 & 255:02x}:{int(id) >> 8 & 255:02x}:{int(id) & 255:02x}'
        running = speed if number % 4 or kind == 'eth_port' else speed // 2
        self._add(kind, Port(id=id, controller=controller.id, speed=running * MEGABIT if up else None,
                             max_speed=speed * MEGABIT, **more, **condition))

    # --- what is stored ---

    def _luns(self) -> None:
        pools = [str(number) for number in range(self.sizes.pools) if self._serves(number) != 'file']
        controllers = list(self.model['controller'])
        chance = self.chance
        for number in range(self.sizes.luns):
            capacity = chance.choice(_LUN_GIB) * GIB if number % 41 else 10 * MIB      # a gatekeeper now and then
            thin = number % 4 != 3
            condition = self._condition('lun', number)
            allocated = capacity if not thin else 0 if number % 13 == 5 else int(
                capacity // MIB * chance.uniform(0.02, 0.9)) * MIB
            name = _NAMES[number % len(_NAMES)]
            self._add('lun', Lun(
                id=str(number), name=f'{name}_{number // len(_NAMES) + 1:04}', description='' if number % 5 else
                f'für {name}', pool=pools[number % len(pools)], controller=controllers[number % len(controllers)],
                wwn=f'6a1b2c31{self.mark}{number:016x}', capacity=capacity, allocated=allocated, thin=thin,
                compressed=None if number % 17 == 10 else number % 2 == 0,
                deduplicated=None if number % 17 == 10 else number % 3 == 0,
                block_size=4096 if number % 7 == 4 else 512, workload=WORKLOADS[number % len(WORKLOADS)],
                iops=float(chance.randint(20, 3000)), **condition))

    def _filesystems(self) -> None:
        pools = [str(number) for number in range(self.sizes.pools) if self._serves(number) != 'block']
        controllers = list(self.model['controller'])
        quota_count = count(1)
        for number in range(self.sizes.filesystems if pools else 0):
            capacity = self.chance.choice((50, 100, 200, 500, 1024)) * GIB
            thin = number % 3 != 1
            item = FileSystem(
                id=str(number + 3), name=f'{_NAMES[(number + 5) % len(_NAMES)]}_fs{number}',
                pool=pools[number % len(pools)], controller=controllers[number % len(controllers)], capacity=capacity,
                allocated=int(capacity // MIB * self.chance.uniform(0.1, 0.8)) * MIB if thin else capacity, thin=thin,
                compressed=number % 2 == 0, deduplicated=number % 4 == 0,
                block_size=(16384, 4096, 8192, 32768, 65536)[number % 5], worm=WORMS[number % len(WORMS)],
                workload=WORKLOADS[(number + 1) % len(WORKLOADS)], iops=float(self.chance.randint(10, 800)),
                **self._condition('filesystem', number))
            self._add('filesystem', item)
            self._inside(item, number, quota_count)

    def _inside(self, files: FileSystem, number: int, quotas: Iterator[int]) -> None:
        """Qtrees, quotas and shares; every fifth file system is bare."""
        if number % 5 == 4:
            return
        qtrees = [Qtree(id=f'{files.id}@{4096 + place}', filesystem=files.id,
                        name='' if place == 0 and number % 4 == 0 else f'{("eng", "ops", "größe", "设计")[place]}',
                        security=SECURITY[(number + place) % len(SECURITY)]) for place in range(1 + number % 4)]
        for qtree in qtrees:
            self._add('qtree', qtree)
            for place in range(3):
                self._quota(files, qtree, place, next(quotas))
        if number % 2:
            self._quota(files, None, 1 + number % 3 // 2, next(quotas))
            self._quota(files, None, 2, next(quotas))
        inner = qtrees[-1]
        path = f'/{files.name}/' + (f'{inner.name}/' if inner.name else '')
        shares = len(self.model['nfs_share']), len(self.model['cifs_share']), len(self.model['ftp_share'])
        self._add('nfs_share', Share(id=str(shares[0] + 1), name='' if number % 2 else f'nfs {files.name}',
                                     path=f'/{files.name}/', filesystem=files.id))
        self._add('cifs_share', Share(id=str(shares[1] + 1), name=f'{inner.name or files.name}$', path=path,
                                      filesystem=files.id, qtree=inner.id))
        if number % 3 == 0:
            self._add('ftp_share', Share(id=str(shares[2] + 1), name='drop', path=f'{path}drop/', filesystem=files.id,
                                         user='ftpuser'))

    def _quota(self, files: FileSystem, qtree: Qtree | None, place: int, number: int) -> None:
        limited, counted = number % 3 != 0, number % 2 == 0
        space = self.chance.randint(1, 100) * GIB
        self._add('quota', Quota(
            id=f'{qtree.id if qtree else files.id}@{number}', filesystem=files.id, qtree=qtree.id if qtree else None,
            type=('tree', 'user', 'group')[place], owner=('', 'alice', 'mitarbeiter-größe')[place],
            space_hard=space if limited else None, space_soft=space * 4 // 5 if limited else None,
            files_hard=500_000 if counted else None, files_soft=400_000 if counted else None,
            space_used=self.chance.randint(0, space), files_used=self.chance.randint(0, 400_000)))

    def _serves(self, pool: int) -> str:
        return ('block', 'block', 'file', 'both')[pool % 4]

    def _pools_and_disks(self) -> None:
        held: dict[str, int] = {}
        for item in (*self.model['lun'].values(), *self.model['filesystem'].values()):
            held[item.pool] = held.get(item.pool, 0) + item.allocated
        odd = (*(('normal', 'online'),) * 4, *CONDITIONS['pool'])
        self._disks_made = 0
        for number in range(self.sizes.pools):
            id = str(number)
            health, state = odd[number % len(odd)] if not self.flawless else odd[0]
            total = max(100, held.get(id, 0) * 100 // self.chance.randint(40, 90) // GIB + 1) * GIB
            self._add('pool', Pool(
                id=id, name=f'pool_{("ssd", "sas", "文件", "größe")[number % 4]}_{number}', domain=id,
                serves=self._serves(number), total=total, health=health, state=state))
            self._domain(id, number, total * _OVERHEAD[0] // _OVERHEAD[1])
        for number, technology in enumerate((*TECHNOLOGIES, 'of the future')):
            self._disk(technology, number, 7153, 'free', None)
        self._disk('nvme ssd', 0, 1787, 'cache', None)
        self._disk('nvme ssd', 0, 1787, 'unknown', None)
        while self._disks_made < self.sizes.disks:
            self._disk('sas', 1, 1117, 'free', None)

    def _domain(self, domain: str, number: int, raw: int) -> None:
        """The disks that a pool consists of, and a spare one."""
        technology = TECHNOLOGIES[number % len(TECHNOLOGIES)]
        size = next((size for size in _DISK_GIB if raw // (size * GIB) < _MEMBERS), _DISK_GIB[-1])
        for _ in range(max(4, raw // (size * GIB) + 1)):
            self._disk(technology, number, size, 'member', domain)
        self._disk(technology, number, size, 'spare', domain)

    def _disk(self, technology: str, look: int, size: int, role: str, domain: str | None) -> None:
        number = self._disks_made
        self._disks_made += 1
        enclosure, slot = divmod(number, 25)
        sector = _SECTOR_SIZES[look % len(_SECTOR_SIZES)]
        rpm = _SPINNING.get(technology, 0)
        self._add('disk', Disk(
            id=f'{enclosure}.{slot}', location=f'{"DAE" if enclosure else "CTE"}{enclosure}.{slot}',
            manufacturer=('HUAWEI', 'SEAGATE', 'HITACHI')[look % 3] if rpm else 'HUAWEI',
            model=f'{"H" if not rpm else "ST"}{technology[:3].upper().strip()}-D{size}-{look:02}',
            serial=f'03{self.mark.upper()}{number:06}', firmware=f'{2158 + look}', technology=technology, role=role,
            rpm=rpm, sectors=size * GIB // 4096 * 4096 // sector // 64 * 64, sector_size=sector,
            score=None if number % 11 == 3 else 255 if number % 7 == 2 else 100 - number % 30,
            temperature=30 + number % 15, domain=domain, **self._condition('disk', number)))

    # --- hosts and what they see ---

    def _hosts(self) -> None:
        for number in range(self.sizes.hosts):
            os = SYSTEMS[number % len(SYSTEMS)]
            name = f'{("esx", "db", "größe", "主机")[number % 4]}{number:03}'
            self._add('host', Host(
                id=str(number), name=name, description='' if number % 3 else f'cluster {number // 4}', os=os,
                ip='' if number % 5 == 4 else f'192.0.2.{number % 250 + 1}',
                **self._condition('host', number, ('normal', 'normal'))))
            for place in range(2):
                self._initiator(number, place, str(number) if number % 8 != 7 else None, name)

    def _initiator(self, number: int, place: int, host: str | None, name: str) -> None:
        kind = ('fc_initiator', 'fc_initiator', 'iscsi_initiator', 'ib_initiator')[number % 4]
        text = f'{number << 4 | place:06x}'
        id = {'fc_initiator': f'2100{self.mark[:6]}{text}', 'ib_initiator': f'0x{self.mark}00{text}',
              'iscsi_initiator': f'iqn.1998-01.com.example:{self.mark}:host{number}-{place}'}[kind]
        self._add(kind, Initiator(id=id, host=host, name=(f'{name}_hba{place}', '', None)[(number + place) % 3],
                                  **self._condition('initiator', 2 * number + place)))

    def _groups(self) -> None:
        luns, hosts = list(self.model['lun']), list(self.model['host'])
        groups = self.sizes.host_groups
        ports = [(kind, port.id) for kind in ('fc_port', 'eth_port', 'fcoe_port') for port in
                 self.model[kind].values() if port.role == 'service']
        of_hosts, of_luns = _shares(hosts, groups), _shares(luns, groups)
        for number in range(groups):
            last = number == groups - 1
            members = of_luns[number] + (of_luns[0][:2] if number == 1 else [])      # two that two clusters share
            self._add('host_group', Group(str(number), f'hg_{number}', '', of_hosts[number] if not last else []))
            self._add('lun_group', Group(str(number + 6), f'lg_größe_{number}', 'LUNs', members if not last else []))
        for number in range(3):
            self._add('port_group', Group(str(number + 1), f'pg_{number}', '', ports[number::4] if number < 2 else []))
        for number in range(groups - 1):
            self._add('mapping_view', MappingView(
                str(number + 8), f'mv_{number}', '' if number % 2 else '映射', host_group=str(number),
                lun_group=str(number + 6), port_group=None if number % 3 == 2 else str(1 + number % 2)))


def _shares(items: Sequence[str], groups: int) -> list[list[str]]:
    """Three quarters of the items in that many groups, of which the first has half of all items."""
    used = iter(items[:len(items) * 3 // 4])
    first = len(items) // 2 + 1
    rest = max(1, (len(items) * 3 // 4 - first) // max(1, groups - 1))
    return [list(islice(used, first if number == 0 else rest)) for number in range(groups)]
