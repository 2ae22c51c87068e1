# SPDX-License-Identifier: Apache-2.0
"""net-snmp: its commands that send traps, a private agent and a private receiver of traps.

Nothing of the machine's or the user's configuration is read, no MIB is loaded, and what the
programs remember (boots of their engine, localised keys) goes to a folder of ours.
"""

from __future__ import annotations

import abc
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar, NamedTuple

from tests.engines.base import Engine, EngineError, find_program, free_ports

PACKAGE = 'snmp'  # Debian's, of the commands
TRAP_OID = '1.3.6.1.4.1.32473.1.0.1'  # of the fake driver's traps
SYS_LOCATION = '1.3.6.1.2.1.1.6.0'
CHECK_COMMUNITY = 'delfin-check'  # by which engines ask their own servers

_COMMAND_SECONDS = 30.0
_TRAPS_OF_THE_STANDARD = '1.3.6.1.6.3.1.1.5.'
_ENTERPRISE_SPECIFIC = 6


class User(NamedTuple):
    """A v3 user. `send_trap(port, version='3', **user._asdict())` sends as one."""

    user: str
    auth: tuple[str, str] | None = None  # protocol as net-snmp writes it ('SHA-256'), pass phrase
    privacy: tuple[str, str] | None = None  # e.g. ('AES', pass phrase)

    @property
    def level(self) -> str:
        """noAuthNoPriv, authNoPriv or authPriv."""
        return f'{"auth" if self.auth else "noAuth"}{"Priv" if self.privacy else "NoPriv"}'


USERS = (
    User('plain'),
    User('signed', ('SHA', 'signing-phrase')),
    User('sealed', ('SHA', 'signing-phrase'), ('AES', 'sealing-phrase')),
)
"""Those that `Snmpd` and `Snmptrapd` know unless told otherwise, one of each level."""


class Variable(NamedTuple):
    """A variable of a trap as net-snmp's commands take it."""

    oid: str
    type: str  # i, u, c, C (64 bits), t, a, o, s, x (hex), d (decimal), b
    value: str


def environment(folder: Path) -> dict[str, str]:
    """The whole environment of a program of net-snmp that keeps its state in `folder`."""
    return {
        'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        'LANG': 'C.UTF-8',
        'HOME': str(folder),
        'TMPDIR': str(folder),
        'MIBS': '',
        'MIBDIRS': '',
        'SNMPCONFPATH': str(folder),
        'SNMP_PERSISTENT_DIR': str(folder / 'state'),
    }


