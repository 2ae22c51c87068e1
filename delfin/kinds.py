# SPDX-License-Identifier: Apache-2.0
"""The table of resource kinds: pools, volumes, disks … stand here once, as data.

Database tables, REST collections, filters, sync and the calls to drivers are all derived from these entries. Adding a
kind is one `Kind` below and one migration. Names and meanings of the columns are those that drivers return and REST
clients read; capacities are bytes, port speeds bit/s, disk speeds rpm, memory bytes.

Three concepts:

* `Table`: columns plus the natural key within one storage. What sync compares and writes.
* `Kind`: a table with a driver method and a REST collection.
* `Relation`: a table of pairs (group member of group) that arrives in the same driver answer as its kind.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from delfin.common import constants

TEXT_LENGTH = 255
BIGINT_MAX = 2**63 - 1

Key = str | tuple[str, ...]     # a row's natural key within its storage; of several parts for pairs


class ColumnType(enum.Enum):
    """How a value is coerced and stored."""

    TEXT = 'text'           # up to `Column.length` characters
    INTEGER = 'integer'     # 64 bit, never negative
    BOOLEAN = 'boolean'


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a resource. `values` lists an enumeration: other values are kept as given and reported.

    A number above 0 and below `unlikely_below` is kept, but reported: it looks like another unit. A text longer than
    `length` characters is cut.
    `indexed` columns are offered for filters by equality and range; the others are free text, which can only be looked
    through. `searchable` ones are what a person types into a search: names, ids, WWNs, serial numbers.
    """

    name: str
    type: ColumnType = ColumnType.TEXT
    help: str = ''
    values: tuple[str, ...] = ()
    refers_to: str | None = None    # kind whose native id this column holds
    indexed: bool = True
    searchable: bool = False
    unlikely_below: int = 0
    length: int = TEXT_LENGTH


@dataclass(frozen=True, slots=True)
class Table:
    """A set of rows of one storage: `key` names the columns that identify a row within it."""

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]     # all of them, the key's included

    def column(self, name: str) -> Column:
        """The column called `name`; KeyError if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Relation:
    """Pairs of native ids, found under `answer_key` of the kind's driver answer."""

    table: Table
    answer_key: str


@dataclass(frozen=True, slots=True)
class Members:
    """A list of native ids shown inside a resource: `member_column` of the rows of `table` whose `key_column` is it."""

    shown_as: str
    table: str
    key_column: str
    member_column: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource kind.

    `name` is the REST envelope, the table's name and, with dashes, the collection's path. `nested` collections live
    below their storage (`/v1/storages/{id}/<path>`), the others at the top (`/v1/<path>`). `answer_key` is set where
    the driver answers a dict of lists instead of a list.
    """

    table: Table
    singular: str
    method: str
    not_found: str                          # class name in delfin.exception
    nested: bool = False
    answer_key: str | None = None
    relations: tuple[Relation, ...] = ()
    members: tuple[Members, ...] = ()
    aliases: tuple[str, ...] = ()           # further path names
    filter_aliases: Mapping[str, str] = field(default_factory=dict)     # names that existing clients filter by
    since: str = '1.0'                      # DRIVER_API version that knows the method

    @property
    def name(self) -> str:
        """Plural name: table, envelope, kind in sync results."""
        return self.table.name

    @property
    def native_id(self) -> str:
        """The column that holds the array's own id."""
        return self.table.key[0]

    @property
    def path(self) -> str:
        """Last part of the collection's path."""
        return self.name.replace('_', '-')

    @property
    def tables(self) -> tuple[Table, ...]:
        """The kind's own table and those of its relations."""
        return (self.table, *(relation.table for relation in self.relations))


@dataclass
class Kinds:
    """The registered kinds, in the order in which they are synced."""

    _by_name: dict[str, Kind] = field(default_factory=dict)

    def add(self, kind: Kind) -> Kind:
        """Register `kind`; its name and its relations' names must be new."""
        taken = {table.name for table in self.tables()}
        for table in kind.tables:
            if table.name in taken:
                raise ValueError(f'a kind or relation called {table.name} exists already')
        self._by_name[kind.name] = kind
        return kind

    def remove(self, name: str) -> None:
        """Forget a kind (tests that add one use it)."""
        del self._by_name[name]

    def __iter__(self) -> Iterator[Kind]:
        return iter(tuple(self._by_name.values()))

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> Kind:
        return self._by_name[name]

    def names(self) -> tuple[str, ...]:
        """Names in sync order."""
        return tuple(self._by_name)

    def table(self, name: str) -> Table:
        """The table called `name`, of a kind or a relation; KeyError if there is none."""
        for table in self.tables():
            if table.name == name:
                return table
        raise KeyError(name)

    def tables(self) -> Iterator[Table]:
        """Every table of every kind, relations included."""
        for kind in self:
            yield from kind.tables


