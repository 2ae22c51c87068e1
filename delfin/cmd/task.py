# SPDX-License-Identifier: Apache-2.0
"""delfin-task: the task service."""

from __future__ import annotations

from collections.abc import Sequence

from delfin import service


def build(parts: service.Parts) -> Sequence[service.Service]:
    """One service."""
    from delfin.task_manager.service import TaskService

    return [TaskService(parts)]


def main() -> None:
    """Console entry point."""
    service.main('delfin-task', build, embedded=False)


if __name__ == '__main__':
    main()
