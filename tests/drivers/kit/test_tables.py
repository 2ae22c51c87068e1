# SPDX-License-Identifier: Apache-2.0
"""Mapping tables, units, traps and metrics: what becomes of replies, and which mistakes a table is refused for."""

from __future__ import annotations

import logging
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delfin import coerce, exception
from delfin.capabilities import read
from delfin.drivers.kit import (
    OTHERS,
    MetricTable,
    Points,
    Table,
    TrapTable,
    capabilities,
    combined,
    constant,
    first_of,
    product,
    units,
)
from delfin.findings import UNKNOWN_VALUE, Findings
from delfin.kinds import KINDS


def volume(reply, columns, **options):
    return Table('volumes', columns, **options).row(reply)


# --- rows ---

def test_a_field_inside_a_field_is_reached_by_dots_and_numbers():
    reply = {'pool': {'id': 7}, 'names': ['a', 'b']}
    assert volume(reply, {'native_storage_pool_id': 'pool.id', 'name': 'names.1'}) == {
        'native_storage_pool_id': 7, 'name': 'b'}


def test_a_field_whose_name_has_dots_is_found_by_its_name():
    assert volume({'space.used': 5, 'space': {'used': 6}}, {'used_capacity': 'space.used'}) == {'used_capacity': 5}


@pytest.mark.parametrize('value', [None, '', '  ', 'N/A', '--'])
def test_what_is_unknown_stays_away(value):
    columns = {'name': 'name', 'total_capacity': ('size', 'GiB'), 'status': ('state', {'ok': 'available'})}
    assert volume(dict.fromkeys(('name', 'size', 'state'), value), columns, missing=('n/a', '--')) == {}


def test_a_field_that_is_absent_or_leads_nowhere_is_unknown():
    assert volume({'pool': 'p1', 'list': []}, {'name': 'name', 'wwn': 'pool.wwn', 'description': 'list.0'}) == {}


def test_words_are_compared_without_case_and_as_text():
    table = Table('volumes', {'status': ('state', {1: 'available', 'Failed': 'error', 'gone': None})})
    rows = list(table.rows([{'state': 1}, {'state': '1'}, {'state': 'FAILED '}, {'state': 'gone'}]))
    assert rows == [{'status': 'available'}, {'status': 'available'}, {'status': 'error'}, {}]


def test_an_unknown_word_is_kept_logged_once_and_reported_by_the_sync(caplog):
    table = Table('volumes', {'native_volume_id': 'id', 'status': ('state', {'ok': 'available'})})
    with caplog.at_level(logging.WARNING):
        rows = list(table.rows([{'id': 'a', 'state': 'frozen'}, {'id': 'b', 'state': 'frozen'}]))
    assert [row['status'] for row in rows] == ['frozen', 'frozen']
    assert [record.getMessage() for record in caplog.records] == [
        "volumes.status: the driver does not know the value 'frozen' of the array; it is kept as given"]
    found = Findings()
    coerce.RowReader(KINDS['volumes'].table).read(rows[0], found)
    assert UNKNOWN_VALUE in found


def test_vendor_fields_go_under_extra_and_columns_may_be_added():
    table = Table('volumes', {'native_volume_id': 'id', 'type': constant('thin'), 'extra.tier': 'tier', 'extra.x': 'y'})
    assert table.row({'id': 'v', 'tier': 2}, used_capacity=7, name=None) == {
        'native_volume_id': 'v', 'type': 'thin', 'extra': {'tier': 2}, 'used_capacity': 7}


def test_two_rows_share_nothing():
    table = Table('volumes', {'native_volume_id': 'id', 'extra.tier': 'tier'})
    first, second = table.rows([{'id': 'a', 'tier': 1}, {'id': 'b', 'tier': 1}])
    first['extra']['tier'] = 2
    assert second['extra'] == {'tier': 1}


@pytest.mark.parametrize('value', [-1, '-1', 2**64 - 1])
def test_numbers_may_say_unknown_too(value):
    assert volume({'size': value}, {'total_capacity': ('size', 'GiB')}, missing=('-1', str(2**64 - 1))) == {}


