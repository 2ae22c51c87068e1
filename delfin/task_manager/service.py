# SPDX-License-Identifier: Apache-2.0
"""The task service as a part of a process."""

from __future__ import annotations

import threading

from delfin import rpc
from delfin.drivers.manager import DriverManager
from delfin.service import Parts
from delfin.task_manager.manager import TaskManager


class TaskService:
    """RPC server, worker, and membership among the other nodes."""

    name = 'task'

    def __init__(self, parts: Parts, drivers: DriverManager | None = None) -> None:
        self._drivers = drivers or DriverManager()
        self.manager = TaskManager(parts.conf, parts.database, parts.keyring, self._drivers, parts.masker)
        self._server = parts.rpc.server(rpc.TASK_TOPIC, [self.manager])

    def start(self) -> None:
        """Take calls and work. Broken driver packages are reported beside that: importing them may take long."""
        self.manager.start()
        self._server.start()
        threading.Thread(target=self._drivers.report_problems, name='driver-report', daemon=True).start()

    def stop(self, timeout_seconds: float) -> None:
        """Put work back, give the arrays to the others, then let calls under way end."""
        self.manager.stop(timeout_seconds)
        self._server.stop()
