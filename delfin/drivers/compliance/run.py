# SPDX-License-Identifier: Apache-2.0
"""Tries the rules on one driver and judges."""

from __future__ import annotations

import datetime
import enum
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from delfin.common.text import printable
from delfin.drivers.compliance.bench import Bench, Patience
from delfin.drivers.compliance.contract import METHODS, Level, claimed, implemented
from delfin.drivers.compliance.device import Device
from delfin.drivers.compliance.rules import Problem, Rule, Skip, all_rules
from delfin.drivers.compliance.subject import Subject
from delfin.drivers.compliance.waivers import Waiver, applying

LOG = logging.getLogger(__name__)

STATIC = 'static'


class Verdict(enum.StrEnum):
    """Of a rule. `NOTED`: there are problems, but only at levels that the driver does not claim."""

    PASS = 'pass'
    FAIL = 'fail'
    WAIVED = 'waived'
    NOTED = 'noted'
    SKIPPED = 'skipped'


class Standing(enum.StrEnum):
    """Of a level. `UNCLAIMED` says that it could be claimed, as far as was tried."""

    PROVED = 'proved'
    CLAIMED = 'claimed'         # only static rules were tried
    FAILED = 'failed'
    UNCLAIMED = 'unclaimed'
    ABSENT = 'absent'           # not claimed, and not there


@dataclass(frozen=True, slots=True)
class Found:
    """A problem with what is made of it: whether the driver is judged by its level, and the waiver, if one holds."""

    problem: Problem
    level: Level
    counts: bool
    waiver: Waiver | None = None
    expired: Waiver | None = None

    @property
    def fails(self) -> bool:
        """Whether it makes the run fail."""
        return self.counts and not self.problem.remark and self.waiver is None


@dataclass(frozen=True, slots=True)
class Result:
    """What a rule came to. `skipped` says why it was not tried."""

    rule: Rule
    found: tuple[Found, ...] = ()
    skipped: str | None = None
    seconds: float = 0.0

    @property
    def verdict(self) -> Verdict:
        """The worst of it."""
        if self.skipped is not None and not any(each.fails for each in self.found):
            return Verdict.SKIPPED
        problems = [each for each in self.found if not each.problem.remark]
        if any(each.fails for each in problems):
            return Verdict.FAIL
        if any(each.counts for each in problems):
            return Verdict.WAIVED
        return Verdict.NOTED if problems else Verdict.PASS


@dataclass
class Report:
    """All results of one driver. `mode` is `static` or how the device calls itself."""

    subject: Subject
    mode: str
    day: datetime.date
    levels: tuple[Level, ...]
    results: list[Result] = field(default_factory=list)
    unused: list[Waiver] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether any rule fails."""
        return any(result.verdict is Verdict.FAIL for result in self.results)

    @property
    def tried(self) -> int:
        """How many rules were not skipped."""
        return sum(result.verdict is not Verdict.SKIPPED for result in self.results)

    def standing(self, level: Level) -> Standing:
        """How the driver stands with a level; Core's failures are everybody's."""
        bad = any(found.level in (level, Level.CORE) and not found.problem.remark and found.waiver is None
                  for result in self.results for found in result.found)
        if level in self.levels:
            if bad:
                return Standing.FAILED
            return Standing.CLAIMED if self.mode == STATIC else Standing.PROVED
        there = self.subject.driver_class is not None and all(
            implemented(self.subject.driver_class, method.name)
            for method in METHODS.values() if method.required and method.level is level)
        return Standing.UNCLAIMED if there and not bad else Standing.ABSENT


def judge(subject: Subject, device: Device | None = None, *, rules: Iterable[Rule] | None = None,
          waivers: Sequence[Waiver] = (), patience: Patience | None = None, today: datetime.date | None = None,
          progress: Callable[[Rule], None] = lambda rule: None) -> Report:
    """Try `rules` (all) on a driver: static ones, and with a device the dynamic ones. The caller opens the device."""
    today = today or datetime.datetime.now(datetime.UTC).date()
    levels = claimed(subject.driver_class) if subject.driver_class is not None else (Level.CORE,)
    report = Report(subject, STATIC if device is None else device.mode, today, levels)
    used: set[Waiver] = set()
    wanted = list(all_rules() if rules is None else rules)

    def take(rule: Rule, target: Subject | Bench | None, why: str = '') -> None:
        progress(rule)
        result = _try(rule, target, why, report, waivers, used)
        report.results.append(result)

    for rule in wanted:
        if not rule.dynamic:
            take(rule, subject)
    dynamic = [rule for rule in wanted if rule.dynamic]
    if device is None or subject.driver_class is None:
        for rule in dynamic if device is not None else ():
            take(rule, None, 'the class could not be loaded')
    elif dynamic:
        with Bench(subject.driver_class, device, patience) as bench:
            for rule in dynamic:
                take(rule, bench)
    tried = {result.rule.id for result in report.results if result.skipped is None}
    report.unused = [each for each in waivers if each.driver == subject.name and each.rule in tried
                     and each not in used]
    return report


def _try(rule: Rule, target: Subject | Bench | None, why: str, report: Report, waivers: Sequence[Waiver],
         used: set[Waiver]) -> Result:
    began = time.monotonic()
    found: list[Found] = []
    skipped = None if target is not None else why
    if target is not None:
        try:
            for problem in rule.check(target):
                found.append(_judged(problem, rule, report, waivers, used))
        except Skip as reason:
            skipped = str(reason)
        except Exception as error:      # objects of third-party code get into every rule
            LOG.debug('rule %s broke', rule.id, exc_info=True)
            broke = Problem(f'the rule could not be tried: {type(error).__name__}: {printable(error)}')
            found.append(_judged(broke, rule, report, waivers, used))
    return Result(rule, tuple(found), skipped, time.monotonic() - began)


def _judged(problem: Problem, rule: Rule, report: Report, waivers: Sequence[Waiver], used: set[Waiver]) -> Found:
    level = problem.level(rule)
    counts = level in report.levels
    waiver = None if problem.remark else applying(waivers, report.subject.name, rule.id, problem.method)
    if waiver is None:
        return Found(problem, level, counts)
    used.add(waiver)
    if waiver.expired(report.day):
        return Found(problem, level, counts, expired=waiver)
    return Found(problem, level, counts, waiver=waiver)
