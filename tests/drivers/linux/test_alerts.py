# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a machine: raised while it is wrong, gone when it is repaired."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from delfin import exception
from delfin.alerts import ALERT_COLUMNS
from delfin.drivers.linux import LinuxHostDriver, md
from delfin.drivers.linux.alerts import Thresholds
from delfin.drivers.linux.runner import Completed
from tests.drivers.linux.replay import RecordedMachine, by, driver_of, text_of

Rows = list[dict[str, Any]]


def alerts_of(machine: RecordedMachine, **options: str) -> Rows:
    return driver_of(machine, **options).list_alerts(None)


def found(alerts: Rows, alert_id: str) -> dict[str, dict[str, Any]]:
    """The alerts of one type by their location."""
    return by([alert for alert in alerts if alert['alert_id'] == alert_id], 'location')


def with_json(machine: RecordedMachine, tool: str, change: Callable[[Any], None]) -> None:
    """Let the tool print something else."""
    document = json.loads(machine.tools[tool].stdout)
    change(document)
    machine.tools[tool] = Completed(tool, json.dumps(document), '', 0)


def with_mount(machine: RecordedMachine, target: str, **fields: Any) -> None:
    def change(document: Any) -> None:
        next(mount for mount in document['filesystems'] if mount['target'] == target).update(fields)
    with_json(machine, 'findmnt', change)


def with_port(machine: RecordedMachine, name: str, *, drop: str = 'LOWER_UP', **fields: Any) -> None:
    """Take a flag from an interface, and set other fields of it as `ip` prints them."""
    def change(document: Any) -> None:
        interface = next(entry for entry in document if entry.get('ifname') == name)
        interface['flags'] = [flag for flag in interface['flags'] if flag != drop]
        interface.update(fields)
    with_json(machine, 'ip', change)


def with_inodes(machine: RecordedMachine, **free_of_1000: int) -> None:
    machine.tools['stat'] = Completed(
        'stat', ''.join(f'/srv/{name}\x001000\x00{free}\x00' for name, free in free_of_1000.items()), '', 0)


def with_health(machine: RecordedMachine, **verdicts: dict[str, Any]) -> None:
    """What smartctl says of disks by name; see test_smart for the form."""
    machine.tools['smartctl'] = Completed('sh', ''.join(
        f'/dev/{name}\0{json.dumps({"smart_status": verdict})}\0{0 if verdict["passed"] else 8}\0'
        for name, verdict in verdicts.items()), '', 0)


# --- all of them ---

def test_alerts_have_only_known_fields_and_values(degraded_lab: RecordedMachine) -> None:
    with_health(degraded_lab, sdc={'passed': False})
    with_mount(degraded_lab, '/srv/photos', used=99, avail=1)
    columns = {column.name: column for column in ALERT_COLUMNS}
    for alert in alerts_of(degraded_lab):
        assert alert.keys() <= columns.keys()
        assert all(not columns[name].values or value in columns[name].values for name, value in alert.items())


def test_each_alert_says_what_to_do(degraded_lab: RecordedMachine) -> None:
    assert all(alert['recovery_advice'] for alert in alerts_of(degraded_lab))


def test_the_same_trouble_is_the_same_alert_each_time(degraded_lab: RecordedMachine) -> None:
    assert alerts_of(degraded_lab) == alerts_of(degraded_lab)


def test_no_two_troubles_are_one_alert(degraded_lab: RecordedMachine) -> None:
    with_health(degraded_lab, sdc={'passed': False}, sdd={'passed': False})
    alerts = alerts_of(degraded_lab)
    assert len(by(alerts, 'match_key')) == len({(alert['alert_id'], alert['location']) for alert in alerts})


def test_names_for_clearing_fit_into_a_url(degraded_lab: RecordedMachine) -> None:
    assert all(alert['sequence_number'].isalnum() for alert in alerts_of(degraded_lab))


def test_without_root_nothing_is_raised_that_root_would_not_see(
        lab: RecordedMachine, lab_as_nobody: RecordedMachine) -> None:
    assert alerts_of(lab_as_nobody) == alerts_of(lab)


def test_a_machine_in_order_has_no_alerts(small_guest: RecordedMachine) -> None:
    assert alerts_of(small_guest) == []


def test_a_machine_without_tools_is_still_looked_at(degraded_lab: RecordedMachine) -> None:
    degraded_lab.lacks('lsblk', 'findmnt', 'ip')
    assert {alert['alert_id'] for alert in alerts_of(degraded_lab)} == {'linux.md.degraded'}