def test_a_vendor_who_says_else_means_all_other_words():
    table = Table('volumes', {'status': ('state', {27: 'available', OTHERS: 'error'})})
    assert list(table.rows([{'state': '27'}, {'state': 53}, {}])) == [{'status': 'available'}, {'status': 'error'}, {}]


STATUS = first_of(('health', {'dead': 'error', 'well': None}), ('state', {'on': 'available'}))


@pytest.mark.parametrize(('reply', 'status'), [
    ({'health': 'dead', 'state': 'on'}, 'error'), ({'health': 'odd', 'state': 'on'}, 'available'),
    ({'health': 'well', 'state': 'on'}, 'available'), ({'state': 'on'}, 'available'),
    ({'health': 'odd', 'state': 'frozen'}, 'frozen'), ({'health': 'odd'}, None)])
def test_the_first_field_that_tells_decides_and_the_last_word_is_kept(reply, status):
    assert volume(reply, {'status': STATUS}).get('status') == status


def test_the_first_of_several_names_and_what_holds_without_any():
    columns = {'name': first_of('label', 'path'), 'compressed': first_of(('zip', {'no': False, OTHERS: True}),
                                                                         constant(False))}
    assert volume({'label': '--', 'path': '/a', 'zip': 'yes'}, columns, missing=('--',)) == {
        'name': '/a', 'compressed': True}
    assert volume({}, columns) == {'compressed': False}


def test_several_fields_make_one_value():
    columns = {'total_capacity': product('blocks', 'size'), 'used_capacity': combined(units.total, 'a', 'b'),
               'name': combined(lambda rack, slot: f'{rack}/{slot}', 'rack', 'slot')}
    assert volume({'blocks': '8', 'size': 512, 'a': '1', 'rack': 'r'}, columns) == {
        'total_capacity': 4096, 'used_capacity': 1, 'name': 'r/None'}
    assert volume({'blocks': 'many', 'size': 512}, columns)['total_capacity'] == 'many'
    assert volume({'blocks': 8, 'b': 'few'}, columns) == {'used_capacity': 'few'}


def test_fields_are_found_however_they_are_spelt_but_first_as_in_the_table():
    columns = {'name': 'NAME', 'wwn': 'Wwn', 'total_capacity': product('size', 'blockSize')}
    reply = {'name': 'b', 'NAME': 'a', 'wwn': 'w', 'SIZE': 2, 'BLOCKSIZE': '512'}
    assert volume(reply, columns, any_case=True) == {'name': 'a', 'wwn': 'w', 'total_capacity': 1024}
    assert volume(reply, columns) == {'name': 'a'}


@pytest.mark.parametrize(('name', 'columns', 'words'), [
    ('volumes', {'status': first_of('x', ('state', {'ok': 'normal'}))}, '"normal" is none of available, error'),
    ('volumes', {'status': first_of('x', constant('normal'))}, '"normal" is none of available, error'),
    ('volumes', {'status': ('state', {OTHERS: 'normal'})}, '"normal" is none of available, error'),
    ('volume', {}, 'there is no table "volume"'),
    ('volumes', {'capacity': 'size'}, 'no column "capacity"'),
    ('volumes', {'status': ('state', {'ok': 'normal'})}, '"normal" is none of available, error'),
    ('volumes', {'status': constant('normal')}, '"normal" is none of available, error'),
    ('volumes', {'total_capacity': ('size', 'GB')}, 'say "GiB" (powers of 1024) or "decimal GB"'),
    ('volumes', {'total_capacity': ('size', 'furlongs')}, 'no unit or conversion "furlongs"'),
    ('volumes', {'total_capacity': ('size', 'us')}, '"us" is no unit of a column'),
])
def test_a_wrong_table_is_refused_when_it_is_made(name, columns, words):
    with pytest.raises(ValueError) as caught:
        Table(name, columns)
    assert words in str(caught.value)


