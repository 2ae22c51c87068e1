# SPDX-License-Identifier: Apache-2.0
"""One search over all arrays: which resource has this WWN, IQN, serial number, name or native id?"""

from __future__ import annotations

import re
from typing import Any

import webob

from delfin import exception
from delfin.api import listing, wsgi
from delfin.api.v1.storages import view
from delfin.db import resources, storages
from delfin.kinds import KINDS

_BLANKS = ' \t\r\n\f\v'      # as the document's pattern has them
_SHORTEST = 2
_LONGEST = 255
_DEFAULT_LIMIT = 50
_MOST = 200
_HEX_PAIRS = re.compile(r'(?:0x)?((?:[0-9a-fA-F]{2}[:-]?){4,})')


class SearchController:
    """`/v1/search`."""

    def index(self, request: wsgi.Request) -> webob.Response:
        """Resources and storages that have the text, or begin with it, in an identifying field.

        Exact matches come first. Case counts, but the text is also tried in lower and upper case, and a WWN with and
        without colons.
        """
        query = request.query()
        listing.no_more(query, 'q', 'limit')
        text = query.get('q', [''])[-1].strip(_BLANKS)
        if not _SHORTEST <= len(text) <= _LONGEST:
            raise exception.InvalidInput(f'q must have {_SHORTEST} to {_LONGEST} characters.')
        limit = min(listing.whole_number(query.get('limit', [str(_DEFAULT_LIMIT)])[-1], 'limit'), _MOST)
        results = self._find(request, spellings(text), limit + 1)
        return wsgi.answer(200, {'results': results[:limit], 'truncated': len(results) > limit})

    @staticmethod
    def _find(request: wsgi.Request, terms: list[str], limit: int) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        with request.backend.database.read() as connection:
            for prefix in (False, True):
                for row in storages.search(connection, terms, prefix, limit):
                    matched = row.pop('matched')
                    found.setdefault(row['id'], _result('storages', row['id'], matched, view(row)))
                for kind in KINDS:
                    if len(found) >= limit:
                        return list(found.values())
                    for row in resources.search(connection, kind, terms, prefix, limit):
                        matched = row.pop('matched')
                        found.setdefault(row['id'], _result(kind.name, row['storage_id'], matched, row))
        return list(found.values())


def _result(kind: str, storage_id: str, matched: str, row: dict[str, Any]) -> dict[str, Any]:
    return {'kind': kind, 'id': row['id'], 'storage_id': storage_id, 'matched': matched, 'value': row[matched],
            'resource': row}


def spellings(text: str) -> list[str]:
    """The text as typed, in lower and upper case, and, if it looks like a WWN, with and without colons."""
    forms = [text]
    match = _HEX_PAIRS.fullmatch(text)
    if match:
        digits = re.sub('[:-]', '', match[1])
        forms += [digits, ':'.join(re.findall('..', digits))]
    return list(dict.fromkeys(spelling for form in forms for spelling in (form, form.lower(), form.upper())))
