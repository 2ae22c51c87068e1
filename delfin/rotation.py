# SPDX-License-Identifier: Apache-2.0
"""Changing the key of all stored secrets while services run, each host with a key file of its own."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from delfin import access, exception
from delfin.common.constants import ACCESS_TYPE
from delfin.db import Database, ownership
from delfin.db.sqlalchemy.models import access_info, alert_sources
from delfin.keyring import Keyring, is_sealed, key_of, place

Row = Mapping[str, Any]

ALERT_SOURCE = 'alert_source'       # in the place of a secret: storage id, this, column
ALERT_SECRETS = ('community_string', 'auth_key', 'privacy_key')
PATIENCE_SECONDS = 2.0              # and four heartbeats: with each a node reports its keys
_ACCESS_COLUMNS = (*ACCESS_TYPE, access.EXTRA)
_PAUSE_SECONDS = 0.2
_PAGE = 500
_SHOWN = 5                          # of a long list in a message


class Secret(NamedTuple):
    """A stored secret: whose, which, and the id of the key that opens it."""

    storage_id: str
    field: str
    key_id: str

    def __str__(self) -> str:
        return f'{self.field} of storage {self.storage_id}'


class Rotation:
    """Changing the key of all stored secrets while services run, each host with a key file of its own.

    A key goes through four states, and at every moment every live task service can open what any other one seals:

    1. *next* (`Keyring.add_next`): it opens. The operator copies the file to every host.
    2. *sealing* (`rotate`): only once every live node has reported that it knows the key. All secrets are sealed anew,
       one row a transaction: a rotation that is interrupted goes on where it was.
    3. *old*: it opens. Hosts that have not got the new file yet go on sealing with it.
    4. *pruned* (`prune`): only once every live node seals with another key and no stored secret needs this one.
    """

    def __init__(self, database: Database, keyring: Keyring, key_file: str,
                 patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._database = database
        self._keyring = keyring
        self._key_file = key_file
        self._patience_seconds = patience_seconds

    def rotate(self) -> str:
        """Seal everything with the next key; what was done. `InvalidConfiguration` while a live node lacks the key.

        When no key was added before, this adds one, and drops the old ones if all live nodes read this key file.
        """
        by_itself = self._keyring.keys().next_id is None
        resumed = by_itself and self._need(self._keyring.keys().old_ids)
        if by_itself and not resumed:
            self._keyring.add_next()
        self._promote()
        changed, troubles = self._reseal()
        done = [f'key {self._keyring.keys().sealing_id} is in use; the secrets of {changed} storages were encrypted '
                'anew' + (' (the rest of an earlier rotation)' if resumed else '')]
        if troubles:
            raise exception.InvalidConfiguration(f'{done[0]}, but not all: {some(troubles)}')
        if not by_itself:
            done.append(f'copy {self._key_file} to every other host once more, then run "delfin-manage key prune"')
        elif late := self._late(self._keyring.keys().sealing_id):
            done.append(f'no key was dropped, since {some(late)} {_do(late)} not use this key yet: copy '
                        f'{self._key_file} to their hosts, then run "delfin-manage key prune"')
        else:
            done.append(self.prune())
        return '; '.join(done)

    def prune(self) -> str:
        """Drop the keys that nothing needs; what was done. `InvalidConfiguration` names who or what still needs them.

        What was sealed with an old key meanwhile, by a host that had not got the file yet, is sealed anew first.
        """
        keys = self._keyring.keys()
        if not keys.old_ids:
            return f'there is no old key to drop: {self._key_file} holds key {keys.sealing_id}' + (
                f' and {keys.next_id}, which is to be next' if keys.next_id else '')
        if late := self._late(keys.sealing_id):
            raise exception.InvalidConfiguration(
                f'{some(late)} {_do(late)} not seal with key {keys.sealing_id} yet; copy {self._key_file} to their '
                'hosts and try again (a node that has died is forgotten when its lease has run out)')
        _, troubles = self._reseal()
        if needed := self._need(keys.old_ids):
            raise _still_needed(needed, some(troubles) if troubles else 'try again')
        self._keyring.drop(keys.old_ids)
        # Between that look and the drop a transaction may have ended that had sealed its secret long before.
        if needed := self._need(keys.old_ids):
            self._keyring.put_back(keys.old_ids)
            raise _still_needed(needed, 'it was stored at this very moment; try again')
        return (f'dropped: {", ".join(keys.old_ids)}; kept in {self._key_file}.pruned for backups that were made '
                'before: delete that file together with them')

    def listing(self) -> str:
        """The keys, a line each."""
        keys = self._keyring.keys()
        needed = Counter(secret.key_id for secret in self.secrets())
        role = {keys.sealing_id: 'seals', keys.next_id: 'is to be next'}
        lines = [f'{key_id}  {role.get(key_id, "opens only")}, {needed.pop(key_id, 0)} secrets' for key_id in keys.keys]
        return '\n'.join(lines + [f'{key_id}  is missing, {count} secrets' for key_id, count in needed.items()])

    def secrets(self) -> Iterator[Secret]:
        """Every stored secret."""
        for table in (access_info, alert_sources):
            for row in self._rows(table):
                yield from sealed_in(row)

    # --- the nodes ---

    def _promote(self) -> None:
        """Make the next key the one that seals, once every live node knows it."""
        next_id = self._keyring.keys().next_id
        if next_id is None:
            return
        if ignorant := self._wait_for_nodes(lambda key_ids: next_id in key_ids):
            raise exception.InvalidConfiguration(
                f'{some(ignorant)} {_do(ignorant)} not know key {next_id} yet; copy {self._key_file} to their hosts '
                'and run "delfin-manage key rotate" again (a node that has died is forgotten when its lease has run '
                'out)')
        self._keyring.promote_next()

    def _late(self, sealing_id: str) -> list[str]:
        """Live nodes that do not seal with this key."""
        return self._wait_for_nodes(lambda key_ids: key_ids[:1] == [sealing_id])

    def _wait_for_nodes(self, content: Callable[[Sequence[str]], bool]) -> list[str]:
        """Live nodes that do not say what they should of their keys, though they had some time to say it."""
        deadline = time.monotonic() + self._patience_seconds
        while True:
            with self._database.read() as connection:
                others = [f'node {node["name"]}' for node in ownership.listing(connection)
                          if node['alive'] and not content(node['key_ids'] or [])]
            if not others or time.monotonic() >= deadline:
                return others
            time.sleep(_PAUSE_SECONDS)      # other hosts cannot wake us

    # --- the secrets ---

    def _need(self, key_ids: Sequence[str]) -> list[Secret]:
        """The stored secrets that only these keys open."""
        return [secret for secret in self.secrets() if secret.key_id in key_ids]

    def _reseal(self) -> tuple[int, list[str]]:
        """Seal with the newest key what is sealed with another; how many storages, and what could not be opened."""
        sealing_id = self._keyring.keys().sealing_id
        changed: set[str] = set()
        troubles = []
        for table in (access_info, alert_sources):
            for row in self._rows(table):
                if all(secret.key_id == sealing_id for secret in sealed_in(row)):
                    continue
                try:
                    self._reseal_row(table, row['storage_id'])
                    changed.add(row['storage_id'])
                except exception.SecretUnreadable as error:
                    troubles.append(error.msg)
        return len(changed), troubles

    def _reseal_row(self, table: sa.Table, storage_id: str) -> None:
        """In a transaction of its own, and without a trace in `updated_at`: nothing has changed for anybody."""
        with self._database.write() as connection:
            row = connection.execute(sa.select(table).where(table.c.storage_id == storage_id)
                                     .with_for_update()).mappings().first()
            changes = {} if row is None else self._resealed(dict(row))
            if changes:
                connection.execute(sa.update(table).where(table.c.storage_id == storage_id), changes)

    def _resealed(self, row: Row) -> dict[str, Any]:
        if 'vendor' in row:
            result = access.reseal(row, row['storage_id'], self._keyring) or {}
            return {name: result[name] for name in _ACCESS_COLUMNS if result and result[name] != row[name]}
        changes = {}
        for column in ALERT_SECRETS:
            if is_sealed(row[column]) and not self._keyring.sealed_with_newest(row[column]):
                where = place(row['storage_id'], ALERT_SOURCE, column)
                changes[column] = self._keyring.seal(self._keyring.open(row[column], where), where)
        return changes

    def _rows(self, table: sa.Table) -> Iterator[Row]:
        """All rows, in pages: no transaction is held while somebody works on them."""
        last = ''
        while True:
            with self._database.read() as connection:
                page = connection.execute(sa.select(table).where(table.c.storage_id > last).order_by(
                    table.c.storage_id).limit(_PAGE)).mappings().all()
            yield from map(dict, page)
            if len(page) < _PAGE:
                return
            last = page[-1]['storage_id']


def sealed_in(row: Row) -> Iterator[Secret]:
    """The secrets in a row of `access_info` or `alert_sources`."""
    if 'vendor' in row:
        found = [(f'{section} {name}', fields[name]) for section, fields in access.sections(row)
                 for name in sorted(access.SECRET_FIELDS & fields.keys())]
        found += [(f'{access.EXTRA} {name}', value) for name, value in (row[access.EXTRA] or {}).items()]
    else:
        found = [(f'{ALERT_SOURCE} {column}', row[column]) for column in ALERT_SECRETS]
    for field, text in found:
        if is_sealed(text):
            yield Secret(row['storage_id'], field, key_of(text))


def some(things: Sequence[object]) -> str:
    """A list for a message, of which the beginning is enough."""
    shown = ', '.join(map(str, things[:_SHOWN]))
    return shown if len(things) <= _SHOWN else f'{shown} and {len(things) - _SHOWN} more'


def _still_needed(secrets: Sequence[Secret], advice: str) -> exception.InvalidConfiguration:
    key_ids = ', '.join(dict.fromkeys(secret.key_id for secret in secrets))
    return exception.InvalidConfiguration(
        f'no key was dropped: {some(secrets)} still need{"s" * (len(secrets) == 1)} key {key_ids}; {advice}')


def _do(names: Sequence[str]) -> str:
    return 'does' if len(names) == 1 else 'do'