@pytest.mark.parametrize('name', ['storage', 'alerts', 'vol_grp_vol_rels', *KINDS.names()])
def test_there_is_a_table_for_everything_that_drivers_return(name):
    assert Table(name, {}).unfilled()


ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8),
    st.sampled_from(['ok', 'OK ', 'bad', '--', ' -- ', 'n/a', 'N/A', '-1', '7', '18446744073709551615', '007', '1.5',
                     ' 5', '\u0665', '9' * 5000, -1, 2**64 - 1, 0.0, ['x'], {'deep': '3'}]))
EVERY_SOURCE = {
    'native_volume_id': 'a',
    'name': first_of('b.deep', 'b', constant('?')),
    'description': ('a', str),
    'wwn': combined(lambda *values: '/'.join(map(str, values)), 'a', 'b', 'c'),
    'status': first_of(('a', {'ok': 'available'}), ('b', {'ok': 'error', OTHERS: None}),
                       ('c', {'ok': 'available', 7: 'error'})),
    'type': ('d', {'ok': 'thin', OTHERS: 'thick'}),
    'total_capacity': product('a', 'd'),
    'used_capacity': ('b', 'GiB'),
    'native_storage_pool_id': constant('p'),
    'compressed': combined(lambda value: value == 'ok', 'd'),
    'extra.level': ('c', 'integer'),
    'extra.more': first_of('b.deep', product('c', 'c', 'c')),
}


@pytest.mark.parametrize('options', [
    {}, {'missing': ('--', 'N/A', '-1', str(2**64 - 1))}, {'any_case': True}, {'missing': ('7',), 'any_case': True}],
    ids=['plain', 'missing words', 'any case', 'both'])
@given(data=st.data())
def test_a_table_made_to_code_follows_its_rules(options, data):
    table = Table('volumes', EVERY_SOURCE, **options)
    replies = data.draw(st.lists(st.dictionaries(st.sampled_from('abcdABCD'), ANYTHING), min_size=1, max_size=4))
    for reply in [*replies, *replies]:      # the second time around words are known
        rule = table.row_by_readers(reply)
        row = table.row(reply)
        assert row == rule
        assert {name: type(value) for name, value in row.items()} == {name: type(value) for name, value in rule.items()}


def test_a_function_of_the_vendor_that_fails_shows_the_line_of_its_column():
    table = Table('volumes', {'name': ('size', lambda value: 1 / 0)})
    with pytest.raises(ZeroDivisionError) as caught:
        table.row({'size': 'x'})
    assert "(value)     # 'size'" in ''.join(traceback.format_exception(caught.value))


def test_the_id_of_a_reply_is_that_of_its_row():
    table = Table('volumes', {'native_volume_id': 'ID', 'name': 'NAME'}, missing=('--',), any_case=True)
    assert [table.id_of(reply) for reply in ({'id': 'v1'}, {'ID': '--'}, {})] == ['v1', None, None]


# --- conversions ---

@pytest.mark.parametrize(('name', 'value', 'expected'), [
    ('GiB', 2, 2 * 2**30), ('GiB', '1.5', 3 * 2**29), ('decimal GB', ' 3840 ', 3840 * 10**9), ('B', 7.0, 7),
    ('512-byte sectors', '8', 4096), ('Gbit/s', '16', 16 * 10**9), ('PiB', 8191, 8191 * 2**50),
    ('epoch s', '1769860800', 1769860800000), ('epoch s', 1.5, 1500), ('epoch ms', '12', 12),
    ('ISO 8601', '2026-01-31T12:00:00Z', 1769860800000), ('ISO 8601', '2026-01-31T13:00:00+01:00', 1769860800000),
    ('integer', '3.0', 3), ('text', 17, '17'), ('text', ' a ', 'a'),
    ('hex text', '0x436865636b', 'Check'), ('hex text', '0xc3a4', '\u00e4'), ('hex text', '0xe4', '\u00e4'),
    ('hex text', '0x123', '0x123'), ('hex text', '123456', '123456'), ('hex text', 'cafe', 'cafe'),
    ('DateAndTime', '2024-6-3,9:2:2.0,+8:0', 1717376522000), ('DateAndTime', '0x07E80603090202002B0800', 1717376522000),
    ('DateAndTime', '2024-6-3,9:2:2.5,-0:30', 1717407122500), ('DateAndTime', '2024-6-3,9:2:60,+0:0', 1717405379000),
    ('DateAndTime', '2024-13-3,9:2:2.0,+8:0', '2024-13-3,9:2:2.0,+8:0'), ('DateAndTime', '0x0102', '0x0102'),
    ('DateAndTime', '2024-6-3,9:2:2.0', None), ('DateAndTime', '0x07E8060309020200', None),
])
def test_values_are_converted_by_name(name, value, expected):
    assert units.conversion(name)(value) == expected


