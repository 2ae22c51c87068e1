# SPDX-License-Identifier: Apache-2.0
"""Asking the SNMP agents of arrays, on net-snmp's agent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from delfin.alert_manager import probe
from delfin.alert_manager.probe import Engines, ProbeFailed, Prober
from delfin.db import alert_sources
from delfin.db.sqlalchemy import models
from delfin.keyring import Keyring, place
from tests.checkouts import free_port
from tests.engines.base import wait_until
from tests.engines.snmp import Snmpd, User
from tests.unit.conftest import database, key_file, keyring, migrated_file  # noqa: F401 (fixtures)
from tests.unit.support import add_storage

KEYS = ('signing-phrase', 'sealing-phrase')
USERS = [User('plain'), User('signed', ('SHA', KEYS[0])),
         *(User(f'u{number}', (auth, KEYS[0]), (privacy, KEYS[1])) for number, (auth, privacy) in enumerate([
             ('MD5', 'DES'), ('SHA', 'AES'), ('SHA-256', 'AES-192'), ('SHA-512', 'AES-256'), ('SHA-384', 'AES-256-C'),
             ('SHA-224', 'AES-192-C')]))]
AUTH = {'MD5': 'HMACMD5', 'SHA': 'HMACSHA', 'SHA-224': 'HMCSHA2224', 'SHA-256': 'HMCSHA2256', 'SHA-384': 'HMCSHA2384',
        'SHA-512': 'HMCSHA2512'}


@pytest.fixture(scope='module')
def agent():
    missing = Snmpd.missing()
    if missing:
        pytest.skip(missing)
    with Snmpd(users=USERS) as running:
        yield running


class Source:
    """The SNMP configuration of a storage in a database."""

    def __init__(self, database, keyring: Keyring, agent: Snmpd) -> None:      # noqa: F811
        self.database, self.keyring, self.agent = database, keyring, agent
        self.storage_id = add_storage(database)

    def configure(self, **values: Any) -> None:
        secrets = {name: self.keyring.seal(values[name], place(self.storage_id, alert_sources.PLACE, name))
                   for name in alert_sources.SECRETS if values.get(name)}
        with self.database.write() as connection:
            alert_sources.put(connection, self.storage_id, {
                'host': '127.0.0.1', 'port': self.agent.port, 'expiration': 1, 'retry_num': 0, **values, **secrets})

    def row(self) -> dict[str, Any]:
        with self.database.read() as connection:
            return alert_sources.get(connection, self.storage_id)

    def ask_again(self, **changed: Any) -> None:
        """The next probe is due; the configuration is what it was apart from what has `changed` by itself."""
        with self.database.write() as connection:
            connection.execute(sa.update(models.alert_sources).values(probe_due_at=None, **changed))

    def ask(self) -> bytes | None:
        async def ask() -> bytes | None:
            with Engines() as engines:
                return await probe.ask(self.row(), self.keyring, engines)
        return asyncio.run(ask())


@pytest.fixture
def source(database, keyring, agent):      # noqa: F811
    return Source(database, keyring, agent)


@pytest.mark.parametrize('version', ['SNMPv1', 'SNMPv2c'])
@pytest.mark.parametrize('host', ['127.0.0.1', '::1', 'localhost', '127.0.0.2,127.0.0.1'])
def test_an_agent_answers_its_community(source, version, host):
    source.configure(version=version, community_string='public', host=host)
    assert source.ask() is None


@pytest.mark.parametrize('user', USERS, ids=lambda user: '-'.join(filter(None, (
    user.user, user.auth and user.auth[0], user.privacy and user.privacy[0]))))
def test_a_v3_agent_answers_its_user_and_tells_its_engine_id(source, user):
    level = 'authPriv' if user.privacy else 'authNoPriv' if user.auth else 'noAuthnoPriv'
    source.configure(
        version='SNMPv3', username=user.user, security_level=level,
        auth_protocol=user.auth and AUTH[user.auth[0]], auth_key=user.auth and user.auth[1],
        privacy_protocol=user.privacy and user.privacy[0].replace('-', '', 1).replace('-', ''),
        privacy_key=user.privacy and user.privacy[1])
    engine_id = source.ask()
    assert engine_id is not None and engine_id.hex().startswith('80001f88')     # net-snmp's number


@pytest.mark.parametrize('wrong', [{'community_string': 'wrong'}, {'port': 1}, {'host': 'no..name'}])
def test_an_agent_that_does_not_answer_is_told_with_a_reason(source, wrong):
    source.configure(version='SNMPv2c', **{'community_string': 'public', **wrong})
    with pytest.raises(ProbeFailed, match=r'^(127\.0\.0\.1|no\.\.name): .+'):
        source.ask()


def test_a_wrong_key_is_told_without_the_key(source):
    source.configure(version='SNMPv3', username='signed', security_level='authNoPriv', auth_protocol='HMACSHA',
                     auth_key='not-the-phrase')
    with pytest.raises(ProbeFailed) as caught:
        source.ask()
    assert 'not-the-phrase' not in str(caught.value)


def test_agents_that_share_a_user_are_told_apart(source, agent):
    source.configure(version='SNMPv3', username='signed', security_level='authNoPriv', auth_protocol='HMACSHA',
                     auth_key=KEYS[0])
    row = source.row()

    async def ask(ports: list[int]) -> list[Any]:
        with Engines() as engines:
            return await asyncio.gather(
                *(probe.ask({**row, 'port': port}, source.keyring, engines) for port in ports), return_exceptions=True)
    with Snmpd(users=USERS) as other:
        mine, its, none = asyncio.run(ask([agent.port, other.port, free_port()]))
    assert len({mine, its}) == 2 and all(isinstance(engine_id, bytes) for engine_id in (mine, its))
    assert isinstance(none, ProbeFailed)


class Watch:
    """A prober at work."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.learned: list[None] = []
        self.prober = Prober(source.database, source.keyring, 3600, lambda: None, lambda: self.learned.append(None))

    def asked(self, state: str) -> dict[str, Any]:
        self.prober.wake()
        assert wait_until(lambda: self.source.row()['probe_state'] == state, 15), self.source.row()
        return self.source.row()

    def alerts(self) -> list[tuple[str, int]]:
        with self.source.database.read() as connection:
            return [(row.state, row.count) for row in connection.execute(sa.select(models.alerts))]


@pytest.fixture
def watch(source):
    watching = Watch(source)
    yield watching
    watching.prober.stop()


def test_an_outage_is_one_alert_that_ends_with_it(source, watch):
    source.configure(version='SNMPv2c', community_string='public', port=free_port())
    watch.prober.start()
    assert watch.asked('failed')['probe_error']
    first = source.row()['probed_at']
    source.ask_again()      # and it still does not answer
    assert wait_until(lambda: source.row()['probed_at'] > first, 15)
    assert watch.alerts() == [('open', 1)]
    source.ask_again(port=source.agent.port)
    watch.asked('ok')
    assert watch.alerts() == [('cleared', 1)]


def test_what_the_agent_says_of_its_engine_is_pinned(source, watch):
    source.configure(version='SNMPv3', username='signed', security_level='authNoPriv', auth_protocol='HMACSHA',
                     auth_key=KEYS[0])
    watch.prober.start()
    row = watch.asked('ok')
    assert row['engine_id'].startswith('80001f88') and row['engine_id_learned'] and watch.learned
