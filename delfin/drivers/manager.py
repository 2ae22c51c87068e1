# SPDX-License-Identifier: Apache-2.0
"""Finds driver classes: entry points of the group `delfin.storage.drivers`, by their exact name "vendor model".

A name from a request is only compared with the names that packages have declared; it never reaches an import. A
package that cannot be loaded is reported in the list of drivers and the log, and disturbs no other.
"""

from __future__ import annotations

import inspect
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.metadata import EntryPoint
from typing import Any

from stevedore import ExtensionManager

from delfin import capabilities, exception
from delfin.context import get_admin_context
from delfin.drivers import calling
from delfin.drivers.driver import DRIVER_API, StorageDriver

LOG = logging.getLogger(__name__)

NAMESPACE = 'delfin.storage.drivers'
_REQUIRED = tuple(sorted(StorageDriver.__abstractmethods__))


@dataclass(frozen=True, slots=True)
class DriverEntry:
    """One declared driver: what `GET /v1/drivers` shows. `error` says why it cannot be used."""

    name: str
    package: str
    version: str
    target: str
    description: str | None = None
    api: str | None = None
    error: str | None = None

    def view(self) -> dict[str, Any]:
        """The JSON form."""
        vendor, _, model = self.name.partition(' ')
        return {'name': self.name, 'vendor': vendor, 'model': model, 'package': self.package, 'version': self.version,
                'class': self.target, 'driver_api': self.api, 'description': self.description,
                'status': 'error' if self.error else 'ok', 'error': self.error}


class DriverManager:
    """The declared drivers. Classes are loaded when they are first asked for and remembered."""

    def __init__(self, namespace: str = NAMESPACE) -> None:
        self._namespace = namespace
        self._classes: dict[str, type] = {}

    def names(self) -> list[str]:
        """Every declared name, loadable or not."""
        return sorted(self._entry_points())

    def get_class(self, vendor: str, model: str) -> type:
        """The class registered as "vendor model"; `StorageDriverNotFound` for an unknown or unusable one."""
        name = f'{vendor} {model}'
        if name in self._classes:
            return self._classes[name]
        declared = self._entry_points().get(name)
        if declared is None:
            raise exception.StorageDriverNotFound(name)
        driver_class, error = _load(declared[0])
        if driver_class is None:
            LOG.error('driver "%s" of package %s cannot be used: %s', name,
                      _packages(self._namespace)[name, declared[0].value][0], error)
            raise exception.StorageDriverNotFound(
                name, message=f"Storage driver '{name}' could not be loaded: {error}.")
        self._classes[name] = driver_class
        return driver_class

    def listing(self) -> list[DriverEntry]:
        """Every declared driver with what is wrong with it. Imports them all."""
        return self._listing(self._entry_points())

    def _listing(self, found: Mapping[str, Sequence[EntryPoint]]) -> list[DriverEntry]:
        packages = _packages(self._namespace)
        result = []
        for name, declared in sorted(found.items()):
            for position, entry_point in enumerate(declared):
                driver_class, error = _load(entry_point)
                if len(name.split(' ')) != 2:
                    error = 'the name must be "<vendor> <model>", two words with one blank between'
                elif position:
                    first, _ = packages[name, declared[0].value]
                    error = f'the name is declared twice; the one of package {first} is used'
                package, version = packages[name, entry_point.value]
                result.append(DriverEntry(
                    name, package, version, entry_point.value, _description(driver_class),
                    getattr(driver_class, 'DRIVER_API', DRIVER_API) if driver_class else None, error))
        return result

    def describe(self, vendor: str, model: str) -> dict[str, Any]:
        """One declared driver with options, access types and capabilities; `StorageDriverNotFound` if there is none."""
        name = f'{vendor} {model}'
        declared = self._entry_points().get(name)
        if declared is None:
            raise exception.StorageDriverNotFound(name)
        entries = self._listing({name: declared})
        shown = entries[0].view()
        if entries[0].error is None:
            driver_class = self.get_class(vendor, model)
            shown |= {
                'documentation': inspect.cleandoc(driver_class.__doc__ or '') or None,
                'access_types': list(getattr(driver_class, 'PROTOCOLS', ())) or None,
                'options': {option: dict(facts) for option, facts in options_of(driver_class).items()},
                'capabilities': capabilities_of(driver_class),
            }
        return shown

    def report_problems(self) -> None:
        """One log line for each declared driver that cannot be used."""
        for entry in self.listing():
            if entry.error:
                LOG.error('driver "%s" of package %s cannot be used: %s', entry.name, entry.package, entry.error)

    def _entry_points(self) -> dict[str, list[EntryPoint]]:
        """Declared entry points by name. Of two with one name Delfin's own comes first, then by package name."""
        found: dict[str, list[EntryPoint]] = {}
        for entry_point in _Scan(self._namespace).list_entry_points():
            same = found.setdefault(entry_point.name, [])
            # One package shows up twice when an editable install lies over another one.
            if entry_point.value not in {known.value for known in same}:
                same.append(entry_point)
        twice = [same for same in found.values() if len(same) > 1]
        if twice:
            packages = _packages(self._namespace)
            for same in twice:
                same.sort(key=lambda entry_point: _rank(packages[entry_point.name, entry_point.value]))
        return found


