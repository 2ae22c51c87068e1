# SPDX-License-Identifier: Apache-2.0
"""The request context: who asks, under which request id, about which storage."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, Self

from oslo_context import context

from delfin.common.ids import new_id


class RequestContext(context.RequestContext):
    """Travels with a request from the API over RPC to the driver and into every log line.

    `storage_id` is None until the door to the device sets it; drivers may read it.
    """

    def __init__(self, user_id: str | None = None, project_id: str | None = None, is_admin: bool | None = None,
                 read_deleted: str = 'no', timestamp: str | None = None, storage_id: str | None = None,
                 **kwargs: Any) -> None:
        self._complete = False
        known = {key: kwargs[key] for key in ('request_id', 'global_request_id', 'roles') if key in kwargs}
        super().__init__(user_id=user_id, project_id=project_id, is_admin=bool(is_admin), overwrite=False, **known)
        self.read_deleted = read_deleted
        self.storage_id = storage_id
        self._timestamp = timestamp or time.time()
        self._complete = True

    @property
    def timestamp(self) -> str:
        """When the request came, RFC 3339. Seldom asked for, so that it is made on demand."""
        if isinstance(self._timestamp, float):
            self._timestamp = datetime.fromtimestamp(self._timestamp, UTC).isoformat()
        return self._timestamp

    def renewed(self, request_id: str | None = None) -> Self:
        """The same context for another request. Five times cheaper than making one, and every request needs one."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.request_id = request_id or f'req-{new_id()}'
        other._timestamp = time.time()
        return other

    def update_store(self) -> None:
        """Make this the context of the current thread's log lines. Only on demand, not by being constructed."""
        if self._complete:
            super().update_store()

    def get_logging_values(self) -> dict[str, Any]:
        """What log lines show of the context."""
        return {**super().get_logging_values(), 'storage_id': self.storage_id or '-'}

    def to_dict(self) -> dict[str, Any]:
        """The JSON-able form that RPC carries."""
        return {
            'user_id': self.user_id, 'project_id': self.project_id, 'is_admin': self.is_admin,
            'read_deleted': self.read_deleted, 'timestamp': self.timestamp, 'request_id': self.request_id,
            'storage_id': self.storage_id, 'roles': list(self.roles or []),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any], **kwargs: Any) -> RequestContext:
        """The reverse of `to_dict`; keys of a newer sender are ignored."""
        return cls(**{**values, **kwargs})


def get_admin_context(read_deleted: str = 'no') -> RequestContext:
    """A context for work that no user asked for (schedules, recovery)."""
    return RequestContext(is_admin=True, read_deleted=read_deleted)