@pytest.mark.parametrize('tool', ['lsblk', 'findmnt', 'ip', 'smartctl', 'stat'])
def test_a_tool_that_fails_is_an_error_and_no_repair(degraded_lab: RecordedMachine, tool: str) -> None:
    degraded_lab.fails(tool, f'{tool}: something broke\n')
    with pytest.raises(exception.StorageBackendException, match='something broke'):
        alerts_of(degraded_lab)


def test_no_alert_can_be_cleared_on_the_machine(lab: RecordedMachine) -> None:
    with pytest.raises(NotImplementedError, match='Repair the cause'):
        driver_of(lab).clear_alert(None, '1')


# --- md ---

def test_arrays_without_redundancy_are_critical_and_name_what_is_missing(degraded_lab: RecordedMachine) -> None:
    alert = found(alerts_of(degraded_lab), 'linux.md.degraded')['/dev/md0']
    assert (alert['severity'], alert['category'], alert['resource_type']) == ('Critical', 'Fault', 'storagePool')
    assert 'lacks 1 of 2 devices (slot 1; failed: sdb1)' in alert['description']
    assert 'mdadm /dev/md0 --remove /dev/sdb1' in alert['recovery_advice']


def test_a_rebuild_is_mentioned(degraded_lab: RecordedMachine) -> None:
    alert = found(alerts_of(degraded_lab), 'linux.md.degraded')['/dev/md5']
    assert alert['description'].endswith('It is being rebuilt.')


def test_the_progress_of_a_rebuild_does_not_make_it_another_alert(degraded_lab: RecordedMachine) -> None:
    before = alerts_of(degraded_lab)
    degraded_lab.files[md.MDSTAT] = degraded_lab.files[md.MDSTAT].replace('3.0% (3456/100352)', '97.0% (97456/100352)')
    assert alerts_of(degraded_lab) == before


def test_arrays_that_are_whole_again_have_no_alert(degraded_lab: RecordedMachine, lab: RecordedMachine) -> None:
    assert found(alerts_of(degraded_lab), 'linux.md.degraded').keys() == {'/dev/md0', '/dev/md5'}
    assert found(alerts_of(lab), 'linux.md.degraded') == {}


def test_an_array_keeps_its_alert_under_another_name(degraded_lab: RecordedMachine) -> None:
    before = found(alerts_of(degraded_lab), 'linux.md.degraded')['/dev/md0']['match_key']
    degraded_lab.files = {path.replace('/md0/', '/md127/'): content.replace('md0 :', 'md127 :')
                          for path, content in degraded_lab.files.items()}
    assert found(alerts_of(degraded_lab), 'linux.md.degraded')['/dev/md127']['match_key'] == before


# Written from md(4) and the kernel's md.c, as in test_pools.
@pytest.mark.parametrize(('mdstat', 'alert_id', 'severity'), [
    ('md1 : active raid6 sda1[0] sdb1[1] sdc1[2]\n      4 blocks level 6 [4/3] [UUU_]', 'degraded', 'Major'),
    ('md1 : active raid6 sda1[0] sdb1[1]\n      4 blocks level 6 [4/2] [UU__]', 'degraded', 'Critical'),
    ('md1 : active raid6 sda1[0]\n      4 blocks level 6 [4/1] [U___]', 'failed', 'Fatal'),
    ('md1 : active raid1 sda1[0] sdb1[1]\n      4 blocks [3/2] [UU_]', 'degraded', 'Major'),
    ('md1 : active raid10 sda1[0] sdb1[1] sdc1[2]\n      4 blocks 2 near-copies [4/3] [UUU_]', 'degraded', 'Critical'),
    ('md1 : active raid5 sda1[0]\n      4 blocks level 5 [3/1] [U__]', 'failed', 'Fatal'),
    ('md1 : broken raid0 sda1[0] sdb1[1]\n      4 blocks 512k chunks', 'failed', 'Fatal'),
    ('md1 : active raid1 sdc1[2] sdb1[1] sda1[0](F)\n      4 blocks [2/2] [UU]', 'member_failed', 'Warning'),
])
def test_the_severity_is_what_the_next_failure_may_do(
        small_guest: RecordedMachine, mdstat: str, alert_id: str, severity: str) -> None:
    small_guest.files[md.MDSTAT] = f'Personalities : [raid1] [raid6]\n{mdstat}\n\nunused devices: <none>'
    assert [(alert['alert_id'], alert['severity']) for alert in alerts_of(small_guest)] == [
        (f'linux.md.{alert_id}', severity)]


