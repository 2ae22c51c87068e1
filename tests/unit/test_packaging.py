# SPDX-License-Identifier: Apache-2.0
"""What is declared for installation agrees with itself and with the tree."""

from __future__ import annotations

import ast
import configparser
import importlib
import re
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from delfin.rpc.local import LocalDriver
from delfin.version import version_string
from tests.unit.support import ROOT

SETUP = configparser.ConfigParser()
SETUP.read(ROOT / 'setup.cfg')
CONSTRAINTS = ROOT / 'installer' / 'constraints.txt'


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith('#')]


EXTRAS = SETUP['options.extras_require']
REQUIRED = [Requirement(line) for text in (SETUP['options']['install_requires'], *EXTRAS.values())
            for line in lines(text)]
FOR_OTHERS = [Requirement(line) for line in lines(EXTRAS['legacy-drivers'])]      # nothing of ours imports them
BY_NAME = pytest.mark.parametrize('requirement', REQUIRED, ids=lambda requirement: requirement.name)


def entry_points() -> dict[str, list[str]]:
    """As setup.py has them (it is not run)."""
    call = next(node for node in ast.walk(ast.parse((ROOT / 'setup.py').read_text()))
                if isinstance(node, ast.keyword) and node.arg == 'entry_points')
    return ast.literal_eval(call.value)


def test_requirements_txt_repeats_install_requires():
    assert lines((ROOT / 'requirements.txt').read_text()) == lines(SETUP['options']['install_requires'])


@BY_NAME
def test_every_requirement_has_a_lower_bound(requirement):
    assert any(clause.operator in ('>=', '==', '~=') for clause in requirement.specifier)


@BY_NAME
def test_what_is_installed_here_lies_in_the_range(requirement):
    assert requirement.specifier.contains(metadata.version(requirement.name), prereleases=True)


@pytest.fixture(scope='module')
def pins():
    if not CONSTRAINTS.is_file():
        pytest.skip('no installer/constraints.txt yet')
    return {canonicalize_name(name): version for name, _, version in
            (line.partition('==') for line in lines(CONSTRAINTS.read_text()))}


@BY_NAME
def test_every_requirement_has_a_pin_that_lies_in_its_range(pins, requirement):
    assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)], prereleases=True)


def test_every_pin_is_exact(pins):
    assert all(re.fullmatch(r'[0-9][0-9A-Za-z.+!-]*', version) for version in pins.values())


def test_every_package_is_pinned_once():
    if CONSTRAINTS.is_file():
        names = [canonicalize_name(line.partition('==')[0]) for line in lines(CONSTRAINTS.read_text())]
        assert len(names) == len(set(names))


@pytest.mark.parametrize('requirement', [each for each in REQUIRED if each not in FOR_OTHERS], ids=str)
def test_every_requirement_is_used(requirement):
    """A requirement that nothing imports is a package too many."""
    modules = {'alembic': 'alembic', 'cryptography': 'cryptography', 'PasteDeploy': 'paste.deploy',
               'PyMySQL': None, 'psycopg': None, 'SQLAlchemy': 'sqlalchemy', 'WebOb': 'webob', 'Routes': 'routes',
               'oslo.utils': None}      # None: named in URLs, or a plug-in's companion
    module = modules.get(requirement.name, re.sub('[.-]', '_', requirement.name))
    if module is None:
        return
    parent, _, name = module.rpartition('.')
    wanted = re.compile(rf'^\s*(import {re.escape(module)}\b|from {re.escape(module)}[ .]'
                        + (rf'|from {re.escape(parent)} import .*\b{name}\b' if parent else '') + ')', re.MULTILINE)
    assert any(wanted.search(path.read_text()) for path in (ROOT / 'delfin').rglob('*.py'))


LEGACY = lines(EXTRAS['legacy-drivers'])


def test_the_tests_install_what_old_drivers_import():
    assert set(LEGACY) <= set(lines((ROOT / 'installer' / 'test-requirements.txt').read_text()))


@pytest.mark.parametrize('line', LEGACY)
def test_every_library_of_old_drivers_has_a_pin_that_lies_in_its_range(pins, line):
    requirement = Requirement(line)
    assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)], prereleases=True)


# --- files ---

@pytest.mark.parametrize('path', [path for listed in SETUP['options.data_files'].values() for path in lines(listed)])
def test_every_listed_data_file_is_there(path):
    assert (ROOT / path).is_file()


def test_the_files_that_a_service_needs_are_listed():
    assert {'etc/delfin/api-paste.ini', 'etc/delfin/delfin.conf'} <= set(
        lines(SETUP['options.data_files']['etc/delfin']))


def test_every_file_of_the_package_that_is_no_python_is_listed():
    patterns = [(package, pattern.strip()) for package, value in SETUP['options.package_data'].items()
                for pattern in value.split(',')]
    listed = {path for package, pattern in patterns for path in (ROOT / package.replace('.', '/')).glob(pattern)}
    there = {path for path in (ROOT / 'delfin').rglob('*')
             if path.is_file() and path.suffix not in ('.py', '.pyc')
             and not any(part.startswith('.') for part in path.relative_to(ROOT).parts)}
    assert there <= listed


def test_every_folder_with_modules_is_a_package():
    folders = {path.parent for path in (ROOT / 'delfin').rglob('*.py')}
    assert not {folder for folder in folders if not (folder / '__init__.py').is_file()}


def test_the_licence_is_there():
    assert 'Apache License' in (ROOT / SETUP['metadata']['license_files'].strip()).read_text()


# --- entry points ---

ENTRY_POINTS = [(group, line) for group, declared in entry_points().items() for line in declared]


@pytest.mark.parametrize(('group', 'line'), ENTRY_POINTS, ids=[line.partition(' =')[0] for _, line in ENTRY_POINTS])
def test_every_entry_point_names_something(group, line):
    module, _, attribute = line.partition('=')[2].strip().partition(':')
    if group == 'delfin.storage.drivers' and not (ROOT / module.replace('.', '/')).is_dir():
        pytest.skip('this driver is still being written')
    assert callable(getattr(importlib.import_module(module), attribute))


def test_entry_points_of_drivers_are_named_vendor_and_model():
    names = [line.partition('=')[0].strip() for line in entry_points()['delfin.storage.drivers']]
    assert all(len(name.split(' ')) == 2 for name in names) and len(names) == len(set(names))


def test_every_command_has_an_entry_point():
    commands = {path.stem for path in (ROOT / 'delfin' / 'cmd').glob('*.py')} - {'__init__'}
    assert {line.split()[0] for line in entry_points()['console_scripts']} == {f'delfin-{name}' for name in commands}


def test_the_installed_entry_points_are_those_of_the_tree():
    """An editable install remembers the entry points of its day."""
    installed = {entry_point.name: entry_point.value for entry_point in metadata.entry_points(
        group='oslo.messaging.drivers') if entry_point.dist and entry_point.dist.name == 'delfin'}
    assert installed == {'local': f'{LocalDriver.__module__}:{LocalDriver.__name__}'}


def test_the_version_is_told():
    assert version_string() == SETUP['metadata']['version']
