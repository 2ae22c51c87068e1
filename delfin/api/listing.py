# SPDX-License-Identifier: Apache-2.0
"""Query parameters of lists, and lists as answers: JSON with an envelope, or CSV.

A filter is `column=value` (repeated: one of several), `column~=part of a text`, `column>=n` or `column<=n`. Anything
unknown is refused with the names that are known: a mistyped filter must not select everything.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import webob

from delfin import exception
from delfin.api import wsgi
from delfin.common import json
from delfin.db.lists import Filter, Operator, Order, Page, Query
from delfin.kinds import BIGINT_MAX, TEXT_LENGTH, Column, ColumnType

CSV_TYPE = 'text/csv'
PARAMETERS = ('limit', 'offset', 'marker', 'sort', 'sort_key', 'sort_dir', 'fields', 'total')
FRAMEWORK_SORT_KEYS = ('created_at', 'updated_at')
MAX_OFFSET = 2**31 - 1
LATEST_MS = 253_402_300_799_999     # the last moment of the year 9999

_MAX_VALUES = 100       # of one filter
_OPERATORS = {'~': Operator.CONTAINS, '>': Operator.AT_LEAST, '<': Operator.AT_MOST}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC_3339 = re.compile(r'\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)', re.ASCII)
_DIRECTIONS = {'asc': False, 'desc': True}


@dataclass(frozen=True)
class ListRequest:
    """What a client wants: which rows (`query`), and which of their fields (all if empty)."""

    query: Query
    fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shorthand:
    """A filter with a name of its own: `operator` on any of `columns`, which are of one type."""

    columns: tuple[str, ...]
    operator: Operator
    help: str


@dataclass(frozen=True)
class ListRules:
    """What can be asked of one list: `columns` can be filtered, they and the framework's fields sorted and chosen."""

    columns: tuple[Column, ...]
    shown: tuple[str, ...]
    aliases: Mapping[str, str]
    max_limit: int
    shorthands: Mapping[str, Shorthand] = field(default_factory=dict)

    def parse(self, request: wsgi.Request, fixed: Mapping[str, str] | None = None) -> ListRequest:
        """The request's parameters. `fixed` filters come from the path and beat the query."""
        given = request.query()
        for name in fixed or ():
            given.pop(name, None)
        options = {name: given.pop(name)[-1] for name in PARAMETERS if name in given}
        filters = [self._filter(name, values) for name, values in given.items()]
        filters += [Filter(name, Operator.EQUAL, (value,)) for name, value in (fixed or {}).items()]
        query = Query(
            limit=min(whole_number(options.get('limit', str(self.max_limit)), 'limit'), self.max_limit),
            offset=whole_number(options.get('offset', '0'), 'offset', MAX_OFFSET),
            marker=options.get('marker'), filters=tuple(filters), orders=self._orders(options),
            with_total=boolean(options.get('total', 'false'), 'total'))
        return ListRequest(query, self._fields(options.get('fields')))

    def parse_filters(self, request: wsgi.Request) -> tuple[Filter, ...]:
        """The parameters of a call that takes filters and nothing else."""
        given = request.query()
        for name in PARAMETERS:
            if name in given:
                raise exception.InvalidInput(f'Unknown filter {name!r}. {self.filter_help()}')
        return tuple(self._filter(name, values) for name, values in given.items())

    def filter_help(self) -> str:
        """The known filters, for an error."""
        equal = sorted([column.name for column in self.columns if column.indexed] + [*self.shorthands])
        return f'Known are {", ".join(equal)} (name=value); texts take name~=part, numbers name>=n and name<=n.'

    def _filter(self, name: str, texts: Sequence[str]) -> Filter:
        short = self.shorthands.get(name)
        if short is not None:
            if len(texts) > 1:
                raise exception.InvalidInput(f'Too many values for filter {name}.')
            first, *others = short.columns
            return Filter(first, short.operator, (READ[self._type(first)](texts[0], name),), tuple(others))
        operator = _OPERATORS.get(name[-1:], Operator.EQUAL)
        column = self._column(name[:-1] if operator is not Operator.EQUAL else name, operator)
        if len(texts) > (_MAX_VALUES if operator is Operator.EQUAL else 1):
            raise exception.InvalidInput(f'Too many values for filter {name}.')
        return Filter(column.name, operator, tuple(READ[column.type](text, name) for text in texts))

    def _type(self, name: str) -> ColumnType:
        return next(column.type for column in self.columns if column.name == name)

    def _column(self, name: str, operator: Operator) -> Column:
        name = self.aliases.get(name, name)
        for column in self.columns:
            if column.name == name:
                allowed = {Operator.CONTAINS: column.type is ColumnType.TEXT, Operator.EQUAL: column.indexed}.get(
                    operator, column.type is ColumnType.INTEGER)
                if allowed:
                    return column
                raise exception.InvalidInput(f'{name[:64]!r} cannot be filtered by {operator.value}. '
                                             f'{self.filter_help()}')
        raise exception.InvalidInput(f'Unknown filter {name[:64]!r}. {self.filter_help()} Other parameters: '
                                     f'{", ".join(PARAMETERS)}.')

    def _orders(self, options: Mapping[str, str]) -> tuple[Order, ...]:
        orders: tuple[Order, ...] = ()
        if 'sort_key' in options or 'sort_dir' in options:
            orders = self._parsed([(options.get('sort_key', 'created_at'), ':', options.get('sort_dir', 'desc'))])
        if 'sort' in options:       # beats the other form, which must make sense all the same
            orders = self._parsed(entry.partition(':') for entry in options['sort'].split(','))
        return orders

    def _parsed(self, entries: Iterable[tuple[str, str, str]]) -> tuple[Order, ...]:
        known = sort_keys(self.columns)
        orders: list[Order] = []
        for name, colon, direction in entries:
            if name not in known:
                raise exception.InvalidInput(f'Unknown sort key {name[:64]!r}. Known are {", ".join(known)}.')
            if (direction or 'desc') not in _DIRECTIONS or (colon and not direction):
                raise exception.InvalidInput(f'The sort direction of {name} must be asc or desc.')
            if name not in {order.column for order in orders}:
                orders.append(Order(name, _DIRECTIONS[direction or 'desc']))
        return tuple(orders)

    def _fields(self, text: str | None) -> tuple[str, ...]:
        if text is None:
            return ()
        names = tuple(dict.fromkeys(text.split(',')))
        for name in names:
            if name not in self.shown:
                raise exception.InvalidInput(f'Unknown field {name[:64]!r}. Known are {", ".join(self.shown)}.')
        return names