@pytest.mark.parametrize('mdstat', [
    'md1 : active raid1 sdb1[1] sda1[0]\n      4 blocks [2/2] [UU]\n      [=>...]  check =  9.0% (1/4) finish=1min',
    'md1 : active (auto-read-only) raid1 sdb1[1] sda1[0]\n      4 blocks [2/2] [UU]\n        resync=PENDING',
    'md1 : active raid0 sdb1[1] sda1[0]\n      4 blocks 512k chunks',
    'md127 : inactive sda[1](S) sdb[0](S)\n      6306 blocks super external:imsm',
])
def test_what_is_in_order_is_no_trouble(small_guest: RecordedMachine, mdstat: str) -> None:
    small_guest.files[md.MDSTAT] = f'Personalities : [raid1]\n{mdstat}\n\nunused devices: <none>'
    assert alerts_of(small_guest) == []


def test_an_array_that_was_not_started_is_trouble(small_guest: RecordedMachine) -> None:
    small_guest.files[md.MDSTAT] = text_of('mdstat-inactive.txt')
    assert found(alerts_of(small_guest), 'linux.md.inactive')['/dev/md5']['severity'] == 'Critical'


# --- disks ---

def test_a_disk_that_fails_its_assessment_is_raised_until_it_is_replaced(lab: RecordedMachine) -> None:
    with_health(lab, sdc={'passed': False}, sdd={'passed': True})
    alert = found(alerts_of(lab), 'linux.disk.smart')['/dev/sdc, serial number SAS0001']
    assert (alert['severity'], alert['resource_type']) == ('Critical', 'disk')
    with_health(lab, sdc={'passed': True}, sdd={'passed': True})
    assert found(alerts_of(lab), 'linux.disk.smart') == {}


def test_an_nvme_warning_is_raised_with_its_reason(lab: RecordedMachine) -> None:
    with_health(lab, nvme0n1={'passed': False, 'nvme': {'value': 8, 'media_read_only': True}})
    alert, = found(alerts_of(lab), 'linux.disk.smart').values()
    assert 'the media can only be read' in alert['description']


def test_a_hot_disk_is_to_be_cooled_not_replaced(lab: RecordedMachine) -> None:
    with_health(lab, nvme0n1={'passed': False, 'nvme': {'value': 2, 'temperature_above_or_below_threshold': True}})
    alert, = found(alerts_of(lab), 'linux.disk.smart').values()
    assert (alert['severity'], 'replace' in alert['recovery_advice']) == ('Major', False)


def test_only_disks_that_can_tell_are_asked(lab: RecordedMachine) -> None:
    alerts_of(lab)
    asked, = (command[4:] for command in lab.commands if command[0] == 'sh')
    assert sorted(asked) == ['/dev/nvme0n1', '/dev/nvme1n1', '/dev/sda', '/dev/sdb', '/dev/sdc', '/dev/sdd', '/dev/sde']


def test_a_disk_the_kernel_took_offline_is_trouble(lab: RecordedMachine) -> None:
    with_json(lab, 'lsblk', lambda document: next(
        disk for disk in document['blockdevices'] if disk['kname'] == 'sdc').update(state='offline'))
    assert found(alerts_of(lab), 'linux.disk.offline').keys() == {'/dev/sdc, serial number SAS0001'}


def test_a_lost_path_is_raised_until_it_is_back(degraded_lab: RecordedMachine, lab: RecordedMachine) -> None:
    alert, = found(alerts_of(degraded_lab), 'linux.disk.path').values()
    assert 'over sdf, which is 1 of 2 paths' in alert['description']
    assert found(alerts_of(lab), 'linux.disk.path') == {}


def test_without_smartctl_no_disk_is_suspected(lab: RecordedMachine) -> None:
    lab.lacks('smartctl')
    assert found(alerts_of(lab), 'linux.disk.smart') == {}


# --- filesystems ---

@pytest.mark.parametrize(('used', 'severity'), [(899, None), (900, 'Warning'), (949, 'Warning'), (950, 'Critical')])
def test_a_filesystem_is_raised_from_the_thresholds_on(lab: RecordedMachine, used: int, severity: str | None) -> None:
    with_mount(lab, '/srv/thin', size=2000, used=used, avail=1000 - used)      # the rest is reserved for root
    raised = {place: alert['severity'] for place, alert in found(alerts_of(lab), 'linux.filesystem.space').items()}
    assert raised == ({'/srv/thin': severity} if severity else {})


def test_a_filesystem_with_room_again_has_no_alert(lab: RecordedMachine) -> None:
    with_mount(lab, '/srv/thin', used=95, avail=5)
    assert found(alerts_of(lab), 'linux.filesystem.space').keys() == {'/srv/thin'}
    with_mount(lab, '/srv/thin', used=50, avail=50)
    assert found(alerts_of(lab), 'linux.filesystem.space') == {}


