# SPDX-License-Identifier: Apache-2.0
"""The exporters `kafka`: a cluster that speaks the real protocol gets what they send, and a consumer reads it."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import sys
import threading
import time

import pytest
from confluent_kafka import KafkaError
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from delfin import exception
from delfin.exporter import kafka
from delfin.exporter.base_exporter import ACKNOWLEDGED, DeliveryFailed, EventRefused
from delfin.exporter.kafka import AlertExporterKafka, PerformanceExporterKafka
from delfin.exporter.runner import Runner
from tests.checkouts import free_port
from tests.services import wait_for
from tests.simulators.kafka import Cluster
from tests.simulators.tls import Answer, Authority, TlsServer
from tests.unit.exporter_support import FAST, Array, measured, register, row_of

PASSWORD = 's3cret-at-the-broker'


def event(number=1, storage_id='array-1', **values):
    return {'id': f'a{number}', 'storage_id': storage_id, 'alert_name': 'Disk failed', 'event': 'raised',
            'event_at': '2026-01-01T00:00:00Z', 'event_id': f'e{number}', **values}


def values_of(messages):
    return [json.loads(message.value()) for message in messages]


def times_of(messages):
    return [at for value in values_of(messages) for at, _ in value['points']]


@pytest.fixture(scope='module')
def cluster():
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def own_cluster():
    """For what other tests would notice."""
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def make(conf):
    """An exporter."""
    def make(exporter_class, bootstrap='127.0.0.1:9092', **options):
        for name, value in {'bootstrap_servers': [bootstrap], 'metrics_topic': 'm', 'alerts_topic': 'a',
                            'timeout_seconds': 20, **options}.items():
            conf.set_override(name, value, 'kafka')
        return exporter_class.create(conf)
    return make


@pytest.fixture
def in_a_hurry(conf):
    """`with in_a_hurry():` nothing is waited for longer than a second."""
    @contextlib.contextmanager
    def hurry():
        conf.set_override('timeout_seconds', 1, 'kafka')
        yield
        conf.set_override('timeout_seconds', 20, 'kafka')
    return hurry


@pytest.fixture
def password_file(tmp_path):
    path = tmp_path / 'kafka.password'
    path.write_text(f'{PASSWORD}\n')
    path.chmod(0o600)
    return str(path)


# --- what consumers get ---

def test_a_consumer_reads_a_series_with_all_its_points(make, cluster):
    series = measured()._replace(values={1000: 7.0, 2000: 8.5})
    make(PerformanceExporterKafka, cluster.bootstrap, metrics_topic='one').dispatch(None, [series])
    [message] = cluster.messages('one')
    assert message.key() == b'array-1'
    assert json.loads(message.value()) == {
        'version': '1', 'metric': 'readIops', 'type': 'RAW', 'unit': 'IOPS',
        'storage': {'id': 'array-1', 'name': 'Array 1', 'vendor': 'Example', 'model': 'X1', 'serial_number': 'SN-1'},
        'resource': {'type': 'volume', 'id': 'vol-1', 'name': 'db01'}, 'points': [[1000, 7.0], [2000, 8.5]]}


def test_a_consumer_reads_an_alert_as_a_webhook_would_get_it(make, cluster):
    make(AlertExporterKafka, cluster.bootstrap).dispatch(None, [event(storage_id='array-9')])
    [message] = cluster.messages('a')
    assert message.key() == b'array-9'
    assert json.loads(message.value()) == {
        'version': '1', 'id': 'e1', 'event': 'raised', 'at': '2026-01-01T00:00:00Z',
        'alert': {'id': 'a1', 'storage_id': 'array-9', 'alert_name': 'Disk failed'}}


def test_acknowledgements_are_told_too():
    assert ACKNOWLEDGED in AlertExporterKafka.EVENTS


def test_what_is_measured_on_one_array_stays_in_order(make, cluster):
    cluster.create('order', partitions=4)
    exporter = make(PerformanceExporterKafka, cluster.bootstrap, metrics_topic='order')
    arrays = [f'array-{number}' for number in range(8)]
    for at in range(1, 6):
        exporter.dispatch(None, [measured(array, at=at) for array in arrays])
    messages = cluster.messages('order')
    assert len({message.partition() for message in messages}) > 1
    for array in arrays:
        mine = [message for message in messages if message.key() == array.encode()]
        assert len({message.partition() for message in mine}) == 1
        assert times_of(mine) == [1, 2, 3, 4, 5]


def test_keys_go_where_java_puts_them(make, cluster):
    """Kafka's own tests have 479470107 for its murmur2 of 'abc'."""
    cluster.create('java', partitions=4)
    make(PerformanceExporterKafka, cluster.bootstrap, metrics_topic='java').dispatch(None, [measured('abc')])
    assert [message.partition() for message in cluster.messages('java')] == [479470107 % 4]