def send_trap(
    port: int,
    *,
    host: str = '127.0.0.1',
    version: str = '2c',
    community: str = 'public',
    user: str | None = None,
    auth: tuple[str, str] | None = None,
    privacy: tuple[str, str] | None = None,
    engine_id: str | None = None,
    boots_and_time: tuple[int, int] | None = None,
    context: str | None = None,
    inform: bool = False,
    oid: str = TRAP_OID,
    variables: Iterable[Variable | tuple[str, str, str]] = (),
    source: str | None = None,
    agent_address: str = '127.0.0.1',
    uptime: int = 4711,
    timeout_seconds: float = 2.0,
    folder: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Send one trap with `snmptrap`, or one INFORM with `snmpinform`, which is sent once and waits
    `timeout_seconds` for the answer: `returncode` says whether it came, `stderr` why not.

    `version` is '1', '2c' or '3'. `engine_id` (hex digits) is the authoritative engine: of a trap
    the sender's own (else one that lasts as long as `folder`), of an INFORM the receiver's (else
    it is asked for). `boots_and_time` are what the message claims of that engine. `source` is the
    address to send from. `oid` is snmpTrapOID; in a v1 trap it becomes enterprise, generic and
    specific number (RFC 3584, section 3.2) beside `agent_address`. `uptime` is in hundredths of
    seconds. In `folder` the command remembers how often its engine has booted; without it each
    call is a first boot.
    """
    program = 'snmpinform' if inform else 'snmptrap'
    command = [_command(program), '-v', version, '-On', '-r', '0', '-t', f'{timeout_seconds:g}']
    if source is not None:
        command.append(f'--clientaddr={source}')
    if version == '3':
        command += _v3_options(User(user or '', auth, privacy))
        command += ['-e', f'0x{engine_id}'] if engine_id else []
        command += ['-Z', ','.join(map(str, boots_and_time))] if boots_and_time else []
        command += ['-n', context] if context else []
    else:
        command += ['-c', community]
    command.append(_address(host, port))
    if version == '1':
        enterprise, generic, specific = v1_names(oid)
        command += [f'.{enterprise}', agent_address, str(generic), str(specific), str(uptime)]
    else:
        command += [str(uptime), f'.{oid}']
    for name, kind, value in variables:
        command += [f'.{name.removeprefix(".")}', kind, value]
    with ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='delfin-snmp-')))
        return _run(command, folder)


def v1_names(oid: str) -> tuple[str, int, int]:
    """Enterprise, generic and specific number of the v1 trap that has this snmpTrapOID."""
    if oid.startswith(_TRAPS_OF_THE_STANDARD):
        return oid.rpartition('.')[0], int(oid.removeprefix(_TRAPS_OF_THE_STANDARD)) - 1, 0
    enterprise, _, specific = oid.rpartition('.')
    return enterprise.removesuffix('.0'), _ENTERPRISE_SPECIFIC, int(specific)


def get(
    port: int,
    oid: str,
    folder: Path,
    *,
    host: str = '127.0.0.1',
    community: str = CHECK_COMMUNITY,
    user: User | None = None,
    timeout_seconds: float = 2.0,
) -> str:
    """The value an agent gives to a v3 user, or to a community (v2c); EngineError if it gives none."""
    options = ['-Oqv', '-r', '0', '-t', f'{timeout_seconds:g}']
    options += ['-v', '2c', '-c', community] if user is None else ['-v', '3', *_v3_options(user)]
    done = _run([_command('snmpget'), *options, _address(host, port), f'.{oid}'], folder)
    if done.returncode != 0:
        raise EngineError(f'{host}:{port} does not tell {oid}: {done.stderr.strip()}')
    return done.stdout.strip().strip('"')


class _NetSnmp(Engine):
    """A server of net-snmp on UDP, on the loopback addresses of IPv4 and, where there is one, of
    IPv6; both have the same port."""

    def __init__(self, communities: Sequence[str] = ('public',), users: Sequence[User] = USERS) -> None:
        super().__init__()
        self.communities: tuple[str, ...] = tuple(communities)
        """Of v1 and v2c."""
        self.users: tuple[User, ...] = tuple(users)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Where it listens."""
        return ('127.0.0.1', '::1') if has_ipv6() else ('127.0.0.1',)

    def environment(self) -> dict[str, str]:
        return environment(self.home)

    def commands(self) -> list[list[str]]:
        if not (self.home / 'net-snmp.conf').exists():  # later starts keep the port
            self.ports = free_udp_ports()
        config = self.write('net-snmp.conf', '\n'.join([*self.configuration(), '']))
        return [[*self.server(config), *(_address(host, self.port) for host in self.hosts)]]

    @abc.abstractmethod
    def configuration(self) -> list[str]:
        """The lines of its configuration file."""

    @abc.abstractmethod
    def server(self, config: Path) -> list[str]:
        """The command without the addresses."""

    @property
    def _mark(self) -> str:
        return self.directory.name

    @property
    def _asking(self) -> Path:
        """What the commands of `check` remember, who may be another user than the server."""
        return self.directory / 'asking'

    def _must_be_open(self, host: str) -> None:
        """ConnectionError if nobody listens; a datagram would wait for an answer that cannot come."""
        table = Path('/proc/net', 'udp6' if ':' in host else 'udp').read_text()
        if f':{self.port:04X} ' not in table:
            raise ConnectionError(f'nobody listens on {_address(host, self.port)}')


class Snmpd(_NetSnmp):
    """An agent that can be asked: it shows the system group to its communities (v1, v2c) and users."""

    name: ClassVar[str] = 'snmpd'
    package: ClassVar[str] = 'snmpd snmp'
    programs: ClassVar[tuple[str, ...]] = ('snmpd', 'snmpget')

    def configuration(self) -> list[str]:
        lines = [f'sysLocation {self._mark}', 'view system included .1.3.6.1.2.1.1']
        for community in (CHECK_COMMUNITY, *self.communities):
            lines.append(f'rocommunity {community} 127.0.0.0/8 -V system')
            lines.append(f'rocommunity6 {community} ::1 -V system')
        for user in self.users:
            lines.append(_create_user(user))
            lines.append(f'rouser {user.user} {_LEVELS[user.level]} -V system')
        return lines

    def server(self, config: Path) -> list[str]:
        # What it would say beside the system group takes time at the start and is asked by nobody.
        modules = 'snmpv3mibs,system_mib,sysORTable,usmConf,usmUser,vacm_conf,vacm_vars,override'
        return [self.program('snmpd'), '-f', '-r', '-Le', '-C', '-c', str(config), '-I', modules]

    def check(self) -> None:
        for host in self.hosts:
            self._must_be_open(host)
            location = get(self.port, SYS_LOCATION, self._asking, host=host)
            if location != self._mark:
                raise ConnectionError(f'port {self.port} of {host} belongs to the agent in {location}')


class Snmptrapd(_NetSnmp):
    """A receiver that writes traps and INFORMs to a text log, one after the other as they come.

    A user of traps is known for the engine that sends them: `engine_ids` (hex digits) are those of
    the senders. For INFORMs the receiver's own engine counts, for which every user is known.
    """

    name: ClassVar[str] = 'snmptrapd'
    package: ClassVar[str] = 'snmptrapd snmp'
    programs: ClassVar[tuple[str, ...]] = ('snmptrapd', 'snmpinform')

    def __init__(
        self,
        communities: Sequence[str] = ('public',),
        users: Sequence[User] = USERS,
        engine_ids: Sequence[str] = (),
        buffer_bytes: int | None = None,
    ) -> None:
        super().__init__(communities, users)
        self.engine_ids: tuple[str, ...] = tuple(engine_ids)
        self.buffer_bytes: int | None = buffer_bytes
        """Of the socket; the kernel cuts it to net.core.rmem_max."""

    @property
    def log(self) -> Path:
        """Its text log. A trap is a line with time and addresses, and one with the variables, which
        are separated by tabs."""
        return self.home / 'traps.log'

    def log_tail(self, lines: int = 30) -> str:
        """Its own messages stand in the text log, too."""
        return '\n'.join([super().log_tail(lines), *self._lines()[-lines:]]).strip()

    def traps(self) -> list[str]:
        """The lines with the variables, one for each trap that has any, without those of `check`."""
        lines = (line.strip() for line in self._lines())
        return [line for line in lines if line.startswith('.') and ' = ' in line and self._mark not in line]

    def _lines(self) -> list[str]:
        if self._directory is None or not self.log.exists():
            return []
        return self.log.read_text(errors='replace').splitlines()

    def configuration(self) -> list[str]:
        lines = [f'authCommunity log {name}' for name in (CHECK_COMMUNITY, *self.communities)]
        for user in self.users:
            lines.append(_create_user(user))
            lines += [_create_user(user, engine_id) for engine_id in self.engine_ids]
            lines.append(f'authUser log {user.user} {_LEVELS[user.level]}')
        return lines

    def server(self, config: Path) -> list[str]:
        # No look-up of names, no agent to be a part of, and lines that are added to what is there.
        options = ['-f', '-n', '-X', '-A', '-On', '-Lf', str(self.log), '-C', '-c', str(config)]
        if self.buffer_bytes is not None:
            options.append(f'--serverRecvBuf={self.buffer_bytes}')
        return [self.program('snmptrapd'), *options]

    def check(self) -> None:
        """An INFORM that it answers and logs."""
        for host in self.hosts:
            self._must_be_open(host)
            text = f'{self._mark} {os.urandom(8).hex()}'
            done = send_trap(
                self.port,
                host=host,
                community=CHECK_COMMUNITY,
                inform=True,
                variables=[Variable(SYS_LOCATION, 's', text)],
                folder=self._asking,
            )
            if done.returncode != 0:
                raise EngineError(f'{host}:{self.port} does not answer: {done.stderr.strip()}')
            # It writes before it answers.
            if text not in self.log.read_text(errors='replace'):
                raise ConnectionError(f'port {self.port} of {host} belongs to another receiver')


def has_ipv6() -> bool:
    """Whether ::1 can be listened on."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(('::1', 0))
    except OSError:
        return False
    return True


def free_udp_ports() -> tuple[int]:
    """A port that nobody has on UDP, nor on TCP, of the loopback addresses."""
    while True:
        (port,) = free_ports(1)
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind(('127.0.0.1', port))
            if has_ipv6():
                with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
                    probe.bind(('::1', port))
        except OSError:
            continue
        return (port,)


_LEVELS = {'noAuthNoPriv': 'noauth', 'authNoPriv': 'auth', 'authPriv': 'priv'}


def _create_user(user: User, engine_id: str | None = None) -> str:
    words = ['createUser', *(['-e', f'0x{engine_id}'] if engine_id else []), user.user]
    for protocol, phrase in filter(None, (user.auth, user.privacy)):
        words += [protocol, f'"{phrase}"']
    return ' '.join(words)


def _v3_options(user: User) -> list[str]:
    options = ['-u', user.user, '-l', user.level]
    if user.auth:
        options += ['-a', user.auth[0], '-A', user.auth[1]]
    if user.privacy:
        options += ['-x', user.privacy[0], '-X', user.privacy[1]]
    return options


def _run(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / 'state' / 'cert_indexes').mkdir(parents=True, exist_ok=True)  # else each call tells that it made them
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_COMMAND_SECONDS,
        env=environment(folder),
    )


def _address(host: str, port: int) -> str:
    return f'udp6:[{host}]:{port}' if ':' in host else f'udp:{host}:{port}'


def _command(name: str) -> str:
    path = find_program(name, ('$PATH', '/usr/bin'))
    if path is None:
        raise EngineError(f'{name} is missing: apt-get install {PACKAGE}')
    return path
