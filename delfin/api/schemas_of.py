# SPDX-License-Identifier: Apache-2.0
"""JSON schemas of what the API answers, derived from the kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from delfin.alerts import ALERT_COLUMNS, STATES
from delfin.api import listing
from delfin.api.v1 import alerts as alert_views
from delfin.api.v1 import metrics as metric_views
from delfin.api.v1 import resources, snmp
from delfin.api.v1 import storages as storage_views
from delfin.db import alerts as stored_alerts
from delfin.db import capacity
from delfin.db.runs import COUNTS
from delfin.kinds import BIGINT_MAX, KINDS, STORAGE_COLUMNS, STORAGE_LABELS, Column, ColumnType, Kind
from delfin.metrics import KINDS_OF, METRICS, VENDOR_NAME

Schema = dict[str, Any]

_JSON_TYPES = {ColumnType.TEXT: 'string', ColumnType.INTEGER: 'integer', ColumnType.BOOLEAN: 'boolean'}
_TIME: Schema = {'type': 'string', 'format': 'date-time'}
_MAYBE_TIME: Schema = {'type': ['string', 'null'], 'format': 'date-time'}
_MAYBE_TEXT: Schema = {'type': ['string', 'null']}
_TEXTS: Schema = {'type': 'array', 'items': {'type': 'string'}}
_EXTRA: Schema = {'type': ['object', 'null'], 'description': "the vendor's own fields"}


def _column(column: Column) -> Schema:
    schema: Schema = {'type': [_JSON_TYPES[column.type], 'null']}
    notes = [column.help] if column.help else []
    if column.values:       # not as an enumeration: drivers may say something else, and it is kept
        notes.append(f'one of {", ".join(column.values)}, or what the array says')
    if column.refers_to:
        notes.append(f'native id of one of {column.refers_to}')
    if notes:
        schema['description'] = '; '.join(notes)
    return schema


def _object(properties: Mapping[str, Schema], required: bool = True, optional: Sequence[str] = ()) -> Schema:
    schema: Schema = {'type': 'object', 'properties': dict(properties)}
    if required:
        schema['required'] = [name for name in properties if name not in optional]
    return schema


def of_kind(kind: Kind) -> Schema:
    """One row of a kind."""
    fields: dict[str, Schema] = {
        'id': {'type': 'string'}, 'storage_id': {'type': 'string'}, 'created_at': _TIME, 'updated_at': _MAYBE_TIME,
        'last_seen_at': {**_MAYBE_TIME, 'description': 'when the array last listed it'}}
    fields |= {column.name: _column(column) for column in kind.table.columns}
    fields['extra'] = _EXTRA
    fields |= {members.shown_as: _TEXTS for members in kind.members}
    return _object({name: fields[name] for name in resources.shown(kind)})


def component_name(kind: Kind) -> str:
    """The name of a kind's schema."""
    return ''.join(word.capitalize() for word in kind.singular.split('_'))


def _storage() -> Schema:
    fields: dict[str, Schema] = {column.name: _column(column) for column in (*STORAGE_COLUMNS, *STORAGE_LABELS)}
    fields |= {
        'id': {'type': 'string'}, 'created_at': _TIME, 'updated_at': _MAYBE_TIME,
        'serial_number': {'type': 'string'}, 'note': _MAYBE_TEXT, 'tags': _TEXTS,
        'maintenance': {'type': 'boolean', 'description': 'the array is only asked when somebody asks'},
        'sync_interval_seconds': {'type': ['integer', 'null'], 'description': 'null: that of the installation'},
        'sync_status': {'enum': ['SYNCED', 'SYNCING', 'FAILED']},
        'failed_kinds': {**_TEXTS, 'description': 'what could not be fetched when it was asked for last'},
        'last_sync_at': {**_MAYBE_TIME, 'description': 'end of the last sync without a failure'},
        'last_contact_at': {**_MAYBE_TIME, 'description': 'when the array last answered'},
        'reachable': {'type': ['boolean', 'null'], 'description': 'whether it answered the last sync'},
        'quarantined_until': {**_MAYBE_TIME, 'description': 'calls pause because its driver hung'},
        'extra': _EXTRA, 'deleted_at': {'type': 'null'}, 'deleted': {'const': False},
    }
    return _object({name: fields[name] for name in storage_views.SHOWN})


STORAGE = _storage()

_COUNT: Schema = {'type': 'integer', 'minimum': 0}
_FINDINGS: Schema = {'type': 'array', 'items': _object({
    'code': {'type': 'string'}, 'column': _MAYBE_TEXT, 'count': _COUNT, 'example': _MAYBE_TEXT})}