def test_thousands_of_series_in_one_call(make, cluster):
    make(PerformanceExporterKafka, cluster.bootstrap, metrics_topic='many').dispatch(
        None, [measured(f'array-{number % 50}', resource_id=f'vol-{number}') for number in range(2000)])
    assert len({value['resource']['id'] for value in values_of(cluster.messages('many'))}) == 2000


def test_nothing_to_tell_asks_no_broker(make):
    make(PerformanceExporterKafka, f'127.0.0.1:{free_port()}').dispatch(None, [])


# --- brokers that are away ---

def test_brokers_that_come_back_get_everything(make, own_cluster, in_a_hurry):
    exporter = make(PerformanceExporterKafka, own_cluster.bootstrap)
    exporter.dispatch(None, [measured(at=1)])
    own_cluster.down()
    with in_a_hurry(), pytest.raises(
            DeliveryFailed, match='Kafka topic m: not acknowledged within 1 s: .*Connection refused'):
        exporter.dispatch(None, [measured(at=2)])
    own_cluster.up()
    exporter.dispatch(None, [measured(at=2)])
    exporter.dispatch(None, [measured(at=3)])
    assert times_of(own_cluster.messages('m')) == [1, 2, 3]


def test_what_was_given_up_is_not_sent_behind_our_back(make, own_cluster, in_a_hurry):
    exporter = make(PerformanceExporterKafka, own_cluster.bootstrap)
    exporter.dispatch(None, [measured(at=1)])
    own_cluster.down()
    with in_a_hurry(), pytest.raises(DeliveryFailed):
        exporter.dispatch(None, [measured(at=2)])
    own_cluster.up()
    exporter.dispatch(None, [measured(at=3)])
    assert times_of(own_cluster.messages('m')) == [1, 3]


def test_an_acknowledgement_that_does_not_come_is_not_waited_for(make, own_cluster, in_a_hurry):
    exporter = make(PerformanceExporterKafka, own_cluster.bootstrap)
    exporter.dispatch(None, [measured()])
    own_cluster.slow(30)
    begun = time.monotonic()
    with in_a_hurry(), pytest.raises(DeliveryFailed, match='not acknowledged within 1 s'):
        exporter.dispatch(None, [measured()])
    assert time.monotonic() - begun < 10


def test_one_producer_serves_many_deliveries(make, cluster, monkeypatch):
    made = []
    monkeypatch.setattr(kafka, '_serve', lambda client, over, serve=kafka._serve: made.append(serve(client, over)))
    exporter = make(PerformanceExporterKafka, cluster.bootstrap)
    for at in range(1, 6):
        exporter.dispatch(None, [measured(at=at)])
    assert made == [] and exporter._topic._producer is not None


def test_a_producer_that_is_thrown_away_leaves_no_thread(make):
    exporter = make(PerformanceExporterKafka, f'127.0.0.1:{free_port()}', metrics_topic='gone', timeout_seconds=1)
    with pytest.raises(DeliveryFailed):
        exporter.dispatch(None, [measured()])
    wait_for('the end of its thread', lambda: 'kafka-gone' not in {thread.name for thread in threading.enumerate()})


