# SPDX-License-Identifier: Apache-2.0
"""Who may send: the table of senders and what keeps it true."""

from __future__ import annotations

import contextlib
import logging
import socket

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from delfin.alert_manager import sources as module
from delfin.alert_manager.sources import Source, Sources, Table
from delfin.db import alert_feeds, alert_sources
from delfin.db.sqlalchemy import models
from delfin.keyring import Keyring, new_key, write_key_file
from tests.unit.support import add_rows, add_storage, until
from tests.unit.trap_support import ADDRESS, configure

V3 = {'version': 'SNMPv3', 'community_string': None, 'username': 'ann', 'security_level': 'authNoPriv',
      'auth_protocol': 'HMACSHA', 'auth_key': 'signing-phrase'}
OTHER = '192.0.2.2'

ADDRESSES = st.ip_addresses().map(str) | st.sampled_from(['127.0.0.1', '127.0.0.12', '127.0.0.128', '::1', '::12'])
NAMES = st.sampled_from(['one.example', 'two.example', 'nowhere.example'])


# --- the table ---

@given(st.lists(st.lists(ADDRESSES | NAMES, max_size=4), max_size=6),
       st.dictionaries(NAMES.filter(lambda name: name != 'nowhere.example'), st.lists(ADDRESSES, max_size=3)),
       ADDRESSES)
def test_those_and_only_those_who_have_an_address_may_send_from_it(hosts, resolved, address):
    given_sources = [Source(str(number), tuple(names)) for number, names in enumerate(hosts)]
    addresses = {'nowhere.example': (), 'one.example': (), 'two.example': (), **resolved}
    table = Table(given_sources, addresses)
    for asked in (address, *(host for source in given_sources for host in source.hosts)):
        expected = [source for source in given_sources
                    if any(asked in addresses.get(host, [host]) for host in source.hosts)]
        if asked not in addresses:
            assert list(table.at(asked)) == expected


def test_an_address_that_only_begins_alike_is_another():
    table = Table([Source('array', ('127.0.0.1',))])
    assert [bool(table.at(address)) for address in ('127.0.0.1', '127.0.0.12', '127.0.0', '')] == [
        True, False, False, False]


# --- from the database ---

@pytest.fixture
def opened(database, keyring):
    """Opens the sources, stopped at the end; they resolve names every 50 ms."""
    with contextlib.ExitStack() as stack:
        def open_sources(on_change=lambda: None, keys=keyring, resolve_interval_seconds=0.05):
            made = Sources(database, keys, resolve_interval_seconds, on_change)
            stack.callback(made.stop)
            return made
        yield open_sources


def senders(sources, address=ADDRESS):
    return [source.storage_id for source in sources.table.at(address)]


@pytest.mark.parametrize(('hosts', 'sender'), [
    ('192.0.2.1', '192.0.2.1'), ('192.0.2.9, 192.0.2.1 ,', '192.0.2.1'), ('2001:DB8:0:0::1', '2001:db8::1'),
    ('[2001:db8::1]', '2001:db8::1'), ('fe80::1%eth0', 'fe80::1'), ('::ffff:192.0.2.1', '192.0.2.1')])
def test_addresses_in_all_their_spellings(database, keyring, storage_id, opened, hosts, sender):
    configure(database, keyring, storage_id, host=hosts)
    sources = opened()
    sources.load()
    assert senders(sources, sender) == [storage_id]


def test_controllers_and_what_the_driver_names_send_for_their_storage_too(database, keyring, storage_id, opened):
    configure(database, keyring, storage_id)
    add_rows(database, storage_id, 'controllers', [
        {'native_controller_id': 'a', 'name': 'controller A', 'mgmt_ip': '192.0.2.21'}])
    with database.write() as connection:
        alert_feeds.set_senders(connection, storage_id, ['192.0.2.31'])
    sources = opened()
    sources.load()
    assert [senders(sources, f'192.0.2.{last}') for last in (1, 21, 31, 32)] == [[storage_id]] * 3 + [[]]
    assert sources.table.controller(storage_id, '192.0.2.21') == 'controller A'
    assert sources.table.controller(storage_id, ADDRESS) is None


def test_the_controllers_of_a_storage_that_takes_no_traps_may_not_send(database, keyring, storage_id, opened):
    add_rows(database, storage_id, 'controllers', [{'native_controller_id': 'a', 'mgmt_ip': ADDRESS}])
    sources = opened()
    sources.load()
    assert senders(sources) == []


