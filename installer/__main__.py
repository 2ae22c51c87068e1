# SPDX-License-Identifier: Apache-2.0
"""`python3 installer <command> …`: what the scripts beside this file run, through `python.sh`."""

import importlib
import sys
from pathlib import Path

COMMANDS = {
    'install': 'installer.install',
    'uninstall': 'installer.uninstall',
    'test': 'installer.test',
    'test-environment': 'installer.test_environment',
}


def main() -> int:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from installer.console import guarded

    command = sys.argv[1] if len(sys.argv) > 1 else ''
    if command not in COMMANDS:
        print(f'usage: python3 installer {{{"|".join(COMMANDS)}}} …', file=sys.stderr)
        return 2
    return guarded(f'installer/{command}', importlib.import_module(COMMANDS[command]).main, sys.argv[2:])


sys.exit(main())
