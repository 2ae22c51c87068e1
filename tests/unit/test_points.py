# SPDX-License-Identifier: Apache-2.0
"""Points that drivers return: which are kept, and what is said of the others."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delfin.common.constants import metric_struct
from delfin.exporter import cargo
from delfin.findings import Findings
from delfin.metrics import Owner
from delfin.task_manager.telemetry.points import Reader

OWNER = Owner('id-1', 'array "one"', 'Example', 'X1', 'SN-1')
WANTED = {'volume': {'iops': {'unit': 'IOPS'}, 'responseTime': {'unit': 'ms'}}, 'storage': {'iops': {'unit': 'IOPS'}}}
START, END = 1_000_000, 2_000_000


def series(values, metric='iops', **labels):
    given = {'storage_id': 'whatever', 'resource_type': 'volume', 'resource_id': 'v1', 'type': 'RAW',
             'unit': WANTED['volume'][metric]['unit'], **labels}
    return metric_struct(metric, {name: value for name, value in given.items() if value is not None}, values)


def read(*answer):
    findings = Findings()
    reader = Reader(OWNER, WANTED, START, END, {'volume': {'v1': 'data', 'v2': None}}, findings)
    reader.read(answer)
    return reader.found, {finding['code']: finding['count'] for finding in findings.listing()}


def test_points_are_kept_with_the_labels_of_their_storage():
    found, findings = read(series({START: 1.5, START + 60: 2}))
    assert found['volume'].series == [metric_struct('iops', {
        'storage_id': 'id-1', 'name': 'array "one"', 'serial_number': 'SN-1', 'vendor': 'Example', 'model': 'X1',
        'resource_type': 'volume', 'resource_id': 'v1', 'resource_name': 'data', 'type': 'RAW', 'unit': 'IOPS'},
        {START: 1.5, START + 60: 2})]
    assert (found['volume'].points, found['volume'].newest, findings) == (2, START + 60, {})


def test_the_driver_may_share_one_dict_of_labels_between_metrics():
    labels = {'resource_type': 'volume', 'resource_id': 'v1'}
    found, findings = read(metric_struct('iops', labels, {START: 1}), metric_struct('responseTime', labels, {START: 2}))
    assert [each.labels['unit'] for each in found['volume'].series] == ['IOPS', 'ms']
    assert not findings
    assert labels == {'resource_type': 'volume', 'resource_id': 'v1'}


@pytest.mark.parametrize(('value', 'kept'), [
    (math.nan, None), (math.inf, None), (-math.inf, None), (None, None), ('fast', None), (True, None), (10**400, None),
    ('12.5', 12.5), (Decimal('1.25'), 1.25), (0, 0), (-3, -3)])
def test_a_point_must_be_a_finite_number(value, kept):
    found, findings = read(series({START: value, START + 1: 1.0}))
    expected = {START + 1: 1.0} if kept is None else {START: kept, START + 1: 1.0}
    assert found['volume'].series[0].values == expected
    assert findings == ({'not_finite': 1} if kept is None else {})


@pytest.mark.parametrize(('time', 'kept'), [
    (START, True), (END - 1, True), (START - 1, False), (END, False), (float(START), True), (str(START), True)])
def test_a_point_must_lie_in_its_window(time, kept):
    found, findings = read(series({time: 1.0}))
    assert [list(each.values) for each in found['volume'].series] == ([[int(time)]] if kept else [])
    assert findings == ({} if kept else {'outside_window': 1})


def test_the_same_series_twice_is_one_with_the_points_of_both():
    found, findings = read(series({START: 1.0, START + 2: 2.0}), series({START + 1: 9.0, START + 2: 3.0}))
    assert [each.values for each in found['volume'].series] == [{START: 1.0, START + 1: 9.0, START + 2: 2.0}]
    assert list(found['volume'].series[0].values) == [START, START + 1, START + 2]
    assert (findings, found['volume'].points) == ({'repeated_point': 1}, 3)


def test_times_are_put_in_order():
    found, _ = read(series({START + 5: 5.0, START: 1.0}))
    assert list(found['volume'].series[0].values.items()) == [(START, 1.0), (START + 5, 5.0)]


def test_points_of_an_unknown_resource_are_delivered_and_counted():
    found, findings = read(series({START: 1.0}, resource_id='v9', resource_name='new one'))
    assert found['volume'].series[0].labels['resource_name'] == 'new one'
    assert (found['volume'].unknown, findings) == (1, {'unknown_resource': 1})


def test_the_storage_itself_is_no_row_of_the_inventory():
    found, findings = read(series({START: 1.0}, resource_type='storage', resource_id='anything'))
    assert (found['storage'].points, found['storage'].unknown, findings) == (1, 0, {})


@pytest.mark.parametrize(('entry', 'finding'), [
    (None, 'not_a_series'), (7, 'not_a_series'), ('iops', 'not_a_series'), (('iops', {}), 'not_a_series'),
    (('iops', [], {}), 'not_a_series'),
    (('iops', {'resource_type': 'volume', 'resource_id': 'v1'}, [1]), 'not_a_series'),
    (series({START: 1.0}, metric='iops', resource_type='disk'), 'unasked_metric'),
    (metric_struct('writeIops', {'resource_type': 'volume', 'resource_id': 'v1'}, {START: 1}), 'unasked_metric'),
    (series({START: 1.0}, resource_id=None), 'no_native_id'), (series({START: 1.0}, resource_id=''), 'no_native_id'),
    (series({START: 1.0}, unit='KB'), 'wrong_unit'),
])
def test_what_is_no_series_costs_itself(entry, finding):
    found, findings = read(entry, series({START: 1.0}, resource_id='v2'))
    assert [each.labels['resource_id'] for each in found['volume'].series] == ['v2']
    assert finding in findings


def test_a_label_that_nobody_knows_is_left_out():
    found, findings = read(series({START: 1.0}, tenant='blue'))
    assert 'tenant' not in found['volume'].series[0].labels
    assert findings == {'unknown_label': 1}


def test_lists_in_lists_are_read_as_one():
    """The comment in SODA Delfin's driver interface shows them."""
    found, findings = read([series({START: 1.0}), [series({START: 2.0}, resource_id='v2')]])
    assert (found['volume'].points, findings) == (2, {})


