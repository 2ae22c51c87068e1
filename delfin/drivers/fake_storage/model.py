# SPDX-License-Identifier: Apache-2.0
"""The make-believe array: who it is, which rows it has, and how a row comes about.

Everything is a function of the array's identity (endpoint, `array_id`, `seed`) and the settings. Chance is drawn from
BLAKE2 digests, so that every process and every Python version sees the same array; `hash()` and `random` would not do.
What the rows look like stands in `recipes`.
"""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from delfin.common import constants
from delfin.drivers.driver import Row
from delfin.drivers.fake_storage import capacity
from delfin.drivers.fake_storage.capacity import GIB, Demand, Extent, Sizes
from delfin.drivers.fake_storage.options import SIZES, Settings
from delfin.kinds import Relation, Table

T = TypeVar('T')

_BLOCK_SIZES_GIB = (10, 20, 50, 100, 100, 200, 250, 500, 750, 1024)
_FILE_SIZES_GIB = (100, 200, 500, 500, 750, 1024)
_MANY_ROWS = 1_000_000      # from here on they are made of smaller units, or their sum would not fit into 64 bits
_SMALL_UNIT = 2**24
_DRAWS_PER_DIGEST = hashlib.blake2b.MAX_DIGEST_SIZE // 4
_CYCLE = 17     # a prime, so that the volumes of any number of pools have all sizes


