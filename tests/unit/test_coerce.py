# SPDX-License-Identifier: Apache-2.0
"""What drivers return becomes what columns take: the rules of CONVENTIONS, and that nothing gets past them."""

from __future__ import annotations

import enum
import string
from collections import OrderedDict, UserDict
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from delfin import coerce
from delfin.coerce import Rejected, RowReader, fingerprint
from delfin.db.sqlalchemy import models
from delfin.findings import Findings
from delfin.kinds import BIGINT_MAX, KINDS, STORAGE_COLUMNS, TEXT_LENGTH, Column, ColumnType, Table
from tests.unit.support import Unprintable, shown

VOLUMES = KINDS['volumes'].table


def read(row, spec=VOLUMES):
    """(key, values, codes of findings by column)."""
    found = Findings()
    key, values = RowReader(spec).read(row, found)
    return key, values, {(finding['code'], finding['column']): finding for finding in found.listing()}


def value_of(column, value, spec=VOLUMES):
    """What the column stores for `value`, and the codes of the findings."""
    _, values, found = read({spec.key[0]: 'v1', column: value}, spec)
    return values[column], [code for code, _ in found]


def rejected(row, spec=VOLUMES):
    """(key, codes of findings) of a row that must be rejected."""
    found = Findings()
    with pytest.raises(Rejected) as caught:
        RowReader(spec).read(row, found)
    return caught.value.key, [finding['code'] for finding in found.listing()]


class Colour(str, enum.Enum):      # noqa: UP042 - as drivers written before StrEnum do
    NORMAL = 'normal'


class Level(enum.IntEnum):
    SEVEN = 7


class Bad(Mapping):
    """A row that cannot be read."""

    def __getitem__(self, name):
        raise RuntimeError('connection lost')

    def __iter__(self):
        raise RuntimeError('connection lost')

    def __len__(self):
        return 1


# --- numbers ---

@pytest.mark.parametrize(('given', 'stored'), [
    (0, 0), (7, 7), (BIGINT_MAX, BIGINT_MAX), ('12', 12), (' 12 ', 12), ('+12', 12), ('12.9', 12), (12.9, 12),
    ('1e3', 1000), (1e3, 1000), (Decimal('12.5'), 12), (Fraction(25, 2), 12), ('010', 10), (Level.SEVEN, 7),
    ('9223372036854775807', BIGINT_MAX)], ids=shown)
def test_numeric_text_and_floats_become_whole_numbers_without_a_finding(given, stored):
    assert value_of('used_capacity', given) == (stored, [])


@pytest.mark.parametrize('given', [
    'unknown', 'Unknown', 'infinite', 'N/A', '-', 'none', '10GB', '1,000', '1_000', '0x10', -1, '-1', -1.5,
    float('nan'), float('inf'), float('-inf'), 'nan', 'inf', '1e999', BIGINT_MAX + 1, str(BIGINT_MAX + 1), 10**5000,
    '9' * 5000, True, False, [], {}, (), Decimal('nan'), Decimal('inf'), object()], ids=shown)
def test_what_is_no_whole_number_is_unknown_with_a_finding(given):
    assert value_of('used_capacity', given) == (None, ['not_a_number'])


@pytest.mark.parametrize('given', [None, '', '  '])
def test_no_number_is_unknown_without_a_finding(given):
    assert value_of('used_capacity', given) == (None, [])


# --- booleans ---

@pytest.mark.parametrize('given', [True, 1, 2, 0.5, 'true', 'True', ' YES ', 'on', '1', 'enabled'])
def test_truthy_values_are_true(given):
    assert value_of('compressed', given) == (True, [])


@pytest.mark.parametrize('given', [False, 0, 0.0, 'false', 'No', 'off', '0', 'disabled'])
def test_falsy_values_are_false(given):
    assert value_of('compressed', given) == (False, [])


@pytest.mark.parametrize('given', ['maybe', 'unknown', 'N/A'])
def test_other_words_are_no_boolean(given):
    assert value_of('compressed', given) == (None, ['not_a_boolean'])


@pytest.mark.parametrize('given', [None, '', ' '])
def test_no_boolean_is_unknown_without_a_finding(given):
    assert value_of('compressed', given) == (None, [])


@pytest.mark.parametrize('given', [[1], object()], ids=shown)
def test_a_value_that_is_dropped_from_a_boolean_column_is_reported(given):
    assert value_of('compressed', given) == (None, ['not_a_boolean'])


# --- text ---

