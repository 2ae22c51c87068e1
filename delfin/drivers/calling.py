# SPDX-License-Identifier: Apache-2.0
"""How a method of a driver is called, whatever shape its author gave it.

Drivers written over the years differ: arguments have other names, `get_capabilities` is static, class-level without a
decorator, or an instance method, `parse_alert` is an instance method, optional arguments are left out. Delfin passes
arguments by position, bound to the signature that is found.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from inspect import Parameter
from typing import Any, NamedTuple

# Methods that the contract has as static: a class-level function without decorator is taken for one, unless its first
# argument says that it wants the instance.
_STATIC = frozenset({'get_capabilities', 'parse_alert', 'get_access_url'})
_SELF_NAMES = frozenset({'self', 'this', 'driver'})


class NeedsInstance(Exception):
    """A method that should do without an instance turned out to use its state."""


def resolve(target: Any, name: str) -> Callable[..., Any]:
    """The callable `name` of a driver instance or class, ready for the arguments of the contract.

    NotImplementedError if there is none: the driver was written before the method, or without our base class.
    """
    owner = target if inspect.isclass(target) else type(target)
    raw = inspect.getattr_static(owner, name, None)
    if raw is None and not hasattr(target, name):
        raise NotImplementedError(f'{owner.__name__} has no {name}()')
    if isinstance(raw, staticmethod):
        return raw.__func__
    if isinstance(raw, classmethod):
        return getattr(owner, name)
    if name in _STATIC and inspect.isfunction(raw) and not takes_instance(raw):
        return raw
    return getattr(target, name)


def wants_instance(driver_class: type, name: str) -> bool:
    """Whether `name` can only be called on an instance."""
    raw = inspect.getattr_static(driver_class, name, None)
    return not isinstance(raw, staticmethod | classmethod) and inspect.isfunction(raw) and (
        name not in _STATIC or takes_instance(raw))


def takes_instance(function: Callable[..., Any]) -> bool:
    """Whether a function of a class that could be static says by its first argument that it is not."""
    return _shape(function).first in _SELF_NAMES


def call(target: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    """Call a contract method by position; trailing arguments that the method does not take are left out.

    `kwargs` go only to methods that take them.
    """
    function = resolve(target, name)
    shape = _shape_of(function)
    return function(*args[:shape.positions], **(kwargs if shape.keywords else {}))


def call_without_instance(driver_class: type, name: str, storage_id: str, *args: Any) -> Any:
    """Call `parse_alert` or `get_capabilities` without a session: the constructor, which may log in, never runs.

    `NeedsInstance` when the method is written for an instance and misses its state.
    """
    if not wants_instance(driver_class, name):
        return call(driver_class, name, *args)
    bare: Any = object.__new__(driver_class)
    bare.storage_id = storage_id
    try:
        return call(bare, name, *args)
    except AttributeError as error:
        if getattr(error, 'obj', None) is bare:
            raise NeedsInstance(f'{name} of {driver_class.__name__} needs {error.name}') from None
        raise


class _Shape(NamedTuple):
    """What a function takes: how many arguments by position (None: any number), keywords, and the first one's name."""

    positions: int | None
    keywords: bool
    first: str | None


_ANYTHING = _Shape(None, True, None)


def _shape_of(function: Callable[..., Any]) -> _Shape:
    """Of methods that are bound without the instance, which must not be kept alive by what is remembered."""
    if inspect.ismethod(function) and inspect.isfunction(function.__func__):
        shape = _shape(function.__func__)
        return shape if shape.positions is None else shape._replace(positions=shape.positions - 1)
    return _shape(function) if inspect.isfunction(function) else _look_at(function)


def _look_at(function: Callable[..., Any]) -> _Shape:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):     # builtins, mocks
        return _ANYTHING
    kinds = [parameter.kind for parameter in parameters]
    positions = None if Parameter.VAR_POSITIONAL in kinds else sum(
        kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD) for kind in kinds)
    return _Shape(positions, Parameter.VAR_KEYWORD in kinds, next((each.name for each in parameters), None))


_shape = functools.lru_cache(maxsize=1024)(_look_at)       # looking takes longer than most methods that read a trap


def materialise(result: Any) -> Any:
    """Run generators to their end inside the driver call, where deadline and error handling hold."""
    if isinstance(result, Mapping):
        return {key: materialise(value) if isinstance(value, Iterator) else value for key, value in result.items()}
    return list(result) if isinstance(result, Iterator) else result
