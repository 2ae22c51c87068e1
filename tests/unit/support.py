# SPDX-License-Identifier: Apache-2.0
"""Stand-ins and small tools of the unit tests."""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import jsonschema_rs
import sqlalchemy as sa
import webob
from paste import deploy

from delfin import exception
from delfin.api import openapi
from delfin.api.backend import BACKEND, Backend
from delfin.coerce import RowReader
from delfin.common.masking import Masker
from delfin.db import Database, lists, ownership, resources, runs, storages
from delfin.db.runs import Claim
from delfin.db.schema import Schema
from delfin.drivers.driver import StorageDriver
from delfin.findings import Findings
from delfin.history import Query, Reader
from delfin.kinds import KINDS, Table
from tests.engines.base import wait_until

ROOT = Path(__file__).resolve().parents[2]
PASTE_FILE = ROOT / 'etc' / 'delfin' / 'api-paste.ini'
PATIENCE_SECONDS = 10       # how long a test waits for another thread before it fails


# --- database ---

def add_storage(database: Database, serial_number: str = 'SN-1', **access: Any) -> str:
    """Register a storage directly in the database; its id."""
    storage_id = str(uuid.uuid4())
    with database.write() as connection:
        storages.insert(connection, storage_id, {'name': 'array', 'serial_number': serial_number},
                        {'vendor': 'fake_storage', 'model': 'fake_driver', **access}, 'node-1')
    return storage_id


def take_run(database: Database, storage_id: str, kinds: tuple[str, ...] = ('volumes',), *, node: str = 'node-1',
             force: bool = False) -> Claim:
    """Ask for a sync run and claim it, as the owner of the array."""
    give(database, storage_id, node)
    with database.write() as connection:
        runs.request(connection, storage_id, kinds, 'test', force=force)
    with database.write() as connection:
        taken = runs.claim(connection, node, 1)
    assert [claim.storage_id for claim in taken] == [storage_id], 'the run is not due'
    return taken[0]


def give(database: Database, storage_id: str, node: str) -> None:
    """Make a node the owner of an array, unless it is."""
    with database.write() as connection:
        ownership.give(connection, {held: node for held in ownership.all_held(connection)
                                    if held.storage_id == storage_id and held.node != node})


def add_rows(database: Database, storage_id: str, kind: str, rows: Sequence[Mapping[str, Any]],
             table: Table | None = None) -> None:
    """Store rows as a sync would."""
    spec = table or KINDS[kind].table
    read = [RowReader(spec).read(row, Findings())[1] for row in rows]
    with database.write() as connection:
        resources.insert(connection, spec, storage_id, read)


def rows_of(database: Database, kind: str, storage_id: str, **filters: Any) -> dict[str, dict[str, Any]]:
    """The stored rows of a storage by native id, as the API shows them."""
    with database.read() as connection:
        wanted = tuple(lists.Filter(name, lists.Operator.EQUAL, (value,))
                       for name, value in {'storage_id': storage_id, **filters}.items())
        rows = resources.listing(connection, KINDS[kind], lists.Query(1000, wanted)).rows
    return {row[KINDS[kind].native_id]: row for row in rows}


@contextlib.contextmanager
def recorded_writes(database: Database) -> Iterator[list[str]]:
    """The INSERT, UPDATE and DELETE statements that the block sends."""
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.split(None, 1)[0].upper() in ('INSERT', 'UPDATE', 'DELETE'):
            seen.append(statement)

    sa.event.listen(database.engine, 'before_cursor_execute', note)
    try:
        yield seen
    finally:
        sa.event.remove(database.engine, 'before_cursor_execute', note)


# --- drivers ---

class MinimalDriver(StorageDriver):
    """As small as a driver can be."""

    def reset_connection(self, context, **kwargs):
        pass

    def get_storage(self, context):
        return {'name': 'array', 'vendor': 'Example', 'model': 'X1', 'serial_number': 'SN-1', 'status': 'normal'}

    def list_storage_pools(self, context):
        return []

    def list_volumes(self, context):
        return []

    def add_trap_config(self, context, trap_config):
        pass

    def remove_trap_config(self, context, trap_config):
        pass

    def list_alerts(self, context, query_para=None):
        return []

    def clear_alert(self, context, sequence_number):
        pass


