# SPDX-License-Identifier: Apache-2.0
"""Rows that are put together of several answers; what comes from one stands in `tables` alone."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from delfin.common.constants import StorageStatus, VolumeType
from delfin.drivers.driver import Row
from delfin.drivers.ibm.storwize_svc import tables
from delfin.drivers.ibm.storwize_svc.session import Reply
from delfin.drivers.kit import units
from delfin.drivers.kit.delimited import Pairs, blocks, flat

_YES = 'yes'
_ONLINE = 'online'
_ACTIVE = 'active'


def storage(system: Reply, nodes: Iterable[Reply], enclosures: Iterable[Reply], vendor: str) -> Row:
    """The array. Capacities are rounded by it to two digits; its sizes add up nevertheless."""
    product = next((each['product_MTM'] for each in enclosures if each.get('product_MTM')), None)
    row = tables.SYSTEM.row({**system, 'PRODUCT': product}, vendor=vendor)
    free, used = row.get('free_capacity'), row.get('used_capacity')
    if isinstance(free, int) and isinstance(used, int):
        row['total_capacity'] = free + used
        row['raw_capacity'] = max(row.get('raw_capacity', 0), free + used)
    well = all(node.get('status') == _ONLINE for node in nodes)
    return {**row, 'status': StorageStatus.NORMAL if well else StorageStatus.DEGRADED}


def pools(replies: Iterable[Reply]) -> Iterator[Row]:
    """Pools, and the child pools within them."""
    for reply in replies:
        parent = reply.get('parent_mdisk_grp_id')
        yield tables.POOLS.row({**reply, 'PARENT': parent if parent != reply.get('id') else None})


# --- volumes ---

class Copies:
    """What is known of the copies of all volumes."""

    def __init__(self) -> None:
        self._of: dict[str, dict[str, dict[str, str]]] = defaultdict(dict)

    def add(self, replies: Iterable[Reply]) -> None:
        """Rows of a list with one row for each copy."""
        for reply in replies:
            copies = self._of[reply['vdisk_id']]
            if reply['copy_id'] in copies:
                copies[reply['copy_id']].update(reply)
            else:
                copies[reply['copy_id']] = reply

    def add_details(self, volume: str, sections: Sequence[Pairs]) -> None:
        """What the array tells of one volume: behind the first section, one for each copy."""
        for section in sections[1:]:
            copy = flat(section)
            if 'copy_id' in copy:
                self._of[volume].setdefault(copy['copy_id'], {}).update(copy)

    def of(self, volume: Reply) -> list[dict[str, str]]:
        """The copies of a volume, the primary one first; at least one, if only of what the volume itself tells."""
        known = self._of.get(volume['id'])
        if not known:
            return [{'mdisk_grp_id': volume.get('mdisk_grp_id', '')}]
        found = list(known.values())
        return found if len(found) == 1 else sorted(found, key=lambda copy: copy.get('primary') != _YES)


def needs_details(volume: Reply) -> bool:
    """Whether the list of volumes does not tell all of it: several copies, or one that is not plain."""
    return _number(volume.get('copy_count')) != 1 or _number(volume.get('se_copy_count')) != 0 \
        or _number(volume.get('compressed_copy_count')) != 0


def volumes(replies: Iterable[Reply], copies: Copies) -> Iterator[Row]:
    """Volumes with what their copies say."""
    for reply in replies:
        of = copies.of(reply)
        compressed = _any(of, 'compressed_copy') or _some(reply.get('compressed_copy_count'))
        thin = compressed or _any(of, 'se_copy') or _some(reply.get('se_copy_count'))
        total = units.number(reply.get('capacity'))
        used = units.number(of[0].get('used_capacity')) if thin else total
        yield tables.VOLUMES.row(
            reply, native_storage_pool_id=of[0].get('mdisk_grp_id') or None, used_capacity=used,
            free_capacity=None if used is None or total is None else max(0, total - used),
            type=VolumeType.THIN if thin else VolumeType.THICK, compressed=compressed,
            deduplicated=_any(of, 'deduplicated_copy'))


# --- controllers, ports, disks ---

def controllers(details: Iterable[Sequence[Pairs]], hardware: Iterable[Sequence[Pairs]]) -> Iterator[Row]:
    """Nodes; their hardware has several keys for each processor and adapter, of which the first ones count."""
    for node, parts in zip(details, hardware, strict=True):
        reply = _flat(node)
        if not reply:       # gone since the list was made
            continue
        machine = {key: value for key, value in _flat(parts).items() if key not in ('id', 'name', 'status')}
        yield tables.CONTROLLERS.row({**machine, **reply})


def ethernet_ports(replies: Iterable[Reply], addresses: Iterable[Reply] = ()) -> Iterator[Row]:
    """Ethernet ports. From 8.4.2 on their addresses are a list of their own, of which each port shows the first of
    either family; before, a port comes once more for its partner.
    """
    of_port: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for each in addresses:
        of_port[each['node_id'], each['port_id']] |= {
            key: value for key, value in _address(each).items()
            if key not in of_port[each['node_id'], each['port_id']]}
    for reply in replies:
        if reply.get('failover') == _YES:
            continue
        yield tables.ETHERNET_PORTS.row({
            **reply, **of_port.get((reply['node_id'], reply['id']), {}), 'HEALTH': _health(reply)})


def _health(reply: Reply) -> str | None:
    """From 8.4.2 on ports have no state; a link that is up says enough, one that is down may not be wanted."""
    if 'state' not in reply:
        return 'good' if reply.get('link_state') == _ACTIVE else None
    return 'good' if reply['state'] in tables.GOOD_PORT_STATES else 'bad'


def _address(reply: Reply) -> dict[str, str]:
    try:
        interface = ipaddress.ip_interface(f'{reply["IP_address"]}/{reply["prefix"]}')
    except ValueError:
        return {}
    if interface.version == 4:
        return {'IP_address': str(interface.ip), 'mask': str(interface.netmask)}
    return {'IP_address_6': str(interface.ip), 'prefix_6': reply['prefix']}


def disks(replies: Iterable[Reply], fabrics: Mapping[str, str]) -> Iterator[Row]:
    """MDisks: what statistics call disks, too. `fabrics` by id of those that are behind one."""
    for reply in replies:
        yield tables.DISKS.row({**reply, 'FABRIC': fabrics.get(reply['id']) or 'none'})


# --- hosts ---

def hosts(details: Iterable[Sequence[Pairs]]) -> Iterator[Row]:
    """Hosts, of all that is told of each."""
    for sections in details:
        if sections:
            yield tables.HOSTS.row(_flat(sections))


def initiators(details: Iterable[Sequence[Pairs]]) -> Iterator[Row]:
    """The ports of hosts; each begins with a key that says what kind of name it has."""
    for sections in details:
        host = _flat(sections).get('id')
        for block in blocks((pair for section in sections for pair in section), *tables.INITIATOR_KEYS):
            yield tables.INITIATORS.row({**flat(block), 'KEY': block[0][0], 'PORT': block[0][1], 'HOST': host})


def _flat(sections: Iterable[Pairs]) -> dict[str, str]:
    return flat(pair for section in sections for pair in section)


def _any(copies: Sequence[Mapping[str, Any]], key: str) -> bool:
    if len(copies) == 1:        # nearly always, and there are many
        return bool(copies[0].get(key) == _YES)
    return any(copy.get(key) == _YES for copy in copies)


def _some(count: str | None) -> bool:
    return count is not None and count.isdecimal() and count != '0'


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
