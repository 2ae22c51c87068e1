# SPDX-License-Identifier: Apache-2.0
"""Alerts by asking the array, through the real door: syncs, the live list, clearing, trap targets."""

from __future__ import annotations

import logging
import threading

import pytest

from delfin import cryptor, exception
from delfin.alerts import BY_LIST, BY_USER, CLEARED, OPEN
from delfin.context import get_admin_context
from delfin.db import alert_feeds, alert_sources, storages
from delfin.db.alert_feeds import EVERYTHING, Window
from delfin.drivers.api import Door, Limits
from delfin.drivers.fake_storage import FakeStorageDriver
from delfin.keyring import place
from delfin.task_manager.alerting import Alerting
from delfin.task_manager.manager import TaskManager
from tests.unit.alert_story import NOON, Story
from tests.unit.support import Drivers, Unprintable, give, make_driver

START_SECONDS = 30
SECRET = 'the-word-nobody-may-read'
DISK = {'alert_name': 'disk failed', 'match_key': 'disk-3', 'occur_time': 1_700_000_000_000}
FAN = {'alert_name': 'fan slow', 'match_key': 'fan-1', 'occur_time': 1_700_000_001_000}


def raising(error):
    """A method that raises."""
    def method(self, context, *args):
        raise error
    return method


def answering(answer):
    """A method that answers."""
    return lambda self, context, *args: answer() if callable(answer) else answer


class Site:
    """One array, reached through a door; what its driver does stands in `methods` and may change."""

    def __init__(self, database, keyring, masker):
        self.story = Story(database)
        self.database, self.keyring, self.masker = database, keyring, masker
        self.storage_id = self.story.storage_id
        self.methods = {'list_alerts': answering([DISK, FAN])}
        self.limits = Limits(START_SECONDS)
        self.admit = None
        self.doors = []

    def with_driver(self, driver_class, **access):
        """Alerting over a door to this driver."""
        access = {'vendor': 'v', 'model': 'm', 'rest': {'host': '192.0.2.1', 'port': 1, 'username': 'u',
                                                        'password': SECRET}, **access}
        door = Door(Drivers(driver_class), lambda storage_id: access, limits=self.limits, masker=self.masker,
                    admit=self.admit)
        self.doors.append(door)
        return Alerting(self.database, door, self.keyring, self.masker)

    def alerting(self):
        return self.with_driver(make_driver(**self.methods))

    def sync(self, window=EVERYTHING, **methods):
        """Ask for a sync and make it; how it ended, as the API tells."""
        self.methods |= methods
        self.story.do(alert_feeds.request, self.storage_id, window)
        with self.database.read() as connection:
            (task,) = alert_feeds.due(connection, 'node-1', (), 10)
        self.alerting().sync(task)
        return self.feed()['state']

    def feed(self):
        with self.database.read() as connection:
            return alert_feeds.get(connection, self.storage_id)

    def standing(self):
        return sorted(row['alert_name'] for row in self.story.rows() if row['state'] == OPEN)

    def waits(self):
        """Whether the request is still to be answered."""
        return self.feed()['wanted'] > self.feed()['done']


@pytest.fixture
def site(database, keyring, masker):
    made = Site(database, keyring, masker)
    yield made
    for door in made.doors:
        door.stop()


# --- syncs ---

def test_a_sync_raises_what_the_array_lists_and_clears_what_it_lists_no_more(site):
    assert site.sync() == 'done' and site.standing() == ['disk failed', 'fan slow']
    assert site.sync(list_alerts=answering([FAN])) == 'done' and site.standing() == ['fan slow']
    assert site.story.only(state=CLEARED)['cleared_by'] == BY_LIST and not site.waits()


def test_a_list_may_be_yielded(site):
    assert site.sync(list_alerts=lambda self, context, query: iter([DISK, FAN])) == 'done'
    assert site.standing() == ['disk failed', 'fan slow']


class BrokenList(list):
    """Breaks off in the middle."""

    def __iter__(self):
        yield DISK
        raise RuntimeError(SECRET)


