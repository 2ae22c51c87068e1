# SPDX-License-Identifier: Apache-2.0
"""The collection of metrics in every database: marks, gaps, what is due, and the queue of points."""

from __future__ import annotations

from delfin.db import Database, exports, metrics
from delfin.db.exports import METRICS, Points
from delfin.metrics import Gap, Mark
from tests.unit.support import add_storage, give

NODE, EXPORTER = 'node-1', 'taker'
MINUTE = 60_000


def test_a_collection_leaves_the_same_on_every_engine(database: Database) -> None:
    """One story, for a database server is slow to be made ready."""
    storage_id = add_storage(database)
    give(database, storage_id, NODE)

    # It is due, with its settings and nothing remembered.
    with database.write() as connection:
        metrics.set_settings(connection, storage_id, {'interval_seconds': 60, 'selection': {'volume': None}})
    with database.read() as connection:
        (plan,) = metrics.plans(connection, NODE)
        assert metrics.plans(connection, 'node-2') == []
        feed = metrics.feed(connection, storage_id)
    assert (plan.storage_id, plan.interval_seconds, plan.collected_at, plan.retry_at) == (storage_id, 60, None, None)
    assert feed is not None and (feed.owner.name, feed.selection, feed.marks) == ('array', {'volume': None}, {})

    # Two windows, then a failure: counts add up, marks keep what is not said.
    with database.write() as connection:
        for until, points in ((1000, 7), (2000, 5)):
            metrics.set_marks(connection, storage_id, {'volume': {
                'collected_until': until, 'failures': 0, 'retry_at': None, 'error': None, 'points': points,
                'unknown_resources': 1, 'newest_at': until - 1}})
        metrics.set_marks(connection, storage_id, {'volume': {
            'collected_until': 2000, 'failures': 1, 'error': 'away', 'retry_at': metrics.moment_of(1.5e9)}})
        metrics.finish(connection, storage_id, 1.4e9, 1.4e9, 'failed', 'away', [], None)
    with database.read() as connection:
        (plan,) = metrics.plans(connection, NODE)
        feed = metrics.feed(connection, storage_id)
        mark = metrics.status(connection, storage_id)['marks'][0]
    assert (plan.collected_at, plan.retry_at) == (1.4e9, 1.5e9)
    assert feed is not None and feed.marks == {'volume': Mark(2000, 1, 1.5e9, 1999)}
    assert (mark['points'], mark['unknown_resources']) == (12, 2)

    # Gaps that adjoin are one; no more are kept than a hundred.
    with database.write() as connection:
        for number in range(metrics.KEPT_GAPS + 5):
            metrics.add_gaps(connection, storage_id, [Gap('disk', number * 10 * MINUTE, (number * 10 + 1) * MINUTE,
                                                          'retention')])
        last = (metrics.KEPT_GAPS + 4) * 10
        metrics.add_gaps(connection, storage_id, [Gap('disk', (last + 1) * MINUTE, (last + 2) * MINUTE, 'retention')])
    with database.read() as connection:
        gaps = metrics.status(connection, storage_id)['gaps']
    assert len(gaps) == metrics.KEPT_GAPS
    assert (gaps[0]['begin_at'], gaps[0]['end_at']) == (last * MINUTE, (last + 2) * MINUTE)

    # The queue is bounded by points, and keeps the newest.
    body = bytes(range(256)) * 300
    with database.write() as connection:
        assert exports.claim(connection, EXPORTER, NODE, 60, events=True, stream=METRICS)
        exports.claim(connection, EXPORTER, NODE, 60, events=True)      # an exporter of alerts may have the same name
        for points in (10, 20, 30, 40):
            exports.put_points(connection, [Points(body, points)])
    with database.write() as connection:
        assert exports.depth(connection, METRICS) == {EXPORTER: 100}
        assert exports.cut(connection, EXPORTER, 75, METRICS) == 30
        waiting = exports.waiting(connection, EXPORTER, 10, METRICS)
        assert [queued.event for queued in waiting] == [body, body]
        exports.delivered(connection, EXPORTER, [waiting[0].id], METRICS)
    with database.read() as connection:
        rows = {row['stream']: row for row in exports.listing(connection)}
    assert {name: rows['metrics'][name] for name in ('waiting', 'delivered', 'dropped')} == {
        'waiting': 40, 'delivered': 30, 'dropped': 30}
    assert (rows['alerts']['waiting'], rows['alerts']['delivered']) == (0, 0)

    # What is removed leaves nothing.
    with database.write() as connection:
        assert metrics.delete_gaps(connection, storage_id, 60) == 60
        assert metrics.delete_gaps(connection, storage_id, 60) == metrics.KEPT_GAPS - 60