def test_an_exporter_that_is_dropped_leaves_no_thread(make, cluster):
    exporter = make(PerformanceExporterKafka, cluster.bootstrap, metrics_topic='dropped')
    exporter.dispatch(None, [measured()])
    assert 'kafka-dropped' in {thread.name for thread in threading.enumerate()}
    del exporter
    wait_for('the end of its thread', lambda: 'kafka-dropped' not in {thread.name for thread in threading.enumerate()})


def test_reports_between_two_deliveries_do_not_pile_up(make, own_cluster):
    """Brokers that are away are reported several times a second, for as long as nobody has anything to send."""
    exporter = make(PerformanceExporterKafka, own_cluster.bootstrap)
    exporter.dispatch(None, [measured()])
    own_cluster.down()
    wait_for('a report', lambda: 'refused' in exporter._topic._producer.trouble)


def test_what_waits_in_the_queue_while_brokers_are_away_comes_in_order(conf, database, make, own_cluster):
    make(AlertExporterKafka, own_cluster.bootstrap, timeout_seconds=1)
    conf.set_override('exporters', ['AlertExporterKafka'], 'alerts')
    array = Array(database)
    register(database, 'kafka')
    runner = Runner(conf, database, pace=FAST)
    runner.start()
    try:
        own_cluster.down()
        for number in range(1, 6):
            array.fault(number)
        wait_for('a failure', lambda: row_of(database, 'kafka')['failures'])
        own_cluster.up()
        wait_for('the delivery', lambda: row_of(database, 'kafka')['waiting'] == 0)
    finally:
        runner.stop(10)
    delivered = [value['alert']['sequence_number'] for value in values_of(own_cluster.messages('a'))]
    assert list(dict.fromkeys(delivered)) == ['1', '2', '3', '4', '5']


# --- what brokers say no to ---

@pytest.mark.parametrize('code', [KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD])
def test_what_a_broker_will_never_take(make, own_cluster, code):
    own_cluster.refuse(code)
    with pytest.raises(EventRefused, match='Kafka topic m: Broker: ') as caught:
        make(PerformanceExporterKafka, own_cluster.bootstrap).dispatch(None, [measured()])
    assert caught.value.final


def test_what_is_larger_than_a_message_may_be(make, cluster):
    with pytest.raises(EventRefused, match='Message size too large') as caught:
        make(AlertExporterKafka, cluster.bootstrap).dispatch(None, [event(description='x' * 2_000_000)])
    assert caught.value.final


def test_after_a_refusal_the_next_ones_are_delivered(make, own_cluster):
    exporter = make(AlertExporterKafka, own_cluster.bootstrap)
    own_cluster.refuse(KafkaError.MSG_SIZE_TOO_LARGE)
    with pytest.raises(EventRefused):
        exporter.dispatch(None, [event(1)])
    exporter.dispatch(None, [event(2)])
    assert [value['id'] for value in values_of(own_cluster.messages('a'))] == ['e2']


def test_a_topic_that_is_missing_costs_no_message(make, own_cluster):
    own_cluster.hide('m', KafkaError.UNKNOWN_TOPIC_OR_PART)
    exporter = make(PerformanceExporterKafka, own_cluster.bootstrap, timeout_seconds=3)
    with pytest.raises(DeliveryFailed, match='Kafka topic m: .*[Uu]nknown topic.*; create the topic') as caught:
        exporter.dispatch(None, [measured()])
    assert not isinstance(caught.value, EventRefused)


