# SPDX-License-Identifier: Apache-2.0
"""delfin-manage: database schema, keys, configuration check."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from oslo_config import cfg
from sqlalchemy.exc import SQLAlchemyError

from delfin import access, exception, rpc, service
from delfin.api.server import Endpoint
from delfin.common import config
from delfin.db import storages
from delfin.db.schema import Schema
from delfin.keyring import Keyring, new_key, read_key_file, write_key_file
from delfin.version import version_string

PROG = 'delfin-manage'


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


def key_rotate(conf: cfg.ConfigOpts) -> str:
    """Add a new key, encrypt every stored secret with it, drop the old keys.

    A running service reads the key file again when it meets the new key.
    """
    keyring = Keyring(conf.secrets.key_file)
    database = service.open_database(conf)
    service.check_schema(database)
    key_id = keyring.add_newest()
    changed = 0
    with database.write() as connection:
        for row in storages.all_access(connection):
            resealed = access.reseal(row, row['storage_id'], keyring)
            if resealed is not None:
                storages.set_access(connection, row['storage_id'], resealed)
                changed += 1
    keyring.keep_only_newest()
    return f'key {key_id} is in use; the secrets of {changed} storages were encrypted anew'


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


COMMANDS: dict[str, dict[str, Callable[[cfg.ConfigOpts], str]]] = {
    'db': {'upgrade': db_upgrade, 'current': db_current},
    'key': {'generate': key_generate, 'rotate': key_rotate},
    'config': {'check': config_check},
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog=PROG, description='Administration of Delfin.')
    top.add_argument('--version', action='version', version=version_string())
    top.add_argument('--config-file', action='append', metavar='FILE', help='default: /etc/delfin/delfin.conf')
    groups = top.add_subparsers(dest='group', required=True, metavar='{' + ','.join(COMMANDS) + '}')
    for group, actions in COMMANDS.items():
        help_text = ', '.join(actions)
        sub = groups.add_parser(group, help=help_text).add_subparsers(dest='action', required=True)
        for name, function in actions.items():
            doc = (function.__doc__ or '').strip()
            sub.add_parser(name, help=doc.splitlines()[0], description=doc)
    return top


def main() -> None:
    """Console entry point."""
    arguments = parser().parse_args()
    argv = [word for path in arguments.config_file or () for word in ('--config-file', path)]
    try:
        conf = config.load(argv, PROG)
        os.umask(0o077)
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
