# SPDX-License-Identifier: Apache-2.0
"""Nodes and storages, as the database knows them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from delfin import exception
from delfin.db import ownership as owners
from delfin.db.engine import now
from delfin.db.runs import ASKED_FOR
from delfin.db.sqlalchemy.models import metric_feeds, nodes, ownership, storages, sync_failures, sync_runs
from delfin.doctor.base import Check, Finding, Patient, ok, problem, warning
from delfin.keyring import read_keys
from delfin.rotation import some
from delfin.version import version_string

_PENDING_MINUTES = 5
_FAILING_HOURS = 24
_LOOKS = 4
_BETWEEN_LOOKS_SECONDS = 1.6        # together more than two heartbeats


def task_services(patient: Patient) -> Iterator[Finding]:
    """Which live, and which have died."""
    found = _nodes(patient)
    living = [node['name'] for node in found if node['alive']]
    for node in found:
        if not node['alive']:
            silent_since = node['heartbeat_at'].strftime('%Y-%m-%d %H:%M:%S')
            yield warning(task_services, f'node {node["name"]} has been silent since {silent_since} UTC; start it, or '
                          'forget it (the others have its storages)')
    if living:
        yield ok(task_services, f'{len(living)} alive: {some(living)}')
    else:
        yield problem(task_services, 'no task service is alive: nothing is synced or registered; start delfin-task, or '
                      'delfin-all')


def node_versions(patient: Patient) -> Iterator[Finding]:
    """Whether all run the same Delfin."""
    for node in _living(patient):
        if node['version'] != version_string():
            yield warning(node_versions, f'node {node["name"]} runs version {node["version"]}, here is '
                          f'{version_string()}; bring all nodes to one version')


def node_keys(patient: Patient) -> Iterator[Finding]:
    """Whether all can open each other's secrets."""
    path = Path(patient.conf.secrets.key_file)
    try:
        keys = read_keys(path)
    except exception.InvalidConfiguration:
        return      # the check of the key file says it
    for node in _living(patient):
        theirs = node['key_ids'] or []
        if keys.sealing_id not in theirs:
            yield problem(node_keys, f'node {node["name"]} does not have key {keys.sealing_id}, which seals here; copy '
                          f'{path} to its host')
        elif theirs[0] not in keys.keys:
            yield problem(node_keys, f'node {node["name"]} seals with key {theirs[0]}, which is not in {path}; copy '
                          'its key file to this host')
        elif theirs[0] != keys.sealing_id:
            yield warning(node_keys, f'node {node["name"]} still seals with key {theirs[0]}; copy {path} to its host')


def storage_owners(patient: Patient) -> Iterator[Finding]:
    """Whether every array has a living node that looks after it."""
    if not _living(patient):
        return      # said already
    alive = sa.exists().where(ownership.c.storage_id == storages.c.id, nodes.c.name == ownership.c.node,
                              nodes.c.expires_at > _now(patient))
    orphans = _ids(patient, sa.select(storages.c.id).where(storages.c.live == 1, ~alive))
    if orphans:
        yield warning(storage_owners, f'nobody looks after storage {some(orphans)}; if that lasts longer than half a '
                      'minute, look for errors in the logs of the task services')


def quarantine(patient: Patient) -> Iterator[Finding]:
    """Arrays whose driver did not return."""
    found = _ids(patient, sa.select(storages.c.id).where(
        storages.c.live == 1, storages.c.quarantined_until > _now(patient)))
    if found:
        yield warning(quarantine, f'calls to storage {some(found)} pause, since they never returned; look at the array '
                      'and at "GET /v1/storages/{id}"')


