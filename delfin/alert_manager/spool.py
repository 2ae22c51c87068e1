# SPDX-License-Identifier: Apache-2.0
"""Where accepted notifications wait, on this node's own disk, until they are in the database.

What `append` returned for is on the disk: it survives a killed process, and a power failure if the disk does not lie.
So reception needs no database, and the sender of an INFORM is answered only for what cannot be lost any more.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import os
import sqlite3
import threading
import time
import uuid
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from delfin import exception, failpoints
from delfin.common import locks

LOG = logging.getLogger(__name__)

LANES = 8
REMEMBERED_SECONDS = 300        # so long a message that comes again is known
DIGEST_BYTES = 16
LARGEST_BOOTS = 2**31 - 1       # RFC 3414, 2.2.2: with this count an engine is at its end

_VERSION = 1
_APPLICATION_ID = 0x44466C54    # 'DFlT': tells our files from somebody else's
_PAGE_BYTES = 4096
_CHECKPOINT_PAGES = 4000        # fewer, larger ones; the log takes 16 MiB at most
_ROOM_BYTES = 2 * _CHECKPOINT_PAGES * _PAGE_BYTES       # a full log, and as much where it is copied to
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

# The digests of a batch are one row: a row for each, found by its digest, would be a page to write for each (12 ms for
# a batch of 1000 instead of 1 ms). They are looked up in memory.
_SCHEMA = f'''
CREATE TABLE about (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE traps (id INTEGER PRIMARY KEY AUTOINCREMENT, lane INTEGER NOT NULL, received_at INTEGER NOT NULL,
    source TEXT NOT NULL, version TEXT NOT NULL, storage_ids TEXT NOT NULL, pdu BLOB NOT NULL, digest BLOB);
CREATE INDEX traps_lane ON traps (lane, id);
CREATE TABLE digests (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, digests BLOB NOT NULL);
CREATE TABLE peers (engine_id BLOB PRIMARY KEY, boots INTEGER NOT NULL, time INTEGER NOT NULL, at_ms INTEGER NOT NULL)
    WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_VERSION};
'''
_INSERT = ('INSERT INTO traps (lane, received_at, source, version, storage_ids, pdu, digest) '
           'VALUES (?, ?, ?, ?, ?, ?, ?)')
_AT_ONCE = 50                   # rows of one statement: a fifth less time than one for each
_INSERT_MANY = _INSERT + ', (?, ?, ?, ?, ?, ?, ?)' * (_AT_ONCE - 1)

T = TypeVar('T')


class Received(NamedTuple):
    """An accepted notification."""

    received_at: int                # epoch ms
    source: str                     # the sender's address
    version: str                    # SNMPv1, SNMPv2c, SNMPv3
    storage_ids: tuple[str, ...]    # for whom its authentication allows it to speak
    pdu: bytes
    digest: bytes | None            # 16 bytes of what may come twice: INFORMs and authenticated v3 messages


class Peer(NamedTuple):
    """The clock of another SNMP engine (RFC 3414, 2.3): what it said at `at_ms` of ours."""

    boots: int
    time: int                       # its seconds since it booted
    at_ms: int                      # epoch ms


class Depth(NamedTuple):
    """What waits."""

    rows: tuple[int, ...]           # by lane
    oldest_seconds: float           # age of the oldest, 0 if nothing waits


class SpoolError(Exception):
    """The spool cannot be used just now; it may be tried again."""


class SpoolFull(SpoolError):
    """There is no room, or the disk fails. Nothing was stored, so nobody may be told that it was."""


class _Recent(NamedTuple):
    row: int
    at: int
    digests: tuple[bytes, ...]


class _State(NamedTuple):
    """What is in memory of the file, besides traps."""

    spool_id: str
    engine: tuple[bytes, int] | None
    peers: dict[bytes, Peer]
    recent: deque[_Recent]


@functools.lru_cache(maxsize=8192)
def lane_of(source: str) -> int:
    """Which lane a sender's traps go through, always the same: their order counts."""
    return zlib.crc32(source.encode()) % LANES


