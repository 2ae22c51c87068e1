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

import contextvars
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from delfin import exception

Entry = TypeVar('Entry')
Cursor = TypeVar('Cursor')

# A page is worth a thread if the array needs this long for it: what one thread has read is not near the processor on
# which another looks at it, and both want the interpreter. That costs about a millisecond.
_WORTH_SECONDS = 0.01


def by_offset(fetch: Callable[[int, int], Sequence[Entry] | None], size: int,
              key: Callable[[Entry], Any] = lambda entry: entry) -> Iterator[Entry]:
    """Entries of `fetch(offset, size)` until a page is shorter than `size` (or None).

    An array that ignores the paging is understood: a first page with more entries than were asked for is the whole
    list, and a page that begins as the first one did ends it; `key` is by what an entry is known again when some of its
    fields change. `BadResponse` if a later page is too long.

    While the caller looks at a full page the next one, which will be asked for in any case, is on its way, unless they
    come so quickly that handing one from thread to thread would take longer. `fetch` runs in a thread of its own then,
    never twice at once.
    """
    def timed(offset: int) -> tuple[Sequence[Entry], float]:
        began = time.monotonic()
        found = fetch(offset, size) or ()
        return found, time.monotonic() - began

    page, seconds = timed(0)
    first = key(page[0]) if page else None
    if len(page) != size:
        yield from page
        return
    with ThreadPoolExecutor(1, 'kit') as ahead:     # has no thread before it needs one
        for offset in itertools.count(size, size):
            if seconds >= _WORTH_SECONDS:
                # The context holds what log lines show.
                following = ahead.submit(contextvars.copy_context().run, timed, offset)
                yield from page
                page, seconds = following.result()
            else:
                yield from page
                page, seconds = timed(offset)
            if len(page) > size:
                raise exception.BadResponse(message=f'The array sent {len(page)} entries in a page of {size}.')
            if page and key(page[0]) == first:
                return
            if len(page) != size:
                yield from page
                return


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
