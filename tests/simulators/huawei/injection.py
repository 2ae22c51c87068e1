# SPDX-License-Identifier: Apache-2.0
"""What is to go wrong, how often, and where."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.simulators.http import Reply
from tests.simulators.injection import Spell

_HTML = (b'<!DOCTYPE html>\n<html><head><title>%d</title></head><body><h1>The service is unavailable</h1>'
         b'<p>Please contact your administrator.</p></body></html>\n')

FORMS = ('code', 'html', 'half', 'drop', 'type', 'garbage', 'stall', 'list', 'empty')


@dataclass
class Fault(Spell):
    """Something that goes wrong with requests for a resource.

    `path` is what stands behind the device's id, the whole or as far as it is given: `lun`, `lun/count`; `''` means
    every one. `page` picks those for the page with this number, counted from 0; `skip` lets so many go right first, and
    `times` is how many then go wrong (None: all). `form`:

        code     an error with `code`, and with the HTTP status `status`
        html     a page for people, with `status`
        half     the right answer up to its middle, then the connection is closed
        drop     the connection is closed without an answer
        type     the right answer as text/plain
        garbage  something that is no JSON, said to be some
        list     JSON, but no object
        empty    a success without data
        stall    no answer for `seconds`; then the right one
    """

    path: str = ''
    form: str = 'code'
    code: int = 1077949006
    status: int = 200
    method: str | None = None
    page: int | None = None
    seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise ValueError(f'form is one of {", ".join(FORMS)}')

    def concerns(self, method: str, path: str, query: str) -> bool:
        """Whether a request is meant."""
        if self.method not in (None, method) or not (path + '/').startswith(self.path + '/' if self.path else ''):
            return False
        return self.page is None or self.page == _page(query)


def _page(query: str) -> int:
    found = re.search(r'range=(?:\[|%5B)(\d+)-(\d+)', query, re.IGNORECASE)
    if found is None:
        return 0
    start, stop = int(found[1]), int(found[2])
    return start // max(1, stop - start)


def spoiled(fault: Fault, right: Callable[[], Reply], wait: Callable[[float], object]) -> Reply:
    """The answer with everything but a code wrong with it. `right` makes the one that would have been."""
    match fault.form:
        case 'html':
            return Reply(_HTML % fault.status, fault.status, content_type='text/html')
        case 'drop':
            return Reply(drop=True)
        case 'garbage':
            return Reply(b'{"data": [{"ID": "0", "NAME": ', fault.status)
        case 'list':
            return Reply(b'["data"]', fault.status)
        case 'empty':
            return Reply(b'{"error":{"code":0,"description":"0"}}', fault.status)
        case 'stall':
            wait(fault.seconds)
            return right()
    reply = right()
    if fault.form == 'half':
        return replace(reply, cut=len(reply.body) // 2)
    return replace(reply, content_type='text/plain')
