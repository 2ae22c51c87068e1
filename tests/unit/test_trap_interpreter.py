# SPDX-License-Identifier: Apache-2.0
"""What a notification says of which storage, and what becomes of one that says nothing of use."""

from __future__ import annotations

import asyncio

import pytest

from delfin import exception
from delfin.alert_manager.interpreter import NOTHING, Interpreter, Meaning, Trap
from delfin.alert_manager.snmp import ber
from delfin.alert_manager.sources import Table
from delfin.alert_manager.spool import Received
from delfin.drivers.manager import DriverManager
from tests.unit.snmp_support import HEAD, notification, trap_v1
from tests.unit.support import Drivers, Unprintable, UnprintableError, make_driver, shown
from tests.unit.trap_support import ADDRESS, BASE, fault, known

ARRAY, SECOND, STRANGER = known('array', 'SN-1', 'north'), known('second', 'SN-2', 'south'), known('stranger', 'SN-3')
RECEIVED_MS = 1_790_000_000_123


def received(pdu, *storage_ids):
    return Received(RECEIVED_MS, ADDRESS, 'SNMPv2c', storage_ids or ('array',), pdu, None)


def trap(pdu, *storage_ids):
    return Trap.of(received(pdu, *storage_ids))


class Registry:
    """Driver classes by model; what is an exception is raised."""

    def __init__(self, **classes):
        self.classes = classes

    def get_class(self, vendor, model):
        found = self.classes[model]
        if isinstance(found, Exception):
            raise found
        return found


def interpreter(drivers=None, *storages, controllers=None, at_owner=None):
    table = Table(controllers=controllers,
                  storages={storage.id: storage for storage in storages or (ARRAY, SECOND, STRANGER)})
    return Interpreter(drivers or DriverManager(), lambda: table, at_owner)


def parser(parse_alert):
    """Drivers whose parse_alert is this function."""
    return Drivers(make_driver(parse_alert=staticmethod(parse_alert)))


# --- the trap ---

def test_a_trap_is_shown_as_it_came():
    assert trap(fault(7)).view() == {
        'received_at': '2026-09-21T14:13:20.123000Z', 'source': ADDRESS, 'version': 'SNMPv2c',
        'variables': {ber.SYS_UP_TIME: '4711', ber.SNMP_TRAP_OID: f'{BASE}.0.7', f'{BASE}.1.0': '0x1001',
                      f'{BASE}.4.0': '1', f'{BASE}.6.0': '7', f'{BASE}.9.0': 'disk 7'}}


def test_what_no_database_takes_does_not_stand_in_it():
    pdu = notification([*HEAD, ber.Variable(f'{BASE}.1', ber.OCTET_STRING, b'a\0b'),
                        ber.Variable(f'{BASE}.2', ber.OCTET_STRING, b'\xed\xa0\x80')])
    variables = trap(pdu).variables
    assert (variables[f'{BASE}.1'], variables[f'{BASE}.2']) == ('0x610062', '0xeda080')


# --- what drivers are given ---

def given_to(driver_trap, **options):
    seen = []
    interpreter(parser(lambda context, alert: seen.append((context, alert))), **options).read(driver_trap)
    return seen[0]


def test_a_driver_is_given_variables_sender_and_storage():
    context, alert = given_to(trap(fault(7)))
    assert (context.storage_id, alert['storage_id'], alert['transport_address'], alert[f'{BASE}.6.0']) == (
        'array', 'array', ADDRESS, '7')
    assert 'controller_name' not in alert


def test_a_driver_is_told_which_controller_has_sent():
    _, alert = given_to(trap(fault(7)), controllers={('array', ADDRESS): 'controller A'})
    assert alert['controller_name'] == 'controller A'


def test_a_driver_is_told_so_whichever_of_several_arrays_has_that_controller():
    _, alert = given_to(trap(fault(7), 'array', 'second'), controllers={('second', ADDRESS): 'controller B'})
    assert alert['controller_name'] == 'controller B'


def test_a_driver_may_do_with_its_dict_what_it_wants():
    def parse(context, alert):
        alert.clear()
        return {'alert_id': '1'}
    meaning = interpreter(parser(parse)).read(trap(fault(7)))
    assert meaning.report.trap['variables'][f'{BASE}.6.0'] == '7'


