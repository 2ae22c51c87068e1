# SPDX-License-Identifier: Apache-2.0
"""Registering an array with a certificate nobody knows: what the operator reads, and which fields accept it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from tests import packages
from tests.services import Client, Site
from tests.simulators.tls import Answer, Authority, Certificate, Request, TlsServer, self_signed

PASSWORD = 'Pa55word-of-the-array'
LOGIN = 'Basic ' + base64.b64encode(f'admin:{PASSWORD}'.encode()).decode()


@pytest.fixture(scope='module')
def delfin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    package = packages.install('tls_driver', tmp_path_factory.mktemp('pip'))
    site = Site(tmp_path_factory.mktemp('tls'), python_path=(package,))
    with site.start() as process:
        client = process.ready().client
        yield client
        assert process.stop() == 0
    secret = PASSWORD.encode()
    shown = [*client.bodies, site.log.read_bytes(), process.output.encode()]
    assert not any(secret in text or LOGIN.encode() in text for text in shown)


@pytest.fixture(scope='module')
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope='module')
def certificate(authority: Authority) -> Certificate:
    return authority.issue('127.0.0.1')


@pytest.fixture
def array(certificate: Certificate) -> Iterator[TlsServer]:
    """An array of its own for each test: a serial number can be registered once."""
    def answer(request: Request) -> Answer:
        if request.headers.get('Authorization') != LOGIN:
            return Answer({'error': 'unauthorized'}, 401)
        return Answer({
            'name': 'array', 'vendor': 'TLS', 'model': 'T1', 'serial_number': f'SN-{server.port}', 'status': 'normal',
            'firmware_version': '1.0', 'location': '', 'total_capacity': 100, 'used_capacity': 40,
            'free_capacity': 60, 'raw_capacity': 120})

    with TlsServer(answer, certificate) as server:
        yield server


def body(array: TlsServer, **fields: Any) -> dict[str, Any]:
    return {'vendor': 'tls_vendor', 'model': 'tls_model',
            'rest': {'host': array.host, 'port': array.port, 'username': 'admin', 'password': PASSWORD, **fields}}


def refused(delfin: Client, array: TlsServer, **fields: Any) -> dict[str, Any]:
    """The error of a registration that must fail, without a byte of it for the array."""
    error = delfin.post('/v1/storages', body(array, **fields), 400)
    assert error['error_code'] == 'SSLCertificateFailed'
    array.settled(connections=2)
    assert array.received == b''
    return error


def test_an_unknown_certificate_is_refused_with_the_field_that_accepts_it(
        delfin: Client, array: TlsServer, certificate: Certificate) -> None:
    error = refused(delfin, array)
    assert f'rest.fingerprint = "{certificate.fingerprint}"' in error['error_msg']
    assert 'unknown issuer' in error['error_msg']
    assert error['error_args'] == [certificate.fingerprint]
    (fingerprint,) = error['error_args']
    storage = delfin.register(**body(array, fingerprint=fingerprint))
    assert (storage['serial_number'], storage['sync_status']) == (f'SN-{array.port}', 'SYNCED')


def test_its_ca_accepts_it(delfin: Client, array: TlsServer, authority: Authority) -> None:
    assert delfin.register(**body(array, ca_cert=authority.pem))['sync_status'] == 'SYNCED'


def test_verify_false_accepts_it(delfin: Client, array: TlsServer) -> None:
    assert delfin.register(**body(array, verify=False))['sync_status'] == 'SYNCED'


def test_another_fingerprint_is_refused(delfin: Client, array: TlsServer, certificate: Certificate) -> None:
    expected = self_signed('127.0.0.1').fingerprint
    error = refused(delfin, array, fingerprint=expected)
    assert expected in error['error_msg']
    assert certificate.fingerprint in error['error_msg']
    assert 'man in the middle' in error['error_msg']


@pytest.mark.parametrize('field', ['fingerprint', 'ca_cert'])
def test_rubbish_in_a_field_is_refused_by_name(delfin: Client, array: TlsServer, field: str) -> None:
    error = delfin.post('/v1/storages', body(array, **{field: 'rubbish'}), 400)
    assert error['error_code'] == 'InvalidInput'
    assert f'rest.{field} must be' in error['error_msg']
    assert array.connections == 0
