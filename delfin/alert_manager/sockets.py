# SPDX-License-Identifier: Apache-2.0
"""UDP sockets on which notifications arrive, and the thread that empties them.

The kernel keeps what nobody has read yet, up to the size of the socket's buffer, and then throws away. So buffers are
as large as one may have, and one thread does nothing but read, many datagrams for each system call. What its consumer
is slow to take stays in the kernel, whose drops are counted.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import logging
import mmap
import os
import re
import select
import socket
import struct
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import NamedTuple

from delfin import exception
from delfin.alert_manager.records import make

LOG = logging.getLogger(__name__)

LARGEST_DATAGRAM = 16384        # bytes; a longer one is refused and counted. Arrays send some hundred, rarely 1500

_ENOUGH_BUFFER = 8 * 2**20
_COST_IN_BUFFER = 1280          # of a trap of 300 bytes
_SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 33, 35       # Linux; the socket module does not name them
_BATCH = 512
_MSG_TRUNC = getattr(socket, 'MSG_TRUNC', 0x20)
_MSG_DONTWAIT = getattr(socket, 'MSG_DONTWAIT', 0x40)
_SOCKADDR_BYTES = 28            # of IPv6; that of IPv4 is shorter
_STAMP = struct.Struct('@ll')           # seconds and nanoseconds
_STAMP_BYTES = socket.CMSG_LEN(_STAMP.size)
_PAUSE_SECONDS = 0.05           # before a socket that failed is tried again; the others wait as well
_PROC_FILES = {socket.AF_INET: '/proc/net/udp', socket.AF_INET6: '/proc/net/udp6'}

_ANY_IPV6 = '::'
_ADDRESS = re.compile(r'\[(?P<v6>[0-9a-fA-F:.%\w]+)\]:(?P<port6>\d{1,5})|(?P<host>[^:\[\]]+):(?P<port>\d{1,5})')

Address = tuple[str, int] | tuple[str, int, int, int]


class Datagram(NamedTuple):
    """What arrived, where, and from whom."""

    data: bytes
    host: str                   # the sender's address as text: IPv4-mapped as IPv4, IPv6 without scope
    peer: Address          # what `Listener.send` takes
    listener: Listener
    at_ms: int | None = None    # when the kernel got it, epoch ms: it may have waited there; None where it does not say


class Listener:
    """One bound socket. `host`, `port` (the real one), `buffer_bytes` that were given, as the kernel counts them."""

    def __init__(self, bound: socket.socket, asked_bytes: int) -> None:
        bound.setblocking(False)
        self.socket = bound
        self.asked_bytes = asked_bytes
        self.host, self.port = bound.getsockname()[:2]
        self.buffer_bytes = bound.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        self.sent = 0
        self.unsent = 0         # the address is not reachable, or the buffer for sending is full

    def __str__(self) -> str:
        return f'[{self.host}]:{self.port}' if ':' in self.host else f'{self.host}:{self.port}'

    def __repr__(self) -> str:
        return f'<Listener {self}>'

    def send(self, data: bytes, peer: Address) -> bool:
        """Send an answer if that can be done at once. Never raises for what becomes of it; it is counted."""
        try:
            self.socket.sendto(data, peer)
        except OSError:
            self.unsent += 1
            return False
        self.sent += 1
        return True

    def drops(self) -> int | None:
        """How many datagrams the kernel has thrown away because the buffer was full; None where it does not say."""
        try:
            inode = str(os.fstat(self.socket.fileno()).st_ino)
            with open(_PROC_FILES[self.socket.family], encoding='ascii') as lines:
                for line in lines:
                    fields = line.split()
                    if len(fields) > 10 and fields[9] == inode:
                        return int(fields[-1])
        except (OSError, ValueError):
            pass
        return None

    def close(self) -> None:
        """Stop listening. Not while a `Reader` still reads."""
        self.socket.close()


def open_socket(host: str, port: int, buffer_bytes: int) -> Listener:
    """Listen on a UDP address, IPv4 or IPv6 (which does not include IPv4). Port 0: any.

    `buffer_bytes` is asked for; see `Listener.buffer_bytes` for what was given. `InvalidConfiguration` says in one
    sentence what to do about an address or port that is not to be had.
    """
    where = f'UDP port {port} of {host}'
    if not 0 <= port <= 65535:          # the C library would take what is left after a division
        raise exception.InvalidConfiguration(f'{where} is no address to listen on: ports end at 65535')
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise exception.InvalidConfiguration(f'{where} is no address to listen on: {error}') from None
    try:
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise exception.InvalidConfiguration(f'{where}: {_advice(error)}') from None
    try:
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _ask_for_buffer(bound, buffer_bytes)
        if sys.platform == 'linux':
            bound.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        bound.bind(address)
        return Listener(bound, buffer_bytes)
    except OSError as error:
        bound.close()
        raise exception.InvalidConfiguration(f'{where}: {_advice(error)}') from None


def parse_address(text: str) -> tuple[str, int]:
    """(host, port) of `host:port` or `[IPv6 address]:port`; `InvalidConfiguration` for anything else."""
    match = _ADDRESS.fullmatch(text.strip())
    host, port = (match['v6'] or match['host'], int(match['port6'] or match['port'])) if match else ('', 0)
    if match is None or port > 65535:
        raise exception.InvalidConfiguration(
            f'[alerts] listen: {text!r} is not an address and a port, such as 0.0.0.0:162 or [::]:162')
    return host, port


def open_sockets(addresses: Sequence[tuple[str, int]], buffer_bytes: int) -> list[Listener]:
    """A socket for each address. `::` is left out on a machine without IPv6."""
    opened: list[Listener] = []
    try:
        for host, port in addresses:
            if host == _ANY_IPV6 and not _has_ipv6():
                LOG.warning('this machine has no IPv6: no traps are received at [::]:%d', port)
                continue
            opened.append(open_socket(host, port, buffer_bytes))
    except BaseException:
        for listener in opened:
            listener.close()
        raise
    if not opened:
        raise exception.InvalidConfiguration('[alerts] listen: this machine has none of these addresses')
    return opened


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind((_ANY_IPV6, 0))
    except OSError:
        return False
    return True


def _ask_for_buffer(bound: socket.socket, size: int) -> None:
    for option in (_SO_RCVBUFFORCE, socket.SO_RCVBUF):
        with contextlib.suppress(OSError):      # the first needs CAP_NET_ADMIN and Linux
            bound.setsockopt(socket.SOL_SOCKET, option, min(size, 2**30 - 1))
            return


def _advice(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return 'another program listens there (snmptrapd?); stop it or choose another port'
        case errno.EADDRNOTAVAIL:
            return 'this host has no such address; listen on one of its own, or on 0.0.0.0 or ::'
        case errno.EACCES:
            return ('only privileged processes may listen there; give this one CAP_NET_BIND_SERVICE '
                    '(AmbientCapabilities= of systemd, or setcap), or choose a port from 1024 on and redirect to it '
                    '(iptables -t nat -A PREROUTING -p udp --dport 162 -j REDIRECT --to-ports …)')
        case errno.EAFNOSUPPORT:
            return 'this host does not speak that version of IP'
    return str(error.strerror or error)


# --- addresses ---

_MAPPED = bytes(10) + b'\xff\xff'


@functools.lru_cache(maxsize=8192)      # a sender often keeps its port
def _sender(name: bytes) -> tuple[str, Address]:
    """(address as text, what `sendto` takes) of a sockaddr."""
    if struct.unpack_from('=H', name)[0] == socket.AF_INET:
        host = socket.inet_ntop(socket.AF_INET, name[4:8])
        return host, (host, int.from_bytes(name[2:4], 'big'))
    address = name[8:24]
    scope, = struct.unpack_from('=I', name, 24)
    return _unmapped(address), (socket.inet_ntop(socket.AF_INET6, address), int.from_bytes(name[2:4], 'big'), 0, scope)


def _unmapped(address: bytes) -> str:
    if address.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET, address[12:])
    return socket.inet_ntop(socket.AF_INET6, address)


# --- reading ---

class _IoVec(ctypes.Structure):
    _fields_ = [('base', ctypes.c_void_p), ('len', ctypes.c_size_t)]


class _MsgHdr(ctypes.Structure):
    _fields_ = [('name', ctypes.c_void_p), ('namelen', ctypes.c_uint), ('iov', ctypes.c_void_p),
                ('iovlen', ctypes.c_size_t), ('control', ctypes.c_void_p), ('controllen', ctypes.c_size_t),
                ('flags', ctypes.c_int)]


class _MMsgHdr(ctypes.Structure):
    _fields_ = [('hdr', _MsgHdr), ('len', ctypes.c_uint)]


_Refuse = Callable[[str], None]


class Batches:
    """Reads many datagrams of one socket with one system call (Linux).

    `area` is memory for `_BATCH` slots of equal size, which several may share if one thread uses them. The call does
    not wait and so keeps the interpreter's lock: winning that back would take longer than the call (see `Reader`).
    """

    def __init__(self, listener: Listener, area: mmap.mmap, refuse: _Refuse) -> None:
        self._listener, self._area, self._refuse = listener, area, refuse
        self._receive = ctypes.PyDLL(None, use_errno=True).recvmmsg
        self._size = len(area) // _BATCH
        self._names = ctypes.create_string_buffer(_BATCH * _SOCKADDR_BYTES)
        self._slots = (_IoVec * _BATCH)()
        self._heads = (_MMsgHdr * _BATCH)()
        self._stamps = ctypes.create_string_buffer(_BATCH * _STAMP_BYTES)
        self._keep = ctypes.c_char.from_buffer(area)
        base = ctypes.addressof(self._keep)
        for number, head in enumerate(self._heads):
            self._slots[number] = _IoVec(base + number * self._size, self._size)
            head.hdr.iov, head.hdr.iovlen = ctypes.addressof(self._slots[number]), 1
            head.hdr.name = ctypes.addressof(self._names) + number * _SOCKADDR_BYTES
            head.hdr.namelen = _SOCKADDR_BYTES
            head.hdr.control = ctypes.addressof(self._stamps) + number * _STAMP_BYTES
            head.hdr.controllen = _STAMP_BYTES
        self._name_length = 16 if listener.socket.family == socket.AF_INET else _SOCKADDR_BYTES
        # Fields of a structure cost ten times what one unpacking of them all does.
        control, flags, length = _MsgHdr.controllen.offset, _MsgHdr.flags.offset, _MMsgHdr.len.offset
        self._results = struct.Struct(f'@{control}xNi{length - flags - 4}xI{ctypes.sizeof(_MMsgHdr) - length - 4}x')
        self._head_view = memoryview(self._heads).cast('B')
        self._times = struct.Struct(f'@{_STAMP_BYTES - _STAMP.size}xll')
        self._stamp_view = memoryview(self._stamps).cast('B')

    def read(self) -> tuple[int, list[Datagram]]:
        """(how many there were, those that are whole) without waiting. `OSError` if the socket cannot be read."""
        count = self._receive(self._listener.socket.fileno(), self._heads, _BATCH, _MSG_DONTWAIT, None)
        if count < 0:
            code = ctypes.get_errno()
            if code in (errno.EAGAIN, errno.EINTR):
                return 0, []
            raise OSError(code, os.strerror(code))
        listener, area, size, length = self._listener, self._area, self._size, self._name_length
        names = self._names.raw
        found = []
        start = name = 0
        for number, ((stamped, flags, used), (seconds, nanoseconds)) in enumerate(zip(
                self._results.iter_unpack(self._head_view[:count * self._results.size]),
                self._times.iter_unpack(self._stamp_view[:count * _STAMP_BYTES]), strict=True)):
            host, peer = _sender(names[name:name + length])
            at_ms = None
            if stamped == _STAMP_BYTES:
                at_ms = seconds * 1000 + nanoseconds // 1_000_000
            else:
                self._heads[number].hdr.controllen = _STAMP_BYTES       # the kernel has made it smaller
            if flags & _MSG_TRUNC:
                self._refuse(host)
            else:
                found.append(make(Datagram, (area[start:start + used], host, peer, listener, at_ms)))
            start += size
            name += _SOCKADDR_BYTES
        return count, found


class OneByOne:
    """Reads the same where there is no `recvmmsg`."""

    def __init__(self, listener: Listener, refuse: _Refuse, size: int = LARGEST_DATAGRAM) -> None:
        self._listener, self._refuse, self._size = listener, refuse, size

    def read(self) -> tuple[int, list[Datagram]]:
        """(how many there were, those that are whole) without waiting. `OSError` if the socket cannot be read."""
        found: list[Datagram] = []
        for count in range(_BATCH):
            try:
                data, further, flags, peer = self._listener.socket.recvmsg(self._size, _STAMP_BYTES)
            except OSError as error:
                if count or isinstance(error, BlockingIOError):     # what was read must not be lost for an error
                    return count, found
                raise
            host = str(peer[0]).partition('%')[0]
            if ':' in host:
                host = _unmapped(socket.inet_pton(socket.AF_INET6, host))
            if flags & _MSG_TRUNC:
                self._refuse(host)
            else:
                found.append(Datagram(data, host, peer, self._listener, _at_ms(further)))
        return _BATCH, found


def _at_ms(further: Sequence[tuple[int, int, bytes]]) -> int | None:
    for level, kind, data in further:
        if (level, kind, len(data)) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS, _STAMP.size):
            seconds, nanoseconds = _STAMP.unpack(data)
            return int(seconds * 1000 + nanoseconds // 1_000_000)
    return None


def _readers(listeners: Sequence[Listener], refuse: _Refuse) -> list[Batches | OneByOne]:
    if sys.platform != 'linux':                             # others have other structures
        return [OneByOne(listener, refuse) for listener in listeners]
    area = mmap.mmap(-1, _BATCH * LARGEST_DATAGRAM)         # pages that are never written to cost nothing
    return [Batches(listener, area, refuse) for listener in listeners]


class Reader:
    """One thread that reads all listeners and hands batches over to whoever calls `take`.

    One thread and not one for each listener: what limits reading is not the kernel but the interpreter's lock, which a
    thread must win back after each call that waits, against whatever else runs here; more threads are more to win it
    back from. So it waits only when there is nothing to read.

    When `most_datagrams` or `most_bytes` wait to be taken it reads no more: the kernel keeps the rest and counts what
    it cannot. `too_long(host)` is told of each datagram above `LARGEST_DATAGRAM`, in this thread.
    """

    def __init__(self, listeners: Sequence[Listener], too_long: _Refuse, most_datagrams: int = 200_000,
                 most_bytes: int = 64 * 2**20) -> None:
        self._listeners = list(listeners)
        self._readers = _readers(self._listeners, too_long)
        self._most_datagrams, self._most_bytes = most_datagrams, most_bytes
        self._waiting: deque[tuple[list[Datagram], int]] = deque()      # and how many bytes they have
        self._datagrams = self._bytes = 0
        self._changed = threading.Condition()
        self._stopping = self._ended = False
        self._failing: set[Batches | OneByOne] = set()
        self._bell, self._rope = socket.socketpair()
        self._bell.setblocking(False)
        self._thread = threading.Thread(target=self._run, name='traps', daemon=True)

    def start(self) -> None:
        """Begin to read. A warning says when a buffer is too small for a burst."""
        smallest = min(self._listeners, key=lambda listener: listener.buffer_bytes, default=None)
        if smallest and smallest.buffer_bytes < _ENOUGH_BUFFER:
            LOG.warning('the receive buffer of %s holds %d KiB, which a burst of %d traps fills; what does not fit is '
                        'lost. Raise the limit (sysctl -w net.core.rmem_max=%d) or give this process CAP_NET_ADMIN, '
                        'and start it anew', smallest, smallest.buffer_bytes // 1024,
                        smallest.buffer_bytes // _COST_IN_BUFFER, max(smallest.asked_bytes, _ENOUGH_BUFFER))
        self._thread.start()

    def take(self, timeout_seconds: float, most: int = 2000) -> list[Datagram]:
        """What has arrived, in order, about `most` at once (a batch is never split); waits for the first.

        After `stop` what is left comes without waiting; an empty list then says that this was all.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended, timeout_seconds)
            taken: list[Datagram] = []
            while self._waiting and (not taken or len(taken) + len(self._waiting[0][0]) <= most):
                found, size = self._waiting.popleft()
                taken += found
                self._bytes -= size
            self._datagrams -= len(taken)
            self._changed.notify_all()
        return taken

    def waiting(self) -> int:
        """How many datagrams wait to be taken."""
        return self._datagrams

    def drops(self) -> int:
        """How many datagrams the kernel has thrown away, at all listeners."""
        return sum(listener.drops() or 0 for listener in self._listeners)

    def stop(self) -> None:
        """Read what the kernel holds as far as the hand-over has room, and end. The sockets stay open for answers."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        with contextlib.suppress(OSError):
            self._rope.send(b'\0')
        if self._thread.ident is None:
            self._end()
        else:
            self._thread.join()
        self._bell.close()
        self._rope.close()

    # --- the thread ---

    def _run(self) -> None:
        try:
            poll = select.poll()
            poll.register(self._bell, select.POLLIN)
            for listener in self._listeners:
                poll.register(listener.socket, select.POLLIN)
            while self._wait_for_room():
                poll.poll()
                while not self._stopping and self._has_room() and self._turn() == _BATCH:
                    pass
            self._last_look()
        finally:
            self._end()

    def _turn(self) -> int:
        """Read each socket once; the size of the largest batch."""
        return max(map(self._read, self._readers), default=0)

    def _read(self, reader: Batches | OneByOne) -> int:
        """How many datagrams there were, 0 also if the socket cannot be read."""
        try:
            count, found = reader.read()
        except OSError as error:
            if reader not in self._failing:
                LOG.error('traps cannot be read from a socket (%s); trying again', error.strerror or error)
            self._failing.add(reader)
            with self._changed:
                self._changed.wait_for(lambda: self._stopping, _PAUSE_SECONDS)
            return 0
        self._failing.discard(reader)
        if found:
            size = sum(map(len, map(itemgetter(0), found)))
            with self._changed:
                self._waiting.append((found, size))
                self._datagrams += len(found)
                self._bytes += size
                self._changed.notify_all()
        return count

    def _last_look(self) -> None:
        """Closing a socket would lose what its buffer holds. Senders who never pause must not keep us, though."""
        left = self._most_datagrams - self._datagrams
        while left > 0 and (read := sum(map(self._read, self._readers))):
            left -= read

    def _has_room(self) -> bool:
        return self._datagrams < self._most_datagrams and self._bytes < self._most_bytes

    def _wait_for_room(self) -> bool:
        """False: it is time to stop."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._has_room())
            return not self._stopping

    def _end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
