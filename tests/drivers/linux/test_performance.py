# SPDX-License-Identifier: Apache-2.0
"""Performance, from the kernel's counters. Where no recording is named, counters are written from procfs-diskstats (ABI
documentation of the kernel) and proc(5), for the devices of the recorded machines.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from delfin import capabilities, exception
from delfin.drivers.linux import LinuxHostDriver, block
from delfin.drivers.utils.counters import RateMeter
from delfin.metrics import METRICS, Owner
from delfin.task_manager.telemetry.points import Reader
from tests.drivers.linux.replay import RecordedMachine, driver_of, text_of

BOOTED = 1_800_000_000_000      # epoch ms
EVERYTHING = LinuxHostDriver.get_capabilities(None)['resource_metrics']
DISKS, VOLUMES, POOLS, PORTS, STORAGE = ({name: EVERYTHING[name]} for name in (
    'disk', 'volume', 'storagePool', 'port', 'storage'))
NOTHING_DONE = (0, 0, 0, 0, 0, 0)

# Reads, sectors read, ms reading, writes, sectors written, ms writing; bytes received, bytes sent.
Io = tuple[int, int, int, int, int, int]
Traffic = tuple[int, int]


class Kernel:
    """The counters of a recorded machine, and its clock. `in_the_pause` is what happens while the driver waits."""

    def __init__(self, machine: RecordedMachine, extra_columns: int = 6) -> None:
        self.machine, self.driver = machine, driver_of(machine)
        self.seconds = 1000
        self.in_the_pause: dict[str, Io | Traffic] = {}
        self.driver._meter = RateMeter(lambda _: self.later(1, self.in_the_pause))
        self._extra_columns = extra_columns
        self._devices = dict.fromkeys(knames(machine), NOTHING_DONE)
        self._ports: dict[str, Traffic] = {
            interface['ifname']: (0, 0) for interface in json.loads(machine.tools['ip'].stdout)
            if 'ifname' in interface} if 'ip' in machine.tools else {}
        machine.files['/proc/sys/kernel/random/boot_id'] = 'boot 1'
        self.later(0, {})

    def later(self, seconds: int, done: Mapping[str, Io | Traffic]) -> None:
        """So many seconds later, in which this was done by device."""
        self.seconds += seconds
        for name, growth in done.items():
            table: dict[str, Any] = self._devices if name in self._devices else self._ports
            table[name] = tuple(map(sum, zip(table[name], growth, strict=True)))
        self._show()

    def gone(self, kname: str) -> None:
        """The device was taken away."""
        del self._devices[kname]
        self._show()

    def _show(self) -> None:
        files = self.machine.files
        self.machine.clock = BOOTED + self.seconds * 1000
        files['/proc/uptime'] = f'{self.seconds}.00 1.00'
        more = ' 7' * self._extra_columns
        files['/proc/diskstats'] = '\n'.join(
            f' 254       0 {kname} {reads} 3 {read} {read_ms} {writes} 5 {written} {write_ms} 0 77 99{more}'
            for kname, (reads, read, read_ms, writes, written, write_ms) in self._devices.items())
        files['/proc/net/dev'] = ('Inter-|   Receive        |  Transmit\n face |bytes    packets|bytes    packets\n'
                                  + '\n'.join(f'{name:>6}: {received:7} 9 0 0 0 0 0 0 {sent:8} 9 0 0 0 0 0 0'
                                              for name, (received, sent) in self._ports.items()))

    def ask(self, wanted: Mapping[str, Any] = EVERYTHING) -> dict[tuple[str, str], float]:
        """One value for each resource (by name) and metric that one call tells."""
        return {(point.labels['resource_name'], point.name): value
                for point in self.driver.collect_perf_metrics(None, 'id-1', wanted, 0, 1)
                for value in point.values.values()}


def knames(machine: RecordedMachine) -> list[str]:
    return list(block.parse(machine.tools['lsblk'].stdout).by_kname)


@pytest.fixture
def kernel(lab: RecordedMachine) -> Kernel:
    """The server, after a first call."""
    made = Kernel(lab)
    made.ask()
    return made


# --- what is promised ---

def test_capabilities_name_known_metrics_in_their_units() -> None:
    units = {(name, facts['unit']) for metrics in EVERYTHING.values() for name, facts in metrics.items()}
    assert units <= {(metric.name, metric.unit) for metric in METRICS.values()}


def test_delfin_takes_all_of_it(lab: RecordedMachine) -> None:
    known, oddities = capabilities.read(LinuxHostDriver.get_capabilities(None))
    kernel = Kernel(lab)
    start = lab.clock
    answer = kernel.driver.collect_perf_metrics(None, 'id-1', known.resource_metrics, start, start)
    reader = Reader(Owner('id-1', 'nas1', 'linux', 'host', 'S'), known.resource_metrics, start, start + 60_000, {},
                    oddities)
    reader.read(answer)
    assert oddities.listing() == []
    assert sum(found.points for found in reader.found.values()) == len(answer)


def test_the_machine_keeps_no_history() -> None:
    assert LinuxHostDriver.get_capabilities(None)['is_historic'] is False


@pytest.mark.parametrize('name', ['lab', 'lab-nobody', 'lab-degraded', 'firecracker'])
def test_what_is_measured_is_in_the_inventory_under_the_same_id_and_name(name: str) -> None:
    driver = Kernel(RecordedMachine(name)).driver
    points = driver.collect_perf_metrics(None, 'id-1', EVERYTHING, 0, 1)
    measured = {(point.labels['resource_type'], point.labels['resource_id'], point.labels['resource_name'])
                for point in points}
    known = {('storage', row['serial_number'], row['name']) for row in [driver.get_storage(None)]}
    for resource_type, method, native_id in (
            ('disk', 'list_disks', 'native_disk_id'), ('volume', 'list_volumes', 'native_volume_id'),
            ('storagePool', 'list_storage_pools', 'native_storage_pool_id'), ('port', 'list_ports', 'native_port_id')):
        try:
            known |= {(resource_type, row[native_id], row['name']) for row in getattr(driver, method)(None)}
        except NotImplementedError:
            assert resource_type not in {each for each, _, _ in measured}
    assert measured <= known
    inactive = {'off', 'thin1snap', 'thin1'}    # logical volumes; the last one where a disk is lost
    assert {name for _, _, name in known - measured} <= inactive


def test_everything_that_is_promised_is_measured_at_once(lab: RecordedMachine) -> None:
    points = Kernel(lab).driver.collect_perf_metrics(None, 'id-1', EVERYTHING, 0, 1)
    found = {(point.labels['resource_type'], point.name, point.labels['unit']) for point in points}
    assert found == {(resource_type, name, facts['unit']) for resource_type, metrics in EVERYTHING.items()
                     for name, facts in metrics.items()}


def test_points_have_the_time_of_the_machine(kernel: Kernel) -> None:
    kernel.later(60, {})
    points = kernel.driver.collect_perf_metrics(None, 'id-1', EVERYTHING, 0, 1)
    assert {time for point in points for time in point.values} == {BOOTED + kernel.seconds * 1000}


def test_the_newest_sample_is_now_by_the_clock_of_the_machine(kernel: Kernel) -> None:
    assert kernel.driver.get_latest_perf_timestamp(None) == BOOTED + kernel.seconds * 1000


def test_only_what_is_wanted_is_told(kernel: Kernel) -> None:
    kernel.later(60, {})
    assert {metric for _, metric in kernel.ask({'disk': {'iops': EVERYTHING['disk']['iops']}})} == {'iops'}


# --- recorded ---

def test_recorded_writes_are_seen_as_they_were(small_guest: RecordedMachine) -> None:
    # Recorded: 3072 times 16 KiB written with O_DSYNC within two seconds (load.json).
    first, second, third = json.loads(text_of('load.json'))['readings']
    driver = driver_of(small_guest)

    def show(reading: dict[str, Any]) -> None:
        small_guest.clock, small_guest.files = reading['clock'], small_guest.files | reading['files']

    def ask() -> dict[str, float]:
        points = driver.collect_perf_metrics(None, 'id-1', DISKS, 0, 1)
        return {point.name: value for point in points for value in point.values.values()}

    driver._meter = RateMeter(lambda _: show(second))
    show(first)
    busy = ask()
    show(third)
    quiet = ask()
    assert 24 < busy['writeThroughput'] < 24 * 1.5      # 48 MiB in 1.97 s, and the journal of the filesystem
    assert busy['writeIops'] > 3072 / 2 and 4 < busy['writeIoSize'] <= 16
    assert 0 < busy['writeResponseTime'] < 2
    assert quiet['writeIops'] < 5


# --- disks ---

def test_disks_show_what_was_done_a_second(kernel: Kernel) -> None:
    kernel.later(60, {'vda': (600, 48_000, 1200, 1200, 245_760, 6000)})
    told = {metric: value for (name, metric), value in kernel.ask(DISKS).items() if name == 'vda'}
    assert told == pytest.approx({
        'iops': 30, 'readIops': 10, 'writeIops': 20,
        'throughput': 293_760 / 2048 / 60, 'readThroughput': 48_000 / 2048 / 60, 'writeThroughput': 2,
        'responseTime': 4, 'readResponseTime': 2, 'writeResponseTime': 5,
        'ioSize': 293_760 / 2 / 1800, 'readIoSize': 40, 'writeIoSize': 102.4})


def test_a_disk_that_does_nothing_shows_zeros(kernel: Kernel) -> None:
    kernel.later(60, {})
    assert {value for (name, _), value in kernel.ask(DISKS).items() if name == 'vda'} == {0}


@pytest.mark.parametrize('columns', [0, 4, 6])
def test_kernels_of_all_ages_are_read(lab: RecordedMachine, columns: int) -> None:
    kernel = Kernel(lab, extra_columns=columns)
    kernel.in_the_pause = {'vda': (0, 0, 0, 30, 240, 30)}
    assert kernel.ask(DISKS)['vda', 'writeIops'] == 30


@pytest.mark.parametrize('line', [' 254 0 vda 1 2 3 4', ' 254 0 vda', '', ' 254 0 vda 1 2 3 - 5 6 7 8 9 10 11'])
def test_lines_that_tell_nothing_cost_only_their_device(kernel: Kernel, line: str) -> None:
    kernel.later(60, {})
    table = kernel.machine.files['/proc/diskstats'].splitlines()
    kernel.machine.files['/proc/diskstats'] = '\n'.join(line if ' vda ' in each else each for each in table)
    names = {name for name, _ in kernel.ask(DISKS)}
    assert 'vdb' in names and 'vda' not in names


def test_a_disk_with_two_paths_counts_once(kernel: Kernel) -> None:
    # Each operation goes through the multipath device and one of its paths.
    kernel.later(60, {'dm-0': (600, 0, 0, 0, 0, 0), 'sde': (300, 0, 0, 0, 0, 0), 'sdf': (300, 0, 0, 0, 0, 0)})
    told = kernel.ask(DISKS | STORAGE)
    assert (told['mpatha', 'iops'], told['nas1', 'iops']) == (10, 10)


def test_paths_that_nobody_put_together_are_added(lab: RecordedMachine) -> None:
    paths = [{'name': name, 'kname': name, 'type': 'disk', 'size': 1000, 'wwn': '0x5', 'serial': 'A'}
             for name in ('sda', 'sdb')]
    lab.fails('lsblk', '', status=0, stdout=json.dumps({'blockdevices': paths}))
    kernel = Kernel(lab)
    kernel.in_the_pause = {'sda': (10, 0, 100, 0, 0, 0), 'sdb': (30, 0, 100, 0, 0, 0)}
    told = kernel.ask(DISKS)
    assert (told['sda', 'iops'], told['sda', 'responseTime']) == (40, 5)


def test_a_disk_that_was_taken_away_costs_nothing(kernel: Kernel) -> None:
    kernel.gone('vdb')
    kernel.later(60, {'vda': (60, 0, 0, 0, 0, 0)})
    before = kernel.seconds
    told = kernel.ask(DISKS | STORAGE)
    assert (told['vda', 'iops'], told['nas1', 'iops'], kernel.seconds) == (1, 1, before)
    assert ('vdb', 'iops') not in told


def test_a_disk_that_was_replaced_is_measured_anew(lab: RecordedMachine) -> None:
    lab.files['/sys/block/vda/diskseq'] = '9'
    kernel = Kernel(lab)
    kernel.ask()
    kernel.later(60, {'vda': (10**6, 0, 0, 0, 0, 0)})       # what the new one did before it came here
    lab.files['/sys/block/vda/diskseq'] = '17'
    kernel.in_the_pause = {'vda': (5, 0, 0, 0, 0, 0)}
    assert kernel.ask(DISKS)['vda', 'iops'] == 5


def test_after_a_reboot_there_is_neither_a_peak_nor_a_hole(kernel: Kernel) -> None:
    kernel.machine.files['/proc/sys/kernel/random/boot_id'] = 'boot 2'
    kernel.later(60, {'vda': (10**6, 0, 0, 0, 0, 0)})
    kernel.in_the_pause = {'vda': (5, 0, 0, 0, 0, 0)}
    assert kernel.ask(DISKS)['vda', 'iops'] == 5


def test_new_access_information_may_mean_another_machine(kernel: Kernel) -> None:
    kernel.driver.reset_connection(None, cli={'host': 'localhost'})
    kernel.driver._runner = kernel.machine
    kernel.later(60, {'vda': (10**6, 0, 0, 0, 0, 0)})
    assert kernel.ask(DISKS)['vda', 'iops'] == 0


def test_a_new_session_goes_on_where_the_old_one_ended(kernel: Kernel) -> None:
    kernel.driver.reset_connection(None)
    kernel.later(60, {'vda': (60, 0, 0, 0, 0, 0)})
    assert kernel.ask(DISKS)['vda', 'iops'] == 1


# --- the machine, pools and volumes ---

def test_the_machine_is_the_sum_of_its_disks(kernel: Kernel) -> None:
    # What is done on a partition, an array or a volume is done on disks, and counted there.
    done = (600, 0, 0, 0, 0, 0)
    kernel.later(60, {'vda': done, 'sda': done, 'nvme0n1': done, 'sda1': done, 'md0': done, 'dm-1': done})
    assert kernel.ask(STORAGE)['nas1', 'iops'] == 30


def test_response_times_of_many_disks_are_weighted(kernel: Kernel) -> None:
    kernel.later(60, {'vda': (900, 0, 900, 0, 0, 0), 'vdb': (100, 0, 1100, 0, 0, 0)})
    assert kernel.ask(STORAGE)['nas1', 'readResponseTime'] == pytest.approx(2)


def test_a_partition_and_a_logical_volume_are_volumes(kernel: Kernel) -> None:
    kernel.later(60, {'sda1': (60, 0, 0, 0, 0, 0), 'dm-15': (0, 0, 0, 120, 0, 0)})
    told = kernel.ask(VOLUMES)
    assert (told['sda1', 'readIops'], told['xfs', 'writeIops']) == (1, 2)


def test_an_array_shows_what_its_users_do(kernel: Kernel) -> None:
    # One write to a mirror is one on each of its disks.
    kernel.later(60, {name: (0, 0, 0, 60, 0, 0) for name in ('md0', 'sda1', 'sdb1', 'sda', 'sdb')})
    assert kernel.ask(POOLS)['md0', 'writeIops'] == 1


def test_a_volume_group_shows_what_the_users_of_its_volumes_do(kernel: Kernel) -> None:
    # my-mirror, the parts it is made of, and thick.
    kernel.later(60, {name: (0, 0, 0, 60, 0, 0) for name in ('dm-11', 'dm-8', 'dm-10', 'dm-1')})
    assert kernel.ask(POOLS)['data-vg', 'writeIops'] == 2


def test_a_btrfs_shows_what_its_devices_do(kernel: Kernel) -> None:
    kernel.later(60, {name: (0, 0, 0, 60, 0, 0) for name in ('nvme0n1', 'nvme1n1')})
    assert kernel.ask(POOLS)['photos', 'writeIops'] == 2


def test_a_machine_without_lvm_tools_has_no_logical_volumes(lab: RecordedMachine) -> None:
    lab.lacks('vgs', 'lvs', 'pvs')
    driver = Kernel(lab).driver
    names = {point.labels['resource_name'] for point in driver.collect_perf_metrics(None, '1', VOLUMES | POOLS, 0, 1)}
    assert {'sda1', 'md0', 'photos'} <= names and not names & {'xfs', 'data-vg'}


# --- ports ---

def test_reading_from_a_port_is_receiving(kernel: Kernel) -> None:
    kernel.later(60, {'ens11': (60 * 2**20, 180 * 2**20)})
    told = {metric: value for (name, metric), value in kernel.ask(PORTS).items() if name == 'ens11'}
    assert told == {'throughput': 4, 'readThroughput': 1, 'writeThroughput': 3}


def test_a_port_that_was_made_anew_is_measured_anew(kernel: Kernel) -> None:
    kernel.later(60, {'bond0': (10**9, 10**9)})
    interfaces = json.loads(kernel.machine.tools['ip'].stdout)
    for interface in interfaces:
        if interface.get('ifname') == 'bond0':
            interface['ifindex'] = 77
    kernel.machine.fails('ip', '', status=0, stdout=json.dumps(interfaces))
    assert kernel.ask(PORTS)['bond0', 'throughput'] == 0


# --- cost, and what may be missing ---

def test_a_call_takes_few_commands(kernel: Kernel) -> None:
    kernel.later(60, {})
    kernel.machine.asked.clear()
    kernel.ask()
    assert kernel.machine.asked == ['files', 'lsblk', 'lvs', 'ip']


def test_what_is_not_wanted_is_not_asked_for(kernel: Kernel) -> None:
    kernel.later(60, {})
    kernel.machine.asked.clear()
    kernel.ask(PORTS)
    assert kernel.machine.asked == ['files', 'ip']


def test_without_lsblk_ports_are_measured(lab: RecordedMachine) -> None:
    kernel = Kernel(lab)
    lab.lacks('lsblk')
    points = kernel.driver.collect_perf_metrics(None, 'id-1', EVERYTHING, 0, 1)
    assert {point.labels['resource_type'] for point in points} == {'port'}


def test_without_ip_disks_are_measured(lab: RecordedMachine) -> None:
    lab.lacks('ip')
    points = Kernel(lab).driver.collect_perf_metrics(None, 'id-1', EVERYTHING, 0, 1)
    assert {point.labels['resource_type'] for point in points} == {'storage', 'storagePool', 'volume', 'disk'}


def test_a_failing_lsblk_is_an_error(lab: RecordedMachine) -> None:
    kernel = Kernel(lab)
    lab.fails('lsblk', 'lsblk: cannot open /sys\n')
    with pytest.raises(exception.StorageBackendException, match='lsblk ended with status 1'):
        kernel.ask()


def test_without_a_steady_clock_nothing_is_guessed(kernel: Kernel) -> None:
    del kernel.machine.files['/proc/uptime']
    with pytest.raises(exception.InvalidResults, match='/proc/uptime cannot be read'):
        kernel.ask()
