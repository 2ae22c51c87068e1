# SPDX-License-Identifier: Apache-2.0
"""delfin-all: API, task and alert service in one process; needs neither a broker nor a database server."""

from __future__ import annotations

from collections.abc import Sequence

from delfin import service


def build(parts: service.Parts) -> Sequence[service.Service]:
    """The API comes last: when it answers, the others are there."""
    from delfin.alert_manager.service import AlertService
    from delfin.api.server import EmbeddedApi
    from delfin.task_manager.service import TaskService

    return [AlertService(parts), TaskService(parts), EmbeddedApi(parts)]


def main() -> None:
    """Console entry point."""
    service.main('delfin-all', build, embedded=True)


if __name__ == '__main__':
    main()