class Spool:
    """The spool in the file `path`. All methods may be called from any thread; one process at a time.

    Writing is one transaction at a time on a connection whose commits wait for the disk. Removing does not wait: what
    comes back because a crash undid it is recognised by its id. Reading goes beside both.

    A damaged file is moved aside and a new one begun, also while running, since reception must go on. The new one has
    another `spool_id`; ids go on behind those of the old one, so no `remove` of theirs can hit what came later.
    """

    def __init__(self, path: str, max_rows: int = 1_000_000, max_digests: int = 1_000_000,
                 clock: Callable[[], float] = time.time) -> None:
        self._path, self._max_rows, self._max_digests, self._clock = path, max_rows, max_digests, clock
        self._write_lock, self._read_lock = threading.Lock(), threading.Lock()
        self._connections: list[sqlite3.Connection] = []
        self._closed = False
        self._broken: sqlite3.Error | None = None       # damaged, and a new file could not be begun yet
        self._aside = ''                                # where the damaged file is, until there is a new one
        self._crowded = False
        self._state: _State
        self._known: set[bytes] = set()
        self._last_id = 0
        try:
            self._lock_file = locks.exclusive(path, 'the spool of traps')
            try:
                self._open_or_replace()
            except BaseException:
                os.close(self._lock_file)
                raise
        except sqlite3.Error as error:
            raise exception.InvalidConfiguration(f'the spool of traps {path} cannot be used: {error}') from None
        except OSError as error:
            raise exception.InvalidConfiguration(
                f'the spool of traps {path} cannot be used: {error.strerror}') from None

    @property
    def spool_id(self) -> str:
        """A UUID of the file. Ids of traps mean something only together with it."""
        return self._state.spool_id

    # --- traps ---

    def append(self, rows: Sequence[Received], peers: Mapping[bytes, Peer] | None = None) -> list[bool]:
        """Store a batch, and what is new about the clocks of peers, durably and as a whole.

        False for a row whose digest is known from the last five minutes: it is not stored again, but it is stored.
        `SpoolFull`: nothing was stored.
        """
        return self._writing(lambda: self._append(rows, peers or {}))

    def read(self, lane: int, after: int, limit: int) -> list[tuple[int, Received]]:
        """The next traps of a lane behind the id `after`, in the order in which they came."""
        found = self._reading(lambda reader: reader.execute(
            'SELECT id, received_at, source, version, storage_ids, pdu, digest FROM traps '
            'WHERE lane = ? AND id > ? ORDER BY id LIMIT ?', (lane, after, limit)).fetchall())
        return [(row[0], Received(row[1], row[2], row[3], tuple(filter(None, row[4].split(','))), row[5], row[6]))
                for row in found]

    def remove(self, lane: int, up_to: int) -> int:
        """Forget the traps of a lane up to this id; how many there were."""
        return self._writing(lambda: self._remove(lane, up_to))

    def depth(self) -> Depth:
        """How much waits, and how long."""
        oldest = self._reading(lambda reader: reader.execute(
            'SELECT received_at FROM traps ORDER BY id LIMIT 1').fetchone())
        return Depth(tuple(self._rows), max(0.0, self._clock() - oldest[0] / 1000) if oldest else 0.0)

    # --- SNMP engines ---

    def begin_life(self, engine_id_factory: Callable[[], bytes]) -> tuple[bytes, int]:
        """(id of our SNMP engine, how often it has booted), once for each start of the receiver.

        The factory is asked for an id when there is none, or when the count has come to its end; it must give one that
        was never used, because peers refuse a known engine whose count went back.
        """
        return self._writing(lambda: self._begin_life(engine_id_factory))

    def peers(self) -> dict[bytes, Peer]:
        """The clocks of other engines by engine id."""
        return dict(self._state.peers)

    def close(self) -> None:
        """Bring everything into the one file. What is called afterwards raises `SpoolError`."""
        with self._write_lock, self._read_lock:
            if not self._closed:
                self._closed = True
                self._close_connections()       # the last one that closes brings the log into the file
                os.close(self._lock_file)

    # --- transactions ---

    def _append(self, rows: Sequence[Received], peers: Mapping[bytes, Peer]) -> list[bool]:
        now = int(self._clock() * 1000)
        expired = self._expired(now)
        answers, digests = self._which_are_new(rows, expired)
        stored = list(itertools.compress(rows, answers))
        if sum(self._rows) + len(stored) > self._max_rows:
            raise SpoolFull(f'{sum(self._rows)} traps wait already, the limit is {self._max_rows}')
        if stored:
            self._check_room()
        recent = None
        with self._transaction(self._writer, 'spool.before') as connection:
            _insert(connection, stored)
            last_id = _last_id(connection)
            if expired:
                connection.execute('DELETE FROM digests WHERE id <= ?', (expired[-1].row,))
            if digests:
                row = connection.execute('INSERT INTO digests (at, digests) VALUES (?, ?)',
                                         (now, b''.join(digests))).lastrowid or 0
                recent = _Recent(row, now, digests)
            _put_peers(connection, peers)
        self._last_id = last_id
        for source, count in Counter(row.source for row in stored).items():
            self._rows[lane_of(source)] += count
        self._forget(expired)
        if recent:
            self._state.recent.append(recent)
            self._known.update(digests)
        self._state.peers.update(peers)
        failpoints.hit('spool.after')
        return answers

    def _check_room(self) -> None:
        """`SpoolFull` unless there is room for more than what comes.

        Removing needs room, too: a spool that had filled its disk could never be emptied again. What the log and the
        file have got already can be used again.
        """
        try:
            disk = os.statvfs(os.path.dirname(self._path) or '.')
            room = disk.f_bavail * disk.f_frsize
            if room >= _ROOM_BYTES:
                return
            room += os.path.getsize(f'{self._path}-wal')
        except OSError as error:
            raise SpoolFull(str(error)) from error
        room += int(self._writer.execute('PRAGMA freelist_count').fetchone()[0]) * _PAGE_BYTES
        if room < _ROOM_BYTES:
            raise SpoolFull(f'its disk has room for {room >> 20} MiB, and {_ROOM_BYTES >> 20} MiB are needed to go on')

    def _which_are_new(self, rows: Sequence[Received],
                       expired: Sequence[_Recent]) -> tuple[list[bool], tuple[bytes, ...]]:
        """(for each row whether it is to be stored, the digests to remember)."""
        gone = {digest for batch in expired for digest in batch.digests}
        fresh: dict[bytes, None] = {}
        answers = []
        for row in rows:
            digest = row.digest
            known = digest is not None and (digest in fresh or digest in self._known and digest not in gone)
            answers.append(not known)
            if digest is not None and not known:
                if len(digest) != DIGEST_BYTES:
                    raise ValueError(f'a digest has {DIGEST_BYTES} bytes, not {len(digest)}')
                fresh[digest] = None
        return answers, tuple(fresh)

    def _expired(self, now: int) -> list[_Recent]:
        """The oldest batches of digests: those past their time (by a clock that may be put back), those too many."""
        surplus = len(self._known) - self._max_digests
        if surplus > 0 and not self._crowded:
            self._crowded = True
            LOG.warning('more than %d INFORMs and authenticated messages came within %d s; the oldest are not '
                        'recognised any more when they come again', self._max_digests, REMEMBERED_SECONDS)
        found = []
        for batch in self._state.recent:
            if abs(now - batch.at) <= REMEMBERED_SECONDS * 1000 and surplus <= 0:
                break
            surplus -= len(batch.digests)
            found.append(batch)
        return found

    def _forget(self, expired: Sequence[_Recent]) -> None:
        for batch in expired:
            self._state.recent.popleft()
            self._known.difference_update(batch.digests)

    def _remove(self, lane: int, up_to: int) -> int:
        with self._transaction(self._remover) as connection:
            count = connection.execute('DELETE FROM traps WHERE lane = ? AND id <= ?', (lane, up_to)).rowcount
            if count:
                failpoints.hit('unspool.before')
        self._rows[lane] -= count
        if count:
            failpoints.hit('unspool.after')
        return count

    def _begin_life(self, engine_id_factory: Callable[[], bytes]) -> tuple[bytes, int]:
        engine_id, boots = self._state.engine or (b'', LARGEST_BOOTS)
        boots += 1
        if boots >= LARGEST_BOOTS:
            engine_id, boots = engine_id_factory(), 1
        with self._transaction(self._writer) as connection:
            _put_engine(connection, engine_id, boots)
        self._state = self._state._replace(engine=(engine_id, boots))
        return engine_id, boots

    @contextlib.contextmanager
    def _transaction(self, connection: sqlite3.Connection, moment: str = '') -> Iterator[sqlite3.Connection]:
        connection.execute('BEGIN IMMEDIATE')
        try:
            yield connection
            if moment:
                failpoints.hit(moment)
            connection.execute('COMMIT')
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute('ROLLBACK')
            raise

    def _writing(self, action: Callable[[], T]) -> T:
        with self._write_lock:
            self._check_open()
            try:
                if self._broken is None:
                    return action()
            except sqlite3.Error as error:
                if not _is_damage(error):
                    raise SpoolFull(str(error)) from error
                self._broken = error
            with self._read_lock:
                self._mend()
            try:
                return action()
            except sqlite3.Error as error:
                raise SpoolFull(str(error)) from error

    def _reading(self, action: Callable[[sqlite3.Connection], T]) -> T:
        with self._read_lock:
            self._check_open()
            reader = self._reader
            try:
                return action(reader)
            except sqlite3.Error as error:
                if not _is_damage(error):
                    raise SpoolError(str(error)) from error
                damage = error
        with self._write_lock, self._read_lock:
            self._check_open()
            if self._reader is reader:          # else somebody else has noticed, too
                self._broken = damage
                self._mend()
            try:
                return action(self._reader)
            except sqlite3.Error as error:
                raise SpoolError(str(error)) from error

    def _check_open(self) -> None:
        if self._closed:
            raise SpoolError('the spool is closed')

    # --- the file ---

    def _open(self, former: _State | None) -> None:
        """Connections to the file, made if there is none; with `former` it goes on where another one ended."""
        _create(self._path)
        writer = _connect(self._path, 'FULL')
        self._connections = [writer]
        try:
            writer.execute('PRAGMA journal_mode = WAL')
            _check_file(self._path, writer)
            if not _version_of(writer):
                self._fill(writer, former)
            self._load(writer)
            self._writer, self._remover = writer, _connect(self._path, 'NORMAL')
            self._connections.append(self._remover)
            self._reader = _connect(self._path, 'NORMAL')
            self._connections.append(self._reader)
        except BaseException:
            self._close_connections()
            raise

    def _fill(self, writer: sqlite3.Connection, former: _State | None) -> None:
        with self._transaction(writer):
            for statement in filter(str.strip, _SCHEMA.split(';')):
                writer.execute(statement)
            writer.execute("INSERT INTO about VALUES ('spool_id', ?)", (str(uuid.uuid4()),))
            if self._last_id:
                writer.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('traps', ?)", (self._last_id,))
            if former:
                if former.engine:
                    _put_engine(writer, *former.engine)
                _put_peers(writer, former.peers)
                writer.executemany('INSERT INTO digests VALUES (?, ?, ?)',
                                   [(batch.row, batch.at, b''.join(batch.digests)) for batch in former.recent])

    def _load(self, writer: sqlite3.Connection) -> None:
        about = dict(writer.execute('SELECT name, value FROM about'))
        peers = {bytes(row[0]): Peer(*row[1:]) for row in writer.execute('SELECT * FROM peers')}
        recent = deque(_Recent(row, at, tuple(digests[start:start + DIGEST_BYTES]
                                              for start in range(0, len(digests), DIGEST_BYTES)))
                       for row, at, digests in writer.execute('SELECT id, at, digests FROM digests ORDER BY id'))
        engine = (about['engine_id'], about['boots']) if 'engine_id' in about else None
        self._state = _State(about['spool_id'], engine, peers, recent)
        self._known = {digest for batch in recent for digest in batch.digests}
        self._rows = [0] * LANES
        for lane, count in writer.execute('SELECT lane, count(*) FROM traps GROUP BY lane'):
            self._rows[lane] = count
        self._last_id = _last_id(writer)

    def _open_or_replace(self) -> None:
        try:
            self._open(None)
        except sqlite3.Error as error:
            if not _is_damage(error):
                raise
            self._replace_file(error, None)

    def _mend(self) -> None:
        """A new file in place of the damaged one, with all that is known besides traps."""
        assert self._broken is not None
        try:
            self._replace_file(self._broken, self._state)
        except (sqlite3.Error, OSError) as error:
            raise SpoolFull(f'the spool is damaged and no new one can be begun: {error}') from error
        self._broken = None

    def _replace_file(self, error: sqlite3.Error, former: _State | None) -> None:
        self._close_connections()
        if not self._aside:         # else what is there now is only what an attempt to begin anew has left
            aside = _unused(f'{self._path}.damaged-{time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._clock()))}')
            for suffix in ('-wal', ''):
                with contextlib.suppress(FileNotFoundError):
                    os.replace(self._path + suffix, aside + suffix)
            self._aside = aside
        for suffix in ('', '-wal', '-shm'):
            with contextlib.suppress(FileNotFoundError):
                os.remove(self._path + suffix)
        self._open(former)
        LOG.error('the spool of traps %s is damaged (%s). It was moved to %s with the traps that waited in it, and a '
                  'new one was begun; check the disk', self._path, error, self._aside)
        self._aside = ''

    def _close_connections(self) -> None:
        while self._connections:
            with contextlib.suppress(sqlite3.Error):
                self._connections.pop().close()


