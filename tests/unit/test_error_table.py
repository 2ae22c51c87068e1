# SPDX-License-Identifier: Apache-2.0
"""Every error has the HTTP status that CONVENTIONS gives it, and one shape."""

from __future__ import annotations

import json

import pytest

from delfin import exception
from delfin.api import errors
from tests.unit.support import error_classes

STATUS = {
    400: ['BadRequest', 'Invalid', 'InvalidCredential', 'InvalidInput', 'InvalidIpOrPort', 'InvalidName',
          'InvalidPrivateKey', 'InvalidSNMPConfig', 'InvalidUsernameOrPassword', 'MalformedRequestBody',
          'MalformedRequestUrl', 'SNMPConnectionFailed', 'SSHNotFoundKnownHosts', 'SSLCertificateFailed',
          'SSLHandshakeFailed'],
    403: ['NotAuthorized'],
    404: ['AccessInfoNotFound', 'AlertNotFound', 'AlertSourceNotFound', 'AlertSourceNotFoundWithHost',
          'ComponentNotFound', 'ConfigNotFound', 'ControllerListNotFound', 'ControllerNotFound', 'DiskNotFound',
          'FailedTaskNotFound', 'FilesystemNotFound', 'MaskingViewNotFound', 'NoSuchAction', 'NotFound',
          'PasteAppNotFound', 'PortGroupNotFound', 'PortGrpPortRelNotFound', 'PortListNotFound', 'PortNotFound',
          'QtreeNotFound', 'QuotaNotFound', 'ShareNotFound', 'StorageBackendNotFound', 'StorageDriverNotFound',
          'StorageHostGroupNotFound', 'StorageHostGrpHostRelNotFound', 'StorageHostInitiatorNotFound',
          'StorageHostNotFound', 'StorageNotFound', 'StoragePoolNotFound', 'SyncRunNotFound', 'TaskNotFound',
          'VolGrpVolRelationNotFound', 'VolumeGroupNotFound', 'VolumeNotFound'],
    405: ['MethodNotAllowed'],
    409: ['AlertIsNotOpen', 'StorageAlreadyExists', 'StorageIsSyncing', 'StorageSerialNumberMismatch'],
    413: ['RequestBodyTooLarge'],
    415: ['InvalidContentType'],
    501: ['EmptyResourceMetrics', 'StorageCapabilityNotSupported'],
    502: ['BadResponse', 'InvalidResults', 'InvalidStorageCapability', 'SSHException', 'StorageBackendException',
          'StorageClearAlertFailed', 'StorageListAlertFailed', 'StorageMaxUserCountException',
          'StoragePerformanceCollectionFailed'],
    503: ['ServiceUnavailable', 'StorageQuarantined'],
    504: ['ConnectTimeout', 'DriverCallTimeout', 'HTTPConnectionTimeout', 'SSHConnectTimeout'],
    # Our own bugs and what an operator has to mend.
    500: ['DelfinException', 'DuplicateExtension', 'ImproperIPVersion', 'IncompleteTrapInformation', 'InvalidCAPath',
          'InvalidConfiguration', 'LockAcquisitionFailed', 'LockCreationFailed', 'SSHInjectionThreat',
          'SecretUnreadable', 'TelemetryTaskExecError'],
}
EXPECTED = {name: status for status, names in STATUS.items() for name in names}


def body_of(error):
    answer = errors.response(error, 'req-1')
    return json.loads(answer.body), answer


@pytest.mark.parametrize('error', error_classes(), ids=lambda error: error.__name__)
def test_every_error_has_its_status(error):
    assert errors.status_of(error('a', 'b')) == EXPECTED[error.__name__]


def test_the_table_names_no_error_that_does_not_exist():
    assert set(EXPECTED) == {error.__name__ for error in error_classes()}


@pytest.mark.parametrize('error', [ValueError('x'), KeyError('x'), Exception()], ids=lambda error: type(error).__name__)
def test_anything_else_is_our_bug(error):
    assert errors.status_of(error) == 500


def test_an_error_from_the_other_end_of_rpc_has_the_same_status():
    remote = type('StorageIsSyncing_Remote', (exception.StorageIsSyncing,), {})
    assert errors.status_of(remote('id')) == 409


@pytest.mark.parametrize('error', error_classes(), ids=lambda error: error.__name__)
def test_every_error_has_the_one_shape(error):
    body, answer = body_of(error('a', 'b'))
    assert set(body) == {'error_code', 'error_msg', 'error_args', 'request_id'}
    assert (body['error_code'], body['error_args'], body['request_id'], answer.content_type) == (
        error.__name__, ['a', 'b'], 'req-1', 'application/json')


@pytest.mark.parametrize('error', error_classes(), ids=lambda error: error.__name__)
def test_exactly_the_errors_with_503_say_when_to_come_again(error):
    _, answer = body_of(error('a', 'b'))
    assert ('Retry-After' in answer.headers) == (answer.status_int == 503)
    assert answer.headers.get('Retry-After', '1').isdigit()


def test_a_method_that_is_not_allowed_comes_with_those_that_are():
    _, answer = body_of(exception.MethodNotAllowed('PUT', 'GET, POST'))
    assert answer.headers['Allow'] == 'GET, POST'


@pytest.mark.parametrize('argument', [object(), b'bytes', {'a': 1}, ['a'], ValueError('x')],
                         ids=lambda value: type(value).__name__)
def test_arguments_that_are_no_json_are_shown_as_text(argument):
    assert body_of(exception.VolumeNotFound(argument))[0]['error_args'] == [str(argument)]


@pytest.mark.parametrize('error', [
    exception.StorageBackendException('bad \udc80 byte'), exception.InvalidResults(float('nan')),
    exception.StorageBackendException('NUL \0')], ids=['surrogate', 'nan', 'nul'])
def test_every_error_can_be_answered(error):
    """Texts and arguments come from drivers; an answer of 500 about the answer would hide them."""
    assert body_of(error)[1].status_int in (404, 502)
