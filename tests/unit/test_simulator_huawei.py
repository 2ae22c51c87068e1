# SPDX-License-Identifier: Apache-2.0
"""The simulated OceanStor answers as the protocol has it, and what it answers is its model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulators.huawei import DORADO_V6, EVERYTHING, OCEANSTOR_6, OLD_18800, V3, Firmware, OceanStor, Sizes
from tests.simulators.huawei.build import CONDITIONS, SECURITY, SYSTEMS, TECHNOLOGIES, WORMS, build
from tests.simulators.huawei.views import HEALTH, RESOURCES, SECTOR, STATE
from tests.unit.simulator_huawei_support import FEW, NO_SUCH_OBJECT, Client, running

LUNS = 205


@pytest.fixture(scope='module')
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OceanStor, Client]]:
    """Of the usual size; nobody changes it."""
    with running(tmp_path_factory.mktemp('large'), Sizes(luns=LUNS), firmware=EVERYTHING) as found:
        yield found


@pytest.fixture
def small(tmp_path: Path) -> Iterator[tuple[OceanStor, Client]]:
    """One to break."""
    with running(tmp_path) as found:
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

def test_login_logout(tmp_path: Path) -> None:
    with running(tmp_path) as (array, client):
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
def test_wrong_passwords_lock_the_account(tmp_path: Path, firmware: Firmware, wrong: int, locked: int) -> None:
    with running(tmp_path, firmware=firmware) as (array, client):
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


def test_a_real_401_has_the_same_body(tmp_path: Path) -> None:
    with running(tmp_path, firmware=OLD_18800) as (array, client):
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


def test_page_behind_an_exact_multiple_has_no_data(tmp_path: Path) -> None:
    with running(tmp_path, replace(FEW, luns=200)) as (array, client):
        assert len(client.every('lun')) == 200
        assert client.ask('lun?range=[200-300]') == {'error': {'code': 0, 'description': '0'}}
        assert array.asked('lun') == 4


def test_ports_ignore_the_range_unless_the_firmware_knows_better(tmp_path: Path) -> None:
    for firmware, count in ((DORADO_V6, 130), (OCEANSTOR_6, 30)):
        with running(tmp_path, replace(FEW, fc_ports=130), firmware=firmware) as (_, client):
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


def test_manners_of_firmware(tmp_path: Path) -> None:
    with running(tmp_path, firmware=V3) as (_, client):
        assert client.data('lun/0')['TYPE'] == '11'
        assert {type(value) for row in client.data('alarm/currentalarm') for value in row.values()} == {str}
    with running(tmp_path, firmware=OCEANSTOR_6) as (_, client):
        assert client.ask('lun?range=[100-200]') == {'data': [], 'error': {'code': '0', 'description': '0'}}
        assert {'healthStatus', 'ENABLESMARTDEDUP'} <= client.data('lun/0').keys()
        assert client.data('system/')['productModeString'] == 'OceanStor 5510'
        assert {row['USAGETYPE'] for row in client.data('storagepool')} == {'0'}
        assert client.code('ib_initiator') == 1077949002
    with running(tmp_path, firmware=OLD_18800) as (_, client):
        assert client.data('system/')['TOTALCAPACITY'] == ''
        answer = client.send('GET', 'lun')
        assert answer.headers['Transfer-Encoding'] == 'chunked' and len(answer.json()['data']) == FEW.luns
        assert client.code('filesystem') == 1077950233
