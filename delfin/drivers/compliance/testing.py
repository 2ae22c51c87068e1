# SPDX-License-Identifier: Apache-2.0
"""For tests of driver packages: one pytest test for each rule, in a class of a few lines.

    from delfin.drivers.compliance.device import Device
    from delfin.drivers.compliance.testing import ComplianceTests

    class TestAcme(ComplianceTests):
        driver = 'acme x1'                  # the name of the entry point; or driver_class = AcmeDriver
        access_info = {'rest': {'host': '127.0.0.1', 'port': 8443, 'username': 'u', 'password': 'secret'}}

Without `access_info` and `make_device` only static rules are tried. The driver is run once for the class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from delfin.drivers.compliance import waivers
from delfin.drivers.compliance.bench import Patience
from delfin.drivers.compliance.device import Device
from delfin.drivers.compliance.rules import all_rules
from delfin.drivers.compliance.run import Report, Result, Verdict, judge
from delfin.drivers.compliance.subject import Subject, registered


class ComplianceTests:
    """Derive and say what is to be tried."""

    driver: ClassVar[str] = ''                          # "vendor model" of an installed entry point
    driver_class: ClassVar[type | None] = None          # instead, a class that no entry point names
    access_info: ClassVar[Mapping[str, Any] | None] = None      # a device to connect to
    waivers: ClassVar[str | Path | Sequence[waivers.Waiver]] = ()       # a TOML file, or waivers
    patience: ClassVar[Patience | None] = None

    def make_device(self) -> Device | None:
        """What to run against; override it for a simulator or a replay."""
        if self.access_info is None:
            return None
        vendor, _, model = (self.driver or 'vendor model').partition(' ')
        return Device({**self.access_info, 'vendor': vendor, 'model': model})

    def make_subject(self) -> Subject:
        """The driver."""
        if self.driver_class is not None:
            return Subject.of_class(self.driver_class, self.driver or 'vendor model')
        return next(registered([self.driver]))

    @pytest.fixture(scope='class')
    @classmethod
    def compliance_report(cls) -> Report:
        """All results, made once."""
        tests = cls()
        excused = waivers.read(Path(tests.waivers)) if isinstance(tests.waivers, str | Path) else tests.waivers
        device = tests.make_device()
        if device is None:
            return judge(tests.make_subject(), waivers=excused)
        with device:
            return judge(tests.make_subject(), device, waivers=excused, patience=tests.patience)

    @classmethod
    def has_device(cls) -> bool:
        """Whether dynamic rules can be tried."""
        return cls.access_info is not None or cls.make_device is not ComplianceTests.make_device

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Hook of pytest: which rules there are."""
        if 'rule_id' in metafunc.fixturenames:
            metafunc.parametrize('rule_id', [rule.id for rule in all_rules() if self.has_device() or not rule.dynamic])

    def test_rule(self, compliance_report: Report, rule_id: str) -> None:
        """One rule."""
        result = next(each for each in compliance_report.results if each.rule.id == rule_id)
        if result.verdict is Verdict.SKIPPED:
            pytest.skip(str(result.skipped))
        assert result.verdict is not Verdict.FAIL, _explained(result)


def _explained(result: Result) -> str:
    found = '\n'.join(f'  {each.problem.method or ""}: {each.problem.text}' for each in result.found if each.fails)
    return f'{result.rule.id} {result.rule.title}\n{found}\n  hint: {result.rule.hint}'