_SYNC_KIND = _object({
    'kind': {'type': 'string'}, 'state': {'enum': ['pending', 'running', 'done', 'failed', 'unsupported']},
    **dict.fromkeys(COUNTS, _COUNT), 'seconds': {'type': ['number', 'null']},
    'findings': _FINDINGS, 'error': _MAYBE_TEXT})
_SECTION: Schema = {'type': 'object', 'description': 'without secrets; {} when never set'}


def _alert_fields() -> dict[str, Schema]:
    fields: dict[str, Schema] = {column.name: _column(column) for column in ALERT_COLUMNS}
    fields |= dict.fromkeys(('vendor', 'storage_name', 'model', 'serial_number', 'note'), _MAYBE_TEXT)
    fields |= {
        'id': {'type': 'string'}, 'storage_id': {'type': 'string'}, 'created_at': _TIME, 'updated_at': _MAYBE_TIME,
        'state': {'enum': list(STATES), 'description': 'open and acknowledged ones stand; an event has only happened; '
                                                       'recovery is one whose fault was not seen'},
        'count': {**_COUNT, 'description': 'how often it was told'},
        'first_seen_at': _TIME, 'last_seen_at': _TIME,
        'origin': {'enum': ['trap', 'list', 'delfin'], 'description': 'who said it first'},
        'muted': {'type': 'boolean', 'description': 'the storage is under maintenance: nobody is told'},
        'acknowledged_at': _MAYBE_TIME, 'cleared_at': _MAYBE_TIME,
        'cleared_by': {'enum': ['recovery', 'list', 'user', None]},
    }
    return fields


def _alert() -> dict[str, Schema]:
    fields = _alert_fields()
    return {name: fields[name] for name in stored_alerts.SHOWN}


def _live_alert() -> Schema:
    fields = _alert_fields()
    return _object({name: fields[name] for name in alert_views.LIVE_SHOWN})


def _snmp_config() -> Schema:
    number: Schema = {'type': ['integer', 'null']}
    fields: dict[str, Schema] = {
        'created_at': _TIME, 'updated_at': _MAYBE_TIME, 'storage_id': {'type': 'string'}, 'host': {'type': 'string'},
        'version': {'enum': ['SNMPv1', 'SNMPv2c', 'SNMPv3']},
        **dict.fromkeys(('username', 'security_level', 'auth_protocol', 'privacy_protocol', 'engine_id',
                         'context_name', 'probe_error'), _MAYBE_TEXT),
        **dict.fromkeys(('port', 'retry_num', 'expiration'), number),
        'engine_id_learned': {'type': 'boolean', 'description': 'it came from the device, not from a person'},
        'probe_state': {'enum': ['ok', 'failed', None], 'description': 'whether the SNMP agent answered last'},
        'probed_at': _MAYBE_TIME,
    }
    return _object({name: fields[name] for name in snmp.SHOWN})


