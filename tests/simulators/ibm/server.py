# SPDX-License-Identifier: Apache-2.0
"""The array as a client meets it. Building one takes its ports, entering it serves, leaving it ends all connections."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import asyncssh

from tests.simulators.array import Simulated
from tests.simulators.clock import Clock
from tests.simulators.ibm.accounts import ADMINISTRATOR, Account
from tests.simulators.ibm.build import Sizes, build
from tests.simulators.ibm.commands import Answer, Interpreter
from tests.simulators.ibm.control import StorwizeControl
from tests.simulators.ibm.dumps import DIRECTORY, Dumps
from tests.simulators.ibm.events import Events
from tests.simulators.ibm.injection import Fault, spoiled
from tests.simulators.ibm.levels import V8_3, Level
from tests.simulators.ibm.model import Model
from tests.simulators.ibm.statistics import Statistics
from tests.simulators.ibm.traps import Agent
from tests.simulators.injection import Faults
from tests.simulators.ssh import Answers, Reply, SshServer, Vanished

_MAX_LOG = 200_000


@dataclass(frozen=True, slots=True)
class Seen:
    """A command, or a file that was fetched (`words` are then `fetch` and its path). `text` is what came; `words` how
    it was understood, without prefix, empty if it was not; `status` what it got, None if nothing."""

    text: str
    words: tuple[str, ...]
    status: int | None
    user: str


class Storwize(Simulated, Answers):
    """One array; see the package for its arguments and what it has."""

    def __init__(self, seed: str = 'storwize', sizes: Sizes | None = None, *, level: Level = V8_3,
                 host: str = '127.0.0.1', port: int = 0, username: str = 'delfin', password: str = 'Simulated-1',
                 role: str = ADMINISTRATOR, latency: float = 0.0, flawless: bool = False, hostile_names: bool = False,
                 algorithms: str = 'modern', clock: Clock | None = None, time_zone: str = 'Europe/Berlin',
                 session_limit: int = 32, channel_limit: int = 10, move_every: float | None = None,
                 control_port: int | None = None, trap_source: str | None = None) -> None:
        self.level = level
        self.clock = clock or Clock()
        self.model: Model = build(seed, sizes, level=level, flawless=flawless, hostile_names=hostile_names,
                                  time_zone=time_zone)
        self.username, self.password = username, password
        key = asyncssh.generate_private_key('ssh-ed25519')
        self.client_key = key.export_private_key().decode()
        self.accounts = {username: Account(username, password, role,
                                           ' '.join(key.export_public_key().decode().split()[:2]))}
        self.latency = latency
        self.latencies: dict[str, float] = {}       # by command, beside that
        self.session_limit = session_limit
        self.room: int | None = None                # for sessions, while others take the rest
        self.logins = self.refused = 0
        self.log: deque[Seen] = deque(maxlen=_MAX_LOG)
        self.injections: list[str] = []
        self.faults: Faults[Fault] = Faults()
        self.agent = Agent(self.model, clock=self.clock, number=level.vendor_number, source=trap_source)
        self.events = Events(self.model, self.clock, self.agent.announce)
        self.statistics = Statistics(self.model, self.clock)
        self.events.changed = self._changed
        self.dumps = Dumps(self.model, self.statistics, self.clock, level.stat_types)
        self._interpreter = Interpreter(self)
        self._server = SshServer(self, host=host, port=port, algorithms=algorithms, channels=channel_limit,
                                 sftp=level.sftp)
        self.control = StorwizeControl(self)
        self._live(self._server, self.control, control_port, move_every)

    # --- its life ---

    @property
    def host_key(self) -> str:
        """As known_hosts has it behind the name."""
        return self._server.host_key

    @property
    def fingerprint(self) -> str:
        """SHA256:…"""
        return self._server.fingerprint

    @property
    def sessions(self) -> int:
        """How many there are."""
        return len(self._server.open)

    def asked(self, command: str) -> int:
        """How often a command was asked for; see `log` for more."""
        return sum(seen.words[:1] == (command,) for seen in list(self.log))

    def change_host_key(self, algorithm: str) -> None:
        """Another one, for connections from now on."""
        self._server.change_host_key(algorithm)

    def _changed(self, kind: str, item: Any) -> None:
        """Something broke, or was mended, and counts differently from now on."""
        if kind == 'node' and item.config and item.status != 'online':
            self.fail_over()
        self.statistics.note(kind, item)

    def fail_over(self) -> None:
        """Another node becomes the configuration node, and all connections end. ValueError if there is none."""
        with self.model.changing():
            now = self.model.config_node
            other = next((one for one in self.model['node'].values()
                          if one is not now and one.status == 'online'), None)
            if other is None:
                raise ValueError('no other node is online')
            now.config, other.config = False, True
        self.hang_up()

    # --- logins ---

    def admits(self, sessions: int) -> bool:
        if sessions >= self.session_limit or self.room == 0:
            return False
        if self.room is not None:
            self.room -= 1
        return True

    def login(self, username: str, password: str) -> bool:
        account = self.accounts.get(username)
        return self._let_in(account if account is not None and account.password == password else None)

    def login_by_key(self, username: str, key: str) -> bool:
        account = self.accounts.get(username)
        return self._let_in(account if account is not None and account.key == key else None)

    def _let_in(self, account: Account | None) -> bool:
        """Whoever is locked out is told the same as with a wrong password."""
        good = account is not None and account.state != 'locked'
        if good:
            self.logins += 1
        else:
            self.refused += 1
        return good

    # --- commands ---

    def execute(self, username: str, command: str) -> Reply:
        account = self.accounts[username]
        if account.state == 'expired':
            self.log.append(Seen(command, (), 1, username))
            return Reply(stderr=b'Your password has expired. Change it in the management interface.\n', status=1,
                         hang_up=True)
        answer = self._interpreter.answer(command, account)
        words = answer.words or ()
        fault = self.faults.take(lambda fault: fault.concerns(words)) if answer.words is not None else None
        reply = self._reply(answer)
        if fault is not None:
            reply = spoiled(fault, reply, 'rbash', words[0] if words else '')
        wait = self.latency + (self.latencies.get(words[0], 0.0) if words else 0.0)
        self.log.append(Seen(command, words, None if reply.hang_up else reply.status, username))
        return replace(reply, wait=reply.wait + wait)

    def _reply(self, answer: Answer) -> Reply:
        return Reply(answer.stdout, answer.stderr, answer.status)

    # --- files ---

    def listing(self, directory: str) -> list[tuple[str, float]] | None:
        if directory == DIRECTORY:
            return self.dumps.times(self.model.config_node.id)
        return [] if directory in ('/', '/dumps') else None

    def size(self, path: str) -> int:
        return len(self._content(path) or b'')

    def _content(self, path: str) -> bytes | None:
        directory, _, name = path.rpartition('/')
        return self.dumps.content(self.model.config_node.id, name) if directory == DIRECTORY else None

    async def fetch(self, username: str, path: str) -> bytes:
        fault = self.faults.take(lambda fault: fault.concerns_file(path))
        form = fault.form if fault is not None else ''
        await self._server.pause(self.latency + (fault.seconds if fault is not None and form == 'stall' else 0.0))
        content = self._content(path)
        gone = content is None or form == 'vanish'
        self.log.append(Seen(f'fetch {path}', ('fetch', path), None if form == 'drop' else int(gone), username))
        if form == 'drop':
            raise ConnectionAbortedError
        if gone or content is None:
            raise Vanished(path)
        return content
