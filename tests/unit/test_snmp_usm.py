# SPDX-License-Identifier: Apache-2.0
"""SNMPv3: keys, who is believed, what can be opened, and how old a message may be."""

from __future__ import annotations

import dataclasses
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delfin.alert_manager.snmp import ber, usm
from delfin.alert_manager.snmp.answers import element
from delfin.alert_manager.snmp.protocols import AUTH_NO_PRIV, AUTH_PRIV, NO_AUTH_NO_PRIV
from tests.unit.snmp_support import (
    AUTH_KEY,
    FAULT,
    NOBODY,
    OURS,
    PRIVACY_KEY,
    SENDER,
    USERS,
    in_clear,
    named,
    notification,
    scoped_pdu,
    v3_message,
)

SIGNED = usm.User(b'signed', AUTH_NO_PRIV, 'HMCSHA2256', AUTH_KEY)
SEALED = usm.User(b'sealed', AUTH_PRIV, 'HMACSHA', AUTH_KEY, 'AES', PRIVACY_KEY)
FAULT_PDU = ber.Pdu(ber.TRAP_V2, 4711, FAULT)
TRAP = scoped_pdu(notification(FAULT))


def verified(datagram, user, engine_id=SENDER):
    return usm.verify(datagram, ber.read(datagram), usm.localise(user, engine_id))


def opened(datagram, user):
    return usm.decrypt(datagram, ber.read(datagram), usm.localise(user, SENDER))


# --- keys ---

@pytest.mark.parametrize(('digest', 'master', 'localised'), [
    ('md5', '9faf3283884e92834ebc9847d8edd963', '526f5eed9fcce26f8964c2930787d82b'),
    ('sha1', '9fb5cc0381497b3793528939ff788d5d79145211', '6695febc9288e36282235fc7151f128497b38f3f')])
def test_keys_are_those_of_the_appendix_of_rfc_3414(digest, master, localised):
    key = usm.master_key(digest, b'maplesyrup')
    assert (key.hex(), usm.localised_key(digest, key, bytes(11) + b'\x02').hex()) == (master, localised)


@pytest.mark.parametrize(('digest', 'key'), [
    ('md5', '526f5eed9fcce26f8964c2930787d82b79eff44a90650ee0a3a40abfac5acc12'),
    ('sha1', '6695febc9288e36282235fc7151f128497b38f3f9b8b6d78936ba6e7d19dfd9cd2d5065547743fb5')])
