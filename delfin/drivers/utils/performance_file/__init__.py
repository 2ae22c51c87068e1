# SPDX-License-Identifier: Apache-2.0
"""Where older drivers put files while they read them: `delfin/drivers/utils/performance_file/<name>` below the working
directory, which for a service is `[DEFAULT] state_path`. Empty packages of these names are what they import.
"""

from __future__ import annotations

from pathlib import Path

FOLDERS = ('svc', 'vnx_block', 'macro_san')


def make_folders(root: Path) -> None:
    """Make the folders below a working directory."""
    for name in FOLDERS:
        root.joinpath(*__name__.split('.'), name).mkdir(mode=0o750, parents=True, exist_ok=True)
