# SPDX-License-Identifier: Apache-2.0
"""Reading notifications: what is read, what is refused and why, and the text that drivers get."""

from __future__ import annotations

import random

import pytest

from delfin.alert_manager.snmp import ber
from delfin.alert_manager.snmp.answers import element, integer
from tests.unit.snmp_support import (
    EVERY_TYPE,
    FAULT,
    HEAD,
    OURS,
    SENDER,
    TRAP_OID,
    USERS,
    community_message,
    mutated,
    notification,
    oid,
    pdu_of,
    restructured,
    scoped_pdu,
    trap_v1,
    v3_message,
    value,
    variables,
)


def v2c(pdu):
    return community_message(ber.V2C, pdu)


def of_value(encoded):
    """A v2c trap with one more variable of this encoding."""
    more = element(ber.SEQUENCE, oid('1.3.6.1.4.1') + encoded)
    return v2c(element(ber.TRAP_V2, integer(1) + integer(0) + integer(0) + element(
        ber.SEQUENCE, variables(HEAD)[2:] + more)))


@pytest.fixture
def shapes():
    """The shapes of messages that are remembered, as they were before once the test is over."""
    before = dict(ber._SHAPES)
    yield ber._SHAPES
    ber._SHAPES.clear()
    ber._SHAPES.update(before)


def readable(parameter):
    """Id of a parametrised test: what can be read of it."""
    return parameter if isinstance(parameter, str) else ''


def last_value(datagram):
    return pdu_of(datagram).variables[-1].value


# --- what is read ---

def test_a_v2c_trap_says_who_what_and_every_value():
    datagram = v2c(notification(EVERY_TYPE))
    assert ber.read(datagram)[:3] == (ber.V2C, b'public', ber.TRAP_V2)
    assert pdu_of(datagram) == ber.Pdu(ber.TRAP_V2, 4711, EVERY_TYPE)


def test_an_inform_is_told_from_a_trap():
    datagram = v2c(notification(FAULT, ber.INFORM))
    assert ber.read(datagram).tag == pdu_of(datagram).tag == ber.INFORM


def test_a_v3_message_can_be_looked_at_without_keys():
    datagram = v3_message(scoped_pdu(notification(FAULT), OURS, b'bridge'), boots=7, time=99, reportable=True)
    message = ber.read(datagram)
    assert (message.user, message.boots, message.time, message.reportable, message.encrypted) == (
        b'nobody', 7, 99, True, False)
    scoped = ber.read_scoped(datagram[message.scoped])
    assert scoped[:3] == (OURS, b'bridge', ber.TRAP_V2)
    assert scoped.pdu == ber.Pdu(ber.TRAP_V2, 4711, FAULT)


@pytest.mark.parametrize(('version', 'pdu'), [(ber.V2C, notification(EVERY_TYPE)), (ber.V1, trap_v1(FAULT))])
def test_the_bytes_that_are_kept_say_the_same_when_read_again(version, pdu):
    datagram = community_message(version, pdu)
    kept = datagram[ber.read(datagram).body]
    assert kept == pdu and ber.read_pdu(kept) == pdu_of(datagram)


def test_the_bytes_of_a_v3_notification_say_the_same_when_read_again():
    scoped = ber.read_scoped(scoped_pdu(notification(EVERY_TYPE)) + b'\0\0\0', padded=True)
    assert scoped.body == notification(EVERY_TYPE)
    assert ber.read_pdu(scoped.body) == scoped.pdu == ber.Pdu(ber.TRAP_V2, 4711, EVERY_TYPE)


def test_a_trap_without_variables_is_one():
    assert pdu_of(v2c(notification([]))).variables == []


def test_an_enterprise_trap_of_v1_gets_the_name_that_v2_gives_it():
    pdu = pdu_of(community_message(ber.V1, trap_v1(FAULT[2:], '1.3.6.1.4.1.32473.1', '192.0.2.9', 6, 7, 99)))
    assert ber.trap_variables(pdu) == {
        ber.SYS_UP_TIME: '99', ber.SNMP_TRAP_OID: '1.3.6.1.4.1.32473.1.0.7',
        **{variable.oid: ber.as_text(variable) for variable in FAULT[2:]},
        ber.SNMP_TRAP_ADDRESS: '192.0.2.9', ber.SNMP_TRAP_ENTERPRISE: '1.3.6.1.4.1.32473.1'}


@pytest.mark.parametrize(('generic', 'last'), [(0, 1), (2, 3), (3, 4), (5, 6)])     # cold start, link down, up, EGP
def test_a_standard_trap_of_v1_gets_the_name_that_v2_gives_it(generic, last):
    pdu = pdu_of(community_message(ber.V1, trap_v1([], generic=generic, specific=0)))
    assert ber.trap_variables(pdu)[ber.SNMP_TRAP_OID] == f'1.3.6.1.6.3.1.1.5.{last}'


