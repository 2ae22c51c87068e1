# SPDX-License-Identifier: Apache-2.0
"""delfin-manage: database schema, keys and their rotation, failed traps, configuration check, doctor."""

from __future__ import annotations

import argparse
import contextlib
import inspect
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from oslo_config import cfg
from sqlalchemy.exc import SQLAlchemyError

from delfin import doctor as examination
from delfin import exception, rpc, service
from delfin.alert_manager.retry import retry
from delfin.alert_manager.sockets import parse_address
from delfin.api.server import endpoint_of
from delfin.common import config, json
from delfin.common.text import first_line
from delfin.context import get_admin_context
from delfin.db import Database, traps
from delfin.db.schema import Schema
from delfin.drivers.manager import DriverManager
from delfin.exporter.runner import Runner
from delfin.keyring import Keyring, new_key, read_key_file, write_key_file
from delfin.rotation import PATIENCE_SECONDS, Rotation
from delfin.task_manager.rpcapi import TaskAPI
from delfin.task_manager.telemetry.service import Exports
from delfin.version import version_string

PROG = 'delfin-manage'
DOCTOR = 'doctor'

_SHOWN_TRAPS = 50


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
    with _database(conf) as database:
        patience = PATIENCE_SECONDS + 4 * conf.cluster.heartbeat_seconds
        yield Rotation(database, keyring, conf.secrets.key_file, patience)


def config_check(conf: cfg.ConfigOpts) -> str:
    """Check configuration, key file, database, schema and transport without starting anything."""
    problems = [f'option {name} is unknown' for name in config.unknown_options(conf)]
    checks: list[Callable[[], object]] = [
        lambda: read_key_file(Path(conf.secrets.key_file)),
        lambda: service.check_schema(service.open_database(conf)),
        lambda: rpc.Rpc(conf).close(),
        lambda: endpoint_of(conf, embedded=rpc.is_local(conf)),
        lambda: [parse_address(address) for address in conf.alerts.listen],
        lambda: Runner(conf, service.open_database(conf)),
        lambda: Exports(conf, service.open_database(conf)),
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


def traps_list(conf: cfg.ConfigOpts) -> str:
    """Show the newest traps that could not be made alerts of, and why."""
    with _database(conf) as database, database.read() as connection:
        rows = traps.failed(connection, _SHOWN_TRAPS)
    return '\n'.join(f'{row["id"]}  {row["received_at"]:%Y-%m-%dT%H:%M:%SZ}  from {row["source"]}: {row["error"]}'
                     for row in rows) or 'there are no failed traps'


def traps_retry(conf: cfg.ConfigOpts) -> str:
    """Read failed traps once more, after a driver was mended or a storage was registered; services may be running.

    What can be read becomes an alert now; the rest stays, with its newest error.
    """
    with _database(conf) as database:
        transport = rpc.Rpc(conf)
        try:
            tasks = TaskAPI(transport, database)
            outcome = retry(database, DriverManager(), lambda storage_id, trap: tasks.parse_alert(
                get_admin_context(), storage_id, trap))
        finally:
            transport.close()
    return (f'{outcome.read} traps were read, {outcome.dropped} say nothing and were dropped, {outcome.failed} still '
            f'fail{f": {PROG} traps list shows why" if outcome.failed else ""}')


@contextlib.contextmanager
def _database(conf: cfg.ConfigOpts) -> Iterator[Database]:
    database = service.open_database(conf)
    try:
        service.check_schema(database)
        yield database
    finally:
        database.close()


# --- the command line ---

def doctor(argv: Sequence[str], as_json: bool) -> int:
    """Find the usual mistakes and say what to do about each; exit code 1 if there are problems.

    Looks at configuration, key file, database, broker, services, storages and drivers, whatever of that is broken.
    Changes nothing. Takes up to a quarter of a minute.
    """
    logging.disable()       # the findings say it all
    findings = examination.examine(argv, PROG)
    count = Counter(finding.level for finding in findings)
    problems, warnings = count[examination.Level.PROBLEM], count[examination.Level.WARNING]
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
    'traps': {'list': traps_list, 'retry': traps_retry},
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
            f'the database cannot be used: {first_line(error)}')))
    except OSError as error:
        sys.exit(config.fail(PROG, exception.InvalidConfiguration(f'{error.strerror}: {error.filename}')))


if __name__ == '__main__':
    main()
