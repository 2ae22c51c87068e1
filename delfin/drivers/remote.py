# SPDX-License-Identifier: Apache-2.0
"""Driver instances in child processes, one each: `[drivers] isolation = process`. The other side is `child`.

A child runs nothing but its driver. It is killed when a call passes its deadline, when the instance is not needed any
more, and by the kernel when this process dies; if it dies by itself, the calls under way fail and the door builds a new
instance for the next one.

Each child has a socket for messages (`wire`) and one for what the driver prints, which is logged. Secrets go over the
first one only.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from oslo_config import cfg

from delfin import exception
from delfin.context import RequestContext, get_admin_context
from delfin.drivers import errors
from delfin.drivers.instances import capacity_of
from delfin.drivers.streaming import Source
from delfin.drivers.wire import Kind, Wire, dump_request, load_answer

LOG = logging.getLogger(__name__)

LOGOUT_SECONDS = 10
_ENDING_SECONDS = 2         # for a process whose socket has ended
_PRINTED_LINE = 4096

_Message = tuple[Kind | None, bytes]        # None: the process is gone
_Inbox = queue.SimpleQueue[_Message]


class Processes:
    """Makes instances in child processes. `stop` kills them all."""

    def __init__(self) -> None:
        # The kernel ties a child to the *thread* that started it, so all are started by one that lives as long as we.
        self._starter = ThreadPoolExecutor(1, 'driver-starter')
        self._made: weakref.WeakSet[ProcessInstance] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._stopped = False

    def make(self, storage_id: str, driver_class: type, name: tuple[str, str]) -> ProcessInstance:
        """See `Instances`."""
        instance = ProcessInstance(storage_id, driver_class, name, self._starter)
        with self._lock:
            self._made.add(instance)
            if self._stopped:
                instance.kill()
        return instance

    def stop(self) -> None:
        """See `Instances`."""
        with self._lock:
            self._stopped = True
            made = list(self._made)
        for instance in made:
            instance.kill()
        self._starter.shutdown(wait=False)


class ProcessInstance:
    """A driver in a process of its own."""

    def __init__(self, storage_id: str, driver_class: type, name: tuple[str, str], starter: ThreadPoolExecutor) -> None:
        self._storage_id = storage_id
        self._class = driver_class
        self._name = name
        self._starter = starter
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._wire: Wire | None = None
        self._numbers = itertools.count(1)
        self._inboxes: dict[int, _Inbox] = {}
        self._alive = True
        self._killed = False
        self._end = 'was not started'

    @property
    def capacity(self) -> int:
        """See `Instance`."""
        return capacity_of(self._class)

    @property
    def alive(self) -> bool:
        """See `Instance`."""
        return self._alive

    @property
    def pid(self) -> int | None:
        """The process, once it has been started."""
        return self._process.pid if self._process else None

    def build(self, arguments: Mapping[str, Any], context: RequestContext) -> None:
        """See `Instance`."""
        try:
            self._starter.submit(self._start).result()
        except (OSError, RuntimeError) as error:        # no memory, no processes, no starter any more
            raise exception.ServiceUnavailable(f'the process of a driver cannot be started: {error}') from None
        self._ask(Kind.BUILD, '__init__', (_reference(self._class, self._name), context.to_dict(), dict(arguments)))

    def call(self, method: str, context: RequestContext, *args: Any, **kwargs: Any) -> Any:
        """See `Instance`."""
        return self._ask(Kind.CALL, method, (method, context.to_dict(), args, kwargs))

    def close(self, context: RequestContext) -> None:
        """See `Instance`."""
        if self._alive:
            limit = threading.Timer(LOGOUT_SECONDS, self.kill)
            limit.daemon = True
            limit.start()
            try:
                self.call('delete_storage', context)
            except Exception:       # nobody waits for it
                LOG.debug('a replaced driver could not log out', exc_info=True)
            finally:
                limit.cancel()
        self.kill()

    def kill(self) -> bool:
        """See `Instance`."""
        with self._lock:
            if self._alive:
                self._killed = True
                self._end = 'was ended because another call did not return, or because it was replaced'
            self._signal()
            self._tell_all()        # not only when it is gone: nobody can say when that is
        return True

    # --- calls ---

    def _ask(self, kind: Kind, method: str, request: Any) -> Any:
        payload = dump_request(request)
        number, inbox = next(self._numbers), _Inbox()
        with self._lock:
            if not self._alive or self._wire is None:
                raise self._gone(method)
            self._inboxes[number] = inbox
        with contextlib.suppress(OSError):      # the inbox will tell
            self._wire.send(kind, number, payload)
        rows = _Rows(self, method, number, inbox)
        answer, payload = rows.receive()
        if answer is Kind.ROWS:
            return rows
        return load_answer(payload, method) if payload else None

    def tell(self, kind: Kind, number: int) -> None:
        """Send what needs no answer."""
        with contextlib.suppress(OSError):
            if self._wire is not None:
                self._wire.send(kind, number)

    def over(self, number: int) -> None:
        """A call has ended."""
        with self._lock:
            self._inboxes.pop(number, None)

    def _gone(self, method: str) -> exception.StorageBackendException:
        return exception.StorageBackendException(message=(
            f'{method} of storage {self._storage_id} has no answer: the process of its driver {self._end}.'))

    def error(self, kind: Kind | None, payload: bytes, method: str) -> BaseException:
        """What a message that ends a call without an answer says."""
        if kind is None:
            return self._gone(method)
        name, arguments, text, lost = load_answer(payload, method)
        if name == 'NotImplementedError':
            return NotImplementedError(text)
        found = getattr(exception, name, exception.StorageBackendException)
        raised: BaseException = found(*arguments, message=text)
        raised.__cause__ = errors.SessionLost() if lost else None
        return raised

    # --- the process ---

    def _start(self) -> None:
        """Start the process. Runs in the starter's thread."""
        ours, theirs = socket.socketpair()
        printed, printer = socket.socketpair()
        with theirs, printer, contextlib.ExitStack() as undo:
            undo.callback(ours.close)
            undo.callback(printed.close)
            with self._lock:
                if not self._alive:
                    raise RuntimeError('it is not wanted any more')
                self._process = subprocess.Popen(
                    [sys.executable, '-P', '-m', 'delfin.drivers.child', self._storage_id, str(theirs.fileno()),
                     str(os.getpid())],
                    stdin=subprocess.DEVNULL, stdout=printer.fileno(), stderr=printer.fileno(),
                    pass_fds=[theirs.fileno()], start_new_session=True,
                    env={**os.environ, 'PYTHONPATH': os.pathsep.join(path or os.getcwd() for path in sys.path)})
                self._wire = Wire(ours)
            undo.pop_all()
        for name, body in (('reader', self._read), ('printer', self._log_printed)):
            threading.Thread(target=body, args=(self._wire, printed), name=f'driver-{name}-{self._storage_id[:8]}',
                             daemon=True).start()
        with contextlib.suppress(OSError):
            self._wire.send(Kind.SETUP, 0, dump_request(_setup()))

    def _read(self, wire: Wire, printed: socket.socket) -> None:
        """Hand messages to the calls they belong to, until the process is gone."""
        try:
            while True:
                kind, number, payload = wire.receive()
                if kind is Kind.LOG:
                    self._log(payload)
                elif inbox := self._inboxes.get(number):
                    inbox.put((kind, payload))
        except Exception:       # the end, or somebody wrote rubbish into the socket
            self._bury()
        wire.close()
        with contextlib.suppress(OSError):
            printed.shutdown(socket.SHUT_RDWR)      # somebody the driver has started may hold the other end

    def _bury(self) -> None:
        """The socket has ended: see to it that the process has, too, and tell those who wait."""
        process = self._process
        assert process is not None
        _wait(process.pid, _ENDING_SECONDS)
        with self._lock:
            self._signal()          # also what is left of its group
        _wait(process.pid, None)
        with self._lock:
            by_itself = not self._killed
            status = _status(process.wait())
            if by_itself:
                self._end = f'has ended by itself ({status})'
            self._tell_all()
        if by_itself:
            LOG.error('the process of the driver of storage %s %s', self._storage_id, self._end)

    def _tell_all(self) -> None:
        """There will be no more answers."""
        self._alive = False
        for inbox in self._inboxes.values():
            inbox.put((None, b''))

    def _signal(self) -> None:
        """Kill the process group. A process that was not waited for keeps its number, so no other one is hit."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _log(self, payload: bytes) -> None:
        try:
            values = load_answer(payload, 'log')
            logger = logging.getLogger(values['name'])
            if logger.isEnabledFor(values['levelno']):
                context = values.get('context')
                values['context'] = RequestContext.from_dict(context) if context else _context_of(self._storage_id)
                logger.handle(logging.makeLogRecord(values))
        except Exception:       # a line less
            LOG.debug('a log record of a driver cannot be read', exc_info=True)

    def _log_printed(self, wire: Wire, printed: socket.socket) -> None:
        """Log what the driver prints, tracebacks of a crash among it."""
        _context_of(self._storage_id).update_store()
        with printed, printed.makefile('r', encoding='utf-8', errors='replace') as lines, \
                contextlib.suppress(OSError, ValueError):
            while line := lines.readline(_PRINTED_LINE):
                if line.strip():
                    LOG.info('the driver of storage %s printed: %s', self._storage_id, line.rstrip())


class _Rows(Source):
    """Rows that come from the process."""

    def __init__(self, instance: ProcessInstance, method: str, number: int, inbox: _Inbox) -> None:
        self._instance = instance
        self._method = method
        self._number = number
        self._inbox = inbox

    def stop(self) -> None:
        """See `Source`. The call's thread passes it on: sending may block."""
        self._inbox.put((Kind.STOP, b''))

    def receive(self) -> tuple[Kind, bytes]:
        """The next message of this call; raises what ends it without an answer."""
        kind, payload = self._inbox.get()
        if kind in (Kind.ANSWER, Kind.ERROR, None):
            self._instance.over(self._number)
        if kind in (Kind.ERROR, None):
            raise self._instance.error(kind, payload, self._method)
        assert kind is not None
        return kind, payload

    def __iter__(self) -> Generator[list[Any], None, None]:
        """See `Source`."""
        running = True
        try:
            while True:
                running = False     # if receiving raises
                kind, payload = self.receive()
                if kind is Kind.ANSWER:
                    return
                running = True
                if kind is Kind.STOP:
                    return
                yield load_answer(payload, self._method)
                self._instance.tell(Kind.MORE, self._number)
        finally:
            if running:
                self._end()

    def _end(self) -> None:
        """Have the driver's generator closed and wait for it: until then the driver is at work."""
        self._instance.tell(Kind.STOP, self._number)
        with contextlib.suppress(Exception):        # whatever it says now
            while self.receive()[0] is not Kind.ANSWER:
                pass


