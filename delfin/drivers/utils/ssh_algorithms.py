# SPDX-License-Identifier: Apache-2.0
"""Which algorithms Delfin offers in SSH, and the old ones that a single storage may be allowed (`ssh.old_algorithms`).

Old are signatures and key exchanges with SHA-1. paramiko 4 knows them, and they are kept from being offered unless the
storage has the switch; paramiko 5 has dropped them, so that nothing can turn them on. DSA host keys are in neither.
"""

from __future__ import annotations

import paramiko

from delfin import exception

# Key type (as in public key files) to the signature algorithms that use it (RFC 8709, RFC 5656, RFC 8332), in the
# order in which they are offered.
KEY_TYPES: dict[str, tuple[str, ...]] = {
    'ssh-ed25519': ('ssh-ed25519',),
    'ecdsa-sha2-nistp256': ('ecdsa-sha2-nistp256',),
    'ecdsa-sha2-nistp384': ('ecdsa-sha2-nistp384',),
    'ecdsa-sha2-nistp521': ('ecdsa-sha2-nistp521',),
    'ssh-rsa': ('rsa-sha2-512', 'rsa-sha2-256'),
}

_OLD_SIGNATURES = ('ssh-rsa',)      # RFC 4253: RSA with SHA-1
_OLD_EXCHANGES = ('diffie-hellman-group-exchange-sha1', 'diffie-hellman-group14-sha1', 'diffie-hellman-group1-sha1')
_LAST_WITH_OLD = 4                  # major version of paramiko


def signatures(key_types: tuple[str, ...], old: bool) -> tuple[str, ...]:
    """The signature algorithms to offer for host keys of these types."""
    return tuple(algorithm for kind in key_types
                 for algorithm in (*KEY_TYPES[kind], *(_OLD_SIGNATURES if old and kind == 'ssh-rsa' else ())))


def disabled(old: bool) -> dict[str, tuple[str, ...]]:
    """What paramiko is not to offer (`disabled_algorithms` of its transport)."""
    if old:     # with a server that does not say what it takes, paramiko would sign logins with the newest
        return {'pubkeys': KEY_TYPES['ssh-rsa']}
    return {'keys': _OLD_SIGNATURES, 'pubkeys': _OLD_SIGNATURES, 'kex': _OLD_EXCHANGES}


def require_old(host: str) -> None:
    """`InvalidInput` if the installed paramiko cannot do what `ssh.old_algorithms` asks for."""
    if int(paramiko.__version__.partition('.')[0]) > _LAST_WITH_OLD:
        raise exception.InvalidInput(
            f'ssh.old_algorithms of {host} needs paramiko 4, but {paramiko.__version__} is installed, which has no old '
            'algorithms any more: install "paramiko>=4,<5" with Delfin, or update the software of the array and turn '
            'the switch off.')