def test_what_a_proxy_says_of_the_first_sender_stays():
    there = ber.Variable(ber.SNMP_TRAP_ADDRESS, ber.IP_ADDRESS, '198.51.100.7')
    pdu = pdu_of(community_message(ber.V1, trap_v1([there], address='192.0.2.1')))
    assert ber.trap_variables(pdu)[ber.SNMP_TRAP_ADDRESS] == '198.51.100.7'


def test_a_community_is_no_variable():
    pdu = pdu_of(community_message(ber.V1, trap_v1(FAULT), b'a secret'))
    assert 'a secret' not in ber.trap_variables(pdu).values()


def test_a_second_name_does_not_hide_which_trap_it_is():
    again = ber.Variable(ber.SNMP_TRAP_OID, ber.OBJECT_ID, '1.3.6.1.6.3.1.1.5.1')
    assert ber.trap_variables(pdu_of(v2c(notification([*FAULT, again]))))[ber.SNMP_TRAP_OID] == TRAP_OID


@pytest.mark.parametrize(('tag', 'body', 'number'), [
    (ber.TIME_TICKS, 'ffffffff', 2**32 - 1), (ber.COUNTER32, '80000000', 2**31), (ber.GAUGE32, '80000001', 2**31 + 1),
    (ber.COUNTER64, 'ffffffffffffffff', 2**64 - 1)])
def test_an_array_that_forgets_the_zero_before_a_large_number_is_understood(tag, body, number):
    assert last_value(of_value(element(tag, bytes.fromhex(body)))) == number


def test_a_v1_trap_may_bear_a_number_of_64_bits():
    large = ber.Variable('1.3.6.1', ber.COUNTER64, 2**40)
    assert large in pdu_of(community_message(ber.V1, trap_v1([large]))).variables


@pytest.mark.parametrize('length', ['05', '8105', '820005', '83000005', '8400000005'])
def test_a_length_may_have_more_bytes_than_it_needs(length):
    assert last_value(of_value(b'\x04' + bytes.fromhex(length) + b'hello')) == b'hello'


@pytest.mark.parametrize(('body', 'name'), [
    ('00', '0.0'), ('27', '0.39'), ('28', '1.0'), ('4f', '1.39'), ('50', '2.0'), ('8837', '2.999'),
    ('2b8fffffff7f', '1.3.4294967295')])
def test_the_first_two_numbers_of_an_object_id_share_one(body, name):
    assert last_value(of_value(element(ber.OBJECT_ID, bytes.fromhex(body)))) == name


def test_an_object_id_has_up_to_128_numbers():
    name = '1.3' + '.1' * 126
    assert last_value(of_value(oid(name))) == name


# --- what is refused ---

GOOD = v2c(notification(FAULT))


@pytest.mark.parametrize('end', range(len(GOOD)))
def test_a_message_that_was_cut_is_refused(end):
    with pytest.raises(ber.Malformed):
        ber.read(GOOD[:end])


@pytest.mark.parametrize(('datagram', 'why'), [
    (GOOD + b'\0', 'bytes behind the message'),
    (b'\x30\x80' + GOOD[2:] + b'\0\0', 'indefinite'),
    (b'\x30\x85\0\0\0\0' + GOOD[1:], 'too long'),
    (b'\x30\x84\xff\xff\xff\xff' + GOOD[2:], 'too early'),
    (b'\x31' + GOOD[1:], 'where 0x30 belongs'),
    (v2c(notification(FAULT, ber.GET)), 'no notification'),
    (v2c(notification(FAULT, ber.RESPONSE)), 'no notification'),
    (v2c(trap_v1(FAULT)), 'another version'),
    (community_message(ber.V1, notification(FAULT)), 'another version'),
    (community_message(2, notification(FAULT)), 'version 2'),
    (v2c(notification(FAULT) + b'\x05\0'), 'bytes behind the PDU'),
], ids=readable)
def test_what_is_no_notification_is_refused_and_the_reason_told(datagram, why):
    with pytest.raises(ber.Malformed, match=why):
        ber.read(datagram)


