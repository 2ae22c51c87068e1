# SPDX-License-Identifier: Apache-2.0
"""The database: can it be used, is it set up for Delfin, does it tell the same time, can its secrets be opened."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from delfin import exception, rpc
from delfin.db import Database, engine
from delfin.db.schema import Schema
from delfin.doctor.base import Check, Finding, Patient, Unreachable, ok, problem, warning
from delfin.doctor.host import disk_room
from delfin.keyring import Keyring, pruned_file, read_key_file
from delfin.rotation import Rotation, some

_SKEW_SECONDS = 2.0
_COLLATION = 'utf8mb4_nopad_bin'
_PACKET_MB = 16
# File systems on which SQLite's locks, or the shared memory of its write-ahead log, cannot be relied on.
_NETWORK = ('nfs', 'nfs4', 'cifs', 'smb3', 'smbfs', '9p', 'afs', 'ceph', 'glusterfs', 'lustre', 'gfs', 'gfs2', 'ocfs2',
            'beegfs', 'fuse.sshfs', 'fuse.glusterfs', 'fuse.ceph', 'fuse.s3fs')


def database_file(patient: Patient) -> Iterator[Finding]:
    """SQLite only: where its file is."""
    if patient.url.get_backend_name() != 'sqlite' or not patient.url.database:
        return
    path = Path(patient.url.database)
    if not path.exists():
        raise Unreachable(f'{path} does not exist; run "delfin-manage db upgrade" as the user of the service')
    for needed in (path, path.parent):      # the write-ahead log stands beside the file
        if not os.access(needed, os.W_OK):
            yield problem(database_file, f'{needed} is not writable for the user who runs the doctor; give it to the '
                          'user of the service')
    kind = file_system(path, Path('/proc/self/mounts').read_text())
    if kind in _NETWORK:
        yield problem(database_file, f'{path} is on a network file system ({kind}), where SQLite loses data; move it '
                      'to a local disk, or use PostgreSQL or MariaDB')
    yield from disk_room(database_file, path.parent)


def file_system(path: Path, mounts: str) -> str:
    """Type of the file system that `path` is on; `mounts` as in /proc/self/mounts."""
    kind, longest = '', -1
    for line in mounts.splitlines():
        _, place, found, *_ = line.split()
        place = place.replace(r'\040', ' ')
        if path.resolve().is_relative_to(place) and len(place) >= longest:
            kind, longest = found, len(place)
    return kind


def database_answers(patient: Patient) -> Iterator[Finding]:
    """Whether it can be reached."""
    shown = patient.url.render_as_string(hide_password=True)
    began = time.monotonic()
    try:
        with patient.database.read() as connection:
            connection.execute(sa.text('SELECT 1'))
    except SQLAlchemyError as error:
        raise Unreachable(f'{shown} cannot be used: {patient.clean(error)}; check [database] connection, the server, '
                          'and the way there') from None
    yield ok(database_answers, f'{shown}, in {1000 * (time.monotonic() - began):.0f} ms')


def schema_version(patient: Patient) -> Iterator[Finding]:
    """Whether it fits this Delfin."""
    schema = Schema(patient.database)
    trouble = schema.problem()
    if trouble:
        raise Unreachable(trouble)
    yield ok(schema_version, schema.wanted())


def database_settings(patient: Patient) -> Iterator[Finding]:
    """Settings of a server that hurt."""
    database = patient.database
    if database.dialect == 'sqlite':
        return
    with database.read() as connection:
        found = list(_postgresql(connection) if database.dialect == 'postgresql' else _mariadb(connection))
        most = int(connection.execute(sa.text(
            'SHOW max_connections' if database.dialect == 'postgresql' else 'SELECT @@max_connections')).scalar_one())
    needed = connections_needed(patient)
    if needed > most:
        found.append(warning(database_settings, (
            f'the server takes {most} connections, the processes of one host may open {needed}; raise max_connections '
            'there, or lower [database] pool_size')))
    yield from found or [ok(database_settings, f'{most} connections at most, one host needs up to {needed}')]


def connections_needed(patient: Patient) -> int:
    """Connections that delfin-all, or the API's workers, task and alert service of one host, may open together."""
    processes = 1 if rpc.is_local(patient.conf) else patient.conf.api.workers + 2
    heartbeat = 1
    return 2 * patient.conf.database.pool_size * processes + heartbeat


