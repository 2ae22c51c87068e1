# SPDX-License-Identifier: Apache-2.0
"""What the other services may ask of the task service."""

from __future__ import annotations

from typing import Any

from delfin import exception, rpc
from delfin.context import RequestContext
from delfin.db import Database, ownership
from delfin.history import Query, unpacked


class TaskAPI:
    """Client side of `delfin.task_manager.manager.TaskManager`.

    Calls that talk to an array go to the node that owns it, or that will own it; without one they are
    `ServiceUnavailable`.
    """

    def __init__(self, transport: rpc.Rpc, database: Database) -> None:
        self._client = transport.client(rpc.TASK_TOPIC)
        self._database = database

    def _owner(self, storage_id: str) -> str:
        with self._database.read() as connection:
            node = ownership.owner(connection, storage_id)
        if node is None:
            raise exception.ServiceUnavailable(
                f'no task service owns storage {storage_id} at the moment; try again in a few seconds')
        return node

    def _next_owner(self, storage_id: str) -> str:
        node = ownership.chosen(storage_id, self._living())
        assert node is not None
        return node

    def _living(self) -> list[str]:
        """The nodes, at least one."""
        with self._database.read() as connection:
            names = ownership.alive(connection)
        if not names:
            raise exception.ServiceUnavailable('no task service is running; start delfin-task and try again')
        return names

    def ping(self, context: RequestContext, timeout_seconds: float) -> dict[str, Any]:
        """Name and version of a task service; `ServiceUnavailable` when none answers in time, or none has joined."""
        answer: dict[str, Any] = self._client.call(context, 'ping', timeout_seconds=timeout_seconds)
        self._living()
        return answer

    def register_storage(self, context: RequestContext, storage_id: str, access: dict[str, Any],
                         deadline: str) -> None:
        """Find the array behind `access` (sealed) and store both under `storage_id`.

        Nothing is stored after `deadline` (RFC 3339, the database's clock), when the caller has given up.
        """
        self._client.call(context, 'register_storage', server=self._next_owner(storage_id), storage_id=storage_id,
                          access=access, deadline=deadline)

    def probe_storage(self, context: RequestContext, storage_id: str, access: dict[str, Any]) -> dict[str, Any]:
        """What registering would find: the array's own columns, and `registered_as` if it is known. Stores nothing."""
        return self._client.call(context, 'probe_storage', server=self._next_owner(storage_id), storage_id=storage_id,
                                 access=access)

    def update_access_info(self, context: RequestContext, storage_id: str, access: dict[str, Any],
                           deadline: str) -> None:
        """Merge `access` (sealed) over what is stored, if the same array answers with it; see `register_storage`."""
        self._client.call(context, 'update_access_info', server=self._owner(storage_id), storage_id=storage_id,
                          access=access, deadline=deadline)

    def get_capabilities(self, context: RequestContext, storage_id: str) -> dict[str, Any]:
        """What can be measured of a storage: `spec`, as far as what its driver says can be used, and `findings`."""
        return self._client.call(context, 'get_capabilities', server=self._owner(storage_id), storage_id=storage_id)

    def read_metrics(self, context: RequestContext, wanted: Query) -> list[dict[str, Any]]:
        """Series as the API shows them, of what the owner of the array has collected.

        `StorageCapabilityNotSupported` when it keeps nothing, `InvalidInput` for more than an answer can have.
        """
        text: str = self._client.call(
            context, 'read_metrics', server=self._owner(wanted.storage_id), storage_id=wanted.storage_id,
            resource_type=wanted.resource_type, metrics=list(wanted.metrics), resource_ids=list(wanted.resource_ids),
            start_ms=wanted.start_ms, end_ms=wanted.end_ms, step_ms=wanted.step_ms)
        return unpacked(text)

    def parse_alert(self, context: RequestContext, storage_id: str, alert: dict[str, str]) -> dict[str, Any] | None:
        """One trap to one alert, for drivers that need their session for it."""
        return self._client.call(context, 'parse_alert', server=self._owner(storage_id), storage_id=storage_id,
                                 alert=alert)

    def get_driver(self, context: RequestContext, vendor: str, model: str) -> dict[str, Any]:
        """One declared driver with options and capabilities."""
        return self._client.call(context, 'get_driver', vendor=vendor, model=model)

    def list_drivers(self, context: RequestContext) -> list[dict[str, Any]]:
        """Every declared driver with its load error."""
        return self._client.call(context, 'list_drivers')

    def list_alerts(self, context: RequestContext, storage_id: str, begin_time: int | None,
                    end_time: int | None) -> list[dict[str, Any]]:
        """What the array lists now, from and until these times (epoch ms, both included; None: open)."""
        alerts: list[dict[str, Any]] = self._client.call(
            context, 'list_alerts', server=self._owner(storage_id), storage_id=storage_id, begin_time=begin_time,
            end_time=end_time)
        return alerts

    def clear_alert(self, context: RequestContext, storage_id: str, sequence_number: str) -> None:
        """Clear an alert on the array, then what is stored under its sequence number.

        `StorageCapabilityNotSupported` when the driver cannot.
        """
        self._client.call(context, 'clear_alert', server=self._owner(storage_id), storage_id=storage_id,
                          sequence_number=sequence_number)

    def push_trap_config(self, context: RequestContext, storage_id: str, host: str, port: int, *,
                         remove: bool = False) -> None:
        """Tell the array to send traps to `host` and `port` with the stored SNMP configuration, or no longer to."""
        self._client.call(context, 'push_trap_config', server=self._owner(storage_id), storage_id=storage_id,
                          host=host, port=port, remove=remove)

    def look_for_work(self, context: RequestContext) -> None:
        """Doorbell: there is something new in the database."""
        self._client.ring(context, 'look_for_work')
