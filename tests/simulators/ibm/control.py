# SPDX-License-Identifier: Apache-2.0
"""What tests and people do to the array behind its back: break and repair it, spoil answers, end sessions, change it.

The methods of `array.control` are there over HTTP as well: see `tests.simulators.control`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.simulators.control import Control
from tests.simulators.ibm import changes
from tests.simulators.ibm.accounts import ROLES, STATES
from tests.simulators.ibm.events import Event
from tests.simulators.ibm.injection import Fault
from tests.simulators.ibm.model import Volume

if TYPE_CHECKING:
    from tests.simulators.ibm.server import Storwize


class StorwizeControl(Control):
    """What is done to a Storwize."""

    _array: Storwize

    # --- events ---

    def raise_fault(self, kind: str | None = None, id: str | None = None, fault: str | None = None) -> Event:
        """Break something (see `events.TYPES`): its status changes, the event log has an entry, a trap goes out."""
        return self._array.events.raise_fault(kind, id, fault)

    def repair(self, sequence: int) -> Event:
        """Mend what an entry is about: it is fixed, and an entry and a trap say that the thing is well again."""
        return self._array.events.repair(sequence)

    def repair_all(self) -> None:
        """Mend all that has an entry."""
        self._array.events.repair_all()

    def log_event(self, fault: str, kind: str | None = None, id: str | None = None) -> Event:
        """An entry, and its trap, though nothing breaks."""
        return self._array.events.log_event(fault, kind, id)

    def clear_events(self) -> None:
        """An empty event log."""
        self._array.events.clear()

    # --- answers ---

    def spoil(self, command: str = '', form: str = 'error', **how: Any) -> None:
        """Let commands go wrong: the fields of `injection.Fault`."""
        self._spoil(Fault, command=command, form=form, **how)

    def latency(self, seconds: float, command: str = '') -> None:
        """How long each answer takes from now on, or, in addition, those of one command."""
        if command:
            self._array.latencies[command] = seconds
        else:
            self._array.latency = seconds

    def change_host_key(self, algorithm: str = 'ssh-ed25519') -> None:
        """Another one, for connections from now on."""
        self._array.change_host_key(algorithm)

    # --- sessions and accounts ---

    def fill_sessions(self, left: int = 0) -> None:
        """Others connect until there is room for `left` more."""
        self._array.room = left

    def empty_sessions(self) -> None:
        """Others are gone."""
        self._array.room = None

    def password(self, password: str) -> None:
        """Give the account another one."""
        self._array.accounts[self._array.username].password = self._array.password = password

    def lock(self, locked: bool = True) -> None:
        """Lock the account, or let it in again."""
        self.account_state('locked' if locked else 'normal')

    def account_state(self, state: str) -> None:
        """normal, locked (nobody gets in) or expired (who gets in is told, and sent away)."""
        if state not in STATES:
            raise ValueError(f'states are {", ".join(STATES)}')
        self._array.accounts[self._array.username].state = state

    def role(self, role: str) -> None:
        """Administrator or Monitor."""
        if role not in ROLES:
            raise ValueError(f'roles are {", ".join(ROLES)}')
        self._array.accounts[self._array.username].role = role

    # --- objects ---

    def change(self, kind: str, id: str, **values: Any) -> None:
        """Set attributes of an object of the model (`system` is the array itself)."""
        with self._array.model.changing():
            self._array.statistics.note(kind, self._array.model.change(kind, id, values))

    def add_volumes(self, count: int, pool: str | None = None, capacity: int = 10 * 2**30) -> list[Volume]:
        """New volumes."""
        with self._array.model.changing():
            made = changes.add_volumes(self._array.model, count, pool, capacity)
            for volume in made:
                self._array.statistics.note('volume', volume)
        return made

    def remove(self, kind: str, id: str) -> None:
        """Take an object away, with all that is part of it."""
        changes.remove(self._array.model, kind, id)

    # --- nodes, time, statistics ---

    def take_down(self, node: str) -> None:
        """A node stops; if it was the configuration node, another one answers. ValueError for the last one."""
        array = self._array
        with array.model.changing():
            item = array.model.find('node', node)
            if item.status == 'online':
                if item.config:
                    array.fail_over()
                self.change('node', node, status='offline')

    def bring_up(self, node: str) -> None:
        """A node starts; its counters begin at zero."""
        self.change('node', node, status='online')

    def reboot(self, node: str, seconds: float = 0.0) -> None:
        """A node starts anew; the array's clock moves by what it takes. Another one then is the configuration node."""
        self.take_down(node)
        self.advance(seconds)
        self.bring_up(node)

    def fail_over(self) -> None:
        """Another node becomes the configuration node, and all connections end. ValueError if there is none."""
        self._array.fail_over()

    def advance(self, seconds: float) -> float:
        """Move the array's clock; the time it then is."""
        return self._array.clock.advance(seconds)

    def statistics(self, on: bool, minutes: int | None = None) -> None:
        """Whether statistics are written, and how often."""
        self._array.statistics.switch(on, minutes)

    def remove_files(self, pattern: str) -> int:
        """Let statistics files vanish, by name (`Nv_*`) on all nodes; how many did."""
        return self._array.dumps.remove(pattern)

    def truncate_files(self, pattern: str, part: float = 0.5) -> int:
        """Let only a part of them be there; of how many."""
        return self._array.dumps.truncate(pattern, part)

    # --- what there is ---

    def state(self) -> dict[str, Any]:
        """Counts."""
        array = self._array
        return {
            'id': array.model.system.id, 'objects': {kind: len(items) for kind, items in array.model.objects.items()},
            'events': len(array.events.log), 'sessions': array.sessions, 'logins': array.logins,
            'refused': array.refused, 'commands': len(array.log), 'injections': array.injections,
            'connections': array.connections, 'traps': array.agent.sent, 'time': array.clock()}

    def _look(self, name: str, rest: str) -> Any:
        array = self._array
        match name:
            case 'model' if not rest:
                return {'system': array.model.system, 'usage': array.model.usage(), 'whole': array.model.whole(),
                        'raw': array.model.raw}
            case 'model':
                return list(array.model[rest].values())
            case 'events':
                return array.events.log if rest == 'all' else array.events.current
            case 'log':
                return list(array.log)
            case 'state':
                return self.state()
        return super()._look(name, rest)
