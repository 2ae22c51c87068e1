# SPDX-License-Identifier: Apache-2.0
"""Lists of rows: filters, order and pages that give the same answer on every engine.

* Text compares byte by byte (the columns are declared so); a substring is looked for with case.
* NULL is smaller than every value: first in ascending order, last in descending order.
* Every order ends in `created_at` and `id`, in the direction of its first key, so that it is total. A page after a
  marker is found by the marker's values, not by its row: the row may be gone by then, and a late page costs no more
  than the first.
"""

from __future__ import annotations

import base64
import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from delfin import exception
from delfin.common import json
from delfin.db.sqlalchemy.types import UtcDateTime
from delfin.kinds import BIGINT_MAX

_MARKER_PREFIX = 'm.'


class Operator(enum.Enum):
    """How a filter compares."""

    EQUAL = '='             # one of several values
    CONTAINS = '~='
    AT_LEAST = '>='
    AT_MOST = '<='


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on one column. Only EQUAL takes more than one value.

    With `or_columns` a row fits when one of the columns does.
    """

    column: str
    operator: Operator
    values: tuple[Any, ...]
    or_columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """A sort key."""

    column: str
    descending: bool = True


@dataclass(frozen=True, slots=True)
class Query:
    """What a client wants of a list. `marker` is the text of the last page's `next_marker`, or the id of a row."""

    limit: int
    filters: tuple[Filter, ...] = ()
    orders: tuple[Order, ...] = ()
    offset: int = 0
    marker: str | None = None
    with_total: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a list, `next_marker` when there are more, `total` when it was asked for."""

    rows: list[dict[str, Any]]
    next_marker: str | None = None
    total: int | None = None


def fetch(connection: sa.Connection, select: sa.Select[Any], table: sa.Table, query: Query) -> Page:
    """The page of `select` (whose rows come from `table`, with its `id` and `created_at` among the columns)."""
    orders = _total_order(query.orders)
    select = select.where(*conditions(connection, table, query.filters))
    total = None
    if query.with_total:
        total = connection.execute(sa.select(sa.func.count()).select_from(select.subquery())).scalar_one()
    if query.limit == 0:
        return Page([], None, total)
    paged = select
    if query.marker is not None:
        paged = paged.where(_after(table, orders, _marker_values(connection, select, table, orders, query.marker)))
    ordering = [_ordering(connection, table.c[order.column], order) for order in orders]
    # One row more than asked for tells whether there is a next page.
    paged = paged.order_by(*ordering).limit(query.limit + 1).offset(query.offset or None)
    if connection.dialect.name in ('mysql', 'mariadb') and (query.offset or query.marker is not None):
        # MariaDB reads whole rows for the pages it skips; picking the ids first lets it stay in the index.
        ids = paged.with_only_columns(table.c.id).subquery()
        tables = select.get_final_froms()       # `table`, and what it is joined with
        paged = sa.select(*select.selected_columns).select_from(*tables).join(ids, ids.c.id == table.c.id)
        paged = paged.order_by(*ordering)
    names = [str(column.name) for column in select.selected_columns]    # not SQLAlchemy's str: orjson is slow with it
    rows = [dict(zip(names, row, strict=True)) for row in connection.execute(paged).all()]
    if len(rows) <= query.limit:
        return Page(rows, None, total)
    del rows[query.limit:]
    return Page(rows, _marker(orders, rows[-1]), total)


def conditions(connection: sa.Connection, table: sa.Table,
               filters: Sequence[Filter]) -> list[sa.ColumnElement[bool]]:
    """What `filters` want of `table`, as conditions of a statement."""
    return [sa.or_(*(_condition(connection, table.c[name], filter_)
                     for name in (filter_.column, *filter_.or_columns)))
            for filter_ in filters]


def _total_order(orders: Sequence[Order]) -> tuple[Order, ...]:
    direction = orders[0].descending if orders else True
    named = {order.column for order in orders}
    return (*orders, *(Order(name, direction) for name in ('created_at', 'id') if name not in named))


def _ordering(connection: sa.Connection, column: sa.Column[Any], order: Order) -> Any:
    if connection.dialect.name == 'postgresql' and column.nullable:      # the others have NULL smallest by nature
        return column.desc().nulls_last() if order.descending else column.asc().nulls_first()
    return column.desc() if order.descending else column.asc()


def _condition(connection: sa.Connection, column: sa.Column[Any], filter_: Filter) -> sa.ColumnElement[bool]:
    match filter_.operator:
        case Operator.EQUAL:
            return column.in_(filter_.values) if len(filter_.values) > 1 else column == filter_.values[0]
        case Operator.CONTAINS:
            position = sa.func.strpos if connection.dialect.name == 'postgresql' else sa.func.instr
            return position(column, filter_.values[0]) > 0
        case Operator.AT_LEAST:
            return column >= filter_.values[0]
    return column <= filter_.values[0]


def matches(column: sa.Column[Any], terms: Sequence[str], prefix: bool) -> sa.ColumnElement[bool]:
    """Whether a text is one of `terms`, or begins with one of them. Both are looked up in the column's index."""
    if not prefix:
        return column.in_(terms)
    # The first text behind all that begin with the term; LIKE would not use the index on every engine.
    return sa.or_(*(sa.and_(column >= term, column < term + chr(0x10FFFF)) for term in terms))


