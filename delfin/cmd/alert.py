# SPDX-License-Identifier: Apache-2.0
"""delfin-alert: the alert service."""

from __future__ import annotations

from collections.abc import Sequence

from delfin import service


def build(parts: service.Parts) -> Sequence[service.Service]:
    """One service."""
    from delfin.alert_manager.service import AlertService

    return [AlertService(parts)]


def main() -> None:
    """Console entry point."""
    service.main('delfin-alert', build, embedded=False)


if __name__ == '__main__':
    main()
