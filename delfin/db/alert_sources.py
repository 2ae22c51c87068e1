# SPDX-License-Identifier: Apache-2.0
"""SNMP configuration: who may send traps for a storage, and whether its agent answers. Secrets are sealed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from delfin import exception
from delfin.db.engine import now
from delfin.db.sqlalchemy.models import access_info, alert_feeds, alert_sources, storages, table
from delfin.kinds import KINDS

_c = alert_sources.c

SECRETS = ('community_string', 'auth_key', 'privacy_key')
PLACE = 'alert_source'          # in the place of a sealed secret: storage id, this, column
OK, FAILED = 'ok', 'failed'     # of a probe

_live = sa.select(alert_sources).join(storages, storages.c.id == _c.storage_id).where(storages.c.live == 1)


def get(connection: sa.Connection, storage_id: str) -> dict[str, Any]:
    """The configuration of one storage; `AlertSourceNotFound`."""
    row = connection.execute(_live.where(_c.storage_id == storage_id)).mappings().first()
    if row is None:
        raise exception.AlertSourceNotFound(storage_id)
    return {str(name): value for name, value in row.items()}


def listing(connection: sa.Connection) -> list[dict[str, Any]]:
    """All of them, newest first."""
    return [{str(name): value for name, value in row.items()} for row in connection.execute(
        _live.order_by(_c.created_at.desc(), _c.storage_id)).mappings()]


def put(connection: sa.Connection, storage_id: str, values: Mapping[str, Any]) -> None:
    """Create or replace the columns in `values`. The agent is asked anew, and what was learned is forgotten."""
    moment = now(connection)
    fresh = {'engine_id_learned': False, 'probe_state': None, 'probe_error': None, 'probed_at': None,
             'probe_due_at': moment}
    if not connection.execute(sa.update(alert_sources).where(_c.storage_id == storage_id),
                              {**values, **fresh, 'updated_at': moment}).rowcount:
        connection.execute(sa.insert(alert_sources), {
            **values, **fresh, 'storage_id': storage_id, 'created_at': moment})


def delete(connection: sa.Connection, storage_id: str) -> None:
    """Nobody sends for this storage any more; `AlertSourceNotFound`."""
    if not connection.execute(sa.delete(alert_sources).where(_c.storage_id == storage_id)).rowcount:
        raise exception.AlertSourceNotFound(storage_id)


# --- engine ids ---

def learn_engine_id(connection: sa.Connection, storage_id: str, engine_id: str) -> str | None:
    """Pin the engine id (hex) of a source that has none; the one that is pinned now, None if the source is gone."""
    connection.execute(sa.update(alert_sources).where(_c.storage_id == storage_id, _c.engine_id.is_(None)),
                       {'engine_id': engine_id, 'engine_id_learned': True})
    return connection.execute(sa.select(_c.engine_id).where(_c.storage_id == storage_id)).scalar()


def forget_engine_id(connection: sa.Connection, storage_id: str) -> None:
    """The next message that authenticates may bring another engine id; `AlertSourceNotFound`."""
    if not connection.execute(sa.update(alert_sources).where(_c.storage_id == storage_id),
                              {'engine_id': None, 'engine_id_learned': False, 'updated_at': now(connection)}).rowcount:
        raise exception.AlertSourceNotFound(storage_id)


# --- probes ---

def take_probe(connection: sa.Connection, interval_seconds: float) -> dict[str, Any] | None:
    """A source whose agent is to be asked, moved on so that no other node asks as well; None when none is due."""
    moment = now(connection)
    candidates = connection.execute(_live.where(sa.or_(_c.probe_due_at.is_(None), _c.probe_due_at <= moment)).order_by(
        _c.probe_due_at).limit(20)).mappings().all()
    for row in candidates:
        same = _c.probe_due_at.is_(None) if row['probe_due_at'] is None else _c.probe_due_at == row['probe_due_at']
        if connection.execute(sa.update(alert_sources).where(_c.storage_id == row['storage_id'], same), {
                'probe_due_at': moment + timedelta(seconds=interval_seconds)}).rowcount:
            return {str(name): value for name, value in row.items()}
    return None


def note_probe(connection: sa.Connection, storage_id: str, state: str, error: str | None) -> str | None:
    """Record whether the agent answered; what it was before."""
    before = connection.execute(sa.select(_c.probe_state).where(_c.storage_id == storage_id).with_for_update()).scalar()
    connection.execute(sa.update(alert_sources).where(_c.storage_id == storage_id), {
        'probe_state': state, 'probe_error': error, 'probed_at': now(connection)})
    return before


# --- for receivers ---

class Known(NamedTuple):
    """What tells a storage from others, and the driver that reads its traps."""

    id: str
    name: str | None
    serial_number: str
    driver_vendor: str
    driver_model: str


class Configuration(NamedTuple):
    """What decides who may send: the sources; further hosts of their storages (the addresses of controllers, and what
    the driver says); the name of the controller at a storage's address; the storages themselves.
    """

    sources: list[dict[str, Any]]
    hosts: dict[str, list[str]]
    controllers: dict[tuple[str, str], str]
    storages: dict[str, Known]


def configuration(connection: sa.Connection) -> Configuration:
    """All of it."""
    sources = listing(connection)
    ids = {source['storage_id'] for source in sources}
    hosts: dict[str, list[str]] = {storage_id: [] for storage_id in ids}
    names: dict[tuple[str, str], str] = {}
    for storage_id, senders in connection.execute(sa.select(alert_feeds.c.storage_id, alert_feeds.c.senders)):
        if storage_id in ids:
            hosts[storage_id] += [host for host in senders or () if isinstance(host, str)]
    controllers = table(KINDS['controllers'].table)
    for row in connection.execute(sa.select(controllers.c.storage_id, controllers.c.mgmt_ip, controllers.c.name).where(
            controllers.c.mgmt_ip.is_not(None))):
        if row.storage_id in ids:
            hosts[row.storage_id].append(row.mgmt_ip)
            if row.name:
                names[row.storage_id, row.mgmt_ip] = row.name
    known = {row.id: Known(*row) for row in connection.execute(
        sa.select(storages.c.id, storages.c.name, storages.c.serial_number, access_info.c.vendor, access_info.c.model)
        .join(access_info, access_info.c.storage_id == storages.c.id).where(storages.c.live == 1)) if row.id in ids}
    return Configuration(sources, hosts, names, known)
