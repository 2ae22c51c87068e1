# SPDX-License-Identifier: Apache-2.0
"""The user-based security model of SNMPv3: keys, authentication, ciphers, and the time window.

RFC 3414 (MD5, SHA-1, DES), RFC 3826 (AES-128), RFC 7860 (SHA-2), draft-reeder-snmpv3-usm-3desede-00 (3DES) and, for
keys longer than the digest, draft-blumenthal-aes-usm-04 and Reeder's draft: net-snmp calls them AES-256 and AES-256-C.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hmac import HMAC

from delfin.alert_manager.snmp import ber
from delfin.alert_manager.snmp.protocols import AUTH_NO_PRIV, AUTH_PRIV, NO_AUTH_NO_PRIV

LAST_BOOTS = 2**31 - 1          # an engine that has counted so far is out of service until it gets new keys
WINDOW_SECONDS = 150
_PASSWORD_BYTES = 1 << 20
_SALT_BYTES = 8
_BLOCK_BYTES = 8
_AES_BLOCK_BYTES = 16
_CLOCK = struct.Struct('>II').pack


class DecryptionFailed(Exception):
    """The message was not encrypted with a key of this user."""


class NotInTimeWindow(Exception):
    """A message that is too old, or whose sender's clock is too far from what we know of it."""


class _Auth(NamedTuple):
    algorithm: hashes.HashAlgorithm
    mac_bytes: int


_AUTH = {
    'HMACMD5': _Auth(hashes.MD5(), 12),
    'HMACSHA': _Auth(hashes.SHA1(), 12),
    'HMCSHA2224': _Auth(hashes.SHA224(), 16),
    'HMCSHA2256': _Auth(hashes.SHA256(), 24),
    'HMCSHA2384': _Auth(hashes.SHA384(), 32),
    'HMCSHA2512': _Auth(hashes.SHA512(), 48),
}


@dataclass(frozen=True)
class User:
    """A v3 user of one source.

    Level and protocols by their canonical names (protocols.py), keys as their owner typed them. ValueError for a user
    that lacks what its level needs.
    """

    name: bytes
    level: str
    auth_protocol: str | None = None
    auth_key: str | None = field(default=None, repr=False)
    privacy_protocol: str | None = None
    privacy_key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.level not in (NO_AUTH_NO_PRIV, AUTH_NO_PRIV, AUTH_PRIV):
            raise ValueError('unknown security level')
        if self.level != NO_AUTH_NO_PRIV and not (self.auth_protocol in _AUTH and self.auth_key):
            raise ValueError('auth_protocol and auth_key are needed')
        if self.level == AUTH_PRIV and not (self.privacy_protocol in _PRIVACY and self.privacy_key):
            raise ValueError('privacy_protocol and privacy_key are needed')


# --- keys ---

class MasterKeys:
    """Keys made of passwords: a mebibyte is hashed for each, so the last ones are kept, without their passwords."""

    def __init__(self, kept: int = 4096) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._keys: OrderedDict[bytes, bytes] = OrderedDict()
        self._secret = os.urandom(32)

    def get(self, digest: str, password: bytes) -> bytes:
        """`master_key` of the two."""
        mark = hashlib.blake2b(digest.encode() + b'\0' + password, key=self._secret).digest()
        with self._lock:
            known = self._keys.get(mark)
        if known is None:
            known = master_key(digest, password)
            with self._lock:
                self._keys[mark] = known
                if len(self._keys) > self._kept:
                    self._keys.popitem(last=False)
        return known


_MASTER_KEYS = MasterKeys()        # like functools.lru_cache on master_key


