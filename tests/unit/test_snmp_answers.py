# SPDX-License-Identifier: Apache-2.0
"""What senders of INFORMs get back, read by pysnmp and by our own decoder."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyasn1.codec.ber import decoder
from pysnmp.proto import errind, rfc1901, rfc1902
from pysnmp.proto.mpmod.rfc3412 import SNMPv3Message
from pysnmp.proto.secmod.rfc3414.service import UsmSecurityParameters

from delfin.alert_manager.snmp import answers, ber, usm
from delfin.alert_manager.snmp.answers import Report
from delfin.alert_manager.snmp.protocols import AUTH_NO_PRIV, AUTH_PRIV
from tests.unit.snmp_support import (
    AUTH_KEY,
    EVERY_TYPE,
    FAULT,
    NOBODY,
    OURS,
    PRIVACY_KEY,
    USERS,
    PysnmpSender,
    Responder,
    community_message,
    in_clear,
    named,
    notification,
    scoped_pdu,
    v3_message,
)

SIGNED = usm.User(b'signed', AUTH_NO_PRIV, 'HMACSHA', AUTH_KEY)
SEALED = usm.User(b'sealed', AUTH_PRIV, 'HMACSHA', AUTH_KEY, 'AES', PRIVACY_KEY)
ENGINE = usm.Engine(OURS, 3, 1000)
QUESTION = [('1.3.6.1.4.1.32473.1.1', rfc1902.OctetString('Fan 3 failed'))]
INFORM = scoped_pdu(notification(EVERY_TYPE, ber.INFORM), OURS, b'bridge')
# Each protocol once, and all levels.
SOME_USERS = [user for user in USERS if user.auth_protocol in (None, 'HMACSHA')
              or user.privacy_protocol in (None, 'AES')]


def v3_parts(datagram):
    """(header data, security parameters, what is behind them) as pysnmp reads them."""
    message = decoder.decode(datagram, asn1Spec=SNMPv3Message())[0]
    return message[1], decoder.decode(bytes(message[2]), asn1Spec=UsmSecurityParameters())[0], message[3].getComponent()


# --- INFORMs of v2c ---

def test_the_sender_of_a_v2c_inform_gets_a_response_with_its_number():
    datagram = community_message(ber.V2C, notification(FAULT, ber.INFORM, request_id=-77))
    answer = decoder.decode(answers.acknowledgement(datagram, ber.read(datagram)), asn1Spec=rfc1901.Message())[0]
    pdu = answer[2].getComponent()
    assert (bytes(answer[1]), answer[2].getName(), int(pdu[0]), int(pdu[1]), len(pdu[3])) == (
        b'public', 'response', -77, 0, len(FAULT))


@given(community=st.binary(max_size=300), size=st.integers(0, 400))
def test_nothing_but_the_type_of_the_pdu_is_changed(community, size):
    pairs = [*FAULT, ber.Variable('1.3.6', ber.OCTET_STRING, b'\xa6' * size)]
    inform, response = (community_message(ber.V2C, notification(pairs, tag), community)
                        for tag in (ber.INFORM, ber.RESPONSE))
    assert answers.acknowledgement(inform, ber.read(inform)) == response


# --- INFORMs of v3 ---

@pytest.mark.parametrize('user', SOME_USERS, ids=named)
def test_pysnmp_finds_our_engine_and_sees_its_inform_acknowledged(user):
    receiver = Responder([user])
    assert PysnmpSender(user).inform(QUESTION, receiver) is None
    assert [pdu.variables[-1].value for pdu in receiver.accepted] == [b'Fan 3 failed']


@pytest.mark.parametrize('user', [NOBODY, SIGNED, SEALED], ids=named)
def test_the_answer_says_what_the_inform_said(user):
    datagram = v3_message(INFORM, user, engine_id=OURS, boots=3, time=999, reportable=True, message_id=4242)
    message = ber.read(datagram)
    keys = usm.localise(user, OURS)
    answer = answers.acknowledgement_v3(message, usm.decrypt(datagram, message, keys), keys, ENGINE)
    read = ber.read(answer)
    scoped = answer[read.scoped]
    if read.encrypted:
        key = usm.localised_key('sha1', usm.master_key('sha1', PRIVACY_KEY.encode()), OURS)
        scoped = in_clear(key[:16], scoped, read.boots, read.time, read.privacy)
    assert scoped == INFORM.replace(bytes([ber.INFORM]), bytes([ber.RESPONSE]), 1)
    assert (read.message_id, read.user, read.reportable, read.engine_id, read.boots, read.time) == (
        4242, user.name, False, OURS, 3, 1000)
    assert usm.verify(answer, read, keys)


def test_an_answer_that_is_repeated_is_encrypted_anew():
    datagram = v3_message(INFORM, SEALED, engine_id=OURS, boots=3, time=999)
    message = ber.read(datagram)
    keys = usm.localise(SEALED, OURS)
    scoped = usm.decrypt(datagram, message, keys)
    first, second = (ber.read(answers.acknowledgement_v3(message, scoped, keys, ENGINE)) for _ in range(2))
    assert first.privacy != second.privacy


# --- reports ---

@pytest.mark.parametrize(('why', 'number'), [
    (Report.UNSUPPORTED_SECURITY_LEVELS, 1), (Report.NOT_IN_TIME_WINDOWS, 2), (Report.UNKNOWN_USER_NAMES, 3),
    (Report.UNKNOWN_ENGINE_IDS, 4), (Report.WRONG_DIGESTS, 5), (Report.DECRYPTION_ERRORS, 6)])
def test_a_report_names_its_counter_our_engine_and_our_clock(why, number):
    datagram = v3_message(INFORM, reportable=True, message_id=4242)
    header, security, scoped = v3_parts(answers.report(why, 2**32 + 9, datagram, ber.read(datagram), ENGINE))
    pdu = scoped[2].getComponent()
    assert (int(header[0]), bytes(header[2])) == (4242, b'\0')
    assert (bytes(security[0]), int(security[1]), int(security[2]), bytes(security[3])) == (OURS, 3, 1000, b'nobody')
    assert (scoped[2].getName(), int(pdu[0]), bytes(scoped[0])) == ('report', 4711, OURS)
    assert [(str(pair[0]), int(pair[1].getComponent().getComponent().getComponent())) for pair in pdu[3]] == [
        (f'1.3.6.1.6.3.15.1.1.{number}.0', 9)]


@pytest.mark.parametrize('user', [NOBODY, SIGNED, SEALED], ids=named)
def test_who_wants_no_report_gets_none(user):
    datagram = v3_message(INFORM, user, engine_id=OURS)
    assert answers.report(Report.WRONG_DIGESTS, 1, datagram, ber.read(datagram), ENGINE) is None


def test_a_question_that_is_no_notification_gets_a_report_with_its_number():
    datagram = v3_message(scoped_pdu(notification([], ber.GET, request_id=99), b''), engine_id=b'', reportable=True)
    report = answers.report(Report.UNKNOWN_ENGINE_IDS, 1, datagram, ber.read(datagram), ENGINE)
    assert int(v3_parts(report)[2][2].getComponent()[0]) == 99


def test_a_number_is_not_looked_for_in_what_is_encrypted():
    datagram = v3_message(INFORM, reportable=True)
    message = ber.read(datagram)._replace(encrypted=True)
    report = answers.report(Report.UNKNOWN_USER_NAMES, 1, datagram, message, ENGINE)
    assert int(v3_parts(report)[2][2].getComponent()[0]) == 0


def test_a_report_about_rubbish_has_no_number():
    datagram = v3_message(b'\x30\x02\x04\0', reportable=True)
    report = answers.report(Report.UNKNOWN_ENGINE_IDS, 1, datagram, ber.read(datagram), ENGINE)
    assert int(v3_parts(report)[2][2].getComponent()[0]) == 0


@pytest.mark.parametrize('user', [SIGNED, SEALED], ids=named)
def test_a_report_of_the_time_is_signed_but_in_clear(user):
    datagram = v3_message(INFORM, user, engine_id=OURS, boots=1, time=1, reportable=True)
    keys = usm.localise(user, OURS)
    report = answers.report(Report.NOT_IN_TIME_WINDOWS, 1, datagram, ber.read(datagram), ENGINE, keys)
    read = ber.read(report)
    signer = dataclasses.replace(user, level=AUTH_NO_PRIV)
    assert not read.encrypted and usm.verify(report, read, usm.localise(signer, OURS))


@pytest.mark.parametrize(('changed', 'error'), [
    ({'name': b'somebody else'}, errind.UnknownUserName),
    ({'level': AUTH_NO_PRIV}, errind.UnsupportedSecurityLevel),
    ({'auth_key': 'another phrase'}, errind.WrongDigest),
    ({'auth_protocol': 'HMACMD5'}, errind.WrongDigest),
    ({'privacy_key': 'another phrase'}, errind.DecryptionError)])
def test_pysnmp_is_told_why_its_inform_was_refused(changed, error):
    receiver = Responder([dataclasses.replace(SEALED, **changed)])
    assert isinstance(PysnmpSender(SEALED).inform(QUESTION, receiver), error)
    assert receiver.accepted == []


def test_pysnmp_finds_its_way_back_after_our_restart():
    sender = PysnmpSender(SEALED)
    assert sender.inform(QUESTION, Responder([SEALED], boots=3)) is None
    restarted = Responder([SEALED], boots=4, time=5)
    results = [sender.inform(QUESTION, restarted) for _ in range(2)]
    assert (restarted.reports, results[-1]) == ([Report.NOT_IN_TIME_WINDOWS], None)


# --- encoding ---

@pytest.mark.parametrize(('number', 'encoded'), [
    (0, '020100'), (127, '02017f'), (128, '02020080'), (-1, '0201ff'), (-128, '020180'), (-129, '0202ff7f'),
    (2**31 - 1, '02047fffffff'), (-2**31, '020480000000')])
def test_numbers_take_as_few_bytes_as_they_can(number, encoded):
    assert answers.integer(number).hex() == encoded


@pytest.mark.parametrize(('size', 'head'), [(0, '0400'), (127, '047f'), (128, '048180'), (256, '04820100')])
def test_lengths_take_as_few_bytes_as_they_can(size, head):
    assert answers.element(ber.OCTET_STRING, bytes(size)) == bytes.fromhex(head) + bytes(size)
