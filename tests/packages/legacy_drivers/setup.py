# SPDX-License-Identifier: Apache-2.0
"""Many drivers in one package: each module declares those of its classes that have a `MODEL`."""

import ast
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).parent
PACKAGE = 'legacy_vendor_drivers'


def declared():
    """`legacy <model> = module:Class`, read without importing."""
    for path in sorted((HERE / PACKAGE).glob('*.py')):
        for node in ast.parse(path.read_text()).body:
            for item in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(item, ast.Assign) and item.targets[0].id == 'MODEL':
                    yield f'legacy {item.value.value} = {PACKAGE}.{path.stem}:{node.name}'


setup(
    name='delfin-legacy-vendor-drivers',
    version='1.0.0',
    packages=[PACKAGE],
    entry_points={'delfin.storage.drivers': list(declared())},
)
