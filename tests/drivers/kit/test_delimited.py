# SPDX-License-Identifier: Apache-2.0
"""What command lines print, taken apart whatever stands in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delfin import exception
from delfin.drivers.kit.delimited import Undivided, blocks, concise, detailed, flat

# Anything but the delimiter, surrogates (which are no UTF-8), and CR in front of LF, which ends lines of some arrays.
VALUE = st.text(st.characters(exclude_characters='!\r', exclude_categories=['Cs']), max_size=20)
LINE = VALUE.map(lambda text: text.replace('\n', ' '))


def shown(names: list[str], rows: list[list[str]]) -> str:
    return ''.join('!'.join(line) + '\n' for line in [names, *rows])


def test_no_output_is_an_empty_list_and_so_is_a_header_alone() -> None:
    assert concise('', '!') == concise('id!name\n', '!') == []


def test_empty_values_and_blanks_are_kept() -> None:
    assert concise('id!name!pool\n0! a  b !\n1!!\n', '!') == [
        {'id': '0', 'name': ' a  b ', 'pool': ''}, {'id': '1', 'name': '', 'pool': ''}]


@given(st.lists(st.tuples(VALUE, LINE), min_size=1, max_size=6))
def test_values_with_line_breaks_come_back_where_others_follow(values: list[tuple[str, str]]) -> None:
    rows = [[str(number), *pair, 'x'] for number, pair in enumerate(values)]
    found = concise(shown(['id', 'name', 'pool', 'end'], rows), '!')
    assert [list(row.values()) for row in found] == rows


@given(st.lists(LINE, min_size=1, max_size=6))
def test_only_line_feeds_end_lines(names: list[str]) -> None:
    rows = [[str(number), name] for number, name in enumerate(names)]
    assert [list(row.values()) for row in concise(shown(['id', 'name'], rows), '!')] == rows


def test_a_line_break_in_the_last_value_belongs_to_it() -> None:
    assert [row['name'] for row in concise('id!name\n0!a\nb\n1!c\n2!d\ne\n', '!')] == ['a\nb', 'c', 'd\ne']


@pytest.mark.parametrize('text', [
    'id!name\n0!a!b\n', 'id!name!pool\n0!a\n', 'id!name!pool\nx\n0!a!b\n', 'id!name\nx\n'])
def test_what_does_not_come_out_even_asks_for_another_delimiter(text: str) -> None:
    with pytest.raises(Undivided):
        concise(text, '!')


@pytest.mark.parametrize('text', ['<html>!\n', 'CMMVC5786E busy\n', '\x00\n', '!!\n'])
def test_what_is_no_list_is_an_error(text: str) -> None:
    with pytest.raises(exception.InvalidResults, match='no list'):
        concise(text, '!')


def test_an_object_has_sections_repeated_keys_and_values_with_anything() -> None:
    text = 'id!0\nname!a!b\nempty!\n\ncopy_id!0\ntier!x\ntier!y\n\ncopy_id!1\n'
    assert detailed(text, '!') == [
        [('id', '0'), ('name', 'a!b'), ('empty', '')], [('copy_id', '0'), ('tier', 'x'), ('tier', 'y')],
        [('copy_id', '1')]]
    assert detailed('', '!') == []
    assert flat([('a', '1'), ('b', '2'), ('a', '3')]) == {'a': '1', 'b': '2'}


def test_a_line_without_key_goes_on_the_value_before() -> None:
    assert detailed('id!0\nname!torn\nin two; rm\nstatus!online\n', '!') == [
        [('id', '0'), ('name', 'torn\nin two; rm'), ('status', 'online')]]
    with pytest.raises(exception.InvalidResults):
        detailed('; rm\n', '!')


def test_blocks_begin_with_their_keys() -> None:
    pairs = [('id', '0'), ('WWPN', 'a'), ('state', 'x'), ('iscsi_name', 'b'), ('state', 'y'), ('WWPN', 'c')]
    assert list(blocks(pairs, 'WWPN', 'iscsi_name')) == [pairs[1:3], pairs[3:5], pairs[5:]]
    assert list(blocks(pairs[:1], 'WWPN')) == []
