# SPDX-License-Identifier: Apache-2.0
"""Shares: NFS exports and Samba."""

from __future__ import annotations

import pytest

from delfin import exception
from delfin.drivers.linux import shares
from delfin.drivers.linux.runner import Completed
from tests.drivers.linux.replay import RecordedMachine, by, driver_of, text_of

ETAB = '/var/lib/nfs/etab'


@pytest.fixture
def file_server(lab: RecordedMachine) -> RecordedMachine:
    """The lab with Samba's server: smbd's answer is written from its manual page, testparm's was recorded."""
    lab.tools['smbd'] = Completed('smbd', 'Version 4.17.12-Debian\n', '', 0)
    lab.tools['testparm'] = Completed('testparm', text_of('testparm.txt'), 'Loaded services file OK.\n', 0)
    return lab


def test_what_the_server_exports_is_listed(lab: RecordedMachine) -> None:
    paths = {row['path'] for row in driver_of(lab).list_shares(None)}
    assert paths == {'/srv/thick', '/srv/photos', '/srv/err x', '/srv/thin', '/srv/päth with space'}


def test_a_directory_exported_to_several_clients_is_one_share() -> None:
    found = {export.path: export for export in shares.exports({ETAB: text_of('etab.txt')}) or []}
    clients = [client.partition('(')[0] for client in found['/srv/thick'].clients]
    assert clients == ['192.0.2.0/24', '*.example.org']


def test_exports_name_their_filesystem(lab: RecordedMachine) -> None:
    filesystems = by(driver_of(lab).list_filesystems(None), 'native_filesystem_id')
    mounted = {row['path']: filesystems[row['native_filesystem_id']]['name']
               for row in driver_of(lab).list_shares(None)}
    assert mounted == {'/srv/thick': '/srv/thick', '/srv/photos': '/srv/photos', '/srv/thin': '/srv/thin',
                       '/srv/päth with space': '/srv/päth with space', '/srv/err x': '/'}


def test_a_stopped_server_is_shown_as_it_is_configured(degraded_lab: RecordedMachine) -> None:
    rows = driver_of(degraded_lab).list_shares(None)
    assert {row['extra']['source'] for row in rows} == {'/etc/exports', '/etc/exports.d/more.exports'}


def test_the_configuration_may_use_every_form_of_exports() -> None:
    found = {export.path: export.clients for export in shares.exports({'/etc/exports': text_of('exports.txt')}) or []}
    assert found == {
        '/srv/thick': ['192.0.2.0/24(rw,sync,no_subtree_check)', '*.example.org(ro)'],
        '/srv/päth with space': ['*(rw)'],
        '/srv/photos': ['@trusted(rw,fsid=1)', 'host2(ro)'],
        '/srv/photos/sub': ['hosta', 'hostb(ro)'],
        '/srv/thin': []}


def test_samba_shares_stand_beside_exports(file_server: RecordedMachine) -> None:
    names = [row['name'] for row in driver_of(file_server).list_shares(None) if row['protocol'] == 'cifs']
    assert names == ['photos', 'With Space', 'include']


def test_one_directory_may_be_shared_both_ways(file_server: RecordedMachine) -> None:
    ids = [row['native_share_id'] for row in driver_of(file_server).list_shares(None) if row['path'] == '/srv/photos']
    assert ids == ['nfs:/srv/photos', 'cifs:photos']


def test_samba_shares_say_whether_they_can_be_written(file_server: RecordedMachine) -> None:
    rows = by(driver_of(file_server).list_shares(None), 'native_share_id')
    assert (rows['cifs:photos']['extra']['read_only'], rows['cifs:include']['extra']['read_only']) == (False, True)


def test_the_client_tools_of_samba_make_no_server(lab: RecordedMachine) -> None:
    lab.tools['testparm'] = Completed('testparm', text_of('testparm.txt'), '', 0)
    assert {row['protocol'] for row in driver_of(lab).list_shares(None)} == {'nfs'}


def test_a_broken_configuration_of_samba_is_an_error(file_server: RecordedMachine) -> None:
    file_server.fails('testparm', 'Error loading services.\n')
    with pytest.raises(exception.StorageBackendException, match='testparm ended with status 1: Error loading'):
        driver_of(file_server).list_shares(None)


def test_an_empty_answer_of_testparm_is_an_error_and_no_empty_list() -> None:
    with pytest.raises(exception.InvalidResults, match='testparm printed no configuration'):
        shares.samba_shares('')


def test_a_machine_without_servers_does_not_support_shares(lab: RecordedMachine) -> None:
    lab.has_no(ETAB)
    lab.has_no('/etc/exports')
    lab.has_no('/etc/exports.d/*')
    with pytest.raises(NotImplementedError, match='neither an NFS nor a Samba server'):
        driver_of(lab).list_shares(None)
