# SPDX-License-Identifier: Apache-2.0
"""A make-believe array: to play with, and the instrument of our tests.

Register it as vendor `fake_storage`, model `fake_driver`, with any address and password. It has everything: all kinds,
alerts, metrics. The same options and the same endpoint make the same array in every process; another endpoint makes
another array. `extra_attributes` size it, age it (`epoch`), slow it down and make it misbehave, and a `control_file`
does so while a service runs; `options` describes them all.

`options` and `control` read what is wanted, `model` and `recipes` make the rows, `capacity` their sums, `alerts` and
`metrics` the rest, and `misbehaviour` stands between all of them and the caller. `simulator` is for
`delfin-compliance`.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from delfin import cryptor, exception
from delfin.common import constants
from delfin.drivers import driver
from delfin.drivers.driver import Row
from delfin.drivers.fake_storage import alerts, metrics, options
from delfin.drivers.fake_storage.control import ControlFile
from delfin.drivers.fake_storage.misbehaviour import Stage, call, call_without_login, misbehave_statically
from delfin.drivers.fake_storage.model import FakeArray, Identity, Listing, first_section
from delfin.drivers.fake_storage.options import Settings
from delfin.drivers.fake_storage.recipes import RECIPES, SIZE_OF_KIND
from delfin.kinds import KINDS

_ACCESS = ('extra_attributes', *constants.ACCESS_TYPE)


# The two makers of `list_*` methods return Any because the base class, not they, states the methods' types.

def _list_rows(kind: str) -> Any:
    """The `list_*` method of a kind."""
    def list_rows(self: FakeStorageDriver, context: Any) -> Any:
        return self.array().rows(SIZE_OF_KIND[kind])
    return _method(KINDS[kind].method, list_rows)


def _list_groups(kind: str) -> Any:
    """The `list_*` method of a kind that answers groups and their members."""
    def list_groups(self: FakeStorageDriver, context: Any) -> Any:
        array, size = self.array(), SIZE_OF_KIND[kind]
        relation, pairs = array.relations(size)
        return {kind: array.rows(size), relation.answer_key: pairs}
    return _method(KINDS[kind].method, list_groups)


def _method(name: str, function: Callable[..., Any]) -> Any:
    function.__name__ = name
    function.__qualname__ = f'FakeStorageDriver.{name}'
    function.__doc__ = getattr(driver.StorageDriver, name).__doc__
    return call(function)


class FakeStorageDriver(driver.StorageDriver):
    """Driver of the make-believe array."""

    PROTOCOLS = tuple(constants.ACCESS_TYPE)
    COMPLIANCE_LEVELS = ('Core', 'Inventory', 'NAS', 'Mapping', 'Alerts', 'Performance')

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._access: dict[str, Any] = {}       # sections and extra_attributes, as last given
        self._cleared: frozenset[str] = frozenset()
        self._trap_receivers: tuple[Mapping[str, Any], ...] = ()
        self._array: FakeArray | None = None
        self._control = self._configured(kwargs)
        self.stage = Stage(lambda: self._control.settings(), self._password)
        self.stage.fail('init')

    @classmethod
    def get_driver_options(cls) -> Mapping[str, Mapping[str, Any]]:
        """Everything `extra_attributes` may contain."""
        return options.describe()

    def _configured(self, access: Mapping[str, Any]) -> ControlFile:
        """Take over access sections; the options found in them, which are checked first."""
        settings = Settings.parse(access.get('extra_attributes'), cryptor.decode)
        self._access = {name: dict(access[name]) for name in _ACCESS if access.get(name)}
        return ControlFile(settings)

    def array(self) -> FakeArray:
        """The array in the state that the options ask for now."""
        settings = self._control.settings()
        identity = Identity.of(settings, self._access)
        array = self._array
        if array is None or array.settings != settings or array.identity != identity:
            array = self._array = FakeArray(settings, identity, RECIPES)
        return array

    # --- session ---

    def _password(self) -> str:
        encoded = first_section(self._access).get('password')
        return cryptor.decode(encoded) if encoded else ''

    def log_in(self) -> None:
        """Check the password, as every call does: the array keeps no session."""
        expected = self._control.settings()['login_password']
        if expected and self._password() != expected:
            raise exception.InvalidUsernameOrPassword()

    @call_without_login
    def reset_connection(self, context: Any, **kwargs: Any) -> None:
        """Let hanging calls fail, and use the access information in `kwargs` from now on."""
        self.stage.reset()
        if any(name in kwargs for name in _ACCESS):
            self._control = self._configured({**self._access, **kwargs})

    @call_without_login
    def delete_storage(self, context: Any) -> None:
        """Let hanging calls fail."""
        self.stage.reset()

    # --- inventory ---

    @call
    def get_storage(self, context: Any) -> Row:
        """The array itself."""
        return self.array().storage()

    list_storage_pools = _list_rows('storage_pools')
    list_volumes = _list_rows('volumes')
    list_controllers = _list_rows('controllers')
    list_ports = _list_rows('ports')
    list_disks = _list_rows('disks')
    list_quotas = _list_rows('quotas')
    list_filesystems = _list_rows('filesystems')
    list_qtrees = _list_rows('qtrees')
    list_shares = _list_rows('shares')
    list_storage_host_initiators = _list_rows('storage_host_initiators')
    list_storage_hosts = _list_rows('storage_hosts')
    list_storage_host_groups = _list_groups('storage_host_groups')
    list_port_groups = _list_groups('port_groups')
    list_volume_groups = _list_groups('volume_groups')
    list_masking_views = _list_rows('masking_views')

    # --- alerts ---

    @property
    def trap_receivers(self) -> tuple[Mapping[str, Any], ...]:
        """The receivers configured with `add_trap_config`."""
        return self._trap_receivers

    @call
    def add_trap_config(self, context: Any, trap_config: Mapping[str, Any]) -> None:
        """Remember a receiver; the same one twice counts once."""
        if trap_config not in self._trap_receivers:
            self._trap_receivers += (dict(trap_config),)

    @call
    def remove_trap_config(self, context: Any, trap_config: Mapping[str, Any]) -> None:
        """Forget a receiver, if it is known."""
        # By their places: secrets are encoded anew each time.
        self._trap_receivers = tuple(known for known in self._trap_receivers if _place(known) != _place(trap_config))

    @staticmethod
    def parse_alert(context: Any, alert: Mapping[str, str]) -> Row | None:
        """One trap to one alert; the OIDs stand in `alerts`."""
        action = alerts.asked_to_misbehave(alert)
        return misbehave_statically(action, 'parse_alert') if action else alerts.parse(alert)

    def _alerts(self) -> Iterator[Row]:
        """What is wrong now, less what was cleared."""
        return (alert for alert in self.array().rows('alerts') if alert['sequence_number'] not in self._cleared)

    @call
    def list_alerts(self, context: Any, query_para: Mapping[str, Any] | None = None) -> Any:
        """Current alerts, those from `begin_time` to `end_time` if given (both included)."""
        window = alerts.Window.of(query_para)
        return Listing(lambda: (alert for alert in self._alerts() if alert['occur_time'] in window),
                       table=alerts.TABLE)

    @call
    def clear_alert(self, context: Any, sequence_number: str) -> None:
        """Take an alert out of the list for the life of this instance."""
        number = str(sequence_number)
        if not any(alert['sequence_number'] == number for alert in self._alerts()):
            raise exception.StorageClearAlertFailed(f'There is no alert {number}.')
        self._cleared |= {number}

    @call
    def get_alert_sources(self, context: Any) -> Any:
        """The endpoint, if it is an address, and the controllers' management addresses."""
        array = self.array()
        hosts = [row['mgmt_ip'] for row in array.rows('controllers')]
        if _is_address(array.identity.host):
            hosts.insert(0, array.identity.host)
        return Listing(lambda: ({'host': host} for host in hosts), table=alerts.SOURCES_TABLE)

    # --- performance ---

    @staticmethod
    def get_capabilities(context: Any, filters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """All metrics that `delfin.common.constants` knows for each resource type."""
        return metrics.capabilities()

    @call
    def collect_perf_metrics(self, context: Any, storage_id: str, resource_metrics: Mapping[str, Any],
                             start_time: int, end_time: int) -> Any:
        """The samples in [start_time, end_time) that exist by now."""
        interval = self._sample_interval_ms()
        times = metrics.sample_times(start_time, end_time, self._newest_sample(interval), interval)
        return metrics.collect(self.array(), storage_id, resource_metrics, times)

    @call
    def get_latest_perf_timestamp(self, context: Any) -> int:
        """Time of the newest sample, by the array's clock."""
        return self._newest_sample(self._sample_interval_ms())

    def _sample_interval_ms(self) -> int:
        return int(self._control.settings()['sample_interval_seconds']) * 1000

    def _newest_sample(self, interval: int) -> int:
        skew = int(self._control.settings()['clock_skew_seconds']) * 1000
        return (int(time.time() * 1000) + skew) // interval * interval


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _place(trap_config: Mapping[str, Any]) -> tuple[Any, Any]:
    return trap_config.get('host'), trap_config.get('port')