@pytest.mark.parametrize('method', [
    raising(RuntimeError(SECRET)), raising(exception.StorageBackendException('busy')), raising(SystemExit(1)),
    raising(TimeoutError()), answering('no list'), answering(7), answering({'alerts': []}), answering(b''),
    answering(BrokenList), answering(Unprintable)],
    ids=['error', 'typed', 'exit', 'timeout', 'text', 'number', 'dict', 'bytes', 'broken list', 'object'])
def test_when_the_driver_fails_nothing_changes_and_it_is_told(site, method, caplog):
    site.sync()
    with caplog.at_level(logging.DEBUG):
        assert site.sync(list_alerts=method) == 'failed'
    assert site.standing() == ['disk failed', 'fan slow'] and not site.waits()
    assert site.feed()['error'] and SECRET not in site.feed()['error']
    assert SECRET not in site.masker.mask(caplog.text), 'log handlers would not cut it out'


def test_a_driver_that_hangs_changes_nothing(site):
    site.sync()
    site.limits = Limits(0.5)
    go = threading.Event()
    try:
        assert site.sync(list_alerts=lambda self, context, query: go.wait() and []) == 'failed'
    finally:
        go.set()
    assert site.standing() == ['disk failed', 'fan slow']


@pytest.mark.parametrize('rubbish', [None, 'text', 7, {}, {'severity': 'Fatal'}, Unprintable()],
                         ids=['none', 'text', 'number', 'empty', 'says nothing', 'object'])
def test_a_list_with_rubbish_in_it_clears_nothing_but_raises_the_rest(site, rubbish):
    site.sync()
    assert site.sync(list_alerts=answering([{**FAN, 'match_key': 'fan-2'}, rubbish])) == 'done'
    assert site.standing() == ['disk failed', 'fan slow', 'fan slow']
    assert 'rejected_alert' in [found['code'] for found in site.feed()['findings']]


def test_rubbish_is_seen_although_there_is_more_of_it_than_is_told(site):
    """Findings are bounded; whether a list is complete must not depend on their room."""
    site.sync()
    noise = {**FAN, **{f'field {number}': 1 for number in range(200)}}
    site.sync(list_alerts=answering([noise, 'rubbish']))
    assert site.standing() == ['disk failed', 'fan slow']


@pytest.mark.parametrize('probe', [
    raising(RuntimeError('down')), answering(None), answering({}), answering({'name': 'array'}),
    answering({'name': 'array', 'serial_number': 'ANOTHER'})],
    ids=['raises', 'none', 'empty', 'no serial number', 'another array'])
def test_an_empty_list_of_an_array_that_is_not_well_clears_nothing(site, probe):
    """Many drivers answer an error with an empty list."""
    site.sync()
    assert site.sync(list_alerts=answering([]), get_storage=probe) == 'failed'
    assert site.standing() == ['disk failed', 'fan slow']


@pytest.mark.parametrize('empty', [[], None, ()], ids=str)
def test_an_empty_list_of_an_array_that_is_well_clears(site, empty):
    site.sync()
    assert site.sync(list_alerts=answering(empty)) == 'done' and site.standing() == []


def test_a_driver_that_does_not_list_alerts_is_no_failure(site, caplog):
    assert site.sync(list_alerts=raising(NotImplementedError())) == 'unsupported'
    assert not site.waits() and site.feed()['error'] is None
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_sync_of_a_window_takes_what_lies_in_it_and_clears_nothing(site):
    site.sync()
    late = {**DISK, 'match_key': 'disk-4', 'occur_time': 1_700_000_002_000}
    site.sync(Window(1_700_000_001_000, 1_700_000_001_500), list_alerts=answering([late, {**FAN, 'description': 'x'}]))
    assert site.standing() == ['disk failed', 'fan slow']
    assert site.story.only(match_key='fan-1')['description'] == 'x'


