# SPDX-License-Identifier: Apache-2.0
"""The exporters `kafka`, of metrics and of alerts: a message for each series or event, keyed by the id of the storage.

They need confluent-kafka, the one package that Delfin runs without (`delfin[kafka]`).
"""

from __future__ import annotations

import logging
import re
import threading
import weakref
from collections.abc import Sequence
from typing import Any, Self
from urllib.parse import SplitResult, urlsplit

from oslo_config import cfg

from delfin import exception
from delfin.common import json
from delfin.common.constants import metric_struct
from delfin.common.masking import Masker
from delfin.context import RequestContext
from delfin.exporter import base_exporter, documents, receiver
from delfin.exporter.base_exporter import AlertExporterBase, DeliveryFailed, EventRefused, PerformanceExporterBase

try:
    import confluent_kafka
    from confluent_kafka import KafkaError, KafkaException, Message, Producer
except ImportError:
    confluent_kafka = None      # type: ignore[assignment]

LOG = logging.getLogger(__name__)

_TOPIC = re.compile(r'(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}')
_SERVE_SECONDS = 0.5            # how soon the thread of a producer notices that it is over
_SETUP_SECONDS = 5.0            # for a connection, before another broker is tried


class PerformanceExporterKafka(PerformanceExporterBase):
    """Sends a message for each series. Those of one array go to one partition: they stay in order."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic

    @classmethod
    def create(cls, conf: cfg.ConfigOpts) -> Self:
        return cls(Topic(conf.kafka, 'metrics_topic'))

    def dispatch(self, ctxt: RequestContext, data: list[metric_struct]) -> None:
        """See the base class."""
        self._topic.send([(series.labels['storage_id'], json.dumps(documents.series(series))) for series in data])


class AlertExporterKafka(AlertExporterBase):
    """Sends a message for each event. Those of one array go to one partition: they stay in order."""

    EVENTS = AlertExporterBase.EVENTS | {base_exporter.ACKNOWLEDGED}

    def __init__(self, topic: Topic) -> None:
        self._topic = topic

    @classmethod
    def create(cls, conf: cfg.ConfigOpts) -> Self:
        return cls(Topic(conf.kafka, 'alerts_topic'))

    def dispatch(self, ctxt: RequestContext, data: list[dict[str, Any]]) -> None:
        """See the base class."""
        self._topic.send([(alert['storage_id'], json.dumps({'version': documents.VERSION, **documents.event(alert)}))
                          for alert in data])


class Topic:
    """One topic, and a producer that serves until something goes wrong.

    After a failure the messages come again, so whatever the producer still holds must never be sent: it is emptied and
    thrown away. The next one reads passwords and certificates anew.
    """

    def __init__(self, options: cfg.ConfigOpts.GroupAttr, option: str) -> None:
        """`InvalidConfiguration` if `[kafka]` cannot work; no broker is asked. `option` has the topic's name."""
        if confluent_kafka is None:
            raise exception.InvalidConfiguration(
                'the exporter kafka needs the Python package confluent-kafka: pip install "delfin[kafka]"')
        self._options = options
        self._name: str = options[option]
        if not _TOPIC.fullmatch(self._name):
            raise exception.InvalidConfiguration(
                f'[kafka] {option} must be a name of at most 249 letters, digits, dots, underscores and hyphens')
        self._masker = Masker()
        self._producer: _Producer | None = None
        settings = self._settings()
        del settings['bootstrap.servers']       # or it would begin to connect
        try:
            Producer(settings, logger=_Log)
        except KafkaException as error:
            raise exception.InvalidConfiguration(self._unusable(error)) from None

    def send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Messages with their keys. When it returns, the brokers have acknowledged them all."""
        if not messages:
            return
        producer, self._producer = self._producer or self._open(), None
        try:
            self._send(producer, messages)
            self._producer = producer
        finally:
            if self._producer is None:
                producer.discard()

    def _open(self) -> _Producer:
        try:
            return _Producer(self._settings(), f'kafka-{self._name}')
        except exception.InvalidConfiguration as error:     # a file has gone or changed
            raise DeliveryFailed(error.msg) from None
        except KafkaException as error:
            raise DeliveryFailed(self._unusable(error)) from None

    def _send(self, producer: _Producer, messages: Sequence[tuple[str, bytes]]) -> None:
        seconds: float = self._options.timeout_seconds
        try:
            producer.send(self._name, messages)
        except KafkaException as error:     # of the library itself
            raise self._failure(error.args[0]) from None
        failed = producer.wait(seconds)
        if failed is not None:
            raise self._failure(failed)
        if producer.waiting:
            trouble = f': {self._shown(producer.trouble)}' if producer.trouble else ''
            raise DeliveryFailed(f'Kafka topic {self._name}: not acknowledged within {seconds:g} s{trouble}')

    def _failure(self, error: KafkaError) -> DeliveryFailed:
        text = f'Kafka topic {self._name}: {self._shown(error.str())}'
        if error.code() in (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE,
                            KafkaError.INVALID_RECORD):
            return EventRefused(text, final=True)
        # Whatever else it is, it is nothing about these messages: what waits must not be dropped for it.
        if error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):
            text += '; create the topic'
        elif error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            text += '; allow the user to write to the topic'
        return DeliveryFailed(text)

    def _shown(self, text: str) -> str:
        """Brokers word some errors themselves, and may quote what they got."""
        return self._masker.mask(text)

    def _unusable(self, error: KafkaException) -> str:
        return f'[kafka] cannot be used: {self._shown(error.args[0].str())}'

    def _settings(self) -> dict[str, Any]:
        settings = _settings(self._options)
        self._masker.learn('', [settings[name] for name in ('sasl.password', 'ssl.key.password') if name in settings])
        return settings


class _Log:
    """A logger for the library. It calls each attempt to connect an error; what matters is told by `DeliveryFailed`."""

    @staticmethod
    def log(level: int, text: str, *args: object) -> None:
        LOG.debug(text, *args)


class _Reports:
    """What the library reports about one producer."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.waiting = 0                        # messages without a report
        self.error: KafkaError | None = None    # the first that is final
        self.trouble = ''                       # the last that is not, in the library's words

    def expect(self, count: int) -> None:
        with self.changed:
            self.waiting, self.error, self.trouble = count, None, ''

    def settled(self) -> bool:
        return self.error is not None or self.waiting == 0

    def on_delivery(self, error: KafkaError | None, message: Message) -> None:
        with self.changed:
            self.waiting -= 1
            self._note(error)
            if self.waiting == 0:
                self.changed.notify_all()

    def on_error(self, error: KafkaError) -> None:
        with self.changed:
            if error.code() != KafkaError._ALL_BROKERS_DOWN:    # which only repeats what was said of each
                self.trouble = error.str()
            self._note(error if error.fatal() else None)

    def _note(self, error: KafkaError | None) -> None:
        if error is not None and self.error is None:
            self.error = error
            self.changed.notify_all()


