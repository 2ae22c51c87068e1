# SPDX-License-Identifier: Apache-2.0
"""Access information: how an array is reached, and what of that is secret.

It has three forms, all dicts of the same shape (`vendor`, `model`, `storage_name`, the sections `rest` `ssh` `cli`
`smis`, `extra_attributes`):

* *sealed*, from the API over RPC into the database: every secret encrypted for its place (`delfin.keyring`);
* *open*, inside the task service only, never stored and never logged;
* *for the driver*: secrets encoded for this process (`delfin.cryptor`), as drivers expect them.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from delfin import cryptor
from delfin.common.constants import ACCESS_TYPE
from delfin.common.masking import MASK
from delfin.keyring import Keyring, is_sealed, place

Access = dict[str, Any]

SECRET_FIELDS = frozenset({'password', 'private_key', 'passphrase'})
EXTRA = 'extra_attributes'

# Attributes of drivers that do not say which of theirs are secret.
_SECRET_NAME = re.compile(
    r'passw|passphrase|secret|token|credential|private[-_. ]?key|api[-_. ]?key|community', re.IGNORECASE)


def sounds_secret(name: str) -> bool:
    """Whether something with that name is likely to be a secret."""
    return _SECRET_NAME.search(name) is not None


def secret_attributes(options: Mapping[str, Mapping[str, Any]],
                      attributes: Mapping[str, Any] | None) -> set[str]:
    """Which extra attributes are stored encrypted: those the driver declares secret, and those that sound like it.

    (And texts that look sealed: stored as they are, they would be taken for what they are not.)
    """
    declared = {name for name, option in options.items() if option.get('secret')}
    return {name for name, value in (attributes or {}).items()
            if name in declared or (name not in options and sounds_secret(name)) or is_sealed(value)}


def seal(access: Mapping[str, Any], storage_id: str, keyring: Keyring, extra: Callable[[str], bool]) -> Access:
    """Encrypt the secret fields of all sections and the extra attributes that `extra(name)` selects."""
    def change(value: str, *field: str) -> str:
        return keyring.seal(value, place(storage_id, *field))
    return _map(access, change, extra)


def unseal(access: Mapping[str, Any], storage_id: str, keyring: Keyring) -> Access:
    """The open form. `SecretUnreadable` when a secret was damaged, moved or sealed with a lost key."""
    def change(value: str, *field: str) -> str:
        return keyring.open(value, place(storage_id, *field)) if is_sealed(value) else value
    return _map(access, change, lambda name: True)


def for_driver(access: Mapping[str, Any], storage_id: str, options: Mapping[str, Mapping[str, Any]]) -> Access:
    """Keyword arguments for a driver's constructor, from the open form."""
    arguments = _map(access, lambda value, *field: cryptor.encode(value),
                     lambda name: bool(options.get(name, {}).get('secret')))
    arguments = {name: value for name, value in arguments.items() if value}     # what was never given is absent
    arguments['storage_id'] = storage_id
    return arguments


def secrets(access: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Every secret text of the open form, for the masker."""
    found: list[str] = []

    def note(value: str, *field: str) -> str:
        found.append(value)
        return value
    names = secret_attributes(options, access.get(EXTRA))
    _map(access, note, lambda name: name in names)
    return found


def without_secrets(access: Mapping[str, Any], masked: bool = True) -> Access:
    """What clients may see: secrets are left out of sections and masked in extra attributes (or left out there, too);
    unset sections are {}.
    """
    shown = copy.deepcopy(dict(access))
    for name in ACCESS_TYPE:
        shown[name] = {field: value for field, value in (shown.get(name) or {}).items()
                       if field not in SECRET_FIELDS}
    shown[EXTRA] = {name: MASK if is_sealed(value) else value for name, value in (shown.get(EXTRA) or {}).items()
                    if masked or not is_sealed(value)}
    return shown


def merge(stored: Mapping[str, Any], given: Mapping[str, Any]) -> Access:
    """Open access information with the given fields over the stored ones.

    A field set to None goes, as does an extra attribute set to ''. A secret one that comes back masked, as it was
    shown, stays what it is.
    """
    merged = copy.deepcopy(dict(stored))
    for name in (*ACCESS_TYPE, EXTRA):
        if given.get(name) is not None:
            changes = {field: value for field, value in given[name].items() if name != EXTRA or value != MASK}
            merged[name] = {field: value for field, value in {**(merged.get(name) or {}), **changes}.items()
                            if value is not None}
    merged[EXTRA] = {name: value for name, value in (merged.get(EXTRA) or {}).items() if value != ''}
    return merged


def reseal(access: Mapping[str, Any], storage_id: str, keyring: Keyring) -> Access | None:
    """After a rotation: the same with every secret sealed by the newest key; None when nothing had to change."""
    changed = False

    def change(value: str, *field: str) -> str:
        nonlocal changed
        if not is_sealed(value) or keyring.sealed_with_newest(value):
            return value
        changed = True
        where = place(storage_id, *field)
        return keyring.seal(keyring.open(value, where), where)
    result = _map(access, change, lambda name: True)
    return result if changed else None


def sections(access: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The access sections that are set."""
    for name in ACCESS_TYPE:
        if access.get(name):
            yield name, access[name]


def _map(access: Mapping[str, Any], change: Callable[..., str], extra: Callable[[str], bool]) -> Access:
    """A deep copy with `change(value, section, field)` applied to every secret."""
    result = copy.deepcopy(dict(access))
    for section, fields in sections(result):
        for field in SECRET_FIELDS & fields.keys():
            if fields[field] is not None:
                fields[field] = change(fields[field], section, field)
    attributes = result.get(EXTRA) or {}
    for name, value in attributes.items():
        if isinstance(value, str) and extra(name):
            attributes[name] = change(value, EXTRA, name)
    return result
