# SPDX-License-Identifier: Apache-2.0
"""Devices for tests: servers on this machine that behave as arrays do, and as they should not."""

# For `delfin-compliance`: the simulators of drivers that do not bring one along, as module:Class.
DEVICES = {
    'huawei oceanstor': 'tests.simulators.huawei.device:OceanStorDevice',
    'ibm storwize_svc': 'tests.simulators.ibm.device:StorwizeDevice',
    'inspur as5500': 'tests.simulators.ibm.device:As5500Device',
}