def master_key(digest: str, password: bytes) -> bytes:
    """RFC 3414 A.2, first half: the digest of a mebibyte of the password, over and over."""
    return hashlib.new(digest, (password * (_PASSWORD_BYTES // len(password) + 1))[:_PASSWORD_BYTES]).digest()


def localised_key(digest: str, master: bytes, engine_id: bytes) -> bytes:
    """RFC 3414 A.2, second half: the key for one engine."""
    return hashlib.new(digest, master + engine_id + master).digest()


def blumenthal_key(digest: str, key: bytes, engine_id: bytes, size: int) -> bytes:
    """A localised key made longer by digests of itself."""
    while len(key) < size:
        key += hashlib.new(digest, key).digest()
    return key[:size]


def reeder_key(digest: str, key: bytes, engine_id: bytes, size: int) -> bytes:
    """A localised key made longer by taking it for a password."""
    last = key
    while len(key) < size:
        last = localised_key(digest, master_key(digest, last), engine_id)
        key += last
    return key[:size]


# --- ciphers ---

class _Cipher(Protocol):
    """A key with its way of using it."""

    def decrypt(self, data: bytes, boots: int, time: int, salt: bytes) -> bytes:
        """Clear text, of whatever key."""

    def encrypt(self, data: bytes, boots: int, time: int, salt: bytes) -> bytes:
        """Cipher text."""


class _Aes:
    """AES in cipher feedback mode."""

    def __init__(self, key: bytes) -> None:
        self._algorithm = AES(key)
        self._stream = Cipher(self._algorithm, CFB(bytes(_AES_BLOCK_BYTES))).decryptor()

    def decrypt(self, data: bytes, boots: int, time: int, salt: bytes) -> bytes:
        # All that this mode knows while it decrypts is the encrypted block before. So one context goes on from message
        # to message, the vector of each being the block before its first: five times faster than a new one for each.
        size = len(data)
        padding = bytes(-size % _AES_BLOCK_BYTES)       # the next one begins with a block
        clear = self._stream.update(b''.join((_CLOCK(boots, time), salt, data, padding)))
        return clear[_AES_BLOCK_BYTES:_AES_BLOCK_BYTES + size]

    def encrypt(self, data: bytes, boots: int, time: int, salt: bytes) -> bytes:
        return Cipher(self._algorithm, CFB(_CLOCK(boots, time) + salt)).encryptor().update(data)


class _Des:
    """DES and 3DES in chaining mode; the salt changes the first block's vector."""

    def __init__(self, algorithm: TripleDES, first: bytes) -> None:
        self._algorithm, self._first = algorithm, first

    def decrypt(self, data: bytes, boots: int, time: int, salt: bytes) -> bytes:
        return self._cipher(salt).decryptor().update(data)

    def encrypt(self, data: bytes, boots: int, time: int, salt: bytes) -> bytes:
        return self._cipher(salt).encryptor().update(data)

    def _cipher(self, salt: bytes) -> Cipher[CBC]:
        return Cipher(self._algorithm, CBC(bytes(
            one ^ other for one, other in zip(self._first, salt, strict=True))))


def _des(key: bytes) -> _Cipher:
    return _Des(TripleDES(key[:8] * 3), key[8:])        # thrice with the same key is DES


def _triple_des(key: bytes) -> _Cipher:
    return _Des(TripleDES(key[:24]), key[24:])


class _Privacy(NamedTuple):
    cipher: Callable[[bytes], _Cipher]
    key_bytes: int
    extensions: Sequence[Callable[[str, bytes, bytes, int], bytes]] = (blumenthal_key,)
    padded: bool = False


_PRIVACY = {
    'DES': _Privacy(_des, 16, padded=True),
    '3DES': _Privacy(_triple_des, 32, (reeder_key,), padded=True),
    'AES': _Privacy(_Aes, 16),
    'AES192': _Privacy(_Aes, 24, (blumenthal_key, reeder_key)),
    'AES256': _Privacy(_Aes, 32, (blumenthal_key, reeder_key)),
    'AES192C': _Privacy(_Aes, 24, (reeder_key,)),
    'AES256C': _Privacy(_Aes, 32, (reeder_key,)),
}


class Keys:
    """The keys of a user for the messages of one engine; made by `localise`. For one thread."""

    def __init__(self, user: User, engine_id: bytes, mac: HMAC | None, mac_bytes: int,
                 ciphers: list[_Cipher], padded: bool) -> None:
        self.user = user
        self.mac_bytes = mac_bytes
        # What a message of theirs says of itself, and what stood in place of its MAC when that was computed.
        self.claim = ber.Claim(engine_id, user.name, user.level)
        self.no_mac = bytes(mac_bytes)
        self._mac = mac
        self._ciphers = ciphers
        self._padded = padded

    def mac_of(self, message: bytes) -> bytes:
        """The authentication parameters of a message that has zeros in their place. Empty without authentication."""
        if self._mac is None:
            return b''
        mac = self._mac.copy()          # has taken the key in already
        mac.update(message)
        return mac.finalize()[:self.mac_bytes]

    def decrypt(self, data: bytes, boots: int, time: int, salt: bytes) -> ber.Scoped:
        """What was encrypted. `DecryptionFailed` if no scoped PDU comes out."""
        if len(salt) != _SALT_BYTES or self._padded and len(data) % _BLOCK_BYTES:
            raise DecryptionFailed('a salt or a length that the cipher does not have')
        for cipher in self._ciphers:
            clear = cipher.decrypt(data, boots, time, salt)
            try:
                found = ber.read_scoped(clear, self._padded)
            except ber.Malformed:
                continue
            if cipher is not self._ciphers[0]:      # an engine has one way of making keys: first next time
                self._ciphers = [cipher, *(other for other in self._ciphers if other is not cipher)]
            return found
        raise DecryptionFailed('no scoped PDU comes out')

    def encrypt(self, scoped: bytes, boots: int, time: int) -> tuple[bytes, bytes]:
        """(cipher text, fresh salt), with the key that opened the last message."""
        salt = os.urandom(_SALT_BYTES)
        if self._padded:
            scoped += bytes(-len(scoped) % _BLOCK_BYTES)
        return self._ciphers[0].encrypt(scoped, boots, time, salt), salt


def localise(user: User, engine_id: bytes) -> Keys:
    """The user's keys for an authoritative engine. A password that was not seen before costs 1 to 2 ms."""
    if user.level == NO_AUTH_NO_PRIV:
        return Keys(user, engine_id, None, 0, [], padded=False)
    assert user.auth_protocol and user.auth_key
    algorithm, mac_bytes = _AUTH[user.auth_protocol]
    digest = algorithm.name
    key = localised_key(digest, _MASTER_KEYS.get(digest, user.auth_key.encode()), engine_id)
    mac = HMAC(key, algorithm)
    if user.level == AUTH_NO_PRIV:
        return Keys(user, engine_id, mac, mac_bytes, [], padded=False)
    assert user.privacy_protocol and user.privacy_key
    privacy = _PRIVACY[user.privacy_protocol]
    key = localised_key(digest, _MASTER_KEYS.get(digest, user.privacy_key.encode()), engine_id)
    keys = dict.fromkeys(extend(digest, key, engine_id, privacy.key_bytes) for extend in privacy.extensions)
    return Keys(user, engine_id, mac, mac_bytes, [privacy.cipher(key) for key in keys], privacy.padded)


# --- messages ---

def level_of(message: ber.V3Message) -> str:
    """The security level that a message claims."""
    return message.claim.level


def verify(datagram: bytes, message: ber.V3Message, keys: Keys) -> bool:
    """True for a message of this user and engine, of exactly the user's level, with the right MAC if that has one."""
    if message.claim != keys.claim:
        return False
    place = message.mac
    without = b''.join((datagram[:place.start], keys.no_mac, datagram[place.stop:]))
    return hmac.compare_digest(keys.mac_of(without), datagram[place])


def decrypt(datagram: bytes, message: ber.V3Message, keys: Keys) -> ber.Scoped:
    """What a verified message says, whose PDU is not looked into. If it is no notification: `DecryptionFailed`, as a
    wrong key makes none, either; `ber.Malformed` where nothing was encrypted.
    """
    scoped = datagram[message.scoped]
    if not message.encrypted:
        return ber.read_scoped(scoped)
    return keys.decrypt(scoped, message.boots, message.time, message.privacy)


# --- time ---

class Engine(NamedTuple):
    """An engine's clock: how often it has started, and for how many seconds it has been running."""

    engine_id: bytes
    boots: int
    time: int


class TimeWindow(NamedTuple):
    """What is known of the clock of a sender: the newest boots and time it has sent, and when that was by our clock."""

    boots: int
    time: int
    at: float


_NEVER = TimeWindow(-1, -1, 0.0)


def of_sender(known: TimeWindow | None, message: ber.V3Message, now: float) -> TimeWindow:
    """What is known after a *verified* message of an engine that is authoritative itself (traps): RFC 3414 3.2 7b.

    Only for users with authentication: without it a message's time is anybody's word.
    `now` in seconds, by a clock that goes on over restarts if `known` is kept over them. `NotInTimeWindow` for a
    message that is too old. An engine's first message (`known` is None) is believed.
    """
    boots, time = message.boots, message.time
    known = known or _NEVER
    newest_boots, newest_time, at = known
    if boots > newest_boots or boots == newest_boots and time > newest_time:
        newest_boots, newest_time, at = known = TimeWindow(boots, time, now)
    if newest_boots == LAST_BOOTS or boots < newest_boots:
        raise NotInTimeWindow('the sender has started since')
    if time < newest_time - WINDOW_SECONDS + max(0.0, now - at):
        raise NotInTimeWindow(f'sent more than {WINDOW_SECONDS} s ago')
    return known


def check_ours(ours: Engine, message: ber.V3Message) -> None:
    """`NotInTimeWindow` unless a message for which we are authoritative (INFORMs) knows our clock: RFC 3414 3.2 7a."""
    if LAST_BOOTS in (ours.boots, message.boots) or message.boots != ours.boots:
        raise NotInTimeWindow('we have started since')
    if abs(message.time - ours.time) > WINDOW_SECONDS:
        raise NotInTimeWindow(f'more than {WINDOW_SECONDS} s off our clock')
