# SPDX-License-Identifier: Apache-2.0
"""How statistics files look: XML in which everything is an attribute, and a number in units of its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from xml.sax.saxutils import quoteattr
from zoneinfo import ZoneInfo

from tests.simulators.ibm.grammar import Manner, written
from tests.simulators.ibm.model import Model, Node
from tests.simulators.ibm.statistics import Counters, Statistics

_SPACE = 'http://ibm.com/storage/management/performance/api'
_ROOTS = {'Nv': ('2005/08/vDiskStats', 'virtualDisks'), 'Nm': ('2003/04/diskStats', 'managedDisks'),
          'Nd': ('2003/04/diskStats', 'drives'), 'Nn': ('2006/01/nodeStats', 'nodes'),
          'Ng': ('2017/01/volumeGroupStats', 'volumeGroups'), 'Nh': ('2019/01/hostStats', 'hosts')}
_BLOCK = 512
_PLAIN = Manner()


def name(kind: str, panel: str, at: float, zone: str) -> str:
    """Of the file of an interval that ended then."""
    return f'{kind}_stats_{panel}_{datetime.fromtimestamp(at, ZoneInfo(zone)):%y%m%d_%H%M%S}'


def content(model: Model, statistics: Statistics, kind: str, node: Node, since: float, at: float) -> bytes:
    """What a node that is up since some time counts at another."""
    local = datetime.fromtimestamp(at, ZoneInfo(model.system.time_zone))
    minutes = int((local.utcoffset() or UTC.utcoffset(None)).total_seconds()) // 60
    sign = '+' if minutes >= 0 else '-'
    space, contains = _ROOTS[kind]
    head = (f'<?xml version="1.0" encoding="utf-8" ?>\n<diskStatsColl xmlns="{_SPACE}/{space}" scope="node"'
            f' id={_text(node.name)} cluster={_text(model.system.name)} node_id="{int(node.id):#018x}"'
            f' cluster_id="0x{model.system.id.lower()}" sizeUnits="{_BLOCK}B" timeUnits="msec" contains="{contains}"'
            f' timestamp="{local:%Y-%m-%d %H:%M:%S}"'
            f' timezone="GMT{sign}{abs(minutes) // 60}:{abs(minutes) % 60:02}"'
            f' timestamp_utc="{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}">\n')
    lines = _LINES[kind](model, statistics, node, since, at)
    return f'{head}{"".join(lines)}</diskStatsColl>\n'.encode()


def _text(value: str) -> str:
    return quoteattr(written(value, _PLAIN))


def _volumes(model: Model, statistics: Statistics, node: Node, since: float, at: float) -> Iterator[str]:
    for volume in model['volume'].values():
        if not statistics.existed(volume.id, at):
            continue
        one = statistics.volume(volume, node.id, since, at)
        read, wrote = int(one['read_bytes']) // _BLOCK, int(one['written_bytes']) // _BLOCK
        read_hit, write_hit = int(one['read_hit_bytes']) // _BLOCK, int(one['write_hit_bytes']) // _BLOCK
        worst = 400 + int(at) // 300 * 37 % 9000 if one['reads'] else 0
        yield (f' <vdsk idx="{volume.id}" ctrs="{read}" ctrhs="{read_hit}" ctws="{wrote}" ctwhs="{write_hit}"'
               f' ctr="{read // 64}" ctw="{wrote // 64}" ctrh="{read_hit // 64}" ctwh="{write_hit // 64}"'
               f' id={_text(volume.name)} ro="{int(one["reads"])}" wo="{int(one["writes"])}" wou="0" rb="{read}"'
               f' wb="{wrote}" rl="{int(one["read_ms"])}" wl="{int(one["write_ms"])}" rlw="{worst}" wlw="{worst // 2}"'
               f' xl="{int(one["read_ms"]) // 10}">\n'
               '  <ca r="0" rh="0" d="0" ft="0" wt="0" fw="0" wh="0" v="0" m="0" ri="0" wi="0"/>\n </vdsk>\n')


def _disk(idx: str, name: str, one: Counters) -> str:
    read, write = one['external_read_ms'], one['external_write_ms']
    return (f' <mdsk idx="{idx}" id={_text(name)} ro="{int(one["reads"])}" wo="{int(one["writes"])}"'
            f' rb="{int(one["read_bytes"]) // _BLOCK}" wb="{int(one["written_bytes"]) // _BLOCK}" re="{int(read)}"'
            f' we="{int(write)}" rq="{int(one["read_ms"])}" wq="{int(one["write_ms"])}" ure="{int(read * 1000)}"'
            f' uwe="{int(write * 1000)}" urq="{int(one["read_ms"] * 1000)}" uwq="{int(one["write_ms"] * 1000)}"'
            ' pre="0" pwe="0" pro="0" pwo="0"/>\n')


def _mdisks(model: Model, statistics: Statistics, node: Node, since: float, at: float) -> Iterator[str]:
    for disk in model['mdisk'].values():
        yield _disk(disk.id, disk.name, statistics.mdisk(disk.id, node.id, since, at))


def _drives(model: Model, statistics: Statistics, node: Node, since: float, at: float) -> Iterator[str]:
    for drive in model['drive'].values():
        yield _disk(drive.id, drive.id, statistics.drive(drive.id, node.id, since, at))


def _node(model: Model, statistics: Statistics, node: Node, since: float, at: float) -> Iterator[str]:
    """The traffic between nodes, the cores, and the ports."""
    between = statistics.host(node.id, since, at)
    for other in model['node'].values():
        if other is not node:
            wrote, count = int(between['written_bytes']), int(between['writes'])
            yield (f' <node id={_text(other.name)} cluster={_text(model.system.name)} node_id="{int(other.id):#018x}"'
                   f' cluster_id="0x{model.system.id.lower()}" ro="{count}" wo="{count}" rb="{wrote}" wb="{wrote}"'
                   f' re="{count // 1000}" we="{count // 20}" rq="{count // 30}" wq="{count // 15}"/>\n')
    yield f' <cpu busy="{int(statistics.busy(node.id, since, at))}" limited="0" system="0"/>\n'
    for port in model.by('fc_port', 'node').get(node.id, ()):
        one = statistics.port(port.id, since, at)
        counts = ''.join(f' {key}="{int(one.get(key, 0))}"' for key in (
            'hbt', 'hbr', 'het', 'her', 'cbt', 'cbr', 'cet', 'cer', 'lnbt', 'lnbr', 'lnet', 'lner', 'rmbt', 'rmbr',
            'rmet', 'rmer'))
        wwpn = f'0x{port.wwpn.lower()}'
        kind, fc, fcoe = ('FC', wwpn, '') if port.type == 'fc' else ('FCoE', '', wwpn)
        yield (f' <port id="{port.number}" type="{kind}" type_id="{port.number}" wwpn="{wwpn}" fc_wwpn="{fc}"'
               f' fcoe_wwpn="{fcoe}" sas_wwn="" iqn=""{counts} dtdt="{int(one["her"]) // 50}" bbcz="12" lf="0" lsy="1"'
               ' lsi="0" pspe="0" itw="0" icrc="0"/>\n')
    yield (f' <port id="{len(model.by("fc_port", "node").get(node.id, ())) + 1}" type="IPREP" type_id="1" wwpn=""'
           ' fc_wwpn="" fcoe_wwpn="" sas_wwn="" iqn="iqn.1986-03.com.ibm:2145" hbt="0" hbr="0"/>\n')


def _nothing(model: Model, statistics: Statistics, node: Node, since: float, at: float) -> Iterator[str]:
    """Of kinds that only newer levels have, and nobody reads here."""
    return iter(())


_LINES = {'Nv': _volumes, 'Nm': _mdisks, 'Nd': _drives, 'Nn': _node, 'Ng': _nothing, 'Nh': _nothing}
