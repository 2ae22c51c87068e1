# SPDX-License-Identifier: Apache-2.0
"""This machine as a device of `delfin-compliance`: there always is one."""

from __future__ import annotations

from delfin.drivers.compliance.device import Device


class ThisMachine(Device):
    """Reached by `cli`. Real, and never changed."""

    def __init__(self) -> None:
        super().__init__({'vendor': 'linux', 'model': 'host', 'cli': {'host': 'localhost'}})