def make_driver(base: type = MinimalDriver, **members: Any) -> type:
    """A driver class with these methods and attributes."""
    return type('ScriptedDriver', (base,), members)


class Drivers:
    """In place of the driver manager: one class whatever the name."""

    def __init__(self, driver_class: type) -> None:
        self.driver_class = driver_class

    def get_class(self, vendor: str, model: str) -> type:
        return self.driver_class


class ScriptedDoor:
    """In place of the door: `answers` by method name; exceptions are raised, callables called. Notes the calls."""

    def __init__(self, answers: Mapping[str, Any] | None = None) -> None:
        self.answers: dict[str, Any] = {'get_storage': {'serial_number': 'SN-1'}, **(answers or {})}
        self.calls: list[str] = []

    @contextlib.contextmanager
    def answer(self, storage_id: str, method: str, *args: Any, lane: Any, **kwargs: Any) -> Iterator[Any]:
        yield self.call(storage_id, method, *args, lane=lane, **kwargs)

    def call(self, storage_id: str, method: str, *args: Any, lane: Any, **kwargs: Any) -> Any:
        self.calls.append(method)
        answer = self.answers.get(method, NotImplementedError(method))
        if isinstance(answer, BaseException):
            raise answer
        return answer() if callable(answer) else answer


# --- REST ---

class Tasks:
    """In place of the task service: does what `register` says, notes the rest."""

    def __init__(self) -> None:
        self.registered: list[dict[str, Any]] = []
        self.rings = 0
        self.contexts: list[Any] = []
        self.register: Callable[[str, dict[str, Any]], None] = lambda storage_id, access: None
        self.ping_error: Exception | None = None
        self.drivers: list[dict[str, Any]] = []
        self.live_alerts: list[dict[str, Any]] = []
        self.asked: list[tuple[Any, ...]] = []      # calls about alerts, with their arguments
        self.refuse: Exception | None = None        # what they raise
        self.clear: Callable[[str, str], None] = lambda storage_id, sequence_number: None
        self.history: Reader | None = None          # who knows points of metrics

    def read_metrics(self, context: Any, wanted: Query) -> list[dict[str, Any]]:
        if self.history is None:
            raise exception.StorageCapabilityNotSupported(message='No history of metrics is kept.')
        return [series.view() for series in self.history.query(wanted)]

    def list_alerts(self, context: Any, storage_id: str, begin_time: int | None,
                    end_time: int | None) -> list[dict[str, Any]]:
        self._ask('list', storage_id, begin_time, end_time)
        return self.live_alerts

    def clear_alert(self, context: Any, storage_id: str, sequence_number: str) -> None:
        self._ask('clear', storage_id, sequence_number)
        self.clear(storage_id, sequence_number)

    def push_trap_config(self, context: Any, storage_id: str, host: str, port: int, *, remove: bool = False) -> None:
        self._ask('remove' if remove else 'push', storage_id, host, port)

    def _ask(self, *call: Any) -> None:
        self.asked.append(call)
        if self.refuse:
            raise self.refuse

    def register_storage(self, context: Any, storage_id: str, access: dict[str, Any], deadline: str) -> None:
        self.contexts.append(context)
        self.registered.append({'storage_id': storage_id, 'access': access, 'deadline': deadline})
        self.register(storage_id, access)

    def ping(self, context: Any, timeout_seconds: float) -> dict[str, Any]:
        if self.ping_error:
            raise self.ping_error
        return {'host': 'node-1', 'version': '0'}

    def list_drivers(self, context: Any) -> list[dict[str, Any]]:
        return self.drivers

    def look_for_work(self, context: Any) -> None:
        self.rings += 1


class Alerts:
    """In place of the alert services: counts how often they were told of changed sources."""

    def __init__(self) -> None:
        self.rings = 0

    def sources_changed(self, context: Any) -> None:
        self.rings += 1


