# SPDX-License-Identifier: Apache-2.0
"""What can be wanted of the collection of metrics."""

from __future__ import annotations

from typing import Any

import fastjsonschema

from delfin.api.schemas.check import checked, integers
from delfin.metrics import KINDS_OF, METRICS, VENDOR_NAME

_INTERVAL = {'type': ['integer', 'null'], 'minimum': 5, 'maximum': 86400}

CONFIG: dict[str, Any] = {
    'type': 'object',
    'properties': {
        'enabled': {'type': ['boolean', 'null'], 'description': 'null: as the installation has it'},
        'interval_seconds': {**_INTERVAL, 'description': "pause between collections; null: the driver's advice, else "
                                                         'that of the installation'},
        'selection': {
            'type': ['object', 'null'],
            'propertyNames': {'enum': list(KINDS_OF)},
            'additionalProperties': {
                'type': ['array', 'null'], 'maxItems': 100,
                'items': {'type': 'string', 'pattern': f'^({"|".join(METRICS)}|{VENDOR_NAME.pattern})$',
                          'description': 'a metric; those of vendors begin with x_'}},
            'description': 'metrics by resource type, null in place of a list for all of it; null: everything'},
        'array_polling': {
            'type': 'object',
            'properties': {
                'perf_collection': {'type': 'boolean', 'description': 'same as enabled'},
                'interval': {**_INTERVAL, 'type': 'integer', 'description': 'same as interval_seconds'},
                'is_historic': {'type': 'boolean', 'description': "taken and ignored: the array's driver says it"},
            },
            'additionalProperties': False,
            'description': 'the form of older clients'},
    },
    'additionalProperties': False,
    'minProperties': 1,
}

_OLDER = {'perf_collection': 'enabled', 'interval': 'interval_seconds'}

_validate = fastjsonschema.compile(CONFIG)


def config(body: Any) -> dict[str, Any]:
    """The body of `PUT /v1/storages/{id}/metrics-config`, in whatever form: some of `delfin.db.metrics.SETTINGS`."""
    given = integers(checked(_validate, body))
    polling = integers(given.pop('array_polling', {}))
    return {**{_OLDER[name]: value for name, value in polling.items() if name in _OLDER}, **given}