COMPONENTS: dict[str, Schema] = {
    'Error': _object({'error_code': {'type': 'string'}, 'error_msg': {'type': 'string'},
                      'error_args': {'type': 'array'}, 'request_id': {'type': 'string'}}),
    'Storage': STORAGE,
    'AccessInfo': _object({
        'storage_id': {'type': 'string'}, 'created_at': _TIME, 'updated_at': _MAYBE_TIME, 'storage_name': _MAYBE_TEXT,
        'vendor': {'type': 'string'}, 'model': {'type': 'string'}, 'rest': _SECTION, 'ssh': _SECTION, 'cli': _SECTION,
        'smis': _SECTION, 'extra_attributes': {'type': 'object'}}),
    'SyncRequested': _object({'id': {'type': 'integer'}, 'storage_id': {'type': 'string'}}),
    'SyncRun': _object({
        'id': {'type': 'integer'}, 'storage_id': {'type': 'string'}, 'trigger': {'type': 'string'},
        'state': {'enum': ['pending', 'running', 'done', 'failed']}, 'force': {'type': 'boolean'},
        'node': _MAYBE_TEXT, 'created_at': _TIME, 'not_before': _TIME, 'started_at': _MAYBE_TIME,
        'finished_at': _MAYBE_TIME, 'kinds': {'type': 'array', 'items': _SYNC_KIND}}),
    'Driver': {**_object({
        'name': {'type': 'string'}, 'vendor': {'type': 'string'}, 'model': {'type': 'string'},
        'package': {'type': 'string'}, 'version': {'type': 'string'}, 'class': {'type': 'string'},
        'driver_api': _MAYBE_TEXT, 'description': _MAYBE_TEXT, 'status': {'enum': ['ok', 'error']},
        'error': _MAYBE_TEXT})},
    'Node': _object({
        'name': {'type': 'string'}, 'version': {'type': 'string'}, 'alive': {'type': 'boolean'},
        'storages': _COUNT, 'started_at': _TIME, 'heartbeat_at': _TIME, 'expires_at': _TIME}),
    'Alert': _object(_alert()),
    'AlertWithTrap': _object({**_alert(), 'trap': {
        'type': ['object', 'null'], 'description': 'the last trap as it came; null if none did'}}),
    'AlertSummary': _object({
        'total': _COUNT, 'by_state': {'type': 'object', 'additionalProperties': _COUNT},
        'by_severity': {'type': 'object', 'additionalProperties': _COUNT},
        'counts': {'type': 'array', 'items': _object({
            'state': {'enum': list(STATES)}, 'severity': {'type': 'string'}, 'count': _COUNT})}}),
    'LiveAlert': _live_alert(),
    'AlertSync': _object({
        'storage_id': {'type': 'string'},
        'pending': {'type': 'boolean', 'description': 'one is asked for, or under way'},
        'state': {'enum': ['done', 'failed', 'unsupported', None], 'description': 'of the last one; null: none yet'},
        'error': _MAYBE_TEXT, 'started_at': _MAYBE_TIME, 'finished_at': _MAYBE_TIME, 'findings': _FINDINGS}),
    'SnmpConfig': _snmp_config(),
    'RejectedTrap': _object({
        'address': {**_MAYBE_TEXT, 'description': 'null: all addresses for which there was no room'},
        'reason': {'type': 'string'}, 'count': _COUNT, 'first_at': _TIME, 'last_at': _TIME}),
    'FailedTrap': _object({
        'id': {'type': 'integer'}, 'created_at': _TIME, 'received_at': _TIME, 'source': {'type': 'string'},
        'storage_ids': {**_TEXTS, 'description': 'whose it may be'}, 'version': {'type': 'string'},
        'variables': {'type': 'object', 'additionalProperties': {'type': 'string'}, 'description': 'value by OID'},
        'error': {'type': 'string'}, 'node': _MAYBE_TEXT}),
    'Capabilities': _object({
        'metadata': _object({'vendor': _MAYBE_TEXT, 'model': _MAYBE_TEXT}),
        'spec': _object({
            'is_historic': {'type': 'boolean', 'description': 'the array keeps points that can be asked for later'},
            'performance_metric_retention_window': {**_COUNT, 'description': 'for how many seconds it keeps them'},
            'collect_interval': {**_COUNT, 'description': 'the interval that the driver advises, seconds'},
            'failed_job_collect_interval': {**_COUNT, 'description': 'the first pause after a failure, seconds'},
            'resource_metrics': {
                'type': 'object', 'description': 'by resource type, by metric',
                'additionalProperties': {'type': 'object', 'additionalProperties': _object({
                    'unit': {'type': 'string'}, 'description': {'type': 'string'}})}}},
            optional=('collect_interval', 'failed_job_collect_interval')),
        'findings': {**_FINDINGS, 'description': 'what of the words of the driver does not count'}}),
    'MetricsConfig': _object({
        'storage_id': {'type': 'string'}, 'enabled': {'type': ['boolean', 'null']},
        'interval_seconds': {'type': ['integer', 'null']}, 'selection': {'type': ['object', 'null']},
        'advised_interval_seconds': {'type': ['integer', 'null'], 'description': "by the driver's word"},
        'effective': _object({'enabled': {'type': 'boolean'}, 'interval_seconds': {'type': 'integer'}})}),
    'MetricsStatus': _object({
        'storage_id': {'type': 'string'},
        'state': {'enum': ['done', 'failed', 'unsupported', None], 'description': 'of the last collection'},
        'error': _MAYBE_TEXT, 'collected_at': _MAYBE_TIME, 'finished_at': _MAYBE_TIME, 'capabilities_at': _MAYBE_TIME,
        'skew_ms': {'type': ['integer', 'null'], 'description': "how far the array's newest sample is ahead of now"},
        'findings': _FINDINGS,
        'marks': {'type': 'array', 'items': _object({
            'resource_type': {'type': 'string'},
            'collected_until': {**_TIME, 'description': "by the array's clock"}, 'newest_at': _MAYBE_TIME,
            'points': _COUNT, 'unknown_resources': {**_COUNT, 'description': 'points of what is not in the inventory'},
            'failures': {**_COUNT, 'description': 'in a row'}, 'retry_at': _MAYBE_TIME, 'error': _MAYBE_TEXT})},
        'gaps': {'type': 'array', 'description': 'the newest first', 'items': _object({
            'resource_type': {'type': 'string'}, 'begin_at': _TIME, 'end_at': _TIME,
            'reason': {'enum': ['retention', 'not_historic']}, 'noted_at': _TIME})}}),
    'Metrics': _object({
        'metrics': {'type': 'array', 'items': _object({
            'resource_type': {'enum': list(KINDS_OF)},
            'resource_id': {'type': 'string', 'description': "the array's own id"}, 'resource_name': _MAYBE_TEXT,
            'metric': {'type': 'string'}, 'unit': _MAYBE_TEXT,
            'points': {'type': 'array', 'items': {
                'type': 'array', 'items': {'type': 'number'}, 'minItems': 2, 'maxItems': 2},
                'description': 'epoch ms (with a step that of the beginning) and value'}})},
        'step_seconds': {'type': ['integer', 'null']},
        'source': {'enum': ['history', 'prometheus'], 'description': 'what Delfin keeps itself, or prometheus_url'}}),
    'CapacityHistory': _object({
        'kind': {'enum': list(metric_views.CAPACITY_KINDS)},
        'native_id': {**_MAYBE_TEXT, 'description': 'of the pool; null for the storage'}, 'name': _MAYBE_TEXT,
        'days_to_full': {'type': ['number', 'null'], 'minimum': 0, 'description':
                         'by the trend of the last 30 days; null: it does not grow, or too few days are known'},
        'bytes_per_day': {'type': ['integer', 'null'], 'description': 'how fast it grows; null: too few days'},
        'points': {'type': 'array', 'items': _object({
            'day': {'type': 'string', 'format': 'date', 'description': 'in UTC; the values of its last sync'},
            **dict.fromkeys(capacity.VALUES, {'type': ['integer', 'null'], 'minimum': 0})})}}),
    'Exporter': _object({
        'stream': {'enum': ['alerts', 'metrics']},
        'name': {'type': 'string'}, 'node': {**_MAYBE_TEXT, 'description': 'which node runs it'},
        'expires_at': _MAYBE_TIME,
        'events': {'type': 'boolean', 'description': 'takes what is in the queue; otherwise it is told the state'},
        **dict.fromkeys(('waiting', 'delivered', 'dropped'), {
            **_COUNT, 'description': 'events of alerts, or points of metrics'}),
        'failures': _COUNT,
        'succeeded_at': _MAYBE_TIME, 'failed_at': _MAYBE_TIME, 'error': _MAYBE_TEXT}),
    'SearchResult': _object({'results': {'type': 'array', 'items': _object({
        'kind': {'type': 'string'}, 'id': {'type': 'string'}, 'storage_id': {'type': 'string'},
        'matched': {'type': 'string'}, 'value': _MAYBE_TEXT, 'resource': {'type': 'object'}})},
        'truncated': {'type': 'boolean'}}),
}


