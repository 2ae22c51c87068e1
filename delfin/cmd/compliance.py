# SPDX-License-Identifier: Apache-2.0
"""delfin-compliance: checks drivers against the contract."""

from __future__ import annotations

import sys

from delfin.drivers.compliance import cli


def main() -> None:
    """Console entry point."""
    sys.exit(cli.run(sys.argv[1:]))


if __name__ == '__main__':
    main()
