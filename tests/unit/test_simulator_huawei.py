# SPDX-License-Identifier: Apache-2.0
"""The simulated OceanStor answers as the protocol has it, and what it answers is its model."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest
import requests

from delfin.alert_manager.snmp import ber, usm
from tests.simulators.huawei import DORADO_V6, EVERYTHING, OCEANSTOR_6, OLD_18800, V3, Firmware, OceanStor, Sizes
from tests.simulators.huawei.build import CONDITIONS, SECURITY, SYSTEMS, TECHNOLOGIES, WORMS, build
from tests.simulators.huawei.metrics import METRICS
from tests.simulators.huawei.traps import TRAP_OID, VARIABLES, Manner
from tests.simulators.huawei.views import HEALTH, RESOURCES, SECTOR, STATE
from tests.unit.snmp_support import pysnmp_reading

ROOT = Path(__file__).parents[2]

LUNS = 205
FEW = Sizes(luns=12, pools=4, controllers=2, filesystems=4, hosts=4, host_groups=3, fc_ports=4, eth_ports=4)
NO_SUCH_OBJECT = 1077948996


class Client:
    """Asks an array over real HTTPS, as simply as possible. `login` says who it is."""

    def __init__(self, array: OceanStor, authority: Path) -> None:
        self.array = array
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(authority)
        self.anybody = self.root = f'{array.url}/deviceManager/rest/'

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    def send(self, method: str, path: str, body: Any = None) -> requests.Response:
        return self.session.request(method, self.root + path, json=body, timeout=10)

    def try_login(self, password: str | None = None, scope: str = '0') -> dict[str, Any]:
        """The whole answer."""
        who = {'username': self.array.username, 'password': password or self.array.password, 'scope': scope}
        answer: dict[str, Any] = self.session.post(f'{self.anybody}xxxxx/sessions', json=who, timeout=10).json()
        return answer

    def login(self) -> Self:
        told = self.try_login()
        assert told['error']['code'] in (0, '0'), told
        self.session.headers['iBaseToken'] = told['data']['iBaseToken']
        self.root = f'{self.anybody}{told["data"]["deviceid"]}/'
        return self

    def ask(self, path: str, method: str = 'GET', body: Any = None) -> dict[str, Any]:
        answer: dict[str, Any] = self.send(method, path, body).json()
        return answer

    def code(self, path: str, method: str = 'GET', body: Any = None) -> int:
        return int(self.ask(path, method, body)['error']['code'])

    def data(self, path: str, method: str = 'GET', body: Any = None) -> Any:
        """What came with success; None if nothing did."""
        answer = self.ask(path, method, body)
        assert answer['error']['code'] in (0, '0'), (path, answer)
        return answer.get('data')

    def every(self, path: str, size: int = 100) -> list[dict[str, Any]]:
        """All pages."""
        found: list[dict[str, Any]] = []
        sign = '&' if '?' in path else '?'
        while True:
            page = self.data(f'{path}{sign}range=[{len(found)}-{len(found) + size}]') or []
            found += page
            if len(page) < size:
                return found


@contextmanager
def running(directory: Path, sizes: Sizes = FEW, **more: Any) -> Iterator[tuple[OceanStor, Client]]:
    """An array and somebody who is logged in."""
    with OceanStor(sizes=sizes, **more) as array:
        authority = directory / f'{array.port}.pem'
        authority.write_text(array.ca_pem)
        with Client(array, authority) as client:
            yield array, client.login()


@pytest.fixture(scope='module')
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('simulator')


@pytest.fixture(scope='module')
def large(directory: Path) -> Iterator[tuple[OceanStor, Client]]:
    """Of the usual size; nobody changes it."""
    with running(directory, Sizes(luns=LUNS), firmware=EVERYTHING) as found:
        yield found


@pytest.fixture
def small(directory: Path) -> Iterator[tuple[OceanStor, Client]]:
    """One to break."""
    with running(directory) as found:
        yield found


# --- the model ---

def test_same_seed_same_array_and_another_seed_another() -> None:
    one, again, other = build('a'), build('a'), build('b')
    assert (one.system, one.objects) == (again.system, again.objects)
    assert one.system.id != other.system.id
    assert not {lun.wwn for lun in one['lun'].values()} & {lun.wwn for lun in other['lun'].values()}


def test_capacities_add_up() -> None:
    model = build()
    whole, pools = model.whole(), model.usage()
    held = [*model['lun'].values(), *model['filesystem'].values()]
    assert whole.used == sum(item.allocated for item in held)
    assert whole.total == sum(pool.total for pool in model['pool'].values()) < model.raw
    assert all(0 <= pool.used <= pool.total for pool in pools.values())
    assert all(item.allocated <= item.capacity for item in held)
    assert all(item.allocated == item.capacity for item in held if not item.thin)
    for _ in range(50):
        model.move()
    moved = model.usage()
    assert sum(pool.used for pool in moved.values()) > whole.used
    assert all(pool.used <= pool.total for pool in moved.values())


def test_no_relation_points_nowhere() -> None:
    model = build()
    for lun in model['lun'].values():
        assert lun.pool in model['pool'] and lun.controller in model['controller']
    for share in (*model['nfs_share'].values(), *model['cifs_share'].values(), *model['ftp_share'].values()):
        assert share.filesystem in model['filesystem'] and (share.qtree is None or share.qtree in model['qtree'])
    for quota in model['quota'].values():
        assert quota.qtree is None or model['qtree'][quota.qtree].filesystem == quota.filesystem
    for view in model['mapping_view'].values():
        assert view.host_group in model['host_group'] and view.lun_group in model['lun_group']
        assert view.port_group is None or view.port_group in model['port_group']
    for group, members in (('host_group', 'host'), ('lun_group', 'lun')):
        assert all(member in model[members] for each in model[group].values() for member in each.members)
    assert all(member in model[kind] for each in model['port_group'].values() for kind, member in each.members)
    assert {disk.domain for disk in model['disk'].values()} >= {pool.domain for pool in model['pool'].values()}


def test_everything_that_can_be_occurs() -> None:
    model = build()
    for kind in ('pool', 'lun', 'filesystem', 'controller', 'disk', 'host'):
        assert set(CONDITIONS[kind]) <= {(item.health, item.state) for item in model[kind].values()}, kind
    assert set(CONDITIONS['port']) <= {(port.health, port.state) for port in model['fc_port'].values()}
    assert set(TECHNOLOGIES) < {disk.technology for disk in model['disk'].values()}
    assert {disk.role for disk in model['disk'].values()} == {'free', 'member', 'spare', 'cache', 'unknown'}
    assert {host.os for host in model['host'].values()} == set(SYSTEMS)
    assert {item.worm for item in model['filesystem'].values()} == set(WORMS)
    assert {qtree.security for qtree in model['qtree'].values()} == set(SECURITY)
    assert {quota.type for quota in model['quota'].values()} == {'tree', 'user', 'group'}
    assert all(health in HEALTH and state in STATE for each in CONDITIONS.values() for health, state in each)
    assert any(not lun.name.isascii() for lun in model['lun'].values())


def test_flawless_array_is_well_and_has_no_alarms() -> None:
    array = OceanStor(flawless=True)
    with array:
        assert not array.alarms.current
    assert {(item.health, item.state) for item in array.model['disk'].values()} == {('normal', 'online')}


def test_ids_of_ports_can_be_unique_for_their_kind_only() -> None:
    assert not set(build()['fc_port']) & set(build()['eth_port'])
    assert set(build(shared_port_ids=True)['fc_port']) & set(build(shared_port_ids=True)['eth_port'])


# --- sessions ---

def test_login_logout(directory: Path) -> None:
    with running(directory) as (array, client):
        assert client.data('system/')['ID'] == array.serial
        assert client.data('sessions', 'DELETE') == {}
        assert client.code('system/') == -401
        assert (array.sessions.logins, array.sessions.logouts, array.sessions.open) == (1, 1, [])


@pytest.mark.parametrize('missing', ['iBaseToken', 'Cookie'])
def test_token_and_cookie_are_both_needed(small: tuple[OceanStor, Client], missing: str) -> None:
    _, client = small
    if missing == 'Cookie':
        client.session.cookies.clear()
    else:
        del client.session.headers['iBaseToken']
    assert client.code('lun') == -401


@pytest.mark.parametrize(('firmware', 'wrong', 'locked'), [
    (DORADO_V6, 1077987870, 1077987871), (V3, 1077949061, 1077949070)], ids=['V6', 'V3'])
def test_wrong_passwords_lock_the_account(directory: Path, firmware: Firmware, wrong: int, locked: int) -> None:
    with running(directory, firmware=firmware) as (array, client):
        told = [client.try_login('guess')['error']['code'] for _ in range(3)]
        assert told == [wrong, wrong, locked]
        assert client.try_login()['error']['code'] == locked        # the right one does not help either
        array.control.lock(False)
        assert client.try_login()['error']['code'] == 0
        assert array.sessions.refused == 4


def test_other_reasons_to_refuse_a_login(small: tuple[OceanStor, Client]) -> None:
    array, client = small
    assert client.try_login(scope='1')['error']['code'] == 1077987870
    array.control.lock_client('127.0.0.1')
    assert client.try_login()['error']['code'] == 1077949071
    array.control.lock_client('127.0.0.1', False)
    array.control.account_state('expired')
    assert client.try_login()['data']['accountstate'] == 3
    array.control.password('Another-1')
    assert client.code('system/') == -401
    assert client.try_login('Simulated-1')['error']['code'] == 1077987870
    assert client.try_login()['error']['code'] == 0


def test_sessions_are_few(small: tuple[OceanStor, Client]) -> None:
    array, client = small
    array.control.fill_sessions(left=1)
    assert [client.try_login()['error']['code'] for _ in range(2)] == [0, 1077949067]
    array.control.empty_sessions()
    assert client.try_login()['error']['code'] == 0


def test_sessions_end_when_nothing_is_asked(small: tuple[OceanStor, Client]) -> None:
    array, client = small
    array.sessions.idle_seconds = 0.0
    assert client.code('system/') == -401
    assert not array.sessions.open


@pytest.mark.parametrize('code', [-401, 1077949069])
def test_sessions_are_ended(small: tuple[OceanStor, Client], code: int) -> None:
    array, client = small
    assert array.control.expire_sessions(code) == 1
    assert client.code('system/') == code
    assert client.login().code('system/') == 0


def test_a_real_401_has_the_same_body(directory: Path) -> None:
    with running(directory, firmware=OLD_18800) as (array, client):
        array.control.expire_sessions()
        answer = client.send('GET', 'lun')
        assert (answer.status_code, answer.json()['error']['code']) == (401, -401)


# --- collections ---

@pytest.mark.parametrize('path', [path for path, resource in RESOURCES.items() if not resource.parents])
def test_every_collection_lists_the_model_in_order(large: tuple[OceanStor, Client], path: str) -> None:
    array, client = large
    resource = RESOURCES[path]
    rows = client.data(path) if resource.limit is None or resource.port else client.every(path)
    assert [row['ID'] for row in rows] == list(array.model[resource.kind])
    assert client.data(f'{path}/count') == {'COUNT': str(len(rows))}
    assert all(isinstance(value, str) for row in rows for key, value in row.items() if key not in (
        'TYPE', 'PARENTTYPE'))


def test_capacities_are_sectors_of_the_system(large: tuple[OceanStor, Client]) -> None:
    array, client = large
    system, pools, luns = client.data('system/'), client.every('storagepool'), client.every('lun')
    files = client.every('filesystem')
    assert int(system['SECTORSIZE']) == SECTOR
    assert int(system['USEDCAPACITY']) == sum(int(pool['USERCONSUMEDCAPACITY']) for pool in pools) == sum(
        int(row['ALLOCCAPACITY']) for row in luns + files)
    assert int(system['TOTALCAPACITY']) * SECTOR == sum(pool.total for pool in array.model['pool'].values())
    assert int(system['MEMBERDISKSCAPACITY']) * SECTOR == sum(
        int(disk['SECTORS']) * int(disk['SECTORSIZE']) for disk in client.every('disk') if disk['LOGICTYPE'] == '2')
    assert {row['SECTORSIZE'] for row in files} > {'4096', '16384'}       # which is not what capacities count in
    for row in files:
        item = array.model['filesystem'][row['ID']]
        assert (int(row['CAPACITY']) * SECTOR, int(row['AVAILABLECAPCITY']) * SECTOR) == (
            item.capacity, item.capacity - item.allocated)


@pytest.mark.parametrize(('query', 'count'), [
    ('', 100), ('?range=[0-100]', 100), ('?range=[100-200]', 100), ('?range=[200-300]', 5), ('?range=%5B3-5%5D', 2)])
def test_pages(large: tuple[OceanStor, Client], query: str, count: int) -> None:
    assert len(large[1].data(f'lun{query}')) == count


@pytest.mark.parametrize('query', ['range=[0-101]', 'range=[5-5]', 'range=[9-3]', 'range=0-100', 'range=[a-b]',
                                   'range=[0-1]&range=[1-2]', 'colour=red', 'range', 'filter=NAME'])
def test_queries_that_are_refused(large: tuple[OceanStor, Client], query: str) -> None:
    assert large[1].code(f'lun?{query}') == 50331651


def test_page_behind_an_exact_multiple_has_no_data(directory: Path) -> None:
    with running(directory, replace(FEW, luns=200)) as (array, client):
        assert len(client.every('lun')) == 200
        assert client.ask('lun?range=[200-300]') == {'error': {'code': 0, 'description': '0'}}
        assert array.asked('lun') == 4


def test_ports_ignore_the_range_unless_the_firmware_knows_better(directory: Path) -> None:
    for firmware, count in ((DORADO_V6, 130), (OCEANSTOR_6, 30)):
        with running(directory, replace(FEW, fc_ports=130), firmware=firmware) as (_, client):
            assert len(client.data('fc_port?range=[100-200]')) == count


def test_filters(large: tuple[OceanStor, Client]) -> None:
    _, client = large
    assert [row['NAME'] for row in client.data('lun?filter=NAME::größe_0001')] == ['größe_0001']
    assert len(client.data('lun?filter=NAME:größe&range=[0-5]')) == 5
    assert client.data('lun?filter=NAME::nobody') is None


def test_one_object(large: tuple[OceanStor, Client]) -> None:
    _, client = large
    assert client.data('lun/7')['ID'] == '7'
    assert client.code('lun/999999') == 1077939726
    assert client.code('host/999999') == NO_SUCH_OBJECT


def test_qtrees_and_quotas_are_asked_by_parent(large: tuple[OceanStor, Client]) -> None:
    array, client = large
    qtrees, quotas = [], []
    for files in client.every('filesystem'):
        found = client.every(f'quotatree?PARENTTYPE=40&PARENTID={files["ID"]}')
        qtrees += found
        quotas += client.every(f'FS_QUOTA?PARENTTYPE=40&PARENTID={files["ID"]}&SPACEUNITTYPE=0')
        for qtree in found:
            quotas += client.every(f'FS_QUOTA?PARENTTYPE=16445&PARENTID={qtree["ID"]}')
    assert {row['ID'] for row in qtrees} == set(array.model['qtree'])
    assert sorted(row['ID'] for row in quotas) == sorted(array.model['quota'])
    assert {'INVALID_VALUE64', '-1', '18446744073709551615'} <= {row['SPACEHARDQUOTA'] for row in quotas}
    assert client.code('quotatree') == 50331651
    assert client.code('quotatree?PARENTTYPE=40&PARENTID=99999') == NO_SUCH_OBJECT


def test_associations_are_the_relations_of_the_model(large: tuple[OceanStor, Client]) -> None:
    array, client = large
    model = array.model

    def members(path: str, type: int, id: str) -> list[str]:
        return [row['ID'] for row in client.every(f'{path}/associate?ASSOCIATEOBJTYPE={type}&ASSOCIATEOBJID={id}')]

    assert len(model['lun_group']['6'].members) > 100
    for group in model['lun_group'].values():
        assert members('lun', 256, group.id) == group.members
    for group in model['host_group'].values():
        assert members('host', 14, group.id) == group.members
    for group in model['port_group'].values():
        for kind in ('fc_port', 'eth_port', 'fcoe_port'):
            assert members(kind, 257, group.id) == [id for of, id in group.members if of == kind]
    for view in model['mapping_view'].values():
        assert members('mappingview', 256, view.lun_group) == [view.id]
        assert members('portgroup', 245, view.id) == ([view.port_group] if view.port_group else [])
        assert members('hostgroup', 245, view.id) == [view.host_group]
    assert client.code('lun/associate?ASSOCIATEOBJTYPE=256') == 50331651
    assert client.code('lun/associate?ASSOCIATEOBJTYPE=256&ASSOCIATEOBJID=99999') == NO_SUCH_OBJECT


def test_manners_of_firmware(directory: Path) -> None:
    with running(directory, firmware=V3) as (_, client):
        assert client.data('lun/0')['TYPE'] == '11'
        assert {type(value) for row in client.data('alarm/currentalarm') for value in row.values()} == {str}
    with running(directory, firmware=OCEANSTOR_6) as (_, client):
        assert client.ask('lun?range=[100-200]') == {'data': [], 'error': {'code': '0', 'description': '0'}}
        assert {'healthStatus', 'ENABLESMARTDEDUP'} <= client.data('lun/0').keys()
        assert client.data('system/')['productModeString'] == 'OceanStor 5510'
        assert {row['USAGETYPE'] for row in client.data('storagepool')} == {'0'}
        assert client.code('ib_initiator') == 1077949002
    with running(directory, firmware=OLD_18800) as (_, client):
        assert client.data('system/')['TOTALCAPACITY'] == ''
        answer = client.send('GET', 'lun')
        assert answer.headers['Transfer-Encoding'] == 'chunked' and len(answer.json()['data']) == FEW.luns
        assert client.code('filesystem') == 1077950233


# --- what goes wrong ---

def test_errors_by_code_so_many_times(small: tuple[OceanStor, Client]) -> None:
    array, client = small
    array.control.spoil('lun', code=1077949006, times=2)
    assert client.code('disk') == 0
    assert [client.code('lun') for _ in range(3)] == [1077949006, 1077949006, 0]
    array.control.spoil('lun', code=1077949021, skip=1, times=None, status=503)
    assert client.code('lun') == 0
    assert [client.send('GET', 'lun/count').status_code for _ in range(3)] == [503] * 3
    array.control.unspoil()
    assert client.code('lun') == 0


def test_connection_drops_at_a_page(directory: Path) -> None:
    with running(directory, Sizes(luns=LUNS)) as (array, client):
        array.control.spoil('lun', 'drop', page=2)
        assert len(client.data('lun?range=[100-200]')) == 100
        with pytest.raises(requests.ConnectionError):
            client.send('GET', 'lun?range=[200-300]')
        assert len(client.data('lun?range=[200-300]')) == 5


def test_half_an_answer(small: tuple[OceanStor, Client]) -> None:
    array, client = small
    array.control.spoil('lun', 'half')
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
        client.send('GET', 'lun')
    assert client.code('lun') == 0


@pytest.mark.parametrize(('form', 'type', 'is_json'), [
    ('html', 'text/html', False), ('garbage', 'application/json;charset=UTF-8', False), ('type', 'text/plain', True),
    ('list', 'application/json;charset=UTF-8', True)])
def test_answers_that_are_none(small: tuple[OceanStor, Client], form: str, type: str, is_json: bool) -> None:
    array, client = small
    array.control.spoil('', form, status=200)
    answer = client.send('GET', 'lun')
    assert answer.headers['Content-Type'] == type
    try:
        answer.json()
    except requests.JSONDecodeError:
        assert not is_json
    else:
        assert is_json


def test_no_answer_and_a_quick_end(directory: Path) -> None:
    with running(directory) as (array, client):
        array.control.spoil('lun', 'stall', seconds=60)
        with pytest.raises(requests.ReadTimeout):
            client.session.get(f'{client.root}lun', timeout=0.1)
        began = time.monotonic()
    assert time.monotonic() - began < 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(f'simulator-{array.port}')]


def test_latency(small: tuple[OceanStor, Client]) -> None:
    array, client = small
    array.control.latency(0.1)
    began = time.monotonic()
    client.data('system/')
    assert time.monotonic() - began >= 0.1


def test_connections_are_kept_until_the_array_hangs_up(small: tuple[OceanStor, Client]) -> None:
    array, client = small
    for _ in range(5):
        client.data('system/')
    assert array.connections == 1
    array.control.hang_up()
    client.data('system/')          # requests connects anew
    assert array.connections == 2


# --- objects that change ---

def test_objects_come_go_and_change(small: tuple[OceanStor, Client]) -> None:
    array, client = small
    array.control.add_luns(3)
    array.control.rename('lun', '0', 'neuer Name')
    array.control.remove('lun', '1')
    rows = {row['ID']: row for row in client.every('lun')}
    assert len(rows) == FEW.luns + 2 and '1' not in rows and rows['0']['NAME'] == 'neuer Name'
    assert all('1' not in group.members for group in array.model['lun_group'].values())
    files = next(iter(array.model['filesystem']))
    array.control.remove('filesystem', files)
    assert all(item.filesystem != files for kind in ('qtree', 'quota', 'nfs_share', 'cifs_share')
               for item in array.model[kind].values())
    with pytest.raises(ValueError, match='cannot be removed'):
        array.control.remove('pool', '0')
    with pytest.raises(KeyError, match="no lun 'none'"):
        array.control.rename('lun', 'none', 'x')


def test_used_capacity_moves_and_stays_a_sum(small: tuple[OceanStor, Client]) -> None:
    array, client = small
    before = int(client.data('system/')['USEDCAPACITY'])
    array.control.move(2**30)
    after = int(client.data('system/')['USEDCAPACITY'])
    assert after > before
    assert after == sum(int(row['ALLOCCAPACITY']) for row in client.every('lun') + client.every('filesystem'))


# --- metrics ---

SAMPLE = 'performance_statistic/cur_statistic_data?timeConversion=0&CMO_STATISTIC_UUID={}&CMO_STATISTIC_DATA_ID_LIST={}'


def test_samples_are_what_the_model_does(large: tuple[OceanStor, Client]) -> None:
    array, client = large
    for kind, type in (('lun', 11), ('pool', 216), ('controller', 207), ('disk', 10), ('fc_port', 212)):
        for id in list(array.model[kind])[:6]:
            ids = ','.join(map(str, METRICS.values()))
            [told] = client.data(SAMPLE.format(f'{type}:{id}', ids))
            values = dict(zip(told['CMO_STATISTIC_DATA_ID_LIST'].split(','),
                              map(float, told['CMO_STATISTIC_DATA_LIST'].split(',')), strict=True))
            real = array.metrics.sample(kind, id, int(told['CMO_STATISTIC_TIMESTAMP']))
            assert values == {str(METRICS[name]): value for name, value in real.items()}
            assert values['22'] == values['25'] + values['28']


def test_load_of_a_pool_is_that_of_what_is_in_it() -> None:
    array = OceanStor(flawless=True)
    with array:
        for pool in array.model['pool']:
            inside = [('lun', lun.id) for lun in array.model.by('lun', 'pool').get(pool, ())]
            inside += [('filesystem', item.id) for item in array.model.by('filesystem', 'pool').get(pool, ())]
            parts = sum(array.metrics.sample(kind, id, 1_700_000_000)['iops'] for kind, id in inside)
            assert abs(array.metrics.sample('pool', pool, 1_700_000_000)['iops'] - parts) <= 1 + len(inside)


def test_load_follows_a_curve() -> None:
    array = OceanStor()
    with array:
        lun = next(lun for lun in array.model['lun'].values() if lun.workload == 'office' and lun.state == 'online')
        midnight = 1_700_006_400
        night, noon = (array.metrics.sample('lun', lun.id, midnight + hour * 3600) for hour in (2, 13))
    assert noon['iops'] > 4 * night['iops'] > 0
    assert 100 < noon['response_time'] < 100_000


def test_only_the_current_sample_and_only_while_collecting(directory: Path) -> None:
    now = [1_700_000_003.0]
    with running(directory, clock=lambda: now[0]) as (array, client):
        asked = SAMPLE.format('11:0', '22,21')
        assert client.data(asked)[0]['CMO_STATISTIC_TIMESTAMP'] == '1700000000'
        settings = {'CMO_STATISTIC_INTERVAL': 60, 'CMO_STATISTIC_ARCHIVE_TIME': '300'}
        assert client.code('performance_statistic_strategy', 'PUT', settings) == 50331651
        assert client.code('performance_statistic_switch', 'PUT', {'CMO_PERFORMANCE_SWITCH': '0'}) == 0
        assert client.data(asked) is None
        assert client.code('performance_statistic_strategy', 'PUT', settings) == 0
        assert client.data('performance_statistic_strategy')['CMO_STATISTIC_INTERVAL'] == '60'
        assert client.code('performance_statistic_switch', 'PUT', {'CMO_PERFORMANCE_SWITCH': '1'}) == 0
        assert client.data('performance_statistic_switch') == {'CMO_PERFORMANCE_SWITCH': '1'}
        assert client.data(asked) is None           # the first interval is not over
        now[0] += 60
        assert client.data(asked)[0]['CMO_STATISTIC_TIMESTAMP'] == '1700000040'


def test_missing_samples(small: tuple[OceanStor, Client]) -> None:
    array, client = small
    array.control.blank_metric('throughput')
    [told] = client.data(SAMPLE.format('11:0', '22,21,999'))
    assert told['CMO_STATISTIC_DATA_ID_LIST'] == '21,22'            # its own order, and what it knows
    assert told['CMO_STATISTIC_DATA_LIST'].startswith('--,')
    array.control.hide_sample('lun', '0')
    assert client.data(SAMPLE.format('11:0', '22')) is None
    assert client.code(SAMPLE.format('11:9999', '22')) == 1077939726


def test_spelling_of_the_path(directory: Path) -> None:
    wrong = SAMPLE.replace('performance', 'performace', 1).format('11:0', '22')
    for firmware, codes in ((V3, (0, 1077949002)), (DORADO_V6, (1077949002, 0))):
        with running(directory, firmware=firmware) as (_, client):
            assert (client.code(wrong), client.code(SAMPLE.format('11:0', '22'))) == codes


@pytest.mark.parametrize('firmware', [DORADO_V6, OCEANSTOR_6, V3], ids=['V6', '6', 'V3'])
def test_many_samples_in_one_request(directory: Path, firmware: Firmware) -> None:
    with running(directory, firmware=firmware) as (_, client):
        url = SAMPLE.format('11:{}', '22')
        body = {f'11:{id}': {'method': 'GET', 'url': client.root + url.format(id)} for id in (0, 1, 9999)}
        answer = client.ask('server/compositeinfo', 'POST', body)
        if firmware.batch is None:
            assert answer['error']['code'] == 1077949002
            return
        parts = answer['data'] if firmware.batch == 'data' else answer
        assert list(parts) == list(body)
        assert parts['11:1']['data'][0]['CMO_STATISTIC_UUID'] == '11:1'
        assert parts['11:9999']['error']['code'] == 1077939726


# --- alarms and traps ---

@pytest.fixture
def manager() -> Iterator[socket.socket]:
    """Somebody whom traps are sent to."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(('127.0.0.1', 0))
        found.settimeout(5)
        yield found


