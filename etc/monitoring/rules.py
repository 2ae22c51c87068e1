# SPDX-License-Identifier: Apache-2.0
"""The recording and alerting rules, as tables.

An alert is divided into what it looks at (`value`, which has a result whether all is well or not) and the `condition`:
so tests can ask a Prometheus whether the first is there at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from etc.monitoring import queries

GUIDE: Final = 'docs/metrics-in-prometheus.md'
WARNING: Final = 'warning'
CRITICAL: Final = 'critical'


@dataclass(frozen=True, slots=True)
class Record:
    """A recording rule."""

    name: str
    expression: str


@dataclass(frozen=True, slots=True)
class Alert:
    """An alerting rule. `summary` and `action` are templates of Prometheus; `when` and `action` stand in the guide."""

    name: str
    severity: str
    value: str
    condition: str
    wait: str       # how long the condition must hold
    when: str
    summary: str
    action: str

    @property
    def expression(self) -> str:
        """What Prometheus evaluates."""
        return f'{self.value} {self.condition}'


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after the other, with their place in the guide."""

    name: str
    anchor: str
    rules: Sequence[Record | Alert]

    def alerts(self) -> Iterator[Alert]:
        """Those of the rules that are alerts."""
        return (rule for rule in self.rules if isinstance(rule, Alert))


_STORAGE = '{{ $labels.storage_name }}'
_RESOURCE = '{{ or $labels.resource_name $labels.resource_id }}'
_NODE = '{{ $labels.instance }}'
_EXPORTER = '{{ $labels.exporter }} ({{ $labels.stream }}) on {{ $labels.instance }}'
_NOT_IN_MAINTENANCE = 'unless on (storage_id) delfin_storage_maintenance == 1'

# --- capacity ---

_OF_CAPACITY = (
    # kind in names of metrics, in names of alerts, in sentences
    ('storage', 'Storage', _STORAGE),
    ('storage_pool', 'Pool', f'{_STORAGE}: pool {_RESOURCE}'),
    ('filesystem', 'Filesystem', f'{_STORAGE}: file system {_RESOURCE}'),
)


def _capacity() -> Iterator[Record | Alert]:
    for kind, _, _ in _OF_CAPACITY:
        yield Record(f'delfin:{kind}_used:ratio', queries.used_ratio(kind))
    for kind, name, what in _OF_CAPACITY:
        for severity, limit in ((WARNING, 80), (CRITICAL, 90)):
            yield Alert(
                f'Delfin{name}UsedCapacity', severity, f'delfin:{kind}_used:ratio', f'> {limit / 100:g}', '30m',
                f'more than {limit} % are used', what + ' is {{ $value | humanizePercentage }} full',
                'Delete or move data, or add capacity. The dashboard of pools shows what grows.')


def _days() -> Iterator[Record | Alert]:
    for kind, _, _ in _OF_CAPACITY:
        yield Record(f'delfin:{kind}_full:days', queries.days_to_full(kind))
    for kind, name, what in _OF_CAPACITY:
        for severity, limit in ((WARNING, 30), (CRITICAL, 7)):
            yield Alert(
                f'Delfin{name}DaysToFull', severity, f'delfin:{kind}_full:days',
                f'< {limit} and delfin_{kind}_used_bytes offset 1d', '1h',
                f'full in less than {limit} days, by the trend of the last week; needs a day of history',
                what + ' will be full in {{ $value | printf "%.1f" }} days',
                'Order or free capacity in time. If a single large copy explains the growth, the trend ends by itself.')


# --- performance ---

def _latency() -> Iterator[Alert]:
    for kind, name, what in (('storage_pool', 'Pool', 'pool'), ('volume', 'Volume', 'volume')):
        for severity, limit in ((WARNING, 0.02), (CRITICAL, 0.05)):
            yield Alert(
                f'Delfin{name}Latency', severity, f'avg_over_time(delfin_{kind}_response_time_seconds[10m])',
                f'> {limit:g} and avg_over_time(delfin_{kind}_iops[10m]) > 10', '10m',
                f'more than {limit * 1000:g} ms in the mean of ten minutes, with more than 10 operations a second',
                f'{_STORAGE}: an operation of {what} {_RESOURCE} takes ' '{{ $value | humanizeDuration }}',
                'Compare with its neighbours and with controllers: one alone is a busy or misplaced workload, all '
                'together are the array. Look for alerts of the array, failed disks and rebuilds.')