def test_a_topic_that_may_not_be_written_costs_no_message(make, own_cluster):
    own_cluster.refuse(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(DeliveryFailed, match='authorization failed; allow the user to write') as caught:
        make(PerformanceExporterKafka, own_cluster.bootstrap).dispatch(None, [measured()])
    assert not isinstance(caught.value, EventRefused)


# --- TLS and passwords ---

def test_an_unknown_certificate_is_not_accepted(make):
    with TlsServer(lambda request: Answer(), Authority().issue('127.0.0.1')) as server:
        with pytest.raises(DeliveryFailed, match='certificate verify failed'):
            make(PerformanceExporterKafka, f'127.0.0.1:{server.port}', tls=True, timeout_seconds=1).dispatch(
                None, [measured()])
        assert not server.received


def test_a_certificate_for_another_host_is_not_accepted(make, tmp_path):
    authority = Authority()
    (tmp_path / 'ca.pem').write_text(authority.pem)
    with TlsServer(lambda request: Answer(), authority.issue('127.0.0.2')) as server:
        with pytest.raises(DeliveryFailed, match='certificate verify failed'):
            make(PerformanceExporterKafka, f'127.0.0.1:{server.port}', tls=True, ca_file=str(tmp_path / 'ca.pem'),
                 timeout_seconds=1).dispatch(None, [measured()])
        assert not server.received


def test_the_ca_that_is_configured_is_believed(make, tmp_path):
    """A server of HTTP does not answer as a broker would, but it is spoken to."""
    authority = Authority()
    (tmp_path / 'ca.pem').write_text(authority.pem)
    with TlsServer(lambda request: Answer(), authority.issue('127.0.0.1')) as server:
        with pytest.raises(DeliveryFailed):
            make(PerformanceExporterKafka, f'127.0.0.1:{server.port}', tls=True, ca_file=str(tmp_path / 'ca.pem'),
                 timeout_seconds=1).dispatch(None, [measured()])
        wait_for('a request of Kafka', lambda: b'delfin' in server.received)     # the client id


def test_what_the_library_is_told_of_a_login(conf, make, tmp_path, password_file):
    authority = Authority()
    (tmp_path / 'ca.pem').write_text(authority.pem)
    make(PerformanceExporterKafka, 'kafka.example.com:9093', tls=True, ca_file=str(tmp_path / 'ca.pem'),
         sasl_mechanism='SCRAM-SHA-512', username='delfin', password_file=password_file)
    settings = kafka._settings(conf.kafka)
    assert {name: value for name, value in settings.items() if name.startswith(('sasl', 'security', 'ssl'))} == {
        'security.protocol': 'SASL_SSL', 'sasl.mechanism': 'SCRAM-SHA-512', 'sasl.username': 'delfin',
        'sasl.password': PASSWORD, 'ssl.ca.location': str(tmp_path / 'ca.pem'),
        'ssl.endpoint.identification.algorithm': 'https'}


def test_a_certificate_of_our_own_with_an_encrypted_key(make, tmp_path, password_file):
    certificate = Authority().issue('delfin')
    (tmp_path / 'cert.pem').write_text(certificate.pem)
    (tmp_path / 'key.pem').touch(0o600)
    (tmp_path / 'key.pem').write_bytes(certificate.key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD.encode())))
    files = {'cert_file': str(tmp_path / 'cert.pem'), 'key_file': str(tmp_path / 'key.pem')}
    make(PerformanceExporterKafka, tls=True, **files, key_password_file=password_file)
    (tmp_path / 'kafka.password').write_text('another password')
    with pytest.raises(exception.InvalidConfiguration, match=r'\[kafka\] cannot be used: ') as caught:
        make(PerformanceExporterKafka, tls=True, **files, key_password_file=password_file)
    assert 'another password' not in caught.value.msg


def test_a_password_file_that_has_gone_is_a_failure_that_can_be_mended(make, password_file, tmp_path):
    exporter = make(PerformanceExporterKafka, sasl_mechanism='PLAIN', username='delfin', password_file=password_file)
    (tmp_path / 'kafka.password').unlink()
    with pytest.raises(DeliveryFailed, match='password_file: No such file'):
        exporter.dispatch(None, [measured()])