@pytest.mark.parametrize('name', sorted(set(units.names()) - {'text'}))
@pytest.mark.parametrize('value', ['many', float('nan'), float('inf'), True, [], {'a': 1}, '1_000', '2026-01-31T12:00'])
def test_what_cannot_be_converted_is_handed_on_for_delfin_to_report(name, value):
    assert units.conversion(name)(value) is value


def test_large_numbers_lose_nothing():
    assert units.conversion('KiB')(2**53 + 1) == (2**53 + 1) * 1024


@pytest.mark.parametrize(('unit', 'into', 'value', 'expected'), [
    ('us', 'ms', 250, 0.25), ('s', 'ms', 2, 2000), ('B/s', 'MB/s', 2**20, 1), ('KiB/s', 'MB/s', 512, 0.5),
    ('B', 'KB', 8192, 8), ('ratio', '%', 0.97, 97), ('IOPS', 'IOPS', 3, 3), ('decimal MB/s', 'MB/s', 1.048576, 1),
])
def test_metrics_are_converted_into_delfins_units(unit, into, value, expected):
    assert value * units.factor(unit, into) == pytest.approx(expected, rel=1e-15)


# --- traps ---

BASE = '1.3.6.1.4.1.53535.1'
TRAPS = TrapTable(BASE, {'0.1': {'category': 'Fault'}, '0.2': {'category': 'Recovery'}}, {
    'alert_id': '2.1', 'severity': ('2.2', {'1': 'Critical'}), 'description': '.1.3.6.1.2.1.1.1',
}, required=('alert_id',), missing=('none',))


def trap(kind='0.1', **variables):
    return {'1.3.6.1.6.3.1.1.4.1.0': f'{BASE}.{kind}', 'transport_address': '192.0.2.1', **variables}


def test_a_trap_becomes_an_alert_whatever_the_instances():
    told = TRAPS.alert(trap(**{f'{BASE}.2.1.0': 'A7', f'{BASE}.2.2.1.4': '1', '1.3.6.1.2.1.1.1.0': 'words'}))
    assert told == {'alert_id': 'A7', 'severity': 'Critical', 'description': 'words', 'category': 'Fault'}


def test_its_end_is_a_recovery():
    assert TRAPS.alert(trap('0.2', **{f'{BASE}.2.1.0': 'A7'})) == {'alert_id': 'A7', 'category': 'Recovery'}


NAMED = TrapTable(BASE, {'0.1': {'category': 'Fault'}}, {
    'alert_id': 'acmeCode', 'location': combined(lambda node, part: ', '.join(filter(None, (node, part))), 'acmeNode',
                                                 'acmePart')},
    variables={'acmeCode': '2.1', 'acmeNode': '2.2', 'acmePart': '2.3'}, required=('acmeCode', 'acmeNode'),
    missing=('--',))


def test_variables_may_have_the_names_of_the_mib():
    told = NAMED.alert(trap(**{f'{BASE}.2.1.0': '7', f'{BASE}.2.2.0': 'n', f'{BASE}.2.3.0': 'fan'}))
    assert told == {'alert_id': '7', 'location': 'n, fan', 'category': 'Fault'}


@pytest.mark.parametrize('node', [{}, {f'{BASE}.2.2.0': ' '}, {f'{BASE}.2.2.0': '--'}])
def test_an_error_says_which_variable_is_missing_by_its_name(node):
    with pytest.raises(exception.InvalidResults, match='has no acmeNode .variable 1.3'):
        NAMED.alert(trap(**{f'{BASE}.2.1.0': '7', **node}))


def test_an_object_id_that_only_begins_alike_is_another():
    with pytest.raises(exception.InvalidResults):
        TRAPS.alert(trap(**{f'{BASE}.2.10.0': 'A7'}))


