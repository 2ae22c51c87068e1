# SPDX-License-Identifier: Apache-2.0
"""From access information to the place where commands run."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

from delfin import exception
from delfin.drivers.linux.runner import LocalRunner, Runner, SshRunner
from delfin.drivers.utils.ssh_connection import SSHSettings

_LOOPBACK = ('localhost', '127.0.0.1', '::1')


def open_runner(access_info: Mapping[str, Any]) -> Runner:
    """The runner for the sections `ssh` and `cli`; nothing is connected yet.

    `cli` means this machine and accepts no other; `ssh` reaches any, this one included. With both, `ssh` is used unless
    its host is this machine. `InvalidInput` says what is wrong.
    """
    cli, ssh = access_info.get('cli'), access_info.get('ssh')
    if cli and not _is_this_machine(cli.get('host')):
        raise exception.InvalidInput('cli runs commands on the machine Delfin runs on: its host must be localhost. '
                                     'For another machine use ssh instead.')
    if ssh and not (cli and _is_this_machine(ssh.get('host'))):
        return SshRunner(SSHSettings.from_access_info(ssh))
    if cli:
        return LocalRunner()
    raise exception.InvalidInput('A linux host needs an ssh section, or cli with the host localhost for the machine '
                                 'Delfin runs on.')


def _is_this_machine(host: Any) -> bool:
    return str(host or '').strip().lower() in (*_LOOPBACK, socket.gethostname().lower())