def _text(name: str, help: str = '', values: tuple[str, ...] = (), refers_to: str | None = None, *,
          searchable: bool = False) -> Column:
    return Column(name, ColumnType.TEXT, help, values, refers_to, searchable=searchable)


def _free_text(name: str, help: str = '') -> Column:
    return Column(name, ColumnType.TEXT, help, indexed=False)


def _integer(name: str, help: str, unlikely_below: int = 0) -> Column:
    return Column(name, ColumnType.INTEGER, help, unlikely_below=unlikely_below)


def _boolean(name: str, help: str) -> Column:
    return Column(name, ColumnType.BOOLEAN, help)


_MIB = 2**20            # what has fewer bytes was probably meant in MiB or GiB
_MEGABIT = 10**6        # what is slower was probably meant in Mbit/s or Gbit/s
_NAME = _text('name', 'display name', searchable=True)
_DESCRIPTION = _free_text('description', 'free text')
_LOCATION = _free_text('location', 'site, rack, slot')
_WWN = _text('wwn', 'world-wide name', searchable=True)
_SERIAL_NUMBER = _text('serial_number', searchable=True)
_TOTAL = _integer('total_capacity', 'bytes', _MIB)
_USED = _integer('used_capacity', 'bytes')
_FREE = _integer('free_capacity', 'bytes')
_SUBSCRIBED = _integer('subscribed_capacity', 'bytes provisioned to consumers')
_COMPRESSED = _boolean('compressed', 'compression is on')
_DEDUPLICATED = _boolean('deduplicated', 'deduplication is on')

# The storage itself is no kind (there is one row of it and its id is ours), but its columns are described alike.
STORAGE_COLUMNS: tuple[Column, ...] = (
    _NAME, _DESCRIPTION, _LOCATION,
    _text('status', values=constants.StorageStatus.ALL),
    _text('vendor', 'as the array calls itself'),
    _text('model', 'as the array calls itself'),
    _text('serial_number', 'unique over all registered storages', searchable=True),
    _text('firmware_version'),
    _TOTAL, _USED, _FREE,
    _integer('raw_capacity', 'bytes of all disks', _MIB),
    _SUBSCRIBED,
)

# What people say of a storage and can change (`PUT /v1/storages/{id}`), beside `note` and `tags`.
STORAGE_LABELS: tuple[Column, ...] = (
    _text('display_name', 'a name of your own', searchable=True),
    _text('site', 'where it stands'),
)

KINDS = Kinds()


def _add(name: str, singular: str, columns: tuple[Column, ...], *, native_id: str | None = None,
         not_found: str | None = None, aliases: tuple[str, ...] = (), nested: bool = False,
         members: tuple[Members, ...] = (), filter_aliases: Mapping[str, str] | None = None) -> Kind:
    key = native_id or f'native_{singular}_id'
    table = Table(name, (key,), (_text(key, "the array's own id", searchable=True), *columns))
    error = not_found or ''.join(word.capitalize() for word in singular.split('_')) + 'NotFound'
    return KINDS.add(Kind(table, singular, f'list_{name}', error, nested=nested, aliases=aliases, members=members,
                          filter_aliases=filter_aliases or {}))


def _add_group(name: str, singular: str, relation: str, member_kind: str, member_column: str) -> Kind:
    key = f'native_{singular}_id'
    table = Table(name, (key,), (_text(key, "the array's own id", searchable=True), _NAME, _DESCRIPTION))
    pairs = Table(relation, (key, member_column),
                  (_text(key, refers_to=name), _text(member_column, refers_to=member_kind)))
    error = ''.join(word.capitalize() for word in singular.split('_')) + 'NotFound'
    return KINDS.add(Kind(
        table, singular, f'list_{name}', error, nested=True, answer_key=name,
        relations=(Relation(pairs, relation),),
        members=(Members(member_kind, relation, key, member_column),)))


_add('storage_pools', 'storage_pool', (
    _NAME, _DESCRIPTION,
    _text('storage_type', values=constants.StorageType.ALL),
    _text('status', values=constants.StoragePoolStatus.ALL),
    _TOTAL, _USED, _FREE, _SUBSCRIBED), aliases=('storages-pools',))

_add('volumes', 'volume', (
    _NAME, _DESCRIPTION,
    _text('type', values=constants.VolumeType.ALL),
    _text('status', values=constants.VolumeStatus.ALL),
    _text('native_storage_pool_id', refers_to='storage_pools'),
    _WWN, _TOTAL, _USED, _FREE, _COMPRESSED, _DEDUPLICATED))