def failing_storages(patient: Patient) -> Iterator[Finding]:
    """Arrays that have not been synced completely for long."""
    since = _now(patient) - timedelta(hours=_FAILING_HOURS)
    failing = sa.exists().where(sync_failures.c.storage_id == storages.c.id)
    good = sa.exists().where(sync_runs.c.storage_id == storages.c.id, sync_runs.c.state == 'done',
                             sync_runs.c.finished_at > since)
    found = _ids(patient, sa.select(storages.c.id).where(
        storages.c.live == 1, storages.c.maintenance == sa.false(), storages.c.created_at < since, failing, ~good))
    if found:
        yield warning(failing_storages, f'no sync of storage {some(found)} was complete for {_FAILING_HOURS} hours; '
                      '"GET /v1/storages/{id}/syncs/latest" says what fails')


def metric_collections(patient: Patient) -> Iterator[Finding]:
    """Arrays whose metrics could not be collected last."""
    found = _ids(patient, sa.select(storages.c.id).join(metric_feeds, metric_feeds.c.storage_id == storages.c.id).where(
        storages.c.live == 1, storages.c.maintenance == sa.false(), metric_feeds.c.state == 'failed'))
    if found:
        yield warning(metric_collections, f'metrics of storage {some(found)} could not be collected; '
                      '"GET /v1/storages/{id}/metrics-status" says why')


def waiting_syncs(patient: Patient) -> Iterator[Finding]:
    """Work that nobody takes up."""
    due = _now(patient) - timedelta(minutes=_PENDING_MINUTES)
    found = _ids(patient, sa.select(storages.c.id).join(sync_runs, sync_runs.c.storage_id == storages.c.id).where(
        storages.c.live == 1, sync_runs.c.state == 'pending', sync_runs.c.not_before < due,
        sa.or_(storages.c.maintenance == sa.false(), sync_runs.c.trigger.in_(ASKED_FOR))))
    if found:
        yield problem(waiting_syncs, f'a sync of storage {some(found)} has been waiting for more than '
                      f'{_PENDING_MINUTES} minutes; are task services running, and is [sync] workers too small?')


def unfinished_removals(patient: Patient) -> Iterator[Finding]:
    """Deleted arrays whose rows are still there."""
    due = _now(patient) - timedelta(minutes=_PENDING_MINUTES)
    found = _ids(patient, sa.select(storages.c.id).where(storages.c.live.is_(None), storages.c.deleted_at < due))
    if found:
        yield warning(unfinished_removals, f'the rows of deleted storage {some(found)} are still there; are task '
                      'services running?')


def maintenance(patient: Patient) -> Iterator[Finding]:
    """Arrays that somebody may have forgotten there."""
    found = _ids(patient, sa.select(storages.c.id).where(storages.c.live == 1, storages.c.maintenance == sa.true()))
    if found:
        yield ok(maintenance, f'not polled: storage {some(found)}')


def _nodes(patient: Patient) -> Sequence[Mapping[str, Any]]:
    with patient.database.read() as connection:
        return owners.listing(connection)


def _living(patient: Patient) -> list[Mapping[str, Any]]:
    return [node for node in _nodes(patient) if node['alive']]


def _now(patient: Patient) -> datetime:
    with patient.database.read() as connection:
        return now(connection)


def _ids(patient: Patient, statement: sa.Select[Any]) -> list[str]:
    with patient.database.read() as connection:
        return list(connection.execute(statement.order_by(storages.c.created_at)).scalars())


def node_names(patient: Patient) -> Iterator[Finding]:
    """Two task services of one name push each other's row out, and begin a new one each time."""
    lives: defaultdict[str, set[datetime]] = defaultdict(set)
    if not _nodes(patient):
        return
    for look in range(_LOOKS):
        if look:
            time.sleep(_BETWEEN_LOOKS_SECONDS)      # what other hosts do wakes nobody here
        for node in _nodes(patient):
            lives[node['name']].add(node['started_at'])
    for name, starts in lives.items():
        if len(starts) > 1:
            yield problem(node_names, f'more than one task service is called {name} (or it was started again just '
                          'now); set another host in [DEFAULT] for each')


CHECKS: tuple[Check, ...] = (task_services, node_versions, node_keys, storage_owners, quarantine, failing_storages,
                             metric_collections, waiting_syncs, unfinished_removals, maintenance, node_names)
