# SPDX-License-Identifier: Apache-2.0
"""`delfin-driver new`: a package for a driver that works at once, against a simulator of its own, of an invented array.
"""

from __future__ import annotations

import re
import string
from pathlib import Path

from delfin import exception

_TEMPLATE = Path(__file__).with_name('template')
_WORD = re.compile(r'[A-Za-z][A-Za-z0-9_.-]{0,62}')
# Template: where it goes to.
_FILES = {'setup.py.in': 'setup.py', 'README.md.in': 'README.md', 'init.py.in': '{module}/__init__.py',
          'driver.py.in': '{module}/driver.py', 'simulator.py.in': '{module}/simulator.py',
          'test_driver.py.in': 'tests/test_driver.py'}


def write(vendor: str, model: str, into: str | None = None) -> Path:
    """Write the package for the driver "vendor model"; its folder. `InvalidInput` if that cannot be."""
    if not _WORD.fullmatch(vendor) or not re.fullmatch(r'[A-Za-z0-9_.-]{1,63}', model):
        raise exception.InvalidInput('vendor and model must be one word each, of letters, digits, ".", "-" and "_", '
                                     'the vendor with a letter first: clients write them as they are.')
    package = re.sub(r'[^a-z0-9]+', '-', f'{vendor}-{model}'.lower()).strip('-')
    names = {'vendor': vendor, 'model': model, 'package': package, 'module': package.replace('-', '_'),
             'camel': ''.join(word[:1].upper() + word[1:] for word in re.split(r'[^A-Za-z0-9]+', f'{vendor}-{model}'))}
    folder = Path(into or package)
    if folder.exists():
        raise exception.InvalidInput(f'{folder} exists already; choose another place with --into.')
    for template, place in _FILES.items():
        target = folder / place.format(**names)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = (_TEMPLATE / template).read_text('utf-8')
        target.write_text(string.Template(text).substitute(names), 'utf-8')
    return folder
