# SPDX-License-Identifier: Apache-2.0
"""What an SNMP configuration may look like, and how it is completed by the one that is stored."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

import fastjsonschema

from delfin import exception
from delfin.alert_manager.snmp import protocols
from delfin.alert_manager.snmp.protocols import AUTH_NO_PRIV, AUTH_PRIV, NO_AUTH_NO_PRIV, VERSION_3
from delfin.api.schemas.check import checked, integers
from delfin.common.masking import MASK
from delfin.db.alert_sources import SECRETS
from delfin.kinds import TEXT_LENGTH

Values = dict[str, Any]

_PORT = {'type': 'integer', 'minimum': 1, 'maximum': 65535}
_KEY = {'type': 'string', 'minLength': 8, 'maxLength': 1024}
# Letters, digits, - and _; in an IPv6 address also : and the % before a zone; commas and blanks between several.
_HOSTS = r'^[A-Za-z0-9._:%, -]+$'
_ENGINE_ID = r'^(0[xX])?([0-9A-Fa-f]{2}){5,32}$'
_KEPT = 'what is left out stays as it is'
_SECRET = f'never shown; left out (or sent as {MASK}) it stays as it is while version and username do'


def _named(names: list[str], description: str) -> Values:
    return {'type': 'string', 'enum': names,
            'description': f'{description}; case does not matter, and the usual other names are understood'}


CONFIG: Values = {
    'type': 'object',
    'properties': {
        'host': {'type': 'string', 'minLength': 1, 'maxLength': TEXT_LENGTH, 'pattern': _HOSTS,
                 'description': 'where traps come from: addresses and host names, with commas'},
        'version': {'type': 'string', 'enum': ['SNMPv1', 'SNMPv2c', 'SNMPv3'],
                    'description': 'case does not matter, and v1, v2c, v3 are understood'},
        'community_string': {'type': 'string', 'minLength': 1, 'maxLength': 255,
                             'description': f'SNMPv1 and SNMPv2c need it; {_SECRET}'},
        'username': {'type': 'string', 'minLength': 1, 'maxLength': 32, 'description': 'SNMPv3 needs it'},
        'security_level': _named([NO_AUTH_NO_PRIV, AUTH_NO_PRIV, AUTH_PRIV], 'SNMPv3 needs it'),
        'auth_protocol': _named(['HMACMD5', 'HMACSHA', 'HMCSHA2224', 'HMCSHA2256', 'HMCSHA2384', 'HMCSHA2512'],
                                f'{AUTH_NO_PRIV} and {AUTH_PRIV} need it'),
        'auth_key': {**_KEY, 'description': f'{AUTH_NO_PRIV} and {AUTH_PRIV} need it; {_SECRET}'},
        'privacy_protocol': _named(['DES', '3DES', 'AES', 'AES192', 'AES256', 'AES192C', 'AES256C'],
                                   f'{AUTH_PRIV} needs it; AES192C and AES256C extend the key as Cisco does, AES192 '
                                   'and AES256 find out how'),
        'privacy_key': {**_KEY, 'description': f'{AUTH_PRIV} needs it; {_SECRET}'},
        'engine_id': {'type': 'string', 'pattern': _ENGINE_ID,
                      'description': "the device's, 5 to 32 octets in hex; learned if it is not given"},
        'context_name': {'type': 'string', 'maxLength': 32, 'description': _KEPT},
        'port': {**_PORT, 'description': f'of the SNMP agent of the device, default 161; {_KEPT}'},
        'retry_num': {'type': 'integer', 'minimum': 0, 'maximum': 10,
                      'description': f'how often a question to the agent is repeated, default 1; {_KEPT}'},
        'expiration': {'type': 'integer', 'minimum': 1, 'maximum': 60,
                       'description': f'seconds to wait for an answer of the agent, default 2; {_KEPT}'},
    },
    'required': ['host', 'version'],
    'additionalProperties': False,
}


def _or_empty(name: str, rules: Values) -> Values:
    nothing = [None, '', MASK] if name in SECRETS else [None, '']
    return rules if name in CONFIG['required'] else {
        'anyOf': [rules, {'enum': nothing}], 'description': rules['description']}


# The same as clients may write it: `config` takes out what says nothing before the rest is checked.
CONFIG_OR_EMPTY: Values = {
    **CONFIG, 'properties': {name: _or_empty(name, rules) for name, rules in CONFIG['properties'].items()}}
PUSH: Values = {
    'type': ['object', 'null'],
    'properties': {
        'host': {'type': ['string', 'null'], 'minLength': 1, 'maxLength': TEXT_LENGTH,
                 'pattern': r'^[A-Za-z0-9._:%-]+$',
                 'description': 'where the array is to send traps to; by default [alerts] trap_host'},
        'port': {**_PORT, 'type': ['integer', 'null'], 'description': 'by default [alerts] trap_port'},
    },
    'additionalProperties': False,
}

MERGED = ('context_name', 'port', 'retry_num', 'expiration')
_V3_TEXTS = ('username', 'security_level', 'auth_protocol', 'privacy_protocol', 'engine_id')
_NAMES: dict[str, Callable[[str], str | None]] = {
    'version': protocols.canonical_version, 'security_level': protocols.canonical_level,
    'auth_protocol': protocols.canonical_auth, 'privacy_protocol': protocols.canonical_privacy,
}
# What a level needs beside the user: names, then secrets.
_NEEDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    NO_AUTH_NO_PRIV: ((), ()),
    AUTH_NO_PRIV: (('auth_protocol',), ('auth_key',)),
    AUTH_PRIV: (('auth_protocol', 'privacy_protocol'), ('auth_key', 'privacy_key')),
}
_LABEL = re.compile(r'[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?')
_HOST_NAME_LENGTH = 253

_OPTIONAL = CONFIG['properties'].keys() - set(CONFIG['required'])

_validate_config = fastjsonschema.compile(CONFIG)
_validate_push = fastjsonschema.compile(PUSH)


def config(body: Any) -> Values:
    """The body of `PUT /v1/storages/{id}/snmp-config` in normal form: canonical names, no secret that is none.

    None is what of `MERGED` is taken away. `InvalidInput` names the field and the rule, never a value.
    """
    empty = {name for name, value in body.items() if _says_nothing(name, value)} if isinstance(body, dict) else set()
    if empty:
        body = {name: value for name, value in body.items() if name not in empty}
    given = integers(checked(_validate_config, _with_canonical_names(body)))
    if 'engine_id' in given:
        given['engine_id'] = given['engine_id'].lower().removeprefix('0x')
    return given | dict.fromkeys(empty.intersection(MERGED))


def _says_nothing(name: str, value: Any) -> bool:
    return name in _OPTIONAL and (value is None or value == '' or (name in SECRETS and value == MASK))


def _with_canonical_names(body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    return {name: (_NAMES[name](value) or value) if name in _NAMES and isinstance(value, str) else value
            for name, value in body.items()}


def complete(given: Mapping[str, Any], stored: Mapping[str, Any] | None) -> Values:
    """All columns of the configuration: `given` (as `config` makes it, its secrets sealed) over `stored`.

    What the version or level has no use for is None. `InvalidInput` names what is missing, or no host.
    """
    for host in given['host'].split(','):
        check_host(host.strip())
    version = given['version']
    names, secrets, why = _needs(given)
    same = stored is not None and stored['version'] == version and (
        version != VERSION_3 or stored['username'] == given.get('username'))
    kept = {name: stored[name] for name in secrets if stored is not None and same and stored[name]}
    chosen = {**kept, **{name: given[name] for name in secrets if name in given}}
    _require(chosen, secrets, why)
    merged = {name: given[name] if name in given else (stored or {}).get(name) for name in MERGED}
    return {'host': given['host'], 'version': version, **dict.fromkeys((*_V3_TEXTS, *SECRETS)),
            **{name: given.get(name) for name in names}, **chosen, **merged}


def _needs(given: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """The texts and the secrets that version and level have a use for, and what to say when one is missing."""
    version = given['version']
    if version != VERSION_3:
        return (), ('community_string',), f'with {version}'
    _require(given, ('username', 'security_level'), f'with {version}')
    level = given['security_level']
    names, secrets = _NEEDS[level]
    _require(given, names, f'with {level}')
    return ('username', 'security_level', *names, 'engine_id'), secrets, f'with {level}'


def _require(given: Mapping[str, Any], names: tuple[str, ...], why: str) -> None:
    missing = [name for name in names if given.get(name) is None]
    if missing:
        raise exception.InvalidInput(f'{why}: {", ".join(missing)} is required.')


def push(body: Any) -> tuple[str | None, int | None]:
    """The body of `POST /v1/storages/{id}/snmp-config/push`: host and port, if they are given."""
    given = integers(checked(_validate_push, {} if body is None else body))
    return given.get('host'), given.get('port')


def check_host(host: str) -> None:
    """`InvalidInput` unless it is an IPv4 or IPv6 address, or can be a host name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        labels = host.removesuffix('.').split('.')
        # The last part of a name is never a number: 10.0.0.256 is a mistyped address.
        if (len(host) > _HOST_NAME_LENGTH or labels[-1].isdigit()
                or not all(_LABEL.fullmatch(label) for label in labels)):
            raise exception.InvalidInput(
                f'host: {host[:64]!r} is neither an IPv4 or IPv6 address nor a host name.') from None