@pytest.mark.parametrize(('window', 'expected'), [
    (EVERYTHING, None), (Window(5, 9), {'begin_time': 5, 'end_time': 9}), (Window(None, 9), {'begin_time': 0,
                                                                                            'end_time': 9})])
def test_a_driver_is_given_both_bounds_or_none(site, window, expected):
    asked = []
    site.sync(window, list_alerts=lambda self, context, query: asked.append(query) or [])
    assert asked == [expected]


# --- whose array it is ---

@pytest.mark.parametrize('end', [lambda: [], lambda: 1 / 0, raising(NotImplementedError())],
                         ids=['lists', 'fails', 'cannot'])
def test_a_node_that_lost_the_array_meanwhile_commits_nothing(site, end):
    site.sync()

    def list_alerts(self, context, query):
        give(site.database, site.storage_id, 'node-2')
        return end() if end.__name__ == '<lambda>' else end(self, context)
    site.sync(list_alerts=list_alerts)
    assert site.standing() == ['disk failed', 'fan slow'] and site.feed()['state'] == 'done'
    assert site.waits(), 'the next owner would not make the sync that somebody has asked for'


def test_a_node_that_lost_the_array_before_asks_nobody(site):
    asked = []
    site.methods['list_alerts'] = lambda self, context, query: asked.append(1) or []
    site.story.do(alert_feeds.request, site.storage_id)
    with site.database.read() as connection:
        (task,) = alert_feeds.due(connection, 'node-1', (), 10)
    give(site.database, site.storage_id, 'node-2')
    site.alerting().sync(task)
    assert asked == [] and site.feed()['started_at'] is None


def test_a_sync_that_is_refused_here_is_made_later(site):
    def admit(storage_id):
        raise exception.ServiceUnavailable('no lease')
    site.admit = admit
    assert site.sync() is None and site.waits()
    with site.database.read() as connection:
        assert 0 < alert_feeds.seconds_to_next(connection, 'node-1', ()) <= 5


def test_a_storage_that_is_deleted_meanwhile_gets_nothing(site):
    def list_alerts(self, context, query):
        site.story.do(storages.hide, site.storage_id)
        return [DISK]
    site.sync(list_alerts=list_alerts)
    assert site.story.rows() == []


# --- where traps come from ---

def test_the_addresses_that_the_driver_tells_are_kept(site):
    site.sync(get_alert_sources=answering([{'host': '10.0.0.1'}, {'host': 'array-b.example.com'}]))
    assert site.feed()['senders'] == ['10.0.0.1', 'array-b.example.com']


def test_addresses_that_are_none_are_left_out(site):
    hosts = (7, '', 'x' * 300, '10.0.0.2\0', '\ud800')
    answer = ['10.0.0.1', {}, *({'host': host} for host in hosts)]
    assert site.sync(get_alert_sources=answering(answer)) == 'done'
    assert site.feed()['senders'] == ['10.0.0.2', '?']


@pytest.mark.parametrize('error', [NotImplementedError(), RuntimeError('down')], ids=['cannot', 'fails'])
def test_a_driver_that_does_not_tell_addresses_now_takes_none_away(site, error):
    site.sync(get_alert_sources=answering([{'host': '10.0.0.1'}]))
    assert site.sync(get_alert_sources=raising(error)) == 'done' and site.feed()['senders'] == ['10.0.0.1']


# --- for somebody who waits, with the make-believe array ---

@pytest.fixture
def fake(site):
    """The make-believe array, which lists three alerts a minute apart."""
    return site.with_driver(FakeStorageDriver, extra_attributes={'alerts': '3'})


def live(fake, site, window=EVERYTHING):
    return fake.list_alerts(get_admin_context(), site.storage_id, window)


def test_the_live_list_shows_what_the_array_says_and_whose_it_is(site, fake):
    rows = live(fake, site)
    assert len(rows) == 3 and rows[0].items() >= {
        'storage_id': site.storage_id, 'storage_name': 'array', 'serial_number': 'SN-1', 'category': 'Fault'}.items()
    assert site.story.rows() == [], 'who only looks changes nothing'


