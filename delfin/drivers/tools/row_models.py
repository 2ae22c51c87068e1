# SPDX-License-Identifier: Apache-2.0
"""Writes `delfin/drivers/kit/rows.py` from `delfin.kinds` and `delfin.alerts`; a test sees that it was done.

    python -m delfin.drivers.tools.row_models
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

from delfin.alerts import ALERT_COLUMNS
from delfin.drivers import kit
from delfin.kinds import KINDS, STORAGE_COLUMNS, Column, ColumnType, Kind

TARGET = Path(kit.__file__).with_name('rows.py')
_WIDTH = 120
_TYPES = {ColumnType.TEXT: 'str', ColumnType.INTEGER: 'int', ColumnType.BOOLEAN: 'bool'}
_HEAD = '''\
# SPDX-License-Identifier: Apache-2.0
"""The rows that drivers return, as types. Generated from delfin/kinds.py and delfin/alerts.py by
`python -m delfin.drivers.tools.row_models`: do not edit.

Only what identifies a row is required. None is the same as an absent key: unknown. An enumeration's other values are
kept and reported, therefore its columns are `str`.
"""

from __future__ import annotations

from typing import Any, Required, TypedDict
'''


def source() -> str:
    """The text of the module."""
    parts = [_HEAD, _model('Storage', 'What `get_storage` returns.', STORAGE_COLUMNS, ('serial_number',))]
    for kind in KINDS:
        parts.append(_model(camel(kind.singular), f'A row of `{kind.method}`.', kind.table.columns, kind.table.key))
        for relation in kind.relations:
            parts.append(_model(camel(relation.table.name.removesuffix('s')),
                                f'A pair of `{kind.method}`: {relation.table.columns[1].name} is a member.',
                                relation.table.columns, relation.table.key, extra=False))
        if kind.answer_key is not None:
            parts.append(_answer(kind))
    parts.append(_model('Alert', 'A row of `list_alerts`, and what `parse_alert` returns.', (
        *ALERT_COLUMNS, Column('serial_number', help='of a trap: whose alert it is'),
        Column('storage_name', help='of a trap: whose alert it is')), (), extra=False))
    return '\n\n'.join(parts)


def camel(name: str) -> str:
    """`storage_pool` -> `StoragePool`."""
    return ''.join(word.capitalize() for word in name.split('_'))


def _model(name: str, doc: str, columns: Iterable[Column], required: Iterable[str], *, extra: bool = True) -> str:
    lines = [f'class {name}(TypedDict, total=False):', f'    """{doc}"""', '']
    for column in columns:
        kind = _TYPES[column.type]
        kind = f'Required[{kind}]' if column.name in required else f'{kind} | None'
        lines += _with_comment(f'    {column.name}: {kind}', '; '.join(_facts(column)))
    if extra:
        lines += _with_comment('    extra: dict[str, Any] | None', 'fields of the vendor, as JSON')
    return '\n'.join(lines) + '\n'


def _facts(column: Column) -> Iterator[str]:
    if column.help:
        yield column.help
    if column.values:
        yield ', '.join(column.values)
    if column.refers_to:
        yield f'one of {column.refers_to}'


def _with_comment(code: str, comment: str) -> list[str]:
    if not comment or len(code) + 4 + len(comment) <= _WIDTH:
        return [f'{code}  # {comment}' if comment else code]
    return [*textwrap.wrap(comment, _WIDTH, initial_indent='    # ', subsequent_indent='    # '), code]


def _answer(kind: Kind) -> str:
    lines = [f'class {camel(kind.name)}(TypedDict):', f'    """What `{kind.method}` returns."""', '',
             f'    {kind.answer_key}: list[{camel(kind.singular)}]',
             *(f'    {relation.answer_key}: list[{camel(relation.table.name.removesuffix("s"))}]'
               for relation in kind.relations)]
    return '\n'.join(lines) + '\n'


if __name__ == '__main__':
    TARGET.write_text(source(), 'utf-8')