def trap(manager: socket.socket) -> dict[int, Any]:
    """The next trap's variables by number, read by pysnmp."""
    reading = pysnmp_reading(manager.recv(65535))
    assert (reading.who, reading.variables[1][2]) == ((b'public',), TRAP_OID)
    return numbered([(oid, value) for oid, _, value in reading.variables[2:]])


def numbered(variables: list[tuple[str, Any]]) -> dict[int, Any]:
    return {int(oid.removeprefix(f'{VARIABLES}.').removesuffix('.0')): value for oid, value in variables}


def test_a_fault_is_an_alarm_a_state_and_a_trap_and_so_is_its_repair(
        small: tuple[OceanStor, Client], manager: socket.socket) -> None:
    array, client = small
    assert client.code('snmp_trap_addr', 'POST', {
        'CMO_TRAP_SERVER_IP': '127.0.0.1', 'CMO_TRAP_SERVER_PORT': str(manager.getsockname()[1])}) == 0
    before = len(client.every('alarm/currentalarm'))
    raised = array.control.raise_fault('controller', '0A', 'controller power')
    [row] = [row for row in client.every('alarm/currentalarm') if row['sequence'] == raised.sequence]
    assert (row['level'], row['eventType'], row['name'], row['startTime']) == (
        5, 1, 'Power Supply Has No Input', raised.raised)
    assert client.data('controller/0A')['HEALTHSTATUS'] == '5'
    told = trap(manager)
    assert sorted(told) == list(range(1, 15))
    assert [told[number] for number in (1, 2, 4, 5, 6, 9, 11)] == [
        array.model.system.name.encode(), b'CTE0.A', b'Power Supply Has No Input', 5, 2, raised.sequence, 1]
    assert (told[7], told[12]) == (row['eventID'] % 2**32, row['eventID'])
    assert len(told[8]) == 11 and told[14].decode() == array.serial

    array.control.repair(raised.sequence)
    again = trap(manager)
    assert (again[11], again[7], again[9]) == (2, told[7], told[9])
    assert client.data('controller/0A')['HEALTHSTATUS'] == '1'
    assert len(client.every('alarm/currentalarm')) == before
    assert client.data('alarm/historyalarm')[0]['sequence'] == raised.sequence


