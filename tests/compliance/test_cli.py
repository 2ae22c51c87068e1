# SPDX-License-Identifier: Apache-2.0
"""The command, as a driver author meets it."""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from delfin.drivers.compliance import cli, report, waivers
from delfin.drivers.compliance.rules import all_rules
from delfin.drivers.compliance.run import Verdict, judge
from delfin.drivers.compliance.subject import Subject
from delfin.drivers.compliance.waivers import Waiver
from tests.compliance.broken import RosyDisks, UnknownProtocol
from tests.compliance.toy import PASSWORD, PATIENCE, CleanDriver, ToyArray

FAKE = 'fake_storage fake_driver'
TODAY = datetime.date(2027, 3, 1)
STATIC = [rule for rule in all_rules() if not rule.dynamic and rule.id != 'S02']


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.run(arguments)
    shown = capsys.readouterr()
    return status, shown.out, shown.err


def test_one_rule_on_one_driver_is_quickly_checked(capsys: pytest.CaptureFixture[str]) -> None:
    status, shown, _ = run(capsys, '--driver', FAKE, '--rules', 'S01,S09')
    assert status == 0
    assert 'pass    S01' in shown and 'S02' not in shown


def test_a_simulator_is_tried_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    status, shown, _ = run(capsys, '--driver', FAKE, '--simulator', FAKE, '--rules', 'R', '--format', 'json')
    [driver] = json.loads(shown)['drivers']
    assert (status, driver['mode'], driver['counts']['pass']) == (0, 'simulator', 14)


def test_a_device_of_which_access_information_is_read_from_standard_input(
        capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    monkeypatch.setattr(sys, 'stdin', io.StringIO('{"cli": {"host": "localhost"}}'))
    status, shown, _ = run(capsys, '--driver', 'linux host', '--access-info', '-', '--rules', 'R01')
    assert (status, 'pass    R01' in shown) == (0, True)


def test_all_rules_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    status, shown, _ = run(capsys, '--list-rules')
    assert status == 0
    assert len(shown.splitlines()) == len(all_rules())


@pytest.mark.parametrize(('arguments', 'said'), [
    (('--driver', 'acme x9'), "There is no driver 'acme x9'. There are:"),
    (('--driver', FAKE, '--rules', 'X99'), 'no rule X99'),
    (('--driver', FAKE, '--simulator', 'acme'), "There is no simulator 'acme'. There are: fake_storage fake_driver"),
    (('--driver', FAKE, '--access-info', '/nowhere.json'), '/nowhere.json cannot be read'),
    (('--driver', FAKE, '--replay', '/nowhere'), '/nowhere/access.json cannot be read'),
    (('--driver', FAKE, '--waivers', '/nowhere.toml'), '/nowhere.toml cannot be read'),
    (('--driver', FAKE, '--rules', 'R01'), 'not a single rule was tried'),
])
def test_a_run_that_cannot_be_says_why(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...],
                                       said: str) -> None:
    status, _, complaint = run(capsys, *arguments)
    assert status == 2
    assert said in complaint


# --- reports ---

def test_the_same_is_said_in_all_formats() -> None:
    reports = [judge(Subject.of_class(UnknownProtocol, 'toy array'), rules=STATIC)]
    assert reports[0].failed
    assert "PROTOCOLS is ('telnet',)" in report.text(reports)
    assert "PROTOCOLS is ('telnet',)" in report.markdown(reports)
    [driver] = json.loads(report.as_json(reports))['drivers']
    assert [rule['id'] for rule in driver['rules'] if rule['verdict'] == 'fail'] == ['S09']
    suite = ElementTree.fromstring(report.junit(reports).partition('\n')[2]).find('testsuite')
    assert suite is not None
    assert (suite.get('tests'), suite.get('failures')) == (str(len(STATIC)), '1')


def test_a_password_is_in_no_report() -> None:
    with ToyArray() as toy:
        reports = [judge(Subject.of_class(CleanDriver, 'toy array'), toy, patience=PATIENCE,
                         rules=[rule for rule in all_rules() if rule.id in ('R01', 'E01', 'E08')])]
    assert not any(PASSWORD in form(reports) for form in report.FORMATS.values())


# --- waivers ---

def excused(**facts: Any) -> Waiver:
    return Waiver(**{'driver': 'toy array', 'rule': 'S09', 'reason': 'later', 'expires': TODAY, **facts})


def verdict(*excuses: Waiver, today: datetime.date = TODAY) -> Verdict:
    found = judge(Subject.of_class(UnknownProtocol, 'toy array'), rules=STATIC, waivers=excuses, today=today)
    return next(result.verdict for result in found.results if result.rule.id == 'S09')


def test_a_waiver_forgives_until_its_day_has_passed() -> None:
    assert verdict(excused()) is Verdict.WAIVED
    assert verdict(excused(), today=TODAY + datetime.timedelta(days=1)) is Verdict.FAIL


@pytest.mark.parametrize('other', [{'driver': 'toy other'}, {'rule': 'S10'}, {'method': 'list_disks'}])
def test_a_waiver_forgives_nothing_else(other: dict[str, str]) -> None:
    assert verdict(excused(**other)) is Verdict.FAIL


def test_a_waiver_that_is_not_needed_is_shown() -> None:
    found = judge(Subject.of_class(CleanDriver, 'toy array'), rules=STATIC, waivers=[excused()], today=TODAY)
    assert 'the waiver of S09 is not needed any more: later' in report.text([found])


def test_a_level_that_is_waived_is_not_lost() -> None:
    with ToyArray() as toy:
        found = judge(Subject.of_class(RosyDisks, 'toy array'), toy, patience=PATIENCE,
                      rules=[rule for rule in all_rules() if rule.id == 'R05'], waivers=[excused(rule='R05')],
                      today=TODAY)
    assert not found.failed


@pytest.mark.parametrize(('text', 'said'), [
    ('x = 1', 'must consist of'),
    ('[[waiver]]\ndriver = "a b"\nrule = "R01"\nreason = "because"', 'expires must be a date'),
    ('[[waiver]]\ndriver = "a b"\nrule = "R01"\nreason = ""\nexpires = 2027-01-01', 'reason must be text'),
    ('[[waiver]]\ndriver = "a b"\nrule = "R01"\nreason = "x"\nexpires = 2027-01-01\nwhy = "x"', 'unknown why'),
    ('[[', 'cannot be read as TOML'),
])
def test_a_bad_waiver_is_refused_with_the_reason(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / 'waivers.toml').write_text(text)
    with pytest.raises(Exception, match=said):
        waivers.read(tmp_path / 'waivers.toml')


# --- claims ---

def test_a_level_that_is_not_claimed_fails_nobody() -> None:
    class Modest(RosyDisks):
        """Driver of the toy array."""

        COMPLIANCE_LEVELS = ('Core', 'NAS')

    with ToyArray() as toy:
        found = judge(Subject.of_class(Modest, 'toy array'), toy, patience=PATIENCE,
                      rules=[rule for rule in all_rules() if rule.id == 'R05'])
    assert not found.failed
    assert found.results[0].verdict is Verdict.NOTED