_add('controllers', 'controller', (
    _NAME,
    _text('status', values=constants.ControllerStatus.ALL),
    _LOCATION,
    _text('soft_version', 'software version'),
    _free_text('cpu_info', 'CPU description'),
    _integer('cpu_count', 'count'),
    _integer('memory_size', 'bytes', _MIB),
    _text('mgmt_ip', 'management address; names the controller that sent a trap')))

_add('ports', 'port', (
    _NAME, _LOCATION,
    _text('type', values=constants.PortType.ALL),
    _text('logical_type', values=constants.PortLogicalType.ALL),
    _text('connection_status', values=constants.PortConnectionStatus.ALL),
    _text('health_status', values=constants.PortHealthStatus.ALL),
    _text('native_parent_id', 'usually a controller'),
    _integer('speed', 'bit/s', _MEGABIT), _integer('max_speed', 'bit/s', _MEGABIT),
    _WWN, _text('mac_address', searchable=True), _text('ipv4'), _text('ipv4_mask'), _text('ipv6'), _text('ipv6_mask')),
    filter_aliases={'status': 'health_status', 'native_controller_id': 'native_parent_id'})

_add('disks', 'disk', (
    _NAME,
    _text('physical_type', values=constants.DiskPhysicalType.ALL),
    _text('logical_type', values=constants.DiskLogicalType.ALL),
    _text('status', values=constants.DiskStatus.ALL),
    _LOCATION,
    _text('native_disk_group_id', 'RAID or disk group'),
    _SERIAL_NUMBER, _text('manufacturer'), _text('model'), _text('firmware'),
    _integer('speed', 'rpm'), _integer('capacity', 'bytes', _MIB), _integer('health_score', '0 to 100')))

_add('quotas', 'quota', (
    _text('type', values=constants.QuotaType.ALL),
    _text('native_filesystem_id', refers_to='filesystems'),
    _text('native_qtree_id', refers_to='qtrees'),
    _integer('capacity_hard_limit', 'bytes'), _integer('capacity_soft_limit', 'bytes'),
    _integer('file_hard_limit', 'files'), _integer('file_soft_limit', 'files'), _integer('file_count', 'files'),
    _integer('used_capacity', 'bytes'),
    _text('user_group_name', 'user or group the quota is for')))

_add('filesystems', 'filesystem', (
    _NAME,
    _text('type', values=constants.FSType.ALL),
    _text('status', values=constants.FilesystemStatus.ALL),
    _text('native_pool_id', refers_to='storage_pools'),
    _text('security_mode', values=constants.NASSecurityMode.ALL),
    _TOTAL, _USED, _FREE, _COMPRESSED, _DEDUPLICATED,
    _text('worm', values=constants.WORMType.ALL)))

_add('qtrees', 'qtree', (
    _NAME,
    _text('path'),
    _text('native_filesystem_id', refers_to='filesystems'),
    _text('security_mode', values=constants.NASSecurityMode.ALL)))

_add('shares', 'share', (
    _NAME,
    _text('path', 'export path'),
    _text('native_filesystem_id', refers_to='filesystems'),
    _text('native_qtree_id', refers_to='qtrees'),
    _text('protocol', values=constants.ShareProtocol.ALL)), filter_aliases={'qtree_id': 'native_qtree_id'})

_add('storage_host_initiators', 'storage_host_initiator', (
    _NAME, _DESCRIPTION,
    _text('alias', searchable=True), Column('wwn', help='world-wide name or IQN', searchable=True),
    _text('status', values=constants.InitiatorStatus.ALL),
    _text('type', values=constants.InitiatorType.ALL),
    _text('native_storage_host_id', refers_to='storage_hosts')), nested=True)

_add('storage_hosts', 'storage_host', (
    _NAME, _DESCRIPTION,
    _text('os_type', values=constants.HostOSTypes.ALL),
    _text('ip_address'),
    _text('status', values=constants.HostStatus.ALL)), nested=True,
    members=(Members('storage_host_initiators', 'storage_host_initiators',
                     'native_storage_host_id', 'native_storage_host_initiator_id'),))

_add_group('storage_host_groups', 'storage_host_group', 'storage_host_grp_host_rels',
           'storage_hosts', 'native_storage_host_id')
_add_group('port_groups', 'port_group', 'port_grp_port_rels', 'ports', 'native_port_id')
_add_group('volume_groups', 'volume_group', 'vol_grp_vol_rels', 'volumes', 'native_volume_id')

_add('masking_views', 'masking_view', (
    _NAME, _DESCRIPTION,
    _text('native_storage_host_group_id', refers_to='storage_host_groups'),
    _text('native_volume_group_id', refers_to='volume_groups'),
    _text('native_port_group_id', refers_to='port_groups'),
    _text('native_storage_host_id', refers_to='storage_hosts'),
    _text('native_volume_id', refers_to='volumes')), nested=True)
