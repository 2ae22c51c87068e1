# SPDX-License-Identifier: Apache-2.0
"""Access information: what of it is secret, and its three forms."""

from __future__ import annotations

import copy

import pytest

from delfin import access, cryptor, exception
from delfin.keyring import is_sealed

ID = 'storage-1'
OPEN = {
    'vendor': 'v', 'model': 'm', 'storage_name': 'n',
    'rest': {'host': '10.0.0.1', 'port': 443, 'username': 'admin', 'password': 'rest word', 'verify': True,
             'ca_cert': '-----BEGIN CERTIFICATE-----'},
    'ssh': {'host': '10.0.0.1', 'username': 'admin', 'private_key': 'key word', 'passphrase': 'pass word',
            'pub_key': 'AAAA', 'pub_key_type': 'ssh-ed25519'},
    'extra_attributes': {'array_id': '0017', 'api_token': 'token word'},
}
SECRETS = {'rest word', 'key word', 'pass word', 'token word'}
OPTIONS = {'api_token': {'secret': True}, 'array_id': {'description': 'which array'}}


def seal(values, keyring, storage_id=ID):
    return access.seal(values, storage_id, keyring, lambda name: name == 'api_token')


def test_sealing_encrypts_every_secret_and_nothing_else(keyring):
    sealed = seal(OPEN, keyring)
    hidden = {(section, name) for section in ('rest', 'ssh', 'extra_attributes')
              for name, value in sealed[section].items() if is_sealed(value)}
    assert hidden == {('rest', 'password'), ('ssh', 'private_key'), ('ssh', 'passphrase'),
                      ('extra_attributes', 'api_token')}


def test_the_sealed_form_shows_no_secret(keyring):
    assert not any(secret in str(seal(OPEN, keyring)) for secret in SECRETS)


def test_sealed_and_opened_is_what_it_was(keyring):
    assert access.unseal(seal(OPEN, keyring), ID, keyring) == OPEN


@pytest.mark.parametrize('change', [
    lambda keyring: seal(OPEN, keyring), lambda keyring: access.unseal(OPEN, ID, keyring),
    lambda keyring: access.for_driver(OPEN, ID, OPTIONS), lambda keyring: access.reseal(OPEN, ID, keyring),
    lambda keyring: access.secrets(OPEN, OPTIONS)], ids=['seal', 'unseal', 'for_driver', 'reseal', 'secrets'])
def test_no_form_changes_the_one_it_is_made_from(keyring, change):
    before = copy.deepcopy(OPEN)
    change(keyring)
    assert before == OPEN


def test_secrets_of_one_storage_do_not_open_for_another(keyring):
    with pytest.raises(exception.SecretUnreadable):
        access.unseal(seal(OPEN, keyring), 'storage-2', keyring)


def test_a_secret_moved_into_another_section_does_not_open(keyring):
    sealed = seal(OPEN, keyring)
    sealed['cli'] = {'host': 'h', 'password': sealed['rest']['password']}
    with pytest.raises(exception.SecretUnreadable):
        access.unseal(sealed, ID, keyring)


def test_no_error_shows_a_secret(keyring):
    sealed = seal(OPEN, keyring)
    with pytest.raises(exception.SecretUnreadable) as caught:
        access.unseal(sealed, 'storage-2', keyring)
    assert not any(secret in f'{caught.value!r} {caught.value}' for secret in SECRETS)


def test_a_password_that_looks_like_a_sealed_text_is_sealed_like_any_other(keyring):
    """Else a client could have its password stored, and shown in errors, in clear."""
    values = {'rest': {'password': '$delfin$1$my password$AAAA'}}
    sealed = seal(values, keyring)
    assert 'my password' not in str(sealed) and access.unseal(sealed, ID, keyring) == values


def test_an_empty_section_and_a_missing_password_are_no_problem(keyring):
    values = {'rest': None, 'cli': {}, 'ssh': {'host': 'h', 'password': None}, 'extra_attributes': None}
    assert access.unseal(seal(values, keyring), ID, keyring) == values


# --- for the driver ---

