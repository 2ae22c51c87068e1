# SPDX-License-Identifier: Apache-2.0
"""What tests and people do to a simulated array, over HTTP on loopback: the methods of an object, and what it shows.

    curl -d '{"kind": "disk"}' http://127.0.0.1:…/raise_fault
    curl http://127.0.0.1:…/               the methods
    curl http://127.0.0.1:…/model/lun      what `look` shows of this
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import orjson

from tests.simulators.http import Reply, Request, Server


class Control:
    """What is the same for every array. KeyError and ValueError say what was wrong with a call.

    A subclass adds faults (`raise_fault`, `repair`), `spoil`, accounts, objects, and `_look`, which shows them.
    """

    def __init__(self, array: Any) -> None:
        self._array = array

    # --- traps ---

    def tell(self, host: str, port: int, version: str = '2', user: str = '') -> str:
        """Send traps there as well; `version` 1, 2 (v2c) or 3. Returns the id in the array's list of receivers."""
        return str(self._array.agent.add(host, port, version, user))

    def add_user(self, name: str, auth_protocol: str | None = None, auth_key: str | None = None,
                 privacy_protocol: str | None = None, privacy_key: str | None = None) -> None:
        """A user for v3 traps; protocols as Delfin calls them (HMACSHA, HMCSHA2256, AES, …)."""
        self._array.agent.add_user(name, auth_protocol, auth_key, privacy_protocol, privacy_key)

    # --- answers ---

    def spoiled(self) -> list[dict[str, Any]]:
        """What is still to go wrong."""
        found: list[dict[str, Any]] = self._array.faults.left()
        return found

    def unspoil(self) -> None:
        """No more of that."""
        self._array.faults.clear()

    def _spoil(self, kind: type, **how: Any) -> None:
        try:
            self._array.faults.add(kind(**how))
        except TypeError as error:
            raise ValueError(str(error)) from None

    def hang_up(self) -> None:
        """Close all connections."""
        self._array.hang_up()

    # --- objects ---

    def change(self, kind: str, id: str, **values: Any) -> None:
        """Set attributes of an object of the model (`system` is the array itself)."""
        self._array.model.change(kind, id, values)

    def rename(self, kind: str, id: str, name: str) -> None:
        """Give an object another name, which may be one that no real array would take."""
        self.change(kind, id, name=name)

    def move(self, step: int = 16 * 2**20) -> None:
        """Let what is stored take up more space."""
        self._array.model.move(step)

    # --- over HTTP ---

    def _server(self, port: int) -> ControlServer:
        return ControlServer(self, self._look, port)

    def _look(self, name: str, rest: str) -> Any:
        raise KeyError(f'nothing to see at {name!r}')


class ControlServer(Server):
    """`look(name, rest)` shows what is behind a path, and KeyError says that nothing is. KeyError and ValueError of a
    method say what was wrong with a call."""

    def __init__(self, control: object, look: Callable[[str, str], Any], port: int = 0) -> None:
        self._look = look
        self._methods = {name: method for name, method in inspect.getmembers(control, inspect.ismethod)
                         if not name.startswith('_')}
        super().__init__(self._serve, port=port)

    def _serve(self, request: Request) -> Reply:
        name, _, rest = request.path.strip('/').partition('/')
        try:
            if request.method == 'GET':
                return _json(self._look(name, rest) if name else self._help())
            if name not in self._methods:
                raise KeyError(f'no method {name!r}; GET / lists them')
            arguments = orjson.loads(request.body or b'{}')
            if not isinstance(arguments, dict):
                raise ValueError('arguments are a JSON object')
            method = self._methods[name]
            try:
                inspect.signature(method).bind(**arguments)
            except TypeError as error:
                raise ValueError(str(error)) from None
            return _json(method(**arguments))
        except KeyError as error:
            return _json({'error': str(error.args[0])}, 404)
        except ValueError as error:
            return _json({'error': str(error)}, 400)

    def _help(self) -> dict[str, str]:
        return {name: f'{inspect.signature(method)} {(method.__doc__ or "").splitlines()[0]}'
                for name, method in self._methods.items()}


def _json(value: Any, status: int = 200) -> Reply:
    return Reply(orjson.dumps(value), status)