@pytest.mark.parametrize(('datagram', 'why'), [
    (community_message(ber.V1, trap_v1([], generic=7)), 'out of its range'),
    (community_message(ber.V1, trap_v1([], specific=-1)), 'out of its range'),
    (v2c(element(ber.TRAP_V2, notification(FAULT)[2:] + b'\x05\0')), 'bytes behind the variables'),
    (of_value(b'\x04\x01a\x04\x01b'), 'bytes behind a value'),
    (of_value(b'\x24\x03\x04\x01a'), 'unknown type 0x24'),
    (of_value(b'\x45\x04abcd'), 'unknown type 0x45'),
    (of_value(b'\x05\x01a'), 'null with bytes'),
    (of_value(b'\x81\x01a'), 'null with bytes'),
    (of_value(b'\x40\x03abc'), 'IP address'),
    (of_value(b'\x02\0'), 'without bytes'),
    (of_value(b'\x43\0'), 'without bytes'),
    (of_value(element(ber.INTEGER, bytes.fromhex('0080000000'))), 'out of its range'),
    (of_value(element(ber.COUNTER32, bytes.fromhex('0100000000'))), 'out of its range'),
    (of_value(element(ber.COUNTER32, b'\xff')), 'out of its range'),
    (of_value(element(ber.COUNTER64, bytes.fromhex('010000000000000000'))), 'out of its range'),
    (of_value(b'\x06\0'), 'ends too early'),
    (of_value(b'\x06\x02\x2b\x81'), 'ends too early'),
    (of_value(b'\x06\x03\x2b\x80\x01'), 'padding'),
    (of_value(element(ber.OBJECT_ID, bytes.fromhex('2b9080808000'))), 'beyond 32 bits'),
    (of_value(oid('1.3' + '.1' * 127)), 'too many numbers'),
], ids=readable)
def test_what_is_wrong_in_a_pdu_shows_when_that_is_read(datagram, why):
    body = ber.read(datagram).body
    with pytest.raises(ber.Malformed, match=why):
        ber.read_pdu(datagram, body.start, body.stop)
    with pytest.raises(ber.Malformed, match=why):
        ber.read_pdu(datagram[body])


@pytest.mark.parametrize('pdu', [notification(FAULT), notification([]), trap_v1(FAULT)])
def test_a_pdu_that_was_cut_is_not_made_up_by_what_follows_it(pdu):
    tag, body = pdu[0], pdu[2:]
    for size in range(len(body)):
        cut = element(tag, body[:size])
        with pytest.raises(ber.Malformed):
            ber.read_pdu(cut + body[size:], 0, len(cut))


def test_a_variable_that_was_cut_is_not_made_up_by_what_follows_its_pdu():
    body = integer(1) + integer(0) + integer(0)
    whole = variables(FAULT)[2:]
    cut = element(ber.TRAP_V2, body + element(ber.SEQUENCE, whole[:-1]))
    with pytest.raises(ber.Malformed, match='too early'):
        ber.read_pdu(cut + whole[-1:], 0, len(cut))


def test_what_is_wrong_in_a_scoped_pdu_shows_when_that_is_read():
    scoped = ber.read_scoped(scoped_pdu(element(ber.TRAP_V2, b'rubbish')))
    assert scoped.tag == ber.TRAP_V2
    with pytest.raises(ber.Malformed, match='too early'):
        scoped.pdu      # noqa: B018 - it is read now


def with_v3(**changed):
    """A v3 message in clear with other header data."""
    parts = {'message_id': integer(1), 'size': integer(484), 'flags': element(4, b'\0'), 'model': integer(3),
             'engine': element(4, OURS), 'boots': integer(0), 'time': integer(0), 'user': element(4, b'u' * 32),
             'mac': element(4, b''), 'salt': element(4, b''), 'scoped': scoped_pdu(notification(FAULT)),
             'behind': b''} | changed
    header = element(0x30, b''.join(parts[name] for name in ('message_id', 'size', 'flags', 'model')))
    security = element(4, element(0x30, b''.join(
        parts[name] for name in ('engine', 'boots', 'time', 'user', 'mac', 'salt'))) + parts['behind'])
    return element(0x30, integer(3) + header + security + parts['scoped'])


def test_a_v3_message_within_all_limits_is_read():
    assert ber.read(with_v3()).user == b'u' * 32


@pytest.mark.parametrize(('changed', 'why'), [
    ({'message_id': integer(-1)}, 'out of its range'),
    ({'size': integer(483)}, 'out of its range'),
    ({'flags': element(4, b'')}, 'make no sense'),
    ({'flags': element(4, b'\0\0')}, 'make no sense'),
    ({'flags': element(4, b'\x02')}, 'make no sense'),             # encrypted, but not authenticated
    ({'model': integer(4)}, 'make no sense'),
    ({'model': integer(3) + b'\x05\0'}, 'make no sense'),
    ({'engine': element(4, bytes(33))}, 'make no sense'),
    ({'user': element(4, bytes(33))}, 'make no sense'),
    ({'salt': element(4, b'') + b'\x05\0'}, 'make no sense'),
    ({'boots': integer(-1)}, 'out of its range'),
    ({'time': integer(-1)}, 'out of its range'),
    ({'behind': b'\0'}, 'behind the security parameters'),
    ({'scoped': scoped_pdu(notification(FAULT)) + b'\0'}, 'behind the message'),
    ({'flags': element(4, b'\x03')}, 'where 0x4 belongs'),         # said to be encrypted, but in clear
], ids=readable)
def test_a_v3_message_beyond_a_limit_is_refused(changed, why):
    with pytest.raises(ber.Malformed, match=why):
        ber.read(with_v3(**changed))