def test_the_window_of_the_live_list_includes_both_its_ends(site, fake):
    first, second, third = sorted(row['occur_time'] for row in live(fake, site))

    def shown(*window):
        return sorted(row['occur_time'] for row in live(fake, site, Window(*window)))
    assert shown(first, third) == [first, second, third] and shown(second, second) == [second]
    assert shown(second, None) == [second, third] and shown(None, second) == [first, second]
    assert shown(third + 1, None) == []


def test_a_driver_that_ignores_the_window_is_helped(site):
    alerting = site.alerting()
    assert [row['alert_name'] for row in live(alerting, site, Window(None, 1_700_000_000_000))] == ['disk failed']


def test_the_live_list_of_an_unknown_storage_is_refused(site, fake):
    with pytest.raises(exception.StorageNotFound):
        fake.list_alerts(get_admin_context(), '00000000-0000-4000-8000-000000000000', EVERYTHING)


def test_clearing_clears_on_the_array_and_here(site, fake):
    number = live(fake, site)[0]['sequence_number']
    site.story.say(0, sequence_number=number)
    fake.clear_alert(get_admin_context(), site.storage_id, number)
    assert number not in [row['sequence_number'] for row in live(fake, site)]
    assert (site.story.only()['state'], site.story.only()['cleared_by']) == (CLEARED, BY_USER)
    assert site.story.told() == ['raised', 'cleared']


def test_what_the_array_does_not_clear_stands_here_too(site, fake):
    site.story.say(0, sequence_number='no such number')
    with pytest.raises(exception.StorageClearAlertFailed):
        fake.clear_alert(get_admin_context(), site.storage_id, 'no such number')
    assert site.story.states() == [OPEN]


def test_a_driver_that_cannot_clear_says_so(site):
    site.story.say(0, sequence_number='7')
    site.methods['clear_alert'] = raising(NotImplementedError())
    with pytest.raises(exception.StorageCapabilityNotSupported, match='cannot clear'):
        site.alerting().clear_alert(get_admin_context(), site.storage_id, '7')
    assert site.story.states() == [OPEN]


# --- trap targets ---

class Told:
    """What a driver was given as `trap_config`, opened inside the driver as drivers do it."""

    def __init__(self):
        self.given = []

    def method(self, word):
        def call(driver, context, trap_config):
            opened = {name: cryptor.decode(value) if name in alert_sources.SECRETS else value
                      for name, value in trap_config.items()}
            self.given.append((word, opened, str(trap_config)))
        return call


@pytest.fixture
def configured(site):
    """An SNMPv3 configuration with sealed keys; the same for v2c."""
    def configure(**given):
        sealed = {name: site.keyring.seal(value, place(site.storage_id, alert_sources.PLACE, name))
                  if name in alert_sources.SECRETS else value for name, value in given.items()}
        site.story.do(alert_sources.put, site.storage_id, {'host': '192.0.2.1', **sealed})
    return configure


V3 = {'version': 'snmpv3', 'username': 'trapper', 'security_level': 'authPriv', 'auth_protocol': 'sha',
      'auth_key': SECRET, 'privacy_protocol': 'aes', 'privacy_key': SECRET[::-1]}


@pytest.mark.parametrize('given', [V3, {'version': 'snmpv2c', 'community_string': SECRET}], ids=['v3', 'v2c'])
def test_the_driver_gets_target_and_credentials_which_it_can_open(site, configured, given, caplog):
    configured(**given)
    told = Told()
    site.methods |= {'add_trap_config': told.method('add'), 'remove_trap_config': told.method('remove')}
    alerting = site.alerting()
    with caplog.at_level(logging.DEBUG):
        alerting.push_trap_config(get_admin_context(), site.storage_id, '10.9.9.9', 162, False)
        alerting.push_trap_config(get_admin_context(), site.storage_id, '10.9.9.9', 162, True)
    assert [(word, opened) for word, opened, _ in told.given] == [
        (word, {'host': '10.9.9.9', 'port': 162, **given}) for word in ('add', 'remove')]
    assert not any(SECRET in text or SECRET[::-1] in text for *_, text in told.given)
    assert SECRET not in caplog.text and SECRET[::-1] not in caplog.text


