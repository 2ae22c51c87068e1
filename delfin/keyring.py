# SPDX-License-Identifier: Apache-2.0
"""Secrets at rest and on the broker: AES-256-GCM with keys from a file that only the service can read.

A sealed text is `$delfin$1$<key id>$<base64 of nonce + ciphertext>`. The place it belongs to (storage id and field) is
bound into it as associated data, so a secret copied into another row or field does not open. Texts name their key, so
several keys can be in use while a rotation is under way: the first key of the file seals, all of them open.

Key file: one key a line, `<key id> <base64 of 32 bytes>`; empty lines and lines with # are skipped. A line that ends
with the word `next` holds a key that opens, but does not seal yet: it is on its way to every host.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import logging
import os
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from delfin import exception

LOG = logging.getLogger(__name__)

_PREFIX = '$delfin$1$'
_KEY_BYTES = 32
_NONCE_BYTES = 12
_NEXT = 'next'
# Two writes so close to each other may bear one time stamp.
_STAMP_SECONDS = 0.1

Stamp = tuple[int, int, int, int]


def is_sealed(value: object) -> bool:
    """True for a text that `Keyring.seal` made."""
    return isinstance(value, str) and value.startswith(_PREFIX)


def key_of(text: str) -> str:
    """Id of the key that a sealed text needs."""
    return text.removeprefix(_PREFIX).partition('$')[0]


def place(storage_id: str, *field: str) -> str:
    """The associated data of a secret: `place(id, 'ssh', 'password')`."""
    return '/'.join((storage_id, *field))


def new_key() -> tuple[str, bytes]:
    """A fresh (key id, key)."""
    return os.urandom(4).hex(), os.urandom(_KEY_BYTES)


@dataclass(frozen=True)
class Keys:
    """What a key file holds: `keys` by their ids, the one that seals first, and which of them is to seal next."""

    keys: dict[str, bytes] = field(repr=False)
    next_id: str | None = None

    @property
    def sealing_id(self) -> str:
        """The key that seals."""
        return next(iter(self.keys))

    @property
    def old_ids(self) -> list[str]:
        """Keys that only open what was sealed before."""
        return [key_id for key_id in self.keys if key_id not in (self.sealing_id, self.next_id)]


class Keyring:
    """The keys of one key file, in a process that may live longer than they do. Thread-safe.

    The file is read again when it has changed: before anything is sealed, and when a text names a key that is not
    known. While it cannot be read (somebody is replacing it) the keys of before stay in use. A key that has gone from
    the file still opens, for as long as the process lives, what it has sealed: messages may be under way.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        self._known: dict[str, bytes] = {}
        self._keys, self._loaded = self._read()

    def seal(self, secret: str, where: str) -> str:
        """Encrypt `secret` for the place `where` (see `place`)."""
        keys = self._current()      # after a rotation, what the old key seals could soon not be opened
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(keys.keys[keys.sealing_id]).encrypt(
            nonce, secret.encode('utf-8', 'surrogatepass'), where.encode())
        return f'{_PREFIX}{keys.sealing_id}${base64.b64encode(nonce + sealed).decode("ascii")}'

    def open(self, text: str, where: str) -> str:
        """The secret sealed in `text` for the place `where`; `SecretUnreadable` without any part of it otherwise."""
        if not is_sealed(text):
            raise exception.SecretUnreadable(f'{where} holds no sealed text')
        key_id, _, body = text.removeprefix(_PREFIX).partition('$')
        key = self._known.get(key_id) or self._current().keys.get(key_id)
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
        return key_of(text) == self._current().sealing_id

    def keys(self) -> Keys:
        """What the file holds now."""
        return self._current()

    def key_ids(self) -> list[str]:
        """Ids of the file's keys as it is now, the one that seals first. Costs a look at the file's time stamp."""
        return list(self._current().keys)

    # --- changes of the file; each is whole or not at all, and done by one process at a time ---

    def add_next(self) -> str:
        """Add a key that opens but does not seal yet, unless there is one already; its id."""
        def change(keys: Keys) -> Keys:
            if keys.next_id is not None:
                return keys
            key_id, key = new_key()
            return Keys({**keys.keys, key_id: key}, key_id)
        return str(self._change(change).next_id)

    def promote_next(self) -> str:
        """Seal with the key that was to be next from now on; the id of the key that seals."""
        def change(keys: Keys) -> Keys:
            if keys.next_id is None:
                return keys
            return Keys({keys.next_id: keys.keys[keys.next_id], **keys.keys})
        return self._change(change).sealing_id

    def drop(self, key_ids: Collection[str]) -> None:
        """Move keys into the file of pruned ones (`pruned_file`), once nothing is sealed with them.

        The one that seals and the next one stay.
        """
        def change(keys: Keys) -> Keys:
            gone = set(key_ids) & set(keys.old_ids)
            aside = pruned_file(self._path)
            dropped = {key_id: keys.keys[key_id] for key_id in keys.old_ids if key_id in gone}
            if dropped:
                kept = read_key_file(aside) if aside.exists() else {}
                write_keys(aside, Keys({**dropped, **kept}), like=self._path)
            return Keys({key_id: key for key_id, key in keys.keys.items() if key_id not in gone}, keys.next_id)
        self._change(change)

    def put_back(self, key_ids: Collection[str]) -> None:
        """Let keys that were dropped open again."""
        def change(keys: Keys) -> Keys:
            pruned = read_key_file(pruned_file(self._path))
            return Keys({**keys.keys, **{key_id: pruned[key_id] for key_id in key_ids}}, keys.next_id)
        self._change(change)

    def add_newest(self) -> str:
        """Add a key that seals from now on; its id. For a file that no other host has a copy of."""
        def change(keys: Keys) -> Keys:
            key_id, key = new_key()
            return Keys({key_id: key, **keys.keys}, keys.next_id)
        return self._change(change).sealing_id

    def keep_only_newest(self) -> None:
        """Drop all keys but the one that seals."""
        self._change(lambda keys: Keys({keys.sealing_id: keys.keys[keys.sealing_id]}))

    def _change(self, change: Callable[[Keys], Keys]) -> Keys:
        with self._lock, _locked(self._path):
            before = read_keys(self._path)
            after = change(before)
            if after != before:
                write_keys(self._path, after)
            self._keys, self._loaded = self._read()     # from the file: a key that is not on disk must not be used
            return self._keys

    # --- reading ---

    def _current(self) -> Keys:
        """The keys of the file as it is now."""
        stamp = _stamp(self._path)
        if stamp is not None and stamp != self._loaded:
            with self._lock:
                try:
                    self._keys, self._loaded = self._read()
                except exception.InvalidConfiguration as error:
                    if stamp != self._loaded:
                        LOG.warning('the keys of before stay in use: %s', error.msg)
                    self._loaded = stamp
        return self._keys

    def _read(self) -> tuple[Keys, Stamp | None]:
        """The keys, and which state of the file they are from; None for one that may change unnoticed."""
        stamp = _stamp(self._path)
        keys = read_keys(self._path)
        self._known = {**self._known, **keys.keys}
        fresh = stamp is None or time.time() - stamp[0] / 1e9 < _STAMP_SECONDS
        return keys, None if fresh else stamp


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Nobody else changes key files of this folder meanwhile. (The file itself is replaced: a lock on it is no use.)"""
    descriptor = os.open(path.resolve().parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def pruned_file(path: Path) -> Path:
    """Where keys stand that were dropped from the key file `path`: a backup made before them may need them."""
    return path.with_name(f'{path.name}.pruned')


def read_key_file(path: Path) -> dict[str, bytes]:
    """The keys in `path`, the one that seals first; `InvalidConfiguration` when they cannot be used."""
    return read_keys(path).keys


def read_keys(path: Path) -> Keys:
    """What `path` holds. `InvalidConfiguration` says what to do when it cannot be used."""
    keys: dict[str, bytes] = {}
    following: list[str] = []
    for number, line in enumerate(_lines(path), 1):
        if not line.strip() or line.lstrip().startswith('#'):
            continue
        key_id, key, mark = _parsed(line)
        if len(key) != _KEY_BYTES or not key_id.isalnum() or mark not in ([], [_NEXT]):
            raise exception.InvalidConfiguration(
                f'key file {path}, line {number}: expected "<key id> <base64 of 32 bytes>"')
        keys[key_id] = key
        if mark:
            following.append(key_id)
    if len(following) > 1:
        raise exception.InvalidConfiguration(f'key file {path}: more than one key is marked "{_NEXT}"')
    sealing = next((key_id for key_id in keys if key_id not in following), None)
    if sealing is None:
        raise exception.InvalidConfiguration(f'key file {path} holds no key' + (' that seals' if keys else ''))
    return Keys({sealing: keys[sealing], **keys}, following[0] if following else None)


def _parsed(line: str) -> tuple[str, bytes, list[str]]:
    """Key id, key (empty when it is none) and what else stands there."""
    key_id, _, others = line.strip().partition(' ')
    text, *rest = others.split() or ['']
    try:
        return key_id, base64.b64decode(text, validate=True), rest
    except ValueError:
        return key_id, b'', rest


def _lines(path: Path) -> list[str]:
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
    return lines


def write_key_file(path: Path, keys: dict[str, bytes]) -> None:
    """Write keys of which the first seals; see `write_keys`."""
    write_keys(path, Keys(keys))


def write_keys(path: Path, keys: Keys, *, like: Path | None = None) -> None:
    """Write the keys so that a crash leaves either the old file or the new one, never half of it.

    The new file belongs to whom the old one (or `like`) belonged to, also when root writes it.
    """
    path = path.resolve()       # a link stays one
    model = path if path.exists() else like
    handle, temporary = tempfile.mkstemp(prefix=path.name + '.', dir=path.parent)      # 0600 from birth
    try:
        with os.fdopen(handle, 'w', encoding='ascii') as file:
            if model is not None and (owner := model.stat()).st_uid != os.geteuid():
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            file.write('# Delfin: keys of the secrets in the database. The first one seals. Keep a copy in a safe '
                       'place.\n')
            for key_id, key in keys.keys.items():
                mark = f' {_NEXT}' if key_id == keys.next_id else ''
                file.write(f'{key_id} {base64.b64encode(key).decode("ascii")}{mark}\n')
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    """Make a replacement outlast a power cut: what the new key has sealed may be on disk by then."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