# --- shapes that are remembered ---

V3_MESSAGES = [*(v3_message(scoped_pdu(notification(FAULT)), user) for user in USERS[::16]),
               v3_message(scoped_pdu(notification(EVERY_TYPE, ber.INFORM), OURS), engine_id=OURS, reportable=True)]


def outcome(datagram):
    """What a v3 message says, or why it is refused."""
    try:
        return ber.read(datagram)
    except ber.Malformed as error:
        return str(error)


@pytest.mark.parametrize('whole', V3_MESSAGES, ids=readable)
@pytest.mark.parametrize('change', [mutated, restructured])
def test_a_message_is_read_alike_whatever_was_read_before(shapes, whole, change):
    for seed in range(500):
        broken = change(whole, random.Random(seed), V3_MESSAGES)
        shapes.clear()
        alone = outcome(broken)
        shapes.clear()
        ber.read(whole)
        assert [outcome(broken), outcome(broken)] == [alone] * 2, f'seed {seed}: {broken.hex()}'


@pytest.mark.parametrize('changed', [
    {'message_id': integer(2**31 - 1)}, {'boots': integer(300), 'time': integer(70_000)}, {'size': integer(65507)},
    {'flags': element(4, b'\x04')}, {'engine': element(4, SENDER + b'2')}, {'user': element(4, b'v' * 31)},
    {'mac': element(4, b'm' * 12)}, {'salt': element(4, b's' * 8)}, {'scoped': scoped_pdu(notification(EVERY_TYPE))},
    {'model': b'\x02\x81\x01\x03'}, {'message_id': b'\x02\x81\x01\x07'}, {'boots': b'\x02\x82\0\x01\x09'}])
def test_messages_of_several_kinds_may_take_turns(shapes, changed):
    shapes.clear()
    datagrams = with_v3(), with_v3(**changed)
    first = [ber.read(datagram) for datagram in datagrams]
    assert first[0] != first[1]
    assert [ber.read(datagram) for datagram in datagrams * 2] == first * 2


def test_a_flood_of_messages_of_all_kinds_leaves_little_behind(shapes):
    for mac in range(11):
        for salt in range(100):
            ber.read(with_v3(mac=element(4, bytes(mac)), salt=element(4, bytes(salt))))
    assert len(shapes) <= 1000


def test_a_v1_trap_has_no_place_in_a_v3_message():
    with pytest.raises(ber.Malformed, match='another version'):
        ber.read_scoped(scoped_pdu(trap_v1(FAULT)))


def test_bytes_behind_a_scoped_pdu_are_padding_only_where_a_cipher_pads():
    with pytest.raises(ber.Malformed, match='behind the scoped PDU'):
        ber.read_scoped(scoped_pdu(notification(FAULT)) + b'\0')


# --- text ---

@pytest.mark.parametrize(('tag', 'content', 'text'), [
    (ber.INTEGER, -7, '-7'),
    (ber.COUNTER64, 2**64 - 1, '18446744073709551615'),
    (ber.OBJECT_ID, '1.3.6.1', '1.3.6.1'),
    (ber.IP_ADDRESS, '192.0.2.1', '192.0.2.1'),
    (ber.NULL, None, ''),
    (ber.NO_SUCH_OBJECT, None, ''),
    (ber.OCTET_STRING, b'', ''),
    (ber.OCTET_STRING, b'Fan 3\tfailed\r\n', 'Fan 3\tfailed\r\n'),
    (ber.OCTET_STRING, 'Lüfter 風扇'.encode(), 'Lüfter 風扇'),
    (ber.OCTET_STRING, b'C string\0\0\0', 'C string'),
    (ber.OCTET_STRING, b'two\0strings', '0x74776f00737472696e6773'),
    (ber.OCTET_STRING, b'\x1b[31m', '0x1b5b33316d'),
    (ber.OCTET_STRING, b'del\x7f', '0x64656c7f'),
    (ber.OCTET_STRING, 'C1 \x9b'.encode(), '0x433120c29b'),
    (ber.OCTET_STRING, 'Lüfter'.encode('latin-1'), '0x4cfc66746572'),
    (ber.OCTET_STRING, bytes.fromhex('07ea0b14122400002b0100'), '0x07ea0b14122400002b0100'),     # DateAndTime
    (ber.OCTET_STRING, bytes.fromhex('50060160abcd0000'), '0x50060160abcd0000'),                 # a WWN
    (ber.OPAQUE, bytes.fromhex('9f780442c70000'), '0x9f780442c70000'),
])
def test_drivers_get_every_value_as_text(tag, content, text):
    read = pdu_of(of_value(value(tag, content))).variables[-1]
    assert ber.as_text(read) == text
