# SPDX-License-Identifier: Apache-2.0
"""A third party's driver package: what the driver developer guide tells an author to do, outside of Delfin's tree."""

from setuptools import setup

setup(
    name='delfin-sample-vendor-driver',
    version='1.0.0',
    packages=['sample_vendor_driver'],
    entry_points={
        'delfin.storage.drivers': [
            'sample_vendor sample_model = sample_vendor_driver:SampleStorageDriver',
            'sample_vendor guide_listing = sample_vendor_driver.guide_listing:SampleStorageDriver',
        ],
    },
)