def test_a_person_clears_an_alarm_and_what_is_broken_stays_so(small: tuple[OceanStor, Client]) -> None:
    array, client = small
    raised = array.control.raise_fault('disk')
    assert client.code(f'alarm/currentalarm?sequence={raised.sequence}', 'DELETE') == 0
    assert client.code(f'alarm/currentalarm?sequence={raised.sequence}', 'DELETE') == NO_SUCH_OBJECT
    assert client.data('alarm/historyalarm')[0]['clearName'] == array.username
    assert client.data(f'disk/{raised.object}')['HEALTHSTATUS'] == '2'


def test_what_is_not_well_at_first_has_an_alarm(large: tuple[OceanStor, Client]) -> None:
    array, client = large
    rows = client.every('alarm/currentalarm')
    broken = {disk.id for disk in array.model['disk'].values() if (disk.health, disk.state) == ('faulty', 'online')}
    assert {row['sourceID'] for row in rows if row['name'] == 'Disk Failed'} == broken != set()
    assert len(client.data('alarm/historyalarm?range=[0-250]')) == 120
    assert all(row['level'] == 6 for row in client.data('alarm/currentalarm?filter=level::6'))
    assert [row['sequence'] for row in rows] == sorted((row['sequence'] for row in rows), reverse=True)