def test_a_driver_that_complains_with_the_secret_is_masked(site, configured, caplog):
    configured(version='snmpv2c', community_string='hidden-community')

    def add(self, context, trap_config):
        word = cryptor.decode(trap_config['community_string'])
        logging.getLogger('vendor').warning('refused %s', word)
        raise RuntimeError(f'the array refused community {word}')
    site.methods['add_trap_config'] = add
    with pytest.raises(exception.DelfinException) as caught:
        site.alerting().push_trap_config(get_admin_context(), site.storage_id, '10.9.9.9', 162, False)
    assert 'hidden-community' not in str(caught.value) + caught.value.msg
    assert site.masker.mask(caplog.text).count('hidden-community') == 0, 'log handlers would not cut it out'


def test_the_secrets_of_a_removed_storage_are_not_masked_for_ever(site, configured):
    configured(version='snmpv2c', community_string='hidden-community')
    site.alerting().push_trap_config(get_admin_context(), site.storage_id, '10.9.9.9', 162, False)
    assert 'hidden' not in site.masker.mask('hidden-community')
    site.doors[-1].forget(site.storage_id)
    assert site.masker.mask('hidden-community') == 'hidden-community'


def test_without_a_configuration_there_is_nothing_to_push(site):
    with pytest.raises(exception.AlertSourceNotFound):
        site.alerting().push_trap_config(get_admin_context(), site.storage_id, '10.9.9.9', 162, False)


@pytest.mark.parametrize('remove', [False, True])
def test_a_driver_that_cannot_set_up_targets_says_so(site, configured, remove):
    configured(version='snmpv2c', community_string='hidden-community')
    site.methods |= dict.fromkeys(('add_trap_config', 'remove_trap_config'), raising(NotImplementedError()))
    with pytest.raises(exception.StorageCapabilityNotSupported, match='traps'):
        site.alerting().push_trap_config(get_admin_context(), site.storage_id, '10.9.9.9', 162, remove)


# --- the endpoint ---

@pytest.fixture
def manager(conf, site):
    """The task service's endpoint of node-1, which owns the array."""
    made = []

    def make(driver_class):
        made.append(TaskManager(conf, site.database, site.keyring, Drivers(driver_class), site.masker))
        made[0].membership.start()
        return made[0]
    yield make
    for each in made:
        each.door.stop()
        each.membership.stop(10)


def test_the_endpoint_lists_and_clears(manager, site):
    endpoint, context = manager(FakeStorageDriver), get_admin_context()
    rows = endpoint.list_alerts(context, site.storage_id, None, None)
    endpoint.clear_alert(context, site.storage_id, rows[0]['sequence_number'])
    assert len(endpoint.list_alerts(context, site.storage_id, None, None)) == len(rows) - 1


def test_the_endpoint_reads_a_trap_that_needs_a_session(manager, site):
    def parse_alert(self, context, alert):
        return {'alert_name': f'{self.get_storage(context)["serial_number"]} {alert["1.3"]}', 'at': NOON}
    row = manager(make_driver(parse_alert=parse_alert)).parse_alert(get_admin_context(), site.storage_id, {'1.3': 'x'})
    assert row == {'alert_name': 'SN-1 x', 'at': '2026-01-01T12:00:00.000000'}


def test_the_endpoint_says_what_a_driver_cannot_do(manager, site):
    endpoint = manager(make_driver(list_alerts=raising(NotImplementedError())))
    with pytest.raises(Exception) as caught:        # wrapped for the wire
        endpoint.list_alerts(get_admin_context(), site.storage_id, None, None)
    error = caught.value.exc_info[1] if hasattr(caught.value, 'exc_info') else caught.value
    assert isinstance(error, exception.StorageCapabilityNotSupported)
