# SPDX-License-Identifier: Apache-2.0
"""The small helpers that drivers import: what they make of times, capacities, command lines and their output."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delfin import exception, utils
from delfin.common.alert_util import is_alert_in_time_range
from delfin.context import get_admin_context
from delfin.db import Database, storage_get
from delfin.db.schema import Schema
from delfin.drivers.utils import performance_file
from delfin.drivers.utils.tools import Tools
from tests.unit.support import add_storage

PATTERN = '%Y-%m-%d %H:%M:%S'


@pytest.fixture(params=['UTC', 'Asia/Shanghai', 'America/New_York'])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The zone of this machine."""
    monkeypatch.setenv('TZ', request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


# --- times ---

def test_a_local_time_goes_there_and_back(zone: str) -> None:
    stamp = Tools().time_str_to_timestamp('2024-02-14 10:20:30', PATTERN)
    assert isinstance(stamp, int)
    assert stamp == {'UTC': 1707906030000, 'Asia/Shanghai': 1707877230000, 'America/New_York': 1707924030000}[zone]
    assert Tools().timestamp_to_time_str(stamp, PATTERN) == '2024-02-14 10:20:30'


def test_utc_is_utc_everywhere(zone: str) -> None:
    assert Tools.timestamp_to_utc_time_str(1707906030000, PATTERN) == '2024-02-14 10:20:30'


def test_no_time_is_no_text() -> None:
    tools = Tools()
    assert [tools.time_str_to_timestamp('', PATTERN), tools.timestamp_to_time_str(0, PATTERN),
            tools.timestamp_to_time_str(None, PATTERN), tools.timestamp_to_utc_time_str(0, PATTERN)] == [''] * 4


def test_now_is_epoch_milliseconds() -> None:
    before = time.time_ns()
    now = utils.utcnow_ms()
    assert isinstance(now, int) and before // 10**6 <= now <= time.time_ns() // 10**6


# --- capacities ---

@pytest.mark.parametrize(('text', 'size'), [
    ('4096', 4096), ('5 GB', 5 * 2**30), ('5gb', 5 * 2**30), ('1.5TB', 1.5 * 2**40), ('2MB', 2**21), ('3KB', 3072),
    ('7PB', 7 * 2**50), ('12B', 12), ('0B', 0), ('', 0), (None, 0), ('-', 0), ('  8 MB ', 2**23)])
def test_a_capacity_is_bytes_as_a_float(text: str | None, size: float) -> None:
    found = Tools.get_capacity_size(text)
    assert isinstance(found, float) and found == size


@pytest.mark.parametrize('text', ['1,024 GB', '5G', '5 GiB', 'unlimited', '1.2.3 GB', '5 GB free'])
def test_what_is_no_capacity_is_never_a_wrong_number(text: str) -> None:
    with pytest.raises(ValueError):
        Tools.get_capacity_size(text)


@pytest.mark.parametrize(('unit', 'factor'), [('TB', 2**40), ('gb', 2**30), ('Mb', 2**20), ('KB', 1024), ('blocks', 1)])
def test_a_unit_has_its_factor(unit: str, factor: int) -> None:
    assert Tools.change_capacity_to_bytes(unit) == factor


# --- output of commands ---

def test_numbers_in_brackets() -> None:
    assert Tools.get_numbers_in_brackets('error (0x17) at (4)', r'\([^)]*\)') == '0x17'
    assert Tools.get_numbers_in_brackets('none', r'\([^)]*\)') == ''


VOLUMES = 'Volume Name: vol 1\r\n  Total Size: 5GB\r\n  Comment: ""\r\n\r\nVolume Name: vol2\r\nno value\r\nSize:\r\n'


def test_blocks_of_keys_and_values_become_dicts() -> None:
    found: list[dict[str, str]] = [{'first': 'kept'}]
    assert Tools.split_value_map_list(VOLUMES, found) is found
    assert found == [{'first': 'kept'}, {'VolumeName': 'vol 1', 'TotalSize': '5GB'}, {'VolumeName': 'vol2'}]


def test_a_mapping_keeps_lines_without_value() -> None:
    assert Tools.split_value_map_list(VOLUMES, [], is_mapping=True) == [
        {'VolumeName': 'vol 1', 'TotalSize': '5GB', 'Comment': ''}, {'VolumeName': 'vol2', 'novalue': '', 'Size': ''}]


def test_the_text_of_an_alert_may_take_several_lines() -> None:
    text = 'Event: disk failed:\r\n      slot 7\r\n      of shelf 2\r\n3 entries were displayed.\r\n'
    assert Tools.split_value_map_list(text, [], is_alert=True) == [{'Event': 'disk failed: slot 7 of shelf 2'}]


def test_another_sign_may_stand_between_key_and_value() -> None:
    assert Tools.split_value_map_list('a key= 1\r\n', [], split='=') == [{'akey': '1'}]


# --- command lines ---

@pytest.mark.parametrize('command', ['show pools', 'lsdisk -delim "," \'a b\'', 'echo a\\b', '', 'lsvdisk\n'])
def test_a_plain_command_passes(command: str) -> None:
    assert utils.check_ssh_injection(command) is None       # type: ignore[func-returns-value]


@pytest.mark.parametrize('sign', list('`$|;&><'))
def test_a_special_character_in_a_text_is_a_threat_even_behind_a_backslash(sign: str) -> None:
    for command in (f'show {sign}id', f'show \\{sign}id', f'show "{sign}"'):
        with pytest.raises(exception.SSHInjectionThreat, match='injection') as caught:
            utils.check_ssh_injection(command)
        assert caught.value.error_args == (command,)


def test_two_lines_are_two_commands() -> None:
    with pytest.raises(exception.SSHInjectionThreat):
        utils.check_ssh_injection('show pools\nreboot')


@pytest.mark.parametrize(('arguments', 'threat'), [
    (['show', 'pools'], False), (['show', '"a b"'], False), (['show', 'a b'], True), (['show', '"a"b"'], True),
    (['show', r'"a\"b"'], False), (['show', 'a|b'], True), (['show', r'a\|b'], False), (['|'], True), ([], False)])
def test_items_of_a_list_are_arguments(arguments: list[str], threat: bool) -> None:
    if not threat:
        utils.check_ssh_injection(arguments)
        return
    with pytest.raises(exception.SSHInjectionThreat):
        utils.check_ssh_injection(arguments)


def test_nothing_is_no_command() -> None:
    with pytest.raises(TypeError):
        utils.check_ssh_injection(None)     # type: ignore[arg-type]


# --- alerts ---

@pytest.mark.parametrize(('query', 'wanted'), [
    (None, True), ({}, True), ({'begin_time': 10, 'end_time': 10}, True),
    ({'begin_time': '10', 'end_time': '20'}, True),
    ({'begin_time': 11, 'end_time': 20}, False), ({'begin_time': 1, 'end_time': 9}, False), ({'begin_time': 10}, True),
    ({'end_time': 9}, False), ({'begin_time': 'x', 'end_time': 'y'}, True), ({'begin_time': 0, 'end_time': 0}, False),
    ({'begin_time': None, 'end_time': None}, False), ({'other': 1}, False), ({'begin_time': float('inf')}, True)])
def test_an_alert_lies_in_the_time_that_is_asked_for(query: Any, wanted: bool) -> None:
    assert is_alert_in_time_range(query, 10) is wanted
    assert is_alert_in_time_range(query, '10') is wanted


@given(st.one_of(st.none(), st.dictionaries(st.sampled_from(['begin_time', 'end_time']), st.one_of(
    st.none(), st.integers(), st.text(), st.floats()))), st.one_of(st.none(), st.integers(), st.text()))
def test_the_filter_never_fails(query: Any, moment: Any) -> None:
    assert is_alert_in_time_range(query, moment) in (True, False)


# --- files and the database ---

def test_scratch_folders_are_those_of_the_packages(tmp_path: Path) -> None:
    performance_file.make_folders(tmp_path)
    performance_file.make_folders(tmp_path)
    package = Path(performance_file.__file__).parent
    assert {path.name for path in (tmp_path / 'delfin/drivers/utils/performance_file').iterdir()} == {
        path.parent.name for path in package.glob('*/__init__.py')}


def test_files_of_the_same_type_are_removed_and_no_others(tmp_path: Path) -> None:
    for name in ('Nv_stats_node1_1', 'Nv_stats_node1_2', 'Nv_stats_node2_1', 'other'):
        (tmp_path / name).touch()
    Tools.remove_file_with_same_type('Nv_stats_node1_240214_1', str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {'Nv_stats_node2_1', 'other'}


def test_a_driver_reads_the_record_of_its_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f'sqlite:///{tmp_path}/delfin.sqlite'
    database = Database(url)
    Schema(database).upgrade()
    storage_id = add_storage(database, 'SN-7')
    database.close()
    monkeypatch.setattr('delfin.common.config.database_url', lambda conf: url)
    assert storage_get(get_admin_context(), storage_id)['serial_number'] == 'SN-7'
    with pytest.raises(exception.StorageNotFound):
        storage_get(get_admin_context(), 'another')
