# SPDX-License-Identifier: Apache-2.0
"""Rules that look at the class and never call it: names, signatures, claims, a harmless import."""

from __future__ import annotations

import ast
import functools
import inspect
import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from delfin.common.constants import ACCESS_TYPE
from delfin.drivers import calling
from delfin.drivers.compliance.contract import METHODS, Answer, Level, Method, claimed, function_of, implemented, raw
from delfin.drivers.compliance.rules import Problem, Skip, remark, rule
from delfin.drivers.compliance.subject import Subject
from delfin.drivers.driver import DRIVER_API, StorageDriver

_IMPORT_SECONDS = 60
_OPTION_KEYS: Final = {'description': str, 'secret': bool, 'default': str, 'required': bool}
_SHARED: Final = (list, dict, set, bytearray)
_LISTS: Final = frozenset(method.name for method in METHODS.values()
                          if method.answers in (Answer.ROWS, Answer.GROUPS, Answer.POINTS))
_BROAD: Final = frozenset({'Exception', 'BaseException', 'DelfinException', 'OSError', 'ConnectionError',
                           'RequestException', 'SSHException', 'TimeoutError', 'StorageBackendException'})

_EMPTY: Final = frozenset({'None', '[]', '{}', '()', 'list()', 'dict()', 'False'})
_LOGGING: Final = frozenset({'debug', 'info', 'warning', 'warn', 'error', 'exception', 'critical', 'log'})

# What an import must not do is looked at in an interpreter that has imported nothing of ours but what it must.
_LOOK: Final = """
import importlib, json, logging, os, sys, threading
def state():
    return {'threads': len(threading.enumerate()), 'handlers': len(logging.getLogger().handlers),
            'sockets': sum(os.path.realpath(f'/proc/self/fd/{fd}').rpartition('/')[2].startswith('socket:')
                           for fd in os.listdir('/proc/self/fd'))}
sys.path[:0] = json.loads(sys.argv[2])
before, out = state(), os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
printed = sys.stdout = __import__('io').StringIO()
importlib.import_module(sys.argv[1])
after = state()
after['printed'] = len(printed.getvalue()); before['printed'] = 0
os.write(out, json.dumps([name for name in after if after[name] > before[name]]).encode())
"""
_LEFT: Final = {'threads': 'starts a thread', 'handlers': 'adds a log handler', 'sockets': 'opens a socket',
                'printed': 'prints'}


@rule('S01', 'The name is `<vendor> <model>`: two words, and no other driver has it in other letters',
      'rename the entry point of the group delfin.storage.drivers', dynamic=False)
def name(subject: Subject) -> Iterator[Problem]:
    if len(subject.name.split(' ')) != 2 or not all(subject.name.split(' ')):
        yield Problem(f'the name is {subject.name!r}, not two words with one blank between')
    for other in subject.others:
        if other.lower() == subject.name.lower():
            yield Problem(f'another driver is called {other!r}')


@rule('S02', 'The class can be imported, in a fresh interpreter, and that does nothing else: no thread, socket, log '
      'handler or output',
      'do such things in the constructor or later; Delfin imports all drivers to list them', dynamic=False)
def harmless_import(subject: Subject) -> Iterator[Problem]:
    if subject.driver_class is None:
        yield Problem(f'the class cannot be used: {subject.error}')
        return
    for text in _import_effects(subject.target.partition(':')[0]):
        yield Problem(text)


@functools.cache
def _import_effects(module: str) -> tuple[str, ...]:
    """What importing a module does that it should not."""
    try:
        done = subprocess.run([sys.executable, '-B', '-I', '-c', _LOOK, module, json.dumps(sys.path)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_IMPORT_SECONDS)
    except subprocess.TimeoutExpired:
        return (f'importing {module} takes more than {_IMPORT_SECONDS} s',)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ['no reason given'])[-1]
        return (f'{module} cannot be imported in a fresh interpreter: {why}',)
    return tuple(f'importing {module} {_LEFT[left]}' for left in json.loads(done.stdout))


def _class(subject: Subject) -> type:
    if subject.driver_class is None:
        raise Skip('the class could not be loaded')
    return subject.driver_class


@rule('S03', 'It is a class, written for a version of the contract that this Delfin has',
      f'name the class in the entry point; DRIVER_API is {DRIVER_API} here', dynamic=False)
def contract_version(subject: Subject) -> Iterator[Problem]:
    driver_class = _class(subject)
    declared = str(getattr(driver_class, 'DRIVER_API', DRIVER_API))
    if declared.partition('.')[0] != DRIVER_API.partition('.')[0]:
        yield Problem(f'DRIVER_API is {declared}')


@rule('S04', 'Every method that all drivers have is there, inherited from StorageDriver or not',
      'write it; what the array cannot do raises NotImplementedError', dynamic=False)
def required_methods(subject: Subject) -> Iterator[Problem]:
    driver_class = _class(subject)
    abstract: frozenset[str] = getattr(driver_class, '__abstractmethods__', frozenset())
    for method in METHODS.values():
        found = raw(driver_class, method.name)
        if method.abstract and (found is None or method.name in abstract):
            yield Problem('is missing', method.name, concerns=Level.CORE)