def test_a_changed_community_counts_from_the_next_look_on(database, keyring, storage_id, opened):
    configure(database, keyring, storage_id)
    sources = opened()
    sources.load()
    configure(database, keyring, storage_id, community_string='private')
    sources.load()
    assert [source.community for source in sources.table.at(ADDRESS)] == [b'private']


def test_a_removed_source_may_not_send_any_more(database, keyring, storage_id, opened):
    configure(database, keyring, storage_id)
    sources = opened()
    sources.load()
    with database.write() as connection:
        alert_sources.delete(connection, storage_id)
    sources.load()
    assert senders(sources) == []


def test_a_v3_source_has_its_own_user_and_engine(database, keyring, storage_id, opened):
    configure(database, keyring, storage_id, **V3, engine_id='80007ed901c0000201')
    sources = opened()
    sources.load()
    source, = sources.table.at(ADDRESS)
    assert (source.user.name, source.user.auth_key, source.engine_id.hex()) == (
        b'ann', 'signing-phrase', '80007ed901c0000201')
    assert 'signing-phrase' not in repr(source)


def test_no_community_stands_in_a_text_about_a_source(database, keyring, storage_id, opened):
    configure(database, keyring, storage_id, community_string='c0mmunity')
    sources = opened()
    sources.load()
    assert 'c0mmunity' not in repr(sources.table.at(ADDRESS))


def test_nobody_is_told_when_nothing_has_changed(database, keyring, storage_id, opened):
    configure(database, keyring, storage_id)
    told = []
    sources = opened(on_change=lambda: told.append(sources.table))
    sources.load()
    sources.load()
    assert told == [sources.table]


def test_keys_are_not_made_anew_because_another_source_has_changed(database, keyring, storage_id, opened):
    configure(database, keyring, storage_id, **V3)
    sources = opened()
    sources.load()
    before, = sources.table.at(ADDRESS)
    configure(database, keyring, add_storage(database, 'SN-2'), host=OTHER)
    sources.load()
    assert sources.table.at(ADDRESS)[0] is before


# --- sources that cannot be used ---

BROKEN = {
    'a secret that does not open': {'community_string': '$delfin$1$00000000$AAAA'},
    'a secret that is not sealed': {'community_string': 'public'},
    'no community': {'community_string': None},
    'v3 without a user': {'version': 'SNMPv3', 'username': None},
    'v3 without a level': {'version': 'SNMPv3', 'username': 'ann', 'security_level': None},
    'v3 without a key': {'version': 'SNMPv3', 'username': 'ann', 'security_level': 'authPriv'},
    'an engine id that is none': {'version': 'SNMPv3', 'username': 'ann', 'security_level': 'noAuthnoPriv',
                                  'engine_id': 'xyz'},
}


@pytest.mark.parametrize('broken', BROKEN)
def test_a_source_that_cannot_be_used_disturbs_no_other(database, keyring, storage_id, opened, caplog, broken):
    configure(database, keyring, storage_id)
    bad = add_storage(database, 'SN-2')
    with database.write() as connection:
        alert_sources.put(connection, bad, {'host': ADDRESS, 'version': 'SNMPv2c', **BROKEN[broken]})
    sources = opened()
    with caplog.at_level(logging.ERROR):
        sources.load()
        sources.load()
    assert senders(sources) == [storage_id]
    assert [bad in message for message in caplog.messages] == [True], 'one line says which'


def test_a_source_can_be_used_when_its_key_has_come_back(database, storage_id, opened, tmp_path):
    path = tmp_path / 'other-keys'
    (lost, lost_key), (other, other_key) = new_key(), new_key()
    write_key_file(path, {lost: lost_key})
    configure(database, Keyring(str(path)), storage_id)
    write_key_file(path, {other: other_key})
    sources = opened(keys=Keyring(str(path)))
    sources.load()
    assert senders(sources) == []
    write_key_file(path, {other: other_key, lost: lost_key})
    sources.load()
    assert senders(sources) == [storage_id]


# --- names ---

class Names:
    """In place of the name service: what `addresses` says at the moment."""

    def __init__(self):
        self.addresses = {}
        self.asked = []

    def getaddrinfo(self, host, port, **kwargs):
        self.asked.append(host)
        if host not in self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, 'Name or service not known')
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, '', (address, 0)) for address in self.addresses[host]]


@pytest.fixture
def names(monkeypatch):
    names = Names()
    monkeypatch.setattr(module.socket, 'getaddrinfo', names.getaddrinfo)
    monkeypatch.setattr(module, '_RETRY_SECONDS', 0.05)
    return names


