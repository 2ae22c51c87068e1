# SPDX-License-Identifier: Apache-2.0
"""Alerts by asking the array: syncs with its own list, the list for somebody who looks, clearing, trap targets."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from delfin import alerts as model
from delfin import cryptor, exception
from delfin.alerts import Values
from delfin.common.masking import Masker
from delfin.common.text import clean, first_line
from delfin.context import RequestContext
from delfin.db import Database, alert_feeds, alert_sources, alerts, ownership, storages
from delfin.db.alert_feeds import Task, Window
from delfin.db.sqlalchemy import models
from delfin.drivers.api import Door, Lane
from delfin.findings import Findings
from delfin.keyring import Keyring, place
from delfin.task_manager.sync.inventory import storage_values

LOG = logging.getLogger(__name__)

_RETRY_SECONDS = 5.0
_REJECTED_ALERT = 'rejected_alert'      # a row of the array's list that is no alert; nothing is cleared by such a list
_MOST_SENDERS = 100
_HOST_LENGTH = 255
_ALERT_SOURCE_FIELDS = ('version', 'username', 'security_level', 'auth_protocol', 'privacy_protocol', 'engine_id',
                        'context_name')


class Alerting:
    """What the owner of an array does about its alerts."""

    def __init__(self, database: Database, door: Door, keyring: Keyring, masker: Masker) -> None:
        self._database, self._door, self._keyring, self._masker = database, door, keyring, masker

    # --- for somebody who waits ---

    def list_alerts(self, context: RequestContext, storage_id: str, window: Window) -> list[dict[str, Any]]:
        """The array's list as it is now, with the fields of its storage."""
        with self._database.read() as connection:
            row = storages.get(connection, storage_id)
        found, _, _ = self._ask(storage_id, window, context)
        fields = {'storage_id': storage_id, 'storage_name': row['name'], 'vendor': row['vendor'],
                  'model': row['model'], 'serial_number': row['serial_number']}
        return [{**values, **fields} for values in found]

    def clear_alert(self, context: RequestContext, storage_id: str, sequence_number: str) -> None:
        """Clear on the array, and here what stands under that number."""
        try:
            self._door.call(storage_id, 'clear_alert', sequence_number, lane=Lane.INTERACTIVE, context=context)
        except NotImplementedError:
            raise exception.StorageCapabilityNotSupported(
                message='The driver of this storage cannot clear alerts.') from None
        with self._database.write('clear-alert') as connection:
            alerts.clear_sequence_number(connection, storage_id, sequence_number)

    def push_trap_config(self, context: RequestContext, storage_id: str, host: str, port: int, remove: bool) -> None:
        """Have the array send its traps to `host` and `port`, or no more."""
        with self._database.read() as connection:
            source = alert_sources.get(connection, storage_id)
        trap_config: dict[str, Any] = {
            'host': host, 'port': port,
            **{name: source[name] for name in _ALERT_SOURCE_FIELDS if source[name] is not None}}
        for name in alert_sources.SECRETS:
            if source[name] is not None:
                secret = self._keyring.open(source[name], place(storage_id, alert_sources.PLACE, name))
                self._masker.learn(storage_id, [secret])
                trap_config[name] = cryptor.encode(secret)
        method = 'remove_trap_config' if remove else 'add_trap_config'
        try:
            self._door.call(storage_id, method, trap_config, lane=Lane.INTERACTIVE, context=context)
        except NotImplementedError:
            raise exception.StorageCapabilityNotSupported(
                message='The driver of this storage cannot set up where traps are sent to.') from None

    # --- syncs ---

    def sync(self, task: Task) -> None:
        """Compare the array's list with what stands here. Its outcome is recorded; only bugs are raised."""
        started = time.monotonic()
        try:
            moment = self._database.attempt(lambda connection: _held(connection, task) and alert_feeds.begin(
                connection, task.storage_id), 'alert-sync')
            if not moment:
                LOG.info('storage %s belongs to another node now: so does its alert sync', task.storage_id)
                return
            findings = self._sync(task, moment)
        except NotImplementedError:
            self._finish(task, alert_feeds.UNSUPPORTED)
        except exception.ServiceUnavailable as error:       # ours, not the array's
            LOG.info('the alert sync of storage %s is put off: %s', task.storage_id, error)
            self._put_off(task)
        except exception.DelfinException as error:
            LOG.warning('the alert sync of storage %s failed: %s', task.storage_id, error)
            self._finish(task, alert_feeds.FAILED, error.msg)
        except SQLAlchemyError as error:
            LOG.error('the alert sync of storage %s is tried again in %d s: %s', task.storage_id, _RETRY_SECONDS,
                      first_line(error))
            self._put_off(task)
        else:
            LOG.debug('alert sync of storage %s: %.1f s, %d findings', task.storage_id, time.monotonic() - started,
                      len(findings))

    def _sync(self, task: Task, moment: datetime) -> list[dict[str, Any]]:
        senders = self._senders(task.storage_id)
        found, rejected, findings = self._ask(task.storage_id, task.window, None)
        complete = task.window.is_open and not rejected
        if complete and not found and self._would_clear(task.storage_id):
            # Many drivers answer an error with an empty list: an array that is there is believed.
            self._probe(task.storage_id)

        def write(connection: sa.Connection) -> bool:
            if not _held(connection, task):
                return False
            alerts.apply_list(connection, task.storage_id, found, moment, complete)
            if senders is not None:
                alert_feeds.set_senders(connection, task.storage_id, senders)
            alert_feeds.finish(connection, task, alert_feeds.DONE, None, findings.listing())
            return True
        if not self._database.attempt(write, 'alert-list'):
            LOG.info('storage %s belongs to another node now: its alert sync ends here', task.storage_id)
        return findings.listing()

    def _finish(self, task: Task, state: str, error: str | None = None) -> None:
        def write(connection: sa.Connection) -> None:
            if _held(connection, task):         # else the request is the next owner's to answer
                alert_feeds.finish(connection, task, state, error)
        try:
            self._database.attempt(write)
        except SQLAlchemyError as failure:
            LOG.error('the outcome of an alert sync could not be stored; it is made again: %s', first_line(failure))

    def _put_off(self, task: Task) -> None:
        def write(connection: sa.Connection) -> None:
            if _held(connection, task):
                alert_feeds.put_off(connection, task, _RETRY_SECONDS)
        try:
            self._database.attempt(write)
        except SQLAlchemyError as failure:
            LOG.warning('an alert sync is tried again soon: %s', first_line(failure))

    def _would_clear(self, storage_id: str) -> bool:
        table = models.alerts.c
        with self._database.read() as connection:
            return connection.execute(sa.select(table.id).where(
                table.storage_id == storage_id, table.state.in_(model.STANDING), table.listed == sa.true()
            ).limit(1)).first() is not None

    def _probe(self, storage_id: str) -> None:
        """Raises unless the array is there, and the one that was registered."""
        values = storage_values(self._door.call(storage_id, 'get_storage', lane=Lane.INTERACTIVE), Findings())
        with self._database.read() as connection:
            registered = storages.get(connection, storage_id)['serial_number']
        if values['serial_number'] != registered:
            raise exception.StorageSerialNumberMismatch(
                f'the array answers with serial number {values["serial_number"]}, registered is {registered}; '
                'no alert was cleared')

    def _senders(self, storage_id: str) -> list[str] | None:
        """Where the driver says that traps come from; None if it does not say (now)."""
        try:
            answer = self._door.call(storage_id, 'get_alert_sources', lane=Lane.INTERACTIVE)
        except NotImplementedError:
            return None
        except exception.DelfinException as error:
            LOG.warning('the driver of storage %s does not say where its traps come from: %s', storage_id, error)
            return None
        rows = answer if isinstance(answer, list | tuple) else []
        hosts = [clean(row['host']) for row in rows if isinstance(row, Mapping) and isinstance(row.get('host'), str)]
        return [host for host in hosts if 0 < len(host) <= _HOST_LENGTH][:_MOST_SENDERS]

    # --- the array ---

    def _ask(self, storage_id: str, window: Window,
             context: RequestContext | None) -> tuple[list[Values], int, Findings]:
        """The alerts of the array's list that lie in the window, coerced; how many of its rows are no alerts."""
        answer = self._door.call(storage_id, 'list_alerts', _query(window), lane=Lane.INTERACTIVE, context=context)
        findings = Findings()
        if answer is None:
            answer = []
        if isinstance(answer, Mapping | str | bytes) or not isinstance(answer, Iterable):
            raise exception.InvalidResults(f'list_alerts returned {type(answer).__name__}, not a list')
        found, rejected = [], 0
        for row in _rows(answer):
            try:
                values = model.parsed(row, findings).values
            except exception.InvalidResults as error:
                findings.add(_REJECTED_ALERT, example=error.msg)
                rejected += 1       # findings are bounded and may not show it
                continue
            if _lies_in(values['occur_time'], window):
                found.append(values)
        return found, rejected, findings


def _held(connection: sa.Connection, task: Task) -> bool:
    """Whether the array is still ours; if so, it stays so until the transaction ends."""
    return ownership.hold(connection, task.storage_id, task.node, task.epoch)


def _rows(answer: Iterable[Any]) -> list[Any]:
    try:
        return list(answer)
    except Exception as error:      # an iterable of the driver's own
        raise exception.InvalidResults(
            f'list_alerts returned rows that cannot be read: {type(error).__name__}') from None


def _query(window: Window) -> dict[str, int] | None:
    """What drivers are given: nothing for everything, else both bounds, since many look for both."""
    if window.is_open:
        return None
    begin, tomorrow = window.begin or 0, int((datetime.now(UTC).timestamp() + 86400) * 1000)
    return {'begin_time': begin, 'end_time': max(begin, tomorrow) if window.end is None else window.end}


def _lies_in(moment: int | None, window: Window) -> bool:
    """Whether it happened then; nobody knows of what has no time."""
    if moment is None:
        return window.is_open
    return (window.begin is None or moment >= window.begin) and (window.end is None or moment <= window.end)
