# SPDX-License-Identifier: Apache-2.0
"""Finding driver classes by exact name. (Installed packages, broken and double ones: tests/functional.)"""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import EntryPoint

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delfin import exception
from delfin.drivers import manager
from delfin.drivers.manager import NAMESPACE, DriverManager, options_of
from tests.unit.support import MinimalDriver, make_driver

# --- classes that entry points of the tests name ---

GoodDriver = make_driver(__doc__='A good one.\n\nWith more to say.')
TooNewDriver = make_driver(DRIVER_API='2.0')
NewerDriver = make_driver(DRIVER_API='1.7')
OlderDriver = make_driver(DRIVER_API='0.9')
AbstractDriver = type('AbstractDriver', (manager.StorageDriver,), {})
NO_CLASS = MinimalDriver.get_storage
Duck = type('Duck', (), {name: lambda self, *args, **kwargs: None for name in manager._REQUIRED})


class HalfADuck:
    """Has one of the methods."""

    def get_storage(self, context):
        return {}


def entry(name, target='GoodDriver', module=__name__):
    return EntryPoint(name, f'{module}:{target}', NAMESPACE)


@pytest.fixture
def declared(monkeypatch):
    """`declared(entry point, …)`: a manager that finds these."""
    def make(*entry_points):
        monkeypatch.setattr(manager._Scan, 'list_entry_points', lambda self: list(entry_points))
        return DriverManager()
    return make


def problem(drivers, name='v m'):
    """Why a driver cannot be used, as the client of a registration reads it."""
    with pytest.raises(exception.StorageDriverNotFound) as caught:
        drivers.get_class(*name.split(' '))
    return caught.value.msg


# --- names ---

def test_a_driver_is_found_by_its_exact_name(declared):
    assert declared(entry('v m')).get_class('v', 'm') is GoodDriver


@pytest.mark.parametrize(('vendor', 'model'), [
    ('V', 'm'), ('v', 'M'), ('v ', 'm'), (' v', 'm'), ('v', 'm '), ('v', ''), ('', 'm'), ('v m', ''), ('v', 'm x'),
    ('v', '*'), ('v', 'm\n')])
def test_a_name_that_is_only_alike_is_not_found(declared, vendor, model):
    with pytest.raises(exception.StorageDriverNotFound):
        declared(entry('v m')).get_class(vendor, model)


def test_an_unknown_name_is_told(declared):
    assert problem(declared(), 'acme 9000') == "Storage driver 'acme 9000' could not be found."


@pytest.fixture
def no_import(monkeypatch):
    """Nothing may be imported from here on."""
    def refuse(name, *args, **kwargs):
        raise AssertionError(f'import of {name}')
    monkeypatch.setattr(importlib, 'import_module', refuse)
    monkeypatch.setattr(EntryPoint, 'load', lambda self: refuse(self.value))


@pytest.mark.parametrize(('vendor', 'model'), [
    ('os', 'path'), ('delfin.drivers.fake_storage:FakeStorageDriver', ''), ('fake_storage', 'fake_driver:X'),
    ('..', '../etc/passwd'), ('delfin', 'drivers.fake_storage'), ('__import__("os")', 'x'), ('os:system', 'path'),
    ('fake_storage\0', 'fake_driver')])
def test_a_name_from_a_request_never_reaches_an_import(declared, no_import, vendor, model):
    with pytest.raises(exception.StorageDriverNotFound):
        declared(entry('v m')).get_class(vendor, model)


@given(st.text(st.characters(), max_size=30), st.text(st.characters(), max_size=30))
def test_whatever_the_name_the_answer_is_not_found(vendor, model):
    before = set(sys.modules)
    with pytest.raises(exception.StorageDriverNotFound):
        DriverManager('delfin.tests.no_such_namespace').get_class(vendor, model)
    assert set(sys.modules) == before


def test_listing_names_imports_nothing(declared, no_import):
    assert declared(entry('v m'), entry('a b', 'NoSuch')).names() == ['a b', 'v m']


def test_a_class_is_loaded_when_it_is_asked_for_and_once(declared, monkeypatch):
    loads = []
    real = EntryPoint.load
    monkeypatch.setattr(EntryPoint, 'load', lambda self: loads.append(self.name) or real(self))
    drivers = declared(entry('v m'), entry('a b'))
    for _ in range(3):
        drivers.get_class('v', 'm')
    assert loads == ['v m']


def test_a_driver_that_could_not_be_loaded_is_tried_again(declared, monkeypatch):
    """A package that was being installed."""
    drivers = declared(entry('v m', 'LaterDriver'))
    problem(drivers)
    monkeypatch.setattr(sys.modules[__name__], 'LaterDriver', GoodDriver, raising=False)
    assert drivers.get_class('v', 'm') is GoodDriver