class Chance:
    """Numbers drawn one after the other from a digest: the same text, the same numbers, for ever."""

    __slots__ = ('_bits', '_digest', '_left')

    def __init__(self, digest: hashlib.blake2b) -> None:
        self._fill(digest)

    def _fill(self, digest: hashlib.blake2b) -> None:
        self._digest = digest
        self._bits = int.from_bytes(digest.digest(), 'big')
        self._left = _DRAWS_PER_DIGEST

    @classmethod
    def of(cls, *parts: object) -> Chance:
        """Chance for the thing that `parts` name."""
        return cls(hashlib.blake2b(json.dumps([str(part) for part in parts]).encode()))

    def branch(self) -> Callable[[int], Chance]:
        """For each number another chance, quickly made; independent of what is drawn here."""
        root = hashlib.blake2b(self._digest.digest())

        def at(number: int) -> Chance:
            digest = root.copy()
            digest.update(b'%d' % number)
            return Chance(digest)
        return at

    def roll(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included and less than 2^32 apart."""
        if not self._left:
            self._fill(hashlib.blake2b(self._digest.digest()))
        self._left -= 1
        value = self._bits & 0xFFFFFFFF
        self._bits >>= 32
        return low + value % (high - low + 1)

    def pick(self, choices: Sequence[T]) -> T:
        """One of `choices`."""
        return choices[self.roll(0, len(choices) - 1)]


@dataclass(slots=True)
class Item:
    """One thing while its row is made. `row` holds the columns made so far; a recipe's order is therefore an order."""

    array: FakeArray
    index: int
    generation: int
    chance: Chance
    row: Row

    def turn(self, choices: Sequence[T]) -> T:
        """One of `choices`, and another one after each change of the row."""
        return choices[(self.chance.roll(0, len(choices) - 1) + self.generation) % len(choices)]

    def mostly(self, usual: T, other: T) -> T:
        """`usual` for nineteen out of twenty rows, and the opposite after each change of the row."""
        odd = self.chance.roll(1, 20) == 1
        return other if (self.generation + odd) % 2 else usual

    def used_percent(self) -> int:
        """From 20 to MAX_USED_PERCENT, and another one after each change of the row."""
        span = capacity.MAX_USED_PERCENT - 20 + 1
        return 20 + (self.chance.roll(0, span - 1) + self.generation * 7) % span

    def refer(self, size: str, number: int | None = None) -> str | None:
        """Native id of the row of `size` that this one belongs to (or that `number` points to)."""
        target = self.array.extents[size].reference(self.index if number is None else number)
        return None if target is None else self.array.native_id(size, target)


@dataclass(frozen=True, slots=True)
class Members:
    """Which rows a group has: `per_group` consecutive ones of `size`, around and around."""

    relation: Relation
    size: str
    per_group: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """How rows of a table come about: native id, then one function for each column. None means "leave it out"."""

    table: Table
    native_id: Callable[[int], str]
    columns: Mapping[str, Callable[[Item], Any]]
    members: Members | None = None


class Listing:
    """Rows that are made anew each time they are walked over, and counted without being made if `count` says how."""

    def __init__(self, make: Callable[[], Iterator[Any]], count: Callable[[], int] | None = None,
                 table: Table | None = None) -> None:
        self._make = make
        self._count = count
        self.table = table

    def __iter__(self) -> Iterator[Any]:
        return self._make()

    def __len__(self) -> int:
        return self._count() if self._count else sum(1 for _ in self._make())


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose make-believe this is: two arrays with different identities share neither serial number nor name."""

    seed: str
    array_id: str
    host: str
    port: str

    @classmethod
    def of(cls, settings: Settings, access: Mapping[str, Any]) -> Identity:
        """Identity of the array behind the first access section of `access`."""
        section = first_section(access)
        return cls(settings['seed'], settings['array_id'], str(section.get('host') or '').lower(),
                   str(section.get('port') or ''))

    @property
    def tag(self) -> str:
        """Twelve hexadecimal digits; serial numbers, names and addresses are made of them."""
        chance = Chance.of('identity', self.seed, self.array_id, self.host, self.port)
        return f'{chance.roll(0, 2**32 - 1):08x}{chance.roll(0, 2**16 - 1):04x}'


def first_section(access: Mapping[str, Any]) -> Mapping[str, Any]:
    """The first access section that is given, or an empty one."""
    return next((access[name] for name in constants.ACCESS_TYPE if access.get(name)), {})


class FakeArray:
    """One array in one state. Cheap to make, immutable, and safe to read from many threads."""

    def __init__(self, settings: Settings, identity: Identity, recipes: Mapping[str, Recipe]) -> None:
        self.settings = settings
        self.identity = identity
        self.tag = identity.tag
        self.number = int(self.tag, 16)
        self.serial_number: str = settings['serial_number'] or f'FS{self.tag.upper()}'
        self.name = f'fake-{self.tag}'
        self._recipes = recipes
        self.extents: Mapping[str, Extent] = {
            size: Extent(settings[size], settings.scoped('remove', size), settings.scoped('grow', size),
                         settings['epoch'], settings.scoped('change_percent', size))
            for size in SIZES}
        chance = Chance.of(self.tag, 'sizes')
        unit = _SMALL_UNIT if self.extents['volumes'].base + self.extents['filesystems'].base > _MANY_ROWS else GIB
        self.volume_sizes = Sizes(tuple(chance.pick(_BLOCK_SIZES_GIB) * unit for _ in range(_CYCLE)))
        self.filesystem_sizes = Sizes(tuple(chance.pick(_FILE_SIZES_GIB) * unit for _ in range(_CYCLE)))

    # --- rows ---

    def native_id(self, size: str, index: int) -> str:
        """The array's own id of a row."""
        return self._recipes[size].native_id(index)

    def rows(self, size: str) -> Listing:
        """All rows of a size option's kind."""
        recipe = self._recipes[size]
        return Listing(lambda: self._make(size, recipe), lambda: len(self.extents[size]), recipe.table)

    def relations(self, size: str) -> tuple[Relation, Listing]:
        """Who is in which group, for a kind of groups."""
        recipe = self._recipes[size]
        members = recipe.members
        if members is None:
            raise KeyError(size)
        targets = self.extents[members.size].kept
        width = min(members.per_group, len(targets))
        group_column, member_column = members.relation.table.key

        def pairs() -> Iterator[Row]:
            for group in self.extents[size]:
                for place in range(width):
                    member = targets[(group * width + place) % len(targets)]
                    yield {group_column: recipe.native_id(group),
                           member_column: self.native_id(members.size, member)}

        return members.relation, Listing(pairs, lambda: len(self.extents[size]) * width, members.relation.table)

    def _make(self, size: str, recipe: Recipe) -> Iterator[Row]:
        extent = self.extents[size]
        key = recipe.table.key[0]
        chance = Chance.of(self.tag, size).branch()
        for index, generation in zip(extent, extent.generations(), strict=False):
            row: Row = {key: recipe.native_id(index)}
            item = Item(self, index, generation, chance(index), row)
            for column, make in recipe.columns.items():
                value = make(item)
                if value is not None:
                    row[column] = value
            yield row

    # --- capacities ---

    def pool_demand(self, pool: int, *, configured: bool = False) -> Demand:
        """What the volumes and file systems in pool `pool` take: those there are now, or those configured."""
        pools = len(self.extents['pools'].kept)
        if pool >= pools:
            return Demand()
        asked = Demand()
        for size, sizes in (('volumes', self.volume_sizes), ('filesystems', self.filesystem_sizes)):
            extent = self.extents[size]
            ranges = (range(extent.base),) if configured else (extent.kept, extent.fresh)
            for indices in ranges:
                asked += capacity.demand(sizes, indices, pools, pool)
        return asked

    @functools.cached_property
    def _pool_sums(self) -> dict[str, int]:
        columns = ('total_capacity', 'used_capacity', 'subscribed_capacity')
        sums = dict.fromkeys(columns, 0)
        for row in self.rows('pools'):
            for column in columns:
                sums[column] += row[column]
        return sums

    @functools.cached_property
    def _configured_disk(self) -> int:
        return capacity.disk_capacity(self._pool_sums['total_capacity'], max(self.extents['disks'].base, 1))

    def disk_capacity(self, index: int) -> int:
        """Bytes of a disk: the configured ones are alike and together hold the pools, added ones are small.

        So neither pulling a disk nor adding one changes the others.
        """
        return self._configured_disk if index < self.extents['disks'].base else capacity.SMALLEST_DISK

    def storage(self) -> Row:
        """The array itself, in the columns of a storage."""
        disks = self.extents['disks']
        pools = self._pool_sums
        configured_raw = disks.base * self._configured_disk
        total = capacity.usable(configured_raw) if disks.base else pools['total_capacity']
        storage: Row = {
            'name': self.name,
            'description': 'A make-believe array',
            'location': f'row {self.number % 9 + 1}, rack {self.number % 31 + 1}',
            'status': constants.StorageStatus.NORMAL,
            'vendor': 'fake_vendor',
            'model': 'fake_model',
            'serial_number': self.serial_number,
            'firmware_version': '1.0.0',
            'total_capacity': total,
            'used_capacity': pools['used_capacity'],
            'free_capacity': total - pools['used_capacity'],
            'subscribed_capacity': pools['subscribed_capacity'],
        }
        if disks.base:
            storage['raw_capacity'] = configured_raw + disks.grown * capacity.SMALLEST_DISK
        return storage

    # --- addresses ---

    def wwn(self, slot: int, index: int) -> str:
        """A world-wide port name: NAA 3, "locally assigned", so that it can be nobody's."""
        return f'3{self.tag[:9]}{slot:x}{index & 0xFFFFF:05x}'

    def volume_wwn(self, index: int) -> str:
        """A world-wide volume name: NAA 6 with a locally administered vendor part."""
        return f'602fade{self.tag}00000{index:08x}'

    def mac(self, index: int) -> str:
        """A locally administered MAC address."""
        digits = f'02{self.tag[:6]}{index & 0xFFFF:04x}'
        return ':'.join(digits[place:place + 2] for place in range(0, 12, 2))

    def ipv4(self, slot: int, index: int) -> str:
        """An address in the array's own /18 of 10.0.0.0/8."""
        return str(ipaddress.IPv4Address(10 << 24 | (self.number & 0x3FF) << 14 | slot << 12 | index % 4094 + 1))

    def ipv6(self, slot: int, index: int) -> str:
        """An address in the array's own unique local /48."""
        network = int(f'fd{self.tag[:10]}', 16) << 80
        return str(ipaddress.IPv6Address(network | slot << 64 | index + 1))
