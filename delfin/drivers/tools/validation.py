# SPDX-License-Identifier: Apache-2.0
"""`delfin-driver validate`: one page on what of the contract a driver has, what is wrong with it and what is to do.

Only the class is looked at, with the static rules of `delfin-compliance`; whether it does the right thing is for `try`
and for the dynamic rules to say.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from delfin.drivers.compliance.contract import METHODS, Level, Method, implemented
from delfin.drivers.compliance.rules import Problem
from delfin.drivers.compliance.run import Report, judge
from delfin.drivers.compliance.subject import Subject, registered
from delfin.drivers.kit.mapping import ALERTS, Table
from delfin.drivers.manager import capabilities_of
from delfin.drivers.tools.target import Drivers

# Columns that arrays often have nothing for.
_OPTIONAL = frozenset({'description', 'location', 'compressed', 'deduplicated', 'serial_number', 'storage_name'})
_WIDTH = 100


@dataclass(frozen=True)
class Validation:
    """What was found. `there` and `missing` are methods by level; `wrong` has to be repaired, `remarks` need not be;
    `todo` is what the claimed levels or the tables leave open.
    """

    name: str
    target: str
    there: Mapping[str, list[str]]
    missing: Mapping[str, list[str]]
    wrong: list[str]
    remarks: list[str]
    todo: list[str]

    def view(self) -> dict[str, Any]:
        """The JSON form."""
        return {'name': self.name, 'class': self.target, 'there': dict(self.there), 'missing': dict(self.missing),
                'wrong': self.wrong, 'remarks': self.remarks, 'todo': self.todo}

    def page(self) -> str:
        """For people."""
        lines = [f'{self.name} ({self.target})', '']
        for level in self.there:
            lines += _listed(f'{level}:', self.there[level] or ['nothing'], '   has ')
            lines += _listed('', self.missing[level], '   not ')
        for title, texts in (('Wrong:', self.wrong), ('To do:', self.todo), ('Remarks:', self.remarks)):
            if texts:
                lines += ['', title, *(f'  {text}' for text in texts)]
        return '\n'.join([*lines, '', 'wrong' if self.wrong else 'nothing is wrong'])


def examine(drivers: Drivers) -> Validation:
    """Look at the driver. `StorageDriverNotFound` if it is not declared."""
    if drivers.only is not None:
        subject = Subject.of_class(drivers.only)
    else:
        subject = next(registered([f'{drivers.vendor} {drivers.model}']))
    report = judge(subject)
    there: dict[str, list[str]] = {level: [] for level in Level}
    missing: dict[str, list[str]] = {level: [] for level in Level}
    for method in METHODS.values():
        if subject.driver_class is None:
            break
        if implemented(subject.driver_class, method.name):
            there[method.level].append(method.name)
        elif method.required or method.kind:
            missing[method.level].append(method.name)
    problems = [(result.rule, found) for result in report.results for found in result.found]
    return Validation(
        subject.name, subject.target, there, missing,
        wrong=[f'{_where(found.problem)}{found.problem.text}; {rule.hint} ({rule.id})' for rule, found in problems
               if found.fails],
        remarks=[f'{_where(found.problem)}{found.problem.text}' for _, found in problems if not found.fails],
        todo=list(_todo(subject, report)))


def _where(problem: Problem) -> str:
    return f'{problem.method}: ' if problem.method else ''


def _todo(subject: Subject, report: Report) -> Iterator[str]:
    driver_class = subject.driver_class
    if driver_class is None:
        return
    for level in Level:
        lacking = [method.name for method in METHODS.values()
                   if _needed(method, level) and not implemented(driver_class, method.name)]
        begun = any(method.level is level and implemented(driver_class, method.name) for method in METHODS.values())
        if lacking and begun:
            yield f'for the level {level}: {", ".join(lacking)}'
        elif not lacking and level not in report.levels:
            yield f'the level {level} could be claimed in COMPLIANCE_LEVELS'
    for finding in (capabilities_of(driver_class) or {}).get('findings', ()):
        yield f'get_capabilities: {finding["code"]} in {finding["column"]}, for example {finding["example"]}'
    for table in tables_of(driver_class):
        unfilled = [column for column in table.unfilled() if column not in _OPTIONAL]
        if unfilled:
            yield f'columns without a field, if the array has one: {table.name}: {", ".join(unfilled)}'


def _needed(method: Method, level: Level) -> bool:
    return method.level is level and method.required


def tables_of(driver_class: type) -> list[Table]:
    """The mapping tables in the modules of the driver's package, without those of traps: they say what traps say."""
    package = driver_class.__module__.rpartition('.')[0] or driver_class.__module__
    modules = [module for name, module in sorted(sys.modules.items())
               if name == package or name.startswith(f'{package}.')]
    found = {id(value): value for module in modules for value in vars(module).values() if isinstance(value, Table)}
    return sorted(found.values(), key=lambda table: (table.name == ALERTS, table.name))


def _listed(title: str, words: list[str], prefix: str) -> list[str]:
    """Words in lines below a title."""
    lines, line = [f'{title}'] if title else [], ''
    for word in words:
        if line and len(line) + len(word) > _WIDTH:
            lines.append(prefix + line.rstrip(', ') + ',')
            line = ''
        line += f'{word}, '
    return [*lines, prefix + line.rstrip(', ')] if line else lines
