# SPDX-License-Identifier: Apache-2.0
"""The state directory: configuration, key, database and logs of one Delfin. What is there is never overwritten."""

from __future__ import annotations

import configparser
import json
import os
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from installer.checkout import Checkout, remove
from installer.console import Problem, shield

DEFAULT_PORT = 8190
FIRST_TRAP_PORT = 1162
FIRST_METRICS_PORT = 8191
CONFIGURATION = """\
# Made by installer/install and yours from now on: the installer never writes to it again. After a change:
# installer/install --restart. Every option with its explanation: etc/delfin/delfin.conf in the checkout.

[DEFAULT]
state_path = {directory}
log_file = {log_file}
transport_url = local://

[database]
connection = sqlite:///{database}

[api]
host = 127.0.0.1
port = {port}

[secrets]
key_file = {key_file}

[alerts]
# Port 162, to which arrays send by default, is for root only: see "Traps on port 162" in README.md.
listen = 0.0.0.0:{trap_port}, [::]:{trap_port}

[metrics]
# What Prometheus may scrape: docs/metrics-in-prometheus.md.
exporters = prometheus

[prometheus]
host = 127.0.0.1
port = {metrics_port}
"""


def free_trap_port() -> int:
    """A UDP port from 1162 on that nobody listens at: there may be another Delfin, or an SNMP tool."""
    return _free_port(socket.SOCK_DGRAM, '0.0.0.0', FIRST_TRAP_PORT, 'UDP', 'to receive SNMP traps at')


def free_metrics_port(api_port: int) -> int:
    """A TCP port from 8191 on that nobody listens at, nor the API will."""
    return _free_port(socket.SOCK_STREAM, '127.0.0.1', FIRST_METRICS_PORT, 'TCP', 'to show metrics at', api_port)


def _free_port(kind: socket.SocketKind, address: str, first: int, protocol: str, purpose: str, but: int = 0) -> int:
    for port in range(first, first + 100):
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(kind is socket.SOCK_STREAM))
            try:
                probe.bind((address, port))
            except OSError:
                continue
        if port != but:
            return port
    raise Problem(f'no {protocol} port from {first} to {first + 99} is free {purpose}')


class State:
    """Paths in a state directory, and its own small record (`installer.json`), by which we know it as ours."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.conf = directory / 'delfin.conf'
        self.key_file = directory / 'delfin.key'
        self.database = directory / 'delfin.sqlite'
        self.log_file = directory / 'log' / 'delfin.log'
        self.output_file = directory / 'log' / 'delfin-all.out'
        self.pid_file = directory / 'delfin.pid'
        self.record_file = directory / 'installer.json'

    @property
    def ours(self) -> bool:
        return self.record_file.is_file()

    def create(self, checkout: Checkout, port: int | None, undo: ExitStack) -> None:
        """Make what is missing; refuse a folder that holds something else."""
        if not self.ours:
            if self.directory.exists() and any(self.directory.iterdir()):
                raise Problem(f'{self.directory} is neither empty nor a state directory of Delfin: name another one')
            undo.callback(self._discard, existed=self.directory.exists())
            self.directory.mkdir(parents=True, exist_ok=True)
            self.directory.chmod(0o700)
            self.record(checkout=str(checkout.root))
        self.log_file.parent.mkdir(exist_ok=True)
        if not self.conf.exists():
            self._write_configuration(port or DEFAULT_PORT)

    def _write_configuration(self, port: int) -> None:
        paths = {name: _escaped(getattr(self, name)) for name in ('directory', 'log_file', 'database', 'key_file')}
        descriptor = os.open(self.conf, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, 'w') as file:
            file.write(CONFIGURATION.format(port=port, trap_port=free_trap_port(),
                                            metrics_port=free_metrics_port(port), **paths))

    def check_configuration(self, port: int | None) -> None:
        """An existing configuration is the person's: point at what does not fit instead of changing it."""
        path = self._path('DEFAULT', 'state_path', self.directory)
        if path != self.directory and not path.exists():
            raise Problem(f'{self.conf} still names {path}, which was moved here: write the new path into it')
        if port is not None and port != self.address()[1]:
            raise Problem(
                f'{self.conf} already says port {self.address()[1]}: '
                f'write port = {port} into its [api] section, then run the installer without --port'
            )

    def has_key(self) -> bool:
        """Whether the key file is there that the configuration names (it may have been moved to a safer place)."""
        return self._path('secrets', 'key_file', self.key_file).exists()

    def address(self) -> tuple[str, int]:
        """Where the API listens, as the configuration has it."""
        settings = self._settings()
        host = settings.get('api', 'host', fallback='127.0.0.1')
        try:
            return host, settings.getint('api', 'port', fallback=DEFAULT_PORT)
        except ValueError:
            raise Problem(f'{self.conf}: port in section [api] is no number') from None

    def url(self) -> str:
        host, port = self.address()
        host = {'0.0.0.0': '127.0.0.1', '::': '::1'}.get(host, host)
        return f'http://[{host}]:{port}' if ':' in host else f'http://{host}:{port}'

    def _path(self, section: str, option: str, default: Path) -> Path:
        return Path(self._settings().get(section, option, fallback=_escaped(default)).replace('$$', '$'))

    def _settings(self) -> configparser.RawConfigParser:
        settings = configparser.RawConfigParser(strict=False, allow_no_value=True, default_section='')
        try:
            settings.read(self.conf)
        except configparser.Error as error:
            raise Problem(f'{self.conf} cannot be read: {" ".join(str(error).split())}') from None
        return settings

    def recorded(self) -> dict[str, Any]:
        try:
            record = json.loads(self.record_file.read_text())
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    def record(self, **facts: Any) -> None:
        self.record_file.write_text(json.dumps(self.recorded() | facts, indent=2) + '\n')

    def _discard(self, existed: bool) -> None:
        shield()
        if not existed:
            remove(self.directory)
            return
        for entry in self.directory.iterdir():
            remove(entry)


def locate(checkout: Checkout, asked: str | None) -> State:
    """The state directory: as asked for, as $DELFIN_STATE_DIR says, as used before, or <checkout>/.delfin."""
    asked = asked or os.environ.get('DELFIN_STATE_DIR')
    pointer = _pointer(checkout)
    used = Path(pointer.read_text().strip()) if pointer.is_file() else checkout.state
    if asked is None:
        return State(used)
    wanted = Path(asked).expanduser().absolute()
    if wanted != used and State(used).ours:
        raise Problem(f'this checkout has its state in {used}: leave out --state-dir, or run installer/uninstall first')
    return State(wanted)


def remember(checkout: Checkout, state: State, undo: ExitStack) -> None:
    """Leave word in .delfin when the state is elsewhere, so that nobody has to name it twice."""
    if state.directory == checkout.state or _pointer(checkout).is_file():
        return
    checkout.state.mkdir(mode=0o700, exist_ok=True)
    undo.callback(forget, checkout)
    _pointer(checkout).write_text(f'{state.directory}\n')


def forget(checkout: Checkout) -> None:
    if remove(_pointer(checkout)) and not any(checkout.state.iterdir()):
        checkout.state.rmdir()


def _pointer(checkout: Checkout) -> Path:
    return checkout.state / 'state-dir'


def _escaped(path: Path) -> str:
    return str(path).replace('$', '$$')  # oslo.config substitutes $names
