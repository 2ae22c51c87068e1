# SPDX-License-Identifier: Apache-2.0
"""The collection of metrics: what is wanted of each storage's, how far it has got, how it went, and what is lost."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from delfin import exception
from delfin.db.engine import now
from delfin.db.sqlalchemy import models
from delfin.db.sqlalchemy.models import collection_marks, metric_feeds, metric_gaps, ownership, storages
from delfin.kinds import KINDS
from delfin.metrics import KINDS_OF, Gap, Mark, Owner

_feeds, _marks, _gaps = metric_feeds.c, collection_marks.c, metric_gaps.c

KEPT_GAPS = 100         # of a storage
SETTINGS = ('enabled', 'interval_seconds', 'selection')

DONE, FAILED, UNSUPPORTED = 'done', 'failed', 'unsupported'


@dataclass(frozen=True, slots=True)
class Plan:
    """A storage of this node whose metrics may be collected. Times in epoch seconds."""

    storage_id: str
    epoch: int
    enabled: bool | None
    interval_seconds: int | None
    advised_seconds: int | None
    collected_at: float | None
    retry_at: float | None


@dataclass(frozen=True, slots=True)
class Feed:
    """What a collection starts from."""

    owner: Owner
    firmware_version: str | None
    interval_seconds: int | None
    selection: Mapping[str, Any] | None
    capabilities: Mapping[str, Any] | None
    capabilities_of: str | None
    capabilities_at: float | None
    marks: dict[str, Mark]


def insert(connection: sa.Connection, storage_id: str) -> None:
    """A new storage."""
    connection.execute(sa.insert(metric_feeds), {'storage_id': storage_id})


def plans(connection: sa.Connection, node: str) -> list[Plan]:
    """This node's storages that may be polled."""
    retry_at = (sa.select(sa.func.min(_marks.retry_at)).where(_marks.storage_id == _feeds.storage_id)
                .scalar_subquery())
    rows = connection.execute(
        sa.select(_feeds.storage_id, ownership.c.epoch, _feeds.enabled, _feeds.interval_seconds,
                  _feeds.advised_seconds, _feeds.collected_at, retry_at.label('retry_at'))
        .join(ownership, ownership.c.storage_id == _feeds.storage_id)
        .join(storages, storages.c.id == _feeds.storage_id)
        .where(ownership.c.node == node, storages.c.live == 1, storages.c.maintenance == sa.false()))
    return [Plan(row.storage_id, int(row.epoch), row.enabled, row.interval_seconds, row.advised_seconds,
                 _seconds(row.collected_at), _seconds(_utc(row.retry_at))) for row in rows]


def feed(connection: sa.Connection, storage_id: str) -> Feed | None:
    """What is known of a live storage; None if there is none."""
    row = connection.execute(
        sa.select(_feeds.interval_seconds, _feeds.selection, _feeds.capabilities, _feeds.capabilities_of,
                  _feeds.capabilities_at, storages.c.name, storages.c.vendor, storages.c.model,
                  storages.c.serial_number, storages.c.firmware_version)
        .join(storages, storages.c.id == _feeds.storage_id)
        .where(_feeds.storage_id == storage_id, storages.c.live == 1)).first()
    if row is None:
        return None
    marks = {mark.resource_type: Mark(int(mark.collected_until), int(mark.failures), _seconds(mark.retry_at) or 0.0,
                                      mark.newest_at)
             for mark in connection.execute(sa.select(collection_marks).where(_marks.storage_id == storage_id))}
    owner = Owner(storage_id, row.name or '', row.vendor or '', row.model or '', row.serial_number or '')
    return Feed(owner, row.firmware_version, row.interval_seconds, row.selection, row.capabilities,
                row.capabilities_of, _seconds(row.capabilities_at), marks)


def names(connection: sa.Connection, storage_id: str, resource_type: str) -> dict[str, str | None] | None:
    """Names by native id of the inventory's resources of a type; None where the inventory has no such kind."""
    name = KINDS_OF[resource_type]
    if name is None or name not in KINDS:
        return None
    kind = KINDS[name]
    table = models.table(kind.table).c
    return {row[0]: row[1] for row in connection.execute(
        sa.select(table[kind.native_id], table.name).where(table.storage_id == storage_id))}


# --- what a collection writes ---

def save_capabilities(connection: sa.Connection, storage_id: str, document: Mapping[str, Any],
                      findings: Sequence[Mapping[str, Any]], firmware_version: str | None, moment: float,
                      advised_seconds: int | None) -> None:
    """What the driver says that can be measured."""
    connection.execute(sa.update(metric_feeds).where(_feeds.storage_id == storage_id), {
        'capabilities': dict(document), 'capability_findings': list(findings), 'capabilities_of': firmware_version,
        'capabilities_at': moment_of(moment), 'advised_seconds': advised_seconds})


