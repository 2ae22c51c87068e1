# SPDX-License-Identifier: Apache-2.0
"""What a registration may look like, and its one normal form."""

from __future__ import annotations

import re
from typing import Any

import fastjsonschema

from delfin import exception
from delfin.api.schemas.check import checked, integers
from delfin.common.constants import ACCESS_TYPE
from delfin.db.storages import SETTINGS
from delfin.kinds import KINDS

_TEXT = {'type': 'string', 'minLength': 1, 'maxLength': 255}
_HOST = {'type': 'string', 'minLength': 1, 'maxLength': 255, 'pattern': r'^[A-Za-z0-9._:%-]+$'}
_KEY_TYPES = ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521', 'ssh-rsa', 'ssh-dss']

_COMMON: dict[str, Any] = {
    'host': _HOST,
    'port': {'type': 'integer', 'minimum': 1, 'maximum': 65535},
    'username': _TEXT,
    'password': {'type': 'string', 'minLength': 1, 'maxLength': 1024},
    'timeout': {'type': 'integer', 'minimum': 1, 'maximum': 3600},
}
_TLS: dict[str, Any] = {
    'verify': {'type': 'boolean'},
    'ca_cert': {'type': 'string', 'minLength': 1, 'maxLength': 65535},
    'fingerprint': {'type': 'string', 'minLength': 1, 'maxLength': 255},
}
_SSH: dict[str, Any] = {
    'pub_key': {'type': 'string', 'minLength': 1, 'maxLength': 4096},
    'pub_key_type': {'enum': _KEY_TYPES},
    'fingerprint': _TLS['fingerprint'],
    'private_key': {'type': 'string', 'minLength': 1, 'maxLength': 16384},
    'passphrase': {'type': 'string', 'minLength': 1, 'maxLength': 1024},
    'old_algorithms': {'type': 'boolean', 'description': 'allow signatures and key exchanges with SHA-1; paramiko 4'},
}


def _section(required: list[str], more: dict[str, Any]) -> dict[str, Any]:
    return {'type': 'object', 'properties': {**_COMMON, **more}, 'required': required, 'additionalProperties': False}


REGISTER: dict[str, Any] = {
    'type': 'object',
    'properties': {
        'vendor': _TEXT, 'model': _TEXT, 'storage_name': _TEXT,
        'rest': _section(['host', 'port', 'username', 'password'], _TLS),
        'ssh': _section(['host', 'username'], _SSH),
        # Some command-line tools reach this very machine and need no login.
        'cli': _section(['host'], {}),
        'smis': _section(['host', 'username', 'password'], {**_TLS, 'namespace': _TEXT}),
        'extra_attributes': {
            'type': 'object', 'maxProperties': 100, 'additionalProperties': False,
            'patternProperties': {r'^[A-Za-z0-9_:. -]{1,255}$': {'type': 'string', 'maxLength': 4096}},
        },
    },
    'required': ['vendor', 'model'],
    'anyOf': [{'required': [name]} for name in ACCESS_TYPE],
    'additionalProperties': False,
}

# Any part of a section may be given: it is merged over what is stored, then the array is asked.
ACCESS_UPDATE: dict[str, Any] = {
    'type': 'object',
    'properties': {
        **{name: {**REGISTER['properties'][name], 'required': []} for name in ACCESS_TYPE},
        'extra_attributes': REGISTER['properties']['extra_attributes'],
    },
    'minProperties': 1,
    'additionalProperties': False,
}


def _or_null(section: dict[str, Any]) -> dict[str, Any]:
    return {**section, 'properties': {field: {'anyOf': [rules, {'type': 'null'}]}
                                      for field, rules in section['properties'].items()}}


