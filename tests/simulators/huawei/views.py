# SPDX-License-Identifier: Apache-2.0
"""How the objects of the model look on the wire: numbers as text, capacities in sectors, words as codes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.simulators.huawei.firmware import Firmware
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
)

Row = dict[str, Any]

SECTOR = 512
_MEGABIT = 10**6
_MIB = 2**20
_NOT_SET = ('INVALID_VALUE64', '-1', '18446744073709551615')       # a limit that is not: spelled in turn

HEALTH = {'unknown': 0, 'normal': 1, 'faulty': 2, 'failing': 3, 'partially damaged': 4, 'degraded': 5, 'bit errors': 7,
          'inconsistent': 9, 'no input': 11, 'low battery': 12, 'invalid': 14, 'write-protected': 15,
          'single link': 17, 'offline': 18}
STATE = {'unknown': 0, 'normal': 1, 'running': 2, 'not running': 3, 'sleeping': 5, 'spun down': 8, 'link up': 10,
         'link down': 11, 'powering on': 12, 'powering off': 13, 'pre-copy': 14, 'reconstruction': 16, 'online': 27,
         'offline': 28, 'balancing': 32, 'to be recovered': 33, 'initialising': 53, 'power-on failed': 103,
         'deleting': 106}
_ROLE = {'service': 0, 'expansion': 1, 'management': 2, 'internal': 3, 'maintenance': 4, 'management and service': 5,
         'maintenance and service': 6, 'interconnect': 11}
_TECHNOLOGY = {'fc': 0, 'sas': 1, 'sata': 2, 'ssd': 3, 'nl-sas': 4, 'slc ssd': 5, 'mlc ssd': 6, 'fc sed': 7,
               'sas sed': 8, 'sata sed': 9, 'ssd sed': 10, 'nl-sas sed': 11, 'ssd card': 12, 'ssd card sed': 13,
               'nvme ssd': 14, 'nvme ssd sed': 16, 'scm ssd': 17, 'scm ssd sed': 18, 'of the future': 99}
_DISK_ROLE = {'free': 1, 'member': 2, 'spare': 3, 'cache': 4, 'unknown': 0}
_SERVES = {'both': 0, 'block': 1, 'file': 2}
_WORM = {'none': 0, 'compliance': 1, 'audit log': 2, 'enterprise': 3}
_SECURITY = {'mixed': 0, 'native': 1, 'ntfs': 2, 'unix': 3}
_QUOTA = {'tree': 1, 'user': 2, 'group': 3}
_OS = {'Linux': 0, 'Windows': 1, 'Solaris': 2, 'HP-UX': 3, 'AIX': 4, 'XenServer': 5, 'Mac OS': 6, 'VMware ESX': 7,
       'LINUX_VIS': 8, 'Windows Server 2012': 9, 'Oracle VM': 10, 'OpenVMS': 11, 'Oracle VM (x86)': 12,
       'Oracle VM (SPARC)': 13, None: 255}
_OTHER_CASE = {'HEALTHSTATUS': 'healthStatus', 'RUNNINGSTATUS': 'runningStatus', 'MAXSPEED': 'maxSpeed'}


@dataclass(frozen=True)
class Resource:
    """A collection of the REST interface: which kind it lists, the objects' TYPE, and how a row is made."""

    kind: str
    type: int
    row: Callable[[Any, Model], Row]
    limit: int | None = 100             # rows in a page; None: it knows no pages
    parents: bool = False               # only those of a parent: PARENTTYPE and PARENTID
    port: bool = False
    extra: frozenset[str] = frozenset()     # query fields beside range and filter


