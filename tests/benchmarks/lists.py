# SPDX-License-Identifier: Apache-2.0
"""Lists in process: from a WebOb request through the pipeline of api-paste.ini to the bytes of the body.

The floor of a list is what cannot be left out with these libraries: a connection from the pool and a read transaction;
the same SELECT (the 17 columns of a volume, the order, the limit, no rows of deleted storages), with times as the
database's driver gives them; all rows as SQLAlchemy's tuples; a dict for each; `orjson.dumps`. Beyond that Delfin reads
the parameters, gives times their zone, looks up when the storage was last seen, makes the marker of the next page,
hashes the body for its ETag, and writes a log line.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
import webob

from delfin import service
from delfin.api import server
from delfin.common import json
from delfin.db import lists, resources
from delfin.db.sqlalchemy import models
from delfin.keyring import new_key, write_key_file
from tests.benchmarks.databases import ROWS, VOLUMES, Stored
from tests.benchmarks.measure import Comparison, medians

PAGE = 1000
LIST_TARGET = 1.5
LATE_PAGE_TARGET = 1.5
_COLUMNS = 17


@contextlib.contextmanager
def service_parts(folder: Path) -> Iterator[service.Parts]:
    """What the API service is made of, configured and logging as in production."""
    write_key_file(folder / 'keys', dict([new_key()]))
    config = folder / 'delfin.conf'
    config.write_text(f'[DEFAULT]\nstate_path = {folder}/state\nlog_file = {folder}/delfin.log\n'
                      f'[secrets]\nkey_file = {folder}/keys\n')
    conf, masker = service.prepare(['--config-file', str(config)], 'delfin-benchmarks')
    parts = service.make_parts(conf, masker)
    try:
        yield parts
    finally:
        parts.rpc.close()
        parts.database.close()
        logging.shutdown()


def measure(parts: service.Parts, stored: Stored, rounds: int) -> list[Comparison]:
    """The list and its late pages on one engine."""
    app = server.application(replace(parts, database=stored.database))

    def get(path: str) -> bytes:
        response = webob.Request.blank(path).get_response(app)
        if response.status_int != 200:
            raise RuntimeError(f'{path}: {response.status} {response.text}')
        return response.body

    return [_list(get, stored, rounds), *_late_pages(get, stored, rounds)]


# --- a list against its floor ---

def _list(get: Callable[[str], bytes], stored: Stored, rounds: int) -> Comparison:
    path = f'/v1/volumes?limit={PAGE}'
    statement = _bare_select()
    names = [str(column.name) for column in statement.selected_columns]

    def floor() -> bytes:
        with stored.database.read() as connection:
            rows = connection.execute(statement).all()
        body = [dict(zip(names, row, strict=True)) for row in rows]
        return orjson.dumps(body, option=orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z)

    def query() -> lists.Page:
        with stored.database.read() as connection:
            return resources.listing(connection, VOLUMES, lists.Query(PAGE))

    body = orjson.loads(get(path))['volumes']
    bare = orjson.loads(floor())
    if [row['id'] for row in body] != [row['id'] for row in bare] or len(names) != _COLUMNS:
        raise RuntimeError('the floor is not that of this list')
    page = query()
    document = {'volumes': page.rows, 'next_marker': page.next_marker}
    times = medians({'floor': floor, 'delfin': lambda: get(path), 'query': query,
                     'json': lambda: json.dumps(document)}, rounds)
    parts = {'rows as dicts': times['query'], 'JSON': times['json'],
             'pipeline, ETag, log': times['delfin'] - times['query'] - times['json']}
    return Comparison(f'list of {PAGE:,} volumes', stored.engine, 'SQL tuples + orjson', times['floor'],
                      times['delfin'], LIST_TARGET, parts)


def _bare_select() -> sa.Select[Any]:
    """The first page as plain as it can be asked for."""
    table = models.table(VOLUMES.table)
    columns = [table.c[name] for name in (*models.ROW_COLUMNS, *(c.name for c in VOLUMES.table.columns), 'extra')]
    columns_as_driven = [sa.type_coerce(column, sa.DateTime()).label(column.name)
                         if column.name in ('created_at', 'updated_at') else column for column in columns]
    hidden = sa.select(models.storages.c.id).where(models.storages.c.live.is_(None))
    return (sa.select(*columns_as_driven).where(table.c.storage_id.not_in(hidden))
            .order_by(table.c.created_at.desc(), table.c.id.desc()).limit(PAGE))


# --- the last page against the first ---

def _late_pages(get: Callable[[str], bytes], stored: Stored, rounds: int) -> Iterator[Comparison]:
    for name, query in (('', ''), (' of one storage', f'&storage_id={stored.storage_id}')):
        before = orjson.loads(get(f'/v1/volumes?limit=1&offset={ROWS - PAGE - 1}{query}'))
        first = f'/v1/volumes?limit={PAGE}{query}'
        last = f'{first}&marker={before["next_marker"]}'
        body = orjson.loads(get(last))
        if len(body['volumes']) != PAGE or 'next_marker' in body:
            raise RuntimeError('this is not the last page')
        times = medians({'first': partial(get, first), 'last': partial(get, last)}, rounds)
        yield Comparison(f'last {PAGE:,} of {ROWS:,} volumes{name}', stored.engine, 'the first page', times['first'],
                         times['last'], LATE_PAGE_TARGET)
