# SPDX-License-Identifier: Apache-2.0
"""The session with a REST array, against one on loopback: logins, expiry, busy arrays, broken connections, threads."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from delfin import exception
from delfin.drivers.kit import (
    ArrayBusy,
    Limits,
    NotThere,
    Refused,
    RestDriver,
    RestSession,
    SessionExpired,
    in_parallel,
)
from delfin.drivers.kit.errors import ConnectionBroke
from delfin.drivers.kit.limits import Gate
from delfin.drivers.kit.simulator import Answer, Request, Simulator, route
from tests.engines.base import wait_until

MOST_SESSIONS = 4


class Array(Simulator):
    """Sessions by token and cookie; whatever is in `answers` comes first."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[str] = []
        self.answers: list[Answer] = []
        self.stale = False          # also the login is refused as "no such session"
        self.serial = 0

    def allowed(self, request: Request) -> Answer | None:
        if self.answers:
            return self.answers.pop(0)
        if request.path == '/api/login' and not self.stale:
            return None
        token = request.header('X-Token')
        if token not in self.tokens or f'id={token}' not in request.header('Cookie'):
            return Answer({'error': {'code': 'gone', 'text': 'no such session'}}, 401)
        return None

    @route('POST', '/api/login')
    def log_in(self, request: Request) -> Answer:
        if request.header('X-Token'):
            return Answer({'error': {'code': 'odd', 'text': 'the old token came along'}}, 400)
        if request.json != {'user': self.USERNAME, 'password': self.PASSWORD}:
            return Answer({'error': {'code': 'login', 'text': f'{request.json["user"]} is refused'}}, 403)
        if len(self.tokens) >= MOST_SESSIONS:
            return Answer({'error': {'code': 'full', 'text': 'too many sessions'}}, 409)
        self.serial += 1
        self.tokens.append(f'token-{self.serial}')
        return Answer({'token': self.tokens[-1]}, headers={'Set-Cookie': f'id={self.tokens[-1]}; Path=/'})

    @route('DELETE', '/api/login')
    def log_out(self, request: Request) -> Answer:
        self.tokens.remove(request.header('X-Token'))
        return Answer(b'', 204)

    @route('GET', '/api/things/{name}')
    def thing(self, request: Request, name: str) -> Any:
        return {'data': {'name': name, 'query': request.query}}

    @route('POST', '/api/things')
    def make(self, request: Request) -> Any:
        return {'data': request.json}

    @property
    def logins(self) -> int:
        return self.asked('POST', '/api/login')


class Session(RestSession):
    BASE, CODE, WORDS = '/api', 'error.code', 'error.text'
    LIMITS = Limits(at_once=4, first_pause_seconds=0.5, longest_pause_seconds=3)
    ERRORS = {'gone': SessionExpired, 'login': exception.InvalidUsernameOrPassword,
              'full': exception.StorageMaxUserCountException, 'busy': ArrayBusy,
              'locked': (exception.InvalidCredential, 'Unlock it on the array.')}

    def __init__(self, **access: Any) -> None:
        super().__init__(**access)
        self.pauses: list[float] = []
        self._sleep = self.pauses.append

    def log_in(self, username: str, password: str) -> None:
        self.headers['X-Token'] = self.post('/login', {'user': username, 'password': password})['token']

    def log_out(self) -> None:
        self.delete('/login')

    def payload(self, body: Any) -> Any:
        return body.get('data', body)


@pytest.fixture
def array() -> Iterator[Array]:
    with Array() as made:
        yield made


@pytest.fixture
def session(array: Array) -> Iterator[Session]:
    made = Session(**array.arguments())
    yield made
    made.close()


BUSY = Answer({'error': {'code': 'busy', 'text': 'later'}}, 503)


# --- the login ---

def test_it_logs_in_with_the_first_request_and_out_at_the_end(array: Array, session: Session) -> None:
    assert array.logins == 0
    assert session.get('/things/a', size=3, cursor=None) == {'name': 'a', 'query': {'size': '3'}}
    session.get('/things/b')
    assert array.logins == 1
    session.close()
    session.close()
    assert array.tokens == []


def test_an_expired_session_is_renewed_and_the_request_made_again(array: Array, session: Session) -> None:
    session.get('/things/a')
    array.tokens.clear()
    assert session.post('/things', {'x': 1}) == {'x': 1}
    assert array.logins == 2


def test_a_session_that_is_refused_right_after_a_login_is_an_error_and_no_loop(array: Array, session: Session) -> None:
    session.get('/things/a')
    array.answers = [Answer({'error': {'code': 'gone', 'text': 'never'}}, 401)]
    array.tokens.clear()
    original = array.log_in

    def forgetful(request: Request) -> Answer:
        answer = original(request)
        array.tokens.clear()
        return answer
    array.log_in = forgetful        # type: ignore[method-assign]
    with pytest.raises(exception.NotAuthorized):
        session.get('/things/a')
    assert array.logins == 2


