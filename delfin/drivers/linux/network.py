# SPDX-License-Identifier: Apache-2.0
"""Network ports.

Facts: ip-address(8) with -json; Documentation/ABI/testing/sysfs-class-net and
Documentation/networking/operstates.rst of the kernel.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from delfin.common.constants import PortConnectionStatus, PortHealthStatus, PortLogicalType, PortType
from delfin.drivers.driver import Row
from delfin.drivers.linux.text import entries, extra, integer, json_of, row, text

COMMAND = ('ip', '-json', '-details', 'address')
ROUTE_COMMAND = ('ip', '-json', 'route', 'show', 'default')
FILES = ('/sys/class/net/*/speed', '/sys/class/net/*/duplex', '/sys/class/net/*/device/uevent',
         '/sys/class/net/*/uevent')

_BITS_PER_MEGABIT = 1_000_000       # /sys/class/net/*/speed is in Mbit/s

_WIRELESS = ('wlan', 'wwan')        # of DEVTYPE; their link type is Ethernet's
_LINK_TYPES = {'ether': PortType.ETH, 'infiniband': PortType.IB}
# Kinds of virtual devices that carry this machine's own traffic. All others (veth, tun, ifb, dummy, macvlan, tunnels)
# are plumbing; bridges count if a port of ours is in them, which those of containers and virtual machines lack.
_LOGICAL_TYPES = {
    'vlan': PortLogicalType.VLAN,
    'bond': PortLogicalType.IF_GROUP,
    'team': PortLogicalType.IF_GROUP,
    'bridge': PortLogicalType.OTHER,
}
# operstate (RFC 2863). UNKNOWN: the driver does not tell; the carrier does.
_CONNECTED = {
    'UP': PortConnectionStatus.CONNECTED,
    'DOWN': PortConnectionStatus.DISCONNECTED,
    'LOWERLAYERDOWN': PortConnectionStatus.DISCONNECTED,
    'NOTPRESENT': PortConnectionStatus.DISCONNECTED,
    'DORMANT': PortConnectionStatus.DISCONNECTED,
    'TESTING': PortConnectionStatus.DISCONNECTED,
}

# Kinds that keep several ports so that one may fail.
_GROUPS = ('bond', 'team')


@dataclass(frozen=True, slots=True)
class DownPort:
    """A port that should have link and has none. `group` is the bond or team that it is a member of; `in_use`: it has
    addresses, or other interfaces are built on it; `enabled`: it is switched on.
    """

    name: str
    group: str | None
    in_use: bool
    enabled: bool


def parse(output: str) -> list[dict[str, Any]]:
    """The interfaces in the output of `COMMAND`."""
    # `ip` prints {} for what it filters out.
    return [entry for entry in entries('ip', json_of('ip', output)) if entry.get('ifname')]


def port_rows(interfaces: list[dict[str, Any]], files: Mapping[str, str], parent: str) -> list[Row]:
    """Rows of the ports; `files` are the contents of `FILES`, `parent` is the id of the controller."""
    kept = ports(interfaces, files)
    return [_port_row(interface, kept[interface['ifname']], files, parent)
            for interface in interfaces if interface['ifname'] in kept]


def down_ports(interfaces: list[dict[str, Any]], files: Mapping[str, str]) -> list[DownPort]:
    """The physical ports that are switched on and have no carrier, and members of bonds and teams that do not work for
    whatever reason. Not: wireless ones, which have no cable that could be out.
    """
    physical = [interface for interface in interfaces
                if f'/sys/class/net/{interface["ifname"]}/device/uevent' in files
                and not _is_wireless(interface, files)]
    built_on = {interface.get('link') for interface in interfaces}
    return [
        DownPort(name=interface['ifname'], group=group, enabled=enabled,
                 in_use=bool(interface.get('master')) or interface['ifname'] in built_on or _is_addressed(interface))
        for interface in physical
        for group, enabled in [(_group(interface), 'UP' in interface.get('flags', ()))]
        if (enabled or group) and not _works(interface)]


def _works(interface: Mapping[str, Any]) -> bool:
    # LOWER_UP is the carrier. The bond's own view counts, too: it may watch ARP instead of the carrier.
    flags = interface.get('flags') or ()
    member = (interface.get('linkinfo') or {}).get('info_slave_data') or {}
    return 'UP' in flags and 'LOWER_UP' in flags and member.get('mii_status') != 'DOWN'


def _group(interface: Mapping[str, Any]) -> str | None:
    member_of_group = (interface.get('linkinfo') or {}).get('info_slave_kind') in _GROUPS
    return text(interface.get('master')) if member_of_group else None


def _is_addressed(interface: Mapping[str, Any]) -> bool:
    return any(not _Address(entry).is_link_local for entry in interface.get('addr_info') or () if entry.get('local'))


def _is_wireless(interface: Mapping[str, Any], files: Mapping[str, str]) -> bool:
    properties = _properties(files.get(f'/sys/class/net/{interface["ifname"]}/uevent'))
    return properties.get('DEVTYPE') in _WIRELESS


def ports(interfaces: list[dict[str, Any]], files: Mapping[str, str]) -> dict[str, str]:
    """Names of the interfaces that are ports, with their logical type."""
    kept = {name: PortLogicalType.PHYSICAL for interface in interfaces
            if f'/sys/class/net/{(name := interface["ifname"])}/device/uevent' in files}
    virtual = {interface['ifname']: interface for interface in interfaces
               if interface['ifname'] not in kept and _kind(interface) in _LOGICAL_TYPES}
    while True:     # a bridge over a VLAN over a bond: each is kept because of the one before
        added = {name: _LOGICAL_TYPES[_kind(interface)] for name, interface in virtual.items()
                 if name not in kept and _is_ours(interface, interfaces, kept)}
        if not added:
            return kept
        kept |= added


def _is_ours(interface: dict[str, Any], interfaces: list[dict[str, Any]], kept: Mapping[str, str]) -> bool:
    match _kind(interface):
        case 'vlan':
            return interface.get('link') in kept
        case 'bridge':
            return any(member.get('master') == interface['ifname'] and member['ifname'] in kept
                       for member in interfaces)
        case _:
            return True


def _port_row(interface: dict[str, Any], logical_type: str, files: Mapping[str, str], parent: str) -> Row:
    name = interface['ifname']
    place = f'/sys/class/net/{name}'
    device = _properties(files.get(f'{place}/device/uevent'))
    addresses = [_Address(entry) for entry in interface.get('addr_info') or () if entry.get('local')]
    ipv4 = [address for address in addresses if address.version == 4]
    ipv6 = [address for address in addresses if address.version == 6 and not address.is_link_local]
    speed = integer(files.get(f'{place}/speed'))
    shown = ipv4[:1] + ipv6[:1]
    return row(
        native_port_id=name, name=name, location=device.get('PCI_SLOT_NAME'), native_parent_id=parent,
        type=_port_type(interface, _properties(files.get(f'{place}/uevent'))), logical_type=logical_type,
        connection_status=_connection(interface), health_status=_health(interface),
        speed=speed * _BITS_PER_MEGABIT if speed else None,
        mac_address=text(interface.get('permaddr') or interface.get('address')),
        ipv4=ipv4[0].text if ipv4 else None, ipv4_mask=ipv4[0].mask if ipv4 else None,
        ipv6=ipv6[0].text if ipv6 else None, ipv6_mask=ipv6[0].mask if ipv6 else None,
        extra=extra(driver=device.get('DRIVER'), mtu=integer(interface.get('mtu')), kind=_kind(interface) or None,
                    duplex=_duplex(files.get(f'{place}/duplex')), member_of=interface.get('master'),
                    vlan_of=interface.get('link') if logical_type == PortLogicalType.VLAN else None,
                    vlan_id=_data(interface).get('id') if logical_type == PortLogicalType.VLAN else None,
                    bond_mode=_data(interface).get('mode') if logical_type == PortLogicalType.IF_GROUP else None,
                    more_addresses=[address.with_prefix for address in addresses if address not in shown]))


class _Address:
    """An address with its prefix length."""

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self._interface = ipaddress.ip_interface(f'{entry["local"]}/{entry.get("prefixlen", "")}'.rstrip('/'))
        self.version = self._interface.version
        self.is_link_local = self._interface.is_link_local
        self.text = str(self._interface.ip)
        self.with_prefix = str(self._interface)

    @property
    def mask(self) -> str:
        """Dotted for IPv4, the prefix length for IPv6."""
        return str(self._interface.netmask) if self.version == 4 else str(self._interface.network.prefixlen)


def _kind(interface: Mapping[str, Any]) -> str:
    """Kind of a virtual device, '' for others."""
    return str((interface.get('linkinfo') or {}).get('info_kind') or '')


def _data(interface: Mapping[str, Any]) -> Mapping[str, Any]:
    data: Mapping[str, Any] = (interface.get('linkinfo') or {}).get('info_data') or {}
    return data


def _port_type(interface: Mapping[str, Any], properties: Mapping[str, str]) -> str:
    if properties.get('DEVTYPE') in _WIRELESS:
        return PortType.OTHER
    return _LINK_TYPES.get(str(interface.get('link_type')), PortType.OTHER)


def _connection(interface: Mapping[str, Any]) -> str:
    flags = interface.get('flags') or ()
    if 'UP' not in flags:       # switched off: whatever the cable does
        return PortConnectionStatus.DISCONNECTED
    carrier = PortConnectionStatus.CONNECTED if 'LOWER_UP' in flags else PortConnectionStatus.UNKNOWN
    return _CONNECTED.get(str(interface.get('operstate')), carrier)


def _health(interface: Mapping[str, Any]) -> str:
    """A port with link works; one without may just not be in use."""
    if interface.get('operstate') == 'NOTPRESENT':
        return PortHealthStatus.ABNORMAL
    connected = _connection(interface) == PortConnectionStatus.CONNECTED
    return PortHealthStatus.NORMAL if connected else PortHealthStatus.UNKNOWN


def _duplex(value: str | None) -> str | None:
    return None if value in (None, '', 'unknown') else value


def _properties(uevent: str | None) -> dict[str, str]:
    return dict(line.split('=', 1) for line in (uevent or '').splitlines() if '=' in line)


def default_address(routes: str, interfaces: list[dict[str, Any]]) -> str | None:
    """Address of the interface of the default route, from the output of `ROUTE_COMMAND`; None without such a route."""
    for route in entries('ip', json_of('ip', routes or '[]')):
        if route.get('prefsrc'):
            return str(route['prefsrc'])
        for interface in interfaces:
            if interface['ifname'] == route.get('dev'):
                for entry in interface.get('addr_info') or ():
                    if entry.get('family') == 'inet' and entry.get('local'):
                        return str(entry['local'])
    return None