# --- what may serve as a driver ---

@pytest.mark.parametrize(('target', 'reason'), [
    ('TooNewDriver', 'it is written for driver contract 2.0; this Delfin has 1.0'),
    ('OlderDriver', 'it is written for driver contract 0.9; this Delfin has 1.0'),
    ('NO_CLASS', 'the entry point does not name a class'),
    ('AbstractDriver', 'the class lacks add_trap_config, clear_alert, get_storage, list_alerts'),
    ('HalfADuck', 'the class lacks add_trap_config, clear_alert, list_alerts'),
    ('NoSuchClass', "AttributeError: module 'tests.unit.test_manager' has no attribute 'NoSuchClass'")])
def test_what_cannot_serve_is_refused_with_the_reason(declared, target, reason):
    assert problem(declared(entry('v m', target))).startswith(
        f"Storage driver 'v m' could not be loaded: {reason}")


def test_a_missing_module_is_refused_with_the_reason(declared):
    assert 'ModuleNotFoundError: No module named' in problem(declared(entry('v m', module='no_such_module')))


@pytest.mark.parametrize('target', ['NewerDriver', 'Duck', 'MinimalDriver'])
def test_what_keeps_to_the_contract_may_serve(declared, target):
    assert declared(entry('v m', target)).get_class('v', 'm').__name__ in ('ScriptedDriver', 'Duck', 'MinimalDriver')


@pytest.mark.parametrize('error', [SystemExit(3), RuntimeError('no'), SyntaxError('bad'), RecursionError()],
                         ids=lambda error: type(error).__name__)
def test_a_package_that_fails_at_import_harms_nobody_else(declared, monkeypatch, error):
    real = EntryPoint.load

    def load(self):
        if self.name == 'bad one':
            raise error
        return real(self)
    monkeypatch.setattr(EntryPoint, 'load', load)
    drivers = declared(entry('bad one'), entry('v m'))
    assert type(error).__name__ in problem(drivers, 'bad one') and drivers.get_class('v', 'm') is GoodDriver
    assert [(listed.name, listed.error is None) for listed in drivers.listing()] == [('bad one', False), ('v m', True)]


# --- the list ---

def test_the_list_shows_what_a_client_needs(declared):
    assert declared(entry('v m')).listing()[0].view() == {
        'name': 'v m', 'vendor': 'v', 'model': 'm', 'package': 'unknown', 'version': 'unknown',
        'class': 'tests.unit.test_manager:GoodDriver', 'driver_api': '1.0', 'description': 'A good one.',
        'status': 'ok', 'error': None}


@pytest.mark.parametrize('name', ['oneword', 'three words here', 'two  blanks'])
def test_a_bad_entry_point_name_is_told(declared, name):
    listed = declared(entry(name)).listing()[0]
    assert listed.error == 'the name must be "<vendor> <model>", two words with one blank between'


def test_a_name_declared_twice_is_told_and_one_of_them_used(declared):
    drivers = declared(entry('v m'), entry('v m', 'MinimalDriver'))
    assert [listed.error is None for listed in drivers.listing()] == [True, False]


def test_the_same_declaration_found_twice_is_one(declared):
    """An editable install lies over another one."""
    assert len(declared(entry('v m'), entry('v m')).listing()) == 1


# --- options ---

@pytest.mark.parametrize('describe', [
    classmethod(lambda cls: 1 / 0), classmethod(lambda cls: None), classmethod(lambda cls: ['a']),
    lambda self: {'a': {}}, 7], ids=['raises', 'none', 'list', 'needs an instance', 'no method'])
def test_a_driver_whose_options_cannot_be_told_has_none(describe):
    assert options_of(make_driver(get_driver_options=describe)) == {}


def test_a_driver_without_options_has_none():
    assert options_of(Duck) == {}


@pytest.mark.parametrize('decorate', [classmethod, staticmethod], ids=['of the class', 'static'])
def test_the_options_of_a_driver_are_told(decorate):
    describe = decorate(lambda *cls: {'token': {'secret': True}})
    assert options_of(make_driver(get_driver_options=describe)) == {'token': {'secret': True}}


@pytest.mark.parametrize('options', [{'token': None}, {'token': 'a token'}, {7: {}}], ids=['none', 'text', 'number'])
def test_options_of_a_wrong_shape_break_nothing(options):
    """They are read to find out what is secret, in the middle of a registration."""
    from delfin import access
    told = options_of(make_driver(get_driver_options=classmethod(lambda cls: options)))
    assert access.secret_attributes(told, {'token': 'x', 'password': 'y'}) >= {'password'}
