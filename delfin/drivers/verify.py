# SPDX-License-Identifier: Apache-2.0
"""The certificate settings of an access section in the one form that every driver understands: `verify`."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from delfin import ssl_utils

_TLS_SECTIONS = ('rest', 'smis')


def verify_for(access: Mapping[str, Any], default: bool | str, directory: Path) -> bool | str:
    """What a driver gets as `verify`: False, True, or the path of a CA bundle, as `requests` takes it.

    The first TLS section of `access` (`rest`, else `smis`) counts: its `verify` False is False, its `ca_cert` is
    written to a file below `directory` (made if need be) whose path is returned, and without these `default` counts.

    `fingerprint` has no form here: drivers with sessions of their own cannot pin a certificate. For them the other
    fields and `default` decide, so an array with a fingerprint is still verified, never less; give its `ca_cert` if
    that fails. `RestClient` reads the section itself and does pin.

    Raises `InvalidInput` if `ca_cert` is no PEM text, OSError if the file cannot be written.
    """
    name = next((name for name in _TLS_SECTIONS if access.get(name)), None)
    if name is None:
        return default
    section = access[name]
    if section.get('verify') is False:
        return False
    if section.get('ca_cert'):
        return str(_file_with(ssl_utils.read_ca_cert(section['ca_cert'], f'{name}.ca_cert'), directory))
    return default


def _file_with(text: str, directory: Path) -> Path:
    """A file with this text, named by its hash: arrays with the same CA share one, and no file ever changes."""
    content = text.encode('ascii')
    path = directory / f'{hashlib.sha256(content).hexdigest()}.pem'
    if path.exists():
        return path
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Never a half-written file under the final name, also if two processes write it at once. mkstemp makes it 0600.
    handle, temporary = tempfile.mkstemp(dir=directory, prefix='.ca-')
    try:
        with os.fdopen(handle, 'wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())     # the name must not outlive the content in a crash
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path
