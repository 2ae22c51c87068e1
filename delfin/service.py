# SPDX-License-Identifier: Apache-2.0
"""One way to start every process: configuration, logging, parts, signals, a bounded stop."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from oslo_config import cfg
from oslo_log import log
from sqlalchemy.exc import SQLAlchemyError

from delfin import exception, rpc
from delfin.common import config, logs, masking
from delfin.common.text import first_line
from delfin.db import Database
from delfin.db.schema import Schema
from delfin.drivers.manager import set_log_levels
from delfin.drivers.utils import performance_file
from delfin.keyring import Keyring
from delfin.version import version_string

LOG = logging.getLogger(__name__)

# One interpreter lock for API, drivers and traps: without a shorter turn one busy thread makes the others wait 5 ms
# each time they come back from the network (measured: 7 to 10 times fewer requests).
_SWITCH_INTERVAL_SECONDS = 0.0005
# Inventories and metrics are many small objects in no circle, which each collection of garbage looks through in vain:
# by default at every 700th (measured: a third of the time of a collection of 80,000 series). What lives for long is
# looked through when a quarter is new, as ever.
_GARBAGE_THRESHOLDS = (50_000, 20, 20)
_WAKE_SECONDS = 0.5
_PROJECT = 'delfin'
_CA_BUNDLES = ('REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE')


class Service(Protocol):
    """A part of a process."""

    name: str

    def start(self) -> None:
        """Begin; raises when it cannot."""

    def stop(self, timeout_seconds: float) -> None:
        """Take no more work, put back what is under way, return within the time-out. Also when half started."""


@dataclass(frozen=True)
class Parts:
    """What every process has: made once, handed to those who need it."""

    conf: cfg.ConfigOpts
    database: Database
    keyring: Keyring
    rpc: rpc.Rpc
    masker: masking.Masker


def prepare(argv: Sequence[str], prog: str) -> tuple[cfg.ConfigOpts, masking.Masker]:
    """Configuration and logging; `InvalidConfiguration` says in one line what is wrong."""
    conf = config.load(argv, prog)
    _make_directory(conf.state_path, '[DEFAULT] state_path')
    try:
        log.setup(conf, _PROJECT, version_string())
        logs.install(conf, _PROJECT, version_string())
    except Exception as error:      # oslo.log raises many kinds for one cause
        raise exception.InvalidConfiguration(f'logging cannot be set up: {error}') from None
    masker = masking.Masker()
    masking.install(masker)
    logging.captureWarnings(True)
    _forget_ca_bundles()
    set_log_levels(conf.drivers.log_levels)
    tune_interpreter()
    return conf, masker


def tune_interpreter() -> None:
    """How the interpreter divides its time in all services."""
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)
    gc.set_threshold(*_GARBAGE_THRESHOLDS)


def open_database(conf: cfg.ConfigOpts) -> Database:
    """The configured database; nothing is connected yet."""
    return Database(config.database_url(conf), pool_size=conf.database.pool_size,
                    pool_timeout_seconds=conf.database.pool_timeout_seconds,
                    sqlite_busy_timeout_seconds=conf.database.sqlite_busy_timeout_seconds)


def check_schema(database: Database) -> None:
    """`InvalidConfiguration` unless the database can be reached and has the version this Delfin needs."""
    try:
        problem = Schema(database).problem()
    except SQLAlchemyError as error:
        raise exception.InvalidConfiguration(f'the database cannot be reached: {first_line(error)}') from None
    if problem:
        raise exception.InvalidConfiguration(problem)


@contextlib.contextmanager
def parts(conf: cfg.ConfigOpts, masker: masking.Masker, *, embedded: bool) -> Iterator[Parts]:
    """Everything a service needs, checked before anything starts, closed at the end."""
    if not embedded and rpc.is_local(conf):
        raise exception.InvalidConfiguration(
            'transport_url is local://, which only works inside delfin-all; set transport_url in [DEFAULT] to a broker '
            'that all services share, for example rabbit://user:password@host:5672/delfin')
    made = make_parts(conf, masker)
    try:
        check_schema(made.database)
        yield made
    finally:
        made.rpc.close()
        made.database.close()


def make_parts(conf: cfg.ConfigOpts, masker: masking.Masker) -> Parts:
    """The parts without any check of what is behind them."""
    return Parts(conf, open_database(conf), Keyring(conf.secrets.key_file), rpc.Rpc(conf), masker)


class Launcher:
    """Runs the services of one process until a signal asks it to stop."""

    def __init__(self, services: Sequence[Service], timeout_seconds: float) -> None:
        self._services = services
        self._timeout_seconds = timeout_seconds
        # Not an Event: a signal handler that sets one can meet the main thread holding its lock.
        self._stop: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._begun: list[Service] = []
        self._failure: Exception | None = None

    def run(self) -> None:
        """Start all, wait for SIGTERM or SIGINT, stop all."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.put(None))
        # Beside the main thread, which must hear signals: a start may wait long for a broker that is away.
        threading.Thread(target=self._start_all, name='start', daemon=True).start()
        self._wait()
        LOG.info('stopping')
        self._stop_all(self._begun)
        if self._failure is not None:
            raise self._failure

    def _wait(self) -> None:
        """Until somebody asks to stop. Wakes now and then: handlers run only when the main thread does."""
        while True:
            with contextlib.suppress(queue.Empty):
                self._stop.get(timeout=_WAKE_SECONDS)
                return

    def _start_all(self) -> None:
        try:
            for service in self._services:
                self._begun.append(service)
                service.start()
            LOG.info('running: %s', ', '.join(service.name for service in self._begun))
        except Exception as error:      # handed to the main thread
            self._failure = error
            self._stop.put(None)

    def _stop_all(self, services: Sequence[Service]) -> None:
        """Side by side, since each may wait for something of its own."""
        deadline = time.monotonic() + self._timeout_seconds
        threads = [threading.Thread(target=self._stop_one, args=(service,), name=f'stop-{service.name}', daemon=True)
                   for service in services]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _stop_one(self, service: Service) -> None:
        try:
            service.stop(self._timeout_seconds)
        except Exception:       # the others still have to stop
            LOG.exception('%s did not stop cleanly', service.name)


