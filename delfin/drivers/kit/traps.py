# SPDX-License-Identifier: Apache-2.0
"""Tables that make alerts of SNMP traps, to be held against the vendor's MIB.

    TRAPS = TrapTable('1.3.6.1.4.1.53535.1', {
        '0.1': {'category': 'Fault'},           # which traps, and what is the same in all of one kind
        '0.2': {'category': 'Recovery'},
    }, {
        'alert_id': '2.1',                      # which variable; conversions as in `mapping`
        'severity': ('2.2', {'1': 'Critical', '2': 'Warning'}),
        'description': '2.3',
    }, required=('alert_id',))

    @staticmethod
    def parse_alert(context, alert):
        return TRAPS.alert(alert)

Object ids stand below the first argument; those with a leading dot are whole. An instance behind a variable's id (`.0`,
or an index) does not matter. With `variables={'acmeCode': '2.1'}` the columns name variables as the MIB does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from delfin import exception
from delfin.drivers.kit.mapping import ALERTS, Source, Table, combined, constant, first_of

TRAP_OID = '1.3.6.1.6.3.1.1.4.1.0'      # the variable that says which trap it is, also for SNMPv1


class TrapTable:
    """The traps of a vendor. `required` names columns or variables without which a trap is an error, which keeps it for
    people to look at.
    """

    def __init__(self, base: str, traps: Mapping[str, Mapping[str, Any]], columns: Mapping[str, Source], *,
                 variables: Mapping[str, str] | None = None, required: Iterable[str] = (),
                 missing: Iterable[str] = ()) -> None:
        missing = tuple(missing)
        oids = {name: _whole(base, oid) for name, oid in (variables or {}).items()}
        below = {column: _below(base, oids, source) for column, source in columns.items()}
        self._required: list[tuple[str, str | None]] = []       # with its object id, if it is no column
        for name in required:
            if name not in below and name not in oids:
                raise ValueError(f'"{name}" is required, but the table does not have it')
            self._required.append((name, None if name in below else oids[name]))
        self._missing = frozenset(word.strip().lower() for word in ('', *missing))
        self._tables = {
            _whole(base, oid): Table(ALERTS, {**below, **{name: constant(value) for name, value in same.items()}},
                                     missing=missing, lookup=variable)
            for oid, same in traps.items()}

    def alert(self, trap: Mapping[str, str]) -> dict[str, Any] | None:
        """The alert; None for a trap that is not in the table. `InvalidResults` if it lacks what is required."""
        table = self._tables.get(trap_oid(trap))
        if table is None:
            return None
        row = table.row(trap)
        for name, oid in self._required:
            if oid is None and name not in row:
                source = table.columns[name]
                oids = source if isinstance(source, str) else source[0] if isinstance(source, tuple) else 'several'
                raise exception.InvalidResults(f'The trap has no {name} (variable {oids}).')
            if oid is not None and str(variable(trap, oid) or '').strip().lower() in self._missing:
                raise exception.InvalidResults(f'The trap has no {name} (variable {oid}).')
        return row


def trap_oid(trap: Mapping[str, str]) -> str:
    """Which trap it is, without leading dot; '' if it does not say."""
    return trap.get(TRAP_OID, '').lstrip('.')


def variable(trap: Mapping[str, Any], oid: str) -> Any:
    """The value of a variable, whatever its instance; None if there is none."""
    if oid in trap:
        return trap[oid]
    below = f'{oid}.'
    return next((value for name, value in trap.items() if name.startswith(below)), None)


def _below(base: str, variables: Mapping[str, str], source: Source) -> Source:
    """A source with whole object ids in place of what the table calls them."""
    def oid(name: str) -> str:
        return variables.get(name) or _whole(base, name)

    match source:
        case constant():
            return source
        case first_of():
            return first_of(*(_below(base, variables, each) for each in source.sources))
        case combined():
            return combined(source.function, *map(oid, source.fields))
        case str():
            return oid(source)
    return oid(source[0]), source[1]


def _whole(base: str, oid: str) -> str:
    return oid[1:] if oid.startswith('.') else f'{base}.{oid}'