@pytest.mark.parametrize(('given', 'stored'), [
    ('volume 1', 'volume 1'), (' padded ', ' padded '), ('größe ☃ 😀', 'größe ☃ 😀'), (12, '12'), (1.5, '1.5'),
    ('N/A', 'N/A'), ('a' * TEXT_LENGTH, 'a' * TEXT_LENGTH)])
def test_text_is_kept_as_given(given, stored):
    assert value_of('name', given) == (stored, [])


@pytest.mark.parametrize('given', [None, ''])
def test_empty_text_is_unknown(given):
    assert value_of('name', given) == (None, [])


def test_over_long_text_is_cut_with_a_finding():
    assert value_of('name', 'ä' * 300) == ('ä' * TEXT_LENGTH, ['text_cut'])


def test_nul_is_taken_out_with_a_finding():
    assert value_of('name', 'a\0b') == ('ab', ['text_cleaned'])


def test_lone_surrogates_are_replaced_with_a_finding():
    assert value_of('name', 'a\udc80b') == ('a?b', ['text_cleaned'])


@pytest.mark.parametrize('given', [['a'], {'a': 1}, ('a',), {'a'}, b'a', bytearray(b'a')],
                         ids=shown)
def test_containers_are_no_text(given):
    assert value_of('name', given) == (None, ['not_text'])


def test_a_member_of_a_text_enumeration_is_its_value():
    """`class Colour(str, Enum)`: str() would give 'Colour.NORMAL'."""
    assert value_of('name', Colour.NORMAL) == ('normal', [])


def test_a_huge_number_as_text_does_not_cost_the_row():
    """Python refuses to write out integers of more than 4300 digits; only a row without native id is rejected."""
    stored, codes = value_of('name', 10**5000)
    assert codes and (stored is None or len(stored) <= TEXT_LENGTH)


# --- enumerations ---

@pytest.mark.parametrize('given', ['available', 'AVAILABLE', 'Available'])
def test_enumerations_are_compared_without_case_and_stored_in_their_spelling(given):
    assert value_of('status', given) == ('available', [])


def test_the_stored_spelling_is_that_of_the_enumeration():
    assert value_of('os_type', 'linux', KINDS['storage_hosts'].table) == ('Linux', [])


def test_a_value_outside_an_enumeration_is_kept_as_given_and_reported():
    assert value_of('status', 'Rebuilding') == ('Rebuilding', ['unknown_value'])


def test_unknown_is_a_value_where_the_enumeration_lists_it():
    assert value_of('status', 'UNKNOWN', KINDS['controllers'].table) == ('unknown', [])


def test_an_odd_value_is_reported_once_for_all_rows_with_an_example():
    reader, found = RowReader(VOLUMES), Findings()
    for number in range(50):
        reader.read({'native_volume_id': str(number), 'status': f'odd {number}'}, found)
    assert found.listing() == [
        {'code': 'unknown_value', 'column': 'status', 'count': 50, 'example': 'odd 0'}]


# --- rows ---

def test_absent_keys_are_unknown():
    _, values, found = read({'native_volume_id': 'v1'})
    del values['fingerprint']
    assert (values, found) == ({**dict.fromkeys([*(c.name for c in VOLUMES.columns), 'extra']),
                                'native_volume_id': 'v1'}, {})


def test_unknown_keys_are_ignored_with_a_finding():
    _, values, found = read({'native_volume_id': 'v1', 'colour': 'red'})
    assert ('colour' not in values, list(found)) == (True, [('unknown_key', 'colour')])


@pytest.mark.parametrize('name', ['storage_id', 'id', 'created_at', 'updated_at'])
def test_our_own_columns_in_a_row_are_overlooked(name):
    """Drivers of the guide fill `storage_id`; ours is written instead."""
    _, values, found = read({'native_volume_id': 'v1', name: 'theirs'})
    assert (name not in values, found) == (True, {})


@pytest.mark.parametrize('row', [None, 'v1', 7, ['native_volume_id', 'v1'], object()], ids=shown)
def test_what_is_no_dict_is_rejected(row):
    assert rejected(row) == (None, ['not_a_row'])


@pytest.mark.parametrize('row', [OrderedDict, UserDict])
def test_every_mapping_is_a_row(row):
    assert read(row({'native_volume_id': 'v1', 'name': 'n'}))[1]['name'] == 'n'


# --- native ids ---

@pytest.mark.parametrize(('given', 'stored'), [
    ('v1', 'v1'), (' v1 ', ' v1 '), ('V1', 'V1'), (0, '0'), (17, '17'), ('0', '0'), (Level.SEVEN, '7'),
    ('x' * TEXT_LENGTH, 'x' * TEXT_LENGTH)])
