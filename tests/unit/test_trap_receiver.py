# SPDX-License-Identifier: Apache-2.0
"""From a datagram to the spool: who is believed, what is kept, what is answered, and when."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pysnmp.proto import rfc1902

from delfin.alert_manager.snmp import ber, usm
from delfin.alert_manager.snmp.protocols import AUTH_NO_PRIV, AUTH_PRIV, NO_AUTH_NO_PRIV
from delfin.alert_manager.sources import Source
from tests.unit.snmp_support import (
    CLEAR_MESSAGES,
    FAULT,
    OURS,
    SENDER,
    STALLS_PYSNMP,
    USERS,
    PysnmpSender,
    community_message,
    mutated,
    named,
    notification,
    scoped_pdu,
    trap_v1,
    v3_message,
)
from tests.unit.trap_support import ADDRESS, Inbox, fault

OTHER = '192.0.2.12'        # begins like ADDRESS
FOREIGN = bytes.fromhex('80007ed9046f74686572')
SIGNED = usm.User(b'ann', AUTH_NO_PRIV, 'HMACSHA', 'signing-phrase')
SEALED = usm.User(b'eve', AUTH_PRIV, 'HMCSHA2256', 'signing-phrase', 'AES', 'sealing-phrase')
PLAIN = usm.User(b'bob', NO_AUTH_NO_PRIV)
COMMUNITY = Source('array', (ADDRESS,), b'public')


def of(user, storage_id='array', engine_id=None, hosts=(ADDRESS,)):
    return Source(storage_id, hosts, None, user, engine_id)


def trap(user=SIGNED, number=1, *, engine_id=SENDER, **header):
    return v3_message(scoped_pdu(fault(number), engine_id), user, engine_id=engine_id, **header)


@pytest.fixture
def inbox(tmp_path):
    with Inbox(tmp_path / 'traps.sqlite', COMMUNITY) as opened:
        yield opened


def storages(inbox):
    return [received.storage_ids for received in inbox.kept()]


# --- communities ---

@pytest.mark.parametrize(('version', 'message', 'shown'), [
    (ber.V1, trap_v1(FAULT), 'SNMPv1'), (ber.V2C, notification(FAULT), 'SNMPv2c'),
    (ber.V2C, notification(FAULT, ber.INFORM), 'SNMPv2c')])
def test_a_notification_with_the_right_community_is_kept_as_it_came(inbox, version, message, shown):
    inbox.take(community_message(version, message))
    kept, = inbox.kept()
    assert (kept.source, kept.version, kept.storage_ids, kept.pdu) == (ADDRESS, shown, ('array',), message)


def test_behind_one_address_a_community_speaks_for_those_that_have_it(inbox):
    inbox.senders.replace(COMMUNITY, Source('twin', (ADDRESS,), b'public'), Source('stranger', (ADDRESS,), b'private'),
                          Source('elsewhere', (OTHER,), b'public'))
    inbox.take(community_message(ber.V2C, fault(1)))
    assert storages(inbox) == [('array', 'twin')]


def test_a_replaced_table_counts_from_the_next_datagram_on(inbox):
    inbox.senders.replace(dataclasses.replace(COMMUNITY, community=b'private'))
    inbox.take(community_message(ber.V2C, fault(1)))
    inbox.senders.replace()
    inbox.take(community_message(ber.V2C, fault(1), b'private'))
    assert inbox.refused() == {'wrong_community': 1, 'unknown_sender': 1}


# --- refusals ---

def garbage(size):
    return random.Random(size).randbytes(size)


REFUSED = {
    'a community that is wrong': ('wrong_community', COMMUNITY, community_message(ber.V2C, fault(1), b'Public')),
    'a community that is longer': ('wrong_community', COMMUNITY, community_message(ber.V2C, fault(1), b'public ')),
    'no community': ('wrong_community', COMMUNITY, community_message(ber.V2C, fault(1), b'')),
    'v2c to a v3 source': ('wrong_community', of(SIGNED), community_message(ber.V2C, fault(1), b'ann')),
    'an INFORM with a wrong community': (
        'wrong_community', COMMUNITY, community_message(ber.V2C, notification(FAULT, ber.INFORM), b'private')),
    'v3 to a community': ('unknown_user', COMMUNITY, trap(usm.User(b'public', NO_AUTH_NO_PRIV))),
    'a user of another source': ('unknown_user', of(SEALED), trap(SIGNED)),
    'less security than configured': (
        'wrong_security_level', of(SIGNED), trap(usm.User(b'ann', NO_AUTH_NO_PRIV))),
    'more security than configured': (
        'wrong_security_level', of(SIGNED), trap(usm.User(b'ann', AUTH_PRIV, 'HMACSHA', 'signing-phrase', 'AES',
                                                          'sealing-phrase'))),
    'a wrong key': ('wrong_digest', of(SIGNED), trap(dataclasses.replace(SIGNED, auth_key='another-phrase'))),
    'a wrong protocol': ('wrong_digest', of(SIGNED), trap(dataclasses.replace(SIGNED, auth_protocol='HMACMD5'))),
    'a wrong privacy key': (
        'decryption_failed', of(SEALED), trap(dataclasses.replace(SEALED, privacy_key='another-phrase'))),
    'another engine': ('wrong_engine', of(SIGNED, engine_id=FOREIGN), trap(SIGNED)),
    'no engine': ('wrong_engine', of(PLAIN), trap(PLAIN, engine_id=b'')),
    'an engine at its end': ('not_in_time_window', of(SIGNED), trap(SIGNED, boots=2**31 - 1)),
    'an INFORM to another engine': (
        'unsupported', of(SIGNED), v3_message(scoped_pdu(notification(FAULT, ber.INFORM)), SIGNED)),
    'what stalls pysnmp': ('malformed', COMMUNITY, STALLS_PYSNMP),
    'nothing': ('malformed', COMMUNITY, b''),
    'six bytes': ('malformed', COMMUNITY, garbage(6)),
    'many bytes': ('malformed', COMMUNITY, garbage(16384)),
    'half of a trap': ('malformed', COMMUNITY, community_message(ber.V2C, fault(1))[:60]),
    'more than a trap': ('malformed', COMMUNITY, community_message(ber.V2C, fault(1)) + b'\0'),
    'a question': ('malformed', COMMUNITY, community_message(ber.V2C, notification(FAULT, ber.GET))),
    'an answer': ('malformed', COMMUNITY, community_message(ber.V2C, notification(FAULT, ber.RESPONSE))),
}


@pytest.mark.parametrize('what', REFUSED)
def test_what_is_refused_is_counted_by_its_reason_and_neither_kept_nor_answered(inbox, what):
    reason, source, datagram = REFUSED[what]
    inbox.senders.replace(source)
    assert (inbox.take(datagram), inbox.kept(), inbox.refused()) == ([], [], {reason: 1})


@pytest.mark.parametrize('sender', [OTHER, '192.0.2', '::ffff:192.0.2.1', ''])
def test_what_comes_from_elsewhere_is_not_even_read(inbox, sender):
    inbox.take(STALLS_PYSNMP, host=sender)
    assert inbox.refused() == {'unknown_sender': 1}


def test_what_is_refused_costs_nothing_of_what_came_with_it(inbox, monkeypatch):
    def read(datagram, really=ber.read):
        if datagram == b'bug':
            raise IndexError('a mistake of ours')
        return really(datagram)
    monkeypatch.setattr(ber, 'read', read)
    inbox.take(community_message(ber.V2C, fault(1)), STALLS_PYSNMP, b'bug', community_message(ber.V2C, fault(2)))
    assert (len(inbox.kept()), inbox.refused()) == (2, {'malformed': 2})


@settings(max_examples=300)
@given(st.sampled_from([SIGNED, SEALED]), st.data())
def test_of_an_authenticated_message_no_byte_can_be_changed(shared_inbox, user, data):
    datagram = trap(user, engine_id=SENDER)
    place = data.draw(st.integers(0, len(datagram) - 1))
    changed = datagram[place] ^ data.draw(st.integers(1, 255))
    shared_inbox.senders.replace(of(user, engine_id=SENDER))
    before = taken(shared_inbox)
    shared_inbox.take(datagram[:place] + bytes([changed]) + datagram[place + 1:])
    assert taken(shared_inbox) == before


@settings(max_examples=300)
@given(st.integers(0, 2**32))
def test_whatever_comes_is_kept_or_counted(shared_inbox, seed):
    datagram = mutated(CLEAR_MESSAGES[seed % 4], random.Random(seed), CLEAR_MESSAGES)
    shared_inbox.senders.replace(Source('array', (OTHER,), b'public'))
    shared_inbox.refused()
    before = taken(shared_inbox)
    answers = shared_inbox.take(datagram, host=OTHER)
    outcomes = taken(shared_inbox) - before + sum(shared_inbox.refused().values())
    looked_for_our_engine = outcomes == 0 and len(answers) == 1
    assert outcomes == 1 or looked_for_our_engine


def taken(inbox):
    return inbox.receiver.received + inbox.receiver.repeated


@pytest.fixture(scope='module')
def shared_inbox(tmp_path_factory):
    with Inbox(tmp_path_factory.mktemp('spool') / 'traps.sqlite') as opened:
        yield opened


# --- v3 as pysnmp speaks it ---

TEXT = [('1.3.6.1.4.1.32473.1.1.0', rfc1902.OctetString('0x1001'))]
SOME_USERS = [user for user in USERS if user.auth_protocol in (None, 'HMACMD5', 'HMCSHA2512')]


@pytest.mark.parametrize('user', SOME_USERS, ids=named)
def test_a_trap_of_pysnmp_is_kept(inbox, user):
    inbox.senders.replace(of(user))
    inbox.take(PysnmpSender(user).trap(TEXT))
    kept, = inbox.kept()
    assert ber.trap_variables(ber.read_pdu(kept.pdu))['1.3.6.1.4.1.32473.1.1.0'] == '0x1001'


@pytest.mark.parametrize('user', SOME_USERS, ids=named)
def test_pysnmp_finds_our_engine_and_its_inform_is_acknowledged(inbox, user):
    inbox.senders.replace(of(user))
    outcome = PysnmpSender(user).inform(TEXT, lambda datagram: next(iter(inbox.take(datagram)), None))
    assert (outcome, len(inbox.kept())) == (None, 1)


def test_an_inform_of_a_user_with_another_key_is_not_acknowledged(inbox):
    inbox.senders.replace(of(SIGNED))
    sender = PysnmpSender(dataclasses.replace(SIGNED, auth_key='another-phrase'))
    outcome = sender.inform(TEXT, lambda datagram: next(iter(inbox.take(datagram)), None))
    assert (outcome is None, inbox.kept(), set(inbox.refused())) == (False, [], {'wrong_digest'})


def test_a_sender_of_informs_that_slept_through_our_restart_finds_our_clock_again(inbox):
    inbox.senders.replace(of(SEALED))
    sender = PysnmpSender(SEALED)
    assert sender.inform(TEXT, lambda datagram: next(iter(inbox.take(datagram)), None)) is None
    engine_id = inbox.receiver.engine_id
    inbox.restart()
    assert sender.inform([(TEXT[0][0], rfc1902.OctetString('0x1002'))],
                         lambda datagram: next(iter(inbox.take(datagram)), None)) is None
    assert (inbox.receiver.engine_id, len(inbox.kept())) == (engine_id, 2)


# --- INFORMs ---

INFORM = community_message(ber.V2C, notification(FAULT, ber.INFORM))


def test_an_inform_is_answered_only_when_it_is_kept(inbox):
    seen = []
    inbox.line.before = lambda: seen.append(sum(inbox.spool.depth().rows))
    inbox.take(INFORM)
    assert seen == [1]


def test_an_inform_that_cannot_be_kept_is_not_answered(tmp_path):
    with Inbox(tmp_path / 'traps.sqlite', COMMUNITY, max_rows=1) as inbox:
        inbox.take(community_message(ber.V2C, fault(1)))
        assert (inbox.take(INFORM), inbox.refused()) == ([], {'spool_full': 1})
        inbox.drain()
        assert len(inbox.take(INFORM)) == 1, 'the sender tries again'


def test_an_inform_that_comes_again_is_acknowledged_again_and_kept_once(inbox):
    answers = [*inbox.take(INFORM, INFORM), *inbox.take(INFORM)]
    inbox.restart()
    answers += inbox.take(INFORM)
    assert (len(answers), len(set(answers)), len(inbox.kept()), inbox.refused()) == (4, 1, 1, {})


@pytest.mark.parametrize('user', [PLAIN, SIGNED, SEALED], ids=named)
def test_a_v3_inform_that_comes_again_is_acknowledged_again_and_kept_once(inbox, user):
    """Each time it is another message, with another number, salt and time, around the same content."""
    inbox.senders.replace(of(user))
    ours = inbox.receiver.engine_id
    answers = [inbox.take(v3_message(scoped_pdu(notification(FAULT, ber.INFORM), ours), user, engine_id=ours, boots=1,
                                     time=number, message_id=number, reportable=True)) for number in range(3)]
    assert ([len(each) for each in answers], len(inbox.kept()), inbox.refused()) == ([1, 1, 1], 1, {})


def test_the_same_inform_of_two_arrays_is_two(inbox):
    inbox.senders.replace(COMMUNITY, Source('other', (OTHER,), b'public'))
    inbox.take(INFORM)
    inbox.take(INFORM, host=OTHER)
    assert storages(inbox) == [('array',), ('other',)]


def test_another_inform_with_the_same_number_is_another(inbox):
    inbox.take(*(community_message(ber.V2C, notification(
        [*FAULT, ber.Variable('1.3.6.1.4.1.32473.1.6', ber.INTEGER, number)], ber.INFORM)) for number in (1, 2)))
    assert len(inbox.kept()) == 2


def test_nobody_is_woken_for_what_was_not_kept(inbox):
    inbox.take(INFORM)
    inbox.woken.clear()
    inbox.take(INFORM, STALLS_PYSNMP)
    assert inbox.woken == set()


# --- replays ---

def test_a_datagram_that_comes_again_is_a_replay(inbox):
    inbox.senders.replace(of(SIGNED))
    datagram = trap()
    inbox.take(datagram, datagram)
    inbox.take(datagram)
    assert (len(inbox.kept()), inbox.refused()) == (1, {'replayed': 2})


def test_a_datagram_that_comes_again_after_our_restart_is_a_replay(inbox):
    inbox.senders.replace(of(SIGNED))
    datagram = trap()
    inbox.take(datagram)
    inbox.restart()
    inbox.take(datagram)
    assert (len(inbox.kept()), inbox.refused()) == (1, {'replayed': 1})


@pytest.mark.parametrize('restart', [False, True])
@pytest.mark.parametrize(('boots', 'time'), [(4, 9000), (5, 849)])
def test_what_was_sent_long_ago_is_a_replay(inbox, restart, boots, time):
    inbox.senders.replace(of(SIGNED, engine_id=SENDER))
    inbox.take(trap(boots=5, time=1000))
    if restart:
        inbox.restart()
    inbox.take(trap(number=2, boots=boots, time=time))
    assert (len(inbox.kept()), inbox.refused()) == (1, {'not_in_time_window': 1})


@pytest.mark.parametrize(('boots', 'time'), [(5, 870), (5, 5000), (6, 0)])
def test_what_overtook_another_or_was_sent_after_a_reboot_is_none(inbox, boots, time):
    inbox.senders.replace(of(SIGNED, engine_id=SENDER))
    inbox.take(trap(boots=5, time=1000))
    inbox.take(trap(number=2, boots=boots, time=time))
    assert len(inbox.kept()) == 2


def test_no_array_can_put_the_clock_of_another_forward(inbox):
    """Arrays that were cloned have one engine id; a hostile one may pretend to."""
    clone = dataclasses.replace(SIGNED, auth_key='phrase-of-the-clone')
    inbox.senders.replace(of(SIGNED), of(clone, 'clone', hosts=(OTHER,)))
    inbox.take(trap(clone, boots=2**31 - 2), host=OTHER)
    inbox.take(trap(SIGNED, boots=3))
    assert storages(inbox) == [('clone',), ('array',)]


# --- what is remembered of senders ---

@pytest.mark.parametrize(('change', 'reason'), [
    ({'user': dataclasses.replace(SEALED, auth_key='another-phrase')}, 'wrong_digest'),
    ({'user': dataclasses.replace(SEALED, auth_protocol='HMACSHA')}, 'wrong_digest'),
    ({'user': dataclasses.replace(SEALED, privacy_key='another-phrase')}, 'decryption_failed'),
    ({'user': SIGNED}, 'unknown_user'),
    ({'user': dataclasses.replace(SIGNED, name=b'eve')}, 'wrong_security_level'),
    ({'engine_id': FOREIGN}, 'wrong_engine'),
    ({'user': None, 'community': b'public'}, 'unknown_user'),
    ({'hosts': (OTHER,)}, 'unknown_sender')])
def test_a_source_that_was_changed_is_checked_anew_from_the_next_datagram_on(inbox, change, reason):
    source = of(SEALED, engine_id=SENDER)
    inbox.senders.replace(source)
    inbox.take(trap(SEALED), trap(SEALED, number=2))
    inbox.senders.replace(dataclasses.replace(source, **change))
    inbox.take(trap(SEALED, number=3))
    assert (len(inbox.kept()), inbox.refused()) == (2, {reason: 1})
    inbox.senders.replace(source)
    inbox.take(trap(SEALED, number=4))
    assert len(inbox.kept()) == 3


def test_a_source_that_was_added_behind_the_address_speaks_from_the_next_datagram_on(inbox):
    first = of(SEALED, engine_id=SENDER)
    inbox.senders.replace(first)
    inbox.take(trap(SEALED))
    inbox.senders.replace(first, of(SEALED, 'second', SENDER))
    inbox.take(trap(SEALED, number=2))
    assert storages(inbox) == [('array',), ('array', 'second')]


def test_arrays_behind_one_address_take_turns_with_one_user_name_and_different_keys(inbox):
    second = dataclasses.replace(SEALED, auth_key='another-phrase', privacy_key='one-more-phrase')
    inbox.senders.replace(of(SEALED, engine_id=SENDER), of(second, 'second', FOREIGN))
    for number in range(3):
        inbox.take(trap(SEALED, number), trap(second, number, engine_id=FOREIGN))
    inbox.take(trap(SEALED, 3, engine_id=FOREIGN), trap(second, 3))
    assert (storages(inbox), inbox.refused()) == ([('array',), ('second',)] * 3, {'wrong_digest': 2})


def test_one_user_and_engine_at_two_addresses_are_two_senders(inbox):
    second = dataclasses.replace(SEALED, auth_key='another-phrase')
    inbox.senders.replace(of(SEALED, engine_id=SENDER), of(second, 'second', SENDER, (OTHER,)))
    for number in range(3):
        inbox.take(trap(SEALED, number))
        inbox.take(trap(second, number), host=OTHER)
    inbox.take(trap(SEALED, 3), host=OTHER)
    assert (storages(inbox), inbox.refused()) == ([('array',), ('second',)] * 3, {'wrong_digest': 1})


@pytest.mark.parametrize('header', [{'boots': 4, 'time': 9000}, {'boots': 5, 'time': 849}])
def test_a_sender_that_is_known_is_still_held_to_its_clock(inbox, header):
    inbox.senders.replace(of(SEALED, engine_id=SENDER))
    inbox.take(*(trap(SEALED, number, boots=5, time=1000) for number in range(3)))
    inbox.take(trap(SEALED, 3, **header))
    assert (len(inbox.kept()), inbox.refused()) == (3, {'not_in_time_window': 1})


def test_a_pin_that_was_forgotten_lets_another_engine_in_and_the_former_out(inbox):
    inbox.senders.replace(of(SEALED))
    inbox.take(trap(SEALED), trap(SEALED, 2), trap(SEALED, 3))
    inbox.receiver.forget_pins()
    inbox.take(trap(SEALED, 4, engine_id=FOREIGN), trap(SEALED, 5))
    assert (len(inbox.kept()), inbox.pinned, inbox.refused()) == (
        4, [('array', SENDER), ('array', FOREIGN)], {'wrong_engine': 1})


@pytest.mark.parametrize('user', [user for user in USERS if user.level != NO_AUTH_NO_PRIV], ids=named)
def test_of_messages_that_differ_only_in_their_number_each_is_kept_and_its_copy_is_not(inbox, user):
    inbox.senders.replace(of(user, engine_id=SENDER))
    datagrams = [trap(user, message_id=number) for number in range(5)]
    inbox.take(*datagrams, *datagrams)
    assert (len(inbox.kept()), inbox.refused()) == (5, {'replayed': 5})


# --- engine ids ---

def test_the_first_engine_that_authenticates_is_pinned_and_others_are_refused(inbox):
    inbox.senders.replace(of(SIGNED))
    inbox.take(trap(dataclasses.replace(SIGNED, auth_key='another-phrase'), engine_id=FOREIGN))
    inbox.take(trap(), trap(engine_id=FOREIGN))
    inbox.take(trap(number=2), trap(number=2, engine_id=FOREIGN))
    assert (len(inbox.kept()), inbox.pinned, inbox.refused()) == (
        2, [('array', SENDER)], {'wrong_digest': 1, 'wrong_engine': 2})


def test_an_engine_id_that_was_reset_is_learned_anew(inbox):
    inbox.senders.replace(of(SIGNED, engine_id=SENDER))
    inbox.take(trap())
    inbox.senders.replace(of(SIGNED))
    inbox.receiver.forget_pins()
    inbox.take(trap(engine_id=FOREIGN))
    assert (len(inbox.kept()), inbox.pinned) == (2, [('array', FOREIGN)])


def test_an_engine_whose_first_trap_could_not_be_kept_is_pinned_with_the_next(tmp_path):
    with Inbox(tmp_path / 'traps.sqlite', COMMUNITY, of(SIGNED), max_rows=1) as inbox:
        inbox.take(community_message(ber.V2C, fault(1)))
        inbox.take(trap())
        assert inbox.pinned == []
        inbox.drain()
        inbox.take(trap(number=2))
        assert inbox.pinned == [('array', SENDER)]


def test_an_inform_pins_no_engine_for_it_shows_none(inbox):
    inbox.senders.replace(of(SIGNED))
    PysnmpSender(SIGNED).inform(TEXT, lambda datagram: next(iter(inbox.take(datagram)), None))
    assert (len(inbox.kept()), inbox.pinned) == (1, [])


def test_a_flood_of_unknown_engines_makes_few_keys(inbox, monkeypatch):
    made = Counter()

    def localise(user, engine_id, really=usm.localise):
        made[engine_id] += 1
        return really(user, engine_id)
    forged = [trap(engine_id=b'\x80\0\x7e\xd9\x05' + bytes([number])) for number in range(200)]
    monkeypatch.setattr(usm, 'localise', localise)
    inbox.senders.replace(of(dataclasses.replace(SIGNED, auth_key='the right phrase')))
    inbox.take(*forged)
    assert (len(made) <= 20, sum(inbox.refused().values())) == (True, 200)


def test_a_flood_of_unknown_engines_locks_nobody_out_who_was_known(inbox):
    inbox.senders.replace(of(SIGNED))
    inbox.take(trap())
    inbox.receiver.forget_pins()
    wrong = dataclasses.replace(SIGNED, auth_key='another-phrase')
    inbox.take(*(trap(wrong, engine_id=b'\x80\0\x7e\xd9\x05' + bytes([number])) for number in range(50)))
    inbox.take(trap(number=2))
    assert len(inbox.kept()) == 2


def test_an_array_may_change_its_engine_as_often_as_an_operator_lets_it(inbox):
    inbox.senders.replace(of(SIGNED))
    for number in range(30):
        inbox.take(trap(engine_id=b'\x80\0\x7e\xd9\x05' + bytes([number])))
        inbox.receiver.forget_pins()
    assert len(inbox.kept()) == 30


def test_a_pinned_source_makes_no_keys_for_other_engines(inbox, monkeypatch):
    inbox.senders.replace(of(SIGNED, engine_id=SENDER))
    forged = trap(engine_id=FOREIGN)
    monkeypatch.setattr(usm, 'localise', None)
    inbox.take(forged)
    assert inbox.refused() == {'wrong_engine': 1}


# --- several arrays behind one address ---

def test_two_arrays_may_call_their_users_alike(inbox):
    second = dataclasses.replace(SIGNED, auth_key='another-phrase')
    inbox.senders.replace(of(SIGNED), of(second, 'second'))
    inbox.take(trap(second, engine_id=FOREIGN), trap(SIGNED))
    assert storages(inbox) == [('second',), ('array',)]


def test_two_arrays_may_differ_in_nothing_but_the_privacy_key(inbox):
    second = dataclasses.replace(SEALED, privacy_key='another-phrase')
    inbox.senders.replace(of(SEALED), of(second, 'second'))
    inbox.take(trap(second, engine_id=FOREIGN), trap(SEALED))
    assert storages(inbox) == [('second',), ('array',)]


def test_arrays_behind_one_agent_share_its_user_and_engine(inbox):
    inbox.senders.replace(of(SIGNED), of(SIGNED, 'second'))
    inbox.take(trap())
    assert (storages(inbox), inbox.pinned) == ([('array', 'second')], [('array', SENDER), ('second', SENDER)])


def test_our_own_engine_id_is_none_that_traps_may_have(inbox):
    """A message for which our engine is authoritative is an INFORM; a trap that claims it is none."""
    inbox.senders.replace(of(SIGNED))
    inbox.take(trap(engine_id=inbox.receiver.engine_id, boots=1, time=0))
    assert (inbox.kept(), inbox.refused()) == ([], {'unsupported': 1})


def test_each_installation_has_an_engine_id_of_its_own(inbox, tmp_path):
    with Inbox(tmp_path / 'other.sqlite') as other:
        assert len({inbox.receiver.engine_id, other.receiver.engine_id, OURS}) == 3
