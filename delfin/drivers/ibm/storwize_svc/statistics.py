# SPDX-License-Identifier: Apache-2.0
"""Statistics files: which there are, which are needed, what is in them, and what lies between one and the next.

Each node writes files of its own at the end of each interval, sixteen of a kind. Only those of the configuration node
can be fetched; the others' are copied there first. All counters begin at zero when their node starts.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from xml.parsers import expat

from delfin import exception
from delfin.drivers.ibm.storwize_svc import alerts
from delfin.drivers.ibm.storwize_svc.left import Left
from delfin.drivers.ibm.storwize_svc.session import Reply, StorwizeSession
from delfin.drivers.utils.counters import Growth, Reading, growth

LOG = logging.getLogger(__name__)

FOLDER = '/dumps/iostats'
VOLUMES, DISKS, NODES = 'Nv', 'Nm', 'Nn'        # kinds of files

# Elements of each kind of file: the attributes with id and name, and the counters that are used.
_LOAD = ('ro', 'wo', 'rb', 'wb')
ELEMENTS: Mapping[str, Mapping[str, tuple[str, str, tuple[str, ...]]]] = {
    VOLUMES: {'vdsk': ('idx', 'id', (*_LOAD, 'rl', 'wl', 'ctrs', 'ctrhs', 'ctws', 'ctwhs'))},
    DISKS: {'mdsk': ('idx', 'id', (*_LOAD, 'rq', 'wq', 'urq', 'uwq'))},
    NODES: {
        'cpu': ('', '', ('busy',)),
        'port': ('fc_wwpn', 'fc_wwpn', (
            'hbr', 'hbt', 'her', 'het', 'cbr', 'cbt', 'cer', 'cet', 'lnbr', 'lnbt', 'lner', 'lnet',
            'rmbr', 'rmbt', 'rmer', 'rmet')),
    },
}
_OPTIONAL = frozenset({'urq', 'uwq'})       # what is not there is 0, but of these it is to be known

_NAME = re.compile(r'(N[a-z])_stats_([^/]+)_([0-9]{6}_[0-9]{6})')
_NAME_TIME, _FILE_TIME = '%y%m%d_%H%M%S', '%Y-%m-%d %H:%M:%S'
_ROOT = 'diskStatsColl'
_DEFAULT_MINUTES = 5
_ONLINE = 'online'


class Thing(NamedTuple):
    """What is counted. The name belongs to it: a new volume may have the number of one that has gone."""

    element: str
    id: str
    name: str


class Node(NamedTuple):
    """Who has counted, by the ids and names of the inventory."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class File:
    """A file, and when its interval ended by its name: at the one time or, when clocks are set back, the other."""

    name: str
    kind: str
    node: Node
    earliest: int
    latest: int
    is_here: bool       # on the configuration node


@dataclass(frozen=True, slots=True)
class Interval:
    """What was counted up to `time` (epoch ms): growth per second by kind of file, node and thing. Of what is `lost`
    some node's part is not known, because that began anew or its file could not be read.
    """

    time: int
    rates: Mapping[str, Mapping[Node, Mapping[Thing, Mapping[str, float]]]]
    lost: frozenset[Thing]


class Listing(NamedTuple):
    """All files, the oldest first, and the statistics interval in ms."""

    files: list[File]
    interval: int

    @property
    def newest(self) -> int | None:
        return max((file.earliest for file in self.files), default=None)


class Statistics:
    """The files of one array. For several threads."""

    def __init__(self) -> None:
        self._listing = Left[Listing]()         # of the last `newest`, for the call that follows it

    def newest(self, session: StorwizeSession, system: Reply, nodes: Sequence[Reply]) -> int | None:
        """Epoch ms of the newest end of an interval."""
        listing = _listed(session, system, nodes)
        self._listing.put(listing)
        return listing.newest

    def intervals(self, session: StorwizeSession, system: Reply, nodes: Sequence[Reply], kinds: Collection[str],
                  start: int, end: int) -> Iterator[Interval]:
        """The intervals that end in [start, end), in their order."""
        listing = self._listing.take()
        if listing is None or listing.newest is None or listing.newest < end:
            listing = _listed(session, system, nodes)
        wanted = [file for file in _needed(listing, start, end) if file.kind in kinds]
        _bring(session, wanted)
        series = _Series()
        for files in _slots(wanted, listing.interval):
            found = series.interval([(file, _read(session, file)) for file in files])
            if found is not None:
                yield found


# --- which files ---

def _listed(session: StorwizeSession, system: Reply, nodes: Sequence[Reply]) -> Listing:
    zone = alerts.zone_of(system)
    if zone is None:
        raise exception.InvalidResults(
            f'The time zone of {session.host}, {system.get("time_zone")!r}, is not known on this machine: install its '
            'package tzdata.')
    owners = {node.get('panel_name', ''): Node(node['id'], node['name']) for node in nodes}
    found: dict[str, File] = {}
    for node in sorted(nodes, key=lambda node: node.get('config_node') != 'yes'):
        if node.get('status') != _ONLINE:
            continue
        is_here = node.get('config_node') == 'yes'
        for row in session.rows('lsdumps', '-prefix', FOLDER, *(() if is_here else (node['id'],))):
            name = _NAME.fullmatch(row.get('filename', ''))
            if name is None or name[1] not in ELEMENTS or name[0] in found:
                continue
            local = datetime.strptime(name[3], _NAME_TIME)
            found[name[0]] = File(name[0], name[1], owners.get(name[2], Node(node['id'], node['name'])),
                                  alerts.epoch_ms(local, zone), alerts.epoch_ms(local.replace(fold=1), zone), is_here)
    minutes = system.get('statistics_frequency', '')
    return Listing(sorted(found.values(), key=lambda file: (file.earliest, file.name)),
                   (int(minutes) if minutes.isdecimal() and int(minutes) else _DEFAULT_MINUTES) * 60_000)


