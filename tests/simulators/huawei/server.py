# SPDX-License-Identifier: Apache-2.0
"""The array as a client meets it: paths, queries, envelopes.

    with OceanStor(sizes=Sizes.of(10_000)) as array:
        ... array.url, array.port, array.username, array.password, array.ca_pem ...
        array.control.raise_fault('disk')

The model inside is `array.model`. Building an array takes its ports, entering it serves, leaving it ends all
connections and threads.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson

from tests.simulators.array import Simulated
from tests.simulators.http import Reply, Request, Server
from tests.simulators.huawei import errors, views
from tests.simulators.huawei.alarms import Alarm, Alarms
from tests.simulators.huawei.build import Sizes, build
from tests.simulators.huawei.control import OceanStorControl
from tests.simulators.huawei.errors import Refusal
from tests.simulators.huawei.firmware import DORADO_V6, RIGHT_PERFORMANCE_PATH, WRONG_PERFORMANCE_PATH, Firmware
from tests.simulators.huawei.injection import Fault, spoiled
from tests.simulators.huawei.metrics import Metrics
from tests.simulators.huawei.model import Model
from tests.simulators.huawei.sessions import ACCOUNT_STATES, COOKIE, Account, Session, Sessions
from tests.simulators.huawei.traps import Agent
from tests.simulators.huawei.views import RESOURCES, Resource
from tests.simulators.injection import Faults
from tests.simulators.tls import Authority, Certificate

_ROOT = '/deviceManager/rest/'
_NO_DATA: Any = object()
_ALARM_PAGE = 250
_DEFAULT_PAGE = 100
_MAX_LOG = 200_000
_ALARM_LISTS = {'currentalarm', 'historyalarm'}


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that was answered: `path` is what stood behind the device's id, `code` the error's, 0 without one."""

    method: str
    path: str
    query: str
    code: int
    client: str


@dataclass(frozen=True, slots=True)
class _Question:
    """A request taken apart. `segments` are those behind the device's id."""

    request: Request
    device: str
    segments: tuple[str, ...]
    parameters: dict[str, str]
    session: Session | None = None

    @property
    def body(self) -> Any:
        """The JSON that came; Refusal."""
        try:
            return json.loads(self.request.body)
        except ValueError:
            raise Refusal(errors.BAD_PARAMETER) from None