def test_growing_worse_does_not_make_it_another_alert(lab: RecordedMachine) -> None:
    keys = set()
    for used in (90, 99):
        with_mount(lab, '/srv/thin', used=used, avail=100 - used)
        keys.add(found(alerts_of(lab), 'linux.filesystem.space')['/srv/thin']['match_key'])
    assert len(keys) == 1


def test_inodes_run_out_like_space(lab: RecordedMachine) -> None:
    with_inodes(lab, thin=40, thick=500)
    alert, = found(alerts_of(lab), 'linux.filesystem.inodes').values()
    assert (alert['location'], alert['severity']) == ('/srv/thin', 'Critical')
    assert alert['description'].startswith('Inodes of /srv/thin (/dev/mapper/data--vg-thin1): 96 % used')


def test_a_filesystem_without_a_number_of_inodes_cannot_run_out_of_them(lab: RecordedMachine) -> None:
    lab.tools['stat'] = Completed('stat', '/srv/photos\x000\x000\x00', '', 0)
    assert found(alerts_of(lab), 'linux.filesystem.inodes') == {}


def test_a_mount_point_that_is_closed_to_us_hides_no_other(lab: RecordedMachine) -> None:
    # As coreutils 9.1 prints it.
    refused = "stat: cannot read file system information for '/srv/thick': Permission denied\n"
    lab.fails('stat', refused, stdout='/srv/thin\x001000\x0010\x00')
    assert found(alerts_of(lab), 'linux.filesystem.inodes').keys() == {'/srv/thin'}


def test_what_somebody_mounted_read_only_cannot_fill_up(lab: RecordedMachine) -> None:
    with_inodes(lab, thin=0)
    with_mount(lab, '/srv/thin', used=100, avail=0, **{'vfs-options': 'ro,relatime', 'fs-options': 'ro'})
    assert [alert['location'] for alert in alerts_of(lab)] == ['/srv/err']


def test_a_filesystem_that_stopped_writing_is_trouble(lab: RecordedMachine) -> None:
    with_mount(lab, '/srv/thick', **{'fs-options': 'ro,attr2'})
    alert = found(alerts_of(lab), 'linux.filesystem.read_only')['/srv/thick']
    assert (alert['severity'], 'xfs_repair /dev/mapper/data--vg-xfs' in alert['recovery_advice']) == ('Critical', True)


def test_recorded_errors_are_raised_until_they_are_repaired(lab: RecordedMachine) -> None:
    alert = found(alerts_of(lab), 'linux.filesystem.errors')['/srv/err']
    assert alert['recovery_advice'] == 'Unmount it and run e2fsck -f /dev/vdb1'
    lab.files['/sys/fs/ext4/vdb1/errors_count'] = '0'
    assert found(alerts_of(lab), 'linux.filesystem.errors') == {}


def test_errors_began_when_the_filesystem_says(lab: RecordedMachine) -> None:
    lab.files['/sys/fs/ext4/vdb1/first_error_time'] = '1760000000'
    assert found(alerts_of(lab), 'linux.filesystem.errors')['/srv/err']['occur_time'] == 1_760_000_000_000


@pytest.mark.parametrize(('begin', 'end', 'listed'), [
    (None, None, True), (1_760_000_000_000, 1_760_000_000_000, True), (1_760_000_000_001, None, False),
    (None, '1759999999999', False)])
def test_a_window_leaves_out_what_is_known_to_be_older_or_newer(
        lab: RecordedMachine, begin: Any, end: Any, listed: bool) -> None:
    lab.files['/sys/fs/ext4/vdb1/first_error_time'] = '1760000000'
    alerts = driver_of(lab).list_alerts(None, {'begin_time': begin, 'end_time': end})
    assert bool(alerts) == listed


def test_a_window_keeps_what_nobody_knows_the_time_of(degraded_lab: RecordedMachine) -> None:
    assert driver_of(degraded_lab).list_alerts(None, {'begin_time': 1, 'end_time': 2}) == alerts_of(degraded_lab)


# --- options ---

def test_other_thresholds_can_be_chosen(lab: RecordedMachine) -> None:
    with_mount(lab, '/srv/thin', used=85, avail=15)
    options = {'filesystem_warning_percent': '80', 'filesystem_critical_percent': '84.5'}
    alert = found(alerts_of(lab, **options), 'linux.filesystem.space')['/srv/thin']
    assert (alert['severity'], 'threshold is 84.5 %' in alert['description']) == ('Critical', True)


