# SPDX-License-Identifier: Apache-2.0
"""A driver over HTTPS, as a third party ships it."""

from setuptools import setup

setup(
    name='delfin-tls-vendor-driver',
    version='1.0.0',
    packages=['tls_vendor_driver'],
    entry_points={'delfin.storage.drivers': ['tls_vendor tls_model = tls_vendor_driver:TlsDriver']},
)
