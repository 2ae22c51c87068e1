# SPDX-License-Identifier: Apache-2.0
"""The table of the contract and the base class say the same."""

from __future__ import annotations

import inspect

import pytest

from delfin.drivers.compliance.contract import METHODS, Level, Method, raw
from delfin.drivers.driver import StorageDriver
from delfin.kinds import KINDS

ALL = pytest.mark.parametrize('method', METHODS.values(), ids=lambda method: method.name)


@ALL
def test_the_base_class_has_the_method_with_the_same_arguments(method: Method) -> None:
    attribute = raw(StorageDriver, method.name)
    function = attribute.__func__ if isinstance(attribute, staticmethod | classmethod) else attribute
    parameters = list(inspect.signature(function).parameters.values())
    if not isinstance(attribute, staticmethod):
        parameters = parameters[1:]
    shapes = [(each.name, each.kind, each.default) for each in parameters]
    assert shapes == [(each.name, each.kind, each.default) for each in method.signature.parameters.values()]


@ALL
def test_it_is_static_or_of_the_class_where_the_table_says_so(method: Method) -> None:
    attribute = raw(StorageDriver, method.name)
    assert (isinstance(attribute, staticmethod), isinstance(attribute, classmethod)) == (
        method.static, method.classmethod)


@ALL
def test_authors_read_what_it_does(method: Method) -> None:
    assert (inspect.getdoc(getattr(StorageDriver, method.name)) or '').strip()


def test_abstract_are_those_that_every_driver_has() -> None:
    assert StorageDriver.__abstractmethods__ == {method.name for method in METHODS.values() if method.abstract}


def test_the_base_class_has_no_other_methods() -> None:
    own = {name for name, value in vars(StorageDriver).items()
           if not name.startswith('_') and (callable(value) or isinstance(value, staticmethod | classmethod))}
    assert own == set(METHODS)


def test_every_kind_is_in_the_contract() -> None:
    assert {method.kind for method in METHODS.values() if method.kind} == set(KINDS.names())


def test_what_a_driver_may_leave_out_of_the_inventory_says_so_in_the_base_class() -> None:
    optional = [method for method in METHODS.values() if method.kind and not method.abstract]
    driver = type('Bare', (StorageDriver,), {name: None for name in StorageDriver.__abstractmethods__})()
    for method in optional:
        with pytest.raises(NotImplementedError):
            getattr(driver, method.name)(None)


def test_every_level_has_something_that_must_answer() -> None:
    assert {method.level for method in METHODS.values() if method.required} == set(Level)
