# SPDX-License-Identifier: Apache-2.0
"""A broken third-party package is named in the list of drivers and in the log, and nothing else notices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests import packages
from tests.services import Client, Site, fake, wait_for

# What the list must say of each broken entry.
BROKEN = {
    'broken import_error': 'RuntimeError',
    'broken missing_module': 'ModuleNotFoundError',
    'broken missing_class': 'AttributeError',
    'broken system_exit': 'SystemExit',
    'broken not_a_driver': 'lacks',
    'broken abstract': 'lacks',
    'broken too_new': 'contract 2.0',
    'brokenname': 'two words',
    'broken three words': 'two words',
}
PACKAGE = 'delfin-broken-vendor-driver'


@pytest.fixture(scope='module')
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    root = tmp_path_factory.mktemp('broken')
    return Site(root / 'site', python_path=(packages.install('broken_driver', root),))


@pytest.fixture(scope='module')
def delfin(site: Site) -> Iterator[Client]:
    with site.start() as process:
        yield process.ready().client
        assert process.stop() == 0


@pytest.fixture(scope='module')
def listing(delfin: Client) -> list[dict[str, Any]]:
    return delfin.get('/v1/drivers')['drivers']


@pytest.mark.parametrize('name', BROKEN)
def test_a_broken_driver_is_listed_with_its_package_and_error(listing: list[dict[str, Any]], name: str) -> None:
    (driver,) = [driver for driver in listing if driver['name'] == name]
    assert (driver['status'], driver['package']) == ('error', PACKAGE)
    assert BROKEN[name] in driver['error']


@pytest.mark.parametrize('name', BROKEN)
def test_a_broken_driver_is_named_in_the_log(delfin: Client, site: Site, name: str) -> None:
    wait_for('the log line', lambda: f'driver "{name}" of package {PACKAGE} cannot be used' in site.log.read_text())


def test_a_second_driver_of_one_name_loses_against_delfins_own(delfin: Client, listing: list[dict[str, Any]]) -> None:
    ours, theirs = [driver for driver in listing if driver['name'] == 'fake_storage fake_driver']
    assert (ours['package'], ours['status']) == ('delfin', 'ok')
    assert (theirs['package'], theirs['status']) == (PACKAGE, 'error')


def test_the_others_work(delfin: Client) -> None:
    assert delfin.register_fake()['sync_status'] == 'SYNCED'


@pytest.mark.parametrize('name', [name for name in BROKEN if name.count(' ') == 1])
def test_registering_with_a_broken_driver_says_what_is_wrong(delfin: Client, name: str) -> None:
    vendor, model = name.split()
    error = delfin.post('/v1/storages', {**fake(), 'vendor': vendor, 'model': model}, 404)
    assert error['error_code'] == 'StorageDriverNotFound'
    assert BROKEN[name] in error['error_msg']
