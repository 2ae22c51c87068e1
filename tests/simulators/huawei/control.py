# SPDX-License-Identifier: Apache-2.0
"""What tests and people do to the array behind its back: break and repair it, spoil answers, end sessions, change it.

The methods of `array.control` are there over HTTP as well: see `tests.simulators.control`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.simulators.control import ControlServer
from tests.simulators.huawei import changes, errors
from tests.simulators.huawei.alarms import Alarm
from tests.simulators.huawei.injection import Fault
from tests.simulators.huawei.model import Lun
from tests.simulators.huawei.sessions import ACCOUNT_STATES

if TYPE_CHECKING:
    from tests.simulators.huawei.server import OceanStor


class Control:
    """KeyError and ValueError say what was wrong with a call."""

    def __init__(self, array: OceanStor) -> None:
        self._array = array

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

    def tell(self, host: str, port: int, version: str = '2', user: str = '') -> str:
        """Send traps there as well; `version` 1, 2 (v2c) or 3. Returns the id in the list of managers."""
        return self._array.agent.add(host, port, version, user)

    def add_user(self, name: str, auth_protocol: str | None = None, auth_key: str | None = None,
                 privacy_protocol: str | None = None, privacy_key: str | None = None) -> None:
        """A user for v3 traps; protocols as Delfin calls them (HMACSHA, HMCSHA2256, AES, …)."""
        self._array.agent.add_user(name, auth_protocol, auth_key, privacy_protocol, privacy_key)

    # --- answers ---

    def spoil(self, path: str = '', form: str = 'code', **how: Any) -> None:
        """Let requests go wrong: the fields of `injection.Fault`."""
        try:
            self._array.faults.add(Fault(path, form, **how))
        except TypeError as error:
            raise ValueError(str(error)) from None

    def spoiled(self) -> list[dict[str, Any]]:
        """What is still to go wrong."""
        return self._array.faults.left()

    def unspoil(self) -> None:
        """No more of that."""
        self._array.faults.clear()

    def latency(self, seconds: float) -> None:
        """How long each answer takes from now on."""
        self._array.latency = seconds

    def hang_up(self) -> None:
        """Close all connections."""
        self._array.hang_up()

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

    def change(self, kind: str, id: str, **values: Any) -> None:
        """Set attributes of an object of the model (`system` is the array itself)."""
        self._array.model.change(kind, id, values)

    def rename(self, kind: str, id: str, name: str) -> None:
        """Give an object another name."""
        self.change(kind, id, name=name)

    def add_luns(self, count: int, pool: str | None = None, capacity: int = 10 * 2**30) -> list[Lun]:
        """New LUNs."""
        return changes.add_luns(self._array.model, count, pool, capacity)

    def remove(self, kind: str, id: str) -> None:
        """Take an object away, with all that is part of it."""
        changes.remove(self._array.model, kind, id)

    def move(self, step: int = 16 * 2**20) -> None:
        """Let LUNs and file systems take up more space."""
        self._array.model.move(step)

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

    def _server(self, port: int) -> ControlServer:
        """The same over HTTP."""
        return ControlServer(self, self._look, port)

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
        raise KeyError(f'nothing to see at {name!r}')
