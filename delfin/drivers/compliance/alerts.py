# SPDX-License-Identifier: Apache-2.0
"""Rules about alerts and traps. What makes two reports one alert is asked of `delfin.alerts`, as the product does."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from delfin import alerts as product
from delfin import exception
from delfin.common import constants
from delfin.drivers import calling
from delfin.drivers.compliance.bench import Bench
from delfin.drivers.compliance.contract import Level
from delfin.drivers.compliance.rules import Problem, Skip, remark, rule
from delfin.drivers.sessions import context_for
from delfin.findings import Findings

_FUTURE_MS: Final = 86_400_000      # clocks differ, but not by a day
_SOURCES_AT_MOST: Final = 100
_NO_SUCH_NUMBER: Final = 'delfin-compliance-no-such-alert'
# Documentation addresses (RFC 5737): a receiver that is nobody's.
_RECEIVER: Final = {'host': '192.0.2.251', 'port': 10162, 'version': 'SNMPv2c'}
_COMMUNITY: Final = 'delfin-compliance'
_STRANGE_TRAPS: Final[tuple[Mapping[str, str], ...]] = (
    {},
    {'1.3.6.1.6.3.1.1.4.1.0': '1.3.6.1.4.1.32473.999.0.1'},
    {'1.3.6.1.6.3.1.1.4.1.0': '1.3.6.1.6.3.1.1.5.1', '1.3.6.1.2.1.1.3.0': 'no number'},
)


def _rows(bench: Bench) -> list[Any]:
    reply = bench.alerts
    if not reply.answered or not isinstance(reply.value, list | tuple):
        raise Skip(f'list_alerts {reply.why()}' if not reply.answered else 'list_alerts returns no list')
    return list(reply.value)


def _read(bench: Bench) -> Iterator[dict[str, Any]]:
    """The alerts that can be read, as the product reads them."""
    for row in _rows(bench):
        try:
            yield product.parsed(row, Findings()).values
        except exception.InvalidResults:
            continue


@rule('A01', 'list_alerts answers alerts: a name or words, known severity, category and type, a time in ms that is not '
      'in the future',
      'map the words of the vendor; `delfin.alerts` has all fields', Level.ALERTS)
def fields(bench: Bench) -> Iterator[Problem]:
    reply = bench.alerts
    if reply.stranger is None and not reply.answered:
        yield Problem(reply.why(), 'list_alerts')
    if reply.answered and not isinstance(reply.value, list | tuple):
        yield Problem(f'returns {type(reply.value).__name__}, not a list', 'list_alerts')
        return
    found = Findings()
    for row in _rows(bench):
        try:
            values = product.parsed(row, found).values
        except exception.InvalidResults as error:
            yield Problem(error.msg, 'list_alerts')
            continue
        if values['occur_time'] is not None and values['occur_time'] > time.time() * 1000 + _FUTURE_MS:
            yield Problem(f'occur_time {values["occur_time"]} is in the future', 'list_alerts')
        for name in ('severity', 'category', 'type'):
            if row.get(name) is None:
                yield remark(f'{name} is absent', 'list_alerts')
    for finding in found.listing():
        yield Problem(f'{finding["code"]}: {finding["column"]}, for example {finding["example"]!r}', 'list_alerts')


@rule('A02', 'parse_alert needs no session, gives the same for the same trap, leaves it as it was, and drops or '
      'refuses traps that it does not know',
      'return None for a trap of no interest; IncompleteTrapInformation asks for list_alerts', Level.ALERTS)
def parse_alert(bench: Bench) -> Iterator[Problem]:
    if not bench.implemented('parse_alert'):
        raise Skip('parse_alert is not implemented')
    known = [trap for trap, _ in _traps(bench)][:1]
    for trap in (*_STRANGE_TRAPS, *known):
        asked = _trap(bench, trap)
        before = copy.deepcopy(asked)
        outcomes = []
        for _ in range(2):
            try:
                outcomes.append(_parse(bench, asked))
            except calling.NeedsInstance:
                yield remark('legacy: needs an instance, and so the owner of the array', 'parse_alert')
                outcomes.append(bench.call('parse_alert', asked).value)
            except (exception.IncompleteTrapInformation, exception.InvalidResults) as error:
                outcomes.append(type(error))
            except Exception as error:      # third-party code
                yield Problem(f'raises {type(error).__name__} for the trap {trap!r}', 'parse_alert')
                outcomes.append(type(error))
        if outcomes[0] != outcomes[1]:
            yield Problem(f'parses one trap in two ways: {trap!r}', 'parse_alert')
        if asked != before:
            yield Problem('changes the trap that it is given', 'parse_alert')


def _trap(bench: Bench, varbinds: Mapping[str, str]) -> dict[str, str]:
    return {**varbinds, 'transport_address': '192.0.2.10', 'storage_id': bench.main}


def _parse(bench: Bench, trap: dict[str, str]) -> Any:
    return calling.call_without_instance(bench.driver_class, 'parse_alert', bench.main, context_for(None, bench.main),
                                         trap)


def _traps(bench: Bench) -> Iterator[tuple[dict[str, str], Any]]:
    """Traps of listed alerts, as far as the device can make them."""
    reply = bench.alerts
    for row in reply.value if reply.answered and isinstance(reply.value, list | tuple) else ():
        varbinds = bench.device.trap_of(row, constants.Category.FAULT) if isinstance(row, Mapping) else None
        if varbinds is not None:
            yield dict(varbinds), row


@rule('A03', 'A fault is one alert whether it comes by trap or in the list, and the trap of its recovery ends it',
      'give trap, list and recovery the same match_key, sequence_number, or alert_id and location', Level.ALERTS)
def identity(bench: Bench) -> Iterator[Problem]:
    found = False
    for varbinds, row in _traps(bench):
        found = True
        listed = product.parsed(row, Findings()).values
        fault = _parsed(bench, varbinds)
        ending = bench.device.trap_of(row, constants.Category.RECOVERY)     # None: the array does not tell
        recovery = None if ending is None else _parsed(bench, ending)
        if fault is None or ending is not None and recovery is None:
            yield Problem(f'makes no alert of the trap of {_named(listed)}', 'parse_alert')
            continue
        if not _same(fault, listed):
            yield Problem(f'the trap of {_named(listed)} shares no key with its row in the list', 'parse_alert')
        if recovery is None:
            continue
        if recovery['category'] != constants.Category.RECOVERY:
            yield Problem(f'the end of {_named(listed)} has the category {recovery["category"]}', 'parse_alert')
        elif not _same(recovery, fault):
            yield Problem(f'the recovery of {_named(listed)} shares no key with its fault', 'parse_alert')
    if not found:
        raise Skip('there is no alert of which the device could send the trap')


def _parsed(bench: Bench, varbinds: Mapping[str, str]) -> dict[str, Any] | None:
    try:
        row = _parse(bench, _trap(bench, varbinds))
        return None if row is None else product.parsed(row, Findings()).values
    except Exception:       # judged by A02
        return None


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return bool(set(product.keys(one)) & set(product.keys(other)))


def _named(alert: Mapping[str, Any]) -> str:
    return str(alert['sequence_number'] or alert['alert_id'] or alert['alert_name'])


@rule('A04', 'With begin_time and end_time list_alerts gives the alerts of that time, both ends included',
      'compare with <= on both sides, in ms', Level.ALERTS)
def window(bench: Bench) -> Iterator[Problem]:
    times = sorted({values['occur_time'] for values in _read(bench) if values['occur_time'] is not None})
    if not times:
        raise Skip('there is no alert with a time')
    for begin, end in ((times[0], times[-1]), (times[0], times[0]), (times[-1], times[-1])):
        reply = bench.call('list_alerts', {'begin_time': begin, 'end_time': end})
        if not reply.answered or not isinstance(reply.value, list | tuple):
            if reply.stranger is None:
                yield Problem(f'with a window: {reply.why()}', 'list_alerts')
            continue
        given = {product.parsed(row, Findings()).values['occur_time'] for row in reply.value}
        missing = {each for each in times if begin <= each <= end} - given
        if missing:
            yield Problem(f'alerts of {min(missing)} are missing in the window from {begin} to {end}', 'list_alerts')
        if {each for each in given if each is not None} - set(times[times.index(begin):times.index(end) + 1]):
            yield remark('gives alerts outside the window, too; Delfin leaves them out', 'list_alerts')


@rule('A05', 'clear_alert takes an alert out of the list; of a number that there is not it says so',
      'raise StorageClearAlertFailed if it could not be cleared', Level.ALERTS)
def clear(bench: Bench) -> Iterator[Problem]:
    if not bench.device.may_change:
        raise Skip('the device must not be changed (--allow-changes)')
    if not bench.implemented('clear_alert'):
        raise Skip('clear_alert is not implemented')
    number = next((values['sequence_number'] for values in _read(bench) if values['sequence_number']), None)
    if number is None:
        raise Skip('there is no alert with a sequence_number')
    reply = bench.call('clear_alert', number)
    if reply.refused:
        raise Skip('the array cannot clear alerts')
    if not reply.answered:
        if reply.stranger is None:
            yield Problem(f'of a listed alert {reply.why()}', 'clear_alert')
        return
    later = bench.call('list_alerts', None)
    if later.answered and any(isinstance(row, Mapping) and str(row.get('sequence_number')) == number
                              for row in later.value or ()):
        yield Problem('the alert is still listed', 'clear_alert')
    if bench.call('clear_alert', _NO_SUCH_NUMBER).answered:
        yield Problem('of a number that there is not says nothing', 'clear_alert')


@rule('A06', 'Adding a trap receiver twice, and removing one that is not there, are no errors',
      'a receiver is known by host and port', Level.ALERTS)
def receivers(bench: Bench) -> Iterator[Problem]:
    if not bench.device.may_change:
        raise Skip('the device must not be changed (--allow-changes)')
    if not bench.implemented('add_trap_config') or not bench.implemented('remove_trap_config'):
        raise Skip('add_trap_config or remove_trap_config is not implemented')
    for method in ('add_trap_config', 'add_trap_config', 'remove_trap_config', 'remove_trap_config'):
        reply = bench.call(method, bench.trap_config(_RECEIVER, _COMMUNITY))
        if reply.refused:
            raise Skip('traps of the array cannot be set up this way')
        if not reply.answered and reply.stranger is None:
            yield Problem(reply.why(), method)


@rule('A07', 'No two rows of the list are one alert',
      'keep apart what differs: put the component into location or match_key', Level.ALERTS)
def distinct(bench: Bench) -> Iterator[Problem]:
    seen: dict[tuple[str, ...], str] = {}
    for values in _read(bench):
        for key in product.keys(values):
            if key in seen:
                yield Problem(f'{seen[key]} and {_named(values)} share {" ".join(key)}', 'list_alerts')
                break
            seen[key] = _named(values)


@rule('A08', f'get_alert_sources answers at most {_SOURCES_AT_MOST} dicts with a host',
      '[{"host": address or name}]', Level.ALERTS)
def sources(bench: Bench) -> Iterator[Problem]:
    if not bench.implemented('get_alert_sources'):
        raise Skip('get_alert_sources is not implemented')
    reply = bench.call('get_alert_sources')
    if not reply.answered:
        if reply.stranger is None and not reply.refused:
            yield Problem(reply.why(), 'get_alert_sources')
        return
    if not isinstance(reply.value, list | tuple) or not all(
            isinstance(row, Mapping) and isinstance(row.get('host'), str) and row['host'] for row in reply.value):
        yield Problem('returns something else than a list of {"host": text}', 'get_alert_sources')
    elif len(reply.value) > _SOURCES_AT_MOST:
        yield Problem(f'returns {len(reply.value)} hosts', 'get_alert_sources')
