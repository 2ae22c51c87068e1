# SPDX-License-Identifier: Apache-2.0
"""delfin-manage: database schema, keys and their rotation, configuration check, doctor."""

from __future__ import annotations

import argparse
import contextlib
import inspect
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy.exc import SQLAlchemyError

from delfin import access, exception, rpc, service
from delfin.api.server import Endpoint
from delfin.common import config, json
from delfin.common.constants import ACCESS_TYPE
from delfin.db import Database, ownership
from delfin.db.schema import Schema
from delfin.db.sqlalchemy.models import access_info, alert_sources
from delfin.keyring import Keyring, is_sealed, key_of, new_key, place, read_key_file, write_key_file
from delfin.version import version_string

PROG = 'delfin-manage'
DOCTOR = 'doctor'

Row = Mapping[str, Any]

ALERT_SOURCE = 'alert_source'       # in the place of a secret: storage id, this, column
ALERT_SECRETS = ('community_string', 'auth_key', 'privacy_key')
_ACCESS_COLUMNS = (*ACCESS_TYPE, access.EXTRA)

_PATIENCE_SECONDS = 2.0             # and four heartbeats: with each a node reports its keys
_PAUSE_SECONDS = 0.2
_PAGE = 500
_SHOWN = 5                          # of a long list in a message


def db_upgrade(conf: cfg.ConfigOpts) -> str:
    """Create the tables, or bring them to the version of this Delfin."""
    database = service.open_database(conf)
    if database.sqlite_file is not None:
        database.sqlite_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    before, after = Schema(database).upgrade()
    return f'database is at version {after} already' if before == after else (
        f'database upgraded from {"empty" if before is None else "version " + before} to version {after}')


def db_current(conf: cfg.ConfigOpts) -> str:
    """Show the database's version and the one this Delfin needs."""
    schema = Schema(service.open_database(conf))
    current = schema.current()
    return f'database: {"empty" if current is None else "version " + current}; needed: version {schema.wanted()}'


def key_generate(conf: cfg.ConfigOpts) -> str:
    """Make the key file for a new installation; an existing one is never overwritten."""
    path = Path(conf.secrets.key_file)
    if path.exists():
        raise exception.InvalidConfiguration(f'key file {path} exists already; "{PROG} key rotate" adds a new key')
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key_id, key = new_key()
    write_key_file(path, {key_id: key})
    return f'key {key_id} written to {path}; keep a copy in a safe place'


def key_add(conf: cfg.ConfigOpts) -> str:
    """Add a key that opens, but does not seal yet: the first step of a rotation on several hosts."""
    key_id = Keyring(conf.secrets.key_file).add_next()
    return (f'key {key_id} stands in {conf.secrets.key_file} and seals nothing yet; copy the file to the same place on '
            f'every other host that runs Delfin (owner delfin, mode 600), then run "{PROG} key rotate"')


def key_rotate(conf: cfg.ConfigOpts) -> str:
    """Encrypt every stored secret with a new key.

    Without "key add" before it this adds the key, too, and drops the old ones, provided that every live task service
    reads this very key file. May be interrupted and repeated at any time.
    """
    with _rotation(conf) as rotation:
        return rotation.rotate()


def key_prune(conf: cfg.ConfigOpts) -> str:
    """Drop keys that no secret needs any more: the last step of a rotation on several hosts."""
    with _rotation(conf) as rotation:
        return rotation.prune()


def key_list(conf: cfg.ConfigOpts) -> str:
    """Show the ids of the keys, what they are for and how many secrets need them. Shows no key."""
    with _rotation(conf) as rotation:
        return rotation.listing()


@contextlib.contextmanager
def _rotation(conf: cfg.ConfigOpts) -> Iterator[Rotation]:
    keyring = Keyring(conf.secrets.key_file)
    database = service.open_database(conf)
    try:
        service.check_schema(database)
        patience = _PATIENCE_SECONDS + 4 * conf.cluster.heartbeat_seconds
        yield Rotation(database, keyring, conf.secrets.key_file, patience)
    finally:
        database.close()


