# SPDX-License-Identifier: Apache-2.0
"""The two functions drivers use for secrets.

Drivers get passwords *encoded* and open them with `decode` right before they use them; they may keep session tokens
encoded with `encode`. The text is encrypted with a key that exists only in this process's memory, so what a driver
happens to log or dump is worthless elsewhere. What is stored on disk is sealed differently: see `delfin.keyring`.

Importing and calling work at any time, without configuration.
"""

from __future__ import annotations

import base64
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_PREFIX = 'delfin:'
_NONCE_BYTES = 12
_process_key = AESGCM(AESGCM.generate_key(bit_length=256))


def encode(plain_text: str) -> str:
    """Encode a secret; only `decode` in this process can read the result."""
    nonce = os.urandom(_NONCE_BYTES)
    sealed = _process_key.encrypt(nonce, plain_text.encode('utf-8'), None)
    return _PREFIX + base64.b64encode(nonce + sealed).decode('ascii')


def decode(cipher_text: str) -> str:
    """The secret in `cipher_text`: what `encode` made, or plain base64 of UTF-8 (as tests of drivers write it).

    Raises ValueError for anything else, without quoting it.
    """
    encoded = cipher_text.startswith(_PREFIX)
    try:
        raw = base64.b64decode(cipher_text.removeprefix(_PREFIX), validate=True)
        if encoded:
            raw = _process_key.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], None)
        return raw.decode('utf-8')
    except (ValueError, InvalidTag):
        what = 'it was encoded in another process' if encoded else 'it is neither encoded text nor base64'
        raise ValueError(f'a secret cannot be decoded: {what}') from None
