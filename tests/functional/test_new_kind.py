# SPDX-License-Identifier: Apache-2.0
"""A new resource kind is one table entry and one migration: then it is synced, listed and filtered."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import packages
from tests.checkouts import ROOT
from tests.services import Client, Site, fake, kinds

ENTRY = '''
_add('enclosures', 'enclosure', (
    _NAME,
    _text('status', values=constants.DiskStatus.ALL),
    _integer('bay_count', 'count'),
    _boolean('powered', 'has power')), not_found='NotFound')
'''
MIGRATION = '''
from delfin.db.migrations.columns import create_resource_table

revision = '9001'
down_revision = {head!r}


def upgrade():
    create_resource_table('enclosures', ['native_enclosure_id'], texts=['name', 'status'], integers=['bay_count'],
                          booleans=['powered'])
'''


@pytest.fixture(scope='module')
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of Delfin with the two additions, and a driver that lists the new kind."""
    root = tmp_path_factory.mktemp('source')
    shutil.copytree(ROOT / 'delfin', root / 'delfin', ignore=shutil.ignore_patterns('__pycache__'))
    (root / 'etc' / 'delfin').mkdir(parents=True)
    shutil.copy(ROOT / 'etc' / 'delfin' / 'api-paste.ini', root / 'etc' / 'delfin')
    return root


@pytest.fixture(scope='module')
def delfin(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    root = tmp_path_factory.mktemp('new-kind')
    driver = packages.install('enclosure_driver', root)
    site = Site(root / 'site', python_path=(source, driver))
    # An installation in use gets the new kind by an upgrade.
    with site.start() as process:
        process.ready().client.register_fake(9200)
        assert process.stop() == 0
    head = site.manage('db', 'current').split()[-1]
    with (source / 'delfin' / 'kinds.py').open('a') as kinds_file:
        kinds_file.write(ENTRY)
    (source / 'delfin' / 'db' / 'migrations' / 'versions' / 'v9001_enclosures.py').write_text(
        MIGRATION.format(head=head))
    assert '9001' in site.manage('db', 'upgrade')
    with site.start() as process:
        yield process.ready().client
        assert process.stop() == 0


@pytest.fixture(scope='module')
def storage_id(delfin: Client) -> str:
    body = {**fake(9201), 'vendor': 'enclosure_vendor', 'model': 'shelf'}
    return delfin.register(**body)['id']


def test_it_is_synced(delfin: Client, storage_id: str) -> None:
    result = kinds(delfin.sync(storage_id))['enclosures']
    assert (result['state'], result['seen'], result['unchanged']) == ('done', 3, 3)


def test_it_is_listed_with_coerced_values(delfin: Client, storage_id: str) -> None:
    rows = {row['native_enclosure_id']: row for row in delfin.rows('enclosures', storage_id)}
    assert rows.keys() == {'shelf-0', 'shelf-1', 'shelf-2'}
    assert {name: rows['shelf-1'][name] for name in ('name', 'status', 'bay_count', 'powered')} == {
        'name': 'Shelf 1', 'status': 'normal', 'bay_count': 24, 'powered': True}


def test_it_is_filtered(delfin: Client, storage_id: str) -> None:
    (row,) = delfin.get('/v1/enclosures', bay_count=12)['enclosures']
    assert row['native_enclosure_id'] == 'shelf-0'
    assert delfin.get(f'/v1/enclosures/{row["id"]}') == row


def test_a_driver_without_it_is_not_disturbed(delfin: Client) -> None:
    (storage,) = [storage for storage in delfin.get('/v1/storages')['storages'] if storage['model'] != 'shelf'
                  and delfin.rows('enclosures', storage['id']) == []]
    run = delfin.sync(storage['id'])
    assert (run['state'], kinds(run)['enclosures']['state']) == ('done', 'unsupported')