def test_longer_keys_are_those_of_the_draft_of_3des(digest, key):
    engine_id = bytes(11) + b'\x02'
    first = usm.localised_key(digest, usm.master_key(digest, b'maplesyrup'), engine_id)
    assert usm.reeder_key(digest, first, engine_id, len(key) // 2).hex() == key


def test_a_key_is_made_of_its_password_once_for_all_engines(monkeypatch):
    made = []
    make = usm.master_key
    monkeypatch.setattr(usm, 'master_key', lambda *args: made.append(args) or make(*args))
    user = dataclasses.replace(SIGNED, auth_key='never seen before')
    for engine_id in (SENDER, OURS):
        usm.localise(user, engine_id)
    assert len(made) == 1


def test_of_many_passwords_only_the_last_ones_are_kept(monkeypatch):
    made = []
    make = usm.master_key
    monkeypatch.setattr(usm, 'master_key', lambda *args: made.append(args[1]) or make(*args))
    keys = usm.MasterKeys(kept=2)
    for password in (b'first', b'second', b'third', b'third', b'first'):
        keys.get('md5', password)
    assert made == [b'first', b'second', b'third', b'first']


def test_the_same_password_makes_another_key_for_another_digest():
    keys = usm.MasterKeys()
    assert keys.get('sha256', b'password') != keys.get('sha512', b'password')[:32]


def test_secrets_are_not_shown():
    shown = repr((SEALED, usm.localise(SEALED, SENDER)))
    assert AUTH_KEY not in shown and PRIVACY_KEY not in shown


@pytest.mark.parametrize('wrong', [
    {'level': 'some'}, {'auth_protocol': None}, {'auth_protocol': 'SHA'}, {'auth_key': ''}, {'auth_key': None},
    {'privacy_protocol': None}, {'privacy_protocol': 'AES512'}, {'privacy_key': ''}])
def test_a_user_who_lacks_something_is_none(wrong):
    with pytest.raises(ValueError) as caught:
        dataclasses.replace(SEALED, **wrong)
    assert AUTH_KEY not in str(caught.value)


# --- who is believed ---

@pytest.mark.parametrize('user', USERS, ids=named)
def test_a_message_of_a_user_is_verified_and_opened(user):
    datagram = v3_message(TRAP, user)
    assert verified(datagram, user) and opened(datagram, user).pdu == FAULT_PDU


@pytest.mark.parametrize(('sent', 'configured'), list(itertools.permutations(
    [NO_AUTH_NO_PRIV, AUTH_NO_PRIV, AUTH_PRIV], 2)))
def test_less_security_than_configured_is_refused_and_so_is_more(sent, configured):
    user = dataclasses.replace(SEALED, level=sent)
    assert not verified(v3_message(TRAP, user), dataclasses.replace(user, level=configured))


@pytest.mark.parametrize('other', [
    {'name': b'another'}, {'auth_key': 'another phrase'}, {'auth_protocol': 'HMACSHA'},
    {'auth_protocol': 'HMCSHA2224'}])
def test_another_user_is_refused(other):
    assert not verified(v3_message(TRAP, SIGNED), dataclasses.replace(SIGNED, **other))


def test_another_engine_is_refused_even_with_the_same_password():
    assert not verified(v3_message(TRAP, SIGNED, engine_id=OURS), SIGNED)


@pytest.mark.parametrize('user', [NOBODY, SIGNED], ids=named)
def test_another_engine_is_refused_at_every_level(user):
    assert not verified(v3_message(TRAP, user), user, OURS)


def test_a_mac_that_was_cut_is_refused():
    datagram = v3_message(TRAP, SIGNED)
    message = ber.read(datagram)
    shorter = message._replace(mac=slice(message.mac.start, message.mac.stop - 1))
    empty = message._replace(mac=slice(message.mac.start, message.mac.start))
    keys = usm.localise(SIGNED, SENDER)
    assert not usm.verify(datagram, shorter, keys) and not usm.verify(datagram, empty, keys)


@pytest.mark.parametrize('user', [SIGNED, SEALED], ids=named)
@given(data=st.data())
def test_a_message_with_any_bit_changed_is_refused(user, data):
    datagram = v3_message(TRAP, user)
    at = data.draw(st.integers(0, len(datagram) - 1))
    bit = data.draw(st.integers(0, 7))
    changed = datagram[:at] + bytes([datagram[at] ^ 1 << bit]) + datagram[at + 1:]
    try:
        believed = verified(changed, user)
    except ber.Malformed:
        believed = False
    assert not believed


# --- what can be opened ---

def test_the_wrong_privacy_key_opens_nothing():
    with pytest.raises(usm.DecryptionFailed):
        opened(v3_message(TRAP, SEALED), dataclasses.replace(SEALED, privacy_key='another phrase'))


@pytest.mark.parametrize('privacy', ['DES', '3DES'])
def test_a_length_that_a_block_cipher_does_not_have_is_refused(privacy):
    user = dataclasses.replace(SEALED, privacy_protocol=privacy)
    datagram = v3_message(TRAP, user)
    message = ber.read(datagram)
    with pytest.raises(usm.DecryptionFailed, match='length'):
        usm.decrypt(datagram[:-1], message, usm.localise(user, SENDER))


@pytest.mark.parametrize('salt', [b'', bytes(7), bytes(9)])
def test_a_salt_of_another_length_is_refused(salt):
    datagram = v3_message(TRAP, SEALED)
    with pytest.raises(usm.DecryptionFailed, match='salt'):
        usm.decrypt(datagram, ber.read(datagram)._replace(privacy=salt), usm.localise(SEALED, SENDER))


@pytest.mark.parametrize('user', [NOBODY, SIGNED], ids=named)
def test_a_question_in_clear_is_no_notification(user):
    with pytest.raises(ber.Malformed, match='no notification'):
        opened(v3_message(scoped_pdu(notification(FAULT, ber.GET)), user), user)


@pytest.mark.parametrize('privacy', ['AES', 'DES'])
def test_a_question_that_is_encrypted_is_taken_for_a_wrong_key(privacy):
    user = dataclasses.replace(SEALED, privacy_protocol=privacy)
    with pytest.raises(usm.DecryptionFailed):
        opened(v3_message(scoped_pdu(notification(FAULT, ber.GET)), user), user)


@pytest.mark.parametrize('user', [NOBODY, SIGNED, SEALED], ids=named)
def test_what_is_wrong_inside_a_notification_is_not_a_wrong_key(user):
    scoped = opened(v3_message(scoped_pdu(element(ber.TRAP_V2, b'rubbish')), user), user)
    with pytest.raises(ber.Malformed):
        scoped.pdu      # noqa: B018 - it is read now


@pytest.mark.parametrize('size', ['192', '256'])
@pytest.mark.parametrize('auth', ['HMACMD5', 'HMACSHA', 'HMCSHA2224', 'HMCSHA2512'])
@pytest.mark.parametrize('extension', ['', 'C'])
def test_plain_aes_with_a_long_key_opens_either_way_of_making_it(size, auth, extension):
    configured = dataclasses.replace(SEALED, auth_protocol=auth, privacy_protocol=f'AES{size}')
    sender = dataclasses.replace(configured, privacy_protocol=f'AES{size}{extension}')
    assert opened(v3_message(TRAP, sender), configured).pdu == FAULT_PDU


def test_answers_are_encrypted_the_way_that_opened_the_question():
    plain = dataclasses.replace(SEALED, privacy_protocol='AES256')
    reeder = dataclasses.replace(SEALED, privacy_protocol='AES256C')
    datagram = v3_message(TRAP, reeder)
    keys = usm.localise(plain, SENDER)
    usm.decrypt(datagram, ber.read(datagram), keys)
    data, salt = keys.encrypt(TRAP, 1, 2)
    assert usm.localise(reeder, SENDER).decrypt(data, 1, 2, salt) == ber.Scoped(
        SENDER, b'', ber.TRAP_V2, notification(FAULT))


@pytest.mark.parametrize('key_bytes', [16, 24, 32])
@pytest.mark.parametrize('lengths', [range(101), [1000, 1471, 1472, 1473, 65507]], ids=['short', 'long'])
def test_one_cipher_opens_message_after_message_as_the_feedback_mode_of_the_library_does(key_bytes, lengths):
    rng = random.Random(key_bytes)
    key = rng.randbytes(key_bytes)
    cipher = usm._Aes(key)
    for size in lengths:
        for data in (rng.randbytes(size), bytes(size), b'\xff' * size):
            place = rng.randrange(2**31), rng.randrange(2**31), rng.randbytes(8)
            assert cipher.decrypt(data, *place) == in_clear(key, data, *place), (data.hex(), *place)


@given(key=st.sampled_from([16, 24, 32]).flatmap(lambda size: st.binary(min_size=size, max_size=size)),
       text=st.binary(max_size=300), boots=st.integers(0, 2**31 - 1), time=st.integers(0, 2**31 - 1),
       salt=st.binary(min_size=8, max_size=8))
def test_what_was_encrypted_comes_out_again(key, text, boots, time, salt):
    cipher = usm._Aes(key)
    assert cipher.decrypt(cipher.encrypt(text, boots, time, salt), boots, time, salt) == text


def test_no_two_messages_have_the_same_salt():
    keys = usm.localise(SEALED, SENDER)
    assert len({keys.encrypt(TRAP, 1, 2)[1] for _ in range(100)}) == 100


# --- how old a message may be ---

LAST = 2**31 - 1


def sent(boots, time):
    """A message with these of its authoritative engine."""
    return ber.read(v3_message(TRAP, boots=boots, time=time))


def test_the_first_message_of_an_engine_is_believed():
    assert usm.of_sender(None, sent(5, 1000), now=50.0) == usm.TimeWindow(5, 1000, 50.0)


@pytest.mark.parametrize(('boots', 'time'), [(5, 1001), (5, 99999), (6, 0)])
def test_a_newer_message_is_believed_and_remembered(boots, time):
    assert usm.of_sender(usm.TimeWindow(5, 1000, 50.0), sent(boots, time), 60.0) == usm.TimeWindow(boots, time, 60.0)


@pytest.mark.parametrize(('time', 'now'), [(1000, 50.0), (850, 50.0), (1000, 200.0)])
def test_a_message_that_others_overtook_is_believed_for_150_seconds(time, now):
    known = usm.TimeWindow(5, 1000, 50.0)
    assert usm.of_sender(known, sent(5, time), now) == known


@pytest.mark.parametrize(('boots', 'time', 'now'), [
    (5, 849, 50.0), (5, 1000, 201.0), (5, 950, 151.0), (4, 1000, 50.0), (4, 99999, 50.0), (0, 0, 50.0)])
def test_an_old_message_is_a_replay(boots, time, now):
    with pytest.raises(usm.NotInTimeWindow):
        usm.of_sender(usm.TimeWindow(5, 1000, 50.0), sent(boots, time), now)


@pytest.mark.parametrize('known', [None, usm.TimeWindow(5, 1000, 50.0), usm.TimeWindow(LAST, 1000, 50.0)])
def test_an_engine_that_has_counted_to_the_end_is_not_believed(known):
    with pytest.raises(usm.NotInTimeWindow):
        usm.of_sender(known, sent(LAST, 2000), 50.0)


def test_our_own_clock_going_back_refuses_nobody():
    known = usm.TimeWindow(5, 1000, 5000.0)
    assert usm.of_sender(known, sent(5, 850), 10.0) == known


def test_our_own_clock_going_back_lets_no_replay_in():
    with pytest.raises(usm.NotInTimeWindow):
        usm.of_sender(usm.TimeWindow(5, 1000, 5000.0), sent(5, 849), 10.0)


@pytest.mark.parametrize(('boots', 'time'), [(3, 1000), (3, 850), (3, 1150)])
def test_an_inform_within_150_seconds_of_our_clock_is_taken(boots, time):
    usm.check_ours(usm.Engine(OURS, 3, 1000), sent(boots, time))


@pytest.mark.parametrize(('ours', 'boots', 'time'), [
    (3, 3, 849), (3, 3, 1151), (3, 2, 1000), (3, 4, 1000), (3, 0, 0), (LAST, LAST, 1000)])
def test_an_inform_that_does_not_know_our_clock_is_refused(ours, boots, time):
    with pytest.raises(usm.NotInTimeWindow):
        usm.check_ours(usm.Engine(OURS, ours, 1000), sent(boots, time))
