# SPDX-License-Identifier: Apache-2.0
"""The rules bite: each one fails on a driver that breaks it, and on no other; all of them pass on the clean one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from delfin.drivers.compliance.contract import METHODS, Level
from delfin.drivers.compliance.rules import all_rules
from delfin.drivers.compliance.run import Report, Standing, Verdict, judge
from delfin.drivers.compliance.subject import Subject
from tests.compliance.broken import BROKEN
from tests.compliance.noisy import NoisyDriver
from tests.compliance.toy import PATIENCE, CleanDriver, ToyArray


def subject(driver_class: type, name: str = 'toy array', **facts: Any) -> Subject:
    """As if the class stood in the module of the clean driver: that is imported in a fresh interpreter only once."""
    return Subject(name, f'{CleanDriver.__module__}:{driver_class.__name__}', driver_class, **facts)


SUBJECTS = [
    ('S01', subject(CleanDriver, 'toy')),
    ('S01', subject(CleanDriver, others=('Toy Array',))),
    ('S02', Subject.of_class(NoisyDriver)),
    *((rule, subject(driver_class)) for rule, driver_class in BROKEN),
]


@pytest.fixture
def toy() -> Iterator[ToyArray]:
    with ToyArray() as array:
        yield array


def failed(report: Report) -> dict[str, list[str]]:
    return {result.rule.id: [found.problem.text for found in result.found if found.fails]
            for result in report.results if result.verdict is Verdict.FAIL}


def test_every_rule_has_a_driver_that_breaks_it() -> None:
    assert {rule.id for rule in all_rules()} == {rule for rule, _ in SUBJECTS}


@pytest.mark.parametrize(('rule', 'broken'), SUBJECTS, ids=lambda value: (
    value if isinstance(value, str) else value.driver_class.__name__))
def test_a_broken_driver_fails_just_the_rule_that_it_breaks(rule: str, broken: Subject, toy: ToyArray) -> None:
    assert list(failed(judge(broken, toy, patience=PATIENCE))) == [rule]


def test_the_clean_driver_passes_all_rules_and_proves_all_levels(toy: ToyArray) -> None:
    report = judge(subject(CleanDriver), toy, patience=PATIENCE)
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


def test_a_class_that_conforms_without_inheriting_is_accepted(toy: ToyArray) -> None:
    report = judge(subject(Duck), toy, patience=PATIENCE)
    assert failed(report) == {}
    assert report.standing(Level.PERFORMANCE) is Standing.PROVED


class EmptyClass:
    """Has nothing: what a check by "bound methods" lets pass on Python 3."""


def test_a_class_without_methods_fails() -> None:
    found = failed(judge(subject(EmptyClass)))
    assert set(found) == {'S04', 'S07'}
    assert len(found['S04']) == sum(method.abstract for method in METHODS.values())