@pytest.mark.parametrize('other', [{}, {'1.3.6.1.6.3.1.1.4.1.0': f'{BASE}.0.3'}])
def test_other_traps_are_dropped(other):
    assert TRAPS.alert(other) is None


@pytest.mark.parametrize('variables', [{}, {f'{BASE}.2.1.0': ''}, {f'{BASE}.2.1.0': 'None'}])
def test_a_trap_without_what_is_required_is_an_error_that_names_it(variables):
    with pytest.raises(exception.InvalidResults) as caught:
        TRAPS.alert(trap(**variables))
    assert f'alert_id (variable {BASE}.2.1)' in caught.value.msg


@pytest.mark.parametrize('make', [
    lambda: TrapTable(BASE, {'0.1': {'category': 'Wrong'}}, {}),
    lambda: TrapTable(BASE, {'0.1': {}}, {'alertid': '2.1'}),
    lambda: TrapTable(BASE, {'0.1': {}}, {'alert_id': '2.1'}, required=('severity',)),
])
def test_a_wrong_trap_table_is_refused_when_it_is_made(make):
    with pytest.raises(ValueError):
        make()


# --- metrics ---

LOAD = MetricTable('volume', {'readIops': ('io.reads', 'IOPS'), 'readResponseTime': ('us', 'us'),
                              'x_queue': ('queue', 'requests')})


def test_capabilities_are_read_without_a_finding():
    document = capabilities(LOAD, historic=True, retention_seconds=3600, interval_seconds=60)
    able, findings = read(document)
    assert not findings.listing()
    assert able.resource_metrics['volume']['readResponseTime']['unit'] == 'ms'
    assert able.document() == document


def points_of(samples, asked=('readIops', 'readResponseTime', 'x_queue'), start=1000, end=2000):
    points = Points('s', {'volume': dict.fromkeys(asked, {})}, start, end)
    for time, sample in samples:
        points.add(LOAD, sample, resource_id='v1', time=time, name='db')
    return {series.name: series for series in points.series()}


def test_points_have_labels_units_and_the_order_of_time():
    found = points_of([(1500, {'us': '250'}), (1000, {'us': 500, 'io': {'reads': 7}})])
    assert found['readResponseTime'].values == {1000: 0.5, 1500: 0.25}
    assert list(found['readResponseTime'].values) == [1000, 1500]
    assert found['readIops'].labels == {'storage_id': 's', 'resource_type': 'volume', 'resource_id': 'v1',
                                        'type': 'RAW', 'unit': 'IOPS', 'resource_name': 'db'}


@pytest.mark.parametrize(('time', 'kept'), [(999, False), (1000, True), (1999, True), (2000, False)])
def test_points_outside_the_half_open_window_are_left_out(time, kept):
    assert bool(points_of([(time, {'queue': 1})])) is kept


@pytest.mark.parametrize('value', [None, '--', '', float('nan'), True])
def test_what_is_no_number_costs_no_other_metric(value):
    assert set(points_of([(1000, {'queue': value, 'us': 1})])) == {'readResponseTime'}


def test_only_what_was_asked_for_comes():
    assert set(points_of([(1000, {'queue': 3, 'us': 1})], asked=('x_queue',))) == {'x_queue'}
    assert not Points('s', {'port': {'iops': {}}}, 0, 1).wants(LOAD)


@pytest.mark.parametrize(('resource_type', 'metrics', 'words'), [
    ('lun', {}, 'no resource type "lun"'),
    ('volume', {'reads': ('r', 'IOPS')}, 'there is no such metric'),
    ('volume', {'readIops': ('r', 'us')}, 'us are seconds, IOPS are operations per second'),
    ('volume', {'readThroughput': ('r', 'MB/s')}, 'say "MiB/s" (powers of 1024) or "decimal MB/s"'),
])
def test_a_wrong_metric_table_is_refused_when_it_is_made(resource_type, metrics, words):
    with pytest.raises(ValueError) as caught:
        MetricTable(resource_type, metrics)
    assert words in str(caught.value)
