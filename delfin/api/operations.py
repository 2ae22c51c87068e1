# SPDX-License-Identifier: Apache-2.0
"""Every call of the API: path, method, what it does, what it takes and answers. Routing and OpenAPI read this table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import webob

from delfin.api import schemas_of
from delfin.api.schemas import alerts as alert_bodies
from delfin.api.schemas import metrics as metric_bodies
from delfin.api.schemas import snmp as snmp_bodies
from delfin.api.schemas import storages as bodies
from delfin.api.v1 import alerts, resources, snmp, storages
from delfin.api.v1.collection import CollectionController
from delfin.api.v1.discovery import DiscoveryController, NodeController
from delfin.api.v1.metrics import MetricController
from delfin.api.v1.search import SearchController
from delfin.db.alerts import SHOWN as ALERT_SHOWN
from delfin.kinds import KINDS, Kind

Action = Callable[..., webob.Response]
Schema = dict[str, Any]

# What every call may answer besides its own errors.
COMMON_ERRORS = (400, 500, 503)


@dataclass(frozen=True)
class Operation:
    """One method of one path. The first line of the action's doc string is its summary.

    `listed` names the component whose rows a list holds, `answer` the schema of another body (None: no body).
    """

    method: str
    path: str                       # below the root, with {names}
    action: Action
    tag: str
    status: int = 200
    answer: Schema | None = None
    listed: str | None = None
    envelope: str = ''
    parameters: tuple[Schema, ...] = ()
    body: Schema | None = None
    body_optional: bool = False
    errors: tuple[int, ...] = ()

    @property
    def summary(self) -> str:
        """One line."""
        return (self.action.__doc__ or '').strip().splitlines()[0]


def ref(component: str) -> Schema:
    """A reference to a component of the OpenAPI document."""
    return {'$ref': f'#/components/schemas/{component}'}


def rows(envelope: str, component: str) -> Schema:
    """All of something, in an envelope."""
    return {'type': 'object', 'properties': {envelope: {'type': 'array', 'items': ref(component)}},
            'required': [envelope]}


_DEVICE_ERRORS = (404, 409, 413, 415, 501, 502, 504)
_ASKING_ERRORS = (404, 501, 502, 504)       # of calls without a body
_NOTHING = {'type': ['null', 'object'], 'maxProperties': 0}
_DRY_RUN = schemas_of.parameter('dry_run', {'type': 'boolean'}, 'test the connection and store nothing')


def operations() -> list[Operation]:
    """All calls. Fixed words stand before ids that could be the same."""
    found: list[Operation] = []
    discovery, search = DiscoveryController(), SearchController()
    storage, access = storages.StorageController(), storages.AccessInfoController()
    drivers, nodes = storages.DriverController(), NodeController()
    anything = {'type': 'object'}
    storage_rows = schemas_of.list_parameters(storages.COLUMNS, storages.SHOWN)
    found += [
        Operation('GET', '/', discovery.versions, 'service', answer=anything),
        Operation('GET', '/v1', discovery.version, 'service', answer=anything),
        Operation('GET', '/v1/openapi.json', discovery.openapi, 'service', answer=anything),
        Operation('GET', '/v1/docs', discovery.docs, 'service', answer={'type': 'string'}),
        Operation('GET', '/v1/search', search.index, 'service', answer=ref('SearchResult'),
                  parameters=schemas_of.SEARCH_PARAMETERS),
        Operation('GET', '/v1/nodes', nodes.index, 'service', answer=rows('nodes', 'Node')),
        Operation('GET', '/v1/drivers', drivers.index, 'drivers', answer=rows('drivers', 'Driver')),
        Operation('GET', '/v1/drivers/{vendor}/{model}', drivers.show, 'drivers', answer=ref('Driver'), errors=(404,)),
        Operation('GET', '/v1/storages', storage.index, 'storages', listed='Storage', envelope='storages',
                  parameters=storage_rows, errors=(404,)),
        Operation('POST', '/v1/storages', storage.create, 'storages', 201, ref('Storage'), parameters=(_DRY_RUN,),
                  body=bodies.REGISTER, errors=_DEVICE_ERRORS),
        Operation('POST', '/v1/storages/sync', storage.sync_all, 'storages', 202, body=_NOTHING, body_optional=True,
                  errors=(413,)),
        *_snmp_configs('/v1/storages/snmp-configs'),
        Operation('GET', '/v1/storages/{id}', storage.show, 'storages', answer=ref('Storage'), errors=(404,)),
        Operation('PUT', '/v1/storages/{id}', storage.update, 'storages', answer=ref('Storage'), body=bodies.LABELS,
                  errors=(404, 413, 415)),
        Operation('DELETE', '/v1/storages/{id}', storage.delete, 'storages', 202, errors=(404, 413)),
        Operation('POST', '/v1/storages/{id}/sync', storage.sync, 'storages', 202, ref('SyncRequested'),
                  body=bodies.SYNC, body_optional=True, errors=(404, 409, 413, 415)),
        Operation('GET', '/v1/storages/{id}/syncs', storage.syncs, 'storages', answer=rows('syncs', 'SyncRun'),
                  parameters=schemas_of.PAGE_PARAMETERS, errors=(404,)),
        Operation('GET', '/v1/storages/{id}/syncs/latest', storage.latest_sync, 'storages', answer=ref('SyncRun'),
                  errors=(404,)),
        Operation('GET', '/v1/storages/{id}/capabilities', storage.capabilities, 'storages', 
                  answer=ref('Capabilities'), errors=(404, 501, 502, 504)),
        Operation('GET', '/v1/access-infos', access.index, 'access information',
                  answer=rows('access_infos', 'AccessInfo')),
        Operation('GET', '/v1/storages/{id}/access-info', access.show, 'access information',
                  answer=ref('AccessInfo'), errors=(404,)),
        Operation('PUT', '/v1/storages/{id}/access-info', access.update, 'access information',
                  answer=ref('AccessInfo'), body=bodies.ACCESS_UPDATE_OR_NULL, errors=_DEVICE_ERRORS),
    ]
    found += _metrics()
    found += _alerts()
    found += _snmp()
    for kind in KINDS:
        found += _of_kind(kind)
    return found


def _metrics() -> list[Operation]:
    tag = 'metrics'
    collection, metric = CollectionController(), MetricController()
    path = '/v1/storages/{id}/metrics-config'
    return [
        Operation('GET', '/v1/storages/{id}/metrics', metric.index, tag, answer=ref('Metrics'),
                  parameters=schemas_of.METRIC_PARAMETERS, errors=(404, 501, 504)),
        Operation('GET', '/v1/storages/{id}/capacity-history', metric.capacity, tag,
                  answer=rows('capacity_history', 'CapacityHistory'), parameters=schemas_of.CAPACITY_PARAMETERS,
                  errors=(404,)),
        Operation('GET', path, collection.show, tag, answer=ref('MetricsConfig'), errors=(404,)),
        Operation('PUT', path, collection.update, tag, answer=ref('MetricsConfig'), body=metric_bodies.CONFIG,
                  errors=(404, 413, 415)),
        Operation('GET', '/v1/storages/{id}/metrics-status', collection.status, tag, answer=ref('MetricsStatus'),
                  errors=(404,)),
    ]


def _alerts() -> list[Operation]:
    tag = 'alerts'
    alert, live = alerts.AlertController(), alerts.StorageAlertController()
    parameters = schemas_of.list_parameters(alerts.COLUMNS, ALERT_SHOWN, shorthands=alerts.SHORTHANDS)
    filters = schemas_of.filter_parameters(alerts.COLUMNS, shorthands=alerts.SHORTHANDS)
    one = ref('AlertWithTrap')
    of_storage = '/v1/storages/{id}/alerts'
    return [
        Operation('GET', '/v1/alerts', alert.index, tag, listed='Alert', envelope='alerts', parameters=parameters,
                  errors=(404,)),
        Operation('GET', '/v1/alerts/summary', alert.summary, tag, answer=ref('AlertSummary'), parameters=filters),
        Operation('GET', '/v1/alerts/{id}', alert.show, tag, answer=one, errors=(404,)),
        Operation('POST', '/v1/alerts/{id}/acknowledge', alert.acknowledge, tag, answer=one,
                  body=alert_bodies.ACKNOWLEDGE, body_optional=True, errors=(404, 409, 413, 415)),
        Operation('DELETE', '/v1/alerts/{id}/acknowledge', alert.take_back, tag, answer=one, errors=(404, 413)),
        Operation('POST', '/v1/alerts/{id}/clear', alert.clear, tag, answer=one, body=alert_bodies.CLEAR,
                  body_optional=True, errors=_DEVICE_ERRORS),
        Operation('GET', of_storage, live.index, tag, answer=rows('alerts', 'LiveAlert'),
                  parameters=schemas_of.TIME_PARAMETERS, errors=_ASKING_ERRORS),
        Operation('POST', f'{of_storage}/sync', live.sync, tag, 202, body=alert_bodies.SYNC, body_optional=True,
                  errors=(404, 413, 415)),
        Operation('GET', f'{of_storage}/sync', live.last_sync, tag, answer=ref('AlertSync'), errors=(404,)),
        Operation('DELETE', f'{of_storage}/{{sequence_number}}', live.clear, tag, errors=(413, *_ASKING_ERRORS)),
    ]


def _snmp_configs(path: str) -> list[Operation]:
    return [Operation('GET', path, snmp.SnmpConfigController().index, 'SNMP',
                      answer=rows('snmp_configs', 'SnmpConfig'))]


def _snmp() -> list[Operation]:
    tag = 'SNMP'
    config, trap, exporter = snmp.SnmpConfigController(), snmp.TrapController(), snmp.ExporterController()
    found = _snmp_configs('/v1/snmp-configs')
    for path in ('/v1/storages/{id}/snmp-config', '/v1/storages/{id}/alert-source'):
        found += [
            Operation('GET', path, config.show, tag, answer=ref('SnmpConfig'), errors=(404,)),
            Operation('PUT', path, config.update, tag, answer=ref('SnmpConfig'), body=snmp_bodies.CONFIG_OR_EMPTY,
                      errors=(404, 413, 415)),
            Operation('DELETE', path, config.delete, tag, errors=(404, 413)),
        ]
    path = '/v1/storages/{id}/snmp-config'
    return [
        *found,
        Operation('DELETE', f'{path}/engine-id', config.forget_engine_id, tag, errors=(404, 413)),
        Operation('POST', f'{path}/push', config.push, tag, body=snmp_bodies.PUSH, body_optional=True,
                  errors=_DEVICE_ERRORS),
        Operation('DELETE', f'{path}/push', config.remove, tag, parameters=schemas_of.TRAP_TARGET_PARAMETERS,
                  errors=(413, *_ASKING_ERRORS)),
        Operation('GET', '/v1/traps/rejected', trap.rejected, tag, answer=rows('rejected_traps', 'RejectedTrap')),
        Operation('DELETE', '/v1/traps/rejected', trap.forget_rejected, tag, errors=(413,)),
        Operation('GET', '/v1/traps/failed', trap.failed, tag, answer=rows('failed_traps', 'FailedTrap'),
                  parameters=schemas_of.PAGE_PARAMETERS),
        Operation('DELETE', '/v1/traps/failed/{id}', trap.delete_failed, tag, errors=(404, 413)),
        Operation('GET', '/v1/exporters', exporter.index, tag, answer=rows('exporters', 'Exporter')),
    ]


def _of_kind(kind: Kind) -> list[Operation]:
    controller = resources.ResourceController(kind)
    prefix = '/v1/storages/{storage_id}/' if kind.nested else '/v1/'
    component = schemas_of.component_name(kind)
    parameters = schemas_of.list_parameters(resources.columns(kind), resources.shown(kind), kind.filter_aliases,
                                            nested=kind.nested)
    found = []
    for name in (kind.path, *kind.aliases):
        found += [
            Operation('GET', prefix + name, controller.index, kind.name, listed=component, envelope=kind.name,
                      parameters=parameters, errors=(404,)),
            Operation('GET', f'{prefix}{name}/{{id}}', controller.show, kind.name, answer=ref(component),
                      errors=(404,)),
        ]
    return found
