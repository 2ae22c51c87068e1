# SPDX-License-Identifier: Apache-2.0
"""Datagrams on their way from the network card to whoever takes them."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from delfin import exception
from delfin.alert_manager import sockets
from delfin.alert_manager.sockets import LARGEST_DATAGRAM, OneByOne, Reader, open_socket
from tests.engines.base import wait_until
from tests.unit.support import PATIENCE_SECONDS, ROOT

BUFFER = 4 * 2**20
FAMILIES = {'127.0.0.1': socket.AF_INET, '::1': socket.AF_INET6}


@pytest.fixture
def cleanup():
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture(params=['127.0.0.1', '::1'])
def listener(request, cleanup):
    return cleanup.enter_context(contextlib.closing(open_socket(request.param, 0, BUFFER)))


@pytest.fixture
def too_long():
    """The senders of datagrams that were too long."""
    return []


@pytest.fixture(params=['many', 'one'])
def make_reader(request, cleanup, too_long):
    """Makes a reader, also as on a system that reads one datagram at a time."""
    def make(*listeners, start=True, **bounds):
        reader = Reader(listeners, too_long.append, **bounds)
        if request.param == 'one':
            reader._readers = [OneByOne(listener, too_long.append) for listener in listeners]
        if start:
            reader.start()
        cleanup.callback(reader.stop)
        return reader
    return make


def sender(cleanup, listener):
    """A socket that sends to the listener."""
    connected = cleanup.enter_context(socket.socket(FAMILIES[listener.host], socket.SOCK_DGRAM))
    connected.connect((listener.host, listener.port))
    return connected


def take(reader, number, **kwargs):
    """So many datagrams, or what came in time."""
    found = []
    while len(found) < number and (batch := reader.take(PATIENCE_SECONDS, **kwargs)):
        found += batch
    return found


def data(datagrams):
    return [datagram.data for datagram in datagrams]


# --- receiving ---

def test_a_datagram_arrives_with_its_sender(cleanup, listener, make_reader):
    reader = make_reader(listener)
    client = sender(cleanup, listener)
    client.send(b'trap')
    arrived, = take(reader, 1)
    assert arrived[:4] == (b'trap', listener.host, client.getsockname(), listener)


def test_datagrams_stay_in_order(cleanup, listener, make_reader):
    client = sender(cleanup, listener)
    expected = [b'%d' % number for number in range(1500)]
    for number in expected:
        client.send(number)
    assert data(take(make_reader(listener), 1500)) == expected


def test_senders_are_told_apart(cleanup, listener, make_reader):
    clients = [sender(cleanup, listener) for _ in range(3)]
    for number, client in enumerate(clients):
        client.send(b'%d' % number)
    assert [datagram.peer for datagram in take(make_reader(listener), 3)] == [
        client.getsockname() for client in clients]


def test_one_reader_serves_all_listeners(cleanup, make_reader):
    listeners = [cleanup.enter_context(contextlib.closing(open_socket(host, 0, BUFFER))) for host in FAMILIES]
    reader = make_reader(*listeners)
    for listener in (*listeners, *reversed(listeners)):
        sender(cleanup, listener).send(b'x')
        assert [datagram.listener for datagram in take(reader, 1)] == [listener]


def test_an_empty_datagram_is_one(cleanup, listener, make_reader):
    sender(cleanup, listener).send(b'')
    assert data(take(make_reader(listener), 1)) == [b'']


def test_the_longest_datagram_arrives_whole(cleanup, listener, make_reader, too_long):
    longest = os.urandom(LARGEST_DATAGRAM)
    sender(cleanup, listener).send(longest)
    assert (data(take(make_reader(listener), 1)), too_long) == ([longest], [])


def test_a_longer_one_is_refused_and_the_next_is_not(cleanup, listener, make_reader, too_long):
    client = sender(cleanup, listener)
    client.send(bytes(LARGEST_DATAGRAM + 1))
    client.send(b'next')
    assert (data(take(make_reader(listener), 1)), too_long) == ([b'next'], [listener.host])


def test_an_ipv4_sender_at_an_ipv6_socket_has_its_ipv4_address(cleanup, make_reader):
    both = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    both.bind(('::', 0))
    listener = cleanup.enter_context(contextlib.closing(sockets.Listener(both, BUFFER)))
    client = cleanup.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    client.sendto(b'x', ('127.0.0.1', listener.port))
    assert take(make_reader(listener), 1)[0].host == '127.0.0.1'


def test_taking_waits_no_longer_than_it_may(listener, make_reader):
    assert make_reader(listener).take(0.01) == []


def test_a_batch_is_about_as_large_as_asked_for(cleanup, listener, make_reader):
    client = sender(cleanup, listener)
    for _ in range(1500):
        client.send(b'x')
    reader = make_reader(listener)
    assert wait_until(lambda: reader.waiting() == 1500, PATIENCE_SECONDS)
    assert len(reader.take(1, most=1000)) == 512


# --- a slow consumer ---

@pytest.mark.parametrize('bound', [{'most_datagrams': 600}, {'most_bytes': 600 * 100}])
def test_what_nobody_takes_stays_in_the_kernel_and_is_not_lost(cleanup, listener, make_reader, bound):
    client = sender(cleanup, listener)
    for _ in range(2000):
        client.send(bytes(100))
    reader = make_reader(listener, **bound)
    assert wait_until(lambda: reader.waiting() >= 600, PATIENCE_SECONDS)
    client.send(b'last')
    assert reader.waiting() == 1024
    assert data(take(reader, 2001))[2000] == b'last'


def test_drops_are_those_of_the_kernel(cleanup):
    listener = cleanup.enter_context(contextlib.closing(open_socket('127.0.0.1', 0, 4096)))
    client = sender(cleanup, listener)
    for _ in range(1000):
        client.send(bytes(300))
    kept = 0
    with contextlib.suppress(BlockingIOError):
        while listener.socket.recv(400):
            kept += 1
    assert (listener.drops(), 0 < kept < 1000) == (1000 - kept, True)


def test_a_listener_at_rest_has_dropped_nothing(listener):
    assert listener.drops() == 0


# --- stopping ---

def test_stopping_does_not_wait_for_a_datagram(listener, make_reader):
    reader = make_reader(listener)
    began = time.monotonic()
    reader.stop()
    assert time.monotonic() - began < 1


def test_what_was_there_before_the_stop_can_still_be_taken(cleanup, listener, make_reader):
    client = sender(cleanup, listener)
    for _ in range(2000):
        client.send(b'x')
    reader = make_reader(listener)
    reader.stop()
    assert len(take(reader, 2000)) == 2000


def test_after_the_stop_taking_does_not_wait(listener, make_reader):
    reader = make_reader(listener)
    reader.stop()
    began = time.monotonic()
    assert (reader.take(60), time.monotonic() - began < 1) == ([], True)


def test_who_waits_for_a_datagram_learns_of_the_stop(listener, make_reader):
    reader = make_reader(listener)
    found = []
    waiting = threading.Thread(target=lambda: found.append(reader.take(60)))
    waiting.start()
    reader.stop()
    waiting.join(PATIENCE_SECONDS)
    assert found == [[]]


@pytest.fixture
def flood(cleanup, listener):
    """Processes that send without pause."""
    for _ in range(2):
        start_flood(cleanup, listener)


def start_flood(cleanup, listener):
    flood = subprocess.Popen([sys.executable, '-c', (
        'import socket, sys\n'
        'client = socket.socket(int(sys.argv[1]), socket.SOCK_DGRAM)\n'
        'while True: client.sendto(b"x", (sys.argv[2], int(sys.argv[3])))'),
        str(int(FAMILIES[listener.host])), listener.host, str(listener.port)])
    cleanup.callback(flood.wait)
    cleanup.callback(flood.kill)


def test_a_flood_does_not_keep_the_reader_from_stopping(flood, listener, make_reader):
    reader = make_reader(listener, most_datagrams=5000)
    assert wait_until(lambda: reader.waiting() >= 5000, PATIENCE_SECONDS)
    began = time.monotonic()
    reader.stop()
    assert time.monotonic() - began < PATIENCE_SECONDS


def test_a_flood_that_somebody_takes_does_not_keep_the_reader_from_stopping(cleanup, flood, listener, make_reader):
    reader = make_reader(listener, most_datagrams=5000)
    assert take(reader, 5000)
    consumer = threading.Thread(target=take, args=(reader, 2**62))
    consumer.start()
    cleanup.callback(consumer.join)
    began = time.monotonic()
    reader.stop()
    assert time.monotonic() - began < PATIENCE_SECONDS


def test_a_reader_that_never_began_can_be_stopped(listener, make_reader):
    reader = make_reader(listener, start=False)
    reader.stop()
    assert reader.take(60) == []


# --- answering ---

def test_an_answer_comes_from_the_listening_port(cleanup, listener, make_reader):
    reader = make_reader(listener)
    client = sender(cleanup, listener)
    client.send(b'inform')
    arrived, = take(reader, 1)
    arrived.listener.send(b'response', arrived.peer)
    client.settimeout(PATIENCE_SECONDS)
    answer, origin = client.recvfrom(100)
    assert (answer, origin[1], listener.sent, listener.unsent) == (b'response', listener.port, 1, 0)


def test_an_answer_after_the_stop_is_sent(cleanup, listener, make_reader):
    client = sender(cleanup, listener)
    make_reader(listener).stop()
    assert listener.send(b'response', client.getsockname())


def test_an_answer_that_cannot_be_sent_is_counted(listener):
    peer = (listener.host, 0) if listener.host == '127.0.0.1' else (listener.host, 0, 0, 0)
    assert (listener.send(b'response', peer), listener.sent, listener.unsent) == (False, 0, 1)


# --- opening ---

def test_both_versions_of_ip_can_have_the_same_port(cleanup):
    first = cleanup.enter_context(contextlib.closing(open_socket('0.0.0.0', 0, BUFFER)))
    second = cleanup.enter_context(contextlib.closing(open_socket('::', first.port, BUFFER)))
    assert second.port == first.port


def test_a_port_that_is_taken_says_so(listener):
    with pytest.raises(exception.InvalidConfiguration, match='another program listens there'):
        open_socket(listener.host, listener.port, BUFFER)


@pytest.mark.parametrize('host', ['192.0.2.1', '2001:db8::1'])
def test_an_address_of_another_host_says_so(host):
    with pytest.raises(exception.InvalidConfiguration, match='this host has no such address'):
        open_socket(host, 0, BUFFER)


@pytest.mark.parametrize(('host', 'port'), [('no such host', 162), ('127.0.0.1', 70000), ('x' * 300, 162)])
def test_what_is_no_address_says_so(host, port):
    with pytest.raises(exception.InvalidConfiguration, match='is no address to listen on'):
        open_socket(host, port, BUFFER)


def as_nobody(script):
    """What a process prints that has no rights."""
    done = subprocess.run([sys.executable, '-c', (
        'import encodings.idna, os\nfrom delfin.alert_manager.sockets import open_socket\n'
        'os.geteuid() or os.setuid(65534)\n' + script)], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.skipif(int(Path('/proc/sys/net/ipv4/ip_unprivileged_port_start').read_text()) <= 1,
                    reason='everybody may have every port here')
def test_a_privileged_port_says_what_to_do():
    said = as_nobody('open_socket("127.0.0.1", 1, 4096)').splitlines()[-1]
    assert said.startswith('delfin.exception.InvalidConfiguration: UDP port 1 of 127.0.0.1: only privileged')
    assert 'CAP_NET_BIND_SERVICE' in said and '1024' in said and 'REDIRECT' in said


def test_without_rights_the_buffer_is_what_the_limit_allows():
    limit = int(Path('/proc/sys/net/core/rmem_max').read_text())
    assert int(as_nobody(f'print(open_socket("127.0.0.1", 0, {limit * 4}).buffer_bytes)')) == limit * 2


@pytest.fixture
def warnings(caplog):
    """Gives the warnings so far."""
    caplog.set_level(logging.WARNING, 'delfin.alert_manager.sockets')
    return lambda: caplog.messages


def test_a_small_buffer_is_told_once_with_the_sysctl(cleanup, make_reader, warnings):
    listeners = [cleanup.enter_context(contextlib.closing(open_socket('127.0.0.1', 0, 65536))) for _ in range(2)]
    make_reader(*listeners)
    assert len(warnings()) == 1
    assert '128 KiB' in warnings()[0] and 'net.core.rmem_max=8388608' in warnings()[0]
