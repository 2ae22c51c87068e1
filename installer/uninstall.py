# SPDX-License-Identifier: Apache-2.0
"""installer/uninstall: stops Delfin and removes whatever install and test made in this checkout."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from installer import state as states
from installer.checkout import Checkout, remove
from installer.console import Console, Problem
from installer.environment import Environment
from installer.service import Service
from installer.state import State

# Everything install and test, and the tools they call, leave in the top folder (all of it is in .gitignore).
LEFTOVERS = (
    '.venv', '.tox', 'build', 'dist', 'htmlcov', '.mypy_cache', '.ruff_cache', '.pytest_cache', '.hypothesis',
    '*.egg-info', '.coverage', '.coverage.*',
)  # fmt: skip


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='installer/uninstall',
        description='Stop Delfin and remove the environments, the state directory with configuration, keys and '
        'database, and all caches from this checkout. Debian packages that installer/test installed stay.',
    )
    parser.add_argument('--yes', action='store_true', help='do not ask on a terminal before removing the data')
    parser.add_argument('--keep-data', action='store_true', help='keep configuration, keys, database and logs')
    parser.add_argument('--state-dir', metavar='DIR', help='where they are, if .delfin in the checkout does not say so')
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    checkout = Checkout.here()
    console = Console()
    checkout.must_be_writable()
    with checkout.lock():
        state = states.locate(checkout, options.state_dir)
        if not options.keep_data:
            _require_ours(state)
            _ask(state, options.yes)
        ended = Service(checkout, Environment(checkout, checkout.venv), state).stop()
        if ended:
            console.done(f'delfin-all {ended}')
        _remove_state(checkout, state, options.keep_data, console)
        removed = [path for path in _leftovers(checkout.root) if remove(path)]
        console.done(f'removed {len(removed)} other folders and files of install and test')
    return 0


def _require_ours(state: State) -> None:
    """Removing a folder that merely has the name given on the command line could cost somebody everything."""
    if state.directory.exists() and not state.ours and any(state.directory.iterdir()):
        raise Problem(f'{state.directory} is no state directory of Delfin (no {state.record_file.name}): left alone')


def _ask(state: State, yes: bool) -> None:
    if yes or not state.ours or not sys.stdin.isatty():
        return
    if input(f'Remove {state.directory} with its keys and its database? [y/N] ').strip().lower() not in ('y', 'yes'):
        raise Problem('nothing was removed; installer/uninstall --keep-data removes all but the data')


def _remove_state(checkout: Checkout, state: State, keep: bool, console: Console) -> None:
    if keep:
        console.done(f'kept {state.directory}')
        return
    if remove(state.directory):
        console.done(f'removed {state.directory}')
    states.forget(checkout)


def _leftovers(root: Path) -> Iterator[Path]:
    for pattern in LEFTOVERS:
        yield from root.glob(pattern)
    for folder, names, _ in os.walk(root):
        if '__pycache__' in names:
            yield Path(folder, '__pycache__')
        names[:] = [name for name in names if name not in ('.git', '__pycache__')]
