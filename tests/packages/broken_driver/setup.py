# SPDX-License-Identifier: Apache-2.0
"""Drivers that are broken in every way an entry point can be. Installed beside good ones, they must not hurt them.

Entry point names that are not "<vendor> <model>" stand here too: setuptools lets all of them pass.
"""

from setuptools import setup

setup(
    name='delfin-broken-vendor-driver',
    version='1.0.0',
    packages=['broken_vendor_driver'],
    entry_points={
        'delfin.storage.drivers': [
            'broken import_error = broken_vendor_driver.import_error:Driver',
            'broken missing_module = broken_vendor_driver.no_such_module:Driver',
            'broken missing_class = broken_vendor_driver.drivers:NoSuchClass',
            'broken system_exit = broken_vendor_driver.system_exit:Driver',
            'broken not_a_driver = broken_vendor_driver.drivers:NotADriver',
            'broken abstract = broken_vendor_driver.drivers:AbstractDriver',
            'broken too_new = broken_vendor_driver.drivers:TooNewDriver',
            'brokenname = broken_vendor_driver.drivers:HealthyDriver',
            'broken three words = broken_vendor_driver.drivers:HealthyDriver',
            'fake_storage fake_driver = broken_vendor_driver.drivers:HealthyDriver',
        ],
    },
)
