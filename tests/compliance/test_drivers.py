# SPDX-License-Identifier: Apache-2.0
"""The drivers that Delfin brings along: static rules for all, all rules on what there is to connect to; and the pages
that are made from this.
"""

from __future__ import annotations

import datetime
import os
import shutil
from typing import Any, ClassVar

import pytest

from delfin.drivers.compliance import docs
from delfin.drivers.compliance.contract import Level
from delfin.drivers.compliance.device import Device, simulator
from delfin.drivers.compliance.run import Report, Standing, judge
from delfin.drivers.compliance.subject import Subject
from delfin.drivers.compliance.testing import ComplianceTests
from delfin.drivers.fake_storage.simulator import FakeSimulator
from tests.compliance.matrix import EXCUSED, OURS, PAGES, report
from tests.simulators import DEVICES

PATH = f'{os.environ["PATH"]}:/usr/sbin:/sbin'
MISSING = [tool for tool in ('lsblk', 'findmnt', 'ip', 'vgs') if shutil.which(tool, path=PATH) is None]
needs_tools = pytest.mark.skipif(
    bool(MISSING) and os.environ.get('DELFIN_REQUIRE_ENGINES') != '1',
    reason=f'this machine has no {", ".join(MISSING)}, and so not all that linux host claims')

def proved(report: Report) -> set[Level]:
    return {level for level in Level if report.standing(level) is Standing.PROVED}


@pytest.mark.parametrize('subject', OURS, ids=lambda subject: subject.name)
def test_static_rules_hold_for_every_registered_driver(subject: Subject) -> None:
    report = judge(subject, waivers=EXCUSED)
    assert [(result.rule.id, found.problem.text) for result in report.results for found in result.found
            if found.fails] == []


def test_there_are_drivers_to_check() -> None:
    assert {'fake_storage fake_driver', 'linux host', *DEVICES} <= {subject.name for subject in OURS}


def test_no_waiver_is_about_to_be_forgotten() -> None:
    soon = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=14)
    assert [each for each in EXCUSED if each.expired(soon)] == []


class TestFakeStorage(ComplianceTests):
    driver = 'fake_storage fake_driver'
    waivers = EXCUSED

    def make_device(self) -> Device:
        return FakeSimulator()

    def test_it_proves_every_level(self, compliance_report: Report) -> None:
        assert proved(compliance_report) == set(Level)


@needs_tools
class TestLinuxHost(ComplianceTests):
    """This machine."""

    driver = 'linux host'
    access_info: ClassVar[dict[str, Any]] = {'cli': {'host': 'localhost'}}
    waivers = EXCUSED

    def test_it_proves_what_it_claims(self, compliance_report: Report) -> None:
        assert proved(compliance_report) == {Level.CORE, Level.INVENTORY, Level.NAS, Level.PERFORMANCE}


class OnSimulator(ComplianceTests):
    """A driver on the simulator that the tests have of its array; the run is that of the support matrix."""

    def make_device(self) -> Device:
        return simulator(DEVICES[self.driver])

    @pytest.fixture(scope='class')
    @classmethod
    def compliance_report(cls) -> Report:
        return report(cls.driver)

    levels: ClassVar[set[Level]] = set(Level)

    def test_it_proves_every_level_that_it_can(self, compliance_report: Report) -> None:
        assert proved(compliance_report) == self.levels


class TestHuaweiOceanStor(OnSimulator):
    driver = 'huawei oceanstor'


class TestIbmStorwize(OnSimulator):
    driver = 'ibm storwize_svc'
    levels: ClassVar[set[Level]] = set(Level) - {Level.NAS}


class TestInspurAs5500(TestIbmStorwize):
    driver = 'inspur as5500'


# --- pages ---

UPDATE = 'stale: python -m tests.compliance.matrix'


def test_the_tables_of_the_guide_are_those_of_contract_and_rules() -> None:
    page = (PAGES / docs.GUIDE).read_text()
    assert docs.renewed(page) == page, UPDATE


@needs_tools
def test_the_support_matrix_is_what_the_runs_give() -> None:
    assert docs.matrix([report(subject.name) for subject in OURS]) == (PAGES / docs.MATRIX).read_text(), UPDATE