def _postgresql(connection: sa.Connection) -> Iterator[Finding]:
    encoding = connection.execute(sa.text('SHOW server_encoding')).scalar_one()
    if encoding != 'UTF8':
        yield problem(database_settings, f'the database has encoding {encoding}; make a new one with ENCODING UTF8 and '
                      'TEMPLATE template0')


def _mariadb(connection: sa.Connection) -> Iterator[Finding]:
    charset, packet = connection.execute(sa.text(
        'SELECT @@character_set_connection, @@max_allowed_packet')).one()
    if charset != 'utf8mb4':
        yield problem(database_settings, f'the connection has character set {charset}; add ?charset=utf8mb4 to '
                      '[database] connection')
    others = list(connection.execute(sa.text(
        'SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = '
        "'BASE TABLE' AND table_name <> 'alembic_version' AND table_collation <> :collation ORDER BY table_name"),
        {'collation': _COLLATION}).scalars())
    if others:
        yield problem(database_settings, f'tables have another collation than {_COLLATION}: {some(others)}; ids '
                      'would be mixed up: restore a backup from before somebody converted them')
    if packet < _PACKET_MB * 2 ** 20:
        yield warning(database_settings, f'max_allowed_packet is {packet} bytes; raise it to {_PACKET_MB}M')


def clock(patient: Patient) -> Iterator[Finding]:
    """Whether this host and the database agree on the time."""
    with patient.database.read() as connection:
        connection.execute(sa.text('SELECT 1'))
        before = datetime.now(UTC)
        theirs = engine.now(connection)
        ours = before + (datetime.now(UTC) - before) / 2
    skew = (ours - theirs).total_seconds()
    if abs(skew) > _SKEW_SECONDS:
        yield warning(clock, f'this host is {abs(skew):.0f} s {"ahead of" if skew > 0 else "behind"} the database; set '
                      'both clocks by NTP')
    else:
        yield ok(clock, f'{abs(skew):.1f} s away from that of the database')


def secrets_and_keys(patient: Patient) -> Iterator[Finding]:
    """Whether the key file holds every key that a stored secret needs."""
    path = Path(patient.conf.secrets.key_file)
    try:
        keyring = Keyring(str(path))
    except exception.InvalidConfiguration:
        return      # the check of the key file says it
    missing, count = _missing(patient.database, keyring)
    pruned = read_key_file(pruned_file(path)) if pruned_file(path).exists() else {}
    for key_id, owners in missing.items():
        yield problem(secrets_and_keys, (
            f'key {key_id}, which secrets of storage {some(owners)} need, is not in {path}; '
            + (f'put its line from {pruned_file(path)} back at the end of {path}' if key_id in pruned else
               'get it from the key file of another host or of a backup, or remove and register these storages again')))
    if not missing:
        yield ok(secrets_and_keys, f'{count} secrets, all of known keys')


def _missing(database: Database, keyring: Keyring) -> tuple[dict[str, list[str]], int]:
    """Storages by the unknown key that they need; the number of all secrets."""
    missing: defaultdict[str, list[str]] = defaultdict(list)
    count = 0
    known = set(keyring.key_ids())
    for secret in Rotation(database, keyring, '').secrets():
        count += 1
        if secret.key_id not in known and secret.storage_id not in missing[secret.key_id]:
            missing[secret.key_id].append(secret.storage_id)
    return {key_id: owners for key_id, owners in missing.items() if owners}, count


CHECKS: tuple[Check, ...] = (database_file, database_answers, schema_version, database_settings, clock,
                             secrets_and_keys)
