# SPDX-License-Identifier: Apache-2.0
"""What running a simulator by hand takes: the options that all have, saying where it is, and waiting for the end."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from tests.simulators.array import Simulated

Array = TypeVar('Array', bound=Simulated)


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


class Shown(NamedTuple):
    """What is said of a running array: what it is, what stands there beside its objects, how one gets in."""

    name: str
    standing: str
    address: str


def run(given: argparse.Namespace, make: Callable[[], Array], show: Callable[[Array], Shown]) -> None:
    """Serve the array that `make` makes until SIGINT or SIGTERM."""
    ended = _end()
    try:
        array = make()
    except OSError as error:
        sys.exit(f'{error}: choose another --host, --port or --control-port')
    array.agent.community = given.community
    for host, port in given.traps_to:
        array.agent.add(host, port)
    with array:
        shown = show(array)
        objects = ', '.join(f'{len(items)} {kind}' for kind, items in array.model.objects.items() if items)
        traps = ', '.join(f'{host}:{port}' for host, port in given.traps_to) or 'to nobody'
        print(f'{shown.name}: {objects}, {shown.standing}\n'
              f'array    {shown.address}\n'
              f'control  {array.control_url}/\n'
              f'traps    {traps}', flush=True)
        ended.wait()


def _end() -> threading.Event:
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    return ended


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(':')
    if not colon or not port.isdecimal():
        raise argparse.ArgumentTypeError('write host:port')
    return host.strip('[]'), int(port)