# --- markers ---

def _marker(orders: Sequence[Order], row: dict[str, Any]) -> str:
    body = json.dumps([[order.column, order.descending, row[order.column]] for order in orders])
    return _MARKER_PREFIX + base64.urlsafe_b64encode(body).decode('ascii').rstrip('=')


def _marker_values(connection: sa.Connection, select: sa.Select[Any], table: sa.Table, orders: Sequence[Order],
                   marker: str) -> list[Any]:
    """The sort values of the row that `marker` names. NotFound for an id that is none, InvalidInput for rubbish."""
    if not marker.startswith(_MARKER_PREFIX):
        columns = [table.c[order.column] for order in orders]
        row = connection.execute(select.with_only_columns(*columns).where(table.c.id == marker)).first()
        if row is None:
            raise exception.NotFound(message=f'The marker {marker[:64]!r} is no row of this list.')
        return list(row)
    try:
        text = marker.removeprefix(_MARKER_PREFIX)
        entries = json.loads(base64.b64decode(text + '=' * (-len(text) % 4), altchars=b'-_', validate=True))
        if [(column, descending) for column, descending, _ in entries] != [
                (order.column, order.descending) for order in orders]:
            raise exception.InvalidInput('The marker belongs to a list with another order.')
        return [_typed(table.c[column], value) for column, _, value in entries]
    except (ValueError, TypeError, OverflowError):
        raise exception.InvalidInput('The marker is damaged; use the next_marker of an earlier answer.') from None


def _typed(column: sa.Column[Any], value: Any) -> Any:
    """A value of a marker as the column has it; an error of Python's for one that the column cannot have."""
    if value is None and column.nullable:
        return None
    if isinstance(column.type, UtcDateTime):        # it hides what it is made of: its python_type is object
        return datetime.fromisoformat(value).astimezone(UTC)
    wanted = column.type.python_type
    if type(value) is not wanted or (wanted is int and abs(value) > BIGINT_MAX) or (wanted is str and '\0' in value):
        raise TypeError
    return value


def _after(table: sa.Table, orders: Sequence[Order], values: Sequence[Any]) -> sa.ColumnElement[bool]:
    """Rows behind `values` in the order: behind in the first key, or equal there and behind in the rest."""
    order, column = orders[0], table.c[orders[0].column]
    # As a parameter even if it is True or False, which SQLAlchemy would not let us compare by size.
    value = None if values[0] is None else sa.literal(values[0], column.type)
    behind = _behind(column, order, value)
    if len(orders) == 1:
        return behind
    rest = sa.or_(behind, sa.and_(_same(column, value), _after(table, orders[1:], values[1:])))
    if value is None:
        return rest
    # Said once more as a plain bound, which lets the engines start in the middle of the index.
    bound = column <= value if order.descending else column >= value
    return sa.and_(sa.or_(bound, column.is_(None)) if column.nullable and order.descending else bound, rest)


def _behind(column: sa.Column[Any], order: Order, value: Any) -> sa.ColumnElement[bool]:
    if value is None:
        return sa.false() if order.descending else column.is_not(None)
    if not order.descending:
        return column > value
    return sa.or_(column < value, column.is_(None)) if column.nullable else column < value


def _same(column: sa.Column[Any], value: Any) -> sa.ColumnElement[bool]:
    return column.is_(None) if value is None else column == value