def components() -> dict[str, Schema]:
    """All component schemas."""
    return {**COMPONENTS, **{component_name(kind): of_kind(kind) for kind in KINDS}}


# --- parameters ---

def parameter(name: str, schema: Schema, description: str, **more: Any) -> Schema:
    """A query parameter."""
    return {'name': name, 'in': 'query', 'schema': schema, 'description': description, **more}


_NUMBER: Schema = {'type': 'integer', 'minimum': 0}
PAGE_PARAMETERS = (
    parameter('limit', {**_NUMBER, 'maximum': BIGINT_MAX}, 'most rows of the answer; larger values are cut'),
    parameter('offset', {**_NUMBER, 'maximum': listing.MAX_OFFSET}, 'rows to skip; a marker is faster'),
)
SEARCH_PARAMETERS = (
    parameter('q', {'type': 'string', 'minLength': 2, 'maxLength': 255,
                    'pattern': r'[^ \t\r\n\f\v][\s\S]*[^ \t\r\n\f\v]'},
              'WWN, IQN, serial number, name or native id, or the beginning of one', required=True),
    parameter('limit', {**_NUMBER, 'maximum': BIGINT_MAX}, 'most results'),
)


TRAP_TARGET_PARAMETERS = (
    parameter('host', {'type': 'string', 'minLength': 1, 'maxLength': 255, 'pattern': '^[A-Za-z0-9._:%-]+$'},
              'where traps were sent to; by default [alerts] trap_host'),
    parameter('port', {'type': 'integer', 'minimum': 1, 'maximum': 65535}, 'by default [alerts] trap_port'),
)
TIME_PARAMETERS = (
    parameter('begin_time', {**_NUMBER, 'maximum': BIGINT_MAX}, 'only alerts from then on, epoch ms'),
    parameter('end_time', {**_NUMBER, 'maximum': BIGINT_MAX},
              'only alerts until then, epoch ms; not before begin_time'),
)


