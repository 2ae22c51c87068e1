# SPDX-License-Identifier: Apache-2.0
"""Writes docs/driver-reference.md from the tables of the contract; a test sees that it was done.

    python -m delfin.drivers.tools.reference docs/driver-reference.md
"""

from __future__ import annotations

import pprint
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from delfin.alerts import ALERT_COLUMNS
from delfin.drivers.compliance.contract import METHODS, Method
from delfin.drivers.kit import units
from delfin.drivers.tools.examples import ANSWERS, ARGUMENTS
from delfin.kinds import KINDS, STORAGE_COLUMNS, Column
from delfin.metrics import KINDS_OF, METRICS

_HEAD = '''\
<!-- Made by `python -m delfin.drivers.tools.reference`; do not edit. -->

# Driver reference

Every method that Delfin calls, in the order of the contract, with an example of what it is given and what it answers.
How they are called (deadlines, generators, traps, lost sessions): [How drivers are
called](drivers/how-drivers-are-called.md). How a driver is made: [Driver guide](driver-guide.md).

Everywhere: capacities and memory are **bytes**, port speeds **bit/s**, disk speeds **rpm**, times **epoch milliseconds
UTC**. An absent key and None mean "unknown". `native_…_id` is the array's own name of the thing: text of at most 255
characters, unique for each kind, and always the same. Vendor fields without a column go into a dict under `extra`.
A method that the array has nothing for raises NotImplementedError, always; an empty list says that there are none.
'''
_WIDTH = 110


def document() -> str:
    """The text of the file."""
    parts = [_HEAD, '## Methods', '', '| Method | Level | Must be there | Answer |', '|---|---|---|---|']
    parts += [f'| [`{method.name}`](#{method.name}) | {method.level} | '
              f'{"yes" if method.abstract else "for the level" if method.required else ""} | {method.answers} |'
              for method in METHODS.values()]
    for method in METHODS.values():
        parts += ['', *_method(method)]
    parts += ['', '## Metrics', '', '| Metric | Unit | |', '|---|---|---|']
    parts += [f'| `{name}` | {metric.unit} | {metric.description} |' for name, metric in METRICS.items()]
    parts += ['', f'Every resource type may have any of them: {_code(KINDS_OF)}. `resource_id` is the native id of the '
              'row in the inventory; of `storage` the serial number. Names of your own begin with `x_` and have the '
              'unit that you say.']
    parts += ['', '## Conversions', '', 'Names for mapping tables:', '', _code(units.names()) + '.', '',
              'Units for metric tables: ' + _code(units.UNITS) + '.', '']
    return '\n'.join(parts)


def _method(method: Method) -> Iterator[str]:
    yield f'### {method.name}'
    yield ''
    yield f'{method.doc[0].upper()}{method.doc[1:]}.'
    if method.static or method.classmethod:
        yield f'A {"static" if method.static else "class"} method.'
    if method.may_refuse:
        yield 'Raises NotImplementedError if the array cannot do it.'
    yield ''
    yield '```python'
    yield f'>>> driver.{method.name}({_arguments(method)})'
    answer = ANSWERS[method.name]
    if answer is not None:
        yield pprint.pformat(answer, width=_WIDTH, sort_dicts=False, compact=True)
    yield '```'
    for title, columns, required in _tables(method):
        yield ''
        yield f'| {title} | | |'
        yield '|---|---|---|'
        for column in columns:
            name = f'**`{column.name}`**' if column.name in required else f'`{column.name}`'
            yield f'| {name} | {column.type.value} | {_facts(column)} |'


def _arguments(method: Method) -> str:
    if method.name == 'add_storage':
        return "{'storage_id': '…', 'rest': {…}}"
    given = ['context'] if 'context' in method.signature.parameters else []
    return ', '.join([*given, *([ARGUMENTS[method.name]] if method.name in ARGUMENTS else [])])


def _tables(method: Method) -> Iterator[tuple[str, Iterable[Column], tuple[str, ...]]]:
    if method.kind is not None:
        kind = KINDS[method.kind]
        yield f'Column of `{kind.name}`', kind.table.columns, kind.table.key
        for relation in kind.relations:
            yield f'Column of `{relation.answer_key}`', relation.table.columns, relation.table.key
    elif method.name == 'get_storage':
        yield 'Column of the storage', STORAGE_COLUMNS, ('serial_number',)
    elif method.name == 'list_alerts':
        yield 'Field of an alert', ALERT_COLUMNS, ()


def _facts(column: Column) -> str:
    facts = [column.help] if column.help else []
    facts += [_code(column.values)] if column.values else []
    facts += [f'one of `{column.refers_to}`'] if column.refers_to else []
    return '; '.join(facts)


def _code(words: Iterable[str]) -> str:
    return ', '.join(f'`{word}`' for word in words)


if __name__ == '__main__':
    Path(sys.argv[1]).write_text(document(), 'utf-8')
