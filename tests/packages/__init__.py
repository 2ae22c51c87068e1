# SPDX-License-Identifier: Apache-2.0
"""Third parties' driver packages, and pip to install them beside Delfin."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def install(name: str, target: Path) -> Path:
    """Install one of the packages with pip into a folder of its own; the folder, for PYTHONPATH.

    The sources are copied first: a build leaves files in them.
    """
    sources = target / 'sources' / name
    shutil.copytree(HERE / name, sources, ignore=shutil.ignore_patterns('__pycache__', '*.egg-info', 'build'))
    site = target / 'site'
    subprocess.run([sys.executable, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps',
                    '--no-build-isolation', '--no-index', '--target', str(site), str(sources)],
                   check=True, capture_output=True, text=True, timeout=120)
    return site