class Answer:
    """An answer of the REST API."""

    def __init__(self, response: webob.Response) -> None:
        self.status, self.headers, self.raw = response.status_int, response.headers, response.body
        self.body = json.loads(response.body) if response.body else None

    @property
    def error(self) -> str:
        """The code of an error, whose shape is checked."""
        assert set(self.body) == {'error_code', 'error_msg', 'error_args', 'request_id'}
        assert self.headers['Content-Type'].partition(';')[0] == 'application/json'
        assert self.body['request_id'] == self.headers['X-Request-Id']
        return self.body['error_code']


def as_documented(answer: Answer, operation: str) -> bool:
    """Whether an answer fits what the OpenAPI document says of `operation`, such as 'GET /v1/alerts'."""
    method, path = operation.split()
    document = json.loads(json.dumps(openapi.document()))
    described = document['paths'][path][method.lower()]['responses'][str(answer.status)]
    if not answer.raw:
        return 'content' not in described
    schema = described['content']['application/json']['schema']
    return jsonschema_rs.Draft202012Validator(
        {**schema, 'components': document['components']}, validate_formats=True).validate(answer.body) is None


class Rest:
    """A client of the whole pipeline, as etc/delfin/api-paste.ini has it."""

    def __init__(self, conf: Any, database: Database, keyring: Any) -> None:
        self.tasks, self.alerts, self.database, self.conf = Tasks(), Alerts(), database, conf
        self.backend = Backend(conf, database, Schema(database), keyring, self.tasks, self.alerts)
        self.app = deploy.loadapp(f'config:{PASTE_FILE}', name='delfin')

    def __call__(self, method: str, path: str, body: Any = None, *, environ: Mapping[str, Any] | None = None,
                 headers: Mapping[str, str] | None = None, content_type: str | None = 'application/json') -> Answer:
        """Send a request; `body` is bytes, or a document that is sent as JSON. The path may hold anything."""
        request = webob.Request.blank('/', method=method, headers=dict(headers or {}))
        bare, _, query = path.partition('?')
        if body is not None:
            request.body = body if isinstance(body, bytes) else json.dumps(body).encode()
            if content_type:
                request.content_type = content_type
        request.environ |= {'PATH_INFO': bare, 'QUERY_STRING': query, BACKEND: self.backend, **(environ or {})}
        return Answer(request.get_response(self.app))

    def get(self, path: str, **kwargs: Any) -> Answer:
        """Send a GET."""
        return self('GET', path, **kwargs)

    def post(self, path: str, body: Any = None, **kwargs: Any) -> Answer:
        """Send a POST."""
        return self('POST', path, body, **kwargs)


# --- objects that bite ---

class Unprintable:
    """An object of a driver that has no text form."""

    def __repr__(self):
        return '<unprintable>'

    def __str__(self):
        raise RuntimeError('no text')


class UnprintableError(Exception):
    """An exception of a driver whose text cannot be made."""

    def __str__(self):
        raise RuntimeError('no text')


def shown(value: object) -> str:
    """A short name of a test's parameter, the same in every process."""
    if isinstance(value, str | bytes | float | bool | None) or type(value) is int and abs(value) < 10**20:
        return ascii(value)[:24]
    return type(value).__name__


# --- threads ---

def in_thread(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
    """Run `function` beside the test; its outcome."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(function(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def until(condition: Callable[[], object]) -> None:
    """Wait for another thread to bring something about."""
    assert wait_until(condition, PATIENCE_SECONDS), 'it did not come about'


# --- errors ---

def error_classes() -> list[type[exception.DelfinException]]:
    """Every class of the exception family."""
    found = [value for value in vars(exception).values()
             if isinstance(value, type) and issubclass(value, exception.DelfinException)]
    return sorted(found, key=lambda error: error.__name__)


def mask_nothing(text: str) -> str:
    """For code that wants a mask function."""
    return text


def masker_for(*secrets: str) -> Masker:
    """A masker that knows these secrets."""
    masker = Masker()
    masker.learn('storage', secrets)
    return masker
