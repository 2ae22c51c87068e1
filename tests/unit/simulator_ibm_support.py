# SPDX-License-Identifier: Apache-2.0
"""What the tests of the simulated Storwize share: somebody who logs in and asks it."""

from __future__ import annotations

import base64
import io
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import paramiko

from tests.simulators.ibm import Clock, Sizes, Storwize

FEW = Sizes(volumes=24, pools=6, nodes=2, fc_ports=4, eth_ports=3, hosts=16, host_clusters=3, volume_groups=2)
NOON = 1_763_634_000            # 2025-11-20 11:20:00 in Berlin
IOSTATS = '/dumps/iostats'


@dataclass(frozen=True)
class Told:
    """What came back; `status` is -1 if none did."""

    out: str
    err: str
    status: int

    @property
    def code(self) -> str:
        """The first word on stderr."""
        return self.err.split(' ', 1)[0].rstrip(':')


class Client:
    """Asks an array over real SSH, as simply as possible."""

    def __init__(self, array: Storwize, *, password: str | None = None, by_key: bool = False) -> None:
        self.array = array
        kind, key = array.host_key.split()
        self.ssh = paramiko.SSHClient()
        self.ssh.get_host_keys().add(f'[{array.host}]:{array.port}', kind, paramiko.PKey.from_type_string(
            kind, base64.b64decode(key)))
        plug = socket.create_connection((array.host, array.port), 10)
        plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        how: dict[str, Any] = {'pkey': paramiko.Ed25519Key.from_private_key(io.StringIO(array.client_key))} \
            if by_key else {'password': password or array.password}
        self.ssh.connect(array.host, array.port, array.username, sock=plug, look_for_keys=False, allow_agent=False,
                         timeout=10, banner_timeout=10, auth_timeout=10, **how)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ssh.close()

    def run(self, command: str, timeout: float = 10) -> Told:
        """One command in a channel of its own."""
        _, out, err = self.ssh.exec_command(command, timeout=timeout)
        text = out.read().decode(), err.read().decode()
        return Told(*text, out.channel.recv_exit_status())

    def good(self, command: str) -> str:
        told = self.run(command)
        assert (told.status, told.err) == (0, ''), (command, told)
        return told.out

    def rows(self, command: str) -> list[dict[str, str]]:
        """Of a concise view."""
        head, *lines = self.good(f'{command} -delim !').splitlines() or ['']
        return [dict(zip(head.split('!'), line.split('!'), strict=True)) for line in lines]

    def sections(self, command: str) -> list[list[tuple[str, str]]]:
        """Of a detailed view."""
        return [[(key, value) for key, _, value in (line.partition('!') for line in section.splitlines())]
                for section in self.good(f'{command} -delim !').split('\n\n')]

    def files(self, node: str = '') -> list[str]:
        return [row['filename'] for row in self.rows(f'lsdumps -prefix {IOSTATS} {node}')]

    def by_scp(self, name: str) -> bytes:
        """As the old protocol of scp has it; FileNotFoundError with what the array said."""
        channel = self.ssh.get_transport().open_session(timeout=10)
        with channel, channel.makefile('rb') as answer:
            channel.settimeout(10)
            channel.exec_command(f'scp -f {IOSTATS}/{name}')
            channel.sendall(b'\0')
            head = answer.readline()
            if not head.startswith(b'C'):
                raise FileNotFoundError(head.decode())
            channel.sendall(b'\0')
            content = answer.read(int(head.split()[1]))
            assert answer.read(1) == b'\0'
            channel.sendall(b'\0')
            return content

    def by_sftp(self, name: str) -> bytes:
        with self.ssh.open_sftp() as transfer, transfer.open(f'{IOSTATS}/{name}') as file:
            return file.read()


@contextmanager
def running(sizes: Sizes = FEW, **more: Any) -> Iterator[tuple[Storwize, Client]]:
    """An array whose clock stands still at NOON, and somebody who is logged in."""
    with Storwize(sizes=sizes, **{'clock': Clock(NOON), **more}) as array, Client(array) as client:
        yield array, client
