# SPDX-License-Identifier: Apache-2.0
"""Rules about the inventory: what is in the rows, whether it fits together, and whether it is true."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from delfin import findings as code
from delfin.coerce import RowReader
from delfin.drivers.compliance.bench import Bench
from delfin.drivers.compliance.contract import METHODS
from delfin.drivers.compliance.inventory import Listing
from delfin.drivers.compliance.rules import Problem, Skip, remark, rule
from delfin.findings import Findings
from delfin.kinds import Key

_TOLERANCE_BYTES: Final = 2**20
_TOLERANCE: Final = 0.01
_UNITS: Final = tuple(float(base**power) for base in (1000, 1024) for power in (1, 2, 3, 4)) + (8.0, 512.0)
_EXAMPLES: Final = 3        # of a problem that many rows have


def _findings(bench: Bench, *codes: str) -> Iterator[Problem]:
    for listing in bench.inventory.listings.values():
        for text in listing.findings(*codes):
            yield Problem(text, listing.method)


@rule('R01', 'A list method answers a list or generator of dicts, a method of groups a dict with just its keys',
      'return [] for nothing, never None')
def shapes(bench: Bench) -> Iterator[Problem]:
    for method, text in bench.inventory.shapes.items():
        yield Problem(text, method)
    yield from _findings(bench, code.NOT_A_ROW, code.ROW_UNREADABLE)


@rule('R02', 'Every row has its native id, text or a number of at most 255 characters; the storage its serial number',
      'take the id by which the array itself knows the thing; such rows are rejected')
def native_ids(bench: Bench) -> Iterator[Problem]:
    yield from _findings(bench, code.NO_NATIVE_ID, code.NATIVE_ID_TOO_LONG)


@rule('R03', 'Values have the type of their column: whole numbers from 0 to 2^63-1, booleans, text of at most 255 '
      'characters; `extra` is JSON',
      'convert in the driver; what cannot be read is stored as unknown')
def types(bench: Bench) -> Iterator[Problem]:
    yield from _findings(bench, code.NOT_A_NUMBER, code.NOT_A_BOOLEAN, code.NOT_TEXT, code.TEXT_CUT, code.TEXT_CLEANED)
    for listing in bench.inventory.listings.values():
        for column in sorted(listing.texts):
            yield remark(f'legacy: {listing.table.name}.{column} is text or a float instead of a whole number',
                         listing.method)


@rule('R04', 'Capacities and memory are bytes, port speeds bit/s, disk speeds rpm',
      'multiply in the driver: Delfin never converts')
def units(bench: Bench) -> Iterator[Problem]:
    yield from _findings(bench, code.UNLIKELY_UNIT)
    for listing, column, _, ours, right in _differences(bench):
        factor = _unit_between(ours, right)
        if factor is not None:
            yield Problem(f'{listing.table.name}.{column} is {ours}, the truth is {right}: {factor:g} times off',
                          listing.method)


@rule('R05', 'Enumerated columns hold the values of delfin.common.constants',
      'map the words of the vendor; unknown ones are shown as they are')
def enumerations(bench: Bench) -> Iterator[Problem]:
    yield from _findings(bench, code.UNKNOWN_VALUE)


@rule('R06', 'What is unknown is absent or None, never -1, "", "N/A" or another word',
      'leave the key out')
def unknown_values(bench: Bench) -> Iterator[Problem]:
    for listing in bench.inventory.listings.values():
        for column, example in listing.placeholders.items():
            problem = Problem if example != '' else remark      # stored as unknown without a word
            yield problem(f'{listing.table.name}.{column} is {example!r}', listing.method)


@rule('R07', 'Rows have no keys but columns; fields of the vendor are in `extra`',
      'is the name misspelt? else put it into row["extra"]; such values are ignored')
def known_keys(bench: Bench) -> Iterator[Problem]:
    yield from _findings(bench, code.UNKNOWN_KEY)


@rule('R08', 'Native ids are unique within a list',
      'take an id that is; of two rows with one id only the first counts')
def unique_ids(bench: Bench) -> Iterator[Problem]:
    yield from _findings(bench, code.REPEATED_NATIVE_ID)


@rule('R09', 'References name rows that the array lists: pool of a volume, file system of a share, both ends of a pair',
      'give both sides the same native id, in the same letters')
def references(bench: Bench) -> Iterator[Problem]:
    yield from _findings(bench, code.DANGLING_REFERENCE)


@rule('R10', 'Capacities are those of the device (where its truth is known); where not, sums that do not add up are '
      'remarks',
      'which of the numbers of the array counts what?')
def capacities(bench: Bench) -> Iterator[Problem]:
    if bench.truth is None:
        yield from _arithmetic(bench)
        return
    for listing, column, key, ours, right in _differences(bench):
        if 'capacity' in column and _unit_between(ours, right) is None:
            yield Problem(f'{listing.table.name}.{column} of {key} is {ours}, the truth is {right}', listing.method)


def _arithmetic(bench: Bench) -> Iterator[Problem]:
    for listing in bench.inventory.listings.values():
        for values in listing.read.values():
            total, used, free = (values.get(f'{what}_capacity') for what in ('total', 'used', 'free'))
            if total is not None and used is not None and free is not None and not _close(used + free, total):
                yield remark(f'{listing.table.name}: used {used} + free {free} is not total {total}', listing.method)
                break
            if total is not None and used is not None and used > total and not _close(used, total):
                yield remark(f'{listing.table.name}: used {used} is more than total {total}', listing.method)
                break


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= max(_TOLERANCE_BYTES, _TOLERANCE * abs(other))


@rule('R11', 'IP addresses and MAC addresses can be read as such',
      'ipv4 and ipv6 hold one address each; the mask has a column of its own')
def addresses(bench: Bench) -> Iterator[Problem]:
    for listing in bench.inventory.listings.values():
        for column, example in listing.addresses.items():
            yield Problem(f'{listing.table.name}.{column} is {example!r}', listing.method)


@rule('R12', 'Answers are new objects: who changes one does not change the next',
      'do not keep what you return, or return copies')
def fresh(bench: Bench) -> Iterator[Problem]:
    for listing in bench.again.marked():
        yield Problem('returns rows that it returned before', listing.method)


@rule('R13', 'The rows are those of the device, and say of it what is true (where its truth is known)',
      'is a page missing? is a field read from the wrong place?')
def truth(bench: Bench) -> Iterator[Problem]:
    if bench.truth is None:
        raise Skip('the truth about the device is not known')
    for listing, right in _with_truth(bench):
        missing, surplus = right.keys() - listing.read.keys(), listing.read.keys() - right.keys()
        if missing and not listing.rejected and listing.table.key[0] not in listing.doubtful():
            yield Problem(f'{listing.table.name}: {len(missing)} row(s) of the device are missing, for example '
                          f'{min(map(str, missing))}', listing.method)
        if surplus and not listing.doubtful() & set(listing.table.key):
            yield Problem(f'{listing.table.name}: {len(surplus)} row(s) that the device does not have, for example '
                          f'{min(map(str, surplus))}', listing.method)
    for listing, column, key, ours, told in _differences(bench):
        if 'capacity' not in column and _unit_between(ours, told) is None:
            yield Problem(f'{listing.table.name}.{column} of {key} is {ours!r}, the truth is {told!r}', listing.method)


def _with_truth(bench: Bench) -> Iterator[tuple[Listing, dict[Key, dict[str, Any]]]]:
    for name, listing in bench.inventory.listings.items():
        told = (bench.truth or {}).get(name)
        if told is not None:
            reader = RowReader(listing.table)
            yield listing, dict(reader.read(row, Findings()) for row in told)


def _differences(bench: Bench) -> Iterator[tuple[Listing, str, Key, Any, Any]]:
    """Table, column, key, our value, the true one; a few of each column, and none where a finding says it already."""
    for listing, right in _with_truth(bench):
        doubtful = listing.doubtful()
        for column in listing.table.columns:
            shown = 0
            for key in listing.read.keys() & right.keys() if column.name not in doubtful else ():
                ours, told = listing.read[key][column.name], right[key][column.name]
                if ours != told and shown < _EXAMPLES:
                    shown += 1
                    yield listing, column.name, key, ours, told


def _unit_between(ours: Any, right: Any) -> float | None:
    """The factor, if two numbers are as far apart as two units are."""
    if type(ours) is not int or type(right) is not int or not ours or not right:
        return None
    factor = ours / right if ours > right else right / ours
    return next((unit for unit in _UNITS if abs(factor / unit - 1) < _TOLERANCE), None)


@rule('R14', 'Native ids and the serial number stay the same from call to call',
      'do not number rows or make ids up; they decide which stored row is meant')
def stable(bench: Bench) -> Iterator[Problem]:
    first, second = bench.inventory.keys(), bench.again.keys()
    for name in first.keys() & second.keys():
        changed = first[name] ^ second[name]
        if changed:
            yield Problem(f'{name}: {len(changed)} of {len(first[name] | second[name])} ids differ between two calls, '
                          f'for example {min(map(str, changed))}', bench.inventory.listings[name].method)


@rule('C09', 'What a claimed level needs answers; what may be left out raises NotImplementedError always or never',
      'see the table of methods; errors say what the device did')
def answers(bench: Bench) -> Iterator[Problem]:
    replies: Mapping[str, Any] = bench.inventory.replies
    for name, reply in replies.items():
        method, later = METHODS[name], bench.again.replies.get(name)
        if reply.stranger is not None:
            continue
        if reply.error is not None or (reply.refused and method.required):
            yield Problem(reply.why(), name)
        elif later is not None and later.refused != reply.refused:
            yield Problem(f'first {reply.why()}, then {later.why()}', name)