# The same as clients may write it: `access_update` takes the nulls out before the rest is checked.
ACCESS_UPDATE_OR_NULL = {
    **ACCESS_UPDATE,
    'description': 'what is given is changed; null takes a field away, as an empty text does an extra attribute',
    'properties': {**ACCESS_UPDATE['properties'],
                   **{name: _or_null(ACCESS_UPDATE['properties'][name]) for name in ACCESS_TYPE}},
}
LABELS = {
    'type': 'object',
    'properties': {
        'display_name': {'type': ['string', 'null'], 'maxLength': 255},
        'name': {'type': ['string', 'null'], 'maxLength': 255},
        'description': {'type': ['string', 'null'], 'maxLength': 4096},
        'note': {'type': ['string', 'null'], 'maxLength': 4096},
        'site': {'type': ['string', 'null'], 'maxLength': 255},
        'tags': {'type': ['array', 'null'], 'maxItems': 64, 'uniqueItems': True, 'items': _TEXT},
        'maintenance': {'type': 'boolean', 'description': 'while true the array is only asked when somebody asks'},
        'sync_interval_seconds': {
            'type': ['integer', 'null'], 'minimum': 0, 'maximum': 30 * 86400,
            'description': 'pause between syncs that nobody asks for; 0 is never, null as the installation has it'},
    },
    'additionalProperties': False,
}
SYNC: dict[str, Any] = {
    'type': ['object', 'null'],
    'properties': {
        'kinds': {'type': 'array', 'minItems': 1, 'uniqueItems': True, 'items': {'enum': list(KINDS.names())},
                  'description': 'what is to be synced beside the storage itself; everything if it is left out'},
        'force': {'type': 'boolean', 'description': 'believe the array at once, even when most rows have gone'},
    },
    'additionalProperties': False,
}
# What clients call them -> what they are.
_LABEL_NAMES = {'name': 'display_name', 'description': 'note'}

_validate = fastjsonschema.compile(REGISTER)
_validate_access = fastjsonschema.compile(ACCESS_UPDATE)
_validate_labels = fastjsonschema.compile(LABELS)
_validate_sync = fastjsonschema.compile(SYNC)


def registration(body: Any) -> dict[str, Any]:
    """The body of `POST /v1/storages` in normal form; `InvalidInput` names the field and the rule, never a value."""
    body = normal_form(body)
    if isinstance(body, dict) and not any(name in body for name in ACCESS_TYPE):
        raise exception.InvalidInput(f'At least one of {", ".join(ACCESS_TYPE)} is required.')
    return checked(_validate, body)


def access_update(body: Any) -> dict[str, Any]:
    """The body of `PUT /v1/storages/{id}/access-info`. A field that is null is to be forgotten."""
    body = normal_form(body, with_driver=False)
    forgotten: dict[str, dict[str, None]] = {}
    if isinstance(body, dict):
        for name in ACCESS_TYPE:
            if isinstance(body.get(name), dict):
                forgotten[name] = {field: None for field, value in body[name].items()
                                   if value is None and field in REGISTER['properties'][name]['properties']}
                body[name] = {field: value for field, value in body[name].items() if field not in forgotten[name]}
    given = checked(_validate_access, body)
    return {**given, **{name: {**given[name], **fields} for name, fields in forgotten.items()}}


def labels(body: Any) -> dict[str, Any]:
    """The body of `PUT /v1/storages/{id}` by our column names; empty texts mean none."""
    given = integers(checked(_validate_labels, body))
    return {_LABEL_NAMES.get(name, name): value if name in SETTINGS else value or None
            for name, value in given.items()}


def sync_request(body: Any) -> tuple[list[str], bool]:
    """The body of `POST /v1/storages/{id}/sync`: kinds (none: all), and whether to believe the array at once."""
    given = checked(_validate_sync, {} if body is None else body)
    return given.get('kinds', []), given.get('force', False)


def normal_form(body: Any, *, with_driver: bool = True) -> Any:
    """What the driver guide's examples write: `vendor` and `model` inside a section, the port as text."""
    if not isinstance(body, dict):
        return body
    body = dict(body)
    for name in ACCESS_TYPE:
        section = body.get(name)
        if not isinstance(section, dict):
            continue
        section = dict(section)
        for key in ('vendor', 'model'):
            if key in section and with_driver:
                body.setdefault(key, section[key])
                if body[key] == section[key]:
                    del section[key]
        port = section.get('port')
        if isinstance(port, float) and port.is_integer():       # 22.0 is an integer to JSON Schema
            section['port'] = int(port)
        if isinstance(port, str) and re.fullmatch(r'[0-9]{1,5}', port):
            section['port'] = int(port)
        body[name] = section
    return body
