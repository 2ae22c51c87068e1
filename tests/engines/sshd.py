# SPDX-License-Identifier: Apache-2.0
"""A private OpenSSH server: real key exchange, real logins, real commands on this machine."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import os
import pwd
import secrets
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, NamedTuple

from tests.engines.base import Engine, EngineError, NotPossible

_KEY_TYPES = {
    'ed25519': ['-t', 'ed25519'],
    'ecdsa': ['-t', 'ecdsa'],
    'rsa': ['-t', 'rsa', '-b', '2048'],
}
_ACCOUNT_PREFIX = 'delfintest'

# Where sshd locks itself in before a login, a fixed path. Who finds it missing makes the mark and
# then the folder; as long as the tests need the folder they share a lock on the mark, and who is
# alone with it removes both.
_CHROOT = Path('/run/sshd')
_CHROOT_MARK = Path('/run/delfin-tests-made-sshd')

_CONFIG = """\
ListenAddress 127.0.0.1:{port}
{host_keys}
PidFile none
UsePAM no
StrictModes no
AuthorizedKeysFile {home}/authorized_keys/%u
AllowUsers {users}
PermitRootLogin prohibit-password
PasswordAuthentication yes
KbdInteractiveAuthentication no
UseDNS no
PrintMotd no
PrintLastLog no
MaxStartups 200
MaxSessions 200
LoginGraceTime 30
Subsystem sftp internal-sftp
VersionAddendum {mark}
LogLevel VERBOSE
"""
# Of newer versions: without it, refused logins of one test would lock out the next ones (all have
# one address).
_PENALTIES = 'PerSourcePenalties no\n'


class Account(NamedTuple):
    """An account of this machine that can log in with a password."""

    username: str
    password: str


class Sshd(Engine):
    """Whoever runs the tests logs in with the client key, unless the account is locked (a password
    field that begins with `!`): without PAM, sshd refuses those."""

    name: ClassVar[str] = 'sshd'
    package: ClassVar[str] = 'openssh-server'
    programs: ClassVar[tuple[str, ...]] = ('sshd', 'ssh-keygen')
    root_runs_as: ClassVar[str | None] = None  # only root can log others in

    def __init__(self) -> None:
        super().__init__()
        self._chroot_lock = -1
        self.username: str = pwd.getpwuid(os.geteuid()).pw_name
        """Who can log in with the client key: whoever runs the tests."""
        self.passphrase: str = secrets.token_urlsafe(12)
        """Of the encrypted form of the client key."""

    @property
    def client_key(self) -> str:
        """The private key of `username`, in the format of OpenSSH."""
        return (self.home / 'client').read_text()

    @property
    def client_key_encrypted(self) -> str:
        """The same key, encrypted with `passphrase`."""
        return (self.home / 'client_encrypted').read_text()

    @property
    def host_keys(self) -> dict[str, str]:
        """The public host keys by their short type, e.g. `{'ed25519': 'ssh-ed25519 AAAA…', 'ecdsa':
        …, 'rsa': …}`."""
        lines = {kind: Path(f'{self._host_key(kind)}.pub').read_text() for kind in _KEY_TYPES}
        return {kind: ' '.join(line.split()[:2]) for kind, line in lines.items()}

    def fingerprint(self, kind: str = 'ed25519') -> str:
        """The fingerprint of a host key as OpenSSH prints it: `SHA256:…`."""
        blob = base64.b64decode(self.host_keys[kind].split()[1])
        return 'SHA256:' + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip('=')

    def password_user(self) -> Account:
        """Make an account with a password; it exists until the engine is closed. `NotPossible`
        without root."""
        if os.geteuid() != 0:
            raise NotPossible('a login with a password needs an account that only root can make')
        account = Account(_ACCOUNT_PREFIX + secrets.token_hex(6), secrets.token_urlsafe(12))
        home = self.home / account.username
        home.mkdir(mode=0o700)
        options = ['--system', '--user-group', '--no-create-home', '--no-log-init']
        places = ['--shell', '/bin/bash', '--home-dir', str(home)]
        self.run(['useradd', *options, *places, account.username])
        shutil.chown(home, account.username, account.username)
        self.run(['chpasswd'], stdin=f'{account.username}:{account.password}\n')
        return account

    def prepare(self) -> None:
        keygen = [self.program('ssh-keygen'), '-q', '-C', self.directory.name]
        for kind, options in _KEY_TYPES.items():
            self.run([*keygen, *options, '-N', '', '-f', str(self._host_key(kind))])
        client, encrypted = self.home / 'client', self.home / 'client_encrypted'
        self.run([*keygen, '-t', 'ed25519', '-N', '', '-f', str(client)])
        shutil.copy(client, encrypted)
        self.run([*keygen[:2], '-p', '-P', '', '-N', self.passphrase, '-f', str(encrypted)])
        self.write(f'authorized_keys/{self.username}', Path(f'{client}.pub').read_text())
        if os.geteuid() == 0:
            self._chroot_lock = _hold_chroot()

    def commands(self) -> list[list[str]]:
        text = _CONFIG.format(
            port=self.port,
            home=self.home,
            host_keys='\n'.join(f'HostKey {self._host_key(kind)}' for kind in _KEY_TYPES),
            users=f'{self.username} {_ACCOUNT_PREFIX}*',
            mark=self._mark,
        )
        config = self.write('sshd_config', text)
        server = [self.program('sshd'), '-f', str(config)]
        with contextlib.suppress(EngineError):
            self.run([*server, '-t', '-o', _PENALTIES.strip()])
            self.write('sshd_config', text + _PENALTIES)
        return [[*server, '-D', '-e']]

    def check(self) -> None:
        with (
            socket.create_connection(('127.0.0.1', self.port), timeout=5) as connection,
            connection.makefile('rb') as answer,
        ):
            banner = answer.readline(1024).decode(errors='replace').strip()
        if not banner.endswith(self._mark):
            raise ConnectionError(f'port {self.port} greets with {banner!r}')

    def close(self) -> None:
        if self._chroot_lock >= 0:
            os.close(self._chroot_lock)
            self._chroot_lock = -1
        super().close()

    @classmethod
    def release(cls, directory: Path) -> None:
        _remove_accounts(lambda home: home.is_relative_to(directory))
        _release_chroot()

    @classmethod
    def sweep(cls) -> None:
        super().sweep()
        # An account is made after the directory of its engine and removed before it.
        _remove_accounts(lambda home: not home.parents[1].exists())
        _release_chroot()

    @property
    def _mark(self) -> str:
        return self.directory.name

    def _host_key(self, kind: str) -> Path:
        return self.home / f'host_{kind}'


def _remove_accounts(condemned: Callable[[Path], bool]) -> None:
    """Remove those of our temporary accounts whose home directory meets the condition."""
    if os.geteuid() != 0:
        return
    for account in pwd.getpwall():
        if account.pw_name.startswith(_ACCOUNT_PREFIX) and condemned(Path(account.pw_dir)):
            # Forced, because the kernel may still be busy burying the account's last process.
            done = subprocess.run(
                ['userdel', '--force', account.pw_name], capture_output=True, text=True, timeout=60
            )
            if done.returncode not in (0, _NO_SUCH_ACCOUNT):
                raise OSError(f'userdel {account.pw_name}: {done.stderr}')


_NO_SUCH_ACCOUNT = 6  # of userdel: another run was faster


def _hold_chroot() -> int:
    """Make sure that sshd finds its folder; the descriptor that keeps the tests from removing it,
    or -1 if the folder is the system's own."""
    while _CHROOT_MARK.exists() or not _CHROOT.is_dir():
        mark = os.open(_CHROOT_MARK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        fcntl.flock(mark, fcntl.LOCK_SH)  # the exclusive lock is held for a moment only
        if _is_same_file(mark, _CHROOT_MARK):
            _CHROOT.mkdir(mode=0o755, exist_ok=True)
            return mark
        os.close(mark)
    return -1


def _release_chroot() -> None:
    """Remove the folder if the tests made it and nobody needs it any more."""
    with contextlib.suppress(FileNotFoundError, BlockingIOError, PermissionError):
        mark = os.open(_CHROOT_MARK, os.O_RDWR | os.O_NOFOLLOW)
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_same_file(mark, _CHROOT_MARK):
                if not _somebody_runs_sshd():
                    _CHROOT.rmdir()
                _CHROOT_MARK.unlink()
        finally:
            os.close(mark)


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _somebody_runs_sshd() -> bool:
    """Whether the system's sshd was started after the tests had made the folder; it then needs
    it."""
    for name in Path('/proc').glob('[0-9]*/comm'):
        with contextlib.suppress(OSError):
            if name.read_text().strip() == 'sshd':
                return True
    return False