def test_a_v1_trap_reads_like_its_v2c_sister():
    head = {ber.SNMP_TRAP_OID: f'{BASE}.0.7', ber.SYS_UP_TIME: '4711'}
    one = Trap.of(Received(RECEIVED_MS, ADDRESS, 'SNMPv1', ('array',), trap_v1([]), None)).variables
    assert head.items() <= one.items()


# --- whose alert it is ---

def test_an_alert_has_what_the_trap_says():
    report = interpreter().read(trap(fault(7, v2='Disk failed', v3=2, v7=1_700_000_000_000))).report
    assert (report.storage_id, report.origin, report.received_at.timestamp()) == ('array', 'trap', RECEIVED_MS / 1000)
    assert {name: report.values[name] for name in ('alert_id', 'alert_name', 'severity', 'category', 'occur_time',
                                                   'sequence_number', 'location')} == {
        'alert_id': '0x1001', 'alert_name': 'Disk failed', 'severity': 'Critical', 'category': 'Fault',
        'occur_time': 1_700_000_000_000, 'sequence_number': '7', 'location': 'disk 7'}


@pytest.mark.parametrize(('serial_number', 'expected'), [('SN-1', 'array'), ('SN-2', 'second')])
def test_of_several_arrays_behind_one_address_the_serial_number_decides(serial_number, expected):
    meaning = interpreter().read(trap(fault(7, v12=serial_number), 'array', 'second'))
    assert meaning.report.storage_id == expected


def test_without_a_serial_number_the_name_decides():
    drivers = parser(lambda context, alert: {'alert_id': '1', 'storage_name': 'south'})
    assert interpreter(drivers).read(trap(fault(7), 'array', 'second')).report.storage_id == 'second'


@pytest.mark.parametrize(('pdu', 'storage_ids', 'said'), [
    (fault(7), ('array', 'second'), ['names no storage', '2 of the storages']),
    (fault(7, v12='SN-9'), ('array', 'second'), ['serial number SN-9', 'none of the storages']),
    (fault(7, v12='SN-3'), ('array', 'second'), ['serial number SN-3', 'none of the storages']),
    (fault(7, v12='SN-3'), ('array',), ['serial number SN-3', 'none of the storages'])],
    ids=['no array', 'an unknown one', 'one that is elsewhere', 'another one'])
def test_a_trap_that_fits_no_single_array_fails_and_says_why(pdu, storage_ids, said):
    meaning = interpreter().read(trap(pdu, *storage_ids))
    assert meaning.report is None and all(words in meaning.error for words in said), meaning.error


def test_two_arrays_of_one_name_cannot_be_told_apart_by_it():
    twins = known('array', 'SN-1', 'north'), known('second', 'SN-2', 'north')
    drivers = parser(lambda context, alert: {'alert_id': '1', 'storage_name': 'north'})
    assert 'storage name north' in interpreter(drivers, *twins).read(trap(fault(7), 'array', 'second')).error


def test_nothing_is_said_of_storages_that_are_gone():
    assert interpreter().read(trap(fault(7), 'removed')) == NOTHING


def test_a_storage_that_was_removed_does_not_matter_to_the_other():
    assert interpreter().read(trap(fault(7), 'removed', 'second')).report.storage_id == 'second'


# --- several drivers behind one address ---

def two_drivers(first, second):
    registry = Registry(one=first if isinstance(first, Exception) else make_driver(parse_alert=staticmethod(first)),
                        two=make_driver(parse_alert=staticmethod(second)))
    return interpreter(registry, known('array', 'SN-1', driver=('v', 'one')),
                       known('second', 'SN-2', driver=('v', 'two')))


def raises(error):
    def parse(context, alert):
        raise error
    return parse


def says(**values):
    return lambda context, alert: {'alert_id': '1', **values}


@pytest.mark.parametrize('first', [
    lambda context, alert: None, raises(KeyError('x')), raises(NotImplementedError()),
    exception.StorageDriverNotFound('v one'), says(serial_number='SN-7')],
    ids=['is silent', 'fails', 'reads no traps', 'cannot be loaded', 'reads rubbish'])
def test_a_trap_is_read_by_the_next_driver_when_one(first):
    meaning = two_drivers(first, says(serial_number='SN-2')).read(trap(fault(7), 'array', 'second'))
    assert meaning.report.storage_id == 'second'


