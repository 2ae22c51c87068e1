# SPDX-License-Identifier: Apache-2.0
"""However somebody writes the name of a protocol, the same one is meant."""

from __future__ import annotations

import pytest

from delfin.alert_manager.snmp.protocols import canonical_auth, canonical_level, canonical_privacy, canonical_version

AUTH = {
    'HMACMD5': 'HMACMD5 MD5 md5 HMAC-MD5 HMAC-MD5-96 usmHMACMD5AuthProtocol',
    'HMACSHA': 'HMACSHA SHA SHA1 SHA-1 sha_1 HMAC-SHA-96 usmHMACSHAAuthProtocol',
    'HMCSHA2224': 'HMCSHA2224 hmcsha2224 SHA224 SHA-224 SHA2-224 HMAC-SHA-224 hmac128sha224',
    'HMCSHA2256': 'HMCSHA2256 SHA256 sha-256 HMAC-SHA-256 HMACSHA256 usmHMAC192SHA256AuthProtocol',
    'HMCSHA2384': 'HMCSHA2384 SHA384 SHA-384 HMACSHA2384 usmHMAC256SHA384AuthProtocol',
    'HMCSHA2512': 'HMCSHA2512 SHA512 SHA-512 HMACSHA512 usmHMAC384SHA512AuthProtocol',
}
PRIVACY = {
    'DES': 'DES des DES56 CBC-DES usmDESPrivProtocol',
    '3DES': '3DES 3des 3DESEDE 3DES-EDE TripleDES usm3DESEDEPrivProtocol',
    'AES': 'AES aes AES128 AES-128 aes_128 CFB128-AES-128 usmAesCfb128Protocol',
    'AES192': 'AES192 AES-192 aes192',
    'AES256': 'AES256 AES-256 aes256',
    'AES192C': 'AES192C AES-192-C aes192c',
    'AES256C': 'AES256C AES-256-C',
}
LEVELS = {
    'noAuthnoPriv': 'noAuthnoPriv noAuthNoPriv NOAUTHNOPRIV noauth-nopriv',
    'authNoPriv': 'authNoPriv authnopriv AuthNoPriv',
    'authPriv': 'authPriv AUTHPRIV auth_priv',
}
VERSIONS = {
    'SNMPv1': 'SNMPv1 snmpv1 SNMPV1 v1 1',
    'SNMPv2c': 'SNMPv2c snmpv2c SNMPV2C SNMPv2 v2c 2c',
    'SNMPv3': 'SNMPv3 snmpv3 SNMPV3 v3 3',
}
TABLES = [(canonical_auth, AUTH), (canonical_privacy, PRIVACY), (canonical_level, LEVELS),
          (canonical_version, VERSIONS)]


@pytest.mark.parametrize(('canonical', 'spelling', 'name'), [
    (canonical, spelling, name) for canonical, table in TABLES
    for name, spellings in table.items() for spelling in spellings.split()])
def test_every_usual_spelling_is_known(canonical, spelling, name):
    assert canonical(spelling) == name


@pytest.mark.parametrize('canonical', [canonical for canonical, _ in TABLES])
@pytest.mark.parametrize('name', ['', '-', 'none', 'usmNoAuthProtocol', 'AES512', 'SHA3-256', 'SNMPv4', 'ÄES'])
def test_what_is_no_protocol_is_not_taken_for_one(canonical, name):
    assert canonical(name) is None


def test_a_cipher_is_no_authentication():
    assert canonical_auth('AES') is None and canonical_privacy('SHA') is None