def _found(subject: Subject) -> Iterator[tuple[Method, Any, Callable[..., Any]]]:
    """Methods of its own: the table's entry, the attribute, the function."""
    driver_class = _class(subject)
    for method in METHODS.values():
        if implemented(driver_class, method.name):
            attribute = raw(driver_class, method.name)
            yield method, attribute, function_of(attribute)


@rule('S05', 'Every method takes the arguments that Delfin passes, which it does by position',
      'give further arguments a default; other names, fewer arguments and missing defaults are legal, but old',
      dynamic=False)
def signatures(subject: Subject) -> Iterator[Problem]:
    for method, attribute, function in _found(subject):
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):     # builtins
            continue
        if not isinstance(attribute, staticmethod) and not _called_as_static(method, function):
            parameters = parameters[1:]
        yield from _signature(method, parameters)


def _called_as_static(method: Method, function: Callable[..., Any]) -> bool:
    """`calling` takes a function of the class for a static method where the contract has one and no self is there."""
    return method.static and not calling.takes_instance(function)


def _signature(method: Method, parameters: list[inspect.Parameter]) -> Iterator[Problem]:
    positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    given = method.positional
    needed = [each.name for each in positional if each.default is each.empty]
    if len(needed) > len(given):
        yield Problem(f'needs {", ".join(needed)}; Delfin passes {method.arguments or "nothing"}', method.name)
    for each in parameters:
        if each.kind is each.KEYWORD_ONLY and each.default is each.empty:
            yield Problem(f'needs the keyword {each.name}, which Delfin does not pass', method.name)
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return
    if len(positional) < len(given):
        yield remark(f'legacy: takes only ({", ".join(each.name for each in positional)}); Delfin leaves the rest of '
                     f'({method.arguments}) out', method.name)
    for each, name in zip(positional, given, strict=False):
        if each.name != name:
            yield remark(f'legacy: the argument {name} is called {each.name}', method.name)
        if method.signature.parameters[name].default is None and each.default is each.empty:
            yield remark(f'legacy: {each.name} has no default', method.name)
    wants_keywords = any(each.kind is each.VAR_KEYWORD for each in method.signature.parameters.values())
    if wants_keywords and not any(each.kind is each.VAR_KEYWORD for each in parameters):
        yield remark('legacy: takes no **kwargs and so never learns new access information', method.name)


@rule('S06', 'Methods are methods: no properties, no coroutines; static ones are static',
      'Delfin calls drivers in threads; use plain methods', dynamic=False)
def plain_methods(subject: Subject) -> Iterator[Problem]:
    driver_class = _class(subject)
    for method in METHODS.values():
        attribute = raw(driver_class, method.name)
        if attribute is None or attribute is raw(StorageDriver, method.name):
            continue
        function = function_of(attribute)
        if function is None:
            yield Problem(f'is a {type(attribute).__name__}, not a method', method.name)
        elif inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            yield Problem('is a coroutine', method.name)
        elif method.static and not isinstance(attribute, staticmethod | classmethod):
            yield remark('legacy: is not a static method', method.name)


@rule('S07', 'The constructor takes access information as keywords, those of later versions included',
      'def __init__(self, **kwargs)', dynamic=False)
def constructor(subject: Subject) -> Iterator[Problem]:
    driver_class = _class(subject)
    found = raw(driver_class, '__init__')
    try:
        parameters = list(inspect.signature(inspect.unwrap(found)).parameters.values())[1:]
    except (TypeError, ValueError):
        return
    if found is raw(object, '__init__') or not any(each.kind is each.VAR_KEYWORD for each in parameters):
        yield Problem('__init__ takes no **kwargs')
    passed = {'storage_id', 'vendor', 'model', 'verify'}        # always; sections only if they were given
    for each in parameters:
        variable = each.kind in (each.VAR_KEYWORD, each.VAR_POSITIONAL)
        if each.kind is each.POSITIONAL_ONLY or (not variable and each.default is each.empty
                                                 and each.name not in passed):
            yield Problem(f'__init__ needs {each.name}')


@rule('S08', 'No list, dict or set as a default argument: all calls, of all arrays, would share it',
      'use None as default and make it inside', dynamic=False)
def defaults(subject: Subject) -> Iterator[Problem]:
    for owner in _classes(_class(subject)):
        for attribute in vars(owner).values():
            function = function_of(attribute)
            if inspect.isfunction(function):
                for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
                    if isinstance(value, _SHARED):
                        yield Problem(f'{owner.__name__}.{function.__name__} has a {type(value).__name__} as default')


@rule('S09', 'The class says what it is: doc string, PROTOCOLS, MAX_CONCURRENT_CALLS, options, levels',
      'see the doc string of delfin.drivers.driver.StorageDriver', dynamic=False)
