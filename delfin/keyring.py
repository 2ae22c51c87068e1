# SPDX-License-Identifier: Apache-2.0
"""Secrets at rest and on the broker: AES-256-GCM with keys from a file that only the service can read.

A sealed text is `$delfin$1$<key id>$<base64 of nonce + ciphertext>`. The place it belongs to (storage id and field) is
bound into it as associated data, so a secret copied into another row or field does not open. Texts name their key, so
several keys can be in use while a rotation is under way: the first key of the file seals, all of them open.

Key file: one key a line, `<key id> <base64 of 32 bytes>`, newest first; empty lines and lines with # are skipped.
"""

from __future__ import annotations

import base64
import contextlib
import os
import stat
import tempfile
import threading
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from delfin import exception

_PREFIX = '$delfin$1$'
_KEY_BYTES = 32
_NONCE_BYTES = 12


def is_sealed(value: object) -> bool:
    """True for a text that `Keyring.seal` made."""
    return isinstance(value, str) and value.startswith(_PREFIX)


def place(storage_id: str, *field: str) -> str:
    """The associated data of a secret: `place(id, 'ssh', 'password')`."""
    return '/'.join((storage_id, *field))


def new_key() -> tuple[str, bytes]:
    """A fresh (key id, key)."""
    return os.urandom(4).hex(), os.urandom(_KEY_BYTES)


class Keyring:
    """The keys of one key file. Thread-safe; reads the file again when a text names a key it does not know."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        self._keys: dict[str, bytes] = {}
        self._loaded: tuple[int, int] | None = None
        self._load()

    def seal(self, secret: str, where: str) -> str:
        """Encrypt `secret` for the place `where` (see `place`)."""
        if self._changed():
            self._load()        # a rotation took place: what the old key seals could soon not be opened
        key_id, key = next(iter(self._keys.items()))
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(key).encrypt(nonce, secret.encode('utf-8', 'surrogatepass'), where.encode())
        return f'{_PREFIX}{key_id}${base64.b64encode(nonce + sealed).decode("ascii")}'

    def open(self, text: str, where: str) -> str:
        """The secret sealed in `text` for the place `where`; `SecretUnreadable` without any part of it otherwise."""
        if not is_sealed(text):
            raise exception.SecretUnreadable(f'{where} holds no sealed text')
        key_id, _, body = text.removeprefix(_PREFIX).partition('$')
        key = self._key(key_id)
        if key is None:
            raise exception.SecretUnreadable(
                f'{where} is encrypted with key {key_id}, which is not in {self._path}; restore the key file')
        try:
            raw = base64.b64decode(body, validate=True)
            return AESGCM(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], where.encode()).decode(
                'utf-8', 'surrogatepass')
        except (ValueError, InvalidTag):
            raise exception.SecretUnreadable(
                f'{where} is damaged or belongs to another place; enter the access information again') from None

    def sealed_with_newest(self, text: str) -> bool:
        """Whether `text` needs no re-sealing after a rotation."""
        return text.removeprefix(_PREFIX).partition('$')[0] == next(iter(self._keys))

    def key_ids(self) -> list[str]:
        """Newest first."""
        return list(self._keys)

    def add_newest(self) -> str:
        """Put a new key at the head of the file; the key's id."""
        key_id, key = new_key()
        with self._lock:
            self._write({key_id: key, **self._keys})
        return key_id

    def keep_only_newest(self) -> None:
        """Drop all older keys from the file, once nothing is sealed with them."""
        with self._lock:
            key_id = next(iter(self._keys))
            self._write({key_id: self._keys[key_id]})

    def _write(self, keys: dict[str, bytes]) -> None:
        write_key_file(self._path, keys)
        self._keys, self._loaded = keys, self._stamp()      # only now: a key that is not on disk must not be used

    def _key(self, key_id: str) -> bytes | None:
        if key_id not in self._keys:
            with contextlib.suppress(exception.InvalidConfiguration):
                self._load()
        return self._keys.get(key_id)

    def _load(self) -> None:
        stamp = self._stamp()
        keys = read_key_file(self._path)
        with self._lock:
            self._keys, self._loaded = keys, stamp

    def _stamp(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino

    def _changed(self) -> bool:
        stamp = self._stamp()
        return stamp is not None and stamp != self._loaded


def read_key_file(path: Path) -> dict[str, bytes]:
    """The keys in `path`, newest first. `InvalidConfiguration` says what to do when they cannot be used."""
    try:
        with path.open(encoding='ascii') as file:
            mode = os.fstat(file.fileno()).st_mode
            lines = file.read().splitlines()
    except FileNotFoundError:
        raise exception.InvalidConfiguration(
            f'key file {path} does not exist; make it with "delfin-manage key generate" or restore it') from None
    except (OSError, UnicodeDecodeError) as error:
        raise exception.InvalidConfiguration(f'key file {path} cannot be read: {error}') from None
    if stat.S_IMODE(mode) & 0o077:
        raise exception.InvalidConfiguration(f'key file {path} is readable by others; run "chmod 600 {path}"')
    keys: dict[str, bytes] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith('#'):
            continue
        key_id, _, text = line.strip().partition(' ')
        try:
            key = base64.b64decode(text.strip(), validate=True)
        except ValueError:
            key = b''
        if len(key) != _KEY_BYTES or not key_id.isalnum():
            raise exception.InvalidConfiguration(
                f'key file {path}, line {number}: expected "<key id> <base64 of 32 bytes>"')
        keys[key_id] = key
    if not keys:
        raise exception.InvalidConfiguration(f'key file {path} holds no key')
    return keys


def write_key_file(path: Path, keys: dict[str, bytes]) -> None:
    """Write the keys so that a crash leaves either the old file or the new one, never half of it."""
    body = ''.join(f'{key_id} {base64.b64encode(key).decode("ascii")}\n' for key_id, key in keys.items())
    handle, temporary = tempfile.mkstemp(prefix=path.name + '.', dir=path.parent)      # 0600 from birth
    try:
        with os.fdopen(handle, 'w', encoding='ascii') as file:
            file.write('# Delfin: keys of the secrets in the database, newest first. Keep a copy in a safe place.\n')
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
