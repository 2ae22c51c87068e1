# SPDX-License-Identifier: Apache-2.0
"""The contract between Delfin and a driver as a table: one `Method` for each that Delfin calls.

The methods of resource kinds come out of `delfin.kinds`, so a new kind is in the contract by itself. `StorageDriver`
says the same in Python (tests/compliance/test_contract.py compares them); rules, tables of the guide and the support
matrix are derived from here.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from delfin.drivers.driver import StorageDriver
from delfin.kinds import KINDS, Kind


class Level(enum.StrEnum):
    """What a driver may claim (`COMPLIANCE_LEVELS`). All of them include Core."""

    CORE = 'Core'
    INVENTORY = 'Inventory'
    NAS = 'NAS'
    MAPPING = 'Mapping'
    ALERTS = 'Alerts'
    PERFORMANCE = 'Performance'


class Answer(enum.StrEnum):
    """What a method returns, in the words of the guide."""

    NOTHING = 'nothing'
    ROW = 'a dict'
    ROWS = 'a list or generator of dicts'
    GROUPS = 'a dict of two lists: groups, and who is in them'
    ALERT = 'a dict, or None to drop the trap'
    CAPABILITIES = 'a dict, or None if nothing can be measured'
    POINTS = 'a list or generator of metric_struct'
    TIME = 'epoch milliseconds, or None'
    OPTIONS = 'a dict of dicts'


@dataclass(frozen=True, slots=True)
class Method:
    """One method.

    `signature` is without `self`. `required`: a driver that claims `level` has it and it answers; the others may raise
    NotImplementedError, then always. `abstract`: every driver has it, whatever it claims. `may_refuse`: there, but it
    may raise NotImplementedError where the array cannot do it. `kind` is the name of the resource kind it lists.
    """

    name: str
    level: Level
    signature: inspect.Signature
    answers: Answer
    doc: str
    required: bool = False
    abstract: bool = False
    may_refuse: bool = False
    static: bool = False
    classmethod: bool = False
    kind: str | None = None
    since: str = '1.0'

    @property
    def positional(self) -> tuple[str, ...]:
        """Names of the arguments that Delfin passes by position."""
        return tuple(name for name, parameter in self.signature.parameters.items()
                     if parameter.kind is parameter.POSITIONAL_OR_KEYWORD)

    @property
    def arguments(self) -> str:
        """As the guide shows them: `context, query_para=None`."""
        return str(self.signature)[1:-1]


def _signature(text: str) -> inspect.Signature:
    """`'context, query_para=None, **kwargs'` as a signature; None is the only default there is."""
    parameters = []
    for word in filter(None, text.split(', ')):
        name, equals, _ = word.partition('=')
        if name.startswith('**'):
            parameters.append(inspect.Parameter(name[2:], inspect.Parameter.VAR_KEYWORD))
        else:
            parameters.append(inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD,
                                                default=None if equals else inspect.Parameter.empty))
    return inspect.Signature(parameters)


# Kinds of the levels other than Inventory, which has the rest; and those that a driver of the level need not have.
_LEVELS: Final[Mapping[str, Level]] = {
    'storage_pools': Level.CORE, 'volumes': Level.CORE,
    'filesystems': Level.NAS, 'qtrees': Level.NAS, 'quotas': Level.NAS, 'shares': Level.NAS,
    'storage_hosts': Level.MAPPING, 'storage_host_initiators': Level.MAPPING, 'storage_host_groups': Level.MAPPING,
    'port_groups': Level.MAPPING, 'volume_groups': Level.MAPPING, 'masking_views': Level.MAPPING,
}
_REQUIRED: Final = frozenset({
    'storage_pools', 'volumes', 'controllers', 'ports', 'disks', 'filesystems', 'storage_hosts',
    'storage_host_initiators', 'masking_views'})

_CONTEXT = _signature('context')


def _of_kind(kind: Kind) -> Method:
    level = _LEVELS.get(kind.name, Level.INVENTORY)
    doc = f'all {kind.name.replace("_", " ")} of the array'
    if kind.answer_key is not None:
        keys = ' and '.join(f'`{key}`' for key in (kind.answer_key, *(each.answer_key for each in kind.relations)))
        doc += f'; keys {keys}'
    return Method(kind.method, level, _CONTEXT, Answer.ROWS if kind.answer_key is None else Answer.GROUPS, doc,
                  required=kind.name in _REQUIRED, abstract=level is Level.CORE, kind=kind.name, since=kind.since)


_BEFORE: Final = (
    Method('get_driver_options', Level.CORE, _signature(''), Answer.OPTIONS, 'what it reads from `extra_attributes`',
           classmethod=True),
    Method('reset_connection', Level.CORE, _signature('context, **kwargs'), Answer.NOTHING,
           'drop the session; log in anew with what is given', required=True, abstract=True),
    Method('add_storage', Level.CORE, _signature('kwargs'), Answer.NOTHING,
           'another array behind the same endpoint was registered'),
    Method('delete_storage', Level.CORE, _CONTEXT, Answer.NOTHING, 'log out and forget the array'),
    Method('get_storage', Level.CORE, _CONTEXT, Answer.ROW, 'the array itself; `serial_number` never changes',
           required=True, abstract=True),
)
_AFTER: Final = (
    Method('list_alerts', Level.ALERTS, _signature('context, query_para=None'), Answer.ROWS,
           'all that is wrong now; with a window, what began in it', required=True, abstract=True),
    Method('parse_alert', Level.ALERTS, _signature('context, alert'), Answer.ALERT,
           'one trap to one alert, without a session', required=True, static=True),
    Method('clear_alert', Level.ALERTS, _signature('context, sequence_number'), Answer.NOTHING,
           'clear an alert on the array', required=True, abstract=True, may_refuse=True),
    Method('add_trap_config', Level.ALERTS, _signature('context, trap_config'), Answer.NOTHING,
           'make the array send traps to a receiver', required=True, abstract=True, may_refuse=True),
    Method('remove_trap_config', Level.ALERTS, _signature('context, trap_config'), Answer.NOTHING,
           'make it stop doing so', required=True, abstract=True, may_refuse=True),
    Method('get_alert_sources', Level.ALERTS, _CONTEXT, Answer.ROWS, 'hosts that the array sends traps from'),
    Method('get_capabilities', Level.PERFORMANCE, _signature('context, filters=None'), Answer.CAPABILITIES,
           'what can be measured, without a session', required=True, static=True),
    Method('collect_perf_metrics', Level.PERFORMANCE,
           _signature('context, storage_id, resource_metrics, start_time, end_time'), Answer.POINTS,
           'the points of [start_time, end_time)', required=True),
    Method('get_latest_perf_timestamp', Level.PERFORMANCE, _CONTEXT, Answer.TIME,
           'time of the newest sample by the clock of the array'),
)


def methods() -> dict[str, Method]:
    """The contract by name, in the order of the guide; with the kinds that there are now."""
    return {method.name: method for method in (*_BEFORE, *map(_of_kind, KINDS), *_AFTER)}


METHODS: Final[Mapping[str, Method]] = methods()


def raw(driver_class: type, name: str) -> Any:
    """The attribute as it stands in the class or a base: not bound, properties not read. None if there is none."""
    return inspect.getattr_static(driver_class, name, None)


def function_of(attribute: Any) -> Any:
    """The function behind static methods, class methods and decorators that say what they wrap; None if it is none."""
    if isinstance(attribute, staticmethod | classmethod):
        attribute = attribute.__func__
    return inspect.unwrap(attribute) if callable(attribute) else None


def implemented(driver_class: type, name: str) -> bool:
    """Whether the class has a method of its own there, neither absent nor the base class's default."""
    found = raw(driver_class, name)
    return function_of(found) is not None and found is not raw(StorageDriver, name)


def claimed(driver_class: type) -> tuple[Level, ...]:
    """The levels that a class claims, as far as they exist. Core is always among them: everybody is judged by it."""
    given = getattr(driver_class, 'COMPLIANCE_LEVELS', ())
    names = {str(name) for name in given} if isinstance(given, list | tuple | set | frozenset) else set()
    return tuple(level for level in Level if level is Level.CORE or level in names)
