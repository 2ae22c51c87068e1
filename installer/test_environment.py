# SPDX-License-Identifier: Apache-2.0
"""The environment of the tests, shared by all tox environments: made when missing, updated when out of date.

`installer/test` calls this first; tox.ini calls it too, so that a plain `tox -e unit` works just as well.
"""

from __future__ import annotations

from contextlib import ExitStack

from installer.checkout import Checkout
from installer.console import Console, RunLog
from installer.environment import Environment


def main(arguments: list[str]) -> int:
    prepare(Checkout.here(), Console())
    return 0


def prepare(checkout: Checkout, console: Console) -> Environment:
    log = RunLog(checkout.build / 'test-environment.log')
    environment = Environment(
        checkout, checkout.test_venv, (checkout.test_requirements,), log, checkout.test_beside)
    with checkout.lock(wait=True), ExitStack() as undo:
        environment.prepare(console, undo)
        undo.pop_all()
    log.remove()
    return environment
