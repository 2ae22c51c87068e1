# SPDX-License-Identifier: Apache-2.0
"""What our drivers are tried on, and the pages that are made of that: `python -m tests.compliance.matrix` renews them.

As `delfin-compliance --simulator auto --update-docs docs/drivers`, but with the simulators of the tests, too.
"""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path

from delfin.drivers.compliance import docs, waivers
from delfin.drivers.compliance.device import Device, simulator, simulators
from delfin.drivers.compliance.run import Report, judge
from delfin.drivers.compliance.subject import Subject, registered
from tests.simulators import DEVICES

PAGES = Path(__file__).resolve().parents[2] / 'docs' / 'drivers'
WAIVERS = Path(__file__).with_name('waivers.toml')
EXCUSED = waivers.read(WAIVERS) if WAIVERS.exists() else []
# Packages of other tests may be installed beside ours.
OURS = [subject for subject in registered() if subject.package == 'delfin']


def device_of(subject: Subject) -> Device | None:
    """What there is to try a driver on."""
    if subject.name in DEVICES:
        return simulator(DEVICES[subject.name])
    return simulator(subject.name) if subject.name in simulators() else None


@functools.cache
def report(name: str) -> Report:
    """The report on one of our drivers: made once, for all tests of a process."""
    subject = next(each for each in OURS if each.name == name)
    with device_of(subject) or contextlib.nullcontext() as device:
        return judge(subject, device, waivers=EXCUSED)


def main() -> None:
    """Write the pages."""
    for path in docs.update(PAGES, [report(subject.name) for subject in OURS]):
        print(f'{path} was written')


if __name__ == '__main__':
    main()