def sectors(size: int) -> str:
    """A capacity as the array counts it."""
    return str(size // SECTOR)


def flag(value: bool) -> str:
    return 'true' if value else 'false'


def status(item: Any) -> Row:
    return {'HEALTHSTATUS': str(HEALTH[item.health]), 'RUNNINGSTATUS': str(STATE[item.state])}


# --- the array ---

def system(model: Model, firmware: Firmware) -> Row:
    """The array itself."""
    return model.derived('system', lambda: _system(model, firmware))


def _system(model: Model, firmware: Firmware) -> Row:
    item, whole = model.system, model.whole()
    luns = list(model['lun'].values())
    thick = sum(lun.allocated for lun in luns if not lun.thin)
    row = {
        'CACHEWRITEQUOTA': '333', 'CONFIGMODEL': '1', 'DESCRIPTION': item.description, 'DOMAINNAME': '',
        'FREEDISKSCAPACITY': sectors(_disks(model, 'free')), 'HOTSPAREDISKSCAPACITY': sectors(_disks(model, 'spare')),
        'ID': item.id, 'LOCATION': item.location, 'MEMBERDISKSCAPACITY': sectors(model.raw), 'NAME': item.name,
        'PRODUCTMODE': str(firmware.product_mode), 'PRODUCTVERSION': firmware.version, 'SECTORSIZE': str(SECTOR),
        'STORAGEPOOLCAPACITY': sectors(whole.total), 'STORAGEPOOLFREECAPACITY': sectors(whole.free),
        'STORAGEPOOLUSEDCAPACITY': sectors(whole.used), 'THICKLUNSALLOCATECAPACITY': sectors(thick),
        'THINLUNSMAXCAPACITY': sectors(sum(lun.capacity for lun in luns if lun.thin)), 'THINLUNSUSEDCAPACITY': '-1',
        'TOTALCAPACITY': sectors(whole.total), 'TYPE': 201, 'UNAVAILABLEDISKSCAPACITY': '0',
        'USEDCAPACITY': sectors(whole.used), 'userFreeCapacity': sectors(whole.free), 'wwn': item.wwn, **status(item)}
    if firmware.says_product:
        row['productModeString'] = firmware.product
    if not firmware.says_total:
        row['TOTALCAPACITY'] = ''
        del row['USEDCAPACITY'], row['userFreeCapacity']
    return dressed(row, firmware)


def _disks(model: Model, role: str) -> int:
    return sum(disk.capacity for disk in model['disk'].values() if disk.role == role)


def dressed(row: Row, firmware: Firmware) -> Row:
    """A row in the manner of a firmware."""
    if firmware.types_as_text:
        row.update({key: str(row[key]) for key in ('TYPE', 'PARENTTYPE') if key in row})
    if firmware.new_dedup_key and 'ENABLEDEDUP' in row:
        row['ENABLESMARTDEDUP'] = row.pop('ENABLEDEDUP')
    if firmware.unified_pools and row.get('TYPE') in (216, '216'):
        row['USAGETYPE'] = str(_SERVES['both'])
    if firmware.other_case:
        row = {_OTHER_CASE.get(key, key): value for key, value in row.items()}
    return row


# --- hardware ---

def _controller(item: Controller, model: Model) -> Row:
    return {'CPUINFO': item.cpu, 'CPUUSAGE': '7', 'ID': item.id, 'ISMASTER': flag(item.master),
            'LOCATION': item.location, 'MEMORYSIZE': str(item.memory // _MIB), 'MEMORYUSAGE': '61', 'MODEL': '4128',
            'NAME': item.name, 'PARENTID': item.enclosure, 'PARENTTYPE': 206, 'ROLE': '1' if item.master else '2',
            'SOFTVER': item.software, 'TEMPERATURE': '-1', 'TYPE': 207, 'VOLTAGE': '12.1', **status(item)}


def _port(item: Port, type: int) -> Row:
    row = {'ID': item.id, 'LOCATION': item.location, 'NAME': item.name, 'PARENTID': item.parent,
           'PARENTTYPE': 207 if item.parent == item.controller else 209, 'TYPE': type, **status(item)}
    if item.role is not None:
        row['LOGICTYPE'] = str(_ROLE[item.role])
    return row


def _speed(speed: int | None) -> str:
    return '-1' if speed is None else str(speed // _MEGABIT)


def _addresses(item: Port) -> Row:
    return {'IPV4ADDR': item.ipv4, 'IPV4MASK': item.ipv4_mask, 'IPV6ADDR': item.ipv6,
            'IPV6MASK': '' if item.ipv6_prefix is None else str(item.ipv6_prefix), 'MACADDRESS': item.mac}


def _fc_port(item: Port, model: Model) -> Row:
    return {**_port(item, 212), 'CONFSPEED': '0', 'FCCONFMODE': '3', 'FCRUNMODE': '0', 'INIORTGT': '3',
            'MAXSUPPORTSPEED': _speed(item.max_speed), 'MAXSPEED': _speed(item.max_speed),
            'RUNSPEED': _speed(item.speed), 'SFPSTATUS': '1', 'WWN': item.wwn}


def _fcoe_port(item: Port, model: Model) -> Row:
    return {**_port(item, 252), 'MAXSPEED': _speed(item.max_speed), 'RUNSPEED': _speed(item.speed), 'WWN': item.wwn,
            'MACADDRESS': item.mac}


def _eth_port(item: Port, model: Model) -> Row:
    return {**_port(item, 213), **_addresses(item), 'SPEED': _speed(item.speed), 'maxSpeed': _speed(item.max_speed)}


def _bond_port(item: Port, model: Model) -> Row:
    return {**_port(item, 235), **_addresses(item), 'MAXSPEED': _speed(item.max_speed)}


def _pcie_port(item: Port, model: Model) -> Row:
    row = {**_port(item, 233), 'MAXSPEED': _speed(item.max_speed), 'PCIESPEED': _speed(item.speed)}
    row.pop('LOGICTYPE', None)
    return row


def _sas_port(item: Port, model: Model) -> Row:
    return {**_port(item, 214), 'MAXSPEED': _speed(item.max_speed), 'RUNSPEED': _speed(item.speed)}


def _disk(item: Disk, model: Model) -> Row:
    return {'DISKTYPE': str(_TECHNOLOGY[item.technology]), 'FIRMWAREVER': item.firmware,
            'HEALTHMARK': '--' if item.score is None else str(item.score), 'ID': item.id, 'LOCATION': item.location,
            'LOGICTYPE': str(_DISK_ROLE[item.role]), 'MANUFACTURER': item.manufacturer, 'MODEL': item.model,
            'POOLID': item.domain or '', 'REMAINLIFE': '1825', 'SECTORS': str(item.sectors),
            'SECTORSIZE': str(item.sector_size), 'SERIALNUMBER': item.serial, 'SPEEDRPM': str(item.rpm),
            'TEMPERATURE': str(item.temperature), 'TYPE': 10, 'barcode': f'2102{item.serial}', **status(item)}


# --- block and file ---

def _pool(item: Pool, model: Model) -> Row:
    usage = model.usage()[item.id]
    return {'DATASPACE': sectors(usage.used), 'ID': item.id, 'LUNCONFIGEDCAPACITY': sectors(usage.configured),
            'NAME': item.name, 'PARENTID': item.domain, 'PARENTNAME': f'dom{item.domain}', 'PARENTTYPE': 266,
            'TYPE': 216, 'USAGETYPE': str(_SERVES[item.serves]), 'USERCONSUMEDCAPACITY': sectors(usage.used),
            'USERFREECAPACITY': sectors(usage.free), 'USERTOTALCAPACITY': sectors(usage.total), **status(item)}


def _stored(item: Lun | FileSystem, model: Model) -> Row:
    row = {'ALLOCCAPACITY': sectors(item.allocated), 'ALLOCTYPE': '1' if item.thin else '0',
           'CAPACITY': sectors(item.capacity), 'ID': item.id, 'NAME': item.name, 'OWNINGCONTROLLER': item.controller,
           'PARENTID': item.pool, 'PARENTNAME': model['pool'][item.pool].name, 'PARENTTYPE': 216,
           'SECTORSIZE': str(item.block_size), **status(item)}
    if item.compressed is not None:
        row['ENABLECOMPRESSION'] = flag(item.compressed)
    if item.deduplicated is not None:
        row['ENABLEDEDUP'] = flag(item.deduplicated)
    return row


def _lun(item: Lun, model: Model) -> Row:
    return {**_stored(item, model), 'DESCRIPTION': item.description,
            'EXPOSEDTOINITIATOR': flag(item.id in _exposed(model)), 'IOPRIORITY': '1', 'TYPE': 11, 'USAGETYPE': '0',
            'WORKLOADTYPEID': '', 'WRITEPOLICY': '1', 'WWN': item.wwn}


def _exposed(model: Model) -> set[str]:
    return model.derived('exposed', lambda: {
        lun for view in model['mapping_view'].values() for lun in model['lun_group'][view.lun_group].members})


def _filesystem(item: FileSystem, model: Model) -> Row:
    return {**_stored(item, model), 'AVAILABLECAPCITY': sectors(item.available), 'TYPE': 40,
            'WORMTYPE': str(_WORM[item.worm])}


def _qtree(item: Qtree, model: Model) -> Row:
    row = {'ID': item.id, 'NAME': item.name, 'PARENTID': item.filesystem,
           'PARENTNAME': model['filesystem'][item.filesystem].name, 'PARENTTYPE': 40, 'QUOTASWITCH': 'true',
           'TYPE': 16445}
    if item.security is not None:
        row['securityStyle'] = str(_SECURITY[item.security])
    return row


def _quota(item: Quota, model: Model) -> Row:
    not_set = _NOT_SET[sum(item.id.encode()) % len(_NOT_SET)]
    limits = {'SPACEHARDQUOTA': item.space_hard, 'SPACESOFTQUOTA': item.space_soft, 'FILEHARDQUOTA': item.files_hard,
              'FILESOFTQUOTA': item.files_soft}
    row: Row = {key: not_set if value is None else str(value) for key, value in limits.items()}
    row.update({'FILEUSED': str(item.files_used), 'ID': item.id, 'PARENTID': item.qtree or item.filesystem,
                'PARENTTYPE': 16445 if item.qtree else 40, 'QUOTATYPE': str(_QUOTA[item.type]),
                'SPACEUSED': str(item.space_used), 'TYPE': 16446, 'USRGRPOWNERNAME': item.owner})
    return row


def _share(item: Share) -> Row:
    return {'DESCRIPTION': '', 'FSID': item.filesystem, 'ID': item.id, 'NAME': item.name, 'SHAREPATH': item.path}


def _nfs_share(item: Share, model: Model) -> Row:
    return {**_share(item), 'CHARACTERENCODING': '0', 'DTREEID': item.qtree or '', 'type': '16401'}


def _cifs_share(item: Share, model: Model) -> Row:
    return {**_share(item), 'DTREEID': item.qtree or '', 'TYPE': 16402, 'subType': '0'}


def _ftp_share(item: Share, model: Model) -> Row:
    return {**_share(item), 'ACCESSNAME': item.user}


# --- hosts and mapping ---

def _host(item: Host, model: Model) -> Row:
    initiators = sum(len(model.by(kind, 'host').get(item.id, ())) for kind in ('fc_initiator', 'iscsi_initiator'))
    grouped = model.derived('grouped', lambda: _members(model['host_group'].values()))
    return {'DESCRIPTION': item.description, 'ID': item.id, 'INITIATORNUM': str(initiators), 'IP': item.ip,
            'ISADD2HOSTGROUP': flag(item.id in grouped), 'NAME': item.name, 'OPERATIONSYSTEM': str(_OS[item.os]),
            'TYPE': 21, **status(item)}


def _members(groups: Iterable[Group]) -> set[Any]:
    return {member for group in groups for member in group.members}


def _initiator(type: int) -> Callable[[Initiator, Model], Row]:
    def row(item: Initiator, model: Model) -> Row:
        found: Row = {'ID': item.id, 'ISFREE': flag(item.host is None), 'MULTIPATHTYPE': '0',
                      'OPERATIONSYSTEM': '255', 'TYPE': type, **status(item)}
        if item.name is not None:
            found['NAME'] = item.name
        if item.host is not None:
            host = model['host'][item.host]
            found.update({'PARENTID': host.id, 'PARENTNAME': host.name, 'PARENTTYPE': 21,
                          'OPERATIONSYSTEM': str(_OS[host.os])})
        if type == 222:
            found['USECHAP'] = 'false'
        return found
    return row


def _group(type: int, **more: str) -> Callable[[Group, Model], Row]:
    def row(item: Group, model: Model) -> Row:
        found: Row = {'DESCRIPTION': item.description, 'ID': item.id, 'NAME': item.name, 'TYPE': type, **more}
        if type == 256:
            found['CAPCITY'] = sectors(sum(model['lun'][lun].capacity for lun in item.members))
        return found
    return row


def _mapping_view(item: MappingView, model: Model) -> Row:
    return {'DESCRIPTION': item.description, 'ENABLEINBANDCOMMAND': 'true', 'ID': item.id, 'INBANDLUNWWN': '',
            'NAME': item.name, 'TYPE': 245}


RESOURCES: dict[str, Resource] = {
    'controller': Resource('controller', 207, _controller, limit=None),
    'fc_port': Resource('fc_port', 212, _fc_port, port=True),
    'fcoe_port': Resource('fcoe_port', 252, _fcoe_port, port=True),
    'eth_port': Resource('eth_port', 213, _eth_port, port=True),
    'pcie_port': Resource('pcie_port', 233, _pcie_port, port=True),
    'bond_port': Resource('bond_port', 235, _bond_port, port=True),
    'sas_port': Resource('sas_port', 214, _sas_port, port=True),
    'storagepool': Resource('pool', 216, _pool, limit=10_000),
    'disk': Resource('disk', 10, _disk),
    'lun': Resource('lun', 11, _lun),
    'filesystem': Resource('filesystem', 40, _filesystem),
    'quotatree': Resource('qtree', 16445, _qtree, parents=True),
    'FS_QUOTA': Resource('quota', 16446, _quota, parents=True, extra=frozenset({'SPACEUNITTYPE', 'QUERYTYPE'})),
    'NFSHARE': Resource('nfs_share', 16401, _nfs_share),
    'CIFSHARE': Resource('cifs_share', 16402, _cifs_share),
    'FTP_SHARE_AUTH_CLIENT': Resource('ftp_share', 0, _ftp_share),
    'host': Resource('host', 21, _host),
    'fc_initiator': Resource('fc_initiator', 223, _initiator(223)),
    'iscsi_initiator': Resource('iscsi_initiator', 222, _initiator(222)),
    'ib_initiator': Resource('ib_initiator', 16499, _initiator(16499)),
    'hostgroup': Resource('host_group', 14, _group(14, ISADD2MAPPINGVIEW='true')),
    'lungroup': Resource('lun_group', 256, _group(256, GROUPTYPE='0')),
    'portgroup': Resource('port_group', 257, _group(257)),
    'mappingview': Resource('mapping_view', 245, _mapping_view),
}
BY_TYPE = {resource.type: resource.kind for resource in RESOURCES.values()}


def parents_children(model: Model, resource: Resource, type: int, id: str) -> list[Any] | None:
    """The qtrees or quotas of a parent of a type; None if there is no such parent."""
    parent = BY_TYPE.get(type)
    if parent not in ('filesystem', 'qtree') or id not in model[parent]:
        return None
    if resource.kind == 'qtree':
        return model.by('qtree', 'filesystem').get(id, []) if parent == 'filesystem' else None
    if parent == 'qtree':
        return model.by('quota', 'qtree').get(id, [])
    return [quota for quota in model.by('quota', 'filesystem').get(id, []) if quota.qtree is None]


def associated(model: Model, kind: str, type: int, id: str) -> list[Any] | None:
    """The objects of `kind` that belong to the object of a type; None if that does not exist or they are unrelated."""
    other = BY_TYPE.get(type)
    if other is None or id not in model[other]:
        return None
    match kind, other:
        case ('host', 'host_group') | ('lun', 'lun_group'):
            return [model[kind][member] for member in model[other][id].members]
        case ('fc_port' | 'eth_port' | 'fcoe_port'), 'port_group':
            return [model[kind][member] for of, member in model[other][id].members if of == kind]
        case ('host_group' | 'lun_group' | 'port_group'), 'mapping_view':
            group = getattr(model[other][id], kind)
            return [] if group is None else [model[kind][group]]
        case 'mapping_view', ('host_group' | 'lun_group' | 'port_group'):
            return model.by(kind, other).get(id, [])
        case ('host_group', 'host') | ('lun_group', 'lun'):
            return [group for group in model[kind].values() if id in group.members]
        case ('fc_initiator' | 'iscsi_initiator' | 'ib_initiator'), 'host':
            return model.by(kind, 'host').get(id, [])
    return None
