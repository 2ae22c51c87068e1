# SPDX-License-Identifier: Apache-2.0
"""installer/test: from a clean checkout to the result of all tests, with one table and one closing line."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from installer import packages
from installer.checkout import Checkout
from installer.console import Console, Problem, RunLog
from installer.environment import Environment, clean_variables
from installer.test_environment import prepare

ENVIRONMENTS = ('lint', 'unit', 'compliance', 'functional', 'integration', 'faults')
ON_REQUEST = ('coverage', 'long')       # take longer than a change may wait for
NO_TESTS_COLLECTED = 5  # pytest's exit code, passed on by tox


@dataclass(frozen=True)
class Result:
    """What one tox environment came to. One that failed without a failed test (lint, a crash) counts as a failure."""

    name: str
    seconds: float
    code: int
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def word(self) -> str:
        if self.code == NO_TESTS_COLLECTED:
            return 'no tests'
        return 'ok' if self.code == 0 else 'FAILED'


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='installer/test',
        usage='%(prog)s [--require-engines] [ENVIRONMENT …] [-- PYTEST-ARGUMENT …]',
        description='Set up what the tests need and run them through tox. As root on Debian or Ubuntu this installs '
        'the packages of installer/test-packages.txt, without starting any service; otherwise the tests that need a '
        'missing one are skipped.',
    )
    names = f'of {", ".join(ENVIRONMENTS)}, all if none is named; only if named: {", ".join(ON_REQUEST)}'
    parser.add_argument('environments', nargs='*', metavar='ENVIRONMENT', help=names)
    parser.add_argument('--require-engines', action='store_true', help='a missing package is a failure, not a skip')
    cut = arguments.index('--') if '--' in arguments else len(arguments)
    options = parser.parse_args(arguments[:cut])
    options.pytest = arguments[cut + 1 :]
    known = (*ENVIRONMENTS, *ON_REQUEST)
    unknown = set(options.environments) - set(known)
    if unknown:
        parser.error(f'unknown: {", ".join(sorted(unknown))} (there are {", ".join(known)})')
    return options


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    checkout = Checkout.here()
    console = Console()
    checkout.must_be_writable()
    provide_packages(checkout, options.require_engines, console)
    environment = prepare(checkout, console)
    results = []
    for name in options.environments or ENVIRONMENTS:
        console.say(f'\n== {name}')
        results.append(run(environment, name, options))
    return report(results, console)


def provide_packages(checkout: Checkout, required: bool, console: Console) -> None:
    """Install what is missing if we may; else say so, or insist."""
    missing = packages.missing(packages.listed(checkout.installer / 'test-packages.txt'))
    if not missing:
        return
    log = RunLog(checkout.build / 'test-packages.log')
    begun = time.monotonic()
    try:
        if not packages.can_install():
            raise Problem(f'not installed: {", ".join(missing)}; as root: {packages.command_for(missing)}')
        console.begin(f'Debian packages for the tests: installing {", ".join(missing)}', long=True)
        with checkout.lock(wait=True):
            packages.install(missing, log)
        console.done(f'Debian packages for the tests: {", ".join(missing)} ({time.monotonic() - begun:.0f} s)')
        log.remove()
    except Problem as problem:
        if required:
            raise
        console.done(f'the tests that need them are skipped: {problem}', mark='--')


def run(environment: Environment, name: str, options: argparse.Namespace) -> Result:
    """One tox environment, its output passed through as it comes."""
    checkout = environment.checkout
    for old in checkout.results.glob(f'{name}.xml'):
        old.unlink()
    env = clean_variables()
    if options.require_engines:
        env['DELFIN_REQUIRE_ENGINES'] = '1'
    tox: list[str | Path] = [environment.bin / 'tox', 'run', '-q', '-c', checkout.root / 'tox.ini', '-e', name, '--']
    begun = time.monotonic()
    code = subprocess.run([*tox, *options.pytest], stdin=subprocess.DEVNULL, cwd=checkout.root, env=env).returncode
    return counted(name, time.monotonic() - begun, code, checkout.results / f'{name}.xml')


def counted(name: str, seconds: float, code: int, report_file: Path) -> Result:
    """The counts out of pytest's report; none is there for lint, or when pytest broke down."""
    passed = failed = skipped = 0
    for suite in _suites(report_file):
        bad = int(suite.get('failures', 0)) + int(suite.get('errors', 0))
        failed += bad
        skipped += int(suite.get('skipped', 0))
        passed += int(suite.get('tests', 0)) - bad - int(suite.get('skipped', 0))
    if code not in (0, NO_TESTS_COLLECTED) and not failed:
        failed = 1
    return Result(name, seconds, code, passed, failed, skipped)


def _suites(report_file: Path) -> list[ElementTree.Element]:
    try:
        return list(ElementTree.parse(report_file).getroot().iter('testsuite'))
    except (OSError, ElementTree.ParseError):
        return []


def report(results: list[Result], console: Console) -> int:
    """The table and, as the very last line, the sum; the exit code."""
    console.say(f'\n{"environment":<14}{"seconds":>9}{"passed":>9}{"failed":>9}{"skipped":>9}  result')
    for one in results:
        console.say(f'{one.name:<14}{one.seconds:>9.1f}{one.passed:>9}{one.failed:>9}{one.skipped:>9}  {one.word}')
    passed, failed, skipped = (sum(getattr(one, key) for one in results) for key in ('passed', 'failed', 'skipped'))
    if not passed + failed + skipped and any(one.word == 'no tests' for one in results):
        print('installer/test: not a single test was run', file=sys.stderr)
        failed = 1
    console.say(f'{passed} passed, {failed} failed, {skipped} skipped')
    return 1 if failed else 0
