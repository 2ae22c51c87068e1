# SPDX-License-Identifier: Apache-2.0
"""A driver that knows a resource kind which Delfin does not have yet."""

from setuptools import setup

setup(
    name='delfin-enclosure-driver',
    version='1.0.0',
    packages=['enclosure_vendor_driver'],
    entry_points={'delfin.storage.drivers': ['enclosure_vendor shelf = enclosure_vendor_driver:EnclosureDriver']},
)
