# SPDX-License-Identifier: Apache-2.0
"""Broken messages do no harm. The long form is `python -m tests.snmp_fuzz`."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.snmp_fuzz import Broken, Fuzz

COUNT = 10_000


def test_broken_messages_are_refused_and_nothing_else_happens():
    seed = random.SystemRandom().randrange(2**32)
    print(f'seed {seed}')
    outcomes = Counter(Fuzz(seed).run(COUNT))
    assert outcomes.total() == COUNT
    assert min(outcomes['Malformed'], outcomes['DecryptionFailed'], outcomes['read'], outcomes['verified']) > 50


def test_a_message_that_does_harm_is_shown(monkeypatch):
    fuzz = Fuzz(1)
    monkeypatch.setattr(fuzz.victim, '_take', lambda datagram: [][0])
    with pytest.raises(Broken, match='message 0 of seed 1: 7a80551ed858'):
        list(fuzz.run(1))
