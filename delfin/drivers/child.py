# SPDX-License-Identifier: Apache-2.0
"""The process of one driver instance: `python -m delfin.drivers.child <storage> <socket> <parent>` (see `remote`).

Builds the driver and calls it, each call in a thread of its own, as the service tells it over the socket. It ends when
the socket does or its parent dies, whatever the driver is doing.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import importlib
import logging
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from oslo_context import context as contexts

from delfin import exception
from delfin.common.text import printable
from delfin.context import RequestContext
from delfin.drivers import errors
from delfin.drivers.instances import perform
from delfin.drivers.streaming import Source
from delfin.drivers.wire import Kind, Wire, dump_answer, load_request

LOG = logging.getLogger(__name__)

CHUNKS_AHEAD = 2        # chunks that are sent before the service asks for more
_TEXT_LIMIT = 100_000   # far above what is shown: the service cuts after it has masked
_NAME = b'delfin-driver'
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15


class _Stream:
    """Rows on their way: how many chunks may be sent, and how to stop."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._credit = threading.Semaphore(CHUNKS_AHEAD)
        self._stopped = False

    def more(self) -> None:
        self._credit.release()

    def stop(self) -> None:
        self._stopped = True
        self._source.stop()
        self._credit.release()

    def send(self, send: Callable[[list[Any]], None]) -> None:
        """Iterate the source in this thread."""
        with contextlib.closing(iter(self._source)) as chunks:
            for chunk in chunks:
                self._credit.acquire()
                if self._stopped:
                    return
                send(chunk)


class Child:
    """Serves one driver instance."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._driver: Any = None
        self._streams: dict[int, _Stream] = {}

    def serve(self) -> NoReturn:
        """Do what the service says until it is gone."""
        while True:
            try:
                kind, number, payload = self._wire.receive()
            except Exception:       # the end, or the driver has read what was for us
                os._exit(0)
            stream = self._streams.get(number)
            if kind is Kind.BUILD:
                self._begin(self._build, number, payload)
            elif kind is Kind.CALL:
                self._begin(self._call, number, payload)
            elif kind is Kind.MORE and stream:
                stream.more()
            elif kind is Kind.STOP and stream:
                stream.stop()

    def _begin(self, body: Callable[[int, bytes], bytes], number: int, payload: bytes) -> None:
        threading.Thread(target=self._answer, args=(body, number, payload), name=f'call-{number}', daemon=True).start()

    def _answer(self, body: Callable[[int, bytes], bytes], number: int, payload: bytes) -> None:
        try:
            answer = Kind.ANSWER, number, body(number, payload)
        except BaseException as error:      # SystemExit from a driver must not pass for success
            if not isinstance(error, NotImplementedError | exception.DelfinException):
                LOG.debug('the driver raised', exc_info=True)
            answer = Kind.ERROR, number, dump_answer(_described(error, threading.current_thread().name), 'error')
        self._send(*answer)

    def _build(self, number: int, payload: bytes) -> bytes:
        reference, context, arguments = load_request(payload)
        RequestContext.from_dict(context).update_store()
        threading.current_thread().name = '__init__'
        self._driver = _load(*reference)(**arguments)
        return b''

    def _call(self, number: int, payload: bytes) -> bytes:
        method, context, args, kwargs = load_request(payload)
        context = RequestContext.from_dict(context)
        context.update_store()
        threading.current_thread().name = method        # what errors and log lines say
        answer = perform(self._driver, method, context, *args, **kwargs)
        if not isinstance(answer, Source):
            return dump_answer(answer, method)
        stream = self._streams[number] = _Stream(answer)
        try:
            self._send(Kind.ROWS, number)
            stream.send(lambda chunk: self._send(Kind.CHUNK, number, dump_answer(chunk, method)))
        finally:
            del self._streams[number]
        return b''

    def _send(self, kind: Kind, number: int, payload: bytes = b'') -> None:
        try:
            self._wire.send(kind, number, payload)
        except OSError:     # nobody is left to work for
            os._exit(0)


class _Forward(logging.Handler):
    """Sends records to the service, whose handlers mask and write them."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:       # a format that does not fit
            message = f'{record.msg!r} (log line with arguments that do not fit)'
        if record.exc_info and record.exc_info[0] is not None:
            # A part of the message, which is masked as a whole.
            message += '\n' + logging.Formatter().formatException(record.exc_info)
        context = record.__dict__.get('context') or contexts.get_current()
        values = {name: getattr(record, name) for name in (
            'name', 'levelno', 'levelname', 'pathname', 'filename', 'module', 'lineno', 'funcName', 'created', 'msecs',
            'relativeCreated', 'thread', 'threadName', 'process', 'processName')}
        values['msg'] = message
        values['context'] = context.to_dict() if isinstance(context, RequestContext) else None
        with contextlib.suppress(OSError, exception.InvalidResults):
            self._wire.send(Kind.LOG, 0, dump_answer(values, 'log'))


