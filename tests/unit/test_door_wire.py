# SPDX-License-Identifier: Apache-2.0
"""What may cross between a service and the process of a driver."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import ipaddress
import os
import pathlib
import pickle
import socket
import threading
import types
import uuid

import pytest

from delfin import cryptor, exception
from delfin.common.constants import metric_struct
from delfin.drivers.wire import Kind, Opaque, Wire, dump_answer, dump_request, load_answer, load_request
from tests.unit.support import PATIENCE_SECONDS, Unprintable, in_thread


class Text(str):
    __slots__ = ()

    def __str__(self):
        return 'something else'


class Number(int):
    def __reduce__(self):
        raise TypeError


class Level(enum.IntEnum):
    HIGH = 3


class Index:
    def __index__(self):
        return 7


class Harmful:
    def __reduce__(self):
        return os.system, ('true',)


class Row(dict):
    def __reduce__(self):
        raise TypeError


Pair = collections.namedtuple('Pair', 'a b')


def crossed(value):
    return load_answer(dump_answer(value, 'x'), 'x')


@pytest.mark.parametrize('value', [
    None, True, 1, 2**70, 1.5, 'text', b'bytes', [1], (1, 2), {'a': [1]}, {1, 2}, frozenset({1}),
    datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC), datetime.timedelta(1), decimal.Decimal('1.5'),
    uuid.UUID(int=1), ipaddress.ip_address('10.0.0.1'), ipaddress.ip_network('10.0.0.0/8'),
    collections.OrderedDict(a=1), metric_struct('iops', {'a': 'b'}, {1: 2.0}),
], ids=lambda value: type(value).__name__)
def test_data_crosses_as_it_is(value):
    there = crossed(value)
    assert there == value and type(there) is type(value)


@pytest.mark.parametrize(('value', 'plain'), [
    (Text('text'), 'text'), (Number(5), 5), (Level.HIGH, 3), (Index(), 7), (Row(a=Text('b')), {'a': 'b'}),
    (Pair(1, Text('b')), (1, 'b')), (types.MappingProxyType({'a': 1}), {'a': 1}),
    (collections.defaultdict(lambda: 1, a=2), {'a': 2}), (collections.Counter('aab'), {'a': 2, 'b': 1}),
], ids=lambda value: type(value).__name__)
def test_what_derives_from_data_crosses_as_plain_data(value, plain):
    there = crossed(value)
    assert there == plain and type(there) is type(plain)


@pytest.mark.parametrize('value', [Unprintable(), object(), pathlib.PurePath('/x'), ValueError('x'), Harmful()],
                         ids=lambda value: type(value).__name__)
def test_of_an_object_its_text_crosses(value):
    """A value that no column takes costs its row only."""
    there = crossed([value])[0]
    assert type(there) is Opaque and repr(there) == f'<{type(value).__name__}>'
    try:
        text = str(value)
    except RuntimeError:
        with pytest.raises(RuntimeError):
            str(there)
    else:
        assert str(there) == text


def test_what_contains_itself_does_not_cross():
    row = Row()
    row['row'] = row
    with pytest.raises(exception.InvalidResults):
        dump_answer(row, 'x')


@pytest.mark.parametrize('value', [threading.Lock(), lambda: 1, os.system, Harmful, (row for row in ()), socket],
                         ids=lambda value: type(value).__name__)
def test_what_is_no_data_does_not_cross(value):
    with pytest.raises(exception.InvalidResults, match='list_disks answered what cannot be passed on'):
        dump_answer([value], 'list_disks')


@pytest.mark.parametrize('payload', [pickle.dumps(Harmful()), pickle.dumps(Text('x')), b'rubbish', b'\x80'],
                         ids=['function', 'class', 'rubbish', 'cut'])
def test_nothing_else_is_accepted(payload):
    with pytest.raises(exception.InvalidResults, match='list_disks answered what cannot be read'):
        load_answer(payload, 'list_disks')


def test_encoded_secrets_cross_to_a_process_with_another_key(monkeypatch):
    payload = dump_request({'password': cryptor.encode('s3cret-word'), 'name': 'delfin:no secret', 'port': 1})
    monkeypatch.setattr(cryptor, '_process_key', type(cryptor._process_key)(bytes(32)))
    request = load_request(payload)
    assert cryptor.decode(request.pop('password')) == 's3cret-word'
    assert request == {'name': 'delfin:no secret', 'port': 1}


@pytest.mark.parametrize('size', [0, 10, 5_000_000])
def test_messages_arrive_whole(size):
    ours, theirs = map(Wire, socket.socketpair())
    payload = os.urandom(size)
    sent = in_thread(ours.send, Kind.CHUNK, 7, payload)
    assert theirs.receive() == (Kind.CHUNK, 7, payload)
    sent.result(PATIENCE_SECONDS)
    ours.close()
    with pytest.raises(EOFError):
        theirs.receive()
    theirs.close()
