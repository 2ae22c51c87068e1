# SPDX-License-Identifier: Apache-2.0
"""The latest values as text: what a scrape sees of what was collected."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from delfin.exporter.prometheus.exposition import Exposition, line
from delfin.exporter.prometheus.names import Family, OwnNames, SodaNames
from delfin.metrics import Owner
from tests.unit.metrics_support import ODD, OWNER, Clock, points

OTHER = Owner('5f0e8b5a-0000-4000-8000-000000000002', 'other', 'Example', 'X1', 'SN-2')
SIZE = Family('example_size_bytes', 'How large it is.')


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def exposition(clock: Clock) -> Exposition:
    return Exposition(OwnNames(), clock)


def text(exposition: Exposition) -> str:
    return b''.join(exposition.plain()).decode()


def samples(exposition: Exposition, label: str = 'resource_id') -> dict[tuple[str, str], float]:
    """(name, value of a label) -> value, as a parser of Prometheus' format understands it."""
    return {(sample.name, sample.labels.get(label, '')): sample.value
            for family in text_string_to_metric_families(text(exposition)) for sample in family.samples}


def volumes(exposition: Exposition) -> dict[str, float]:
    return {resource_id: value for (name, resource_id), value in samples(exposition).items()
            if name == 'delfin_volume_iops'}


def test_a_point_is_a_line_without_time_and_instance(exposition):
    exposition.collected(OWNER, 'volume', [points('0x17', {5: 1.5}, resource_name='prod')], 60)
    assert text(exposition) == (
        '# HELP delfin_volume_iops Read and write operations per second.\n'
        '# TYPE delfin_volume_iops gauge\n'
        'delfin_volume_iops{instance="",resource_id="0x17",resource_name="prod",'
        f'storage_id="{OWNER.storage_id}",storage_name="array"}} 1.5\n')


def test_lines_of_a_metric_stand_together_below_one_head(exposition):
    for owner in (OWNER, OTHER):
        for metric in ('iops', 'responseTime'):
            exposition.collected(owner, 'volume', [points('1', {5: 1}, metric, owner=owner)], 60)
    names = [line.split('{')[0].split(' ')[-1 if line[0] != '#' else 2] for line in text(exposition).splitlines()]
    assert names == ['delfin_volume_iops'] * 4 + ['delfin_volume_response_time_seconds'] * 4


@given(resource_id=st.text(min_size=1), resource_name=st.text(), value=st.floats(allow_nan=False, allow_infinity=False))
def test_whatever_arrays_call_things_it_can_be_read_again(resource_id, resource_name, value):
    exposition = Exposition(OwnNames())
    exposition.collected(OWNER, 'volume', [points(resource_id, {5: value}, resource_name=resource_name)], 60)
    read = [sample for family in text_string_to_metric_families(text(exposition)) for sample in family.samples]
    assert [sample.value for sample in read] == [value]
    assert read[0].labels['resource_id'] == resource_id.replace('\0', '') or not resource_id.replace('\0', '')


def test_names_with_quotes_line_breaks_and_emoji_are_escaped(exposition):
    exposition.collected(OWNER, 'volume', [points('1', {5: 1}, resource_name=ODD)], 60)
    assert (('delfin_volume_iops', ODD) in samples(exposition, 'resource_name'))


def test_the_latest_value_counts_whatever_the_order_of_arrival(exposition):
    exposition.collected(OWNER, 'volume', [points('1', {5: 1, 6: 2})], 60)
    exposition.collected(OWNER, 'volume', [points('1', {3: 7, 4: 8})], 60)      # a window that was missed
    assert volumes(exposition) == {'1': 2}


def test_a_value_is_gone_when_two_intervals_brought_no_other(exposition, clock):
    exposition.collected(OWNER, 'volume', [points('1', {5: 1}), points('2', {5: 1})], 60)
    clock.now += 119
    exposition.collected(OWNER, 'volume', [points('1', {6: 2})], 60)
    assert volumes(exposition) == {'1': 2, '2': 1}
    clock.now += 2
    assert volumes(exposition) == {'1': 2}
    clock.now += 120
    assert text(exposition) == ''


