# SPDX-License-Identifier: Apache-2.0
"""The exporter `log`."""

from __future__ import annotations

import logging

import pytest

from delfin.db import alerts
from delfin.exporter.cargo import Alerts
from delfin.exporter.log import LogExporter
from delfin.exporter.work import Events, Pace
from tests.unit.exporter_support import Array, register


@pytest.fixture
def array(database):
    register(database, 'log')
    return Array(database)


@pytest.fixture
def lines(database, caplog):
    """What it writes about all that has happened so far."""
    caplog.set_level(logging.INFO, 'delfin.exporter.log')

    def lines():
        exporter = LogExporter()
        Events(database, 'log', lambda connection: True, Alerts(LogExporter.EVENTS), Pace()).round(
            lambda method, data: exporter.dispatch(None, data))
        return [record.getMessage() for record in caplog.records if record.name == 'delfin.exporter.log']
    return lines


def test_an_alert_is_a_line_that_people_can_read(array, lines):
    array.fault(3)
    assert lines() == [
        'alert raised: Major "Disk failed" (alert_id="0x17" sequence_number="3") on="array" serial="SN-1" '
        f'location="slot 3" id={array.alert_id(3)} storage_id={array.storage_id} '
        'description="Disk 3 does not answer."']


def test_the_life_of_an_alert(array, lines, database):
    array.fault(3)
    array.fault(3, severity='Critical')
    with database.write() as connection:
        alerts.acknowledge(connection, array.alert_id(3), 'spare part ordered')
    array.recovery(3)
    array.says({'category': 'Event', 'sequence_number': '4'})
    raised, changed, acknowledged, cleared, event = lines()
    assert changed.startswith('alert changed: Critical "Disk failed"')
    assert acknowledged.endswith('note="spare part ordered"')
    assert 'alert cleared: ' in cleared and 'cleared_by=recovery' in cleared
    assert event.startswith('alert event: Major')


def test_what_an_array_says_stays_in_its_line(array, lines):
    array.fault(3, alert_name='x"\n2026-01-01 INFO all is well', location='\x1b[2J\u202e\u2028',
                description='a\r\nb' + 'c' * 5000)
    line, = lines()
    assert line.isprintable()
    assert '"x\' 2026-01-01 INFO all is well"' in line
    assert len(line) < 1500
