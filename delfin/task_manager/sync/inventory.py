# SPDX-License-Identifier: Apache-2.0
"""One sync run, kind by kind.

A kind that fails keeps its rows and does not stop the others. What is recorded of each kind is what happened: a run
never ends as done when a part of it failed.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from delfin import coerce, exception
from delfin import findings as code
from delfin.common.masking import Masker
from delfin.common.text import clean
from delfin.db import Database, capacity, freshness, is_away, resources, runs, storages
from delfin.db.runs import Claim, RunLost
from delfin.drivers.api import Door, Lane
from delfin.drivers.errors import is_hopeless
from delfin.findings import Findings
from delfin.kinds import KINDS, STORAGE_COLUMNS, Kind, Table
from delfin.task_manager.sync import engine

LOG = logging.getLogger(__name__)


class Interrupted(Exception):
    """The run cannot go on here and now (the service stops, the database is away); it is put back, not failed."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one kind."""

    state: str
    counts: engine.Counts
    findings: Findings
    withheld: bool = False
    error: str | None = None
    hopeless: bool = False      # the other kinds would fail the same way


class Inventory:
    """Runs syncs through the door into the database."""

    def __init__(self, database: Database, door: Door, masker: Masker) -> None:
        self._database = database
        self._door = door
        self._masker = masker

    def run(self, taken: Claim) -> list[str]:
        """Do what the run has still to do; names of kinds whose deletion is withheld.

        `RunLost` and `Interrupted` leave the rest of the run to somebody else.
        """
        try:
            with self._database.read() as connection:
                kinds = runs.pending_kinds(connection, taken.run_id)
            withheld, failure = [], None
            for name in kinds:
                result = self._kind(taken, name, failure)
                if result.hopeless:
                    failure = result.error
                if result.withheld:
                    withheld.append(name)
            self._check_references(taken)
            self._note_capacity(taken)
            return withheld
        except SQLAlchemyError as error:
            if is_away(error):
                raise Interrupted(f'the database is away: {type(error).__name__}') from error
            raise

    def _kind(self, taken: Claim, name: str, failure: str | None) -> Result:
        self._record(taken, name, {'state': 'running'})
        started = time.monotonic()
        counts, found = engine.Counts(), Findings()
        try:
            if failure is not None:
                result = Result('failed', counts, found, error=failure, hopeless=True)
            elif name == runs.STORAGE:
                result = self._sync_storage(taken, counts, found)
            elif name in KINDS:
                result = self._sync_kind(taken, KINDS[name], counts, found)
            else:
                result = Result('unsupported', counts, found, error='this version of Delfin does not know the kind')
        except NotImplementedError:
            result = Result('unsupported', counts, found)
        except exception.ServiceUnavailable as error:
            raise Interrupted(error.msg) from None
        except exception.DelfinException as error:
            result = Result('failed', counts, found, error=f'{error.error_code}: {error.msg}',
                            hopeless=is_hopeless(error))
        except RunLost:
            raise
        except Exception as error:      # our own bug or a value no database takes: this kind fails, not the run
            if is_away(error):
                raise
            LOG.exception('sync of %s of storage %s failed', name, taken.storage_id)
            result = Result('failed', counts, found, error='internal error; see the log of the task service')
        error_text = None if result.error is None else clean(self._masker.mask(result.error))
        self._record(taken, name, {
            'state': result.state, **result.counts.values(), 'seconds': round(time.monotonic() - started, 6),
            'withheld': result.withheld, 'findings': self._clean(result.findings.listing()),
            'error': error_text})
        if result.state == 'failed':
            LOG.warning('sync of %s of storage %s failed: %s', name, taken.storage_id, error_text)
        return result

    def _record(self, taken: Claim, name: str, values: Mapping[str, Any]) -> None:
        with self._database.write('kind') as connection:
            runs.guard(connection, taken)
            runs.set_kind(connection, taken.run_id, name, values)
            if values['state'] == 'done' and not values['withheld']:
                freshness.note(connection, taken.storage_id, name)
            if values['state'] != 'running':
                runs.note_outcome(connection, taken.storage_id, name, values['state'] == 'failed')

    def _clean(self, listing: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
        for finding in listing:
            if finding['example']:
                finding['example'] = self._masker.mask(finding['example'])
        return listing or None

    def _check_references(self, taken: Claim) -> None:
        """Report what names a resource that the array does not list; at the end, when all kinds are there."""
        with self._database.read() as connection:
            done = runs.done_kinds(connection, taken.run_id)
            seen = freshness.kinds(connection, taken.storage_id)
            found = {kind.name: _dangling(connection, kind, taken.storage_id, seen)
                     for kind in KINDS if kind.name in done}
        if any(found.values()):
            with self._database.write('kind') as connection:
                runs.guard(connection, taken)
                for name, listing in found.items():
                    if listing:
                        runs.add_findings(connection, taken.run_id, name, self._clean(listing) or [])

    def _note_capacity(self, taken: Claim) -> None:
        """How full the storage and its pools are today, as far as this run has asked."""
        with self._database.read() as connection:
            day, done = capacity.today(connection), runs.done_kinds(connection, taken.run_id)
            new = [kind for name, kind in capacity.OF_SYNC_KINDS.items()
                   if name in done and not capacity.is_noted(connection, taken.storage_id, kind, day)]
        if new:
            with self._database.write('capacity') as connection:
                runs.guard(connection, taken)
                for kind in new:
                    capacity.note(connection, taken.storage_id, kind, day)

    # --- the storage itself ---

    def _sync_storage(self, taken: Claim, counts: engine.Counts, found: Findings) -> Result:
        values = self._ask_storage(taken, found)
        counts.seen = 1
        with self._database.write('storage') as connection:
            runs.guard(connection, taken)
            changed = storages.update(connection, taken.storage_id, values)
        counts.updated, counts.unchanged = int(changed), int(not changed)
        return Result('done', counts, found)

    def _ask_storage(self, taken: Claim, found: Findings) -> dict[str, Any]:
        """What the array says of itself; `_WrongArray` when it is not the one that was registered."""
        answer = self._door.call(taken.storage_id, 'get_storage', lane=Lane.BULK)
        values = storage_values(answer, found)
        with self._database.read() as connection:
            registered = storages.get(connection, taken.storage_id)['serial_number']
        if values['serial_number'] != registered:
            raise exception.StorageSerialNumberMismatch(
                f'the array answers with serial number {values["serial_number"]}, registered is {registered}; '
                'nothing was changed: check its address, or register the new array')
        return values

    # --- resource kinds ---

    def _sync_kind(self, taken: Claim, kind: Kind, counts: engine.Counts, found: Findings) -> Result:
        tables: list[engine.TableSync] = []
        with self._door.answer(taken.storage_id, kind.method, lane=Lane.BULK) as answer:
            for spec, rows in rows_by_table(kind, answer):
                # Pairs of a relation are not counted: a run reports resources.
                table_counts = counts if spec is kind.table else engine.Counts()
                table = engine.TableSync(self._database, self._writer(taken, kind.name, counts), spec,
                                         taken.storage_id, table_counts, found)
                table.take(rows)
                tables.append(table)
        if not all(table.believable for table in tables) and not self._confirmed(taken, kind):
            found.add(code.DELETION_WITHHELD, kind.native_id, f'{tables[0].gone} of {tables[0].stored} rows missing')
            return Result('done', counts, found, withheld=True)
        for table in tables:
            table.delete_gone()
        return Result('done', counts, found)

    def _writer(self, taken: Claim, name: str, counts: engine.Counts) -> engine.Transaction:
        """Transactions in which the run is still ours, and which show how far it has come."""
        @contextlib.contextmanager
        def transaction() -> Iterator[sa.Connection]:
            with self._database.write('rows') as connection:
                runs.guard(connection, taken)
                yield connection
                runs.set_kind(connection, taken.run_id, name, counts.values())
        return transaction

    def _confirmed(self, taken: Claim, kind: Kind) -> bool:
        """Whether a suspiciously short answer is to be believed: forced, or the array is well and says it twice."""
        if taken.force:
            return True
        self._ask_storage(taken, Findings())
        with self._database.read() as connection:
            return runs.was_withheld(connection, taken, kind.name)


def _dangling(connection: sa.Connection, kind: Kind, storage_id: str, seen: Collection[str]) -> list[dict[str, Any]]:
    found = Findings()
    for spec in kind.tables:
        for column in spec.columns:
            # A kind that the array does not list at all cannot be missed.
            if column.refers_to is not None and column.refers_to in seen:
                count, example = resources.dangling(connection, spec, storage_id, column.name,
                                                    KINDS[column.refers_to].table)
                if count:
                    found.add_many(code.DANGLING_REFERENCE, column.name, count, example)
    return found.listing()


def storage_values(answer: Any, found: Findings) -> dict[str, Any]:
    """The columns of `storages` from a driver's `get_storage`."""
    if not answer:
        raise exception.StorageBackendNotFound()
    if not isinstance(answer, Mapping):
        raise exception.InvalidResults(f'get_storage returned {type(answer).__name__} instead of a dict')
    try:
        values = coerce.read_columns(STORAGE_COLUMNS, answer, found)
    except Exception as error:      # values are objects of third-party code
        raise exception.InvalidResults(
            f'get_storage returned a value that cannot be read: {type(error).__name__}') from None
    if values['serial_number'] is None:
        raise exception.InvalidResults('get_storage returned no serial_number')
    values['extra'] = coerce.extra(answer.get('extra'), found)
    return values


def rows_by_table(kind: Kind, answer: Any) -> list[tuple[Table, Any]]:
    """The rows of each table of `kind` in a driver's answer; `InvalidResults` when it has the wrong shape."""
    if kind.answer_key is None:
        return [(kind.table, _rows(answer, kind.method))]
    if answer is None:
        answer = {}
    if not isinstance(answer, Mapping):
        raise exception.InvalidResults(
            f'{kind.method} must return a dict with the keys {kind.answer_key} and '
            f'{", ".join(relation.answer_key for relation in kind.relations)}, not {type(answer).__name__}')
    keys = [(kind.table, kind.answer_key), *((relation.table, relation.answer_key) for relation in kind.relations)]
    return [(table, _rows(answer.get(key), f'{kind.method}[{key}]')) for table, key in keys]


def _rows(answer: Any, what: str) -> Any:
    if answer is None:
        return []
    if isinstance(answer, list | tuple | set | frozenset | Iterator):
        return answer
    raise exception.InvalidResults(f'{what} must be a list of dicts, not {type(answer).__name__}')