def _wait(pid: int, seconds: float | None) -> None:
    """Until the process has ended or the time (if any) is over; it is not reaped."""
    with contextlib.suppress(OSError):
        descriptor = os.pidfd_open(pid)
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            poll.poll(None if seconds is None else seconds * 1000)
        finally:
            os.close(descriptor)


def _status(code: int) -> str:
    if code >= 0:
        return f'exit code {code}'
    with contextlib.suppress(ValueError):
        return f'killed by {signal.Signals(-code).name}'
    return f'killed by signal {-code}'


def _reference(driver_class: type, name: tuple[str, str]) -> tuple[str | None, str, tuple[str, str]]:
    """How the child finds the class: where it is defined, or (made by a function, for example) as it is declared."""
    module, target = driver_class.__module__, driver_class.__qualname__
    found: Any = sys.modules.get(module)
    for part in target.split('.'):
        found = getattr(found, part, None)
    return (module if found is driver_class else None), target, name


def _setup() -> dict[str, Any]:
    """What makes the child like this process."""
    root = logging.getLogger()
    levels = {name: logger.level for name, logger in root.manager.loggerDict.items()
              if isinstance(logger, logging.Logger) and logger.level}
    return {'python_path': os.environ.get('PYTHONPATH'), 'configuration': _configuration(),
            'log_levels': {**levels, 'root': root.level}}


def _configuration() -> list[str] | None:
    """Arguments that name the configuration files in use; None if none were read."""
    try:
        files, directories = cfg.CONF.config_file or [], cfg.CONF.config_dir or []
    except (cfg.NoSuchOptError, cfg.NotInitializedError):
        return None
    return [*(f'--config-file={path}' for path in files), *(f'--config-dir={path}' for path in directories)]


def _context_of(storage_id: str) -> RequestContext:
    context = get_admin_context()
    context.storage_id = storage_id
    return context
