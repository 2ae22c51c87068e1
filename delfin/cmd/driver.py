# SPDX-License-Identifier: Apache-2.0
"""delfin-driver: what authors of drivers need, from the first file to the array in the lab."""

from __future__ import annotations

import argparse
import inspect
import logging
import sys
from collections.abc import Callable
from typing import Any

from delfin import exception
from delfin.common import json, masking
from delfin.drivers.manager import logger_name
from delfin.drivers.tools import scaffold, trial, validation, watching
from delfin.drivers.tools.recording import Recorder
from delfin.drivers.tools.target import Drivers, read_access
from delfin.version import version_string

PROG = 'delfin-driver'


def new(arguments: argparse.Namespace) -> int:
    """Write a package for a new driver: driver, simulator, tests, README. It can be installed and tested as it is."""
    folder = scaffold.write(arguments.vendor, arguments.model, arguments.into)
    print(f'{folder} is a package with a driver "{arguments.vendor} {arguments.model}"; begin with its README.md.')
    return 0


def validate(arguments: argparse.Namespace) -> int:
    """Say on one page what of the contract a driver has, what is wrong with it and what is to do; asks no array.

    Exit code 1 if something is wrong.
    """
    report = validation.examine(Drivers(' '.join(arguments.driver)))
    print(json.text(report.view()) if arguments.json else report.page())
    return 1 if report.wrong else 0


def try_(arguments: argparse.Namespace) -> int:
    """Call every method of a driver once and show tables, timings and findings.

    Needs no service and no database, and changes nothing on the array. Exit code 1 if a method failed.
    """
    return _show(arguments, _trial(arguments))


def record(arguments: argparse.Namespace) -> int:
    """As "try", and write what the array answers over HTTP into a folder, for tests (delfin.drivers.kit.replay).

    Secrets are cut out as far as they can be known: read the file before you pass it on.
    """
    chosen = _trial(arguments)
    with Recorder(arguments.into, chosen.masker) as recorder:
        code = _show(arguments, chosen)
    print(f'{recorder.count} replies are in {recorder.folder}')
    return code


def watch(arguments: argparse.Namespace) -> int:
    """Run "try" now, and again whenever a file of the driver's package changes, until Ctrl-C."""
    folder = watching.folder_of(Drivers(' '.join(arguments.driver)).chosen())
    words = ['try', *arguments.driver, '--access-info', arguments.access_info, *['--debug'] * arguments.debug]
    watching.watch(folder, [sys.executable, '-m', 'delfin.cmd.driver', *words])
    return 0


def _trial(arguments: argparse.Namespace) -> trial.Trial:
    drivers = Drivers(' '.join(arguments.driver))
    logging.basicConfig(level=logging.WARNING, format='%(levelname)s %(name)s: %(message)s', stream=sys.stderr)
    if arguments.debug:
        logging.getLogger(logger_name(drivers.chosen().__module__)).setLevel(logging.DEBUG)
    access = read_access(arguments.access_info, drivers.vendor, drivers.model)
    made = trial.Trial(drivers, access, examples=arguments.rows)
    masking.install(made.masker)
    return made


def _show(arguments: argparse.Namespace, chosen: trial.Trial) -> int:
    steps = []
    for step in chosen.run():
        steps.append(step)
        if not arguments.json:
            print(chosen.masker.mask(trial.page(step)), flush=True)
    if arguments.json:
        print(chosen.masker.mask(json.text([step.view() for step in steps])))
    return 1 if any(step.state == trial.FAILED for step in steps) else 0


# --- the command line ---

def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog=PROG, description='Tools for authors of drivers; see docs/driver-guide.md.')
    top.add_argument('--version', action='version', version=version_string())
    commands = top.add_subparsers(dest='command', required=True)

    def add(name: str, function: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        doc = inspect.getdoc(function) or ''
        command = commands.add_parser(name, help=doc.splitlines()[0], description=doc)
        command.set_defaults(function=function)
        return command

    command = add('new', new)
    command.add_argument('vendor', help='one word, as clients will write it')
    command.add_argument('model', help='the same')
    command.add_argument('--into', metavar='FOLDER', help='where to; must not exist (default: ./<vendor>-<model>)')
    command = add('validate', validate)
    _add_driver(command)
    command.add_argument('--json', action='store_true', help='for machines')
    for name, function in (('try', try_), ('record', record), ('watch', watch)):
        command = add(name, function)
        _add_driver(command)
        command.add_argument('--access-info', metavar='FILE', required=True,
                             help='JSON as in the body of a registration, "-" for standard input; a password that is '
                                  'not in it is asked for')
        command.add_argument('--debug', action='store_true', help='show what the driver logs at DEBUG')
        if name != 'watch':
            command.add_argument('--rows', type=int, default=3, metavar='N', help='rows shown of each list (3)')
            command.add_argument('--json', action='store_true', help='for machines')
        if name == 'record':
            command.add_argument('--into', metavar='FOLDER', required=True, help='where to')
    return top


def _add_driver(command: Any) -> None:
    command.add_argument('driver', nargs='+', metavar='DRIVER',
                         help='vendor and model of an installed driver, or module:Class')


def main() -> None:
    """Console entry point."""
    arguments = parser().parse_args()
    try:
        sys.exit(arguments.function(arguments))
    except exception.DelfinException as error:
        sys.exit(f'{PROG}: {error.msg}')
    except OSError as error:
        sys.exit(f'{PROG}: {error.strerror}: {error.filename}')
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == '__main__':
    main()
