# SPDX-License-Identifier: Apache-2.0
"""What drivers written for SODA Delfin import is there, name for name: `sdk_surface.json` is the list."""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from delfin import exception
from delfin.common import constants
from delfin.drivers.driver import StorageDriver
from tests.unit.support import MinimalDriver

SURFACE = json.loads((Path(__file__).parent / 'sdk_surface.json').read_text())
ARGUMENTS = ('one', 'two')


def named(path: str) -> Any:
    """What a `module:Name.attribute` is, found as an import statement and attribute access find it."""
    module, _, names = path.partition(':')
    found: Any = importlib.import_module(module)
    for name in filter(None, names.split('.')):
        found = getattr(found, name)
    return found


def signature(path: str) -> str:
    """`(a, b=1)` of a callable, annotations left out; `static` before it if it needs no instance."""
    owner, _, name = path.rpartition('.')
    static = ':' in owner and isinstance(inspect.getattr_static(named(owner), name), staticmethod)
    bare = [parameter.replace(annotation=parameter.empty)
            for parameter in inspect.signature(named(path)).parameters.values()]
    return f'{"static " if static else ""}{inspect.Signature(bare)}'


def each(section: str) -> pytest.MarkDecorator:
    """A test for each entry of a section."""
    return pytest.mark.parametrize(('name', 'stated'), SURFACE[section].items(), ids=SURFACE[section].keys())


@each('signatures')
def test_a_callable_has_its_signature(name: str, stated: str) -> None:
    assert signature(name) == stated


@each('values')
def test_a_value_is_what_it_was(name: str, stated: Any) -> None:
    assert named(name) == stated


@each('tuples')
def test_a_named_tuple_has_its_fields(name: str, stated: list[str]) -> None:
    assert list(named(name)._fields) == stated


@each('enumerations')
def test_an_enumeration_has_its_members(name: str, stated: dict[str, Any]) -> None:
    enumeration = getattr(constants, name)
    assert {member: getattr(enumeration, member) for member in stated['members']} == stated['members']
    if stated['all']:
        assert set(enumeration.ALL) >= set(stated['members'].values())
        assert enumeration.ALL[0]       # drivers take one by its index


@each('metrics')
def test_a_metric_has_its_name_and_unit(name: str, stated: dict[str, str]) -> None:
    metric = getattr(constants, name)
    assert {'name': metric.name, 'unit': metric.unit} == stated
    assert 1 <= len(metric.description) <= 255


@each('metric_groups')
def test_a_group_of_metrics_has_its_members(name: str, stated: list[str]) -> None:
    group = getattr(constants, name)
    assert [getattr(group, member) for member in stated] == [getattr(constants, member) for member in stated]


@each('exceptions')
def test_an_exception_has_its_base_code_and_parameters(name: str, stated: dict[str, Any]) -> None:
    error_class = getattr(exception, name)
    assert [base.__name__ for base in error_class.__bases__] == [stated['base']]
    assert error_class.code == stated['code']
    error = error_class(*ARGUMENTS)
    assert error.error_code == name and error.error_args == ARGUMENTS and str(error) == error.msg
    assert [argument in error.msg for argument in ARGUMENTS] == [number < stated['arguments'] for number in (0, 1)]
    assert stated.get('text', '').format(*ARGUMENTS) in error.msg


@pytest.mark.parametrize('name', SURFACE['exceptions'])
def test_raising_an_exception_never_fails_itself(name: str) -> None:
    """Drivers raise with one argument or none, with objects, and with a text of their own."""
    error_class = getattr(exception, name)
    assert error_class().msg == error_class.msg_fmt
    assert error_class(object()).msg
    assert error_class(message='its own {0} text').msg == 'its own {0} text'


@each('instances')
def test_an_object_has_its_attributes(name: str, stated: dict[str, Any]) -> None:
    made = named(name)(**stated['arguments'])
    assert {attribute: getattr(made, attribute) for attribute in stated['attributes']} == stated['attributes']


@pytest.mark.parametrize('module', SURFACE['modules'])
def test_a_module_can_be_imported(module: str) -> None:
    importlib.import_module(module)


@pytest.mark.parametrize('name', SURFACE['third_party'])
def test_what_drivers_import_of_others_is_there(name: str) -> None:
    """With the extra `legacy-drivers`, which the tests install."""
    assert named(name) is not None


# --- the base class ---

def test_exactly_the_eight_methods_must_be_written() -> None:
    assert StorageDriver.__abstractmethods__ == frozenset(SURFACE['abstract_methods'])


@pytest.mark.parametrize('method', SURFACE['raise_not_implemented'])
def test_an_optional_list_says_that_it_is_not_implemented(method: str) -> None:
    with pytest.raises(NotImplementedError, match=rf'^Driver API {method}\(\) is not Implemented$'):
        getattr(MinimalDriver(storage_id='1'), method)(None)


@each('answers_without_override')
def test_other_methods_answer_nothing(name: str, stated: Any) -> None:
    method = getattr(MinimalDriver(storage_id='1'), name)
    assert method(*(None for _ in inspect.signature(method).parameters)) == stated


def test_the_base_constructor_keeps_the_id_and_takes_whatever_comes() -> None:
    assert MinimalDriver(storage_id='1', rest={}, anything='else').storage_id == '1'
    assert MinimalDriver().storage_id is None