class _Producer:
    """The library's producer, and a thread that hears its reports.

    Also between two calls: brokers that are away are reported several times a second, and reports that nobody takes
    pile up in memory.
    """

    def __init__(self, settings: dict[str, Any], name: str) -> None:
        self._reports = _Reports()
        self._over = threading.Event()
        self._client = Producer({**settings, 'error_cb': self._reports.on_error}, logger=_Log)
        # The thread knows nothing of us, so that it ends when an exporter is simply dropped.
        weakref.finalize(self, self._over.set)
        threading.Thread(target=_serve, args=(self._client, self._over), name=name, daemon=True).start()

    @property
    def waiting(self) -> int:
        """Messages that nothing is known of."""
        return self._reports.waiting

    @property
    def trouble(self) -> str:
        """What the library could not do and tries again; '' if all is well."""
        return self._reports.trouble

    def send(self, topic: str, messages: Sequence[tuple[str, bytes]]) -> None:
        """Hand them to the library."""
        self._reports.expect(len(messages))
        for key, value in messages:
            self._client.produce(topic, value, key, on_delivery=self._reports.on_delivery)

    def wait(self, seconds: float) -> KafkaError | None:
        """Until all are acknowledged, one will not be (the error), or the time is over."""
        with self._reports.changed:
            self._reports.changed.wait_for(self._reports.settled, seconds)
            return self._reports.error

    def discard(self) -> None:
        """Send nothing more. Its thread closes the connections: that, too, may have to wait for a name server."""
        self._client.purge(blocking=False)
        del self._client        # or it would be closed by whoever lets go of it last
        self._over.set()