def test_a_native_id_is_text_exactly_as_the_array_names_it(given, stored):
    assert read({'native_volume_id': given})[0] == stored


def test_a_native_id_from_a_text_enumeration_is_its_value():
    assert read({'native_volume_id': Colour.NORMAL})[0] == 'normal'


@pytest.mark.parametrize('given', [None, '', '\0', True, False, 1.5, [], {}, b'v1', object()], ids=shown)
def test_a_row_without_usable_native_id_is_rejected(given):
    assert rejected({'native_volume_id': given})[0] is None


def test_a_row_without_the_native_id_key_is_rejected():
    assert rejected({'name': 'v1'}) == (None, ['no_native_id'])


def test_a_native_id_is_never_cut():
    assert rejected({'native_volume_id': 'x' * (TEXT_LENGTH + 1)}) == (None, ['native_id_too_long'])


def test_a_native_id_of_more_digits_than_python_writes_is_rejected():
    assert rejected({'native_volume_id': 10**5000})[0] is None


def test_both_halves_of_a_relation_are_needed():
    pairs = KINDS['port_groups'].relations[0].table
    assert rejected({'native_port_group_id': 'g1'}, pairs) == (None, ['no_native_id'])


def test_the_key_of_a_relations_row_has_both_halves():
    pairs = KINDS['port_groups'].relations[0].table
    assert read({'native_port_group_id': 'g1', 'native_port_id': 'p1'}, pairs)[0] == ('g1', 'p1')


def test_a_row_that_cannot_be_read_is_rejected():
    assert rejected(Bad())[0] is None


def test_a_row_with_an_unreadable_value_is_rejected_by_its_key():
    """So that sync keeps the row it has under this key."""
    assert rejected({'native_volume_id': 'v1', 'name': Unprintable()}) == ('v1', ['row_unreadable'])


# --- extra ---

def extra_of(value):
    _, values, found = read({'native_volume_id': 'v1', 'extra': value})
    return values['extra'], [code for code, _ in found]


@pytest.mark.parametrize('given', [None, {}, ''])
def test_no_extra_is_null(given):
    assert extra_of(given) == (None, [])


def test_extra_is_kept_as_a_document():
    document = {'raid': 5, 'parts': [1, 2.5, None, True], 'inner': {'a': 'ü'}}
    assert extra_of(document) == (document, [])


def test_keys_of_extra_become_text():
    assert extra_of({1: 'a'}) == ({'1': 'a'}, [])


@pytest.mark.parametrize('given', [['a'], 'text', 7, {'a': object()}, {'a': {1, 2}}, {'a': '\udc80'}, {'a': 10**40}],
                         ids=shown)
def test_an_extra_that_is_no_json_document_is_dropped_with_a_finding(given):
    assert extra_of(given) == (None, ['not_text'])


def test_nul_inside_extra_is_taken_out_with_a_finding():
    assert extra_of({'a': 'b\0c', 'd\0': 1}) == ({'a': 'bc', 'd': 1}, ['text_cleaned'])


@pytest.mark.parametrize('text', ['C:\\u0000', '\\u0000n', '\\\\u0000'])
def test_a_backslash_before_u0000_in_extra_is_no_nul(text):
    r"""The six characters \u0000 in a driver's text are no NUL character."""
    assert extra_of({'path': text}) == ({'path': text}, [])


# --- the storage itself ---

def test_a_numeric_serial_number_becomes_text():
    """As the driver guide writes it: 'serial_number': 123."""
    found = Findings()
    assert coerce.read_columns(STORAGE_COLUMNS, {'serial_number': 123}, found)['serial_number'] == '123'


# --- findings ---

@given(st.text(st.characters(), min_size=1), st.one_of(st.text(st.characters()), st.binary(), st.integers()))
def test_findings_always_fit_into_a_json_column(name, value):
    """Keys and values of a driver may hold NUL and lone surrogates; what is recorded of them may not."""
    found = Findings()
    RowReader(VOLUMES).read({'native_volume_id': 'v1', name + '!': value, 'used_capacity': value}, found)
    texts = [finding[name] or '' for finding in found.listing() for name in ('column', 'example')]
    assert not any('\0' in text for text in texts) and ''.join(texts).encode('utf-8') is not None