def test_a_driver_that_fails_is_told_of_when_no_other_understands():
    meaning = two_drivers(raises(KeyError('x')), lambda context, alert: None).read(trap(fault(7), 'array', 'second'))
    assert 'KeyError' in meaning.error


# --- drivers that do not do what they should ---

@pytest.mark.parametrize('error', [
    KeyError('1.3.6'), exception.StorageBackendException('no'), UnprintableError(), SystemExit(3), KeyboardInterrupt(),
    GeneratorExit(), asyncio.CancelledError(), MemoryError(), RecursionError(), StopIteration(), AssertionError()],
    ids=shown)
def test_whatever_a_driver_raises_is_an_error_of_that_trap(error):
    meaning = interpreter(parser(raises(error))).read(trap(fault(7)))
    assert meaning.error and meaning.report is None and meaning.sync == ()


@pytest.mark.parametrize('answer', [42, 'text', [], {}, {'alert_id': None}, object(), Unprintable(), b'x', True],
                         ids=shown)
def test_an_answer_that_is_no_alert_is_an_error(answer):
    assert interpreter(parser(lambda context, alert: answer)).read(trap(fault(7))).error


@pytest.mark.parametrize('answer', [
    {'alert_id': Unprintable()}, {'alert_id': '1', 'occur_time': 10**400}, {'alert_id': '1', 'occur_time': 'soon'},
    {'alert_id': '1', 'severity': object()}, {'alert_id': '\0\ud800', 'description': 'x' * 100_000},
    {'alert_id': '1', 7: 8}, {'alert_id': '1', 'category': ['Fault']}], ids=lambda row: ','.join(map(str, row)))
def test_values_that_cannot_be_read_do_not_escape(answer):
    meaning = interpreter(parser(lambda context, alert: answer)).read(trap(fault(7)))
    assert (meaning.report is None) != (meaning.error is None)


def test_none_means_that_the_trap_says_nothing():
    assert interpreter().read(trap(notification(HEAD))) == NOTHING


def test_a_driver_that_cannot_be_loaded_is_an_error_of_the_trap():
    drivers = Registry(fake_driver=exception.StorageDriverNotFound('fake_storage fake_driver'))
    assert 'fake_storage fake_driver' in interpreter(drivers).read(trap(fault(7))).error


# --- drivers that need more ---

def test_a_trap_that_says_too_little_asks_for_an_alert_sync():
    meaning = interpreter().read(trap(notification([*HEAD, ber.Variable(f'{BASE}.1', ber.OCTET_STRING, b'1')])))
    assert meaning == Meaning(sync=('array',))


def test_one_that_could_be_of_several_arrays_asks_for_one_of_each():
    drivers = parser(raises(exception.IncompleteTrapInformation('array')))
    assert interpreter(drivers).read(trap(fault(7), 'array', 'second')) == Meaning(sync=('array', 'second'))


class NeedsSession:
    """A driver whose parse_alert looks at its session."""

    def parse_alert(self, context, alert):
        return self.client.names[alert['storage_id']]


def test_a_driver_that_needs_its_session_reads_at_the_owner_of_the_array():
    asked = []

    def at_owner(storage_id, alert):
        asked.append((storage_id, alert['transport_address']))
        return {'alert_id': 'from the owner'}
    meaning = interpreter(Drivers(NeedsSession), at_owner=at_owner).read(trap(fault(7)))
    assert (asked, meaning.report.values['alert_id']) == ([('array', ADDRESS)], 'from the owner')


def test_an_owner_that_cannot_be_reached_is_an_error_of_the_trap():
    def at_owner(storage_id, alert):
        raise exception.ServiceUnavailable('no task service answers')
    assert 'no task service answers' in interpreter(Drivers(NeedsSession), at_owner=at_owner).read(trap(fault(7))).error


def test_a_parse_alert_of_an_instance_that_uses_no_state_needs_no_session():
    class Old:
        def __init__(self):
            raise AssertionError('it would log in')

        def parse_alert(self, context, alert):
            return {'alert_id': self.storage_id}
    assert interpreter(Drivers(Old)).read(trap(fault(7))).report.values['alert_id'] == 'array'
