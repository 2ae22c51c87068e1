# SPDX-License-Identifier: Apache-2.0
"""What disks say about their health, from what smartctl prints."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from delfin import exception
from delfin.drivers.linux import smart
from delfin.drivers.linux.runner import Completed, LocalRunner, ToolMissing
from delfin.drivers.linux.smart import Health
from tests.drivers.linux.replay import text_of

# Recorded with smartctl 7.3 (Debian 12), a line for each: no rights, no disk, a disk without device file.
NO_RIGHTS, NOT_PERMITTED, NO_DISK, NO_DEVICE = text_of('smartctl-refusals.jsonl').splitlines()


def answer(status: int, **document: Any) -> str:
    """An answer in the form of smartctl 7.x, as its source (nvmeprint, scsiprint, ataprint) writes it."""
    return json.dumps({'json_format_version': [1, 0], 'smartctl': {'version': [7, 3], 'exit_status': status},
                       **document})


def health(text: str, status: int) -> Health:
    found = smart.parse(Completed('sh', f'/dev/sda\0{text}\0{status}\0', '', 0))
    return found['/dev/sda']


def nvme(value: int, **warnings: bool) -> str:
    return answer(8, smart_status={'passed': False, 'nvme': {'value': value, **warnings, 'other': 0}})


def test_a_disk_that_passed_is_well() -> None:
    assert health(answer(0, smart_status={'passed': True}), 0) == Health()


def test_a_disk_that_failed_its_assessment_is_failing() -> None:
    assert health(answer(8, smart_status={'passed': False}), 8).failing


def test_a_failed_status_counts_without_a_verdict_too() -> None:
    assert health(answer(8), 8).failing


def test_an_attribute_below_its_threshold_now_is_failing() -> None:
    assert health(answer(16), 16).failing


@pytest.mark.parametrize('status', [4, 32, 64, 128, 4 + 32 + 64 + 128])
def test_what_was_in_the_past_or_in_logs_is_no_trouble_now(status: int) -> None:
    assert health(answer(status, smart_status={'passed': True}), status) == Health()


def test_a_sas_disk_says_why() -> None:
    text = answer(8, smart_status={'passed': False, 'scsi': {
        'asc': 93, 'ascq': 16, 'ie_string': 'HARDWARE IMPENDING FAILURE GENERAL HARD DRIVE FAILURE'}})
    assert health(text, 8).reasons == ('hardware impending failure general hard drive failure',)


def test_an_nvme_disk_says_why() -> None:
    text = nvme(0x05, spare_below_threshold=True, temperature_above_or_below_threshold=False, reliability_degraded=True)
    assert health(text, 8).reasons == ('the spare capacity is below its threshold', 'the reliability is degraded')


def test_a_hot_disk_is_not_a_dying_one() -> None:
    assert health(nvme(0x02, temperature_above_or_below_threshold=True), 8).only_temperature


def test_a_hot_and_dying_disk_is_a_dying_one() -> None:
    text = nvme(0x06, temperature_above_or_below_threshold=True, reliability_degraded=True)
    assert not health(text, 8).only_temperature


@pytest.mark.parametrize(('text', 'status'), [(NO_RIGHTS, 2), (NOT_PERMITTED, 2), (NO_DISK, 1)])
def test_a_disk_that_may_not_or_cannot_be_asked_is_no_trouble(text: str, status: int) -> None:
    assert health(text, status) == Health()


def test_a_disk_that_has_gone_is_silent() -> None:
    assert health(NO_DEVICE, 2).silent == 'Smartctl open device: /dev/sdz failed: No such device'


def test_a_disk_that_takes_too_long_is_silent() -> None:
    assert health('', 124).silent == 'no answer within 10 seconds'


def test_a_version_without_json_is_an_error() -> None:
    with pytest.raises(exception.InvalidResults, match='smartctl printed something that is not JSON'):
        health('=======> UNRECOGNIZED OPTION: json=c\n', 1)


def test_output_that_was_cut_off_is_an_error() -> None:
    with pytest.raises(exception.InvalidResults, match='cut off'):
        smart.parse(Completed('sh', '/dev/sda\0{"smartctl"', '', 0))


# --- the command, run by a real shell; smartctl is a stand-in that tells how it was called ---

STAND_IN = """#!/bin/sh
for disk do :; done
[ "${disk##*/}" = hot ] && { printf '{"smart_status": {"passed": false}}'; exit 8; }
printf '{"smart_status": {"passed": true}}'
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalRunner:
    """This machine with a smartctl."""
    tool = tmp_path / 'bin' / 'smartctl'
    tool.parent.mkdir()
    tool.write_text(STAND_IN)
    tool.chmod(0o755)
    monkeypatch.setenv('PATH', f'{tool.parent}{os.pathsep}{os.environ["PATH"]}')
    return LocalRunner()


def disks_at(place: Path, *names: str) -> list[str]:
    for name in names:
        (place / name).touch()
    return [str(place / name) for name in names]


def test_one_command_asks_all_disks(here: LocalRunner, tmp_path: Path) -> None:
    disks = disks_at(tmp_path, 'cool', 'hot')
    found = smart.parse(here.run(smart.command(disks)))
    assert {path: said.failing for path, said in found.items()} == dict(zip(disks, (False, True), strict=True))


def test_names_of_disks_are_never_read_by_the_shell(here: LocalRunner, tmp_path: Path) -> None:
    disks = disks_at(tmp_path, "a b'; echo $HOME `id`")
    assert list(smart.parse(here.run(smart.command(disks)))) == disks


def test_a_disk_without_device_file_is_not_asked(here: LocalRunner, tmp_path: Path) -> None:
    assert smart.parse(here.run(smart.command([str(tmp_path / 'elsewhere')]))) == {}


def test_without_smartctl_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('delfin.drivers.linux.runner.SYSTEM_PATHS', ())
    for tool in ('sh', 'env'):
        (tmp_path / tool).symlink_to(f'/bin/{tool}')
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(ToolMissing):
        LocalRunner().run(smart.command(['/dev/null']))
