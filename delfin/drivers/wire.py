# SPDX-License-Identifier: Apache-2.0
"""What goes over the socket between a service (`remote`) and the process of a driver (`child`).

Messages have a kind, the number of the call they belong to and a pickled payload. What a driver answers is reduced to
plain data before it is sent, and nothing else is accepted: the service never runs code because a payload says so. An
object among the data becomes an `Opaque` one, so that a strange value costs its row only, as it does without a process.
"""

from __future__ import annotations

import contextlib
import enum
import io
import operator
import pickle
import socket
import struct
import threading
from collections.abc import Mapping
from typing import Any

from delfin import cryptor, exception
from delfin.common.text import clean

_HEADER = struct.Struct('!BQQ')     # kind, call, bytes of payload
_JOIN_BYTES = 65536                 # up to this size header and payload go out at once

# Classes of values that pass as they are. Others pass as the plain type they derive from, or not at all.
_PLAIN = {
    'builtins': frozenset({'bool', 'bytearray', 'bytes', 'complex', 'dict', 'float', 'frozenset', 'int', 'list',
                           'range', 'set', 'str', 'tuple'}),
    'collections': frozenset({'OrderedDict', 'deque'}),
    'datetime': frozenset({'date', 'datetime', 'time', 'timedelta', 'timezone'}),
    'decimal': frozenset({'Decimal'}),
    'delfin.common.constants': frozenset({'metric_struct'}),
    'delfin.drivers.wire': frozenset({'Opaque'}),
    'ipaddress': frozenset({'IPv4Address', 'IPv4Interface', 'IPv4Network', 'IPv6Address', 'IPv6Interface',
                            'IPv6Network'}),
    'uuid': frozenset({'UUID'}),
}
_BASES: tuple[type, ...] = (str, bytes, int, float, dict, list, tuple, set, frozenset)

# What `cryptor.encode` makes begins like this.
_ENCODED = cryptor.encode('').partition(':')[0] + ':'


class Kind(enum.IntEnum):
    """What a message says."""

    # to the driver's process
    SETUP = 1       # how to behave; first of all
    BUILD = 2       # construct the driver
    CALL = 3        # call it
    MORE = 4        # one more chunk may come
    STOP = 5        # no more rows are wanted
    # back
    ANSWER = 6      # the end of a call
    ROWS = 7        # the answer is rows that come
    CHUNK = 8       # some of them
    ERROR = 9       # the end of a call
    LOG = 10        # a log record


class Wire:
    """One end of the socket. Any thread may send, one receives."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reader = connection.makefile('rb')
        self._sending = threading.Lock()

    def send(self, kind: Kind, number: int = 0, payload: bytes = b'') -> None:
        """Send one message; OSError when the other end is gone."""
        header = _HEADER.pack(kind, number, len(payload))
        with self._sending:
            if len(payload) <= _JOIN_BYTES:
                self._connection.sendall(header + payload)
            else:
                self._connection.sendall(header)
                self._connection.sendall(payload)

    def receive(self) -> tuple[Kind, int, bytes]:
        """The next message; EOFError or OSError when the other end is gone, anything if it sent rubbish."""
        kind, number, size = _HEADER.unpack(self._read(_HEADER.size))
        return Kind(kind), number, self._read(size)

    def _read(self, size: int) -> bytes:
        data = self._reader.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def close(self) -> None:
        """Only the one that receives may do this. Sending fails from now on."""
        with self._sending:
            self._reader.close()
            self._connection.close()

    def disown(self) -> None:
        """In a forked process: the socket belongs to the other one."""
        self._sending = threading.Lock()        # nobody is left to release the old one
        self._connection.detach()


# --- to the driver ---

class _Pickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> str | None:
        """Encoded secrets cross in clear (no one else reads the socket) and are encoded anew on the other side, whose
        key is another one.
        """
        if type(value) is not str or not value.startswith(_ENCODED):
            return None
        try:
            return cryptor.decode(value)
        except ValueError:      # it only looks like one
            return None


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, secret: str) -> str:
        return cryptor.encode(secret)


def dump_request(value: Any) -> bytes:
    """For the driver's process, which trusts the service."""
    buffer = io.BytesIO()
    _Pickler(buffer, pickle.HIGHEST_PROTOCOL).dump(value)
    return buffer.getvalue()


def load_request(payload: bytes) -> Any:
    """The reverse of `dump_request`."""
    return _Unpickler(io.BytesIO(payload)).load()


# --- back ---

class Opaque:
    """In place of an object of a class that only the driver knows: the class's name, and the text if it had one."""

    def __init__(self, name: str, text: str | None) -> None:
        self.name = name
        self.text = text

    def __str__(self) -> str:
        if self.text is None:
            raise RuntimeError(f'{self.name} has no text')
        return self.text

    def __repr__(self) -> str:
        return f'<{self.name}>'


class _PlainPickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        """Called for everything that is not of a built-in type itself."""
        kind = type(value)
        if _is_plain(kind) or kind is type and _is_plain(value):
            return NotImplemented
        if isinstance(value, type):
            raise pickle.PicklingError(f'a class ({value.__name__})')
        for base in _BASES:
            if isinstance(value, base):
                return base, (_bare(base, value),)
        if isinstance(value, Mapping):
            return dict, (dict(value),)
        with contextlib.suppress(TypeError):
            return int, (operator.index(value),)
        if not _could_be_copied(value):
            raise pickle.PicklingError(f'an object of class {kind.__name__}')
        return Opaque, (kind.__name__, _text(value))


def _could_be_copied(value: Any) -> bool:
    """Locks, sockets, functions and their like cannot, and are no values at all."""
    try:
        return not isinstance(value.__reduce_ex__(pickle.HIGHEST_PROTOCOL), str)
    except Exception:       # objects of third parties
        return False


def _text(value: Any) -> str | None:
    try:
        return clean(str(value))
    except Exception:       # objects of third parties
        return None


def _bare(base: type, value: Any) -> Any:
    """The value as `base` itself has it, whatever the class derived from it says."""
    if base is str:
        return str.__str__(value)
    if base in (int, float):
        return base.__pos__(value)
    if base is dict:
        return {key: dict.__getitem__(value, key) for key in dict.keys(value)}
    return base(base.__iter__(value))   # type: ignore[attr-defined]


def _is_plain(kind: type) -> bool:
    return kind.__qualname__ in _PLAIN.get(kind.__module__, ())


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name not in _PLAIN.get(module, ()):
            raise pickle.UnpicklingError(f'{module}.{name}')
        return super().find_class(module, name)


def dump_answer(value: Any, what: str) -> bytes:
    """For the service; `InvalidResults` when something of `what` (a method's name) is no data."""
    buffer = io.BytesIO()
    try:
        _PlainPickler(buffer, pickle.HIGHEST_PROTOCOL).dump(value)
    except Exception as error:      # objects of third parties
        raise exception.InvalidResults(f'{what} answered what cannot be passed on: {_reason(error)}') from None
    return buffer.getvalue()


def load_answer(payload: bytes, what: str) -> Any:
    """The reverse of `dump_answer`."""
    try:
        return _PlainUnpickler(io.BytesIO(payload)).load()
    except Exception as error:      # from another process, whatever wrote into its memory
        raise exception.InvalidResults(f'{what} answered what cannot be read: {_reason(error)}') from None


def _reason(error: Exception) -> str:
    return f'{error}' if isinstance(error, pickle.PicklingError) else type(error).__name__
