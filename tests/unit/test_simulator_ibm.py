# SPDX-License-Identifier: Apache-2.0
"""The simulated Storwize over SSH: logins, the shell, how commands are written and answered, all from its model."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import paramiko
import pytest

from tests.services import wait_for
from tests.simulators.ibm import INSPUR, V7_8, V8_3, V8_5, V8_7, Clock, Level, Sizes, Storwize
from tests.simulators.ibm.build import HOSTILE
from tests.simulators.ibm.shell import split
from tests.unit.simulator_ibm_support import FEW, NOON, Client, running

LEVELS = [V7_8, V8_3, V8_5, V8_7, INSPUR]
HEAD = re.compile(r'CMMVC\d{4}E \S')


@pytest.fixture(scope='module')
def shared() -> Iterator[tuple[Storwize, Client]]:
    """One that is only read."""
    with running() as found:
        yield found


@pytest.fixture
def array() -> Iterator[Storwize]:
    """One to log in to."""
    with Storwize(sizes=FEW, clock=Clock(NOON)) as found:
        yield found


# --- logins ---

def test_password_and_key_let_in_and_a_wrong_password_does_not(array: Storwize) -> None:
    for how in ({}, {'by_key': True}):
        with Client(array, **how) as client:
            assert client.good('lscurrentuser -delim !') == 'name!delfin\nrole!Administrator\n'
    with pytest.raises(paramiko.AuthenticationException):
        Client(array, password='wrong')
    assert (array.logins, array.refused) == (2, 1)


def test_locked_is_refused_and_expired_is_told(array: Storwize) -> None:
    array.control.lock()
    with pytest.raises(paramiko.AuthenticationException):
        Client(array)
    array.control.account_state('expired')
    with Client(array) as client:
        told = client.run('lssystem')
        assert told.out == '' and 'expired' in told.err
    array.control.account_state('normal')
    Client(array).ssh.close()


def test_a_changed_host_key_is_noticed(array: Storwize) -> None:
    before = array.host_key, array.fingerprint
    Client(array).ssh.close()
    array.control.change_host_key()
    assert array.host_key != before[0] and array.fingerprint != before[1]
    client = paramiko.SSHClient()
    client.get_host_keys().add(f'[{array.host}]:{array.port}', 'ssh-ed25519', asyncssh_key(before[0]))
    with pytest.raises(paramiko.BadHostKeyException):
        client.connect(array.host, array.port, 'delfin', array.password, look_for_keys=False, allow_agent=False)
    client.close()
    Client(array).ssh.close()


def asyncssh_key(line: str) -> paramiko.PKey:
    return paramiko.Ed25519Key(data=asyncssh.import_public_key(line).public_data)


def test_only_so_many_sessions_and_channels() -> None:
    with Storwize(sizes=FEW, session_limit=2, channel_limit=2) as array:
        with Client(array) as one, Client(array):
            with pytest.raises(paramiko.SSHException):
                Client(array)
            held = [one.ssh.get_transport().open_session(timeout=10) for _ in range(2)]
            with pytest.raises(paramiko.ChannelException):
                one.ssh.get_transport().open_session(timeout=10)
            for channel in held:
                channel.close()
        wait_for('all sessions end', lambda: not array.sessions)
        array.control.fill_sessions()
        with pytest.raises(paramiko.SSHException):
            Client(array)
        array.control.empty_sessions()
        Client(array).ssh.close()


@pytest.mark.filterwarnings('ignore::cryptography.utils.CryptographyDeprecationWarning')
@pytest.mark.parametrize(('algorithms', 'host_key'), [('old', 'ssh-rsa'), ('dss', 'ssh-dss')])
def test_old_algorithms_are_for_those_who_ask_for_them(algorithms: str, host_key: str) -> None:
    """Paramiko 5 has no SHA-1 key exchange any more (4 has, but knows no DSA)."""
    with Storwize(sizes=FEW, algorithms=algorithms) as array:
        assert array.host_key.startswith(host_key)
        with pytest.raises(paramiko.ssh_exception.IncompatiblePeer):
            transport = paramiko.Transport((array.host, array.port))
            try:
                transport.start_client(timeout=10)
            finally:
                transport.close()

        async def ask() -> tuple[str, str, str]:
            async with asyncssh.connect(
                    array.host, array.port, username='delfin', password=array.password, config=None,
                    known_hosts=([asyncssh.import_public_key(array.host_key)], [], []), server_host_key_algs=[host_key],
                    encryption_algs=['aes256-gcm@openssh.com', 'aes128-cbc'], mac_algs=['hmac-sha1'],
                    kex_algs=['curve25519-sha256', 'diffie-hellman-group14-sha1'], gss_host=None) as client:
                told = await client.run('lssystem -nohdr')
                return str(told.stdout), client.get_extra_info('send_cipher'), client.get_extra_info('send_mac')

        told, cipher, mac = asyncio.run(ask())
        assert array.model.system.name in told and (cipher, mac) == ('aes128-cbc', 'hmac-sha1')


def test_nothing_is_left_behind() -> None:
    before = set(threading.enumerate())
    with Storwize(sizes=FEW) as array:
        client = Client(array)
        array.control.latency(60, 'lssystem')
        client.ssh.exec_command('lssystem')
    client.ssh.close()
    assert not [thread for thread in threading.enumerate() if thread not in before and 'simulator' in thread.name]


# --- the shell ---

@pytest.mark.parametrize(('line', 'words'), [
    ("lsvdisk -delim ! 'db vol'", ['lsvdisk', '-delim', '!', 'db vol']),
    ('lsvdisk "a b"\\;c \'\'', ['lsvdisk', 'a b;c', '']),
    ("lsvdisk '; rm -rf / $(x) `y` \n'", ['lsvdisk', '; rm -rf / $(x) `y` \n']),
    ('lsvdisk "a\\"b\\$\\n"', ['lsvdisk', 'a"b$\\n']),
    ('cpdumps -prefix /dumps/iostats/Nv*_? 2', ['cpdumps', '-prefix', '/dumps/iostats/Nv*_?', '2']),
    ("'it'\\''s' ctrl_LUN_#", ["it's", 'ctrl_LUN_#']),
    ('  ', []),
])
def test_words(line: str, words: list[str]) -> None:
    assert split(line) == words


@pytest.mark.parametrize('tail', [
    '; reboot', '| cat', '&& reboot', '> /tmp/x', '< /etc/passwd', '$(reboot)', '`reboot`', '"$HOME"', '"`reboot`"',
    '\nreboot', '{a,b}', '~root', '#', "'open", '"open', '\\'])
def test_what_a_shell_would_interpret_is_refused_and_remembered(shared: tuple[Storwize, Client], tail: str) -> None:
    array, client = shared
    told = client.run(f'lsvdisk {tail}')
    assert (told.out, told.status, told.code) == ('', 1, 'rbash')
    assert array.injections[-1] == f'lsvdisk {tail}'
    assert array.log[-1].words == ()


@pytest.mark.parametrize(('command', 'code', 'status'), [
    ('reboot', 'rbash', 127), ('lsip -delim !', 'rbash', 127), ('lsvdisk -foo', 'CMMVC5709E', 1),
    ('lssystem -bytes', 'CMMVC5709E', 1), ('lsvdisk -delim', 'CMMVC5707E', 1), ('lsvdisk -delim !!', 'CMMVC5709E', 1),
    ('lsvdisk 999', 'CMMVC5753E', 1), ('lsvdisk none', 'CMMVC5754E', 1), ('lsnodehw', 'CMMVC5707E', 1),
    ('lsvdisk -filtervalue colour=red', 'CMMVC5741E', 1), ('lseventlog 99999', 'CMMVC5753E', 1),
    ('cheventlog -fix x', 'CMMVC5716E', 1), ('cheventlog -fix 99999', 'CMMVC8275E', 1),
    ('startstats -interval 61', 'CMMVC5709E', 1), ('cpdumps -prefix /dumps/iostats 77', 'CMMVC5753E', 1),
    ('mksnmpserver -community x', 'CMMVC5707E', 1), ('rmsnmpserver 5', 'CMMVC5753E', 1)])
def test_errors(shared: tuple[Storwize, Client], command: str, code: str, status: int) -> None:
    told = shared[1].run(command)
    assert (told.out, told.code, told.status, told.err.count('\n')) == ('', code, status, 1)
    assert status == 127 or HEAD.match(told.err)


def test_a_monitor_may_look_and_nothing_else(array: Storwize) -> None:
    array.control.role('Monitor')
    with Client(array) as client:
        assert client.rows('lsvdisk') and client.files()
        for command in ('cheventlog -fix 1', 'cpdumps -prefix /dumps/iostats 2', 'startstats -interval 1', 'stopstats',
                        'mksnmpserver -ip 127.0.0.1', 'svctask rmsnmpserver 0'):
            told = client.run(command)
            assert (told.code, told.status) == ('CMMVC6253E', 1)


def test_there_is_no_shell(shared: tuple[Storwize, Client]) -> None:
    channel = shared[1].ssh.invoke_shell()
    with channel:
        assert channel.recv_exit_status() == 1


# --- how things are written ---

def test_views(shared: tuple[Storwize, Client]) -> None:
    array, client = shared
    [pool] = [row for row in client.rows('lsmdiskgrp -bytes') if row['id'] == '1']
    assert pool['name'] == 'Pool SAS' and int(pool['capacity']) == array.model['pool']['1'].capacity
    padded = client.good('lsmdiskgrp').splitlines()
    assert len({len(line) for line in padded}) == 1 and padded[0].startswith('id name       status')
    assert re.search(r' \d+\.\d\dTB ', padded[2])
    assert client.good('lsmdiskgrp -nohdr -delim :').startswith('0:Pool_Flash:')
    [pairs] = client.sections('lsmdiskgrp -bytes "Pool SAS"')
    assert dict(pairs) == pool
    assert client.good('lsmdiskgrp 0').splitlines()[:3] == ['id 0', 'name Pool_Flash', 'status online']
    assert 'UPS_serial_number\n' in client.good('lsnode 1')                 # no value, no blank
    assert client.good('lsnode -nohdr -delim ! 1').splitlines()[1] == 'node1'


def test_filters_and_lists_of_nothing(shared: tuple[Storwize, Client]) -> None:
    _, client = shared
    names = [row['name'] for row in client.rows('lsvdisk -filtervalue name=db*:status=online')]
    assert names and all(name.startswith('db') for name in names)
    assert client.good('lsvdisk -delim ! -filtervalue name=nobody') == ''
    assert client.good('lssnmpserver -delim !') == ''
    assert client.good('lsdumps -prefix /dumps') == ''


def test_prefixes(shared: tuple[Storwize, Client]) -> None:
    _, client = shared
    assert client.good('svcinfo lsvdisk') == client.good('lsvdisk')
    assert client.run('svctask lsvdisk').status == client.run('mcsinq lsvdisk').status == 127
    with running(level=INSPUR) as (array, inspur):
        told = inspur.run('lssystem -delim !')
        assert (told.status, told.err) == (127, 'bash: lssystem: command not found\n')
        assert inspur.run('lsnode').status == inspur.run('mcsop lssystem').status == 127
        system = dict(inspur.sections('mcsinq lssystem')[0])
        assert (system['product_name'], system['code_level'].split()[0]) == ('AS5500G2', '7.8.1.8')
        event = array.events.current[0].sequence
        assert inspur.good(f'mcsop cheventlog -fix {event}') == ''


@pytest.mark.parametrize('level', LEVELS, ids=lambda level: level.name)
def test_levels(level: Level) -> None:
    prefix = 'mcsinq ' if level.prefixed else ''
    with running(level=level) as (array, client):
        def knows(command: str) -> bool:
            return client.run(prefix + command).status == 0

        assert [knows(command) for command in ('lsnode', 'lsnodecanister', 'lsportip', 'lsportethernet', 'lsip')] == [
            level.lsnode, True, level.lsportip, not level.lsportip, not level.lsportip]
        assert [knows(command) for command in ('lsnodehw 1', 'lsnodecanisterhw 1', 'lsvolumegroup')] == [
            level.lsnode, True, level in (V8_5, V8_7)]
        assert ('deduplicated_copy' in client.rows(f'{prefix}lsvdiskcopy')[0]) == level.deduplication
        reducing = [pool for pool in array.model['pool'].values() if pool.data_reduction]
        assert bool(reducing) == ('data_reduction' in client.rows(f'{prefix}lsmdiskgrp')[0]) == level.deduplication
        assert ('protocol' in dict(client.sections(f'{prefix}lshost 0')[0])) == level.deduplication
        assert dict(client.sections(f'{prefix}lssystem')[0])['code_level'] == level.code
        names = {name[:2] for name in array.dumps.names('1')}
        assert names == set(level.stat_types)


def test_what_is_switched_off() -> None:
    level = dataclasses.replace(V8_3, lsnodecanister=False, missing=frozenset({'lssevdiskcopy'}),
                                no_bytes=frozenset({'lsvdiskcopy'}))
    with running(level=level) as (_, client):
        assert client.run('lsnodecanister').status == client.run('lssevdiskcopy').status == 127
        assert client.run('lsvdiskcopy -bytes').code == 'CMMVC5709E'
        assert 'GB' in client.rows('lsvdiskcopy')[0]['capacity']


# --- what is told is the model ---

def test_the_system_is_the_sum_of_its_pools(shared: tuple[Storwize, Client]) -> None:
    array, client = shared
    [pairs] = client.sections('lssystem')
    told = dict(pairs)
    whole = array.model.whole()
    assert (told['id'], told['name'], told['time_zone']) == (
        array.model.system.id, array.model.system.name, '358 Europe/Berlin')
    for key, bytes in (('total_free_space', whole.free), ('total_used_capacity', whole.used),
                       ('total_mdisk_capacity', array.model.raw), ('total_vdisk_capacity', whole.virtual)):
        assert told[key].endswith('TB') and abs(float(told[key][:-2]) * 2**40 - bytes) <= 0.006 * 2**40
    assert len([key for key, _ in pairs if key == 'tier']) > 1
    rows = client.rows('lsmdiskgrp -bytes')
    assert sum(int(row['capacity']) for row in rows if row['type'] == 'parent') == whole.capacity
    assert sum(int(row['real_capacity']) for row in rows) == whole.real
    assert {row['type'] for row in rows} == {'parent', 'child_thick'}


def test_volumes_and_their_copies(shared: tuple[Storwize, Client]) -> None:
    array, client = shared
    volumes = {row['id']: row for row in client.rows('lsvdisk -bytes')}
    copies = client.rows('lsvdiskcopy -bytes')
    thin = {(row['vdisk_id'], row['copy_id']): row for row in client.rows('lssevdiskcopy -bytes')}
    assert list(volumes) == list(array.model['volume'])
    assert len(copies) == sum(len(volume.copies) for volume in array.model['volume'].values())
    for volume in array.model['volume'].values():
        row = volumes[volume.id]
        assert (row['name'], row['status'], row['capacity'], row['vdisk_UID']) == (
            volume.name, volume.status, str(volume.capacity), volume.uid)
        assert row['mdisk_grp_id'] == (volume.copies[0].pool if len(volume.copies) == 1 else 'many')
        for copy in volume.copies:
            assert ((volume.id, copy.id) in thin) == copy.thin
            if copy.thin:
                blank = array.model['pool'][copy.pool].data_reduction
                assert thin[volume.id, copy.id]['used_capacity'] == ('' if blank else str(copy.used))
    mirrored = next(volume for volume in array.model['volume'].values() if len(volume.copies) == 2)
    top, first, second = client.sections(f'lsvdisk -bytes {mirrored.id}')
    assert dict(top)['copy_count'] == '2' and (dict(first)['primary'], dict(second)['primary']) == ('no', 'yes')
    assert dict(second)['mdisk_grp_id'] == mirrored.primary.pool


def test_hardware(shared: tuple[Storwize, Client]) -> None:
    array, client = shared
    assert [row['name'] for row in client.rows('lsnode')] == ['node1', 'node2']
    [pairs] = client.sections('lsnodehw node1')
    assert dict(pairs)['memory_actual'] == '64' and [key for key, _ in pairs].count('adapter_actual') == 2
    for port, row in zip(array.model['fc_port'].values(), client.rows('lsportfc'), strict=True):
        assert (row['WWPN'], row['status']) == (port.wwpn, port.status)
        assert row['port_speed'] == (f'{port.speed // 10**9}Gb' if port.speed else 'N/A')
    rows = client.rows('lsportip')
    assert {(row['node_id'], row['id']) for row in rows if row['failover'] == 'no'} == {
        (port.node, str(port.number)) for port in array.model['eth_port'].values()}
    assert len(rows) == 2 * len(array.model['eth_port'])
    assert [dict(section)['node_id'] for section in client.sections('lsportip 2')] == ['1', '1', '2', '2']
    [detail] = client.sections('lsmdisk "mdisk_ext 1"')
    assert dict(detail)['fabric_type'] == 'fc'
    assert {row['use'] for row in client.rows('lsdrive -bytes')} == {'member', 'spare', 'candidate', 'failed', 'unused'}
    assert client.rows('lsenclosure')[0]['product_MTM'] == '2076-524'


def test_addresses_of_newer_levels() -> None:
    with running(level=V8_5) as (array, client):
        ports = client.rows('lsportethernet')
        told = {row['IP_address'] for row in client.rows('lsip')}
        assert len(ports) == len(array.model['eth_port'])
        assert told == {address for port in array.model['eth_port'].values() for address in (port.ipv4, port.ipv6)
                        if address}


def test_hosts_and_what_they_see(shared: tuple[Storwize, Client]) -> None:
    array, client = shared
    kinds = {'WWPN': 'fc', 'SAS_WWPN': 'sas', 'iscsi_name': 'iscsi', 'nqn': 'nvme'}
    for host in array.model['host'].values():
        [pairs] = client.sections(f'lshost {host.id}')
        assert [(kinds[key], value) for key, value in pairs if key in kinds] == [
            (port.kind, port.name) for port in host.ports]
        assert dict(pairs)['type'] == host.type
    rows = client.rows('lshostvdiskmap')
    assert {f'{row["id"]}_{row["vdisk_id"]}' for row in rows} == set(array.model['mapping'])
    assert {row['mapping_type'] for row in rows} == {'private', 'shared'}
    assert client.rows('lshostvdiskmap 0') == [row for row in rows if row['id'] == '0']
    [cluster] = [row for row in client.rows('lshostcluster') if row['id'] == '0']
    assert len(client.rows('lshostclustermember 0')) == int(cluster['host_count']) > 0


def test_hostile_names() -> None:
    """They are written as they are: the delimiter too; only a line break is not."""
    with running(hostile_names=True, level=dataclasses.replace(V8_3, missing=frozenset({'lshost'}))) as (array, client):
        assert [volume.name for volume in array.model['volume'].values()][:len(HOSTILE)] == list(HOSTILE)
        lines = client.good('lsvdisk -delim !').splitlines()
        assert len(lines) == 1 + len(array.model['volume'])
        assert '!a!b!c!' in lines[2] and '!torn?in two!' in lines[3]
        for volume in list(array.model['volume'].values())[:len(HOSTILE)]:
            top = dict(client.sections(f'lsvdisk {volume.id}')[0])
            assert top['name'] == re.sub(r'[\n\t\x1b]', '?', volume.name)
        assert not array.injections
        assert client.run("lsvdisk -delim ! '; rm -rf /'").out.startswith('id!0\n')
    with running(hostile_names=True, level=dataclasses.replace(V8_3, raw_control_characters=True)) as (_, client):
        assert 'torn\nin two' in client.good('lsvdisk')


def test_many_volumes_and_the_same_seed() -> None:
    one, other = (Storwize('same', Sizes.of(2000), clock=Clock(NOON)) for _ in range(2))
    with one, Client(one) as client:
        assert len(client.rows('lsvdisk -bytes')) == 2000
        assert one.asked('lsvdisk') == 1
    with other:
        assert one.model['volume'] == other.model['volume']


def test_flawless() -> None:
    with Storwize(sizes=FEW, flawless=True) as array:
        for kind in ('volume', 'mdisk', 'pool', 'host', 'node'):
            assert {item.status for item in array.model[kind].values()} == {'online'}


def test_with_the_programs_of_openssh(array: Storwize, tmp_path: Path) -> None:
    """ssh, and scp with both of its protocols."""
    key, name = tmp_path / 'key', array.dumps.names('1')[-1]
    key.touch(0o600)
    key.write_text(array.client_key)
    (tmp_path / 'known').write_text(f'[{array.host}]:{array.port} {array.host_key}\n')
    options = ['-F', 'none', '-i', str(key), f'-oUserKnownHostsFile={tmp_path / "known"}', '-oBatchMode=yes']
    run = subprocess.run(['ssh', *options, '-p', str(array.port), f'delfin@{array.host}', "lsnode -delim '!'"],
                         capture_output=True, text=True, timeout=20)
    assert run.returncode == 0 and run.stdout.startswith('id!name!'), run.stderr
    for protocol in ('-O', '-s'):
        target = tmp_path / f'file{protocol}'
        subprocess.run(['scp', protocol, '-q', *options, '-P', str(array.port),
                        f'delfin@{array.host}:/dumps/iostats/{name}', str(target)], check=True, timeout=20)
        assert target.read_bytes() == array.dumps.content('1', name)
