# SPDX-License-Identifier: Apache-2.0
"""Broken drivers by the rules that they break, and the question that all of them are asked."""

from __future__ import annotations

from typing import Any

import pytest

from delfin.drivers.compliance.run import Report, Verdict, judge
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


def breaking(groups: str) -> Any:
    """Parameters `rule` and `broken` of the rules whose ids begin with one of these letters."""
    return pytest.mark.parametrize(('rule', 'broken'), [each for each in SUBJECTS if each[0][0] in groups],
                                   ids=lambda value: value if isinstance(value, str) else value.driver_class.__name__)


def failed(report: Report) -> dict[str, list[str]]:
    """What fails, by rule."""
    return {result.rule.id: [found.problem.text for found in result.found if found.fails]
            for result in report.results if result.verdict is Verdict.FAIL}


def judged(driver: Subject) -> Report:
    """All rules on a driver of the toy array."""
    with ToyArray() as toy:
        return judge(driver, toy, patience=PATIENCE)
