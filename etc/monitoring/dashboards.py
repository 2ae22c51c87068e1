# SPDX-License-Identifier: Apache-2.0
"""The dashboards, as tables: fleet, array, pool, volume, port."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from etc.monitoring import queries
from etc.monitoring.grafana import Choice, Column, Dashboard, Link, Panel, Query, Row, Variable

GREEN, ORANGE, RED = 'green', 'orange', 'red'
USED: Final = ((0.0, GREEN), (0.8, ORANGE), (0.9, RED))        # as the alerts have it
DAYS: Final = ((0.0, RED), (7.0, ORANGE), (30.0, GREEN))
ANY: Final = ((0.0, GREEN), (1.0, RED))
ALL: Final = ((0.0, RED), (1.0, GREEN))

TO_ARRAY: Final = Link('delfin-array', 'Array', {'storage': 'storage_id'})
TO_POOL: Final = Link('delfin-pool', 'Pool', {'storage': 'storage_id', 'pool': 'resource_id'})
TO_VOLUME: Final = Link('delfin-volume', 'Volume', {'storage': 'storage_id', 'volume': 'resource_id'})

OF_STORAGE: Final = '{{storage_name}}'
OF_RESOURCE: Final = '{{storage_name}} {{resource_name}}'

# Title, unit, end of the names of metrics.
PERFORMANCE: Final = (
    ('Operations', 'iops', 'iops'),
    ('Throughput', 'binBps', 'throughput_bytes_per_second'),
    ('Response time', 's', 'response_time_seconds'),
    ('Size of operations', 'bytes', 'io_size_bytes'),
    ('Cache hits', 'percentunit', 'cache_hit_ratio'),
)


def of_one(kind: str, where: str, what: Sequence[tuple[str, str, str]] = PERFORMANCE) -> Iterator[Panel]:
    """Performance of one thing: all operations, reads, writes."""
    for title, unit, metric in what:
        yield Panel('timeseries', title, [Query(f'delfin_{kind}_{way}{metric}{where}', legend) for way, legend in (
            ('', 'all'), ('read_', 'read'), ('write_', 'write'))], unit)


def of_many(kind: str, where: str, legend: str, what: Sequence[tuple[str, str, str]] = PERFORMANCE,
            link: Link | None = None) -> Iterator[Panel]:
    """Performance of several, a line for each."""
    for title, unit, metric in what:
        yield Panel('timeseries', title, [Query(f'delfin_{kind}_{metric}{where}', legend)], unit, link=link)


def number(title: str, expression: str, unit: str = 'short', steps: Sequence[tuple[float, str]] = (),
           description: str = '') -> Panel:
    """One number."""
    return Panel('stat', title, [Query(expression)], unit, 4, 4, description, steps)


def highest(number: str, metric: str) -> str:
    """Those with the highest mean of the time shown: `@ end()` makes them the same ones at each moment of it."""
    return f'{metric} and topk({number}, avg_over_time({metric}[$__range] @ end()))'


def top(title: str, expression: str, legend: str, unit: str, link: Link, width: int = 8,
        steps: Sequence[tuple[float, str]] = (), most: float | None = None) -> Panel:
    """Bars of some, the longest first."""
    return Panel('bargauge', title, [Query(f'sort_desc({expression})', legend)], unit, width, 9, steps=steps, most=most,
                 link=link)


# --- fleet ---

_ARRAYS: Final = Panel('table', 'Arrays', [
    Query('max by (storage_id, storage_name, vendor, model, firmware_version, site) (delfin_storage_info)'),
    Query('max by (storage_id, storage_name) (delfin_storage_reachable)'),
    Query('max by (storage_id, storage_name) (time() - delfin_storage_last_sync_timestamp_seconds)'),
    Query('max by (storage_id, storage_name) (delfin_storage_capacity_bytes)'),
    Query(f'max by (storage_id, storage_name) ({queries.used_ratio("storage")})'),
    Query('sum by (storage_id, storage_name) (delfin_alerts{severity=~"Fatal|Critical|Major"})'),
    Query('max by (storage_id, storage_name) (delfin_storage_failed_kinds)'),
], width=24, height=10, columns=[
    Column('storage_name', 'Array', link=TO_ARRAY),
    Column('vendor', 'Vendor'), Column('model', 'Model'), Column('firmware_version', 'Firmware'),
    Column('site', 'Site'),
    Column('B', 'Reachable', 'bool_yes_no', steps=ALL),
    Column('C', 'Since sync', 's'),
    Column('D', 'Capacity', 'bytes'),
    Column('E', 'Used', 'percentunit', steps=USED),
    Column('F', 'Alerts, Major and worse', steps=ANY),
    Column('G', 'Kinds that failed', steps=ANY),
    Column('storage_id'), Column('A'),
])

_FLEET: Final = (
    Row('Health'),
    number('Arrays', 'count(delfin_storage_info)'),
    number('Reachable', 'avg(delfin_storage_reachable)', 'percentunit', ALL),
    number('Not reachable', 'count(delfin_storage_reachable) - sum(delfin_storage_reachable)', steps=ANY),
    number('In quarantine', 'sum(delfin_storage_quarantined)', steps=ANY,
           description='Calls to them pause, since earlier ones never returned.'),
    number('In maintenance', 'sum(delfin_storage_maintenance)'),
    number('Alerts, Critical and worse', 'sum(delfin_alerts{severity=~"Fatal|Critical"})', steps=ANY),
    _ARRAYS,
    Row('Capacity'),
    number('Capacity', 'sum(delfin_storage_capacity_bytes)', 'bytes'),
    number('Used', 'sum(delfin_storage_used_bytes)', 'bytes'),
    number('Used of it', 'sum(delfin_storage_used_bytes) / sum(delfin_storage_capacity_bytes)', 'percentunit', USED),
    number('Free', 'sum(delfin_storage_free_bytes)', 'bytes'),
    number('Raw', 'sum(delfin_storage_raw_capacity_bytes)', 'bytes', description='Of all disks.'),
    number('More each day', f'sum({queries.growth("storage")}) * 86400', 'bytes', description='By the last week.'),
    top('Arrays by used capacity', f'topk(15, {queries.used_ratio("storage")})', OF_STORAGE, 'percentunit', TO_ARRAY,
        steps=USED, most=1),
    top('Pools by used capacity', f'topk(15, {queries.used_ratio("storage_pool")})', OF_RESOURCE, 'percentunit',
        TO_POOL, steps=USED, most=1),
    Panel('table', 'Pools that are full soonest', [Query(f'bottomk(15, {queries.days_to_full("storage_pool")})')],
          height=9, columns=[
              Column('storage_name', 'Array', link=TO_ARRAY), Column('resource_name', 'Pool', link=TO_POOL),
              Column('A', 'Days', 'd', steps=DAYS),
              Column('storage_id'), Column('resource_id'), Column('job')]),
    Panel('timeseries', 'Capacity by array', [Query('delfin_storage_used_bytes', OF_STORAGE)], 'bytes', 24, 9,
          'Used, on top of each other.', stacked=True, link=TO_ARRAY),
    Row('Alerts and resources'),
    Panel('timeseries', 'Alerts by severity', [Query('sum by (severity) (delfin_alerts)', '{{severity}}')],
          stacked=True, description='Those that stand and are not muted.'),
    top('Arrays by alerts', 'topk(15, sum by (storage_id, storage_name) (delfin_alerts))', OF_STORAGE, 'short',
        TO_ARRAY),
    Panel('table', 'Resources by status', [Query('sum by (kind, status) (delfin_resources)')], height=9, columns=[
        Column('kind', 'Kind'), Column('status', 'Status'), Column('A', 'Number')]),
    Row('Freshness'),
    Panel('timeseries', 'Since the last complete sync', [
        Query('time() - delfin_storage_last_sync_timestamp_seconds', OF_STORAGE)], 's', link=TO_ARRAY),
    Panel('timeseries', 'Since the last complete answer', [
        Query('time() - delfin_storage_last_contact_timestamp_seconds', OF_STORAGE)], 's', link=TO_ARRAY),
    Panel('timeseries', 'Kinds of resources that the last sync failed for', [
        Query('delfin_storage_failed_kinds', OF_STORAGE)], link=TO_ARRAY),
    Row('Metrics'),
    Panel('timeseries', 'How late collections begin', [
        Query(queries.quantile(share, 'delfin_metrics_lateness_seconds'), f'{share:.0%} {{{{instance}}}}')
        for share in (0.5, 0.9, 0.99)], 's'),
    Panel('timeseries', 'How long collections take', [
        Query(queries.quantile(share, 'delfin_metrics_collection_seconds'), f'{share:.0%} {{{{instance}}}}')
        for share in (0.5, 0.9, 0.99)], 's'),
    Panel('timeseries', 'Collections', [Query(
        'sum by (state) (rate(delfin_metrics_collections_total[$__rate_interval]))', '{{state}}')], 'cps'),
    Panel('timeseries', 'Points', [
        Query('rate(delfin_metrics_points_total[$__rate_interval])', 'handed on by {{instance}}'),
        Query('rate(delfin_remote_write_refused_points_total[$__rate_interval])', 'refused, of {{instance}}')], 'cps'),
    Panel('timeseries', 'Waiting in exporters', [Query('delfin_exporter_waiting', '{{exporter}} {{stream}}')]),
    Panel('timeseries', 'Failures and losses of exporters', [
        Query('increase(delfin_exporter_failures_total[$__rate_interval])', 'failures of {{exporter}} {{stream}}'),
        Query('increase(delfin_exporter_dropped_total[$__rate_interval])', 'dropped by {{exporter}} {{stream}}')]),
    Row('Delfin itself'),
    Panel('timeseries', 'Nodes that answer', [Query('up{job="delfin"}', '{{instance}}')], most=1),
    Panel('timeseries', 'Age of the inventory', [Query('delfin_inventory_age_seconds', '{{instance}}')], 's'),
    Panel('timeseries', 'Syncs', [Query('sum by (state) (delfin_syncs)', '{{state}}')], stacked=True),
    Panel('timeseries', 'Memory', [Query('process_resident_memory_bytes{job="delfin"}', '{{instance}}')], 'bytes'),
    Panel('timeseries', 'Processors', [
        Query('rate(process_cpu_seconds_total{job="delfin"}[$__rate_interval])', '{{instance}}')]),
    Panel('timeseries', 'Calls of drivers that did not return', [
        Query('increase(delfin_driver_calls_abandoned_total[$__rate_interval])', '{{instance}}')]),
    Panel('timeseries', 'Series', [Query('delfin_series', '{{instance}}')]),
    Panel('timeseries', 'Time to make a scrape', [Query('delfin_scrape_seconds', '{{instance}}')], 's'),
)

# --- array ---

_ARRAY: Final = '{storage_id="$storage"}'
_CPU: Final = ('Processor', 'percentunit', 'cpu_usage_ratio')


def _array() -> Sequence[Panel | Row]:
    def since(what: str) -> str:
        return f'time() - delfin_storage_{what}_timestamp_seconds{_ARRAY}'

    return (
        Row('Health'),
        Panel('table', 'Array', [Query(f'delfin_storage_info{_ARRAY}')], width=24, height=4, columns=[
            Column('storage_name', 'Name'), Column('display_name', 'Shown as'), Column('vendor', 'Vendor'),
            Column('model', 'Model'), Column('serial_number', 'Serial number'),
            Column('firmware_version', 'Firmware'), Column('site', 'Site'), Column('location', 'Location'),
            *map(Column, ('A', 'storage_id', 'job', '__name__'))]),
        number('Reachable', f'delfin_storage_reachable{_ARRAY}', 'bool_yes_no', ALL),
        Panel('stat', 'Status', [Query(f'delfin_storage_status{_ARRAY}', '{{status}}')], 'none', 4, 4,
              'As the array says it.', shows='name'),
        number('Since the last sync', since('last_sync'), 's'),
        number('In quarantine', f'delfin_storage_quarantined{_ARRAY}', 'bool_yes_no', ANY),
        number('In maintenance', f'delfin_storage_maintenance{_ARRAY}', 'bool_yes_no'),
        number('Alerts, Critical and worse',
               'sum(delfin_alerts{storage_id="$storage", severity=~"Fatal|Critical"})', steps=ANY),
        Row('Capacity'),
        number('Used', queries.used_ratio('storage', _ARRAY), 'percentunit', USED),
        number('Days to full', queries.days_to_full('storage', _ARRAY), 'd', DAYS,
               'By the trend of the last week; nothing if it does not grow.'),
        Panel('timeseries', 'Capacity', [
            Query(f'delfin_storage_{name}_bytes{_ARRAY}', name.replace('_', ' '))
            for name in ('capacity', 'used', 'free', 'subscribed', 'raw_capacity')], 'bytes', 16),
        top('Pools', queries.used_ratio('storage_pool', _ARRAY), '{{resource_name}}', 'percentunit', TO_POOL, 12, USED,
            1),
        top('File systems', queries.used_ratio('filesystem', _ARRAY), '{{resource_name}}', 'percentunit', TO_ARRAY, 12,
            USED, 1),
        Row('Performance'),
        *of_one('storage', _ARRAY),
        Row('Controllers'),
        *of_many('controller', _ARRAY, '{{resource_name}}', (_CPU, *PERFORMANCE)),
        Row('Disks'),
        *(Panel('timeseries', f'{title}, the ten highest', [
            Query(highest('10', f'delfin_disk_{metric}{_ARRAY}'), '{{resource_name}}')], unit)
          for title, unit, metric in PERFORMANCE[:3]),
        Row('Resources and alerts'),
        Panel('table', 'Resources by status', [Query(f'sum by (kind, status) (delfin_resources{_ARRAY})')], height=9,
              columns=[Column('kind', 'Kind'), Column('status', 'Status'), Column('A', 'Number')]),
        Panel('timeseries', 'Alerts by severity', [Query(f'sum by (severity) (delfin_alerts{_ARRAY})', '{{severity}}')],
              height=9, stacked=True),
        Panel('timeseries', 'Ports by connection', [
            Query(f'sum by (status) (delfin_port_connections{_ARRAY})', '{{status}}')], height=9, stacked=True),
        Row('Freshness'),
        Panel('timeseries', 'Since the last sync and answer', [
            Query(since('last_sync'), 'sync'), Query(since('last_contact'), 'answer'),
            Query(f'delfin_storage_sync_interval_seconds{_ARRAY}', 'interval')], 's', 12),
        Panel('timeseries', 'Kinds of resources that the last sync failed for', [
            Query(f'delfin_storage_failed_kinds{_ARRAY}', 'kinds')], width=12),
    )


# --- pool ---

_POOL: Final = '{storage_id=~"$storage", resource_id=~"$pool"}'


def _pool() -> Sequence[Panel | Row]:
    return (
        Row('Capacity'),
        number('Capacity', f'sum(delfin_storage_pool_capacity_bytes{_POOL})', 'bytes'),
        number('Used', f'sum(delfin_storage_pool_used_bytes{_POOL})', 'bytes'),
        number('Free', f'sum(delfin_storage_pool_free_bytes{_POOL})', 'bytes'),
        number('Provisioned', f'sum(delfin_storage_pool_subscribed_bytes{_POOL}) '
               f'/ sum(delfin_storage_pool_capacity_bytes{_POOL})', 'percentunit',
               description='More than 100 %: more is promised than there is.'),
        number('More each day', f'sum({queries.growth("storage_pool", _POOL)}) * 86400', 'bytes',
               description='By the trend of the last week.'),
        number('Days to full, the first', f'min({queries.days_to_full("storage_pool", _POOL)})', 'd', DAYS,
               'By the trend of the last week; nothing if none grows.'),
        Panel('table', 'Pools', [
            Query(f'max by (storage_id, storage_name, resource_id, resource_name) ({expression})') for expression in (
                f'delfin_storage_pool_capacity_bytes{_POOL}', f'delfin_storage_pool_free_bytes{_POOL}',
                queries.used_ratio('storage_pool', _POOL), f'{queries.growth("storage_pool", _POOL)} * 86400',
                queries.days_to_full('storage_pool', _POOL))], width=24, height=9, columns=[
                Column('storage_name', 'Array', link=TO_ARRAY), Column('resource_name', 'Pool', link=TO_POOL),
                Column('resource_id', 'Id'), Column('A', 'Capacity', 'bytes'), Column('B', 'Free', 'bytes'),
                Column('C', 'Used', 'percentunit', steps=USED), Column('D', 'More each day', 'bytes'),
                Column('E', 'Days to full', 'd', steps=DAYS), Column('storage_id')]),
        Panel('timeseries', 'Used of capacity', [Query(queries.used_ratio('storage_pool', _POOL), OF_RESOURCE)],
              'percentunit', 12, 9, steps=USED[1:], most=1),
        Panel('timeseries', 'Used, and where the trend leads in 30 days', [
            Query(f'delfin_storage_pool_used_bytes{_POOL}', OF_RESOURCE),
            Query(f'predict_linear(delfin_storage_pool_used_bytes{_POOL}[7d:1h], 30 * 86400)',
                  f'{OF_RESOURCE} in 30 days')], 'bytes', 12, 9),
        Row('Performance'),
        *of_many('storage_pool', _POOL, OF_RESOURCE),
    )


# --- volume ---

_VOLUMES: Final = '{storage_id=~"$storage"}'
_VOLUME: Final = '{storage_id=~"$storage", resource_id="$volume"}'


def _volume() -> Iterator[Panel | Row]:
    yield Row('The first $top by the mean of the time shown')
    for title, unit, metric in PERFORMANCE[:3]:
        name = f'delfin_volume_{metric}{_VOLUMES}'
        yield top(title, f'topk($top, avg_over_time({name}[$__range]))', OF_RESOURCE, unit, TO_VOLUME)
    for title, unit, metric in PERFORMANCE[:3]:
        yield Panel('timeseries', title, [Query(highest('$top', f'delfin_volume_{metric}{_VOLUMES}'), OF_RESOURCE)],
                    unit, link=TO_VOLUME)
    yield Row('Volume $volume')
    yield from of_one('volume', _VOLUME)


# --- port ---

_PORTS: Final = '{storage_id=~"$storage"}'
_PORT: Final = '{storage_id=~"$storage", resource_id=~"$port"}'


def _port() -> Sequence[Panel | Row]:
    return (
        Row('Connections'),
        Panel('timeseries', 'Ports by connection', [
            Query(f'sum by (status) (delfin_port_connections{_PORTS})', '{{status}}')], stacked=True),
        Panel('table', 'By array', [Query(
            f'sum by (storage_id, storage_name, status) (delfin_port_connections{_PORTS})')], columns=[
                Column('storage_name', 'Array', link=TO_ARRAY), Column('status', 'Connection'), Column('A', 'Ports'),
                Column('storage_id')]),
        Panel('timeseries', 'Ports by health', [
            Query('sum by (status) (delfin_resources{kind="port", storage_id=~"$storage"})', '{{status}}')],
            stacked=True),
        Row('The busiest'),
        top('Throughput', f'topk(15, avg_over_time(delfin_port_throughput_bytes_per_second{_PORTS}[$__range]))',
            OF_RESOURCE, 'binBps', TO_ARRAY, 12),
        top('Operations', f'topk(15, avg_over_time(delfin_port_iops{_PORTS}[$__range]))', OF_RESOURCE, 'iops',
            TO_ARRAY, 12),
        Row('Ports'),
        Panel('timeseries', 'Read', [
            Query(f'delfin_port_read_throughput_bytes_per_second{_PORT}', OF_RESOURCE)], 'binBps', 12),
        Panel('timeseries', 'Write', [
            Query(f'delfin_port_write_throughput_bytes_per_second{_PORT}', OF_RESOURCE)], 'binBps', 12),
        *of_many('port', _PORT, OF_RESOURCE, PERFORMANCE[:3]),
    )


# --- all of them ---

def _storage(several: bool) -> Variable:
    return Variable('storage', 'Array', 'max by (storage_id, storage_name) (delfin_storage_info)', 'storage_id',
                    'storage_name', several)


def _resource(name: str, title: str, metric: str, several: bool = True) -> Variable:
    return Variable(name, title, f'max by (resource_id, resource_name) ({metric}{_VOLUMES})', 'resource_id',
                    'resource_name', several)


DASHBOARDS: Final = (
    Dashboard('delfin-fleet', 'Delfin: fleet', 'All arrays: health, capacity, alerts, freshness; and Delfin itself.',
              (), _FLEET),
    Dashboard('delfin-array', 'Delfin: array', 'One array: health, capacity, performance, resources.',
              (_storage(several=False),), _array()),
    Dashboard('delfin-pool', 'Delfin: pools', 'Capacity, trend and performance of pools.', (
        _storage(several=True), _resource('pool', 'Pool', 'delfin_storage_pool_capacity_bytes')), _pool(),
        hours=7 * 24),
    Dashboard('delfin-volume', 'Delfin: volumes', 'The busiest and the slowest volumes, and one of them.', (
        _storage(several=True), Choice('top', 'How many', ('5', '10', '20', '50')),
        _resource('volume', 'Volume', 'delfin_volume_iops', several=False)), tuple(_volume()), hours=3),
    Dashboard('delfin-port', 'Delfin: ports', 'Connections and traffic of ports.', (
        _storage(several=True), _resource('port', 'Port', 'delfin_port_throughput_bytes_per_second')), _port(),
        hours=6),
)
