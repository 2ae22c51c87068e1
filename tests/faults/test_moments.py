# SPDX-License-Identifier: Apache-2.0
"""Processes are killed, or told to stop, at random moments. DELFIN_SEED repeats a run; each test's name tells its seed.

In short: a few moments. With DELFIN_LONG=1: many of them, on PostgreSQL and MariaDB.
"""

from __future__ import annotations

import itertools
import random
import time

import pytest

from tests.faults.cluster import API, LONG, SEED, Cluster
from tests.services import STOP_SECONDS

MOMENTS = 20 if LONG else 3
STOPS = 30 if LONG else 5
SYNC_SECONDS = 2.0      # about so long do the syncs take
START_SECONDS = 1.5     # and a start
READY = 0.8             # of the stops: not before it is ready
LATENCY_MS = 50
BEFORE_ITS_HANDLERS = -15       # the exit status of a process that SIGTERM finds in the middle of its imports


@pytest.mark.parametrize('moment', range(MOMENTS), ids=[f'seed-{SEED}-{number}' for number in range(MOMENTS)])
def test_a_node_that_is_killed_at_any_moment_leaves_nothing_behind(cluster: Cluster, moment: int) -> None:
    chance = random.Random(f'{SEED}-{moment}')
    nodes = ('a', 'b', 'c')
    cluster.ensure(*nodes)
    cluster.advance(latency_ms=LATENCY_MS)
    cluster.sync_all()
    time.sleep(chance.uniform(0, SYNC_SECONDS))
    victim = chance.choice(nodes)
    cluster.kill(victim)
    if chance.random() < 0.5:
        time.sleep(chance.uniform(0, SYNC_SECONDS))
        cluster.start(victim)
    cluster.behave()
    cluster.settled()


@pytest.mark.timeout(30 + STOPS * (START_SECONDS + STOP_SECONDS))
@pytest.mark.parametrize('seed', [SEED], ids=[f'seed-{SEED}'])
def test_a_process_that_is_told_to_stop_at_any_moment_ends_in_time(cluster: Cluster, seed: int) -> None:
    chance = random.Random(seed)
    endings = []
    cluster.advance(latency_ms=LATENCY_MS)
    for name in itertools.islice(itertools.cycle(['b', 'b', 'b', 'b', API]), STOPS):
        if name in cluster.running():
            cluster.stop(name)
        if API in cluster.running():
            cluster.sync_all()
        started = cluster.begin(name)
        ready = chance.random() < READY
        if ready:
            started()
        time.sleep(chance.uniform(0, START_SECONDS))
        began = time.monotonic()
        status = cluster.process(name).stop(STOP_SECONDS)
        endings.append((name, ready, status, round(time.monotonic() - began, 1)))
        cluster.forget(name)
    print(f'seed {seed}: {endings}')
    assert all(status == 0 or not ready and status == BEFORE_ITS_HANDLERS for _, ready, status, _ in endings), endings
    cluster.ensure('a')
    cluster.behave()
    cluster.sync_all()
    cluster.settled()