def test_the_password_shows_nowhere(make, own_cluster, password_file, caplog):
    """These brokers know no passwords, so the login fails."""
    caplog.set_level(logging.DEBUG)
    exporter = make(PerformanceExporterKafka, own_cluster.bootstrap, sasl_mechanism='PLAIN', username='delfin',
                    password_file=password_file, timeout_seconds=1)
    with pytest.raises(DeliveryFailed, match='(?i)not acknowledged within 1 s: .*sasl') as caught:
        exporter.dispatch(None, [measured()])
    assert PASSWORD not in str(caught.value) + caplog.text


# --- configuration ---

@pytest.mark.parametrize(('options', 'reason'), [
    ({'bootstrap_servers': []}, r'\[kafka\] bootstrap_servers must be set'),
    ({'bootstrap_servers': ['kafka://host:9092']}, 'bootstrap_servers must be hosts with ports'),
    ({'bootstrap_servers': ['host:port']}, 'bootstrap_servers must be hosts with ports'),
    ({'bootstrap_servers': ['user:s3cret@host:9092']}, 'bootstrap_servers must be hosts with ports'),
    ({'metrics_topic': 'no topic'}, r'\[kafka\] metrics_topic must be a name'),
    ({'metrics_topic': '..'}, 'metrics_topic must be a name'),
    ({'ca_file': '/ca.pem'}, 'ca_file has no effect without tls = true'),
    ({'tls': True, 'ca_file': '/nowhere'}, 'ca_file: No such file or directory: /nowhere'),
    ({'tls': True, 'cert_file': '/cert.pem'}, 'cert_file and key_file go together'),
    ({'tls': True, 'key_password_file': '/password'}, 'key_password_file goes with key_file'),
    ({'username': 'delfin'}, 'username and password_file need sasl_mechanism'),
    ({'sasl_mechanism': 'PLAIN', 'username': 'delfin'}, 'sasl_mechanism needs username and password_file'),
    ({'sasl_mechanism': 'PLAIN', 'username': 'd', 'password_file': '/nowhere'}, 'password_file: No such file'),
    ({'sasl_mechanism': 'PLAIN', 'username': 'd', 'password_file': '/x',
      'bootstrap_servers': ['127.0.0.1:9092', 'kafka.example.com:9092']},
     'a password is only sent with tls = true, or to this machine'),
])
def test_what_cannot_work_is_told_at_the_start(make, options, reason):
    with pytest.raises(exception.InvalidConfiguration, match=reason) as caught:
        make(PerformanceExporterKafka, **options)
    assert 's3cret' not in caught.value.msg and '\n' not in caught.value.msg


@pytest.mark.parametrize('option', ['ca_file', 'cert_file'])
def test_a_file_that_is_no_certificate_is_told_at_the_start(make, tmp_path, option):
    for name in ('ca_file', 'cert_file', 'key_file'):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text('no certificate')
    files = {'ca_file': {}, 'cert_file': {'key_file': str(tmp_path / 'key_file')}}[option]
    with pytest.raises(exception.InvalidConfiguration, match=r'\[kafka\] cannot be used: '):
        make(PerformanceExporterKafka, tls=True, **{option: str(tmp_path / option)}, **files)


def test_a_key_that_others_can_read_is_told_at_the_start(make, tmp_path):
    for name in ('cert.pem', 'key.pem'):
        (tmp_path / name).touch(0o644)
    with pytest.raises(exception.InvalidConfiguration, match='key_file: .* is open to others; run "chmod o= '):
        make(PerformanceExporterKafka, tls=True, cert_file=str(tmp_path / 'cert.pem'),
             key_file=str(tmp_path / 'key.pem'))


def test_without_the_package_one_line_says_what_to_install(conf, monkeypatch):
    monkeypatch.setitem(sys.modules, 'confluent_kafka', None)
    spec = importlib.util.spec_from_file_location('kafka_elsewhere', kafka.__file__)
    elsewhere = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, elsewhere)
    spec.loader.exec_module(elsewhere)
    with pytest.raises(exception.InvalidConfiguration) as caught:
        elsewhere.AlertExporterKafka.create(conf)
    assert caught.value.msg == (
        'the exporter kafka needs the Python package confluent-kafka: pip install "delfin[kafka]"')
