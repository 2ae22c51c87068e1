# SPDX-License-Identifier: Apache-2.0
"""From a datagram to the spool: is its sender known, is it what it says it is, and only then is it kept and answered.

One thread does this, a batch at a time: everything that a batch brings is one durable commit, after which INFORMs are
acknowledged. What is refused is counted by sender and reason, and costs as little as possible: a datagram from an
address that is no alert source is not even decoded. What a trap says is decoded behind the spool; an INFORM is decoded
here as well, since only what can be read is acknowledged.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from delfin.alert_manager.records import make
from delfin.alert_manager.rejected import Reason, Rejected
from delfin.alert_manager.snmp import answers, ber, usm
from delfin.alert_manager.snmp.answers import Report
from delfin.alert_manager.snmp.protocols import NO_AUTH_NO_PRIV
from delfin.alert_manager.sockets import Datagram, Reader
from delfin.alert_manager.sources import Source, Sources, Table
from delfin.alert_manager.spool import DIGEST_BYTES, Peer, Received, Spool, SpoolError, lane_of

LOG = logging.getLogger(__name__)

_TAKE_SECONDS = 1.0
_VERSIONS = {ber.V1: 'SNMPv1', ber.V2C: 'SNMPv2c'}
_V3 = 'SNMPv3'
_COMPLAIN_SECONDS = 60.0
_MOST_KEYS = 20_000
_TRIES, _TRY_SECONDS = 10, 10.0         # unknown engines of one source: each costs milliseconds
_ENTERPRISE = 32473                     # RFC 5612: for examples; Delfin has no number of its own


class _Refused(Exception):
    """A message is not accepted. `answer` may tell its sender why."""

    def __init__(self, reason: Reason, answer: bytes | None = None) -> None:
        super().__init__(reason)
        self.reason: Reason = reason
        self.answer = answer


_NOTHING: Mapping[bytes, usm.TimeWindow] = {}


class _Accepted(NamedTuple):
    """What is to be kept, and what to say when it is. `windows` is news of the sender's clock, `pins` whose engine it
    showed.
    """

    datagram: Datagram
    row: Received
    answer: bytes | None
    windows: Mapping[bytes, usm.TimeWindow] = _NOTHING
    pins: tuple[str, ...] = ()


class _Speaker(NamedTuple):
    """As whose a trap may come, and what it is checked against."""

    storage: tuple[str]         # its id
    keys: usm.Keys
    clock: bytes


class Receiver:
    """Takes datagrams from `reader`, keeps notifications in `spool`. `on_stored(lanes)` is told where there is news;
    `pin(storage_id, engine_id)` of engines that were seen for the first time.
    """

    def __init__(self, reader: Reader, sources: Sources, spool: Spool, rejected: Rejected, *,
                 on_stored: Callable[[set[int]], None], pin: Callable[[str, bytes], None]) -> None:
        self._reader, self._sources, self._spool, self._rejected = reader, sources, spool, rejected
        self._on_stored, self._pin = on_stored, pin
        engine_id, self._boots = spool.begin_life(new_engine_id)
        self._engine_id = engine_id
        self._began = time.monotonic()
        self._windows = {clock: usm.TimeWindow(peer.boots, peer.time, peer.at_ms / 1000)
                         for clock, peer in spool.peers().items()}
        self._keys: dict[tuple[str, bytes], usm.Keys] = {}
        self._forget = False
        self._pinned: dict[str, bytes] = {}         # until the table shows it
        self._table: Table | None = None
        self._speakers: dict[tuple[str, ber.Claim], list[_Speaker]] = {}    # as table and pins have it
        self._tries: dict[str, tuple[float, int]] = {}
        self._reports = dict.fromkeys(Report, 0)
        self._complained_at = float('-inf')
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name='trap-receiver', daemon=True)
        self.received = 0           # notifications that were kept
        self.repeated = 0           # retransmissions of INFORMs

    @property
    def engine_id(self) -> bytes:
        """The id by which v3 senders of INFORMs know us."""
        return self._engine_id

    def start(self) -> None:
        """Begin."""
        self._reader.start()
        self._thread.start()

    def stop(self) -> None:
        """Keep what the kernel still holds, then end."""
        self._reader.stop()
        self._stopping = True
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while True:
            stopping = self._stopping       # before the look that finds nothing
            batch = self._reader.take(_TAKE_SECONDS)
            if not batch and stopping:
                return
            try:
                self.process(batch)
            except Exception:       # what comes next must be received
                LOG.exception('a batch of %d datagrams was lost', len(batch))

    def process(self, batch: Sequence[Datagram]) -> None:
        """Check, keep, answer."""
        if self._forget:
            self._forget_pins()
        accepted: list[_Accepted] = []
        table = self._sources.table
        if table is not self._table:
            self._table = table
            self._speakers.clear()
        now = int(time.time() * 1000)
        for datagram in batch:
            data, host, _, _, at_ms = datagram
            candidates = table.at(host)
            if not candidates:
                self._rejected.note(host, 'unknown_sender')
                continue
            moment = now if at_ms is None else at_ms        # what came first counts, not what is read
            reason: Reason | None = None
            try:
                message = ber.read(data)
                found = (self._check_v3(datagram, message, candidates, moment) if isinstance(message, ber.V3Message)
                         else _check_community(datagram, message, candidates, moment))
                if found is not None:       # else it was engine discovery
                    accepted.append(found)
            except ber.Malformed:
                reason = 'malformed'
            except _Refused as refused:
                reason = refused.reason
                if refused.answer is not None:
                    datagram.listener.send(refused.answer, datagram.peer)
            except Exception:
                # Our own mistake, or a cipher that the system's library lacks: it must not cost what came with it.
                reason = 'malformed'
                LOG.exception('a datagram of %s', host)
            if reason is not None:
                self._rejected.note(host, reason)
        if accepted:
            self._keep(accepted)

    def _keep(self, accepted: Sequence[_Accepted]) -> None:
        windows: dict[bytes, usm.TimeWindow] = {}
        for found in accepted:
            if found.windows:
                windows |= found.windows
        peers = {clock: Peer(window.boots, window.time, int(window.at * 1000)) for clock, window in windows.items()}
        try:
            new = self._spool.append([found.row for found in accepted], peers)
        except SpoolError as error:
            self._complain(error)
            for found in accepted:
                self._rejected.note(found.datagram.host, 'spool_full')
                for storage_id in found.pins:       # else the next one would not be the first, and nobody would pin it
                    self._pinned.pop(storage_id, None)
            self._speakers.clear()
            return
        self.received += sum(new)
        hosts = set()
        for (datagram, _, answer, _, pins), is_new in zip(accepted, new, strict=True):
            if is_new:
                hosts.add(datagram.host)
                for storage_id in pins:
                    self._learn(storage_id)
            elif answer is None:
                self._rejected.note(datagram.host, 'replayed')
            else:
                self.repeated += 1
            if answer is not None:
                datagram.listener.send(answer, datagram.peer)
        if hosts:
            self._on_stored(set(map(lane_of, hosts)))

    def _complain(self, error: SpoolError) -> None:
        """Once a minute: the counters say how many."""
        if time.monotonic() - self._complained_at >= _COMPLAIN_SECONDS:
            self._complained_at = time.monotonic()
            LOG.error('notifications are refused and INFORMs are not acknowledged: %s', error)

    # --- v3 ---

    def _check_v3(self, datagram: Datagram, message: ber.V3Message, candidates: Sequence[Source],
                  moment: int) -> _Accepted | None:
        """RFC 3414, section 3.2, with the users of this sender only. None: it has been answered and that is all."""
        claim = datagram.host, message.claim
        speakers = self._speakers.get(claim)
        if speakers is not None:        # nothing has changed since it was claimed last
            return self._check_trap(datagram, message, speakers, moment)
        if message.engine_id != self._engine_id and message.reportable and not any(
                self._engine_of(source) == message.engine_id for source in candidates):
            # Whoever wants an answer must know our engine: that is how it gets to know it. (Some devices set the flag
            # in traps as well.)
            self._report(datagram, message, Report.UNKNOWN_ENGINE_IDS)
            return None
        users = [source for source in candidates if source.user is not None and source.user.name == message.user]
        if not users:
            raise _Refused('unknown_user', self._reported(datagram, message, Report.UNKNOWN_USER_NAMES))
        level = usm.level_of(message)
        suited = [source for source in users if source.user is not None and source.user.level == level]
        if not suited:
            raise _Refused('wrong_security_level',
                           self._reported(datagram, message, Report.UNSUPPORTED_SECURITY_LEVELS))
        if message.engine_id == self._engine_id:
            return self._check_inform(datagram, message, suited, moment)
        pinned = [source for source in suited if message.engine_id and self._engine_of(source) == message.engine_id]
        if not pinned:
            return self._check_first(datagram, message, suited, moment)
        speakers = self._speakers[claim] = [self._speaker(source, message.engine_id) for source in pinned]
        return self._check_trap(datagram, message, speakers, moment)

    def _check_inform(self, datagram: Datagram, message: ber.V3Message, suited: Sequence[Source],
                      moment: int) -> _Accepted:
        """A message for which our engine is authoritative."""
        ours = self._clock()
        good = [(source, keys) for source in suited
                if usm.verify(datagram.data, message, keys := self._localised(source, self._engine_id))]
        if not good:
            raise _Refused('wrong_digest', self._reported(datagram, message, Report.WRONG_DIGESTS))
        if message.authenticated:
            try:
                usm.check_ours(ours, message)
            except usm.NotInTimeWindow:
                raise _Refused('not_in_time_window', self._reported(
                    datagram, message, Report.NOT_IN_TIME_WINDOWS, good[0][1])) from None
        opened = _opened(datagram, message, good)
        if not opened:
            raise _Refused('decryption_failed', self._reported(datagram, message, Report.DECRYPTION_ERRORS))
        _, keys, scoped = opened[0]
        if scoped.tag != ber.INFORM:
            raise _Refused('unsupported')
        ber.read_pdu(scoped.body)       # what is acknowledged can be read
        row = Received(moment, datagram.host, _V3, tuple(source.storage_id for source, *_ in opened), scoped.body,
                       _digest(datagram.host.encode(), message.user, scoped.body))
        return _Accepted(datagram, row, answers.acknowledgement_v3(message, scoped, keys, ours))

    def _check_first(self, datagram: Datagram, message: ber.V3Message, suited: Iterable[Source],
                     moment: int) -> _Accepted:
        """A trap of an engine that is not known yet, which may be the one of a source that has none."""
        if not message.engine_id:
            raise _Refused('wrong_engine')
        known = [source for source in suited
                 if self._engine_of(source) is None and self._may_try(source, message.engine_id)]
        if not known:
            raise _Refused('wrong_engine')
        found = self._check_trap(datagram, message,
                                 [self._speaker(source, message.engine_id) for source in known], moment)
        if not message.authenticated:       # else anybody could pin an engine of his own, and lock the device out
            return found
        for storage_id in found.row.storage_ids:
            self._pinned[storage_id] = message.engine_id
            self._tries.pop(storage_id, None)       # it was no guess
        self._speakers.clear()
        return found._replace(pins=found.row.storage_ids)

    def _check_trap(self, datagram: Datagram, message: ber.V3Message, speakers: Iterable[_Speaker],
                    moment: int) -> _Accepted:
        """A message whose sender is authoritative: whose keys fit, what it says, and what is new about the sender's
        clock. There is one for each storage: arrays that were cloned share an engine id, and none must be able to put
        another's clock forward.
        """
        data, authenticated = datagram.data, message.authenticated
        storage_ids: tuple[str, ...] = ()
        windows, scoped, verified = _NOTHING, None, False
        for storage, keys, clock in speakers:
            if not usm.verify(data, message, keys):
                continue
            verified = True
            try:
                scoped = usm.decrypt(data, message, keys)
            except usm.DecryptionFailed:        # another one's key may open it
                continue
            storage_ids += storage
            if authenticated:
                known = self._windows.get(clock)
                try:
                    window = usm.of_sender(known, message, moment / 1000)
                except usm.NotInTimeWindow:
                    raise _Refused('not_in_time_window') from None
                if window is not known:
                    windows = {**windows, clock: window}
        if scoped is None:
            raise _Refused('decryption_failed' if verified else 'wrong_digest')
        if scoped.tag != ber.TRAP_V2:
            raise _Refused('unsupported')
        if windows:
            self._windows |= windows
        digest = None
        if authenticated:
            # A message is known by its MAC (and what stands behind it, as some have 12 bytes only): whoever could make
            # another one with the same could forge any.
            at = message.mac.start
            digest = data[at:at + DIGEST_BYTES]
        row = make(Received, (moment, datagram.host, _V3, storage_ids, scoped.body, digest))
        return make(_Accepted, (datagram, row, None, windows, ()))

    def _speaker(self, source: Source, engine_id: bytes) -> _Speaker:
        return _Speaker((source.storage_id,), self._localised(source, engine_id),
                        engine_id + b'/' + source.storage_id.encode())

    def _engine_of(self, source: Source) -> bytes | None:
        """The engine that may speak for a source."""
        if source.engine_id is not None:
            self._pinned.pop(source.storage_id, None)
            return source.engine_id
        return self._pinned.get(source.storage_id)

    def forget_pins(self) -> None:
        """The configuration was read anew: what it shows counts, what it has forgotten is forgotten here, too."""
        self._forget = True         # by the thread that remembers

    def _forget_pins(self) -> None:
        """Whose engine id was forgotten may have another clock now: that is how a device is let in again that has begun
        to count its starts from nought.
        """
        self._forget = False
        self._pinned = {}
        self._speakers.clear()
        unpinned = tuple(b'/' + storage_id.encode() for storage_id in self._sources.table.unpinned)
        if unpinned:
            self._windows = {clock: window for clock, window in self._windows.items() if not clock.endswith(unpinned)}

    def _may_try(self, source: Source, engine_id: bytes) -> bool:
        """Keys for an engine that nobody has seen cost milliseconds: not more often than an operator would change it.

        For users without authentication there is nothing to derive, and for an engine of before it has been done.
        """
        keys = self._keys.get((source.storage_id, engine_id))
        if source.user is None or source.user.level == NO_AUTH_NO_PRIV or keys and keys.user == source.user:
            return True
        now = time.monotonic()
        since, count = self._tries.get(source.storage_id, (now, 0))
        if now - since > _TRY_SECONDS:
            since, count = now, 0
        self._tries[source.storage_id] = since, count + 1
        return count < _TRIES

    def _learn(self, storage_id: str) -> None:
        engine_id = self._pinned.get(storage_id)
        if engine_id is not None:
            self._pin(storage_id, engine_id)

    def _localised(self, source: Source, engine_id: bytes) -> usm.Keys:
        assert source.user is not None
        wanted = source.storage_id, engine_id
        keys = self._keys.get(wanted)
        if keys is None or keys.user is not source.user:        # sources that did not change stay the same objects
            if len(self._keys) >= _MOST_KEYS:
                self._keys.clear()
            keys = self._keys[wanted] = usm.localise(source.user, engine_id)
        return keys

    def _clock(self) -> usm.Engine:
        """What our engine says of itself now."""
        return usm.Engine(self._engine_id, self._boots, int(time.monotonic() - self._began))

    def _report(self, datagram: Datagram, message: ber.V3Message, why: Report) -> None:
        answer = self._reported(datagram, message, why)
        if answer is not None:
            datagram.listener.send(answer, datagram.peer)

    def _reported(self, datagram: Datagram, message: ber.V3Message, why: Report,
                  keys: usm.Keys | None = None) -> bytes | None:
        self._reports[why] += 1
        return answers.report(why, self._reports[why], datagram.data, message, self._clock(), keys)


def _opened(datagram: Datagram, message: ber.V3Message,
            good: Iterable[tuple[Source, usm.Keys]]) -> list[tuple[Source, usm.Keys, ber.Scoped]]:
    """Those whose privacy key opens a verified message, and what it says."""
    found = []
    for source, keys in good:
        try:
            found.append((source, keys, usm.decrypt(datagram.data, message, keys)))
        except usm.DecryptionFailed:        # another one's may open it
            continue
    return found


def _check_community(datagram: Datagram, message: ber.Message, candidates: Iterable[Source], moment: int) -> _Accepted:
    allowed = tuple(source.storage_id for source in candidates
                    if source.community is not None and hmac.compare_digest(source.community, message.community))
    if not allowed:
        raise _Refused('wrong_community')
    body = datagram.data[message.body]
    version = _VERSIONS[message.version]
    if message.tag != ber.INFORM:
        row = make(Received, (moment, datagram.host, version, allowed, body, None))
        return make(_Accepted, (datagram, row, None, _NOTHING, ()))
    ber.read_pdu(body)      # what is acknowledged can be read
    row = Received(moment, datagram.host, version, allowed, body,
                   _digest(datagram.host.encode(), message.community, body))
    return _Accepted(datagram, row, answers.acknowledgement(datagram.data, message))


def _digest(*parts: bytes) -> bytes:
    return hashlib.blake2b(b'\0'.join(parts), digest_size=DIGEST_BYTES).digest()


def new_engine_id() -> bytes:
    """An id for our own SNMP engine (RFC 3411: enterprise number with the first bit set, format 5 = octets)."""
    return (0x80000000 | _ENTERPRISE).to_bytes(4, 'big') + b'\x05' + os.urandom(8)
