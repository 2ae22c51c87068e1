# SPDX-License-Identifier: Apache-2.0
"""Processes and ports, as /proc tells: who is it, is it still the same one, who listens there."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path

LISTEN = '0A'  # the state column of /proc/net/tcp


@dataclass(frozen=True)
class Process:
    """A process that cannot be mistaken for a later one with the same number: start time and boot belong to it."""

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The live process of that number; None when there is none (a zombie is none)."""
        try:
            fields = Path(f'/proc/{pid}/stat').read_text(errors='replace').rpartition(')')[2].split()
        except OSError:
            return None
        if fields[0] in 'ZX':
            return None
        return cls(pid, int(fields[19]), Path('/proc/sys/kernel/random/boot_id').read_text().strip())

    def alive(self) -> bool:
        return Process.of(self.pid) == self

    def terminate(self, patience_seconds: float) -> bool:
        """SIGTERM, then SIGKILL once patience is at its end; whether SIGTERM was enough."""
        self._send(signal.SIGTERM)
        if self._gone_within(patience_seconds):
            return True
        self._send(signal.SIGKILL)
        self._gone_within(5)
        return False

    def _send(self, number: signal.Signals) -> None:
        if self.alive():
            os.kill(self.pid, number)

    def _gone_within(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True


def port_is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def listener(port: int) -> str:
    """Who listens on a TCP port: 'nginx (pid 12)', or 'another process' where /proc does not tell us."""
    sockets = {f'socket:[{inode}]' for inode in _listening_inodes(port)}
    for entry in Path('/proc').iterdir():
        if entry.name.isdigit() and sockets & _open_files(entry):
            return f'{(entry / "comm").read_text().strip()} (pid {entry.name})'
    return 'another process'


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in ('/proc/net/tcp', '/proc/net/tcp6'):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == LISTEN and int(fields[1].rpartition(':')[2], 16) == port:
                inodes.add(fields[9])
    return inodes


def _open_files(entry: Path) -> set[str]:
    targets = set()
    with contextlib.suppress(OSError):  # not ours to look into, or gone meanwhile
        for file in (entry / 'fd').iterdir():
            with contextlib.suppress(OSError):
                targets.add(os.readlink(file))
    return targets
