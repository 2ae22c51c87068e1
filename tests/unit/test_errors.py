# SPDX-License-Identifier: Apache-2.0
"""Whatever a driver raises becomes an error of Delfin's family, without secrets."""

from __future__ import annotations

import json
import socket

import paramiko
import pytest
import requests
from paramiko.ssh_exception import NoValidConnectionsError

from delfin import exception
from delfin.common.masking import MASK
from delfin.drivers.errors import translate
from tests.unit.support import UnprintableError, mask_nothing, masker_for

SECRET = 's3cret-word'
MASKER = masker_for(SECRET)


def translated(error, mask=mask_nothing):
    return translate(error, 'list_volumes', mask)


# The classes as drivers meet them, and ours.
TABLE = [
    (requests.exceptions.SSLError('certificate verify failed'), exception.SSLCertificateFailed),
    (requests.exceptions.ConnectTimeout('slow'), exception.ConnectTimeout),
    (requests.exceptions.ReadTimeout('slow'), exception.HTTPConnectionTimeout),
    (requests.exceptions.Timeout('slow'), exception.HTTPConnectionTimeout),
    (requests.exceptions.ConnectionError('refused'), exception.InvalidIpOrPort),
    (requests.exceptions.ProxyError('refused'), exception.InvalidIpOrPort),
    (requests.exceptions.JSONDecodeError('no json', 'doc', 0), exception.BadResponse),
    (requests.exceptions.HTTPError('500'), exception.BadResponse),
    (requests.exceptions.TooManyRedirects('x'), exception.BadResponse),
    (paramiko.AuthenticationException('no'), exception.InvalidUsernameOrPassword),
    (paramiko.PasswordRequiredException('no'), exception.InvalidUsernameOrPassword),
    (paramiko.SSHException('protocol'), exception.SSHException),
    (NoValidConnectionsError({('10.0.0.1', 22): ConnectionRefusedError()}), exception.InvalidIpOrPort),
    (socket.gaierror(-2, 'Name or service not known'), exception.InvalidIpOrPort),
    (TimeoutError('timed out'), exception.ConnectTimeout),
    (ConnectionRefusedError('refused'), exception.InvalidIpOrPort),
    (ConnectionResetError('reset'), exception.StorageBackendException),
    (BrokenPipeError('pipe'), exception.StorageBackendException),
    (KeyError('name'), exception.StorageBackendException),
    (ZeroDivisionError('division by zero'), exception.StorageBackendException),
    (json.JSONDecodeError('no json', 'doc', 0), exception.StorageBackendException),
    (SystemExit(1), exception.StorageBackendException),
    (KeyboardInterrupt(), exception.StorageBackendException),
]


@pytest.mark.parametrize(('error', 'ours'), TABLE, ids=lambda value: getattr(value, '__name__', type(value).__name__))
def test_errors_of_libraries_become_ours(error, ours):
    assert type(translated(error)) is ours


def test_a_host_key_that_is_not_the_known_one_is_told_apart():
    key = paramiko.RSAKey.generate(1024)
    assert type(translated(paramiko.BadHostKeyException('array', key, key))) is exception.SSHNotFoundKnownHosts


def test_an_unexpected_error_says_what_was_done_and_what_it_was():
    assert translated(KeyError('name')).msg == "Exception from Storage Backend: list_volumes raised KeyError: 'name'."


def test_an_unexpected_error_without_text_still_says_its_class():
    assert translated(ValueError()).msg == 'Exception from Storage Backend: list_volumes raised ValueError.'


def test_the_text_of_a_library_follows_our_sentence():
    assert translated(requests.exceptions.ConnectionError('no route')).msg == 'Invalid ip or port.: no route' or (
        translated(requests.exceptions.ConnectionError('no route')).msg == 'Invalid ip or port: no route')


@pytest.mark.parametrize('error', [error for error, _ in TABLE], ids=lambda error: type(error).__name__)
def test_no_secret_of_the_original_is_left(error):
    error.args = (f'user admin password {SECRET}',)
    clean = translated(error, MASKER.mask)
    assert SECRET not in f'{clean} {clean!r} {clean.msg} {clean.error_args} {clean.kwargs} {clean.__cause__!r}'


def test_a_very_long_text_is_cut():
    assert len(translated(ValueError('x' * 100000)).msg) < 3000


