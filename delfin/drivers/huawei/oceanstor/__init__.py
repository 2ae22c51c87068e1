# SPDX-License-Identifier: Apache-2.0
"""Huawei OceanStor (V3, V5, Dorado, 6.x) over the REST interface of DeviceManager.

To be held against the vendor's manuals without reading code: `codes.py` (errors and states), `tables.py` (which field
is which column), `alerts.py` (alarms, and the MIB), `measures.py` (metric numbers and units). `session.py` is how one
talks to the array, `driver.py` which requests a method makes.
"""

from delfin.drivers.huawei.oceanstor.driver import OceanStorDriver

__all__ = ['OceanStorDriver']