def main(prog: str, build: Callable[[Parts], Sequence[Service]], *, embedded: bool,
         argv: Sequence[str] | None = None) -> None:
    """The body of `delfin-all`, `delfin-task` and `delfin-alert`. Never returns."""
    try:
        conf, masker = prepare(sys.argv[1:] if argv is None else argv, prog)
        with parts(conf, masker, embedded=embedded) as made:
            _enter_scratch_directory(Path(conf.state_path))
            Launcher(build(made), conf.shutdown_timeout_seconds).run()
    except exception.InvalidConfiguration as error:
        leave(config.fail(prog, error))
    except Exception as error:      # the last net
        LOG.exception('%s ends', prog)
        print(f'{prog}: {type(error).__name__}: {error}; see the log', file=sys.stderr)
        leave(1)
    LOG.info('stopped')
    leave(0)


def _forget_ca_bundles() -> None:
    """Sessions of `requests` that drivers make would believe these instead of the `verify` that they are given."""
    for name in _CA_BUNDLES:
        if os.environ.pop(name, None):
            LOG.info('the variable %s has no effect; give CAs with [drivers] ca_path or in access information', name)


def _enter_scratch_directory(path: Path) -> None:
    """Some drivers write scratch files into the working directory, or into folders below that they expect."""
    try:
        performance_file.make_folders(path)
    except OSError as error:
        raise exception.InvalidConfiguration(f'[DEFAULT] state_path: {error.strerror}: {error.filename}') from None
    os.chdir(path)


def leave(code: int) -> None:
    """End the process now: a driver that never returns would keep an ordinary exit waiting for its thread."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _make_directory(path: str, option: str) -> None:
    try:
        Path(path).mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise exception.InvalidConfiguration(f'{option}: {error.strerror}: {path}') from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise exception.InvalidConfiguration(f'{option}: directory {path} is not writable')