def set_marks(connection: sa.Connection, storage_id: str, values: Mapping[str, Mapping[str, Any]]) -> None:
    """New values of marks by resource type: `collected_until`, `failures`, `retry_at`, `error`, `newest_at`; `points`
    and `unknown_resources` are added.
    """
    moment = now(connection)
    for resource_type, given in values.items():
        changed = {**given, 'updated_at': moment}
        where = sa.and_(_marks.storage_id == storage_id, _marks.resource_type == resource_type)
        counted = {name: _marks[name] + changed.pop(name) for name in ('points', 'unknown_resources')
                   if name in changed}
        if not connection.execute(sa.update(collection_marks).where(where).values(**changed, **counted)).rowcount:
            connection.execute(sa.insert(collection_marks), {
                'storage_id': storage_id, 'resource_type': resource_type, **given, 'updated_at': moment})


def finish(connection: sa.Connection, storage_id: str, began: float, ended: float, state: str, error: str | None,
           findings: Sequence[Mapping[str, Any]], skew_ms: int | None) -> None:
    """How a collection went."""
    connection.execute(sa.update(metric_feeds).where(_feeds.storage_id == storage_id), {
        'collected_at': moment_of(began), 'finished_at': moment_of(ended), 'state': state, 'error': error,
        'findings': list(findings) or None, 'skew_ms': skew_ms})


def add_gaps(connection: sa.Connection, storage_id: str, gaps: Sequence[Gap]) -> None:
    """Note what is lost. A gap that goes on where the last one ends makes that one longer; the oldest go."""
    moment = now(connection)
    for gap in gaps:
        joined = connection.execute(sa.update(metric_gaps).where(
            _gaps.storage_id == storage_id, _gaps.resource_type == gap.resource_type, _gaps.reason == gap.reason,
            _gaps.end_at == gap.begin), {'end_at': gap.end, 'noted_at': moment}).rowcount
        if not joined:
            connection.execute(sa.insert(metric_gaps), {
                'storage_id': storage_id, 'resource_type': gap.resource_type, 'begin_at': gap.begin,
                'end_at': gap.end, 'reason': gap.reason, 'noted_at': moment})
    oldest = connection.execute(sa.select(_gaps.id).where(_gaps.storage_id == storage_id).order_by(
        _gaps.id.desc()).offset(KEPT_GAPS).limit(1)).scalar()
    if oldest is not None:
        connection.execute(sa.delete(metric_gaps).where(_gaps.storage_id == storage_id, _gaps.id <= oldest))


def forget_types(connection: sa.Connection, storage_id: str, resource_types: Collection[str]) -> None:
    """Forget the marks of what is not measured any more; measured again one day, it begins anew."""
    connection.execute(sa.delete(collection_marks).where(
        _marks.storage_id == storage_id, _marks.resource_type.in_(list(resource_types))))


# --- what people see and want ---

def settings(connection: sa.Connection, storage_id: str) -> dict[str, Any]:
    """What an operator wants of a storage's metrics: `SETTINGS`, None where the installation decides."""
    row = connection.execute(
        sa.select(*(_feeds[name] for name in SETTINGS), _feeds.advised_seconds)
        .join(storages, storages.c.id == _feeds.storage_id)
        .where(_feeds.storage_id == storage_id, storages.c.live == 1)).mappings().first()
    if row is None:
        raise exception.StorageNotFound(storage_id)
    return dict(row)


def set_settings(connection: sa.Connection, storage_id: str, values: Mapping[str, Any]) -> None:
    """Change some of `SETTINGS`; `StorageNotFound` unless there is such a storage."""
    settings(connection, storage_id)
    if values:
        connection.execute(sa.update(metric_feeds).where(_feeds.storage_id == storage_id), dict(values))


def status(connection: sa.Connection, storage_id: str) -> dict[str, Any]:
    """How the collection fares: the last run, `marks` and `gaps`, the newest first."""
    row = connection.execute(
        sa.select(metric_feeds).join(storages, storages.c.id == _feeds.storage_id)
        .where(_feeds.storage_id == storage_id, storages.c.live == 1)).mappings().first()
    if row is None:
        raise exception.StorageNotFound(storage_id)
    marks = connection.execute(sa.select(collection_marks).where(_marks.storage_id == storage_id).order_by(
        _marks.resource_type)).mappings()
    gaps = connection.execute(sa.select(metric_gaps).where(_gaps.storage_id == storage_id).order_by(
        _gaps.id.desc())).mappings()
    return {**row, 'marks': [dict(mark) for mark in marks], 'gaps': [dict(gap) for gap in gaps]}


def delete_gaps(connection: sa.Connection, storage_id: str, limit: int) -> int:
    """Some of the gaps of a storage that is removed; how many."""
    ids = list(connection.execute(sa.select(_gaps.id).where(_gaps.storage_id == storage_id).limit(limit)).scalars())
    if ids:
        connection.execute(sa.delete(metric_gaps).where(_gaps.id.in_(ids)))
    return len(ids)


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def moment_of(seconds: float) -> datetime:
    """Epoch seconds as a column takes them."""
    return datetime.fromtimestamp(seconds, UTC)


def _utc(value: Any) -> datetime | None:
    """Of an aggregate, whose type SQLAlchemy passes on."""
    return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)