def test_an_array_whose_clock_was_put_back_is_seen_again(exposition, clock):
    exposition.collected(OWNER, 'volume', [points('1', {900_000: 1})], 60)
    clock.now += 121
    exposition.collected(OWNER, 'volume', [points('1', {5: 2})], 60)
    assert volumes(exposition) == {'1': 2}


def test_a_resource_that_is_renamed_is_not_shown_twice(exposition):
    exposition.collected(OWNER, 'volume', [points('1', {5: 1}, resource_name='old')], 60)
    exposition.collected(OWNER, 'volume', [points('1', {6: 2}, resource_name='new')], 60)
    assert samples(exposition, 'resource_name') == {('delfin_volume_iops', 'new'): 2}


def test_a_storage_that_is_renamed_is_not_shown_twice(exposition):
    renamed = replace(OWNER, name='renamed')
    for at, owner in enumerate((OWNER, renamed)):
        exposition.collected(owner, 'volume', [points('1', {at: 1}, owner=owner)], 60)
    assert samples(exposition, 'storage_name') == {('delfin_volume_iops', 'renamed'): 1}


def test_a_storage_that_went_to_another_node_is_forgotten(exposition):
    for owner in (OWNER, OTHER):
        exposition.collected(owner, 'volume', [points(owner.name, {5: 1}, owner=owner)], 60)
    exposition.show({SIZE: {OWNER.storage_id: [line(SIZE, (), 1)], OTHER.storage_id: [line(SIZE, (), 2)]}}, 60)
    exposition.forget(OWNER.storage_id)
    assert samples(exposition) == {('delfin_volume_iops', 'other'): 1, ('example_size_bytes', ''): 2}


def test_what_is_shown_of_the_inventory_ends_when_it_is_not_renewed(exposition, clock):
    exposition.show({SIZE: {'': [line(SIZE, (('kind', 'pool'),), 1, of_array=False)]}}, 600)
    clock.now += 599
    assert text(exposition).splitlines()[-1] == 'example_size_bytes{kind="pool"} 1'
    clock.now += 2
    assert text(exposition) == ''


def test_a_metric_that_nobody_knows_is_left_out(exposition):
    exposition.collected(OWNER, 'volume', [points('1', {5: 1}, 'latency'), points('1', {}), points('2', {5: 2})], 60)
    assert volumes(exposition) == {'2': 2}


def test_names_of_soda_delfin_keep_series_of_one_resource_apart_by_unit(clock):
    exposition = Exposition(SodaNames(), clock)
    exposition.collected(OWNER, 'volume', [points('1', {5: 7}, 'iops'), points('1', {5: 3}, 'responseTime')], 60)
    assert samples(exposition, 'unit') == {('volume_iops', 'IOPS'): 7, ('volume_responseTime', 'ms'): 3}


def many(exposition: Exposition, number: int, at: int, owner: Owner = OWNER) -> None:
    exposition.collected(owner, 'volume', [points(f'{each:06}', {at: each + at}, owner=owner)
                                           for each in range(number)], 60)


def test_a_gzip_stream_says_the_same_also_after_a_part_has_changed(exposition):
    many(exposition, 5000, 1)
    many(exposition, 3, 1, OTHER)
    for _ in range(2):
        assert gzip.decompress(b''.join(exposition.packed(b'more 1\n'))) == b''.join(exposition.plain(b'more 1\n'))
        many(exposition, 3, 2, OTHER)
    exposition.forget(OWNER.storage_id)
    assert gzip.decompress(b''.join(exposition.packed())) == b''.join(exposition.plain())


def test_a_scrape_beside_collections_sees_whole_lines(exposition):
    done = threading.Event()

    def collect() -> None:
        for at in range(15):
            many(exposition, 3000, at)
        done.set()

    def scrapes() -> Iterator[str]:
        while not done.is_set():
            yield text(exposition)

    thread = threading.Thread(target=collect)
    thread.start()
    for seen in scrapes():
        for parsed in text_string_to_metric_families(seen):
            assert len(parsed.samples) == 3000
    thread.join()
    assert exposition.count() == 3000
