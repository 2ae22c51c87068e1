# SPDX-License-Identifier: Apache-2.0
"""Reports as text, JSON (version 1), JUnit XML and Markdown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final
from xml.etree import ElementTree

from delfin.drivers.compliance.contract import Level
from delfin.drivers.compliance.run import Found, Report, Result, Verdict
from delfin.version import version_string

SCHEMA_VERSION: Final = 1


def _problem(found: Found) -> str:
    where = f'{found.problem.method}: ' if found.problem.method else ''
    more = ''
    if found.problem.remark:
        more = ' (remark)'
    elif found.waiver is not None:
        more = f' (waived until {found.waiver.expires}: {found.waiver.reason})'
    elif found.expired is not None:
        more = f' (the waiver ended on {found.expired.expires}: {found.expired.reason})'
    elif not found.counts:
        more = f' (noted: {found.level} is not claimed)'
    return f'{where}{found.problem.text}{more}'


def _lines(result: Result) -> Iterator[str]:
    if result.skipped is not None:
        yield result.skipped
    for found in result.found:
        yield _problem(found)
    if result.verdict is Verdict.FAIL:
        yield f'hint: {result.rule.hint}'


def _levels(report: Report) -> Iterator[tuple[Level, str]]:
    for level in Level:
        yield level, report.standing(level).value


def _counts(report: Report) -> dict[str, int]:
    return {verdict.value: sum(result.verdict is verdict for result in report.results) for verdict in Verdict}


def _sum(report: Report) -> str:
    return ', '.join(f'{count} {word}' for word, count in _counts(report).items() if count)


def text(reports: Sequence[Report]) -> str:
    """For people: what fails and what is worth knowing; one line for each rule."""
    parts = []
    for report in reports:
        parts.append(f'{report.subject.name}  ({report.subject.target}, {report.subject.package} '
                     f'{report.subject.version}; {report.mode})')
        for result in report.results:
            parts.append(f'  {result.verdict:<8}{result.rule.id}  {result.rule.title}')
            parts += [f'              {line}' for line in _lines(result)]
        parts += [f'  the waiver of {waiver.rule} is not needed any more: {waiver.reason}' for waiver in report.unused]
        parts.append('  levels: ' + ', '.join(f'{level} {standing}' for level, standing in _levels(report)))
        parts.append(f'  {"FAILED" if report.failed else "ok"}: {_sum(report)}')
        parts.append('')
    return '\n'.join(parts)


def _waiver(found: Found) -> dict[str, Any] | None:
    waiver = found.waiver or found.expired
    return None if waiver is None else {'reason': waiver.reason, 'expires': waiver.expires.isoformat(),
                                        'expired': found.expired is not None}


def document(reports: Sequence[Report]) -> dict[str, Any]:
    """What `--format json` prints: `{'schema': 1, 'delfin': version, 'drivers': [...]}`."""
    return {'schema': SCHEMA_VERSION, 'delfin': version_string(), 'drivers': [{
        'name': report.subject.name, 'class': report.subject.target, 'package': report.subject.package,
        'version': report.subject.version, 'mode': report.mode, 'date': report.day.isoformat(),
        'failed': report.failed, 'counts': _counts(report), 'levels': dict(_levels(report)),
        'rules': [{
            'id': result.rule.id, 'title': result.rule.title, 'verdict': result.verdict.value,
            'skipped': result.skipped, 'seconds': round(result.seconds, 3),
            'problems': [{
                'method': found.problem.method, 'text': found.problem.text, 'level': found.level.value,
                'remark': found.problem.remark, 'fails': found.fails, 'waiver': _waiver(found),
            } for found in result.found],
            'hint': result.rule.hint if result.verdict is Verdict.FAIL else None,
        } for result in report.results],
        'unused_waivers': [{'rule': waiver.rule, 'method': waiver.method, 'reason': waiver.reason}
                           for waiver in report.unused],
    } for report in reports]}


def as_json(reports: Sequence[Report]) -> str:
    """`document` as text."""
    return json.dumps(document(reports), indent=2, ensure_ascii=False) + '\n'


def junit(reports: Sequence[Report]) -> str:
    """One suite for each driver, one case for each rule; what is waived, noted or skipped is `skipped`."""
    root = ElementTree.Element('testsuites', name='delfin-compliance')
    for report in reports:
        counts = _counts(report)
        suite = ElementTree.SubElement(
            root, 'testsuite', name=report.subject.name, tests=str(len(report.results)), errors='0',
            failures=str(counts['fail']), timestamp=report.day.isoformat(),
            skipped=str(counts['skipped'] + counts['waived'] + counts['noted']))
        for result in report.results:
            case = ElementTree.SubElement(suite, 'testcase', classname=f'{report.subject.name} {report.mode}',
                                          name=f'{result.rule.id} {result.rule.title}', time=f'{result.seconds:.3f}')
            lines = '\n'.join(_lines(result))
            if result.verdict is Verdict.FAIL:
                ElementTree.SubElement(case, 'failure', message=_xml(lines.splitlines()[0])).text = _xml(lines)
            elif result.verdict is not Verdict.PASS:
                ElementTree.SubElement(case, 'skipped', message=_xml(lines or result.verdict.value))
            elif lines:
                ElementTree.SubElement(case, 'system-out').text = _xml(lines)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding='unicode') + '\n'


def _xml(text: str) -> str:
    """Without the control characters that XML 1.0 has no form for."""
    return ''.join(each if each in '\t\n\r' or ' ' <= each not in '\ufffe\uffff' else '\ufffd' for each in text)


def markdown(reports: Sequence[Report]) -> str:
    """For a page or a review: levels, and a table of what did not pass."""
    parts = ['# Driver compliance', '']
    for report in reports:
        parts += [f'## {report.subject.name}', '',
                  f'{report.subject.package} {report.subject.version}, {report.mode}, {report.day}: '
                  f'{"**failed**" if report.failed else "ok"} ({_sum(report)})', '',
                  table(('Level', ''), list(_levels(report)))]
        rows = [(result.rule.id, result.verdict.value, result.rule.title, '<br>'.join(_lines(result)))
                for result in report.results if result.verdict is not Verdict.PASS or result.found]
        if rows:
            parts += ['', table(('Rule', '', 'What', 'Found'), rows)]
        parts.append('')
    return '\n'.join(parts)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ['| ' + ' | '.join(head) + ' |', '|' + '---|' * len(head)]
    lines += [f'| {" | ".join(map(_cell, row))} |' for row in rows]
    return '\n'.join(lines)


def _cell(text: str) -> str:
    return str(text).replace('|', '\\|').replace('\n', ' ')


FORMATS: Final[Mapping[str, Callable[[Sequence[Report]], str]]] = {
    'text': text, 'json': as_json, 'junit': junit, 'markdown': markdown}
