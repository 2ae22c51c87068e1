# SPDX-License-Identifier: Apache-2.0
"""The clean driver once for each rule, with one defect that breaks this rule and no other.

A catalogue to look things up in, in the order of the rules; hence its length.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from delfin import exception
from delfin.common.constants import metric_struct
from delfin.drivers.driver import StorageDriver
from delfin.drivers.fake_storage import FakeStorageDriver
from delfin.kinds import KINDS
from tests.compliance.toy import CleanDriver

LOG = logging.getLogger(__name__)

BROKEN: list[tuple[str, type]] = []


def breaks(rule: str) -> Callable[[type], type]:
    def register(driver_class: type) -> type:
        # What every driver has; the doc string is not what is to be found.
        driver_class.__doc__ = 'Driver of the toy array.'
        BROKEN.append((rule, driver_class))
        return driver_class
    return register


# --- the class ---

@breaks('S03')
class OfTheFuture(CleanDriver):
    DRIVER_API = '2.0'


@breaks('S04')
class WithoutClear(CleanDriver):
    clear_alert = None


@breaks('S05')
class WantsMore(CleanDriver):
    def add_storage(self, kwargs, page):
        return None


@breaks('S05')
class WantsKeyword(CleanDriver):
    def add_storage(self, kwargs, *, page):
        return None


@breaks('S06')
class Coroutine(CleanDriver):
    async def add_storage(self, kwargs):
        return None


@breaks('S06')
class Property(CleanDriver):
    @property
    def add_storage(self):
        return None


@breaks('S07')
class ClosedConstructor(CleanDriver):
    def __init__(self, storage_id=None, vendor=None, model=None, verify=True, rest=None, extra_attributes=None):
        super().__init__(storage_id=storage_id, rest=rest, extra_attributes=extra_attributes)


@breaks('S08')
class SharedDefault(CleanDriver):
    def add_storage(self, kwargs, seen=[]):     # noqa: B006
        seen.append(kwargs)


@breaks('S09')
class UnknownProtocol(CleanDriver):
    PROTOCOLS = ('telnet',)


@breaks('S09')
class UnknownLevel(CleanDriver):
    COMPLIANCE_LEVELS = (*CleanDriver.COMPLIANCE_LEVELS, 'Everything')


@breaks('S09')
class StrangeOptions(CleanDriver):
    @classmethod
    def get_driver_options(cls):
        return {'flavour': {'description': 'sweet or sour', 'secret': 'no'}, **super().get_driver_options()}


@breaks('S10')
class Prints(CleanDriver):
    def add_storage(self, kwargs):
        print(kwargs)


@breaks('S11')
class Swallows(CleanDriver):
    def collect_perf_metrics(self, context, storage_id, resource_metrics, start_time, end_time):
        try:
            return super().collect_perf_metrics(context, storage_id, resource_metrics, start_time, end_time)
        except Exception:
            return []


@breaks('S11')
class LogsAndGoesOn(CleanDriver):
    def collect_perf_metrics(self, context, storage_id, resource_metrics, start_time, end_time):
        found = []
        try:
            found = super().collect_perf_metrics(context, storage_id, resource_metrics, start_time, end_time)
        except exception.DelfinException as error:
            LOG.error('no metrics: %s', error)
        return found


@breaks('S12')
class ClaimsTooMuch(CleanDriver):
    list_masking_views = StorageDriver.list_masking_views


# --- rows ---

class Spoilt(CleanDriver):
    """`spoil` changes the rows of one kind."""

    def list_disks(self, context):
        return self.spoil('disks', list(super().list_disks(context)))

    def list_ports(self, context):
        return self.spoil('ports', list(super().list_ports(context)))

    def list_shares(self, context):
        return self.spoil('shares', list(super().list_shares(context)))

    def list_volumes(self, context):
        return self.spoil('volumes', list(super().list_volumes(context)))

    def spoil(self, kind, rows):
        return rows


@breaks('R01')
class NoneForNothing(CleanDriver):
    def list_qtrees(self, context):
        super().list_qtrees(context)


@breaks('R01')
class TextForARow(Spoilt):
    def spoil(self, kind, rows):
        return [*rows, 'and so on'] if kind == 'shares' else rows


@breaks('R01')
class OneListOfGroups(CleanDriver):
    def list_port_groups(self, context):
        return super().list_port_groups(context)['port_groups']


@breaks('R02')
class WithoutId(Spoilt):
    def spoil(self, kind, rows):
        if kind == 'shares':
            del rows[0]['native_share_id']
        return rows


@breaks('R03')
class CapacityInWords(Spoilt):
    def spoil(self, kind, rows):
        return [{**row, 'capacity': '12 GB'} for row in rows] if kind == 'disks' else rows


@breaks('R04')
class Gibibytes(Spoilt):
    def spoil(self, kind, rows):
        return [{**row, 'capacity': row['capacity'] // 2**30} for row in rows] if kind == 'disks' else rows


@breaks('R04')
class Kilobits(Spoilt):
    """Nobody sees this who does not know better: 32 Gbit/s as 32 Mbit/s."""

    def spoil(self, kind, rows):
        return [{**row, 'max_speed': row['max_speed'] // 1000} for row in rows] if kind == 'ports' else rows


@breaks('R05')
class RosyDisks(Spoilt):
    def spoil(self, kind, rows):
        return [{**row, 'status': 'rosy'} for row in rows] if kind == 'disks' else rows


@breaks('R06')
class NotAvailable(Spoilt):
    def spoil(self, kind, rows):
        return [{**row, 'description': 'N/A'} for row in rows] if kind == 'volumes' else rows


@breaks('R06')
class MinusOne(Spoilt):
    def spoil(self, kind, rows):
        return [{**row, 'speed': -1} for row in rows] if kind == 'disks' else rows


@breaks('R07')
class Colourful(Spoilt):
    def spoil(self, kind, rows):
        return [{**row, 'colour': 'red'} for row in rows] if kind == 'volumes' else rows


@breaks('R08')
class Twice(Spoilt):
    def spoil(self, kind, rows):
        return [*rows, dict(rows[0])] if kind == 'shares' else rows


@breaks('R09')
class Dangling(Spoilt):
    def spoil(self, kind, rows):
        return [{**row, 'native_filesystem_id': 'nowhere'} for row in rows] if kind == 'shares' else rows


@breaks('R10')
class WrongColumn(Spoilt):
    def spoil(self, kind, rows):
        return [{**row, 'used_capacity': row['free_capacity']} for row in rows] if kind == 'volumes' else rows


@breaks('R11')
class NoAddress(Spoilt):
    def spoil(self, kind, rows):
        return [{**row, 'ipv4': '10.0.0.300'} for row in rows] if kind == 'ports' else rows


@breaks('R12')
class Remembers(Spoilt):
    remembered = None

    def spoil(self, kind, rows):
        if kind != 'disks':
            return rows
        self.remembered = self.remembered or rows
        return self.remembered


@breaks('R13')
class LastPageLost(Spoilt):
    def spoil(self, kind, rows):
        return rows[:-1] if kind == 'shares' else rows


@breaks('R13')
class WrongName(Spoilt):
    def spoil(self, kind, rows):
        return [{**row, 'name': row['native_share_id']} for row in rows] if kind == 'shares' else rows


@breaks('R14')
class Renumbers(Spoilt):
    asked = False

    def spoil(self, kind, rows):
        if kind == 'shares' and self.asked:
            rows = [{**row, 'native_share_id': f'new-{row["native_share_id"]}'} for row in rows]
        self.asked = self.asked or kind == 'shares'
        return rows


# --- capabilities and metrics ---

@breaks('C01')
class LongRetention(CleanDriver):
    @staticmethod
    def get_capabilities(context, filters=None):
        return {**FakeStorageDriver.get_capabilities(context), 'performance_metric_retention_window': 'long'}


@breaks('C02')
class Speediness(CleanDriver):
    @staticmethod
    def get_capabilities(context, filters=None):
        able = FakeStorageDriver.get_capabilities(context)
        able['resource_metrics']['volume']['speediness'] = {'unit': 'km/h', 'description': ''}
        return able


@breaks('C02')
class Microseconds(CleanDriver):
    @staticmethod
    def get_capabilities(context, filters=None):
        able = FakeStorageDriver.get_capabilities(context)
        able['resource_metrics']['volume']['responseTime']['unit'] = 'us'
        return able


class Measured(CleanDriver):
    """`measure` asks, `change` makes something of each series."""

    def collect_perf_metrics(self, context, storage_id, resource_metrics, start_time, end_time):
        found = super().collect_perf_metrics(context, storage_id, resource_metrics, start_time, end_time)
        return [changed for changed in map(self.change, found) if changed is not None]

    def change(self, series):
        return series


@breaks('C03')
class NoProcessor(Measured):
    def change(self, series):
        return None if series.name == 'cpuUsage' else series


@breaks('C04')
class TellsAll(CleanDriver):
    def collect_perf_metrics(self, context, storage_id, resource_metrics, start_time, end_time):
        everything = self.get_capabilities(context)['resource_metrics']
        return super().collect_perf_metrics(context, storage_id, everything, start_time, end_time)


@breaks('C05')
class MoreThanAll(Measured):
    def change(self, series):
        if series.name != 'cacheHitRatio':
            return series
        return metric_struct(series.name, series.labels, {time: value + 100 for time, value in series.values.items()})


@breaks('C05')
class LessThanNothing(Measured):
    def change(self, series):
        return metric_struct(series.name, series.labels, {time: -value for time, value in series.values.items()})


@breaks('C05')
class LateForTheParty(Measured):
    """Adds a point of tomorrow."""

    def change(self, series):
        values = {**series.values, int(time.time() * 1000) + 86_400_000: 1.0}
        return metric_struct(series.name, series.labels, values)


@breaks('C06')
class ByName(Measured):
    def change(self, series):
        if series.labels['resource_type'] == 'volume':
            series.labels['resource_id'] = series.labels['resource_name']
        return series


@breaks('C07')
class Forgetful(CleanDriver):
    def collect_perf_metrics(self, context, storage_id, resource_metrics, start_time, end_time):
        start_time = max(start_time, int((time.time() - 1800) * 1000))
        return super().collect_perf_metrics(context, storage_id, resource_metrics, start_time, end_time)


@breaks('C08')
class ExcludesTheStart(CleanDriver):
    def collect_perf_metrics(self, context, storage_id, resource_metrics, start_time, end_time):
        return super().collect_perf_metrics(context, storage_id, resource_metrics, start_time + 1, end_time)


@breaks('C09')
class NotToday(CleanDriver):
    def list_ports(self, context):
        raise exception.StorageBackendException('not today')


@breaks('C09')
class Hesitant(CleanDriver):
    asked = False

    def list_quotas(self, context):
        if not self.asked:
            self.asked = True
            raise NotImplementedError('ask again')
        return super().list_quotas(context)


@breaks('C10')
class Seconds(CleanDriver):
    def get_latest_perf_timestamp(self, context):
        return super().get_latest_perf_timestamp(context) // 1000


# --- alerts ---

@breaks('A01')
class OwnType(CleanDriver):
    def list_alerts(self, context, query_para=None):
        return [{**row, 'type': 'Mishap'} for row in super().list_alerts(context, query_para)]


@breaks('A01')
class FromTheFuture(CleanDriver):
    def list_alerts(self, context, query_para=None):
        rows = super().list_alerts(context)
        later = [{**row, 'occur_time': row['occur_time'] + 100 * 365 * 86_400_000} for row in rows]
        if query_para is None:
            return later
        return [row for row in later if query_para['begin_time'] <= row['occur_time'] <= query_para['end_time']]


@breaks('A02')
class WritesIntoTraps(CleanDriver):
    @staticmethod
    def parse_alert(context, alert):
        parsed = FakeStorageDriver.parse_alert(context, alert)
        alert['seen'] = 'yes'
        return parsed


@breaks('A02')
class TrustsTraps(CleanDriver):
    @staticmethod
    def parse_alert(context, alert):
        if not alert['1.3.6.1.6.3.1.1.4.1.0']:
            return None
        return FakeStorageDriver.parse_alert(context, alert)


@breaks('A03')
class AnonymousRecovery(CleanDriver):
    @staticmethod
    def parse_alert(context, alert):
        parsed = FakeStorageDriver.parse_alert(context, alert)
        if parsed and parsed['category'] == 'Recovery':
            for name in ('match_key', 'sequence_number', 'location'):
                parsed.pop(name, None)
        return parsed


@breaks('A04')
class ExcludesTheEnd(CleanDriver):
    def list_alerts(self, context, query_para=None):
        rows = super().list_alerts(context, query_para)
        return [row for row in rows if query_para is None or row['occur_time'] < query_para['end_time']]


@breaks('A05')
class ClearsNothing(CleanDriver):
    def clear_alert(self, context, sequence_number):
        if not any(row['sequence_number'] == sequence_number for row in self.list_alerts(context)):
            super().clear_alert(context, sequence_number)


@breaks('A05')
class ClearsAnything(CleanDriver):
    def clear_alert(self, context, sequence_number):
        if any(row['sequence_number'] == sequence_number for row in self.list_alerts(context)):
            super().clear_alert(context, sequence_number)


@breaks('A06')
class OnlyOnce(CleanDriver):
    def add_trap_config(self, context, trap_config):
        if any(known['host'] == trap_config['host'] for known in self.trap_receivers):
            raise exception.StorageBackendException('this receiver is there already')
        super().add_trap_config(context, trap_config)


@breaks('A07')
class AllTheSame(CleanDriver):
    def list_alerts(self, context, query_para=None):
        return [{**row, 'match_key': 'alert'} for row in super().list_alerts(context, query_para)]


@breaks('A08')
class Addresses(CleanDriver):
    def get_alert_sources(self, context):
        return [{'address': row['host']} for row in super().get_alert_sources(context)]


# --- instances ---

@breaks('I01')
class OneForAll(CleanDriver):
    known = None

    def get_storage(self, context):
        row = super().get_storage(context)
        if OneForAll.known is None:
            OneForAll.known = row
        return dict(OneForAll.known)


@breaks('I02')
class OneAtATime(CleanDriver):
    """Notes in the instance what was asked for; see below."""

    asked = ''


def _noted(name: str) -> Any:
    def method(self, context):
        self.asked = name
        time.sleep(0.001)
        return getattr(super(OneAtATime, self), self.asked)(context)
    return method


for _kind in KINDS:
    setattr(OneAtATime, _kind.method, _noted(_kind.method))


@breaks('I03')
class Empties(CleanDriver):
    def collect_perf_metrics(self, context, storage_id, resource_metrics, start_time, end_time):
        found = super().collect_perf_metrics(context, storage_id, resource_metrics, start_time, end_time)
        resource_metrics.clear()
        return found


@breaks('I04')
class LeavesAThread(CleanDriver):
    def delete_storage(self, context):
        super().delete_storage(context)
        threading.Thread(target=time.sleep, args=(2,), name='left behind', daemon=True).start()


@breaks('I05')
class Stubborn(CleanDriver):
    def reset_connection(self, context, **kwargs):
        super().reset_connection(context)


@breaks('I06')
class StaysLoggedIn(CleanDriver):
    def delete_storage(self, context):
        FakeStorageDriver.delete_storage(self, context)


# --- errors ---

@breaks('E01')
class VaguePassword(CleanDriver):
    def refuse(self, error):
        if error == 'password':
            raise exception.StorageBackendException('no')
        super().refuse(error)


@breaks('E02')
class VagueHost(CleanDriver):
    def exchange(self, address, timeout, line):
        try:
            return super().exchange(address, timeout, line)
        except ConnectionRefusedError:
            raise exception.StorageBackendException('it did not work') from None


@breaks('E04')
class Credulous(CleanDriver):
    def understand(self, line):
        try:
            return super().understand(line)
        except exception.BadResponse:
            return {'token': 'whatever'}


@breaks('E05')
class NeverAgain(CleanDriver):
    def refuse(self, error):
        if error == 'session':
            raise exception.StorageBackendException('no')
        super().refuse(error)


@breaks('E06')
class EmptyOnFailure(CleanDriver):
    def list_quotas(self, context):
        return self.if_possible(super().list_quotas, context)

    @staticmethod
    def if_possible(read, context):
        try:
            return read(context)
        except exception.StorageBackendException as error:
            LOG.warning('not possible: %s', error)
            return []


@breaks('E07')
class LetsOut(CleanDriver):
    def get_alert_sources(self, context):
        raise KeyError('hosts')


@breaks('E08')
class TalkativeRepr(CleanDriver):
    def __repr__(self):
        return f'<{type(self).__name__} {self.password()}>'


@breaks('E08')
class TalkativeLog(CleanDriver):
    def log_in(self):
        LOG.debug('logging in with %s', self.password())
        super().log_in()


@breaks('E08')
class TalkativeError(CleanDriver):
    def refuse(self, error):
        if error == 'password':
            raise exception.InvalidUsernameOrPassword(message=f'{self.password()} is wrong')
        super().refuse(error)


# --- time ---

@breaks('T01')
class WaitsForTheFirstByte(CleanDriver):
    def receive(self, connection, deadline, timeout):
        connection.settimeout(None)
        first = connection.recv(1)
        if not first:
            raise ConnectionResetError('the array hung up')
        return first + super().receive(connection, time.monotonic() + timeout, timeout)


@breaks('T02')
class WaitsForEveryByte(CleanDriver):
    def receive(self, connection, deadline, timeout):
        received = b''
        while not received.endswith(b'\n'):
            connection.settimeout(timeout)
            data = connection.recv(4096)
            if not data:
                raise ConnectionResetError('the array hung up')
            received += data
        return received


@breaks('T03')
class Persistent(CleanDriver):
    def exchange(self, address, timeout, line):
        for _ in range(30):
            try:
                return super().exchange(address, timeout, line)
            except ConnectionResetError:
                continue
        raise ConnectionResetError('the array hung up thirty times')