def sort_keys(columns: Iterable[Column]) -> tuple[str, ...]:
    """What a list with these columns can be sorted by: not by long texts, since a marker holds the whole value."""
    return (*FRAMEWORK_SORT_KEYS, *(column.name for column in columns if column.length <= TEXT_LENGTH))


def answer(request: wsgi.Request, envelope: str, page: Page, rules: ListRules,
           wanted: ListRequest) -> webob.Response:
    """The list in the form that the client accepts: CSV when it prefers that, else JSON."""
    rows = page.rows
    if wanted.fields:
        rows = [{name: row[name] for name in wanted.fields} for row in rows]
    headers = {}
    if page.next_marker is not None:
        headers['X-Next-Marker'] = page.next_marker
    if page.total is not None:
        headers['X-Total-Count'] = str(page.total)
    if request.prefers(CSV_TYPE):
        result = wsgi.answer(200, headers=headers)
        result.content_type = CSV_TYPE
        result.body = _csv(wanted.fields or rules.shown, rows)
        return result
    body: dict[str, Any] = {envelope: rows}
    if page.next_marker is not None:
        body['next_marker'] = page.next_marker
    if page.total is not None:
        body['total_count'] = page.total
    return wsgi.answer(200, body, headers)


def _csv(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\r\n')       # RFC 4180
    writer.writerow(names)
    writer.writerows([_cell(row.get(name)) for name in names] for row in rows)
    return text.getvalue().encode('utf-8')


def _cell(value: Any) -> str:
    if value is None:
        return ''
    if isinstance(value, str):
        # A text that a spreadsheet would run as a formula is shown as text.
        return f"'{value}" if value[:1] in ('=', '+', '-', '@', '\t', '\r', '\n') else value
    return json.text(value).strip('"')


def whole_number(text: str, name: str, largest: int = BIGINT_MAX) -> int:
    """A number from 0 to `largest` out of a query; InvalidInput otherwise."""
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > largest:
        raise exception.InvalidInput(f'{name} must be a whole number from 0 to {largest}.')
    return int(text)


def moment(text: str, name: str) -> int:
    """A time out of a query in epoch ms: such a number, or RFC 3339 with a zone. `InvalidInput` otherwise."""
    if text.isascii() and text.isdigit():
        return whole_number(text, name, LATEST_MS)
    try:
        if not _RFC_3339.fullmatch(text):
            raise ValueError
        milliseconds = (datetime.fromisoformat(text.upper()) - _EPOCH) // timedelta(milliseconds=1)
    except ValueError:
        raise exception.InvalidInput(f'{name} must be a time like 2026-11-05T12:00:00Z (a + in it is written %2B), or '
                                     'milliseconds since 1970.') from None
    return min(max(0, milliseconds), LATEST_MS)


def boolean(text: str, name: str) -> bool:
    """true or false out of a query; InvalidInput otherwise."""
    word = text.lower()
    if word not in ('true', 'false', '1', '0'):
        raise exception.InvalidInput(f'{name} must be true or false.')
    return word in ('true', '1')


def no_more(query: Mapping[str, Collection[str]], *known: str) -> None:
    """Refuse query parameters that a call does not take."""
    for name in query:
        if name not in known:
            what = f'Known are {", ".join(known)}.' if known else 'This call takes none.'
            raise exception.InvalidInput(f'Unknown parameter {name[:64]!r}. {what}')


READ: dict[ColumnType, Callable[[str, str], Any]] = {
    ColumnType.TEXT: lambda text, name: text,
    ColumnType.INTEGER: whole_number,
    ColumnType.BOOLEAN: boolean,
}
