# SPDX-License-Identifier: Apache-2.0
"""The exporter `alertmanager`: what is posted when. tests/integration/test_alertmanager.py has the real receiver."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from delfin import exception
from delfin.db import alerts, engine
from delfin.exporter.alertmanager import AlertmanagerFeed
from delfin.exporter.base_exporter import DeliveryFailed
from delfin.exporter.work import CallFailed, Pace, State
from tests.checkouts import free_port
from tests.unit.exporter_support import Array, Web, register

NAME = 'alertmanager'


class Feed:
    """The feed over a database, with a clock that a test moves; what each of its posts says."""

    def __init__(self, conf, database, web):
        self.conf, self.database, self.web = conf, database, web
        self.shift = timedelta()
        conf.set_override('urls', [web.http], 'alertmanager')
        conf.set_override('delfin_url', 'https://delfin.example.com/', 'alertmanager')
        self.exporter = AlertmanagerFeed.create(conf)
        self.state = State(database, NAME, lambda connection: True, Pace(), self._now)

    def _now(self, connection):
        return engine.now(connection) + self.shift

    def round(self):
        """What one round posts, by what the alerts are called."""
        before = len(self.web.posts)
        self.state.round(self._call)
        return [alert for post in self.web.posts[before:] for alert in post]

    def later(self, **duration):
        """The same after a while."""
        self.shift += timedelta(**duration)
        return self.round()

    def _call(self, method, *args):
        try:
            getattr(self.exporter, method)(None, *args)
        except Exception as error:
            raise CallFailed(error) from error


def time_of(value):
    return datetime.fromisoformat(value)


def fires(alert):
    return time_of(alert['endsAt']) > time_of(alert['startsAt']) + timedelta(minutes=3)


@pytest.fixture
def web():
    with Web() as server:
        yield server


@pytest.fixture
def array(database):
    register(database, NAME, events=False)
    return Array(database)


@pytest.fixture
def feed(conf, database, web):
    return Feed(conf, database, web)


def test_what_stands_is_told_with_labels_and_annotations(array, feed, web):
    array.fault(3, occur_time=1_700_000_000_000, recovery_advice='Replace it.')
    alert, = feed.round()
    assert web.requests[0].path == '/api/v2/alerts'
    assert alert['labels'] == {
        'alertname': 'Disk failed', 'delfin_id': array.alert_id(3), 'alert_id': '0x17', 'alert_name': 'Disk failed',
        'severity': 'Major', 'category': 'Fault', 'type': 'EquipmentAlarm', 'resource_type': 'Disk',
        'location': 'slot 3', 'storage_id': array.storage_id, 'storage_name': 'array', 'serial_number': 'SN-1',
        'vendor': 'Example', 'model': 'X1'}
    assert alert['annotations'] == {
        'summary': 'Disk 3 does not answer.', 'description': 'Disk 3 does not answer.', 'sequence_number': '3',
        'recovery_advice': 'Replace it.', 'occur_time': '2023-11-14T22:13:20+00:00'}
    assert alert['generatorURL'] == f'https://delfin.example.com/v1/alerts/{array.alert_id(3)}'


def test_an_alert_ends_by_itself_when_delfin_does_not_say_it_again(array, feed):
    array.fault(1)
    first, = feed.round()
    again, = feed.later(minutes=1)
    for alert, minutes in ((first, 4), (again, 5)):
        expected = datetime.now(UTC) + timedelta(minutes=minutes)
        assert abs(time_of(alert['endsAt']) - expected) < timedelta(seconds=20)
    assert first['startsAt'] == again['startsAt']


def test_an_end_is_told_for_15_minutes_and_never_again(array, feed, web):
    array.fault(1)
    feed.round()
    array.recovery(1)
    end, = feed.round()
    assert not fires(end)
    assert feed.later(minutes=14) == [end]
    assert feed.later(minutes=2) == []
    assert feed.later(days=1) == []


def test_nothing_to_tell_posts_nothing(feed, web, array):
    assert feed.round() == []
    assert web.requests == []


def test_it_is_told_each_minute_and_at_most_once_a_second(array, feed):
    array.fault(1)
    rest = feed.state.round(feed._call)
    assert rest.least >= 1
    assert rest.most == 60


def test_a_repeated_alert_stays_the_same_one(array, feed):
    """Whatever an array counts up in it: another value of a label would be another alert."""
    array.fault(1, match_key='disk-3', location='slot 3')
    first, = feed.round()
    array.fault(2, match_key='disk-3', location='slot 3', occur_time=1_700_000_000_000, description='Still not.')
    again, = feed.round()
    assert again['labels'] == first['labels']
    assert again['annotations']['sequence_number'] == '2'


def test_alerts_that_look_alike_stay_two(array, feed):
    array.fault(1, location=None)
    array.fault(2, location=None)
    one, other = feed.round()
    assert one['labels'] != other['labels']


def test_when_it_gets_worse_the_old_severity_is_resolved(array, feed):
    array.fault(1, severity='Minor')
    feed.round()
    array.fault(1, severity='Critical')
    told = {alert['labels']['severity']: fires(alert) for alert in feed.round()}
    assert told == {'Critical': True, 'Minor': False}
    told = [len(feed.later(minutes=3)) for _ in range(6)]
    assert told == [2, 2, 2, 2, 1, 1]


def test_when_it_gets_better_again_the_first_severity_fires(array, feed):
    for severity in ('Minor', 'Critical', 'Minor'):
        array.fault(1, severity=severity)
        told = {alert['labels']['severity']: fires(alert) for alert in feed.round()}
    assert told == {'Minor': True, 'Critical': False}


def test_what_is_muted_is_resolved_and_fires_again_later(array, feed, database):
    array.fault(1)
    feed.round()
    for muted in (True, False):
        with database.write() as connection:
            alerts.set_muted(connection, array.storage_id, muted)
        alert, = feed.round()
        assert fires(alert) is not muted


def test_a_change_that_could_not_be_told_is_told_later(array, feed, web):
    array.fault(1, severity='Minor')
    feed.round()
    array.fault(1, severity='Critical')
    web.status = 500
    feed.round()
    web.status = 200
    told = {alert['labels']['severity']: fires(alert) for alert in feed.later(minutes=2)}
    assert told == {'Critical': True, 'Minor': False}


def test_many_alerts_come_in_chunks(array, feed, web):
    array.says(*({'category': 'Fault', 'sequence_number': str(number)} for number in range(1200)))
    assert len(feed.round()) == 1200
    assert [len(post) for post in web.posts] == [500, 500, 200]


def test_a_chunk_that_is_refused_does_not_keep_the_others_back(array, feed, web, caplog):
    array.says(*({'category': 'Fault', 'sequence_number': str(number)} for number in range(600)))
    web.status = 400
    feed.round()
    feed.round()
    assert [len(post) for post in web.posts] == [500, 100, 500, 100]
    assert caplog.text.count('refuses some alerts') == 1


def test_odd_values_of_arrays_do_not_spoil_the_post(array, feed):
    array.fault(1, alert_name=' \n ', alert_id='a\0b', occur_time=2**62, description='\ud800 ünïcode')
    alert, = feed.round()
    assert alert['labels']['alertname'] == alert['labels']['alert_id'] == 'ab'
    assert alert['annotations']['summary'] == '? ünïcode'
    assert 'occur_time' not in alert['annotations']


# --- several Alertmanagers ---

@pytest.fixture
def cluster(conf, database, web):
    with Web() as other:
        feed = Feed(conf, database, web)
        conf.set_override('urls', [web.http, other.http], 'alertmanager')
        feed.exporter = AlertmanagerFeed.create(conf)
        yield feed, web, other


def test_each_member_of_a_cluster_is_told(array, cluster):
    feed, web, other = cluster
    array.fault(1)
    feed.round()
    assert web.posts == other.posts != []


def test_a_member_that_is_away_is_not_waited_for_and_told_when_it_is_back(array, cluster):
    feed, web, other = cluster
    moment = [0.0]
    feed.exporter = AlertmanagerFeed([member._receiver for member in feed.exporter._members], None, lambda: moment[0])
    array.fault(1)
    other.status = 503
    for _ in range(3):
        feed.round()
    assert (len(web.posts), len(other.posts)) == (3, 1)
    other.status = 200
    moment[0] += 60
    feed.round()
    assert (len(web.posts), len(other.posts)) == (4, 2)


def test_it_is_a_failure_when_nobody_takes_it(array, cluster):
    feed, web, other = cluster
    array.fault(1)
    web.status = other.status = 503
    with pytest.raises(DeliveryFailed, match=f'127.0.0.1:{web.port} answered 503.*; .*:{other.port} answered 503'):
        feed.exporter.tell(None, _rows(feed), datetime.now(UTC))


def _rows(feed):
    with feed.database.read() as connection:
        return alerts.standing(connection, datetime.now(UTC))


# --- authentication ---

@pytest.fixture
def secret_path(tmp_path):
    path = tmp_path / 'secret'
    path.write_text('pass:w0rd\n')
    path.chmod(0o640)
    return path


@pytest.mark.parametrize(('option', 'header'), [
    ('password_file', 'Basic ZGVsZmluOnBhc3M6dzByZA=='), ('bearer_token_file', 'Bearer pass:w0rd')])
def test_it_shows_who_it_is(array, feed, web, conf, secret_path, option, header):
    conf.set_override(option, str(secret_path), 'alertmanager')
    if option == 'password_file':
        conf.set_override('username', 'delfin', 'alertmanager')
    feed.exporter = AlertmanagerFeed.create(conf)
    array.fault(1)
    feed.round()
    assert web.requests[0].headers['Authorization'] == header


@pytest.mark.parametrize(('options', 'reason'), [
    ({'urls': []}, 'urls must be set'),
    ({'urls': ['alertmanager:9093']}, 'urls must be a URL'),
    ({'username': 'x'}, 'username and password_file belong together'),
    ({'username': 'x', 'bearer_token_file': '/x'}, 'exclude each other'),
    ({'bearer_token_file': '/nowhere'}, 'bearer_token_file: No such file'),
    ({'delfin_url': 'delfin'}, 'delfin_url must be a URL'),
])
def test_what_cannot_work_is_told_at_the_start(conf, options, reason):
    for name, value in options.items():
        conf.set_override(name, value, 'alertmanager')
    with pytest.raises(exception.InvalidConfiguration, match=reason):
        AlertmanagerFeed.create(conf)


def test_a_token_does_not_cross_the_network_in_clear(conf, secret_path):
    conf.set_override('bearer_token_file', str(secret_path), 'alertmanager')
    conf.set_override('urls', [f'http://127.0.0.1:{free_port()}', 'http://alerts.example.com'], 'alertmanager')
    with pytest.raises(exception.InvalidConfiguration, match='only sent by https, or to this machine'):
        AlertmanagerFeed.create(conf)