def _needed(listing: Listing, start: int, end: int) -> list[File]:
    """What ends in the window, and of each node and kind the newest before it, from which that has grown."""
    before: dict[tuple[str, Node], File] = {}
    within = []
    for file in listing.files:
        if file.latest < start:
            before[file.kind, file.node] = file
        elif file.earliest < end:
            within.append(file)
    return sorted([*before.values(), *within], key=lambda file: (file.earliest, file.name)) if within else []


def _bring(session: StorwizeSession, files: Sequence[File]) -> None:
    """Have the files of other nodes copied to the configuration node: one command for each node and kind."""
    away: dict[tuple[str, Node, str], list[str]] = {}
    for file in files:
        if not file.is_here:
            panel = _panel(file.name)
            away.setdefault((file.kind, file.node, panel), []).append(file.name)
    for (kind, node, panel), names in away.items():
        pattern = names[0] if len(names) == 1 else f'{kind}_stats_{panel}_*'
        try:
            session.change('cpdumps', '-prefix', f'{FOLDER}/{pattern}', node.id)
        except exception.NotAuthorized as error:
            raise exception.NotAuthorized(message=(
                f'{error.msg} The statistics of other nodes must be copied with cpdumps, which the role Monitor may '
                'not: give the user the role Administrator.')) from error


def _panel(name: str) -> str:
    found = _NAME.fullmatch(name)
    return found[2] if found is not None else ''


def _slots(files: Sequence[File], interval: int) -> Iterator[list[File]]:
    """Files that end together: nodes write theirs within seconds of each other."""
    slot: list[File] = []
    for file in files:
        if slot and file.earliest - slot[0].earliest >= interval / 2:
            yield slot
            slot = []
        slot.append(file)
    if slot:
        yield slot


# --- what is in them ---

def _read(session: StorwizeSession, file: File) -> Reading[Thing] | None:
    """None for one that has gone meanwhile, or is not complete."""
    content = session.read_file(f'{FOLDER}/{file.name}')
    if content is None:
        LOG.info('%s: the statistics file %s has gone', session.host, file.name)
        return None
    try:
        return parse(content, file.kind, file.earliest)
    except (expat.ExpatError, ValueError) as error:
        LOG.warning('%s: the statistics file %s cannot be read: %s', session.host, file.name, error)
        return None


def parse(content: bytes, kind: str, time: int) -> Reading[Thing]:
    """The counters of a file. `time` is its end if it does not tell itself. ValueError or `expat.ExpatError` for what
    is no such file.
    """
    counters: dict[Thing, dict[str, int]] = {}
    root: dict[str, str] = {}
    elements = ELEMENTS[kind]

    def start(name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(' ')[2]
        if not root:
            if local != _ROOT:
                raise ValueError(f'it is a document of {local}')
            root.update(attributes, _='')
        spec = elements.get(local)
        if spec is not None:
            key, named, names = spec
            counters[Thing(local, _identity(attributes, key), _identity(attributes, named))] = {
                counter: int(attributes.get(counter, 0)) for counter in names
                if counter in attributes or counter not in _OPTIONAL}

    def refuse(*doctype: Any) -> None:
        raise ValueError('it declares a document type')

    parser = expat.ParserCreate(namespace_separator=' ')
    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(content, True)
    ended = _utc(root.get('timestamp_utc', ''), time)
    return Reading(counters, ended / 1000, ended)


def _identity(attributes: Mapping[str, str], name: str) -> str:
    value = attributes.get(name, '') if name else ''
    return value.removeprefix('0x').upper() if name.endswith('wwpn') else value


def _utc(text: str, otherwise: int) -> int:
    try:
        return alerts.epoch_ms(datetime.strptime(text, _FILE_TIME), UTC)
    except ValueError:
        return otherwise


# --- what lies between ---

class _Series:
    """Keeps the last reading of each node and kind."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, Node], Reading[Thing]] = {}

    def interval(self, slot: Sequence[tuple[File, Reading[Thing] | None]]) -> Interval | None:
        """What has grown since the slot before; None for the first one."""
        grown: dict[tuple[str, Node], Growth[Thing]] = {}
        lost: set[Thing] = set()
        times = []
        for file, reading in slot:
            key = file.kind, file.node
            past = self._last.get(key)
            if reading is None:
                lost |= _counted(past)
                continue
            times.append(reading.time)
            self._last[key] = reading
            if past is None:
                lost |= _counted(reading)
            elif reading.seconds > past.seconds:
                grown[key] = each = growth(past, reading)
                lost |= each.begun
        restarted = {node for (_, node), each in grown.items() if each.restarted}
        rates: dict[str, dict[Node, Mapping[Thing, Mapping[str, float]]]] = {}
        for (kind, node), each in grown.items():
            if node in restarted:
                lost |= {thing for thing, counters in each.counters.items() if any(counters.values())}
            else:
                rates.setdefault(kind, {})[node] = each.per_second()
        return Interval(min(times), rates, frozenset(lost)) if rates else None


def _counted(reading: Reading[Thing] | None) -> set[Thing]:
    return {thing for thing, counters in reading.counters.items() if any(counters.values())} if reading else set()