def _is_damage(error: sqlite3.Error) -> bool:
    return getattr(error, 'sqlite_errorcode', 0) & 0xFF in _DAMAGE


def _unused(path: str) -> str:
    """This path, or one like it where nothing is yet."""
    numbered = (f'{path}-{number}' for number in itertools.count(2))
    return next(candidate for candidate in itertools.chain([path], numbered) if not os.path.exists(candidate))


def _create(path: str) -> None:
    """The file, ours alone, in its directory for good."""
    fresh = not os.path.exists(path)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(file, 0o600)
    finally:
        os.close(file)
    if fresh:
        directory = os.open(os.path.dirname(path) or '.', os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _connect(path: str, synchronous: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f'PRAGMA synchronous = {synchronous}')
        connection.execute(f'PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}')
        connection.execute(f'PRAGMA journal_size_limit = {_CHECKPOINT_PAGES * _PAGE_BYTES}')
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _check_file(path: str, connection: sqlite3.Connection) -> None:
    """`InvalidConfiguration` if it is whole but none of ours, `sqlite3.DatabaseError` if it is damaged."""
    application_id, = connection.execute('PRAGMA application_id').fetchone()
    version = _version_of(connection)
    empty = not connection.execute('SELECT count(*) FROM sqlite_master').fetchone()[0]
    if application_id != _APPLICATION_ID and not (empty and not version):
        raise exception.InvalidConfiguration(f'{path} is a database, but no spool of traps; move it away')
    if version > _VERSION:
        raise exception.InvalidConfiguration(
            f'the spool of traps {path} was written by a newer Delfin (version {version}, this one knows {_VERSION}); '
            f'start that one, or move the file away and with it the traps that wait in it')
    problem = connection.execute('PRAGMA quick_check(1)').fetchone()[0]
    if problem != 'ok':
        raise _damaged(problem)


def _damaged(problem: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(problem)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _version_of(connection: sqlite3.Connection) -> int:
    return int(connection.execute('PRAGMA user_version').fetchone()[0])


def _last_id(connection: sqlite3.Connection) -> int:
    found = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'traps'").fetchone()
    return int(found[0]) if found else 0


def _insert(connection: sqlite3.Connection, rows: Iterable[Received]) -> None:
    values: list[tuple[object, ...]] = [
        (lane_of(source), received_at, source, version, ','.join(storage_ids),
         bytearray(pdu), digest and bytearray(digest))      # for `bytes` the sqlite3 module would look for an adapter
        for received_at, source, version, storage_ids, pdu, digest in rows]
    whole = len(values) - len(values) % _AT_ONCE
    for start in range(0, whole, _AT_ONCE):
        connection.execute(_INSERT_MANY, tuple(itertools.chain.from_iterable(values[start:start + _AT_ONCE])))
    connection.executemany(_INSERT, values[whole:])


def _put_engine(connection: sqlite3.Connection, engine_id: bytes, boots: int) -> None:
    connection.executemany('INSERT OR REPLACE INTO about VALUES (?, ?)', [('engine_id', engine_id), ('boots', boots)])


def _put_peers(connection: sqlite3.Connection, peers: Mapping[bytes, Peer]) -> None:
    connection.executemany('INSERT OR REPLACE INTO peers VALUES (?, ?, ?, ?)',
                           [(engine_id, *peer) for engine_id, peer in peers.items()])