def test_a_wrong_password_is_tried_once(array: Array) -> None:
    arguments = array.arguments()
    array.PASSWORD = 'another'
    session = Session(**arguments)
    with pytest.raises(exception.InvalidUsernameOrPassword) as caught:
        session.get('/things/a')
    assert 'monitor is refused' in caught.value.msg
    assert (array.logins, session.pauses) == (1, [])


def test_a_login_that_is_refused_as_a_session_is_a_refused_login(array: Array, session: Session) -> None:
    array.stale = True
    with pytest.raises(exception.InvalidUsernameOrPassword):
        session.get('/things/a')


def test_a_login_waits_for_a_free_session(array: Array, session: Session) -> None:
    array.tokens = ['others'] * MOST_SESSIONS
    session._sleep = lambda seconds: array.tokens.pop()
    assert session.get('/things/a')
    assert array.logins == 2


def test_when_none_gets_free_that_is_said_and_not_taken_for_a_wrong_password(array: Array, session: Session) -> None:
    array.tokens = ['others'] * MOST_SESSIONS
    with pytest.raises(exception.StorageMaxUserCountException):
        session.get('/things/a')
    assert (array.logins, session.pauses) == (3, [0.5, 1.0])
    array.tokens = []


def test_a_login_with_another_answer_than_expected_is_a_bad_response(array: Array, session: Session) -> None:
    array.answers = [Answer({'welcome': True})]
    with pytest.raises(exception.BadResponse) as caught:
        session.get('/things/a')
    assert 'the login' in caught.value.msg


# --- repeating ---

def test_a_busy_array_is_asked_again_after_growing_pauses(array: Array, session: Session) -> None:
    session.get('/things/a')
    array.answers = [BUSY, BUSY]
    assert session.get('/things/a')
    assert session.pauses == [0.5, 1.0]


def test_one_that_stays_busy_is_an_error_with_its_words(array: Array, session: Session) -> None:
    session.get('/things/a')
    array.answers = [BUSY] * 3
    with pytest.raises(ArrayBusy) as caught:
        session.get('/things/a')
    assert caught.value.msg == '127.0.0.1 answered GET /api/things/a with busy: later'


@pytest.mark.parametrize(('header', 'pause'), [('2', 2.0), ('3600', 3.0), ('tomorrow', 0.5)])
def test_the_pause_that_the_array_asks_for_is_kept_within_limits(array: Array, session: Session, header: str,
                                                                 pause: float) -> None:
    session.get('/things/a')
    array.answers = [Answer(b'', 429, {'Retry-After': header})]
    session.get('/things/a')
    assert session.pauses == [pause]


def test_a_write_is_made_once(array: Array, session: Session) -> None:
    session.get('/things/a')
    array.answers = [BUSY]
    with pytest.raises(ArrayBusy):
        session.post('/things', {})
    assert array.asked('POST', '/api/things') == 1