@pytest.mark.parametrize(('options', 'message'), [
    ({'filesystem_warning_percent': 'much'}, 'filesystem_warning_percent must be a number from 1 to 100'),
    ({'filesystem_critical_percent': '101'}, 'filesystem_critical_percent must be a number from 1 to 100'),
    ({'filesystem_warning_percent': '0'}, 'filesystem_warning_percent must be'),
    ({'filesystem_warning_percent': '-5'}, 'filesystem_warning_percent must be'),
    ({'filesystem_warning_percent': 'nan'}, 'filesystem_warning_percent must be'),
    ({'filesystem_warning_percent': '80', 'filesystem_critical_percent': '70'},
     r'filesystem_critical_percent \(70\) is below filesystem_warning_percent \(80\)'),
])
def test_thresholds_that_make_no_sense_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(exception.InvalidInput, match=message):
        LinuxHostDriver(storage_id='1', cli={'host': 'localhost'}, extra_attributes=options)


def test_a_high_first_threshold_needs_no_second_one() -> None:
    assert Thresholds.of({'filesystem_warning_percent': '97'}) == Thresholds(97, 97)


def test_the_options_are_described_with_the_defaults_that_hold() -> None:
    defaults = {name: option['default'] for name, option in LinuxHostDriver.get_driver_options().items()}
    assert Thresholds.of(defaults) == Thresholds.of(None)


def test_changed_options_count_from_the_next_look_on(lab: RecordedMachine) -> None:
    with_mount(lab, '/srv/thin', used=85, avail=15)
    driver = driver_of(lab)
    driver.reset_connection(None, extra_attributes={'filesystem_warning_percent': '80'})
    assert found(driver.list_alerts(None), 'linux.filesystem.space').keys() == {'/srv/thin'}


# --- ports ---

def test_a_port_without_link_is_raised_until_the_cable_is_back(lab: RecordedMachine) -> None:
    with_port(lab, 'ens11', operstate='DOWN')
    alert = found(alerts_of(lab), 'linux.port.down')['ens11']
    assert (alert['resource_type'], alert['category']) == ('port', 'Fault')
    with_port(lab, 'ens11', drop='', operstate='UP', flags=['UP', 'LOWER_UP'])
    assert found(alerts_of(lab), 'linux.port.down') == {}


def test_a_port_in_use_matters_more_than_one_that_may_be_spare(lab: RecordedMachine) -> None:
    with_port(lab, 'ens11', addr_info=[{'family': 'inet', 'local': '192.0.2.1', 'prefixlen': 24}])
    assert found(alerts_of(lab), 'linux.port.down')['ens11']['severity'] == 'Major'
    with_port(lab, 'ens11', addr_info=[])
    with_port(lab, 'mac0', link=None)      # a macvlan that was built on it
    alert = found(alerts_of(lab), 'linux.port.down')['ens11']
    assert (alert['severity'], 'switch it off: ip link set dev ens11 down' in alert['recovery_advice']) == (
        'Warning', True)


def test_a_port_that_somebody_switched_off_is_no_trouble(lab: RecordedMachine) -> None:
    with_port(lab, 'ens11', flags=['BROADCAST', 'MULTICAST'], operstate='DOWN')
    assert found(alerts_of(lab), 'linux.port.down') == {}


def test_a_member_of_a_bond_must_work_even_if_switched_off(degraded_lab: RecordedMachine) -> None:
    alert = found(alerts_of(degraded_lab), 'linux.port.down')['ens13']
    assert (alert['severity'], alert['recovery_advice']) == (
        'Major', 'Switch it on: ip link set dev ens13 up')
    assert 'bond0' in alert['description']


def test_a_member_that_the_bond_gave_up_is_trouble_although_it_has_link(lab: RecordedMachine) -> None:
    with_port(lab, 'ens12', drop='', linkinfo={'info_slave_kind': 'bond', 'info_slave_data': {'mii_status': 'DOWN'}})
    assert found(alerts_of(lab), 'linux.port.down').keys() == {'ens12'}


def test_bridges_and_the_plumbing_of_containers_are_never_trouble(lab: RecordedMachine) -> None:
    for name in ('lo', 'docker0', 'veth1', 'br0', 'bond0.100'):
        with_port(lab, name, operstate='DOWN')
    assert found(alerts_of(lab), 'linux.port.down') == {}


def test_a_wireless_port_out_of_reach_is_no_trouble(lab: RecordedMachine) -> None:
    lab.files['/sys/class/net/ens11/uevent'] = 'DEVTYPE=wlan\nINTERFACE=ens11'
    with_port(lab, 'ens11', operstate='DOWN')
    assert found(alerts_of(lab), 'linux.port.down') == {}
