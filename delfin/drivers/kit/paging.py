# SPDX-License-Identifier: Apache-2.0
"""Lists that come in pages, as generators of their entries. A page that fails fails the list: what is missing in a list
is taken for deleted.

Two ways cover what arrays do:

* by number: `by_offset` for offset and limit, for page numbers (`offset // size`) and for ranges (`[0-100]`);
* by what the last page says: `by_cursor` for tokens and for links to the next page.

    by_offset(lambda offset, limit: session.get('/pools', offset=offset, limit=limit)['items'], 100)
    by_cursor(lambda cursor: (answer := session.get('/volumes', cursor=cursor))['items'], answer.get('next'))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from delfin import exception

Entry = TypeVar('Entry')
Cursor = TypeVar('Cursor')


def by_offset(fetch: Callable[[int, int], Sequence[Entry] | None], size: int,
              key: Callable[[Entry], Any] = lambda entry: entry) -> Iterator[Entry]:
    """Entries of `fetch(offset, size)` until a page is shorter than `size` (or None).

    An array that ignores the paging is understood: a first page with more entries than were asked for is the whole
    list, and a page that begins as the first one did ends it; `key` is by what an entry is known again when some of its
    fields change. `BadResponse` if a later page is too long.
    """
    first: Any = None
    offset = 0
    while True:
        page = fetch(offset, size) or ()
        if offset and len(page) > size:
            raise exception.BadResponse(message=f'The array sent {len(page)} entries in a page of {size}.')
        if not page or (offset and key(page[0]) == first):
            return
        first = key(page[0]) if not offset else first
        yield from page
        if len(page) != size:
            return
        offset += size


def by_cursor(fetch: Callable[[Cursor | None], tuple[Sequence[Entry] | None, Cursor | None]]) -> Iterator[Entry]:
    """Entries of `fetch(cursor)`, which answers (entries, cursor of the next page or None); the first cursor is None.

    A page may be empty. `BadResponse` if a cursor comes twice in a row: the list would never end.
    """
    cursor: Cursor | None = None
    while True:
        page, following = fetch(cursor)
        yield from page or ()
        if not following:
            return
        if following == cursor:
            raise exception.BadResponse(message='The array sent the same cursor twice: its list has no end.')
        cursor = following
