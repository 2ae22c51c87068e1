# SPDX-License-Identifier: Apache-2.0
"""Delfin's version, from the installed package."""

from importlib import metadata


def version_string() -> str:
    """For example '0.1.0'; 'unknown' when Delfin runs from a checkout that was never installed."""
    try:
        return metadata.version('delfin')
    except metadata.PackageNotFoundError:
        return 'unknown'