def _described(error: BaseException, doing: str) -> tuple[str, tuple[str, ...], str, bool]:
    """An error as data: class, arguments, text, whether the session is lost."""
    lost = errors.session_lost(error)
    if isinstance(error, NotImplementedError):
        return 'NotImplementedError', (), printable(error), lost
    clean = errors.translate(error, doing, lambda text: text, _TEXT_LIMIT)
    return type(clean).__name__, clean.error_args, clean.msg, lost


def _load(module: str | None, target: str, name: tuple[str, str]) -> Any:
    """The driver class: `target` of `module`, or if that is None, what is declared as `name` (vendor, model)."""
    if module is None:
        from delfin.drivers.manager import DriverManager

        return DriverManager().get_class(*name)
    found: Any = importlib.import_module(module)
    for part in target.split('.'):
        found = getattr(found, part)
    return found


def _set_up(wire: Wire, setup: dict[str, Any]) -> None:
    """Make this process like its parent."""
    if setup['python_path'] is None:
        os.environ.pop('PYTHONPATH', None)
    else:
        os.environ['PYTHONPATH'] = setup['python_path']
    problem = _configure(setup['configuration'])
    root = logging.getLogger()
    root.handlers[:] = [_Forward(wire)]
    for name, level in setup['log_levels'].items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(True)
    if problem:
        LOG.warning('a driver cannot read the configuration and works with defaults: %s', problem)


def _configure(arguments: list[str] | None) -> str | None:
    """Read the service's configuration files, for drivers with options of their own; what is wrong with them."""
    if arguments is None:
        return None
    from delfin.common import config

    try:
        config.load(arguments, 'delfin-driver', default_config_files=[], default_config_dirs=[])
    except exception.InvalidConfiguration as error:
        return error.msg
    return None


def _die_with(parent: int) -> None:
    """Let the kernel end this process with its parent. Where that is impossible, the end of the socket does it."""
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None, use_errno=True)
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        library.prctl(_PR_SET_NAME, ctypes.c_char_p(_NAME), 0, 0, 0)
    if os.getppid() != parent:      # it died before we asked
        os._exit(0)


def _disown(wire: Wire, descriptor: int) -> None:
    """In a process that a driver forks: it must not hold the socket open, nor write to it."""
    wire.disown()
    with contextlib.suppress(OSError):
        os.close(descriptor)


def main() -> NoReturn:
    """Never returns."""
    descriptor, parent = int(sys.argv[2]), int(sys.argv[3])
    _die_with(parent)
    os.set_inheritable(descriptor, False)
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))  # secrets are in it
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors='replace')       # type: ignore[union-attr]
    # The service decides when this process ends, also where systemd or a terminal signals the whole group. Handlers,
    # unlike SIG_IGN, do not pass to programs that a driver starts.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    wire = Wire(socket.socket(fileno=descriptor))
    os.register_at_fork(after_in_child=lambda: _disown(wire, descriptor))
    try:
        _, _, payload = wire.receive()
    except (EOFError, OSError):
        os._exit(0)
    _set_up(wire, load_request(payload))
    Child(wire).serve()


if __name__ == '__main__':
    main()
