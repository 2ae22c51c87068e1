# SPDX-License-Identifier: Apache-2.0
"""Bodies of requests: a registration's normal form, their rules, and that no error quotes what they hold."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delfin import exception
from delfin.api.schemas.storages import labels, registration, sync_request
from delfin.kinds import KINDS

SECRET = 'correct-horse-battery'
REST = {'host': '10.0.0.1', 'port': 8088, 'username': 'admin', 'password': SECRET}
SSH = {'host': '10.0.0.1', 'username': 'admin', 'password': SECRET}
GOOD = {'vendor': 'acme', 'model': 'x1', 'rest': REST}


def body(section='rest', remove=(), **fields):
    """A good body with changes in one section."""
    base = {'rest': REST, 'ssh': SSH, 'cli': {'host': 'h'}, 'smis': {key: REST[key] for key in REST if key != 'port'}}
    changed = {**base[section], **fields}
    return {'vendor': 'acme', 'model': 'x1', section: {key: changed[key] for key in changed if key not in remove}}


def refusal(document):
    """The message of a body that is refused."""
    with pytest.raises(exception.InvalidInput) as caught:
        registration(document)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return caught.value.msg


# --- what is taken ---

def test_a_good_body_is_taken_as_it_is():
    assert registration(GOOD) == GOOD


def test_the_driver_guides_body_is_taken():
    """vendor and model inside rest, and the port as text."""
    guide = {'rest': {'host': '127.0.0.1', 'port': '22', 'username': 'username', 'password': 'password',
                      'vendor': 'sample_vendor', 'model': 'sample_model'}}
    assert registration(guide) == {
        'vendor': 'sample_vendor', 'model': 'sample_model',
        'rest': {'host': '127.0.0.1', 'port': 22, 'username': 'username', 'password': 'password'}}


def test_the_normal_form_leaves_the_clients_body_alone():
    guide = {'rest': {**REST, 'port': '22', 'vendor': 'a', 'model': 'b'}}
    before = copy.deepcopy(guide)
    registration(guide)
    assert guide == before


def test_vendor_and_model_may_stand_in_both_places_if_they_agree():
    assert registration({**GOOD, 'rest': {**REST, 'vendor': 'acme', 'model': 'x1'}}) == GOOD


def test_vendor_and_model_may_stand_in_several_sections_if_they_agree():
    named = {'vendor': 'acme', 'model': 'x1'}
    assert registration({'rest': {**REST, **named}, 'ssh': {**SSH, **named}}) == {**GOOD, 'ssh': SSH}


@pytest.mark.parametrize('document', [
    body('ssh', remove=['password']), body('ssh', private_key='-----BEGIN', passphrase='x', pub_key='AAAA',
                                           pub_key_type='ssh-ed25519', port=22),
    body('cli'), body('cli', username='u', password='p'), body('smis', namespace='root/x', port='5989'),
    body(verify=False, ca_cert='-----BEGIN CERTIFICATE-----', fingerprint='SHA256:x', timeout=30),
    body(host='array-1.example.com'), body(host='fe80::1%eth0'), body(host='::1'),
    {**GOOD, 'storage_name': 'my array', 'extra_attributes': {'array_id': '0017', 'name-with. : _': ''}},
    {**GOOD, 'ssh': SSH, 'cli': {'host': 'h'}}],
    ids=['ssh key', 'ssh all', 'cli', 'cli login', 'smis', 'rest tls', 'name', 'zone', 'v6', 'extra', 'several'])
def test_every_way_in_is_taken(document):
    assert registration(document)['vendor'] == 'acme'


@pytest.mark.parametrize('port', [22.0, '0022'])
def test_a_port_reaches_the_driver_as_a_whole_number(port):
    taken = registration(body(port=port))['rest']['port']
    assert (taken, type(taken)) == (22, int)


# --- what is refused ---

@pytest.mark.parametrize(('document', 'message'), [
    ({**GOOD, 'vendor': ''}, 'vendor must have at least 1 characters.'),
    ({**GOOD, 'vendor': 'v' * 256}, 'vendor must have at most 255 characters.'),
    ({**GOOD, 'vendor': 7}, 'vendor must be of type string.'),
    ({'rest': REST}, 'the body: vendor, model is required.'),
    ({'vendor': 'acme', 'rest': REST}, 'the body: model is required.'),
    ({'vendor': 'acme', 'model': 'x1'}, 'At least one of rest, ssh, cli, smis is required.'),
    ({**GOOD, 'colour': SECRET}, 'the body: unknown field colour; known are '),
    ({**GOOD, 'rest': None}, 'rest must be of type object.'),
    ({**GOOD, 'rest': SECRET}, 'rest must be of type object.'),
    (body(remove=['host']), 'rest: host is required.'),
    (body(remove=['port', 'password']), 'rest: port, password is required.'),
    (body(colour=SECRET), 'rest: unknown field colour; known are '),
    (body(host=''), 'rest.host must have at least 1 characters.'),
    (body(host='a b'), 'rest.host must match '),
    (body(host='a\n'), 'rest.host must match '),
    (body(host='array/../x'), 'rest.host must match '),
    (body(host='user@array'), 'rest.host must match '),
    (body(host='h' * 256), 'rest.host must have at most 255 characters.'),
    (body(port=0), 'rest.port must be at least 1.'),
    (body(port=65536), 'rest.port must be at most 65535.'),
    (body(port='65536'), 'rest.port must be at most 65535.'),
    (body(port='http'), 'rest.port must be of type integer.'),
    (body(port=' 22'), 'rest.port must be of type integer.'),
    (body(port='٢٢'), 'rest.port must be of type integer.'),
    (body(port=True), 'rest.port must be of type integer.'),
    (body(port=1e30), 'rest.port must be at most 65535.'),
    (body(port=None), 'rest.port must be of type integer.'),
    (body(username=''), 'rest.username must have at least 1 characters.'),
    (body(password=''), 'rest.password must have at least 1 characters.'),
    (body(password=SECRET * 100), 'rest.password must have at most 1024 characters.'),
    (body(password=[SECRET]), 'rest.password must be of type string.'),
    (body(password=None), 'rest.password must be of type string.'),
    (body(verify='no'), 'rest.verify must be of type boolean.'),
    (body(timeout=0), 'rest.timeout must be at least 1.'),
    (body('ssh', pub_key_type='rot13'), "ssh.pub_key_type must be one of ['ssh-ed25519', "),
    (body('ssh', verify=True), 'ssh: unknown field verify; known are '),
    (body('cli', private_key=SECRET), 'cli: unknown field private_key; known are '),
    ({**GOOD, 'extra_attributes': {'a': 7}}, 'extra_attributes.a must be of type string.'),
    ({**GOOD, 'extra_attributes': {'a': None}}, 'extra_attributes.a must be of type string.'),
    ({**GOOD, 'extra_attributes': {'a': 'x' * 4097}}, 'extra_attributes.a must have at most 4096 characters.'),
    ({**GOOD, 'extra_attributes': {'a/b': SECRET}}, 'extra_attributes: a field name may hold letters, digits, '),
    ({**GOOD, 'extra_attributes': {'': SECRET}}, 'extra_attributes: a field name may hold letters, digits, '),
    ({**GOOD, 'extra_attributes': [SECRET]}, 'extra_attributes must be of type object.'),
    ({**GOOD, 'extra_attributes': {str(number): SECRET for number in range(101)}},
     'extra_attributes must have at most 100 fields.'),
    (None, 'the body must be of type object.'), ([GOOD], 'the body must be of type object.'),
    (SECRET, 'the body must be of type object.'), (7, 'the body must be of type object.')])
def test_a_refusal_names_the_field_and_the_rule_and_no_value(document, message):
    said = refusal(document)
    assert said.removeprefix('Invalid input received. ').startswith(message) and SECRET not in said


@pytest.mark.parametrize('field', ['vendor', 'model'])
def test_a_vendor_beside_and_another_inside_is_refused(field):
    said = refusal({**GOOD, 'rest': {**REST, field: 'other'}})
    assert f'rest: unknown field {field}' in said and 'other' not in said


def test_a_vendor_in_one_section_and_another_in_the_next_is_refused():
    assert 'vendor' in refusal({'rest': {**REST, 'vendor': 'a', 'model': 'b'}, 'ssh': {**SSH, 'vendor': 'c'}})


def test_the_error_carries_no_value_in_its_arguments_either():
    with pytest.raises(exception.InvalidInput) as caught:
        registration(body(password=[SECRET]))
    assert SECRET not in f'{caught.value.error_args} {caught.value.kwargs} {caught.value!r}'


JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.just(SECRET), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=2),
                            st.dictionaries(st.sampled_from(['host', 'password', 'vendor', 'x']), inner, max_size=3)),
    max_leaves=5)
FIELDS = st.sampled_from(['host', 'port', 'username', 'password', 'private_key', 'verify', 'vendor', 'model',
                          'namespace', 'timeout', 'colour'])


@given(st.fixed_dictionaries({}, optional={
    'vendor': JUNK, 'model': JUNK, 'storage_name': JUNK, 'colour': JUNK,
    **{name: st.one_of(JUNK, st.dictionaries(FIELDS, JUNK, max_size=6)) for name in ('rest', 'ssh', 'cli', 'smis')},
    'extra_attributes': st.one_of(JUNK, st.dictionaries(st.text(max_size=4), JUNK, max_size=3))}))
def test_whatever_the_body_it_is_taken_or_refused_without_a_word_of_it(document):
    try:
        taken = registration(document)
    except exception.InvalidInput as error:
        assert SECRET not in f'{error.msg} {error.error_args!r}'
    else:
        assert {'vendor', 'model'} <= set(taken)


# --- settings of a storage ---

@pytest.mark.parametrize('given', [
    {'maintenance': True}, {'maintenance': False}, {'sync_interval_seconds': 900}, {'sync_interval_seconds': 0},
    {'sync_interval_seconds': None}, {'sync_interval_seconds': 30 * 86400}], ids=str)
def test_settings_are_taken_as_they_are(given):
    """0 and false mean something, other than an empty label."""
    assert labels(given) == given


@pytest.mark.parametrize(('given', 'message'), [
    ({'maintenance': None}, 'maintenance must be of type boolean.'),
    ({'maintenance': 1}, 'maintenance must be of type boolean.'),
    ({'maintenance': 'true'}, 'maintenance must be of type boolean.'),
    ({'sync_interval_seconds': -1}, 'sync_interval_seconds must be at least 0.'),
    ({'sync_interval_seconds': 30 * 86400 + 1}, 'sync_interval_seconds must be at most 2592000.'),
    ({'sync_interval_seconds': '900'}, "sync_interval_seconds must be of type ['integer', 'null']."),
    ({'sync_interval_seconds': 1.5}, "sync_interval_seconds must be of type ['integer', 'null']."),
    ({'sync_interval_seconds': True}, "sync_interval_seconds must be of type ['integer', 'null']."),
    ({'sync_interval': 1}, 'the body: unknown field sync_interval; known are ')], ids=str)
def test_a_setting_that_is_none_is_refused_with_its_rule(given, message):
    with pytest.raises(exception.InvalidInput) as caught:
        labels(given)
    assert caught.value.msg.removeprefix('Invalid input received. ').startswith(message)


@pytest.mark.parametrize('seconds', [60.0, 900])
def test_an_interval_is_a_whole_number(seconds):
    """60.0 is an integer to JSON Schema, not to a database."""
    assert type(labels({'sync_interval_seconds': seconds})['sync_interval_seconds']) is int


# --- asking for a sync ---

@pytest.mark.parametrize(('given', 'taken'), [
    (None, ([], False)), ({}, ([], False)), ({'force': True}, ([], True)), ({'force': False}, ([], False)),
    ({'kinds': ['volumes']}, (['volumes'], False)),
    ({'kinds': ['volumes', 'disks'], 'force': True}, (['volumes', 'disks'], True)),
    ({'kinds': list(KINDS.names())}, (list(KINDS.names()), False))], ids=str)
def test_a_sync_is_asked_for_some_kinds_or_all_with_or_without_force(given, taken):
    assert sync_request(given) == taken


@pytest.mark.parametrize(('given', 'message'), [
    ({'kinds': []}, 'kinds '), ({'kinds': 'volumes'}, 'kinds must be of type array.'),
    ({'kinds': ['volumes', 'volumes']}, 'kinds '), ({'kinds': ['Volumes']}, 'kinds.0 must be one of '),
    ({'kinds': ['storage']}, 'kinds.0 must be one of '), ({'kinds': [None]}, 'kinds.0 must be one of '),
    ({'kinds': None}, 'kinds must be of type array.'),
    ({'force': 'yes'}, 'force must be of type boolean.'), ({'force': None}, 'force must be of type boolean.'),
    ({'kind': ['volumes']}, 'the body: unknown field kind; known are force, kinds.'),
    ([], 'the body must be of type '), ('volumes', 'the body must be of type '), (7, 'the body must be of type ')],
    ids=str)
def test_a_sync_request_without_sense_is_refused_with_the_rule(given, message):
    with pytest.raises(exception.InvalidInput) as caught:
        sync_request(given)
    assert caught.value.msg.removeprefix('Invalid input received. ').startswith(message)
