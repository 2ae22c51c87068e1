# SPDX-License-Identifier: Apache-2.0
"""One running Delfin for the tests that need nothing special."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.services import Client, Site


@pytest.fixture(scope='module')
def delfin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The REST client of a delfin-all of this test module."""
    site = Site(tmp_path_factory.mktemp('delfin'))
    with site.start() as process:
        yield process.ready().client
        assert process.stop() == 0