def test_a_secret_at_the_cut_is_masked_before_it_is_cut():
    clean = translated(ValueError('x' * 1995 + SECRET), MASKER.mask)
    assert SECRET[:5] not in clean.msg


def test_an_error_that_cannot_be_printed_is_still_an_error():
    assert 'UnprintableError' in translated(UnprintableError()).msg


# --- drivers' own errors ---

def test_an_error_of_our_family_keeps_its_class_arguments_and_text():
    clean = translated(exception.StorageBackendException('busy'))
    assert (type(clean), clean.error_args, clean.msg) == (
        exception.StorageBackendException, ('busy',), 'Exception from Storage Backend: busy.')


def test_an_error_of_our_family_is_cleaned_of_secrets():
    clean = translated(exception.StorageBackendException(f'{SECRET} is wrong', message=f'login {SECRET}'), MASKER.mask)
    assert (clean.error_args, clean.msg) == ((f'{MASK} is wrong',), f'login {MASK}')


def test_a_text_of_its_own_survives():
    assert translated(exception.InvalidResults(message='own text')).msg == 'own text'


def test_the_original_stays_behind_with_its_cause_and_traceback():
    try:
        try:
            raise ValueError(SECRET)
        except ValueError as inner:
            raise exception.BadResponse() from inner
    except exception.BadResponse as error:
        original = error
    clean = translated(original, MASKER.mask)
    assert clean is not original
    assert (clean.__cause__, clean.__context__, clean.__traceback__) == (None, None, None)


class Private(exception.InvalidUsernameOrPassword):
    """A driver's own class."""

    msg_fmt = 'The array says {0}'


class PrivateOfPrivate(Private):
    pass


@pytest.mark.parametrize('error_class', [Private, PrivateOfPrivate], ids=lambda error: error.__name__)
def test_a_private_subclass_becomes_the_nearest_public_class_with_its_text(error_class):
    """The other end of RPC must know the class."""
    clean = translated(error_class('no'))
    assert (type(clean), clean.msg, clean.error_args) == (
        exception.InvalidUsernameOrPassword, 'The array says no', ('no',))


class OwnConstructor(exception.InvalidUsernameOrPassword):
    """Takes something else than the family does."""

    def __init__(self, code, detail):
        super().__init__(f'{code}: {detail}')
        self.msg = f'array error {code}: {detail}'


def test_a_private_subclass_with_a_constructor_of_its_own_keeps_its_meaning():
    """It decides whether the rest of a sync may go on trying to log in."""
    clean = translated(OwnConstructor(17, 'locked'))
    assert type(clean) is exception.InvalidUsernameOrPassword and 'array error 17: locked' in clean.msg


def test_a_private_subclass_with_a_constructor_of_its_own_is_cleaned():
    assert SECRET not in translated(OwnConstructor(17, SECRET), MASKER.mask).msg


class NeverInitialised(exception.BadResponse):
    """Its constructor forgets to call ours: it has no msg and no arguments."""

    def __init__(self):
        pass


class BrokenText(exception.BadResponse):
    def __str__(self):
        raise RuntimeError('no text')


@pytest.mark.parametrize('error_class', [NeverInitialised, BrokenText], ids=lambda error: error.__name__)
def test_a_broken_subclass_is_still_an_error_of_the_family(error_class):
    clean = translated(error_class())
    assert type(clean).__module__ == 'delfin.exception' and isinstance(clean.msg, str)


def test_arguments_that_cannot_be_printed_do_no_harm():
    assert isinstance(translated(exception.BadResponse(UnprintableError())), exception.DelfinException)


# --- the family itself ---

def test_arguments_fill_the_template():
    assert exception.VolumeNotFound('v1').msg == str(exception.VolumeNotFound('v1')) == 'Volume v1 could not be found.'


def test_missing_arguments_leave_the_template_and_surplus_ones_are_ignored():
    assert (exception.VolumeNotFound().msg, exception.VolumeNotFound('a', 'b').msg) == (
        'Volume {0} could not be found.', 'Volume a could not be found.')


def test_braces_in_an_argument_do_no_harm():
    assert exception.VolumeNotFound('{0}{x}').msg == 'Volume {0}{x} could not be found.'


def test_the_code_of_an_error_is_its_class_name_on_both_sides_of_rpc():
    remote = type('VolumeNotFound_Remote', (exception.VolumeNotFound,), {})
    assert exception.VolumeNotFound('v').error_code == remote('v').error_code == 'VolumeNotFound'
