# SPDX-License-Identifier: Apache-2.0
"""Everything in this folder is an integration test; tox.ini selects by the mark."""

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker('integration')
