# SPDX-License-Identifier: Apache-2.0
"""This node among the others: it says that it lives, sees who else does, and takes and gives arrays accordingly."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy.exc import SQLAlchemyError

from delfin import exception
from delfin.common.text import first_line
from delfin.db import Database, ownership
from delfin.db.ownership import Held, Node
from delfin.version import version_string

LOG = logging.getLogger(__name__)

_BURY_SECONDS = 86400.0         # so long a dead node is still shown


class Membership:
    """One life of this node. `on_change(gained, lost)` is told which arrays came and went.

    Nobody else may act for a node before its lease has run out, and the node itself stops acting then: `admit` refuses
    calls to arrays that are not its own, or when it has not been able to renew its lease in time.
    """

    def __init__(self, conf: cfg.ConfigOpts, database: Database, key_ids: Callable[[], list[str]],
                 on_change: Callable[[Collection[str], Collection[str]], None]) -> None:
        self.node = Node(conf.host, str(uuid.uuid4()), version_string())
        self._heartbeat_seconds = conf.cluster.heartbeat_seconds
        self._lease_seconds = conf.cluster.lease_seconds
        self._database = database
        self._key_ids = key_ids
        self._on_change = on_change
        self._lock = threading.Lock()       # between reading what is ours and remembering it
        self._held: dict[str, int] = {}
        self._lease_until = 0.0         # monotonic: it goes on while the process is stopped
        self._steady_since: float | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name='membership', daemon=True)

    def start(self) -> None:
        """Join the others; what is ours already is taken before this returns."""
        began = time.monotonic()
        self._database.attempt(self._join, 'join')
        self._renewed(began)
        self._balance()
        self._thread.start()

    def stop(self, timeout_seconds: float) -> None:
        """Leave: the others take what was ours at once."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)
        try:
            with self._database.write() as connection:
                ownership.leave(connection, self.node)
        except SQLAlchemyError as error:
            LOG.warning('this node could not say good-bye; the others notice within %d s: %s', self._lease_seconds,
                        first_line(error))

    def admit(self, storage_id: str) -> None:
        """`ServiceUnavailable` unless the array is ours and our lease is good."""
        if storage_id not in self._held:
            raise exception.ServiceUnavailable(
                f'storage {storage_id} belongs to another task service at the moment; try again in a few seconds')
        if time.monotonic() > self._lease_until:
            raise exception.ServiceUnavailable(
                'this task service could not renew its lease in the database; try again in a few seconds')

    def holds(self, storage_id: str) -> bool:
        """Whether the array is ours, as far as we know."""
        return storage_id in self._held

    def still_holds(self, connection: sa.Connection, storage_id: str) -> None:
        """First statement of a transaction that writes for an array: `ServiceUnavailable` unless it is still ours."""
        if not ownership.hold(connection, storage_id, self.node.name, self._held.get(storage_id, -1)):
            raise exception.ServiceUnavailable(
                f'storage {storage_id} went to another task service meanwhile; nothing was changed, try again')

    def took(self, storage_id: str) -> None:
        """An array that was registered here."""
        with self._lock:
            self._held = {**self._held, storage_id: 1}

    # --- the thread ---

    def _run(self) -> None:
        while not self._stopping.wait(self._heartbeat_seconds):
            try:
                self._beat()
                self._balance()
            except SQLAlchemyError as error:
                self._steady_since = None
                LOG.error('the lease of this node could not be renewed; is the database up? %s', first_line(error))
            except Exception:       # the node must not die of a bug in here
                LOG.exception('membership')

    def _beat(self) -> None:
        began = time.monotonic()
        late = began > self._lease_until
        if not self._database.attempt(self._renew, 'heartbeat'):
            self._rejoin()
        if late:
            LOG.warning('this node was silent for longer than its lease of %g s; others may have taken its storages',
                        self._lease_seconds)
            self._steady_since = None
        self._renewed(began)

    def _join(self, connection: sa.Connection) -> None:
        ownership.join(connection, self.node, self._key_ids(), self._lease_seconds)

    def _renew(self, connection: sa.Connection) -> bool:
        return ownership.renew(connection, self.node, self._key_ids(), self._lease_seconds)

    def _rejoin(self) -> None:
        LOG.error('the row of this node is gone: the database was restored, or another task service has the same name '
                  '"%s"; if so, set another host in [DEFAULT]', self.node.name)
        self._steady_since = None
        self._database.attempt(self._join, 'join')

    def _renewed(self, began: float) -> None:
        self._lease_until = began + self._lease_seconds
        if self._steady_since is None:
            self._steady_since = began

    # --- taking and giving ---

    def _balance(self) -> None:
        """Take what should be ours, give what should not, and tell what has changed since the last look."""
        with self._database.read() as connection:
            living = ownership.alive(connection)
            arrays = ownership.all_held(connection)
            dead = ownership.long_dead(connection, _BURY_SECONDS)
        moves = self._moves(living, arrays)
        if moves:
            self._database.attempt(lambda connection: ownership.give(connection, moves), 'move')
        if dead:
            self._database.attempt(lambda connection: ownership.bury(connection, dead, _BURY_SECONDS), 'bury')
        with self._lock:
            with self._database.read() as connection:
                held = ownership.held_by(connection, self.node.name)
            before, self._held = self._held, held
        gained = {storage_id for storage_id, epoch in held.items() if before.get(storage_id) != epoch}
        lost = before.keys() - held.keys()
        if gained or lost:
            if living != [self.node.name] or lost:
                LOG.info('%d storages came to this node, %d went; nodes: %s', len(gained), len(lost),
                         ', '.join(living))
            self._on_change(gained, lost)

    def _moves(self, living: Collection[str], arrays: Iterable[Held]) -> dict[Held, str]:
        moves: dict[Held, str] = {}
        me = self.node.name
        if me not in living:
            return moves
        for held in arrays:
            wanted = ownership.chosen(held.storage_id, living)
            if wanted is None or wanted == held.node:
                continue
            mine_to_give = held.node == me
            free = held.node is None or (held.node not in living and self._steady())
            if mine_to_give or (free and wanted == me):
                moves[held] = wanted
        return moves

    def _steady(self) -> bool:
        """Whether we have renewed for a whole lease: after an outage of the database everybody looks dead at first."""
        return self._steady_since is not None and time.monotonic() - self._steady_since >= self._lease_seconds
