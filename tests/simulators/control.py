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
