# SPDX-License-Identifier: Apache-2.0
"""The rules about metrics, instances, errors and time bite: see `test_rules`, which runs beside this."""

from __future__ import annotations

from delfin.drivers.compliance.subject import Subject
from tests.compliance.judging import breaking, failed, judged


@breaking('CIET')
def test_a_broken_driver_fails_just_the_rule_that_it_breaks(rule: str, broken: Subject) -> None:
    assert list(failed(judged(broken))) == [rule]