def test_a_driver_that_invents_keys_does_not_fill_the_database():
    found = Findings()
    for number in range(5000):
        RowReader(VOLUMES).read({'native_volume_id': 'v1', f'key{number}': 1}, found)
    assert len(found.listing()) <= 100


def test_examples_are_short():
    found = Findings()
    found.add('text_cut', 'name', 'x' * 100000)
    assert len(found.listing()[0]['example']) <= 100


# --- whatever comes ---

ALL_TYPES = Table('all_types', ('native_id',), (
    Column('native_id'), Column('words'), Column('status', values=('normal', 'unknown')),
    Column('size', ColumnType.INTEGER), Column('flag', ColumnType.BOOLEAN)))

NASTY = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters()), st.binary(), st.decimals(),
    st.fractions(), st.complex_numbers(), st.dates(), st.datetimes(), st.timedeltas(), st.uuids(),
    st.sampled_from(['unknown', 'N/A', '\0', '\ud800', 'x' * 70000, Unprintable(), object(), Colour.NORMAL,
                     Level.SEVEN, iter(()), print, int, NotImplemented, ..., range(3), Bad()]))
JSON_LIKE = st.recursive(NASTY, lambda inner: st.one_of(
    st.lists(inner, max_size=3), st.dictionaries(st.text(st.characters(), max_size=5), inner, max_size=3),
    st.tuples(inner)), max_leaves=6)
ROWS = st.one_of(
    JSON_LIKE,
    st.fixed_dictionaries({'native_id': st.one_of(st.text(min_size=1, max_size=10), JSON_LIKE)}, optional={
        **{name: JSON_LIKE for name in ('words', 'status', 'size', 'flag', 'extra')},
        'unheard_of': NASTY, '\ud800': NASTY}))


@pytest.fixture(scope='module')
def all_types_table():
    engine = sa.create_engine('sqlite://')
    table = models._make(ALL_TYPES)
    models.metadata.remove(table)
    alone = sa.Table('all_types', sa.MetaData(), *(
        sa.Column(column.name, column.type, primary_key=column.name in ALL_TYPES.key)
        for column in table.columns if column.name in {'extra', 'fingerprint', *(c.name for c in ALL_TYPES.columns)}))
    alone.create(engine)
    with engine.connect() as connection:
        yield connection, alone
    engine.dispose()


@given(ROWS)
def test_whatever_a_driver_returns_is_rejected_or_fits_the_columns(all_types_table, row):
    connection, table = all_types_table
    try:
        key, values = RowReader(ALL_TYPES).read(row, Findings())
    except Rejected:
        return
    transaction = connection.begin()
    try:
        connection.execute(sa.insert(table), values)
        stored = dict(connection.execute(sa.select(table)).mappings().one())
    finally:
        transaction.rollback()
    assert stored == values and key == values['native_id']


@given(ROWS)
def test_whatever_a_driver_returns_reads_the_same_twice(row):
    def result():
        try:
            return RowReader(ALL_TYPES).read(row, Findings())
        except Rejected as error:
            return error.key
    assert result() == result()


CLEAN_ROWS = st.fixed_dictionaries({'native_id': st.sampled_from('ab')}, optional={
    'words': st.sampled_from(['x', 'y', '1', '']), 'status': st.sampled_from(['normal', 'NORMAL', 'odd', '']),
    'size': st.sampled_from([0, 1, '1', 1.0, 'unknown', None]), 'flag': st.sampled_from([True, 1, 0, 'no', None]),
    'extra': st.dictionaries(st.sampled_from('ab'), st.sampled_from([1, 'x', None]), max_size=2)})


@given(CLEAN_ROWS, CLEAN_ROWS)
def test_fingerprints_are_equal_exactly_when_the_values_are(one, two):
    first, second = (RowReader(ALL_TYPES).read(row, Findings())[1] for row in (one, two))
    prints = first.pop('fingerprint'), second.pop('fingerprint')
    assert (prints[0] == prints[1]) == (first == second)


def test_a_value_does_not_slip_into_the_neighbouring_column():
    one = RowReader(VOLUMES).read({'native_volume_id': 'v', 'name': 'x'}, Findings())[1]
    two = RowReader(VOLUMES).read({'native_volume_id': 'v', 'description': 'x'}, Findings())[1]
    assert one['fingerprint'] != two['fingerprint']


def test_the_order_of_keys_does_not_change_the_fingerprint():
    names = list(string.ascii_lowercase)
    documents = [{name: 1 for name in order} for order in (names, names[::-1])]
    assert len({fingerprint({'extra': document}) for document in documents}) == 1