def test_traps_can_be_written_in_other_ways(small: tuple[OceanStor, Client], manager: socket.socket) -> None:
    array, client = small
    array.control.tell(*manager.getsockname())
    array.agent.manner = Manner(time='text', hex=True, instance=False, omit=frozenset({2}))
    raised = array.control.raise_fault('disk')
    told = trap(manager)
    assert 2 not in told and bytes.fromhex(told[3][2:].decode()).decode() == raised.type.advice
    assert told[8].decode().startswith(time.strftime('%Y-', time.gmtime(raised.raised)))
    assert told[8].endswith(b',+0:0')


@pytest.mark.parametrize('version', ['1', '2', '3'])
def test_versions_of_traps(small: tuple[OceanStor, Client], manager: socket.socket, version: str) -> None:
    array, client = small
    array.control.add_user('delfin', 'HMCSHA2256', 'authentication', 'AES', 'privacy phrase')
    host, port = manager.getsockname()
    array.control.tell(host, port, version, 'delfin' if version == '3' else '')
    raised = array.control.raise_fault('lun')
    datagram = manager.recv(65535)
    if version == '3':
        message = ber.read(datagram)
        assert isinstance(message, ber.V3Message)
        keys = usm.localise(array.agent.users['delfin'], message.engine_id)
        assert usm.verify(datagram, message, keys)
        variables = [tuple(pair) for pair in ber.read_pdu(usm.decrypt(datagram, message, keys).body).variables]
    else:
        variables = list(pysnmp_reading(datagram).variables)
    told = numbered([(oid, value) for oid, _, value in variables if oid.startswith(VARIABLES)])
    assert told[9] == raised.sequence


