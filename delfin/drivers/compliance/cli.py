# SPDX-License-Identifier: Apache-2.0
"""delfin-compliance: the command."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from delfin import exception
from delfin.drivers.compliance import device as devices
from delfin.drivers.compliance import docs, waivers
from delfin.drivers.compliance.bench import HOSTILE_SECONDS, SOCKET_SECONDS, Patience
from delfin.drivers.compliance.device import Device
from delfin.drivers.compliance.replay import Replay
from delfin.drivers.compliance.report import FORMATS
from delfin.drivers.compliance.rules import Rule, all_rules, select
from delfin.drivers.compliance.run import Report, judge
from delfin.drivers.compliance.subject import Subject, registered
from delfin.version import version_string

PROG = 'delfin-compliance'
PASSED, FAILED, BROKEN = 0, 1, 2

_DESCRIPTION = """\
Check drivers against Delfin's contract. Without a device only the class is looked at (static rules); with one, the
driver is run through the door that Delfin itself uses, and its answers are read as Delfin reads them.

  delfin-compliance                                        static rules, every installed driver
  delfin-compliance --driver "acme x1" --access-info FILE  all rules against a real array
  delfin-compliance --driver "acme x1" --simulator NAME    all rules against a simulator that knows the truth
  delfin-compliance --driver "acme x1" --replay DIR        all rules against recorded replies
  delfin-compliance --list-rules                           what is checked
"""
_EPILOG = """\
Exit status: 0 no rule failed; 1 a rule failed; 2 the run itself failed, or nothing was tried.

A driver is judged by Core and by the levels in its class attribute COMPLIANCE_LEVELS. A real array is never changed
unless --allow-changes is given. The rules try one wrong password, twice: an array that locks accounts after fewer than
three failures needs --rules without E01 and I05, or an account of its own. docs/drivers/compliance.md says more.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(PROG, description=_DESCRIPTION, epilog=_EPILOG,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--version', action='version', version=version_string())
    parser.add_argument('--driver', metavar='"VENDOR MODEL"', action='append',
                        help='a driver by the name of its entry point; may be repeated (default: all)')
    where = parser.add_mutually_exclusive_group()
    where.add_argument('--static', action='store_true', help='look at the class only (the default without a device)')
    where.add_argument('--access-info', metavar='FILE',
                       help='a real array: the JSON body of its registration; - for standard input')
    where.add_argument('--simulator', metavar='NAME',
                       help='a simulator by its entry point (the name of its driver), or module:Class; for "linux '
                            'host" this machine; "auto": for each driver its own, static rules for those without')
    where.add_argument('--replay', metavar='DIR', help='recorded replies: access.json with replies.json, commands.json')
    parser.add_argument('--allow-changes', action='store_true',
                        help='let rules clear an alert and add and remove a trap receiver on a real array')
    parser.add_argument('--rules', metavar='IDS', help='only these, with commas: R05,T01 or groups: S,R')
    parser.add_argument('--timeout', metavar='SECONDS', type=float, default=HOSTILE_SECONDS,
                        help='what a call to a host that does not answer may take (default %(default)g)')
    parser.add_argument('--waivers', metavar='FILE', help='TOML: problems forgiven until a day, with a reason')
    parser.add_argument('--format', choices=sorted(FORMATS), default='text', help='of the report (default text)')
    parser.add_argument('--output', metavar='FILE', help='write the report there instead of standard output')
    parser.add_argument('--matrix', metavar='FILE', help='write the support matrix that these runs give, too')
    parser.add_argument('--update-docs', metavar='DIR', help='write rules and support matrix into docs/drivers')
    parser.add_argument('--list-rules', action='store_true', help='show all rules and end')
    parser.add_argument('--verbose', action='store_true', help='say on standard error which rule is tried')
    return parser


def run(argv: Sequence[str]) -> int:
    """The command; its exit status."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.list_rules:
        for rule in all_rules():
            print(f'{rule.id}  {rule.level:<12}{"dynamic" if rule.dynamic else "static":<9}{rule.title}')
        return PASSED
    if options.timeout <= 0:
        parser.error('--timeout must be more than 0')
    if (options.access_info or options.replay) and len(options.driver or ()) != 1:
        parser.error('--access-info and --replay need one --driver')
    try:
        return _run(options)
    except (exception.DelfinException, OSError, ValueError) as error:
        print(f'{PROG}: {error}', file=sys.stderr)
        return BROKEN


def _run(options: argparse.Namespace) -> int:
    rules = list(select(filter(None, (options.rules or '').replace(' ', '').split(','))))
    excused = waivers.read(Path(options.waivers)) if options.waivers else []
    # The rules log what they provoke; people want the report.
    logging.getLogger().addHandler(logging.NullHandler())
    reports = [_judge(subject, rules, excused, options) for subject in registered(options.driver)]
    shown = FORMATS[options.format](reports)
    if options.output:
        Path(options.output).write_text(shown, 'utf-8')
    else:
        print(shown, end='')
    if options.matrix:
        Path(options.matrix).write_text(docs.matrix(reports), 'utf-8')
    if options.update_docs:
        for path in docs.update(Path(options.update_docs), reports):
            print(f'{PROG}: {path} was written', file=sys.stderr)
    if not any(report.tried for report in reports):
        print(f'{PROG}: not a single rule was tried', file=sys.stderr)
        return BROKEN
    return FAILED if any(report.failed for report in reports) else PASSED


def _judge(subject: Subject, rules: Sequence[Rule], excused: list[waivers.Waiver],
           options: argparse.Namespace) -> Report:
    patience = Patience(hostile=options.timeout, socket=min(SOCKET_SECONDS, options.timeout / 4))

    def progress(rule: Rule) -> None:
        if options.verbose:
            print(f'{subject.name}: {rule.id}', file=sys.stderr)

    device = _device(subject, options)
    if device is None:
        return judge(subject, rules=rules, waivers=excused, progress=progress)
    if options.allow_changes:
        device.may_change = True
    with device:
        return judge(subject, device, rules=rules, waivers=excused, patience=patience, progress=progress)


def _device(subject: Subject, options: argparse.Namespace) -> Device | None:
    if options.access_info:
        return devices.from_file(options.access_info, subject.name)
    if options.replay:
        return Replay(Path(options.replay), subject.name)
    if options.simulator == 'auto':
        return devices.simulator(subject.name) if subject.name in devices.simulators() else None
    return devices.simulator(options.simulator) if options.simulator else None