def test_a_number_for_an_id_is_its_text():
    found, _ = read(series({START: 1.0}, resource_id=17))
    assert found['volume'].series[0].labels['resource_id'] == '17'


def test_an_id_that_no_encoding_has_can_be_queued_all_the_same():
    found, _ = read(series({START: 1.0}, resource_id='a\ud800\0b', resource_name='\udfff'))
    portions = list(cargo.pack(OWNER, 'volume', found['volume'].series))
    assert cargo.unpack(portions[0].body) == found['volume'].series


VALUES = st.dictionaries(st.one_of(st.integers(START - 5, START + 5), st.floats(), st.text(max_size=2)),
                         st.one_of(st.floats(), st.integers(), st.none(), st.text(max_size=3), st.booleans()),
                         max_size=4)
ENTRIES = st.one_of(
    st.builds(lambda metric, labels, values: metric_struct(metric, labels, values),
              st.sampled_from(['iops', 'responseTime', 'other']),
              st.fixed_dictionaries({}, optional={
                  'resource_type': st.sampled_from(['volume', 'storage', 'x', 3]),
                  'resource_id': st.one_of(st.sampled_from(['v1', 'v2']), st.text(max_size=3), st.integers()),
                  'unit': st.sampled_from(['IOPS', 'ms', None]), 'type': st.sampled_from(['RAW', 'MEAN', None]),
                  'resource_name': st.one_of(st.none(), st.text(max_size=3), st.integers())}), VALUES),
    st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3)))


@given(st.lists(ENTRIES, max_size=6))
def test_whatever_comes_what_is_kept_is_in_good_order(answer):
    found, _ = read(*answer)
    for resource_type, kept in found.items():
        seen = set()
        for metric, labels, values in kept.series:
            key = (labels['resource_id'], metric, labels['type'])
            assert key not in seen
            seen.add(key)
            assert list(values) == sorted(values) and values
            assert all(type(time) is int and START <= time < END and math.isfinite(value)
                       for time, value in values.items())
        assert kept.points == sum(len(each.values) for each in kept.series)
        for portion in cargo.pack(OWNER, resource_type, kept.series):
            assert sum(len(each.values) for each in cargo.unpack(portion.body)) == portion.number


def test_many_points_are_queued_in_portions():
    found, _ = read(*(series({START + n: float(n) for n in range(1000)}, resource_id=f'v{i}') for i in range(12)))
    portions = list(cargo.pack(OWNER, 'volume', found['volume'].series))
    assert [portion.number for portion in portions] == [5000, 5000, 2000]
    assert [each for portion in portions for each in cargo.unpack(portion.body)] == found['volume'].series