def set_log_levels(levels: Mapping[str, str], namespace: str = NAMESPACE) -> None:
    """Give the loggers of drivers the levels that `levels` has by their names. Imports no driver."""
    declared = {entry_point.name: entry_point.value for entry_point in _Scan(namespace).list_entry_points()}
    for name, level in levels.items():
        if name in declared:
            logging.getLogger(logger_name(declared[name])).setLevel(level.upper())
        else:
            LOG.warning('[drivers] log_levels names the driver "%s", which is not installed', name)


def logger_name(target: str) -> str:
    """The logger above all of a driver's, from the target of its entry point."""
    module = target.partition(':')[0].strip().split('.')
    return '.'.join(module[:3]) if module[0] == 'delfin' else module[0]


class _Scan(ExtensionManager):
    """stevedore's manager used for its cached scan of entry points only: constructing it imports nothing."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace


def _packages(namespace: str) -> Mapping[tuple[str, str], tuple[str, str]]:
    """Name and version of the packages that declare entry points, by name and value of these (stevedore's cache does
    not keep them). Reads the metadata of everything that is installed: once for many.
    """
    found: dict[tuple[str, str], tuple[str, str]] = defaultdict(lambda: ('unknown', 'unknown'))
    for declared in metadata.entry_points(group=namespace):
        if declared.dist:
            found.setdefault((declared.name, declared.value), (declared.dist.metadata['Name'], declared.dist.version))
    return found


def _rank(package: tuple[str, str]) -> tuple[bool, str, str]:
    return package[0] != 'delfin', *package


def _load(entry_point: EntryPoint) -> tuple[type | None, str | None]:
    """The class, or why there is none. Third-party code runs here: it may raise anything, even SystemExit."""
    try:
        driver_class = entry_point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return None, f'{type(error).__name__}: {error}'.rstrip(': ')
    problem = _conformance(driver_class)
    return (None, problem) if problem else (driver_class, None)


def _conformance(driver_class: Any) -> str | None:
    """Why an object cannot serve as a driver class; None when it can."""
    if not inspect.isclass(driver_class):
        return 'the entry point does not name a class'
    missing = [name for name in _REQUIRED if not callable(getattr(driver_class, name, None))]
    abstract = sorted(set(getattr(driver_class, '__abstractmethods__', ())) | set(missing))
    if abstract:
        return f'the class lacks {", ".join(abstract)}'
    declared = str(getattr(driver_class, 'DRIVER_API', DRIVER_API))
    if declared.partition('.')[0] != DRIVER_API.partition('.')[0]:
        return f'it is written for driver contract {declared}; this Delfin has {DRIVER_API}'
    return None


def _description(driver_class: type | None) -> str | None:
    text = inspect.getdoc(driver_class) if driver_class and driver_class.__doc__ else None
    return text.strip().splitlines()[0] if text and text.strip() else None


def capabilities_of(driver_class: type) -> Any:
    """What the class says it can measure, where it says so without an instance, and what is wrong with that."""
    try:
        spec = calling.call_without_instance(driver_class, 'get_capabilities', '', get_admin_context(), None)
    except Exception as error:      # third-party code
        LOG.debug('get_capabilities() of %s needs an instance: %s', driver_class, error)
        return None
    if not spec:
        return None
    able, findings = capabilities.read(spec)
    return {**able.document(), 'findings': findings.listing()}


def options_of(driver_class: type) -> Mapping[str, Mapping[str, Any]]:
    """What the driver says of its extra attributes; nothing for drivers that say nothing (or raise)."""
    describe = getattr(driver_class, 'get_driver_options', None)
    try:
        options = describe() if describe else {}
    except Exception as error:      # third-party code
        LOG.warning('get_driver_options() of %s failed: %s', driver_class, error)
        return {}
    if not isinstance(options, Mapping):
        return {}
    return {name: option if isinstance(option, Mapping) else {} for name, option in options.items()}