def metadata(subject: Subject) -> Iterator[Problem]:
    driver_class = _class(subject)
    if not (driver_class.__doc__ or '').strip() or driver_class.__doc__ == StorageDriver.__doc__:
        yield Problem('the class has no doc string; its first line is what clients are shown')
    protocols = getattr(driver_class, 'PROTOCOLS', ())
    if not isinstance(protocols, list | tuple) or not set(protocols) <= set(ACCESS_TYPE):
        yield Problem(f'PROTOCOLS is {protocols!r}, not a tuple of {", ".join(ACCESS_TYPE)}')
    elif not protocols:
        yield remark('PROTOCOLS is not set: clients cannot see which access sections it needs')
    at_once = getattr(driver_class, 'MAX_CONCURRENT_CALLS', 1)
    if type(at_once) is not int or at_once < 1:
        yield Problem(f'MAX_CONCURRENT_CALLS is {at_once!r}, not a whole number from 1')
    claims = getattr(driver_class, 'COMPLIANCE_LEVELS', ())
    if not isinstance(claims, list | tuple | set | frozenset) or not set(map(str, claims)) <= set(Level):
        yield Problem(f'COMPLIANCE_LEVELS is {claims!r}, not a tuple of {", ".join(Level)}')
    elif not claims:
        yield remark('COMPLIANCE_LEVELS is not set: judged as Core')
    yield from _options(driver_class)


def _options(driver_class: type) -> Iterator[Problem]:
    describe = getattr(driver_class, 'get_driver_options', None)
    try:
        options = describe() if callable(describe) else {}
    except Exception as error:      # third-party code
        yield Problem(f'raises {type(error).__name__}', 'get_driver_options')
        return
    if not isinstance(options, Mapping):
        yield Problem(f'returns {type(options).__name__}, not a dict of dicts', 'get_driver_options')
        return
    for option, facts in options.items():
        if not isinstance(option, str) or not isinstance(facts, Mapping):
            yield Problem(f'{option!r} is not described by a dict', 'get_driver_options')
            continue
        for fact, value in facts.items():
            if fact not in _OPTION_KEYS or not isinstance(value, _OPTION_KEYS[fact]):
                yield Problem(f'{option}: {fact} is not one of '
                              f'{", ".join(f"{key} ({kind.__name__})" for key, kind in _OPTION_KEYS.items())}',
                              'get_driver_options')


@rule('S10', 'It does not print and leaves the set-up of logging alone',
      'use logging.getLogger(__name__)', dynamic=False)
def quiet(subject: Subject) -> Iterator[Problem]:
    for owner, tree in _sources(_class(subject)):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in ('print', 'logging.basicConfig', 'basicConfig'):
                    yield Problem(f'{owner.__name__} calls {called}()')


@rule('S11', 'No list method swallows an error: an empty answer after a failure looks like an empty array',
      'let the error pass, or raise one of delfin.exception', dynamic=False)
def errors_pass(subject: Subject) -> Iterator[Problem]:
    for owner, tree in _sources(_class(subject)):
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef) and function.name in _LISTS:
                for handler in ast.walk(function):
                    if isinstance(handler, ast.ExceptHandler) and _is_broad(handler) and _does_nothing(handler):
                        yield Problem(f'{owner.__name__} goes on after '
                                      f'`except {ast.unparse(handler.type) if handler.type else ""}`'.rstrip(),
                                      function.name)


def _is_broad(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(ast.unparse(each).rpartition('.')[2] in _BROAD for each in types)


def _does_nothing(handler: ast.ExceptHandler) -> bool:
    """Whether it only logs, takes or answers something empty, or goes on."""
    return all(_is_nothing(statement) for statement in handler.body)


def _is_nothing(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Continue() | ast.Break() | ast.Return(value=None | ast.Name()):
            return True
        case ast.Return(value=ast.expr() as value) | ast.Assign(value=ast.expr() as value):
            return ast.unparse(value) in _EMPTY
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr=name))):
            return name in _LOGGING
    return False


@rule('S12', 'What a claimed level needs is implemented',
      'implement it, or do not claim the level in COMPLIANCE_LEVELS', dynamic=False)
def claims(subject: Subject) -> Iterator[Problem]:
    driver_class = _class(subject)
    levels = claimed(driver_class)
    for method in METHODS.values():
        if method.required and not method.abstract and method.level in levels \
                and not implemented(driver_class, method.name):
            yield Problem(f'is not implemented, but the level {method.level} is claimed', method.name)


def _classes(driver_class: type) -> Iterator[type]:
    """The class and its bases as far as they are a driver's."""
    for owner in driver_class.__mro__:
        if owner is not StorageDriver and owner.__module__ not in ('builtins', 'abc', 'typing'):
            yield owner


def _sources(driver_class: type) -> Iterator[tuple[type, ast.AST]]:
    for owner in _classes(driver_class):
        tree = _source(owner)
        if tree is not None:
            yield owner, tree


@functools.lru_cache(maxsize=64)
def _source(owner: type) -> ast.AST | None:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(owner)))
    except (OSError, TypeError, SyntaxError):       # made at run time, or shipped without source
        return None
