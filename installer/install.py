# SPDX-License-Identifier: Apache-2.0
"""installer/install: from a clean checkout to a running Delfin that shows this machine; again: brings it up to date."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from installer import demo
from installer.checkout import Checkout, remove
from installer.client import ApiError, Client
from installer.console import Console, Problem, RunLog
from installer.environment import Environment, require_python_modules, require_space
from installer.service import Service
from installer.state import DEFAULT_PORT, State, locate, remember

STATE_MB = 50
CLOSING = """
Delfin answers on {url}, from this machine only. Try next:
  curl {url}/v1/storages
  curl '{url}/v1/{example}limit=5'
  curl -i -X POST {url}/v1/storages/sync

Configuration  {conf}
Log            {log}
Stop, start    {stop}, installer/install
Remove it all  installer/uninstall
"""


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='installer/install',
        description='Set Delfin up in this checkout, start it, register this machine and a made-up array, and show '
        'what was found. Needs no root. A second run is quick: it changes only what is out of date, so run it after '
        'adding a driver to setup.py, after a change of the configuration, or after "git pull".',
        epilog='$PYTHON names the Python to use. Settings of pip (pip.conf, PIP_…) are used as they are.',
    )
    parser.add_argument('--state-dir', metavar='DIR', help='for configuration, key, database, logs (default: .delfin)')
    parser.add_argument('--port', type=_port, help=f'port of the REST API, for a new configuration ({DEFAULT_PORT})')
    parser.add_argument('--no-demo', action='store_true', help='do not register any storage')
    parser.add_argument('--restart', action='store_true', help='restart the service even if nothing changed')
    parser.add_argument('--stop', action='store_true', help='only stop the service')
    return parser.parse_args(arguments)


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError('a number from 1 to 65535')
    return int(text)


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    checkout = Checkout.here()
    console = Console()
    checkout.must_be_writable()
    with checkout.lock():
        state = locate(checkout, options.state_dir)
        log = RunLog(checkout.build / 'install.log')
        service = Service(checkout, Environment(checkout, checkout.venv, log=log), state)
        if options.stop:
            console.done(f'delfin-all: {service.stop() or "was not running"}')
            return 0
        console.say(f'Delfin in {checkout.root}')
        try:
            with ExitStack() as undo:
                set_up(options, service, console, undo)
                state.record(installed=True)
                undo.pop_all()  # from here on it stands, whatever becomes of the demonstration
        except KeyboardInterrupt:  # the person knows why; any other failure leaves its log
            log.remove()
            raise
        log.remove()
        return _demonstrate(options, service, console)


def set_up(options: argparse.Namespace, service: Service, console: Console, undo: ExitStack) -> None:
    """Environment, state, database, service. What a failure leaves half done, `undo` takes back."""
    checkout, environment, state = service.checkout, service.environment, service.state
    undo.callback(_remove_egg_info, checkout, existed=_egg_info(checkout).exists())
    console.done(f'Python {platform.python_version()} ({os.path.realpath(sys.executable)})')
    if environment.flaw() is not None:  # what can be known to fail is known before anything is made
        require_python_modules(environment.log)
    state.create(checkout, options.port, undo)
    remember(checkout, state, undo)
    state.check_configuration(options.port)
    require_space(state.directory, STATE_MB)
    if service.process() is None:
        service.require_free_port()
    if not environment.prepare(console, undo):
        console.done('Python environment .venv is up to date')
    _run_service(options.restart, service, console, undo)


def _run_service(restart: bool, service: Service, console: Console, undo: ExitStack) -> None:
    reason = _reason_to_start(restart, service)
    if reason is None:
        console.done(f'delfin-all is running and ready on {service.state.url()}')
        return
    if service.stop():
        console.done(f'delfin-all stopped to be started again: {reason}')
    service.require_free_port()
    _prepare_state(service, console)
    begun = time.monotonic()
    console.begin('delfin-all is starting')
    undo.callback(service.stop_after_failure)
    process = service.start()
    service.wait_until_ready(process)
    console.done(
        f'delfin-all started, pid {process.pid}, ready on {service.state.url()} ({time.monotonic() - begun:.1f} s)'
    )


def _reason_to_start(restart: bool, service: Service) -> str | None:
    if service.process() is None:
        return 'it was not running'
    if restart:
        return 'as asked'
    if not service.runs_this_program():
        return 'the code, its environment or the configuration changed'
    return None if service.ready() else 'it did not answer'


def _prepare_state(service: Service, console: Console) -> None:
    """Key and database, once there is a delfin-manage to make them."""
    state, log = service.state, service.environment.log
    console.begin('database and key')
    if not state.has_key():
        service.manage('key', 'generate', log=log)
    service.manage('db', 'upgrade', log=log)
    console.done(f'configuration, key and database in {state.directory}')


def _demonstrate(options: argparse.Namespace, service: Service, console: Console) -> int:
    state = service.state
    worked = True
    if not options.no_demo:
        try:
            worked = demo.show(Client(state.url()), state, console)
        except ApiError as error:
            worked = False
            console.done(f'Delfin runs, but could not be shown: {error}', mark='!!')
    _say_closing(state, console)
    if not worked:
        raise Problem(f'Delfin is installed and runs, but not all of the above worked; its log: {state.log_file}')
    return 0


def _say_closing(state: State, console: Console) -> None:
    machine = state.recorded().get('demo', {}).get('linux host')
    example = f'filesystems?storage_id={machine}&' if machine else 'volumes?'
    console.say(
        CLOSING.format(
            url=state.url(),
            example=example,
            conf=state.conf,
            log=state.log_file,
            stop='installer/install --stop',
        ).rstrip()
    )


def _remove_egg_info(checkout: Checkout, existed: bool) -> None:
    if not existed:
        remove(_egg_info(checkout))


def _egg_info(checkout: Checkout) -> Path:
    return checkout.root / 'delfin.egg-info'
