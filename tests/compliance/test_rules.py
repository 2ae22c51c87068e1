# SPDX-License-Identifier: Apache-2.0
"""The rules about classes, rows and alerts bite: each one fails on a driver that breaks it, and no other does; all of
them pass on the clean one.
"""

from __future__ import annotations

from delfin.drivers.compliance.contract import METHODS, Level
from delfin.drivers.compliance.rules import all_rules
from delfin.drivers.compliance.run import Standing, judge
from delfin.drivers.compliance.subject import Subject
from tests.compliance.judging import SUBJECTS, breaking, failed, judged, subject
from tests.compliance.toy import CleanDriver


def test_every_rule_has_a_driver_that_breaks_it() -> None:
    assert {rule.id for rule in all_rules()} == {rule for rule, _ in SUBJECTS}


@breaking('SRA')
def test_a_broken_driver_fails_just_the_rule_that_it_breaks(rule: str, broken: Subject) -> None:
    assert list(failed(judged(broken))) == [rule]


def test_the_clean_driver_passes_all_rules_and_proves_all_levels() -> None:
    report = judged(subject(CleanDriver))
    assert failed(report) == {}
    assert {result.rule.id: result.skipped for result in report.results if result.skipped} == {}
    assert {report.standing(level) for level in Level} == {Standing.PROVED}


class Duck:
    """Driver of the toy array, not derived from anything."""

    PROTOCOLS = ('rest',)
    COMPLIANCE_LEVELS = tuple(Level)

    def __init__(self, **kwargs):
        self._driver = CleanDriver(**kwargs)

    def __repr__(self):
        return 'a duck'


def _handed_on(name):
    def method(self, *args, **kwargs):
        return getattr(self._driver, name)(*args, **kwargs)
    return method


for _method in METHODS.values():
    _static = _method.static or _method.classmethod
    setattr(Duck, _method.name, staticmethod(getattr(CleanDriver, _method.name)) if _static
            else _handed_on(_method.name))


def test_a_class_that_conforms_without_inheriting_is_accepted() -> None:
    report = judged(subject(Duck))
    assert failed(report) == {}
    assert report.standing(Level.PERFORMANCE) is Standing.PROVED


class EmptyClass:
    """Has nothing: what a check by "bound methods" lets pass on Python 3."""


def test_a_class_without_methods_fails() -> None:
    found = failed(judge(subject(EmptyClass)))
    assert set(found) == {'S04', 'S07'}
    assert len(found['S04']) == sum(method.abstract for method in METHODS.values())