_MOMENT: Schema = {'anyOf': [
    {'type': 'integer', 'minimum': 0, 'maximum': listing.LATEST_MS}, {'type': 'string', 'format': 'date-time'}]}
METRIC_PARAMETERS = (
    parameter('resource_type', {'enum': list(KINDS_OF)}, 'what it is measured of', required=True),
    parameter('metric', {'type': 'array', 'maxItems': metric_views.MOST_VALUES, 'items': {
        'type': 'string', 'pattern': f'^({"|".join(METRICS)}|{VENDOR_NAME.pattern})$'}},
        'a metric, several times for several; by default all', style='form', explode=True),
    parameter('resource_id', {'type': 'array', 'maxItems': metric_views.MOST_VALUES, 'items': {'type': 'string'}},
              "the array's own id of a resource, several times for several; by default all", style='form',
              explode=True),
    parameter('start', _MOMENT, 'points from then on; epoch ms or RFC 3339; by default an hour before the end'),
    parameter('end', _MOMENT, 'points before then; by default now'),
    parameter('step', {'type': 'integer', 'minimum': 1, 'maximum': metric_views.LONGEST_STEP_SECONDS},
              'seconds: means of so long, which begin at multiples of it; by default points as they were measured'),
)
CAPACITY_PARAMETERS = (
    parameter('kind', {'enum': list(metric_views.CAPACITY_KINDS)}, 'the storage, or its pools'),
    parameter('native_id', {'type': 'string'}, 'of a pool; by default all of them'),
    parameter('start', _MOMENT, 'from this day on; epoch ms or RFC 3339; by default 90 days before the end'),
    parameter('end', _MOMENT, 'until this day; by default today'),
)


def list_parameters(columns: Sequence[Column], fields: Sequence[str], aliases: Mapping[str, str] | None = None, *,
                    nested: bool = False, shorthands: Mapping[str, listing.Shorthand] | None = None
                    ) -> tuple[Schema, ...]:
    """The query parameters of a list: pages, order, fields, and filters by equality."""
    keys = listing.sort_keys(columns)
    found = [
        *PAGE_PARAMETERS,
        parameter('marker', {'type': 'string'}, 'next_marker of the last page, or the id of its last row'),
        _several('sort', {'pattern': f'^({"|".join(keys)})(:(asc|desc))?$'},
                 f'key, key:asc or key:desc, several with commas; keys are {", ".join(keys)}',
                 example=['created_at:desc']),
        parameter('sort_key', {'enum': list(keys)}, 'another way to say sort'),
        parameter('sort_dir', {'enum': ['asc', 'desc']}, 'the direction of sort_key'),
        _several('fields', {'enum': list(fields)}, f'fields to show, with commas, of {", ".join(fields)}'),
        parameter('total', {'type': 'boolean'}, 'count all rows as total_count'),
    ]
    return (*found, *filter_parameters(columns, aliases, nested=nested, shorthands=shorthands))


def filter_parameters(columns: Sequence[Column], aliases: Mapping[str, str] | None = None, *, nested: bool = False,
                      shorthands: Mapping[str, listing.Shorthand] | None = None) -> tuple[Schema, ...]:
    """Those of the filters by equality, and of the filters that have names of their own."""
    by_name = {column.name: column for column in columns}
    filters = {name: column for name, column in by_name.items() if column.indexed}
    filters |= {alias: filters[name] for alias, name in (aliases or {}).items()}
    found = [parameter(name, _filtered(column), 'equal to') for name, column in filters.items()
             if not (nested and name == 'storage_id')]
    found += [parameter(name, _filtered(by_name[short.columns[0]]), short.help)
              for name, short in (shorthands or {}).items()]
    return tuple(found)


def _filtered(column: Column) -> Schema:
    kind = _JSON_TYPES[column.type]
    return {**_NUMBER, 'maximum': BIGINT_MAX} if kind == 'integer' else {'type': kind}


def _several(name: str, item: Schema, description: str, **more: Any) -> Schema:
    """A query parameter whose values stand in one text, with commas."""
    schema = {'type': 'array', 'items': {'type': 'string', **item}, 'minItems': 1}
    return parameter(name, schema, description, style='form', explode=False, **more)
