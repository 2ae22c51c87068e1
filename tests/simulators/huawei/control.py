# SPDX-License-Identifier: Apache-2.0
"""What tests and people do to the array behind its back: break and repair it, spoil answers, end sessions, change it.

The methods of `array.control` are there over HTTP as well: see `tests.simulators.control`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.simulators.control import Control
from tests.simulators.huawei import changes, errors
from tests.simulators.huawei.alarms import Alarm
from tests.simulators.huawei.injection import Fault
from tests.simulators.huawei.model import Lun
from tests.simulators.huawei.sessions import ACCOUNT_STATES

if TYPE_CHECKING:
    from tests.simulators.huawei.server import OceanStor


class OceanStorControl(Control):
    """What is done to an OceanStor."""

    _array: OceanStor

    # --- alarms ---

    def raise_fault(self, kind: str | None = None, id: str | None = None, fault: str | None = None) -> Alarm:
        """Break something (see `alarms.FAULTS`): its state changes, an alarm stands, a trap goes out."""
        return self._array.alarms.raise_fault(kind, id, fault)

    def repair(self, sequence: int) -> Alarm:
        """Mend what an alarm is about: the alarm is history, and a trap says so."""
        return self._array.alarms.repair(sequence)

    def repair_all(self) -> None:
        """Mend all that has an alarm."""
        self._array.alarms.repair_all()

    # --- answers ---

    def spoil(self, path: str = '', form: str = 'code', **how: Any) -> None:
        """Let requests go wrong: the fields of `injection.Fault`."""
        self._spoil(Fault, path=path, form=form, **how)

    def latency(self, seconds: float) -> None:
        """How long each answer takes from now on."""
        self._array.latency = seconds

    # --- sessions and accounts ---

    def expire_sessions(self, code: int = errors.NO_SESSION) -> int:
        """End all sessions; their tokens get `code` (-401, or 1077949069: the user is offline). How many there were."""
        return self._array.sessions.end_all(code)

    def fill_sessions(self, left: int = 0) -> None:
        """Others log in until there is room for `left` more."""
        self._array.sessions.fill(left)

    def empty_sessions(self) -> None:
        """Nobody is logged in any more."""
        self._array.sessions.empty()

    def password(self, password: str, end_sessions: bool = True) -> None:
        """Give the account another one."""
        self._array.sessions.accounts[self._array.username].password = self._array.password = password
        if end_sessions:
            self._array.sessions.end_all()

    def lock(self, locked: bool = True) -> None:
        """Lock the account, or let it in again."""
        self._array.sessions.lock(self._array.username, locked)

    def lock_client(self, address: str = '127.0.0.1', locked: bool = True) -> None:
        """Lock an address, or let it in again."""
        clients = self._array.sessions.locked_clients
        clients.add(address) if locked else clients.discard(address)

    def account_state(self, state: str) -> None:
        """What logins are told of the account: a key of `sessions.ACCOUNT_STATES`."""
        if state not in ACCOUNT_STATES:
            raise ValueError(f'states are {", ".join(ACCOUNT_STATES)}')
        self._array.sessions.accounts[self._array.username].state = state

    # --- objects ---

    def add_luns(self, count: int, pool: str | None = None, capacity: int = 10 * 2**30) -> list[Lun]:
        """New LUNs."""
        return changes.add_luns(self._array.model, count, pool, capacity)

    def remove(self, kind: str, id: str) -> None:
        """Take an object away, with all that is part of it."""
        changes.remove(self._array.model, kind, id)

    # --- statistics ---

    def hide_sample(self, kind: str, id: str, hidden: bool = True) -> None:
        """No statistics of an object."""
        self._array.model.find(kind, id)
        objects = self._array.metrics.hidden
        objects.add((kind, id)) if hidden else objects.discard((kind, id))

    def blank_metric(self, name: str, blank: bool = True) -> None:
        """`--` in place of a metric's values; names are those of `metrics.METRICS`."""
        metrics = self._array.metrics.blanked
        metrics.add(name) if blank else metrics.discard(name)

    # --- what there is ---

    def state(self) -> dict[str, Any]:
        """Counts."""
        array = self._array
        return {
            'serial_number': array.serial, 'objects': {kind: len(items) for kind, items in array.model.objects.items()},
            'alarms': len(array.alarms.current), 'sessions': len(array.sessions.open), 'logins': array.sessions.logins,
            'logouts': array.sessions.logouts, 'refused': array.sessions.refused, 'requests': len(array.log),
            'connections': array.connections, 'traps': array.agent.sent}

    def _look(self, name: str, rest: str) -> Any:
        array = self._array
        match name:
            case 'model' if not rest:
                return {'system': array.model.system, 'usage': array.model.usage(), 'raw': array.model.raw,
                        'objects': {kind: len(items) for kind, items in array.model.objects.items()}}
            case 'model':
                return list(array.model[rest].values())
            case 'alarms':
                return array.alarms.history if rest == 'history' else array.alarms.current
            case 'state':
                return self.state()
        return super()._look(name, rest)