def _serve(client: Producer, over: threading.Event) -> None:
    while not over.is_set():
        client.poll(_SERVE_SECONDS)


# --- what stands in the configuration ---

def _settings(options: cfg.ConfigOpts.GroupAttr) -> dict[str, Any]:
    """In the library's words. `InvalidConfiguration` names the option of ours that is wrong."""
    servers = [_server(value) for value in options.bootstrap_servers]
    if not servers:
        raise exception.InvalidConfiguration('[kafka] bootstrap_servers must be set for the exporter kafka')
    milliseconds = round(options.timeout_seconds * 1000)
    return {
        'bootstrap.servers': ','.join(options.bootstrap_servers),
        'client.id': options.client_id,
        'security.protocol': ('SASL_' if options.sasl_mechanism else '') + ('SSL' if options.tls else 'PLAINTEXT'),
        **_tls(options),
        **_sasl(options, servers),
        # Acknowledged by all replicas that are in step; repeated by the library without doubles, and in order.
        'acks': 'all',
        'enable.idempotence': True,
        'message.timeout.ms': 0,                # none of them goes alone: `wait` ends, and all come again
        'queue.buffering.max.messages': 0,      # no bound: they are only as many as we are given
        # Where clients in Java put the same key, so that topics can be joined.
        'partitioner': 'murmur2_random',
        'compression.type': options.compression,
        'topic.metadata.propagation.max.ms': milliseconds // 2,     # then the topic is called unknown
        'socket.connection.setup.timeout.ms': round(min(_SETUP_SECONDS * 1000, max(1000, milliseconds))),
        'enable.metrics.push': False,           # the library would tell the brokers about itself
    }


def _server(value: str) -> SplitResult:
    try:
        server = urlsplit(f'kafka://{value}')
        usable = bool(server.hostname) and server.port != 0 and server.netloc == value and '@' not in value
    except ValueError:
        usable = False
    if not usable:
        raise exception.InvalidConfiguration(
            '[kafka] bootstrap_servers must be hosts with ports, like kafka1.example.com:9092, kafka2.example.com:9092')
    return server


def _tls(options: cfg.ConfigOpts.GroupAttr) -> dict[str, Any]:
    if not options.tls:
        for name in ('ca_file', 'cert_file', 'key_file', 'key_password_file'):
            if options[name]:
                raise exception.InvalidConfiguration(f'[kafka] {name} has no effect without tls = true')
        return {}
    if bool(options.cert_file) != bool(options.key_file):
        raise exception.InvalidConfiguration('[kafka] cert_file and key_file go together')
    if options.key_password_file and not options.key_file:
        raise exception.InvalidConfiguration('[kafka] key_password_file goes with key_file')
    settings = {'ssl.endpoint.identification.algorithm': 'https', 'ssl.ca.location': options.ca_file or 'probe'}
    if options.ca_file:
        receiver.read_file(options.ca_file, '[kafka] ca_file')
    if options.cert_file:
        receiver.read_file(options.cert_file, '[kafka] cert_file')
        receiver.read_file(options.key_file, '[kafka] key_file', private=True)
        settings |= {'ssl.certificate.location': options.cert_file, 'ssl.key.location': options.key_file}
    if options.key_password_file:
        settings['ssl.key.password'] = receiver.read_secret(options.key_password_file, '[kafka] key_password_file')
    return settings


def _sasl(options: cfg.ConfigOpts.GroupAttr, servers: Sequence[SplitResult]) -> dict[str, Any]:
    if not options.sasl_mechanism:
        if options.username or options.password_file:
            raise exception.InvalidConfiguration('[kafka] username and password_file need sasl_mechanism')
        return {}
    if not options.username or not options.password_file:
        raise exception.InvalidConfiguration('[kafka] sasl_mechanism needs username and password_file')
    if not options.tls and not all(receiver.is_private_way(server) for server in servers):
        raise exception.InvalidConfiguration(
            '[kafka] bootstrap_servers: a password is only sent with tls = true, or to this machine')
    return {'sasl.mechanism': options.sasl_mechanism, 'sasl.username': options.username,
            'sasl.password': receiver.read_secret(options.password_file, '[kafka] password_file')}
