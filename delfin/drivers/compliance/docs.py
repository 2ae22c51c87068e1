# SPDX-License-Identifier: Apache-2.0
"""Pages and parts of pages that are made from the contract, the rules and reports.

`docs/drivers/compliance.md` has parts between `<!-- generated: NAME -->` and `<!-- end -->`; the support matrix is made
as a whole, from reports. `delfin-compliance --update-docs DIRECTORY` writes both; tests fail when they are stale.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from delfin import exception
from delfin.drivers.compliance.contract import METHODS, Level, implemented
from delfin.drivers.compliance.report import table
from delfin.drivers.compliance.rules import all_rules
from delfin.drivers.compliance.run import Report, Standing

GUIDE: Final = 'compliance.md'
MATRIX: Final = 'support-matrix.md'

_PACKAGE: Final = 'delfin'
_PART: Final = re.compile(r'(<!-- generated: (\w+) -->\n).*?(<!-- end -->)', re.DOTALL)
_GROUPS: Final = {'S': 'Static: the class alone', 'R': 'Rows', 'C': 'Capabilities and metrics', 'A': 'Alerts',
                  'I': 'Instances', 'E': 'Errors', 'T': 'Time'}
_DYNAMIC: Final = {'simulator': 'simulator', 'replay': 'recorded replies', 'device': 'real device'}


def rules() -> str:
    """The table of rules."""
    parts = []
    listed = sorted(all_rules(), key=lambda rule: (list(_GROUPS).index(rule.id[0]), rule.id))
    for letter, title in _GROUPS.items():
        rows = [(rule.id, rule.level.value, rule.title, rule.hint) for rule in listed if rule.id[0] == letter]
        parts += [f'### {title}', '', table(('Rule', 'Level', 'What must hold', 'If not'), rows), '']
    return '\n'.join(parts)


def methods() -> str:
    """The table of methods."""
    rows = []
    for method in METHODS.values():
        need = 'yes' if method.abstract else 'for the level' if method.required else 'no'
        if method.may_refuse:
            need += ', may raise NotImplementedError'
        kind = ' (static)' if method.static else ' (class method)' if method.classmethod else ''
        rows.append((f'`{method.name}({method.arguments})`{kind}', method.level.value, need, method.answers.value,
                     method.doc, method.since))
    return table(('Method', 'Level', 'Needed', 'Answers', '', 'Since'), rows) + '\n'


def levels() -> str:
    """The table of levels."""
    rows = []
    for level in Level:
        of_level = [method for method in METHODS.values() if method.level is level]
        rows.append((level.value, ', '.join(f'`{each.name}`' for each in of_level if each.required),
                     ', '.join(f'`{each.name}`' for each in of_level if not each.required)))
    return table(('Level', 'Must answer', 'May be left out'), rows) + '\n'


_PARTS: Final = {'rules': rules, 'methods': methods, 'levels': levels}


def renewed(page: str) -> str:
    """A page with its generated parts made anew."""
    return _PART.sub(lambda match: f'{match[1]}{_PARTS[match[2]]()}{match[3]}', page)


def matrix(reports: Sequence[Report]) -> str:
    """The support matrix. Levels come out of what the runs have shown, methods out of what the classes implement."""
    by_driver: dict[str, list[Report]] = {}
    for report in reports:
        by_driver.setdefault(report.subject.name, []).append(report)
    shown = [level.value for level in Level]
    level_rows = [[name, *(_cell(level, of_driver) for level in Level)]
                  for name, of_driver in sorted(by_driver.items())]
    names = sorted(by_driver)
    method_rows = [[f'`{method.name}`', method.level.value, *(
        'yes' if (found := by_driver[name][0].subject.driver_class) and implemented(found, method.name) else '–'
        for name in names)] for method in METHODS.values()]
    return '\n'.join((
        '# Support matrix', '',
        'Made by `delfin-compliance` from its reports; never typed. `tox -e compliance` fails when it is stale.', '',
        'A level is *proved* when no rule fails on what is named behind it, *claimed* when only the class was seen.',
        '[Driver compliance](compliance.md) says what the levels need.', '',
        table(['Driver', *shown], level_rows), '',
        'Methods that a driver has of its own:', '',
        table(['Method', 'Level', *names], method_rows), ''))


def _cell(level: Level, reports: Sequence[Report]) -> str:
    """The best proof there is, unless something failed."""
    standings = {report.mode: report.standing(level) for report in reports}
    if Standing.FAILED in standings.values():
        return '**failed**'
    proofs = [_DYNAMIC[mode] for mode, standing in standings.items() if standing is Standing.PROVED]
    if proofs:
        return f'proved ({", ".join(sorted(proofs))})'
    return 'claimed' if Standing.CLAIMED in standings.values() else '–'


def update(directory: Path, reports: Sequence[Report]) -> list[Path]:
    """Write both pages into `directory` (`docs/drivers`); which have changed. Other packages' drivers are left out."""
    guide, page = directory / GUIDE, directory / MATRIX
    if not guide.is_file():
        raise exception.InvalidInput(f'{guide} does not exist; name the directory docs/drivers of a source tree')
    ours = [report for report in reports if report.subject.package == _PACKAGE]
    wanted = {guide: renewed(guide.read_text('utf-8')), page: matrix(ours)}
    changed = [path for path, text in wanted.items() if not path.exists() or path.read_text('utf-8') != text]
    for path in changed:
        path.write_text(wanted[path], 'utf-8')
    return changed