def test_a_driver_gets_its_secrets_encoded(keyring):
    given = access.for_driver(OPEN, ID, OPTIONS)
    texts = [given['rest']['password'], given['ssh']['private_key'], given['ssh']['passphrase'],
             given['extra_attributes']['api_token']]
    assert {cryptor.decode(text) for text in texts} == SECRETS and not SECRETS & set(texts)


def test_a_driver_gets_everything_else_as_it_is():
    given = access.for_driver(OPEN, ID, OPTIONS)
    assert (given['rest']['host'], given['rest']['verify'], given['ssh']['pub_key'],
            given['extra_attributes']['array_id'], given['vendor'], given['storage_id']) == (
        '10.0.0.1', True, 'AAAA', '0017', 'v', ID)


def test_an_undeclared_attribute_reaches_the_driver_in_clear():
    """A driver that declares nothing reads what the user typed, as it always did."""
    assert access.for_driver(OPEN, ID, {})['extra_attributes']['api_token'] == 'token word'


def test_a_driver_owns_its_dicts():
    values = copy.deepcopy(OPEN)
    access.for_driver(values, ID, OPTIONS)['rest']['host'] = 'elsewhere'
    assert values == OPEN


@pytest.mark.parametrize('name', ['cli', 'smis', 'extra_attributes'])
def test_what_was_never_given_is_absent_as_it_was_at_registration(name):
    """`kwargs.get('extra_attributes', {}).get(…)` must not break once the row comes from the database."""
    from_database = {**{section: None for section in ('rest', 'ssh', 'cli', 'smis')}, 'vendor': 'v', 'model': 'm',
                     'extra_attributes': None, 'rest': OPEN['rest']}
    assert name not in access.for_driver(from_database, ID, {})


# --- which attributes are secret ---

@pytest.mark.parametrize('name', ['password', 'db_passwd', 'API-KEY', 'apikey', 'private_key', 'SecretWord', 'token',
                                  'snmp_community', 'credential_file', 'passphrase'])
def test_an_undeclared_attribute_that_sounds_secret_is(name):
    assert access.secret_attributes({}, {name: 'x'}) == {name}


@pytest.mark.parametrize('name', ['array_id', 'namespace', 'site', 'keyboard', 'epoch'])
def test_an_undeclared_attribute_that_sounds_harmless_is_not_secret(name):
    assert access.secret_attributes({}, {name: 'x'}) == set()


def test_what_the_driver_declares_decides():
    options = {'token_lifetime': {'secret': False}, 'array_id': {'secret': True}, 'password_file': {}}
    assert access.secret_attributes(options, dict.fromkeys(options, 'x')) == {'array_id'}


def test_a_harmless_attribute_whose_value_looks_sealed_is_sealed():
    """Stored as it is, it would be taken for what it is not."""
    assert access.secret_attributes(OPTIONS, {'array_id': '$delfin$1$k$AAAA'}) == {'array_id'}


def test_an_option_that_is_not_given_is_not_secret():
    assert access.secret_attributes(OPTIONS, {'array_id': 'x'}) == set()


# --- for the masker, rotation ---

def test_all_secrets_are_told_to_the_masker():
    assert set(access.secrets(OPEN, OPTIONS)) == SECRETS


def test_all_secrets_are_told_to_the_masker_of_a_driver_that_declares_nothing():
    assert set(access.secrets(OPEN, {})) == SECRETS


def test_nothing_needs_sealing_anew_without_a_rotation(keyring):
    assert access.reseal(seal(OPEN, keyring), ID, keyring) is None


def test_a_rotation_seals_every_secret_with_the_new_key(keyring):
    sealed = seal(OPEN, keyring)
    keyring.add_newest()
    resealed = access.reseal(sealed, ID, keyring)
    keyring.keep_only_newest()
    assert access.unseal(resealed, ID, keyring) == OPEN


def test_a_rotation_that_was_interrupted_goes_on(keyring):
    """Some rows are done already: they are left alone, the others follow."""
    keyring.add_newest()
    assert access.reseal(seal(OPEN, keyring), ID, keyring) is None


def test_only_set_sections_are_listed():
    assert [name for name, _ in access.sections({'rest': {'host': 'h'}, 'ssh': None, 'cli': {}})] == ['rest']
