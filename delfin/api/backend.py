# SPDX-License-Identifier: Apache-2.0
"""What the API works with. Every request carries it, so that no controller needs a global."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from oslo_config import cfg

from delfin.alert_manager.rpcapi import AlertAPI
from delfin.db import Database
from delfin.db.schema import Schema
from delfin.history import Reader, promql
from delfin.keyring import Keyring
from delfin.service import Parts
from delfin.task_manager.rpcapi import TaskAPI

BACKEND = 'delfin.backend'      # where the WSGI environment carries it


@dataclass(frozen=True)
class Backend:
    """Configuration, database, keys, and the clients of the other services."""

    conf: cfg.ConfigOpts
    database: Database
    schema: Schema
    keyring: Keyring
    tasks: TaskAPI
    alerts: AlertAPI
    metrics: Reader | None = None       # of points of metrics; without one their collectors are asked

    @functools.cached_property
    def cors_allowed_origins(self) -> frozenset[str]:
        """Origins whose pages may read answers. Looked up once: every request asks."""
        return frozenset(self.conf.api.cors_allowed_origins or ())

    @classmethod
    def of(cls, parts: Parts) -> Backend:
        """From the parts of the process."""
        return cls(parts.conf, parts.database, Schema(parts.database), parts.keyring,
                   TaskAPI(parts.rpc, parts.database), AlertAPI(parts.rpc), promql.reader(parts.conf))