class OceanStor(Simulated):
    """One array.

    `latency` is seconds before each answer; `move_every` seconds between changes of allocated capacities (None: only
    `model.move()` changes them). `certificate` is made by a CA of its own unless given.
    """

    def __init__(self, seed: str = 'oceanstor', sizes: Sizes | None = None, *, firmware: Firmware = DORADO_V6,
                 host: str = '127.0.0.1', port: int = 0, username: str = 'monitor', password: str = 'Simulated-1',
                 latency: float = 0.0, flawless: bool = False, shared_port_ids: bool = False,
                 certificate: Certificate | None = None, clock: Callable[[], float] = time.time,
                 move_every: float | None = None, control_port: int | None = None,
                 trap_source: str | None = None) -> None:
        self.firmware = firmware
        self.model: Model = build(seed, sizes, product=firmware.product, software=firmware.software,
                                  flawless=flawless, shared_port_ids=shared_port_ids)
        self.username, self.password = username, password
        self.latency = latency
        self.sessions = Sessions(firmware)
        self.sessions.accounts[username] = Account(username, password)
        self.agent = Agent(self.model.system, clock=clock, source=trap_source)
        self.alarms = Alarms(self.model, clock, self.agent.announce)
        self.metrics = Metrics(self.model, firmware, clock)
        self.faults: Faults[Fault] = Faults()
        self.log: deque[Seen] = deque(maxlen=_MAX_LOG)
        self.control = OceanStorControl(self)
        authority = None if certificate is not None else Authority('OceanStor CA')
        self.certificate = certificate or authority.issue('127.0.0.1', '::1', 'localhost', host)  # type: ignore[union-attr]
        self.ca_pem = authority.pem if authority else self.certificate.pem
        self._server = Server(self._answer, context=self.certificate.server_context(), host=host, port=port)
        self._pages: dict[tuple[str, int, int], bytes] = {}
        self._pages_of = -1
        self._live(self._server, self.control, control_port, move_every)

    # --- its life ---

    @property
    def url(self) -> str:
        """Without a path."""
        return self._server.url

    @property
    def serial(self) -> str:
        return self.model.system.id

    def asked(self, path: str) -> int:
        """How often a path was asked for; see `log` for more."""
        return sum(seen.path == path for seen in list(self.log))

    def wait(self, seconds: float) -> None:
        """Sleep, but not longer than the array lives."""
        self._server.stopping.wait(seconds)

    # --- requests ---

    def _answer(self, request: Request) -> Reply:
        if self.latency:
            self.wait(self.latency)
        if not request.path.startswith(_ROOT):
            return Reply(b'<html><body>DeviceManager</body></html>', 404, content_type='text/html')
        device, _, path = request.path[len(_ROOT):].partition('/')
        path = path.strip('/')
        fault = self.faults.take(lambda fault: fault.concerns(request.method, path, request.query))
        if fault is None:
            return self._log(request, path, self._reply(request, device, path))
        if fault.form == 'code':
            return self._log(request, path, (self._refusal(Refusal(fault.code), fault.status), fault.code))
        return spoiled(fault, lambda: self._log(request, path, self._reply(request, device, path)), self.wait)

    def _log(self, request: Request, path: str, reply: tuple[Reply, int]) -> Reply:
        self.log.append(Seen(request.method, path, request.query, reply[1], request.client))
        return reply[0]

    def _reply(self, request: Request, device: str, path: str) -> tuple[Reply, int]:
        """The answer and its error code."""
        try:
            segments = tuple(unquote(segment) for segment in path.split('/'))
            question = _Question(request, unquote(device), segments, _parameters(request.query))
            if request.method == 'POST' and segments == ('sessions',):
                return self._login(question), 0
            return self._handle(question), 0
        except Refusal as refusal:
            status = refusal.status if self.firmware.http_status else 200
            return self._refusal(refusal, status), refusal.code

    def _refusal(self, refusal: Refusal, status: int) -> Reply:
        return Reply(orjson.dumps({'data': {}, 'error': {
            'code': refusal.code, 'description': refusal.description, 'errorParam': '',
            'suggestion': refusal.suggestion}}), status, chunked=self.firmware.chunked)

    def _success(self, data: Any = _NO_DATA, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
        return self._envelope(None if data is _NO_DATA else orjson.dumps(data), headers)

    def _envelope(self, data: bytes | None, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
        code = b'"0"' if self.firmware.zero_as_text else b'0'
        body = b'{%b"error":{"code":%b,"description":"0"}}' % (b'' if data is None else b'"data":%b,' % data, code)
        return Reply(body, 200, headers, chunked=self.firmware.chunked)

    def _rows(self, rows: list[Any]) -> Reply:
        return self._success(rows) if rows or self.firmware.empty_lists else self._success()

    def _login(self, question: _Question) -> Reply:
        session, account = self.sessions.login(question.body, question.request.client)
        return self._success({
            'accountstate': ACCOUNT_STATES[account.state], 'deviceid': self.serial, 'iBaseToken': session.token,
            'lastloginip': session.client, 'lastlogintime': int(time.time()), 'level': 3, 'pwdchangetime': 1711000000,
            'roleId': '1', 'usergroup': '', 'userid': account.name, 'username': account.name,
            'userscope': account.scope},
            (('Set-Cookie', f'{COOKIE}={session.cookie}; path=/; secure; HttpOnly'),))

    def _handle(self, question: _Question) -> Reply:
        session = self.sessions.authenticate(question.request)
        if question.device != self.serial:
            raise Refusal(errors.BAD_PARAMETER)
        question = _Question(question.request, question.device, question.segments, question.parameters, session)
        name = question.segments[0]
        if name in self.firmware.unlicensed:
            raise Refusal(errors.NOT_LICENSED)
        if name in self.firmware.missing:
            raise Refusal(errors.NOT_SUPPORTED)
        if name in RESOURCES:
            return self._resource(question, RESOURCES[name])
        handler = self._SPECIAL.get(name)
        if handler is None:
            raise Refusal(errors.NOT_SUPPORTED)
        return handler(self, question)

    # --- collections ---

    def _resource(self, question: _Question, resource: Resource) -> Reply:
        if question.request.method != 'GET':
            raise Refusal(errors.NOT_SUPPORTED)
        with self.model.lock:
            match question.segments[1:]:
                case ():
                    return self._collection(question, resource)
                case ('count',):
                    rows = self._items(question, resource, {'filter'})
                    return self._success({'COUNT': str(len(list(self._filtered(rows, question, resource))))})
                case ('associate',):
                    return self._associated(question, resource)
                case (id,) if not resource.parents or '@' in id:
                    item = self.model[resource.kind].get(id)
                    if item is None:
                        raise Refusal(errors.NO_SUCH_LUN if resource.kind == 'lun' else errors.NO_SUCH_OBJECT)
                    return self._success(self._row(item, resource))
        raise Refusal(errors.NOT_SUPPORTED)

    def _collection(self, question: _Question, resource: Resource) -> Reply:
        items = self._items(question, resource, {'range', 'filter'})
        start, stop = self._range(question, resource, len(items))
        if resource.parents or 'filter' in question.parameters:
            found = list(self._filtered(items, question, resource))
            return self._rows([self._row(item, resource) for item in found[start:stop]])
        return self._page(resource, items, start, stop)

    def _page(self, resource: Resource, items: list[Any], start: int, stop: int) -> Reply:
        """A page of all objects, which is remembered as long as nothing changes."""
        if self._pages_of != self.model.version:
            self._pages.clear()
            self._pages_of = self.model.version
        key = resource.kind, start, stop
        data = self._pages.get(key)
        if data is None:
            data = orjson.dumps([self._row(item, resource) for item in items[start:stop]])
            self._pages[key] = data
        return self._envelope(data if data != b'[]' or self.firmware.empty_lists else None)

    def _items(self, question: _Question, resource: Resource, fields: set[str]) -> list[Any]:
        """The objects of a collection, those of one parent if it is of that kind. Refusal for fields nobody knows."""
        own = {'PARENTTYPE', 'PARENTID'} if resource.parents else set()
        if not question.parameters.keys() <= fields | own | resource.extra:
            raise Refusal(errors.BAD_PARAMETER)
        if not resource.parents:
            return self.model.derived(('list', resource.kind), lambda: list(self.model[resource.kind].values()))
        type, id = question.parameters.get('PARENTTYPE', ''), question.parameters.get('PARENTID', '')
        if not type.isdecimal() or not id:
            raise Refusal(errors.BAD_PARAMETER)
        found = views.parents_children(self.model, resource, int(type), id)
        if found is None:
            raise Refusal(errors.NO_SUCH_OBJECT)
        return found

    def _associated(self, question: _Question, resource: Resource) -> Reply:
        type, id = (question.parameters.get(f'ASSOCIATEOBJ{field}', '') for field in ('TYPE', 'ID'))
        known = {'ASSOCIATEOBJTYPE', 'ASSOCIATEOBJID', 'range', 'filter'}
        if not type.isdecimal() or not id or not question.parameters.keys() <= known:
            raise Refusal(errors.BAD_PARAMETER)
        found = views.associated(self.model, resource.kind, int(type), id)
        if found is None:
            raise Refusal(errors.NO_SUCH_OBJECT)
        start, stop = self._range(question, resource, len(found))
        return self._rows([self._row(item, resource) for item in
                           list(self._filtered(found, question, resource))[start:stop]])

    def _range(self, question: _Question, resource: Resource, count: int) -> tuple[int, int]:
        if resource.limit is None or (resource.port and not self.firmware.pages_ports):
            return 0, count
        return _range(question.parameters.get('range'), resource.limit)

    def _filtered(self, items: Iterable[Any], question: _Question, resource: Resource) -> Iterable[Any]:
        wanted = question.parameters.get('filter')
        if wanted is None:
            return items
        matches = _filter(wanted)
        return (item for item in items if matches(self._row(item, resource)))

    def _row(self, item: Any, resource: Resource) -> dict[str, Any]:
        return views.dressed(resource.row(item, self.model), self.firmware)

    # --- everything else ---

    def _sessions(self, question: _Question) -> Reply:
        assert question.session is not None
        if question.request.method == 'DELETE':
            self.sessions.logout(question.session)
        elif question.request.method != 'GET':
            raise Refusal(errors.NOT_SUPPORTED)
        return self._success({})

    def _system(self, question: _Question) -> Reply:
        with self.model.lock:
            return self._success(views.system(self.model, self.firmware))

    def _alarm(self, question: _Question) -> Reply:
        which = question.segments[1] if len(question.segments) > 1 else ''
        method = question.request.method
        if which not in _ALARM_LISTS or (method, which) == ('DELETE', 'historyalarm'):
            raise Refusal(errors.NOT_SUPPORTED)
        if method == 'DELETE':
            assert question.session is not None
            self.alarms.clear(question.parameters.get('sequence', ''), question.session.account)
            return self._success({})
        if not question.parameters.keys() <= {'range', 'filter'}:
            raise Refusal(errors.BAD_PARAMETER)
        rows = self.model.derived(which, lambda: [self._alarm_row(alarm) for alarm in (
            self.alarms.current if which == 'currentalarm' else self.alarms.history)])
        if 'filter' in question.parameters:
            matches = _filter(question.parameters['filter'])
            rows = [row for row in rows if matches(row)]
        if question.segments[2:] == ('count',):
            return self._success({'COUNT': str(len(rows))})
        start, stop = _range(question.parameters.get('range'), _ALARM_PAGE)
        return self._rows(rows[start:stop])

    def _alarm_row(self, alarm: Alarm) -> dict[str, Any]:
        row = alarm.row()
        return {key: str(value) for key, value in row.items()} if self.firmware.alarms_as_text else row

    def _statistics(self, question: _Question) -> Reply:
        if (question.segments[0] not in self.firmware.performance_paths
                or question.segments[1:] != ('cur_statistic_data',)):
            raise Refusal(errors.NOT_SUPPORTED)
        if not question.parameters.keys() <= {'CMO_STATISTIC_UUID', 'CMO_STATISTIC_DATA_ID_LIST', 'timeConversion'}:
            raise Refusal(errors.BAD_PARAMETER)
        with self.model.lock:
            return self._rows(self.metrics.read(question.parameters))

    def _switch(self, question: _Question) -> Reply:
        if question.request.method == 'PUT':
            self.metrics.set_switch(question.body)
        return self._success(self.metrics.switch())

    def _strategy(self, question: _Question) -> Reply:
        if question.request.method == 'PUT':
            self.metrics.set_strategy(question.body)
        return self._success(self.metrics.strategy())

    def _trap_address(self, question: _Question) -> Reply:
        match question.request.method, question.segments[1:]:
            case 'GET', ():
                return self._rows(self.agent.managers)
            case 'POST', ():
                return self._success(self.agent.create(question.body))
            case 'PUT', ('send_test_trapmsg',):
                self.agent.test(question.body)
            case 'PUT', (id,):
                self.agent.change(id, question.body)
            case 'DELETE', (id,):
                self.agent.remove(id)
            case _:
                raise Refusal(errors.NOT_SUPPORTED)
        return self._success({})

    def _batch(self, question: _Question) -> Reply:
        """Many GETs in one request, answered by the keys they came with."""
        wanted = question.body
        if self.firmware.batch is None or question.segments != ('server', 'compositeinfo'):
            raise Refusal(errors.NOT_SUPPORTED)
        if question.request.method != 'POST' or not isinstance(wanted, dict):
            raise Refusal(errors.BAD_PARAMETER)
        pieces = [b'%b:%b' % (orjson.dumps(key), self._part(question, item)) for key, item in wanted.items()]
        answers = b'{%b}' % b','.join(pieces)
        return self._envelope(answers) if self.firmware.batch == 'data' else Reply(answers)

    def _part(self, question: _Question, item: Any) -> bytes:
        if not isinstance(item, dict) or item.get('method') != 'GET' or not isinstance(item.get('url'), str):
            raise Refusal(errors.BAD_PARAMETER)
        parts = urlsplit(item['url'])
        _, found, path = parts.path.partition(f'{_ROOT}{self.serial}/')
        if not found:
            raise Refusal(errors.BAD_PARAMETER)
        original = question.request
        inner = Request('GET', parts.path, parts.query, original.headers, b'', original.client)
        reply, _ = self._reply(inner, self.serial, path.strip('/'))
        return reply.body

    _SPECIAL: dict[str, Callable[[OceanStor, _Question], Reply]] = {
        'sessions': _sessions, 'system': _system, 'alarm': _alarm, WRONG_PERFORMANCE_PATH: _statistics,
        RIGHT_PERFORMANCE_PATH: _statistics, 'performance_statistic_switch': _switch,
        'performance_statistic_strategy': _strategy, 'snmp_trap_addr': _trap_address, 'server': _batch}


def _parameters(query: str) -> dict[str, str]:
    """The fields of a query; Refusal for one that comes twice or is none."""
    found: dict[str, str] = {}
    for part in query.split('&') if query else ():
        name, equals, value = part.partition('=')
        if not equals or name in found:
            raise Refusal(errors.BAD_PARAMETER)
        found[name] = unquote(value)
    return found


def _range(text: str | None, limit: int) -> tuple[int, int]:
    """Half-open; Refusal for what is none or has too many."""
    if text is None:
        return 0, _DEFAULT_PAGE
    start, dash, stop = text.removeprefix('[').removesuffix(']').partition('-')
    if not (text.startswith('[') and text.endswith(']') and start.isdecimal() and stop.isdecimal()):
        raise Refusal(errors.BAD_PARAMETER)
    if not 0 < int(stop) - int(start) <= limit:
        raise Refusal(errors.BAD_PARAMETER)
    return int(start), int(stop)


def _filter(text: str) -> Callable[[dict[str, Any]], bool]:
    """NAME::exact or NAME:part; Refusal."""
    name, colon, value = text.partition(':')
    if not colon:
        raise Refusal(errors.BAD_PARAMETER)
    if value.startswith(':'):
        return lambda row: str(row.get(name, '')) == value[1:]
    return lambda row: value in str(row.get(name, ''))
