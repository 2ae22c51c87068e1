# SPDX-License-Identifier: Apache-2.0
"""Inspur AS5300, AS5500 and AS5600 (G2 to G5): Storwize under another name, see `delfin.drivers.ibm.storwize_svc`.
In what they differ stands in its table of variants.
"""

from __future__ import annotations

from delfin.drivers.ibm.storwize_svc.driver import StorwizeDriver
from delfin.drivers.ibm.storwize_svc.variants import INSPUR, InspurSession


class As5500Driver(StorwizeDriver):
    """An Inspur array. Access: `ssh`."""

    VARIANT = INSPUR
    SESSION = InspurSession


__all__ = ['As5500Driver']
