# SPDX-License-Identifier: Apache-2.0
"""A Kafka cluster on loopback: the one that librdkafka, the library under confluent-kafka, has for its own tests.

    with Cluster() as cluster:
        ... cluster.bootstrap, cluster.messages('topic'), cluster.down(), cluster.up(), cluster.refuse(code) ...

It speaks the real protocol over TCP, but neither TLS nor SASL, and keeps what it is sent in memory.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any, Self

import confluent_kafka
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

_PRODUCE = 0        # of the protocol's requests
_PARTITIONS = 4
_SECONDS = 10.0


def _library() -> ctypes.CDLL:
    """The library that confluent_kafka has loaded; Python does not see this part of it."""
    [path] = (Path(confluent_kafka.__file__).parent.parent / 'confluent_kafka.libs').glob('librdkafka-*.so*')
    library = ctypes.CDLL(str(path))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
            ('conf_new', pointer, []),
            ('conf_set', number, [pointer, text, text, text, ctypes.c_size_t]),
            ('new', pointer, [number, pointer, text, ctypes.c_size_t]),
            ('destroy', None, [pointer]),
            ('mock_cluster_new', pointer, [pointer, number]),
            ('mock_cluster_destroy', None, [pointer]),
            ('mock_cluster_bootstraps', text, [pointer]),
            ('mock_topic_create', number, [pointer, text, number, number]),
            ('mock_topic_set_error', None, [pointer, text, number]),
            ('mock_broker_set_down', number, [pointer, ctypes.c_int32]),
            ('mock_broker_set_up', number, [pointer, ctypes.c_int32]),
            ('mock_broker_set_rtt', number, [pointer, ctypes.c_int32, number]),
            ('mock_push_request_errors_array', None, [pointer, ctypes.c_int16, ctypes.c_size_t, pointer])):
        function = getattr(library, f'rd_kafka_{name}')
        function.restype, function.argtypes = result, arguments
    return library


class Cluster:
    """Brokers in threads of the library."""

    def __init__(self, brokers: int = 1) -> None:
        self._library = _library()
        settings = self._library.rd_kafka_conf_new()
        error = ctypes.create_string_buffer(512)
        self._library.rd_kafka_conf_set(settings, b'log_level', b'0', error, len(error))
        self._client = self._library.rd_kafka_new(0, settings, error, len(error))
        assert self._client, error.value
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, brokers)
        self.bootstrap: str = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)

    def create(self, topic: str, partitions: int = _PARTITIONS) -> None:
        """Make a topic; others come into being when they are first used."""
        self._library.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, 1)

    def down(self) -> None:
        """All brokers close their connections and take no others."""
        self._library.rd_kafka_mock_broker_set_down(self._cluster, -1)

    def up(self) -> None:
        """They are back."""
        self._library.rd_kafka_mock_broker_set_up(self._cluster, -1)

    def slow(self, seconds: float) -> None:
        """All answers come so much later."""
        self._library.rd_kafka_mock_broker_set_rtt(self._cluster, -1, round(seconds * 1000))

    def refuse(self, *codes: int) -> None:
        """Answer the next requests to store messages with these errors, one after the other."""
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, _PRODUCE, len(codes), (ctypes.c_int * len(codes))(*codes))

    def hide(self, topic: str, code: int) -> None:
        """Answer with this error when somebody asks for the topic; 0: no more."""
        self._library.rd_kafka_mock_topic_set_error(self._cluster, topic.encode(), code)

    def messages(self, topic: str) -> list[Message]:
        """All that a consumer gets of the topic, partition after partition."""
        settings: dict[str, Any] = {'bootstrap.servers': self.bootstrap, 'group.id': 'test', 'log_level': 0,
                                    'enable.partition.eof': True, 'auto.offset.reset': 'earliest'}
        consumer = Consumer(settings)
        try:
            partitions = consumer.list_topics(topic, _SECONDS).topics[topic].partitions
            consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
            found: list[Message] = []
            ends = 0
            while ends < len(partitions):
                message = consumer.poll(_SECONDS)
                assert message is not None, f'{topic}: no end within {_SECONDS} s'
                error = message.error()
                if error is None:
                    found.append(message)
                elif error.code() == confluent_kafka.KafkaError._PARTITION_EOF:
                    ends += 1
                else:
                    raise KafkaException(error)
        finally:
            consumer.close()
        return sorted(found, key=lambda message: (message.partition(), message.offset()))