def config_check(conf: cfg.ConfigOpts) -> str:
    """Check configuration, key file, database, schema and transport without starting anything."""
    problems = [f'option {name} is unknown' for name in config.unknown_options(conf)]
    checks: list[Callable[[], object]] = [
        lambda: read_key_file(Path(conf.secrets.key_file)),
        lambda: service.check_schema(service.open_database(conf)),
        lambda: rpc.Rpc(conf).close(),
        lambda: Endpoint.of(conf, embedded=rpc.is_local(conf)),
    ]
    for check in checks:
        try:
            check()
        except exception.DelfinException as error:
            problems.append(error.msg)
    if problems:
        raise exception.InvalidConfiguration('; '.join(problems))
    local = ' (transport local://: delfin-all only)' if rpc.is_local(conf) else ''
    return f'configuration is good{local}'


# --- rotation ---

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
                 patience_seconds: float = _PATIENCE_SECONDS) -> None:
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


# --- the command line ---

def doctor(argv: Sequence[str], as_json: bool) -> int:
    """Find the usual mistakes and say what to do about each; exit code 1 if there are problems.

    Looks at configuration, key file, database, broker, services, storages and drivers, whatever of that is broken.
    Changes nothing. Takes up to a quarter of a minute.
    """
    from delfin import doctor  # asks this module about the stored secrets

    logging.disable()       # the findings say it all
    findings = doctor.examine(argv, PROG)
    count = Counter(finding.level for finding in findings)
    problems, warnings = count[doctor.Level.PROBLEM], count[doctor.Level.WARNING]
    if as_json:
        print(json.text({'problems': problems, 'warnings': warnings,
                         'findings': [finding.view() for finding in findings]}))
    else:
        print('\n'.join([*(finding.line() for finding in findings), f'problems: {problems}, warnings: {warnings}']))
    return 1 if problems else 0


COMMANDS: dict[str, dict[str, Callable[[cfg.ConfigOpts], str]]] = {
    'db': {'upgrade': db_upgrade, 'current': db_current},
    'key': {'generate': key_generate, 'add': key_add, 'rotate': key_rotate, 'prune': key_prune, 'list': key_list},
    'config': {'check': config_check},
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog=PROG, description='Administration of Delfin.')
    top.add_argument('--version', action='version', version=version_string())
    top.add_argument('--config-file', action='append', metavar='FILE', help='default: /etc/delfin/delfin.conf')
    groups = top.add_subparsers(dest='group', required=True, metavar='{' + ','.join([*COMMANDS, DOCTOR]) + '}')
    for group, actions in COMMANDS.items():
        help_text = ', '.join(actions)
        sub = groups.add_parser(group, help=help_text).add_subparsers(dest='action', required=True)
        for name, function in actions.items():
            sub.add_parser(name, **_help(function))
    groups.add_parser(DOCTOR, **_help(doctor)).add_argument('--json', action='store_true', help='for machines')
    return top


def _help(function: Callable[..., object]) -> dict[str, Any]:
    doc = inspect.getdoc(function) or ''
    return {'help': doc.splitlines()[0], 'description': doc}


def main() -> None:
    """Console entry point."""
    arguments = parser().parse_args()
    argv = [word for path in arguments.config_file or () for word in ('--config-file', path)]
    os.umask(0o077)
    if arguments.group == DOCTOR:
        service.leave(doctor(argv, arguments.json))     # now: what hangs may not keep us
    try:
        conf = config.load(argv, PROG)
        print(COMMANDS[arguments.group][arguments.action](conf))
    except exception.DelfinException as error:
        sys.exit(config.fail(PROG, error))
    except SQLAlchemyError as error:
        sys.exit(config.fail(PROG, exception.InvalidConfiguration(
            f'the database cannot be used: {service.first_line(error)}')))
    except OSError as error:
        sys.exit(config.fail(PROG, exception.InvalidConfiguration(f'{error.strerror}: {error.filename}')))


if __name__ == '__main__':
    main()