def test_a_name_stands_for_the_addresses_it_has_on_this_machine(database, keyring, storage_id, opened):
    configure(database, keyring, storage_id, host='localhost')
    sources = opened()
    sources.start()
    until(lambda: senders(sources, '127.0.0.1') == [storage_id])


def test_a_name_that_moves_takes_its_source_along(database, keyring, storage_id, opened, names):
    names.addresses['array.example'] = [ADDRESS]
    configure(database, keyring, storage_id, host='array.example')
    sources = opened()
    sources.start()
    until(lambda: senders(sources) == [storage_id])
    names.addresses['array.example'] = [OTHER]
    until(lambda: senders(sources, OTHER) == [storage_id])
    assert senders(sources) == []


def test_while_a_name_cannot_be_looked_up_its_last_addresses_count(database, keyring, storage_id, opened, names):
    names.addresses['array.example'] = [ADDRESS]
    configure(database, keyring, storage_id, host='array.example')
    sources = opened()
    sources.start()
    until(lambda: senders(sources) == [storage_id])
    del names.addresses['array.example']
    names.asked.clear()
    until(lambda: len(names.asked) > 2)
    assert senders(sources) == [storage_id]


def test_a_name_that_is_nobodys_stops_no_other_and_is_told_once(database, keyring, storage_id, opened, names, caplog):
    configure(database, keyring, storage_id, host='nobody.example')
    good = add_storage(database, 'SN-2')
    names.addresses['array.example'] = [ADDRESS]
    configure(database, keyring, good, host='array.example')
    sources = opened()
    with caplog.at_level(logging.WARNING):
        sources.start()
        until(lambda: senders(sources) == [good])
        names.asked.clear()
        until(lambda: names.asked.count('nobody.example') > 3)
    assert len([message for message in caplog.messages if 'nobody.example' in message]) == 1


def test_a_name_that_comes_back_is_looked_up_anew(database, keyring, storage_id, opened, names):
    names.addresses['array.example'] = [ADDRESS]
    configure(database, keyring, storage_id, host='array.example')
    sources = opened(resolve_interval_seconds=3600)
    sources.start()
    until(lambda: senders(sources) == [storage_id])
    configure(database, keyring, storage_id, host=OTHER)
    sources.load()
    names.addresses['array.example'] = ['192.0.2.3']
    configure(database, keyring, storage_id, host='array.example')
    sources.load()
    until(lambda: senders(sources, '192.0.2.3') == [storage_id])
    assert senders(sources) == []


# --- engine ids, and a database that is away ---

def test_an_engine_that_has_authenticated_is_pinned(database, keyring, storage_id, opened):
    configure(database, keyring, storage_id, **V3)
    sources = opened()
    sources.start()
    sources.pin(storage_id, b'\x80\0\x7e\xd9\x05engine')
    until(lambda: sources.table.at(ADDRESS)[0].engine_id == b'\x80\0\x7e\xd9\x05engine')
    with database.read() as connection:
        assert alert_sources.get(connection, storage_id)['engine_id_learned'] is True


def test_a_pin_that_cannot_be_stored_keeps_no_news_away(database, keyring, storage_id, opened):
    configure(database, keyring, storage_id, **V3)
    with database.write() as connection:
        connection.execute(sa.text('CREATE TRIGGER no BEFORE UPDATE OF engine_id_learned ON alert_sources '
                                   "WHEN NEW.engine_id_learned BEGIN SELECT RAISE(ABORT, 'no'); END"))
    sources = opened()
    sources.start()
    sources.pin(storage_id, b'\x80\0\x7e\xd9\x05engine')
    configure(database, keyring, storage_id, host=OTHER)
    sources.wake()
    until(lambda: senders(sources, OTHER) == [storage_id])


def test_while_the_database_is_away_those_of_before_may_send(database, keyring, storage_id, opened, caplog):
    configure(database, keyring, storage_id)
    sources = opened()
    sources.start()
    with caplog.at_level(logging.WARNING):
        rename(database, models.alert_sources.name, 'away')
        sources.wake()
        until(lambda: 'is the database up?' in caplog.text)
    assert senders(sources) == [storage_id]
    rename(database, 'away', models.alert_sources.name)
    configure(database, keyring, storage_id, host=OTHER)
    sources.wake()
    until(lambda: senders(sources, OTHER) == [storage_id])


def rename(database, old, new):
    with database.write() as connection:
        connection.execute(sa.text(f'ALTER TABLE {old} RENAME TO {new}'))
