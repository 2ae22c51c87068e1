# SPDX-License-Identifier: Apache-2.0
"""What oslo.messaging says of a broker that comes back, as the operator reads it."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
from oslo_config import cfg
from oslo_messaging._drivers import amqp, amqpdriver

from delfin import rpc
from delfin.common import config


class Message(dict):
    """As a broker delivers it."""

    def acknowledge(self):
        """Nobody asks."""


@pytest.fixture
def listener():
    """oslo.messaging's own, which has seen message 17."""
    conf = cfg.ConfigOpts()
    config.register(conf)
    rpc.Rpc(conf).close()
    listener = amqpdriver.RpcAMQPListener(SimpleNamespace(prefetch_size=1, conf=conf), None)
    listener.msg_id_cache.add('17')
    return listener


def test_a_message_that_comes_twice_is_one_line_and_no_error(listener, caplog):
    with caplog.at_level(logging.DEBUG):
        listener(Message({amqp.UNIQUE_ID: '17'}))
    record, = [record for record in caplog.records if '17' in record.getMessage()]
    assert (record.levelname, record.exc_info) == ('INFO', None)


def test_another_error_of_the_listener_keeps_its_stack(listener, caplog):
    try:
        raise RuntimeError('boom')
    except RuntimeError:
        amqpdriver.LOG.exception('failed')
    assert [record.levelname for record in caplog.records if record.exc_info] == ['ERROR']
