# SPDX-License-Identifier: Apache-2.0
"""Broken SNMP messages against everything that looks at a datagram: nothing but a refusal may come out.

    python -m tests.snmp_fuzz [--count 1000000] [--seed N]

A message that breaks something is shown; `--datagram HEX` takes it alone. (The seed alone does not bring it back if it
was encrypted: the salt differs.)
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator

from delfin.alert_manager.snmp import answers, ber, usm
from delfin.alert_manager.snmp.answers import Report
from delfin.alert_manager.snmp.protocols import AUTH_PRIV
from tests.unit.snmp_support import (
    CLEAR_MESSAGES,
    EVERY_TYPE,
    OURS,
    SENDER,
    STALLS_PYSNMP,
    USERS,
    mutated,
    notification,
    restructured,
    scoped_pdu,
    v3_message,
)

_SCOPED = scoped_pdu(notification(EVERY_TYPE, ber.INFORM))
_ENGINE = usm.Engine(OURS, 3, 1000)
_PROGRESS_SECONDS = 5.0


class Broken(Exception):
    """Something else than a refusal came out of a message."""


class Victim:
    """Does with a datagram what a receiver does, and goes on where a receiver would stop."""

    def __init__(self) -> None:
        self._keys = {(user.name, engine_id): usm.localise(user, engine_id)
                      for user in USERS for engine_id in (SENDER, OURS)}
        self.users = [user for user in USERS if user.auth_protocol in (None, 'HMCSHA2256')]

    def take(self, datagram: bytes) -> str:
        """What became of it."""
        try:
            return self._take(datagram)
        except (ber.Malformed, usm.DecryptionFailed, usm.NotInTimeWindow) as refusal:
            return type(refusal).__name__

    def _take(self, datagram: bytes) -> str:
        message = ber.read(datagram)
        if isinstance(message, ber.Message):
            answers.acknowledgement(datagram, message)
            _read_pdu(message.tag, datagram[message.body])
            return 'read'
        for why in Report:
            answers.report(why, 1, datagram, message, _ENGINE)
        keys = self._keys.get((message.user, SENDER))
        if keys is None:
            return 'unknown user'
        verified = usm.verify(datagram, message, keys)
        scoped = usm.decrypt(datagram, message, keys)       # a receiver would not, unverified
        answers.acknowledgement_v3(message, scoped, self._keys[message.user, OURS], _ENGINE)
        _read_pdu(scoped.tag, scoped.body)
        usm.of_sender(None, message, 0.0)
        return 'verified' if verified else 'opened'


def _read_pdu(tag: int, body: bytes) -> None:
    """What a spool keeps is read later; `tag` is what the envelope said that it is."""
    pdu = ber.read_pdu(body)
    if pdu.tag != tag:
        raise Broken(f'a PDU of type {pdu.tag:#x} where {tag:#x} was announced')
    ber.trap_variables(pdu)


class Fuzz:
    """Broken messages of a seed, numbered from 0; the first ones are whole, and the one that stalls pysnmp."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.victim = Victim()
        self._whole = [STALLS_PYSNMP, *CLEAR_MESSAGES, *(v3_message(_SCOPED, user) for user in self.victim.users)]

    def message(self, number: int) -> bytes:
        """One of them."""
        if number < len(self._whole):
            return self._whole[number]
        rng = random.Random(f'{self.seed} {number}')
        if rng.random() < 0.2:      # what only somebody with the keys can send
            user = rng.choice([user for user in self.victim.users if user.level == AUTH_PRIV])
            return v3_message(rng.choice((mutated, restructured))(_SCOPED, rng, (_SCOPED,)), user)
        change = rng.choice((mutated, restructured))
        return change(rng.choice(self._whole), rng, self._whole)

    def run(self, count: int) -> Iterator[str]:
        """What became of each; `Broken` shows the message."""
        for number in range(count):
            datagram = self.message(number)
            try:
                yield self.victim.take(datagram)
            except Exception as error:
                raise Broken(f'message {number} of seed {self.seed}: {datagram.hex()}') from error


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='python -m tests.snmp_fuzz', description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--count', type=int, default=1_000_000, help='how many messages')
    parser.add_argument('--seed', type=int, default=random.SystemRandom().randrange(2**32), help='of all chance')
    parser.add_argument('--datagram', type=bytes.fromhex, help='only this one, in hexadecimal digits')
    arguments = parser.parse_args()
    if arguments.datagram is not None:
        print(Victim().take(arguments.datagram))
        return
    print(f'seed {arguments.seed}', flush=True)
    outcomes: Counter[str] = Counter()
    begun = told = time.monotonic()
    for outcome in Fuzz(arguments.seed).run(arguments.count):
        outcomes[outcome] += 1
        if time.monotonic() - told >= _PROGRESS_SECONDS:
            told = time.monotonic()
            done = outcomes.total()
            print(f'{done:,} messages, {done / (told - begun):,.0f}/s', file=sys.stderr, flush=True)
    print(f'{outcomes.total():,} messages in {time.monotonic() - begun:.0f} s, none did harm: '
          + ', '.join(f'{outcome} {count:,}' for outcome, count in outcomes.most_common()))


if __name__ == '__main__':
    main()