# --- arrays ---

_ARRAYS = (
    Record('delfin:storage_measured:series', 'count by (storage_id, storage_name) '
           '({__name__=~"delfin_[a-z_]+_(iops|throughput_bytes_per_second)", storage_id!=""})'),
    Alert('DelfinStorageUnreachable', CRITICAL, 'delfin_storage_reachable', f'== 0 {_NOT_IN_MAINTENANCE}', '5m',
          'the last sync got no answer', f'{_STORAGE} does not answer',
          'Is the array up, and its management address to be reached from the node? Have account or certificate '
          'changed? The error stands in /v1/storages/{id}/syncs.'),
    Alert('DelfinStorageStatus', CRITICAL, 'delfin_storage_status',
          'and delfin_storage_status{status=~"abnormal|degraded|offline"}', '5m',
          'the array says that it is abnormal, degraded or offline',
          f'{_STORAGE} says that it is ' '{{ $labels.status }}',
          'See its alerts and the status of its resources on the dashboard of arrays; its own management tells more.'),
    Alert('DelfinStorageQuarantined', WARNING, 'delfin_storage_quarantined', '== 1', '5m',
          'calls pause because earlier ones never returned', f'{_STORAGE} is quarantined: calls to it do not return',
          'Restart the management service of the array if it hangs. Delfin tries again by itself; new access '
          'information ends the pause at once.'),
    Alert('DelfinStorageSyncStale', WARNING,
          '(time() - delfin_storage_last_sync_timestamp_seconds) / (delfin_storage_sync_interval_seconds > 0)',
          f'> 2.5 {_NOT_IN_MAINTENANCE}', '10m',
          'the last complete sync is older than two and a half intervals (if there is an interval)',
          f'{_STORAGE} was last synced ' '{{ $value | printf "%.1f" }} intervals ago',
          'What Delfin shows of it is old. See the state of its syncs in /v1/storages/{id}/syncs, and whether a node '
          'owns it in /v1/nodes.'),
    Alert('DelfinStorageNeverSynced', WARNING, 'delfin_storage_maintenance',
          '== 0 unless on (storage_id) delfin_storage_last_sync_timestamp_seconds', '1h',
          'no sync was ever complete', f'{_STORAGE} was never synced completely',
          'See the errors in /v1/storages/{id}/syncs; correct its access information.'),
    Alert('DelfinStorageSyncIncomplete', WARNING, 'delfin_storage_failed_kinds', f'> 0 {_NOT_IN_MAINTENANCE}', '2h',
          'kinds of resources fail again and again',
          f'{_STORAGE}: syncs fail for ' '{{ $value }} kinds of resources',
          'failed_kinds of the storage names them, /v1/storages/{id}/syncs says why: mostly rights of the account, or '
          'firmware that the driver does not know.'),
    Alert('DelfinMetricsMissing', WARNING, 'last_over_time(delfin:storage_measured:series[1d])',
          'unless on (storage_id) delfin:storage_measured:series '
          'and on (storage_id) delfin_storage_maintenance == 0', '15m',
          'there were metrics in the last day and are none now', f'{_STORAGE} gives no metrics any more',
          'See error and state in /v1/storages/{id}/metrics-status. If collection was switched off on purpose this '
          'ends after a day.'),
)

# --- Delfin itself ---

