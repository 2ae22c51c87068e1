# SPDX-License-Identifier: Apache-2.0
"""Names of SNMP versions, security levels and protocols: many spellings, one canonical name each.

Canonical are the names that the REST API has always shown. Plain `AES192` and `AES256` stand for either way of making a
longer key (usm.py finds out which); `AES192C` and `AES256C` for Reeder's way alone, as Cisco has it.
"""

from __future__ import annotations

from collections.abc import Mapping

VERSION_1, VERSION_2C, VERSION_3 = 'SNMPv1', 'SNMPv2c', 'SNMPv3'
NO_AUTH_NO_PRIV, AUTH_NO_PRIV, AUTH_PRIV = 'noAuthnoPriv', 'authNoPriv', 'authPriv'

# All names in small letters, without what separates words, without `usm` before and `AuthProtocol` or the like behind.
_VERSIONS = {
    VERSION_1: '1 v1 snmp1 snmpv1',
    VERSION_2C: '2 2c v2 v2c snmp2c snmpv2 snmpv2c',
    VERSION_3: '3 v3 snmp3 snmpv3',
}
_LEVELS = {
    NO_AUTH_NO_PRIV: 'noauthnopriv',
    AUTH_NO_PRIV: 'authnopriv',
    AUTH_PRIV: 'authpriv',
}
_AUTH = {
    'HMACMD5': 'md5 hmacmd5 hmacmd596 hmac96md5',
    'HMACSHA': 'sha sha1 hmacsha hmacsha1 hmacsha96 hmacsha196 hmac96sha hmac96sha1',
    'HMCSHA2224': 'sha224 sha2224 hmacsha224 hmacsha2224 hmcsha224 hmcsha2224 hmac128sha224',
    'HMCSHA2256': 'sha256 sha2256 hmacsha256 hmacsha2256 hmcsha256 hmcsha2256 hmac192sha256',
    'HMCSHA2384': 'sha384 sha2384 hmacsha384 hmacsha2384 hmcsha384 hmcsha2384 hmac256sha384',
    'HMCSHA2512': 'sha512 sha2512 hmacsha512 hmacsha2512 hmcsha512 hmcsha2512 hmac384sha512',
}
_PRIVACY = {
    'DES': 'des des56 descbc cbcdes',
    '3DES': '3des des3 tripledes 3desede 3desedecbc cbc3des cbc3desede',
    'AES': 'aes aes128 aescfb128 aes128cfb cfb128aes cfb128aes128',
    'AES192': 'aes192 aescfb192 aes192cfb cfb128aes192 cfb192aes aes192b aes192blumenthal',
    'AES256': 'aes256 aescfb256 aes256cfb cfb128aes256 cfb256aes aes256b aes256blumenthal',
    'AES192C': 'aes192c aes192cisco aes192reeder',
    'AES256C': 'aes256c aes256cisco aes256reeder',
}


def _by_alias(names: Mapping[str, str]) -> dict[str, str]:
    return {alias: name for name, aliases in names.items() for alias in aliases.split()}


_VERSION_OF, _LEVEL_OF, _AUTH_OF, _PRIVACY_OF = map(_by_alias, (_VERSIONS, _LEVELS, _AUTH, _PRIVACY))


def _plain(name: str) -> str:
    plain = ''.join(filter(str.isalnum, name)).lower()
    for ending in ('authprotocol', 'privprotocol', 'protocol'):
        plain = plain.removesuffix(ending)
    return plain.removeprefix('usm')


def canonical_version(name: str) -> str | None:
    """`SNMPv1`, `SNMPv2c` or `SNMPv3`; None for an unknown name."""
    return _VERSION_OF.get(_plain(name))


def canonical_level(name: str) -> str | None:
    """`noAuthnoPriv`, `authNoPriv` or `authPriv`; None for an unknown name."""
    return _LEVEL_OF.get(_plain(name))


def canonical_auth(name: str) -> str | None:
    """Such as `HMACSHA`, `HMCSHA2256`; None for an unknown name."""
    return _AUTH_OF.get(_plain(name))


def canonical_privacy(name: str) -> str | None:
    """Such as `AES`, `3DES`, `AES256C`; None for an unknown name."""
    return _PRIVACY_OF.get(_plain(name))
