# SPDX-License-Identifier: Apache-2.0
"""What running a simulator by hand takes: the options that all have, and waiting for the end."""

from __future__ import annotations

import argparse
import signal
import threading


def parser(module: str, description: str, *, port: int, seed: str, username: str) -> argparse.ArgumentParser:
    """With the common options; a simulator adds its own."""
    made = argparse.ArgumentParser(prog=f'python -m {module}', description=description)
    made.add_argument('--host', default='127.0.0.1')
    made.add_argument('--port', type=int, default=port, help='0 takes a free one')
    made.add_argument('--control-port', type=int, default=0, help='on loopback; 0 takes a free one')
    made.add_argument('--seed', default=seed, help='the same seed, the same array')
    made.add_argument('--flawless', action='store_true', help='nothing is broken at first')
    made.add_argument('--username', default=username)
    made.add_argument('--password', default='Simulated-1')
    made.add_argument('--latency', type=float, default=0.0, help='seconds before each answer')
    made.add_argument('--move', type=float, default=60.0, metavar='SECONDS',
                      help='between changes of used capacities; 0: they stay')
    made.add_argument('--traps-to', type=_address, action='append', default=[], metavar='HOST:PORT')
    made.add_argument('--community', default='public', help='of v2c traps')
    return made


def told(traps_to: list[tuple[str, int]]) -> str:
    """Whom traps go to, in words."""
    return ', '.join(f'{host}:{port}' for host, port in traps_to) or 'to nobody'


def end() -> threading.Event:
    """Set by SIGINT and SIGTERM from now on."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    return ended


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(':')
    if not colon or not port.isdecimal():
        raise argparse.ArgumentTypeError('write host:port')
    return host.strip('[]'), int(port)