_DELFIN = (
    Alert('DelfinDown', CRITICAL, 'up{job="delfin"}', '== 0', '5m', 'Prometheus cannot scrape a node',
          f'Delfin on {_NODE} cannot be scraped',
          'Is its task service running (systemctl status, delfin-manage doctor)? Its arrays go to other nodes, if '
          'there are any.'),
    Alert('DelfinInventoryStale', WARNING, 'delfin_inventory_age_seconds', '> 300', '5m',
          'inventory and health were last read from the database five minutes ago',
          f'{_NODE} cannot read the database: its inventory is ' '{{ $value | humanizeDuration }} old',
          'Is the database up? After ten minutes the node shows no inventory any more.'),
    Alert('DelfinMetricsLate', WARNING, queries.quantile(0.9, 'delfin_metrics_lateness_seconds'), '> 60', '15m',
          'a tenth of the collections begins more than a minute late',
          f'{_NODE} asks arrays for metrics ' '{{ $value | humanizeDuration }} late',
          'The node has too much to do or waits for slow arrays: see how long collections take, add a node or '
          'collect less often.'),
    Alert('DelfinExporterFailing', WARNING, 'increase(delfin_exporter_failures_total[10m])', '> 0', '15m',
          'deliveries fail again and again', f'Exporter {_EXPORTER} cannot deliver',
          'error in /v1/exporters says what the receiver answers. Nothing is lost until the queue is full.'),
    Alert('DelfinExporterDropping', CRITICAL, 'increase(delfin_exporter_dropped_total[1h])', '> 0', '0m',
          'something was dropped in the last hour',
          f'Exporter {_EXPORTER} has dropped ' '{{ $value | printf "%.0f" }}',
          'The queue was full, or the receiver refuses what it is sent: mend the receiver; export_queue_max gives '
          'outages more room.'),
    Alert('DelfinRemoteWriteRefused', WARNING, 'increase(delfin_remote_write_refused_points_total[1h])', '> 0', '15m',
          'the receiver of remote write has refused points',
          f'Remote write of {_NODE} lost ' '{{ $value | printf "%.0f" }} points',
          'The log says why. Late points need storage.tsdb.out_of_order_time_window.'),
)

GROUPS: Final = (
    Group('delfin-capacity', 'capacity-alerts', tuple(_capacity())),
    Group('delfin-growth', 'growth-alerts', tuple(_days())),
    Group('delfin-latency', 'latency-alerts', tuple(_latency())),
    Group('delfin-arrays', 'array-alerts', _ARRAYS),
    Group('delfin-itself', 'delfin-alerts', _DELFIN),
)


# --- as text ---

def written(groups: Sequence[Group]) -> str:
    """The rule file."""
    lines = ['# SPDX-License-Identifier: Apache-2.0',
             f'# Rules for Prometheus, made by etc/monitoring; {GUIDE} says what to do.', 'groups:']
    for group in groups:
        lines += [f'  - name: {group.name}', '    rules:']
        for rule in group.rules:
            lines += _of_record(rule) if isinstance(rule, Record) else _of_alert(rule, group)
    return '\n'.join(lines) + '\n'


def _of_record(rule: Record) -> list[str]:
    return [f'      - record: {rule.name}', '        expr: >-', f'          {rule.expression}']


def _of_alert(rule: Alert, group: Group) -> list[str]:
    annotations = {'summary': rule.summary, 'description': rule.action, 'runbook': f'{GUIDE}#{group.anchor}'}
    return [f'      - alert: {rule.name}', '        expr: >-', f'          {rule.value}', f'          {rule.condition}',
            f'        for: {rule.wait}', '        labels:', f'          severity: {rule.severity}',
            '        annotations:',
            *(f'          {name}: {json.dumps(text)}' for name, text in annotations.items())]


def table(group: Group) -> str:
    """The alerts of a group for the guide, what they share said once."""
    lines = ['| Alert | Severity | Fires when | What to do |', '|---|---|---|---|']
    actions: set[str] = set()
    for alert in group.alerts():
        action = '″' if alert.action in actions else alert.action
        actions.add(alert.action)
        lines.append(f'| `{alert.name}` | {alert.severity} | {alert.when}, for {alert.wait} | {action} |'.replace(
            ', for 0m', ''))
    return '\n'.join(lines) + '\n'