def test_a_broken_connection_is_tried_again_for_reads_only(array: Array, session: Session) -> None:
    session.get('/things/a')
    array.answers = [Answer(raw=[b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"a'])]
    assert session.get('/things/a')
    array.answers = [Answer(raw=[b''])]
    with pytest.raises(ConnectionBroke):
        session.post('/things', {})


def test_a_post_that_only_reads_is_repeated(array: Array, session: Session) -> None:
    session.get('/things/a')
    array.answers = [BUSY]
    assert session.call('POST', '/things', {'a': 1}, reads=True) == {'a': 1}


# --- addresses ---

class Placed(Session):
    """The login tells where everything stands; queries have lists with commas."""

    QUERY_SAFE = ','
    place = ''

    def log_in(self, username: str, password: str) -> None:
        super().log_in(username, password)
        self.place = '/things'

    def url_of(self, path: str) -> str:
        return f'{self.BASE}{self.place}{path}'


def test_what_the_login_tells_may_stand_in_every_path(array: Array) -> None:
    session = Placed(**array.arguments())
    assert session.get('/a', ids='1,2&3') == {'name': 'a', 'query': {'ids': '1,2&3'}}
    assert array.server.requests[-1].path == '/api/things/a?ids=1,2%263'
    array.answers = [Answer(b'', 404)]
    with pytest.raises(NotThere, match='GET /api/things/b with 404'):
        session.get('/b')


# --- errors ---

@pytest.mark.parametrize(('answer', 'error', 'words'), [
    (Answer({'error': {'code': 'x7', 'text': 'no\x00thing'}}, 400), exception.StorageBackendException, 'x7: nothing'),
    (Answer({'error': {'code': 'x7'}}, 200), Refused, 'with x7.'),
    (Answer({'error': {'code': 'locked', 'text': 'no.'}}), exception.InvalidCredential, 'locked: no. Unlock it on the'),
    (Answer(b'', 404), NotThere, 'with 404.'),
    (Answer(b'', 403), exception.NotAuthorized, 'with 403.'),
    (Answer(b'<html>', 500), exception.StorageBackendException, 'with 500.'),
    (Answer(b'<html>', 200), exception.BadResponse, 'something else than JSON (HTTP 200); check rest.port'),
    (Answer([1, 2]), exception.BadResponse, 'JSON of another shape'),
])
def test_what_the_array_refuses_becomes_an_error_of_the_family(array: Array, session: Session, answer: Answer,
                                                               error: type[Exception], words: str) -> None:
    session.get('/things/a')
    array.answers = [answer]
    with pytest.raises(error) as caught:
        session.get('/things/a', secret='in-the-query')
    assert words in str(caught.value)
    assert 'in-the-query' not in str(caught.value)


def test_only_an_array_that_speaks_refuses(array: Array, session: Session) -> None:
    session.get('/things/a')
    array.answers = [Answer(b'<html>', 500)]
    with pytest.raises(exception.StorageBackendException) as caught:
        session.get('/things/a')
    assert not isinstance(caught.value, Refused)


# --- threads ---

def test_many_requests_are_made_a_few_at_once_and_answered_in_order(array: Array, session: Session) -> None:
    found = session.gather(lambda name: session.get(f'/things/{name}')['name'], map(str, range(30)))
    assert found == list(map(str, range(30)))
    assert (array.logins, array.server.connections) == (1, session.LIMITS.at_once)


def test_an_error_of_one_leaves_the_rest_alone_and_no_thread_behind() -> None:
    asked: list[int] = []

    def ask(number: int) -> int:
        asked.append(number)
        if number == 1:
            raise exception.StorageBackendException('no')
        return number
    with pytest.raises(exception.StorageBackendException):
        in_parallel(ask, range(10_000), 2)
    assert len(asked) < 10_000
    assert not [thread for thread in threading.enumerate() if thread.name.startswith('kit')]



def test_threads_share_one_login_and_one_renewal(array: Array, session: Session) -> None:
    with ThreadPoolExecutor(8) as threads:
        for logins in (1, 2):
            answers = list(threads.map(lambda number: session.get(f'/things/{number}')['name'], range(40)))
            assert answers == [str(number) for number in range(40)]
            assert array.logins == logins
            array.tokens.clear()


class Doorman:
    """A lock that knows who came to it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.threads: set[int] = set()

    def __enter__(self) -> None:
        self.threads.add(threading.get_ident())
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()


def test_threads_that_wait_for_a_refused_login_do_not_try_it_themselves(array: Array) -> None:
    arguments = array.arguments()
    array.PASSWORD = 'another'
    session = Session(**arguments)
    session._login = at_the_door = Doorman()        # type: ignore[assignment]
    waiting = threading.Event()
    original = array.log_in

    def slow(request: Request) -> Answer:
        waiting.wait(10)
        return original(request)
    array.log_in = slow     # type: ignore[method-assign]

    def refused(number: int) -> bool:
        with pytest.raises(exception.InvalidUsernameOrPassword):
            session.get('/things/a')
        return True
    with ThreadPoolExecutor(4) as threads:
        results = [threads.submit(refused, number) for number in range(4)]
        assert wait_until(lambda: len(at_the_door.threads) == 4, 10)
        waiting.set()
        assert all(result.result() for result in results)
    assert array.logins == 1


def test_requests_are_spaced_and_counted() -> None:
    now, slept = [100.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds
    gate = Gate(Limits(at_once=1, per_second=4), lambda: now[0], sleep)
    for _ in range(3):
        with gate.turn():
            assert not gate._places.acquire(blocking=False)
    assert slept == [0.25, 0.25]


# --- logs ---

def test_requests_are_logged_for_the_driver_without_query_and_secret(array: Array, session: Session,
                                                                    caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger=__name__):
        session.get('/things/a', secret='in-the-query')
    lines = [record.getMessage() for record in caplog.records if record.name == __name__]
    assert any(line.startswith('GET /things/a: 200') for line in lines)
    assert not any(word in line for line in lines for word in ('in-the-query', array.PASSWORD, 'token-'))


# --- the driver ---

class Driver(RestDriver):
    SESSION = Session

    def get_storage(self, context: Any) -> Any:
        return self.session.get('/things/array')

    list_storage_pools = list_volumes = list_alerts = clear_alert = add_trap_config = remove_trap_config = get_storage


def test_new_access_information_counts_from_the_reset_on(array: Array) -> None:
    with Array() as other:
        driver = Driver(**array.arguments())
        driver.get_storage(None)
        driver.reset_connection(None, **other.arguments())
        assert (array.tokens, other.logins) == ([], 0)
        driver.get_storage(None)
        driver.reset_connection(None)
        driver.get_storage(None)
        driver.delete_storage(None)
        assert (other.tokens, other.logins) == ([], 2)
