# SPDX-License-Identifier: Apache-2.0
"""Traps of a host's SNMP agent.

Facts: RFC 3418 (snmpTraps), RFC 2863 (IF-MIB), snmpd.conf(5) of net-snmp on linkUpDownNotifications.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from delfin import exception
from delfin.drivers.driver import Row
from delfin.drivers.kit.traps import trap_oid, variable
from delfin.drivers.linux import alerts
from delfin.drivers.linux.network import DownPort

_LINK_DOWN, _LINK_UP = '1.3.6.1.6.3.1.1.5.3', '1.3.6.1.6.3.1.1.5.4'
# IF-MIB (RFC 2863); behind these stands the interface's number.
_NAME, _DESCRIPTION, _ADMIN_STATUS = '1.3.6.1.2.1.31.1.1.1.1', '1.3.6.1.2.1.2.2.1.2', '1.3.6.1.2.1.2.2.1.7'
_INTERFACE_NAME = re.compile(r'[^\s/:]{1,15}')      # ifDescr may be the words of the PCI database instead
_SWITCHED_OFF = re.compile(r'2|down(\(2\))?')
# Names of what the list of alerts never speaks of: an alert that no list confirms would never be cleared.
_PLUMBING = re.compile(r'(lo|(veth|vnet|docker|br-|virbr|lxc|lxdbr|cni|cali|flannel|podman|tap|tun|dummy|ifb|wg|'
                       r'macvtap|wl|ww).*|(bond|team|br)\d+|.+[.@]\d+)')


def parse(trap: Mapping[str, str]) -> Row | None:
    """The alert that linkDown or linkUp of a physical port announces, with the key that it has in the list of alerts;
    None for all other traps.

    `IncompleteTrapInformation` if it takes a look at the machine to tell what the trap means: net-snmp's own
    notifications hold a number instead of the name, and a port that somebody switched off is trouble in a bond only.
    """
    announced = trap_oid(trap)
    if announced not in (_LINK_DOWN, _LINK_UP):
        return None
    name = _interface(trap)
    if name is not None and _PLUMBING.fullmatch(name):
        return None
    if name is None or (announced == _LINK_DOWN and _SWITCHED_OFF.fullmatch(variable(trap, _ADMIN_STATUS) or '')):
        raise exception.IncompleteTrapInformation(trap.get('storage_id'))
    if announced == _LINK_UP:
        return alerts.port_recovery(name)
    return alerts.port_alert(DownPort(name, group=None, in_use=True, enabled=True))


def _interface(trap: Mapping[str, str]) -> str | None:
    for oid in (_NAME, _DESCRIPTION):
        name = (variable(trap, oid) or '').strip()
        if _INTERFACE_NAME.fullmatch(name):
            return name
    return None