def test_managers_of_traps(small: tuple[OceanStor, Client], manager: socket.socket) -> None:
    array, client = small
    port = str(manager.getsockname()[1])
    address = {'CMO_TRAP_SERVER_IP': '127.0.0.1', 'CMO_TRAP_SERVER_PORT': port}
    id = client.data('snmp_trap_addr', 'POST', address)['ID']
    assert client.data('snmp_trap_addr')[0]['CMO_TRAP_SERVER_PORT'] == port
    assert client.code(f'snmp_trap_addr/{id}', 'PUT', address) == 50331651      # without its id
    assert client.code(f'snmp_trap_addr/{id}', 'PUT', {'ID': id, **address, 'CMO_TRAP_VERSION': '2'}) == 0
    assert client.code('snmp_trap_addr/send_test_trapmsg', 'PUT', {
        **address, 'CMO_TRAP_SERVER_TYPE': '3', 'CMO_TRAP_VERSION': '2'}) == 0
    assert trap(manager)[4] == b'Trap Test Alarm'
    assert client.code(f'snmp_trap_addr/{id}', 'DELETE') == 0
    assert client.data('snmp_trap_addr') is None


# --- by hand ---

def test_by_hand_with_control_over_http(tmp_path: Path, manager: socket.socket) -> None:
    authority = tmp_path / 'ca.pem'
    process = subprocess.Popen(
        [sys.executable, '-m', 'tests.simulators.huawei', '--port', '0', '--luns', '20', '--seed', 'by hand',
         '--traps-to', f'127.0.0.1:{manager.getsockname()[1]}', '--certificate', str(authority)],
        cwd=ROOT, env={**os.environ, 'PYTHONUNBUFFERED': '1'}, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        about, array, control, _ = (process.stdout.readline() for _ in range(4))
        assert '20 lun' in about
        root, control = array.split()[1], control.split()[1]
        with requests.Session() as session:
            session.trust_env = False
            told = session.post(f'{root}xx/sessions', verify=str(authority), timeout=10, json={
                'username': 'monitor', 'password': 'Simulated-1', 'scope': '0'}).json()
            assert told['data']['deviceid'] in about
            assert 'raise_fault' in session.get(control, timeout=10).json()
            raised = session.post(f'{control}raise_fault', data=json.dumps({'kind': 'pool'}), timeout=10).json()
            assert trap(manager)[9] == raised['sequence']
            assert session.get(f'{control}model/pool', timeout=10).json()[0]['id'] == '0'
            assert session.post(f'{control}raise_fault', data='{"colour": "red"}', timeout=10).status_code == 400
            assert session.post(f'{control}no_such_thing', timeout=10).status_code == 404
            assert session.get(f'{control}state', timeout=10).json()['traps'] == 1
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        process.communicate()
