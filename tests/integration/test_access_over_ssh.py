# SPDX-License-Identifier: Apache-2.0
"""Access information by its rules, proved on a real sshd: unknown host keys, wrong logins, safe updates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.engines import Account, Sshd
from tests.services import Client, Site

WRONG = 'SHA256:' + 'A' * 43


@pytest.fixture(scope='module')
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(tmp_path_factory.mktemp('ssh'))
    (site.root / '.ssh').mkdir()        # a home without known hosts
    return site


@pytest.fixture(scope='module')
def delfin(site: Site) -> Iterator[Client]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('HOME', str(site.root))
        with site.start() as process:
            yield process.ready().client
            assert process.stop() == 0


@pytest.fixture(scope='module')
def ssh(sshd: Sshd) -> dict[str, Any]:
    """A login by key, without a word about the host's key."""
    return {'host': '127.0.0.1', 'port': sshd.port, 'username': sshd.username, 'private_key': sshd.client_key}


def _body(ssh: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {'vendor': 'linux', 'model': 'host', 'ssh': {**ssh, **changes}}


@pytest.fixture(scope='module')
def machine(delfin: Client, sshd: Sshd, ssh: dict[str, Any]) -> str:
    """This machine, registered over SSH with the host's key pinned."""
    storage = delfin.register(**_body(ssh, fingerprint=sshd.fingerprint()))
    assert storage['sync_status'] == 'SYNCED'
    return storage['id']


def test_an_unknown_host_key_is_refused_with_the_field_that_accepts_it(delfin: Client, sshd: Sshd,
                                                                       ssh: dict[str, Any]) -> None:
    error = delfin.post('/v1/storages', _body(ssh), 400)
    assert error['error_code'] == 'SSHNotFoundKnownHosts'
    assert any(f'ssh.fingerprint = "{sshd.fingerprint(kind)}"' in error['error_msg'] for kind in sshd.host_keys)


def test_the_shown_fingerprint_is_accepted(delfin: Client, machine: str) -> None:
    assert delfin.rows('disks', machine)


def test_another_fingerprint_is_refused(delfin: Client, ssh: dict[str, Any]) -> None:
    assert delfin.post('/v1/storages', _body(ssh, fingerprint=WRONG), 400)['error_code'] == 'SSHNotFoundKnownHosts'


def test_a_key_that_is_none_is_told_without_being_shown(delfin: Client, sshd: Sshd, ssh: dict[str, Any]) -> None:
    error = delfin.post('/v1/storages', _body(ssh, private_key='no key at all', fingerprint=sshd.fingerprint()), 400)
    assert error['error_code'] == 'InvalidPrivateKey'
    assert 'no key at all' not in str(error)


def test_the_shown_access_information_holds_no_secret(delfin: Client, machine: str, ssh: dict[str, Any]) -> None:
    shown = delfin.get(f'/v1/storages/{machine}/access-info')
    assert 'private_key' not in shown['ssh']
    assert (shown['ssh']['username'], shown['rest']) == (ssh['username'], {})


@pytest.mark.parametrize('change', [{'fingerprint': WRONG}, {'port': 1}, {'username': 'nobody-at-all'}])
def test_an_update_that_does_not_work_leaves_what_works(delfin: Client, machine: str, change: dict[str, Any]) -> None:
    before = delfin.get(f'/v1/storages/{machine}/access-info')
    answer = delfin.request('PUT', f'/v1/storages/{machine}/access-info', json={'ssh': change})
    assert answer.status_code == 400, answer.text
    assert delfin.get(f'/v1/storages/{machine}/access-info') == before
    assert delfin.sync(machine)['state'] == 'done'


def test_an_update_to_a_password_of_another_account_is_used_from_then_on(
        delfin: Client, machine: str, sshd_password_user: Account) -> None:
    change = {'username': sshd_password_user.username, 'password': sshd_password_user.password, 'private_key': None}
    answer = delfin.request('PUT', f'/v1/storages/{machine}/access-info', json={'ssh': change})
    assert answer.status_code == 200, answer.text
    assert answer.json()['ssh']['username'] == sshd_password_user.username
    assert delfin.sync(machine)['kinds'][0]['state'] == 'done'
