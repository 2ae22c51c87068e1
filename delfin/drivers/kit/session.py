# SPDX-License-Identifier: Apache-2.0
"""A REST API with a login: one session for all threads, begun by the first request, renewed once when it has run out,
ended when the driver goes.

    class AcmeSession(RestSession):
        BASE = '/api/v1'
        CODE, WORDS = 'error.code', 'error.text'        # where they stand in an answer
        ERRORS = {'E_LOGIN': exception.InvalidUsernameOrPassword, 'E_FULL': exception.StorageMaxUserCountException,
                  'E_LOCKED': (exception.InvalidCredential, 'Unlock the account on the array.')}

        def log_in(self, username, password):
            self.headers['X-Acme-Token'] = self.post('/sessions', {'user': username, 'password': password})['token']

        def log_out(self):
            self.delete('/sessions/current')

    class AcmeDriver(RestDriver):
        SESSION = AcmeSession

Certificates, time-outs and the errors of connections are those of `RestClient`.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

import orjson
import requests
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict

from delfin import cryptor, exception
from delfin.common.text import printable
from delfin.drivers.kit.driver import SessionDriver
from delfin.drivers.kit.errors import ArrayBusy, ConnectionBroke, Meaning, NotThere, Refused, SessionExpired, meant
from delfin.drivers.kit.limits import Gate, Item, Limits, Result, in_parallel
from delfin.drivers.kit.mapping import field_of
from delfin.drivers.utils.rest_client import RestClient

_FIRST_ERROR = 400
_WORDS = 200        # of the array's own explanation in an error
_HTTP_ERRORS: Mapping[int, type[exception.DelfinException]] = {
    401: SessionExpired, 403: exception.NotAuthorized, 404: NotThere, 429: ArrayBusy, 503: ArrayBusy}
# When too many are logged in, somebody may go.
_LOGIN_MAY_WAIT = (ArrayBusy, ConnectionBroke, exception.StorageMaxUserCountException)
_READ_MAY_WAIT = (ArrayBusy, ConnectionBroke)
# What methods of subclasses raise when an answer is not what they expect.
_UNEXPECTED = (AttributeError, IndexError, KeyError, TypeError, ValueError)


class RestSession:
    """The session with one array; the arguments are a driver's. For any number of threads.

    Say in a subclass how the array does it: `BASE` stands before every path; `CODE` and `WORDS` are the fields of an
    answer (dots lead inside) with the error's code and text; `ERRORS` maps codes, or HTTP statuses, to exceptions, or
    to an exception and what to do about it; `LIMITS` says how hard the array may be asked; characters of `QUERY_SAFE`
    stay as they are in queries, for arrays that do not read `%2C`. `log_in` is needed, the other methods are not.
    """

    BASE: ClassVar[str] = ''
    CODE: ClassVar[str | None] = None
    WORDS: ClassVar[str | None] = None
    ERRORS: ClassVar[Mapping[int | str, Meaning]] = {}
    LIMITS: ClassVar[Limits] = Limits()
    QUERY_SAFE: ClassVar[str] = '/'

    def __init__(self, **access: Any) -> None:
        self._client = RestClient(**access)
        self._log = logging.getLogger(type(self).__module__)        # has the driver's level
        self._gate = Gate(self.LIMITS)
        self._sleep: Callable[[float], None] = time.sleep
        self._login = threading.RLock()
        self._inside: int | None = None         # the thread that logs in or out
        self._epoch, self._logged_in = 0, False
        self._failed = 0                        # logins
        self._failure: exception.DelfinException | None = None      # the last one's
        self._plain_headers: Mapping[str, Any] = {}

    # --- what a subclass says of the array ---

    def log_in(self, username: str, password: str) -> None:
        """Log in with `self.post` and the like, and put what the array wants to see from now on into `self.headers`
        (cookies are kept anyway). A refusal is an `InvalidUsernameOrPassword`; `SessionExpired` is taken for one here.
        """
        raise NotImplementedError(f'{type(self).__name__} has no log_in()')

    def log_out(self) -> None:
        """End the session on the array. Do: arrays allow few, and some keep them for ever."""

    def url_of(self, path: str) -> str:
        """Where a path of the callers' stands; here below `BASE`. For arrays that want something in it which they tell
        at the login.
        """
        return f'{self.BASE}{path}'

    def code_of(self, status: int, body: Any) -> int | str | None:
        """The error code of an answer, None if it is good; here the field `CODE`, else the HTTP status from 400 on.
        `body` is its JSON, {} if it is empty.
        """
        code: int | str | None = field_of(body, self.CODE) if self.CODE else None
        return status if code is None and status >= _FIRST_ERROR else code

    def message_of(self, body: Any) -> str:
        """The array's words about an error; here the field `WORDS`."""
        return str(field_of(body, self.WORDS) or '') if self.WORDS else ''

    def payload(self, body: Any) -> Any:
        """What of a good answer the callers want."""
        return body

    # --- what drivers use ---

    @property
    def headers(self) -> MutableMapping[str, str]:
        """The headers of every request. What `log_in` puts there goes before the next login."""
        return _Headers(self._open())

    @property
    def host(self) -> str:
        """The address of the array, as registered."""
        return str(self._client.rest_host)

    def get(self, path: str, **query: Any) -> Any:
        """Read; repeated when the array is busy or the connection breaks. Arguments that are None are left out."""
        return self.call('GET', path, query=query)

    def address_of(self, path: str, **query: Any) -> str:
        """The whole URL that `get` would ask, for arrays that take URLs in the body of a request."""
        return f'{self._client.san_address}{self._placed(path, query)}'

    def answer_of(self, body: Any, what: str) -> Any:
        """The `payload` of an answer inside of an answer; raises as if it had come alone. `what` names it in errors."""
        return self._judged(200, body, {}, what)

    def gather(self, ask: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """`ask` of each item, which makes requests with this session; as many at once as `LIMITS` allow. Answers in the
        order of the items; the first error ends it.
        """
        return in_parallel(ask, items, self.LIMITS.at_once)

    def post(self, path: str, body: Any = None) -> Any:
        """Write, once. (After an expired session it is sent again: the array has refused the first.)"""
        return self.call('POST', path, body)

    def put(self, path: str, body: Any = None) -> Any:
        """As `post`."""
        return self.call('PUT', path, body)

    def delete(self, path: str, **query: Any) -> Any:
        """As `post`."""
        return self.call('DELETE', path, query=query)

    def call(self, method: str, path: str, body: Any = None, query: Mapping[str, Any] | None = None, *,
             reads: bool = False) -> Any:
        """Any of the above: the `payload` of the answer. Raises what `ERRORS` says of the array's code, and what
        `RestClient.do_call` raises. `reads` says that a POST changes nothing, so that it may be repeated as a GET is.
        """
        if self._inside == threading.get_ident():
            return self._once(method, path, body, query)
        renewed, attempt = False, 0
        while True:
            attempt += 1
            epoch = self._begin()
            try:
                return self._once(method, path, body, query)
            except SessionExpired:
                if renewed:     # a new session is no better: the user may not do this, it seems
                    raise
                self._expired(epoch)
                renewed = True
            except _READ_MAY_WAIT as error:
                if not (reads or method == 'GET') or attempt >= self.LIMITS.attempts:
                    raise
                self._wait(attempt, error)

    def close(self) -> None:
        """Log out and close the connections. A later request would log in again."""
        with self._login:
            if self._logged_in:
                self._logged_in = False
                self._epoch += 1
                self._inside = threading.get_ident()
                try:
                    self.log_out()
                except exception.DelfinException as error:
                    self._log.info('logging out of %s failed: %s', self.host, error)
                finally:
                    self._inside = None
            if self._client.session is not None:
                self._client.session.close()
                self._client.session = None

    # --- the session ---

    def _open(self) -> requests.Session:
        with self._login:
            if self._client.session is None:
                self._client.init_http_head()
                self._plain_headers = dict(self._client.session.headers)        # type: ignore[attr-defined]
            session: Any = self._client.session
            return session

    def _begin(self) -> int:
        """Log in unless somebody has; a number for this session. Who waited for a login that failed gets its error:
        each attempt counts towards the lock of an account.
        """
        if self._logged_in:
            return self._epoch
        failed = self._failed
        with self._login:
            if not self._logged_in:
                if self._failed != failed and self._failure is not None:
                    raise self._failure
                try:
                    self._log_in()
                except exception.DelfinException as error:
                    self._failed, self._failure = self._failed + 1, error
                    raise
            return self._epoch

    def _log_in(self) -> None:
        session = self._open()
        # Without the last session's. New objects: other threads may be reading the old ones.
        session.headers = CaseInsensitiveDict(self._plain_headers)
        session.cookies = RequestsCookieJar()
        self._inside = threading.get_ident()
        try:
            for attempt in range(1, self.LIMITS.attempts + 1):
                try:
                    self.log_in(str(self._client.rest_username), cryptor.decode(str(self._client.rest_password)))
                    break
                except SessionExpired as error:
                    raise exception.InvalidUsernameOrPassword(message=(
                        f'Invalid username or password. {error}')) from None
                except _UNEXPECTED as error:
                    raise exception.BadResponse(message=(
                        f'{self.host} answered the login with JSON of another shape '
                        f'({type(error).__name__}).')) from None
                except _LOGIN_MAY_WAIT as error:
                    if attempt == self.LIMITS.attempts:
                        raise
                    self._wait(attempt, error)
        finally:
            self._inside = None
        self._logged_in, self._epoch = True, self._epoch + 1
        self._log.debug('logged in to %s', self.host)

    def _expired(self, epoch: int) -> None:
        """The session with this number is over, unless another thread has seen that before."""
        with self._login:
            if self._epoch == epoch:
                self._logged_in = False
                self._log.debug('the session with %s has run out', self.host)

    def _wait(self, attempt: int, error: exception.DelfinException) -> None:
        seconds = self.LIMITS.pause(attempt, getattr(error, 'retry_after', None))
        self._log.info('%s is asked again in %g s: %s', self.host, seconds, error)
        self._sleep(seconds)

    # --- one request ---

    def _once(self, method: str, path: str, body: Any, query: Mapping[str, Any] | None) -> Any:
        self._open()
        url = self._placed(path, query or {})
        with self._gate.turn():
            started = time.monotonic()
            try:
                response = self._client.do_call(url, body, method)
            except exception.BadResponse as error:
                raise ConnectionBroke(message=error.msg) from None
        status, headers, content = response.status_code, response.headers, response.content
        del response        # an error that somebody keeps would keep its connection open
        self._log.debug('%s %s: %d, %d bytes, %.0f ms', method, path, status, len(content),
                        (time.monotonic() - started) * 1000)
        return self._read(status, headers, content, f'{method} {url.partition("?")[0]}')

    def _placed(self, path: str, query: Mapping[str, Any]) -> str:
        given = {name: value for name, value in query.items() if value is not None}
        return self.url_of(path) + (f'?{urlencode(given, quote_via=quote, safe=self.QUERY_SAFE)}' if given else '')

    def _read(self, status: int, headers: Mapping[str, str], content: bytes, what: str) -> Any:
        try:
            body = _decoded(content) if content else {}
        except ValueError:
            if status >= _FIRST_ERROR:
                raise self._refusal(status, status, {}, headers, what) from None
            raise exception.BadResponse(message=(
                f'{self.host} answered {what} with something else than JSON (HTTP {status}); '
                'check rest.port.')) from None
        return self._judged(status, body, headers, what)

    def _judged(self, status: int, body: Any, headers: Mapping[str, str], what: str) -> Any:
        try:
            code = self.code_of(status, body)
            if code is not None:
                raise self._refusal(code, status, body, headers, what)
            return self.payload(body)
        except _UNEXPECTED as error:        # of the subclass's methods
            raise exception.BadResponse(message=(
                f'{self.host} answered {what} with JSON of another shape (HTTP {status}, '
                f'{type(error).__name__}).')) from None

    def _refusal(self, code: int | str, status: int, body: Any, headers: Mapping[str, str],
                 what: str) -> exception.DelfinException:
        found: Meaning = self.ERRORS.get(code) or self.ERRORS.get(str(code)) or self.ERRORS.get(status) or (
            _HTTP_ERRORS.get(status, exception.StorageBackendException if code == status else Refused))
        words = printable(self.message_of(body)).strip()[:_WORDS] if body else ''
        kind, text = meant(found, f'{self.host} answered {what} with {code}' + (f': {words}' if words else '.'))
        if issubclass(kind, ArrayBusy):
            return kind(message=text, retry_after=_seconds(headers.get('Retry-After')))
        return kind(message=text)


class _Headers(MutableMapping[str, str]):
    """The headers of a session, changed by replacing them: other threads may be reading them."""

    def __init__(self, session: requests.Session) -> None:
        self._session = session

    def __getitem__(self, name: str) -> str:
        return str(self._session.headers[name])

    def __setitem__(self, name: str, value: str) -> None:
        self._session.headers = CaseInsensitiveDict({**self._session.headers, name: value})

    def __delitem__(self, name: str) -> None:
        self._session.headers = CaseInsensitiveDict(
            {known: value for known, value in self._session.headers.items() if known.lower() != name.lower()})

    def __iter__(self) -> Iterator[str]:
        return iter(self._session.headers)

    def __len__(self) -> int:
        return len(self._session.headers)


class RestDriver(SessionDriver):
    """A driver whose array is reached by one `RestSession` (`self.session`), which `SESSION` names."""

    PROTOCOLS = ('rest',)
    SESSION: ClassVar[type[RestSession]]
    session: RestSession


def _decoded(content: bytes) -> Any:
    """Of JSON; ValueError. What the quicker reader is too strict for is read by the other one."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return json.loads(content)


def _seconds(value: str | None) -> float | None:
    """Of a Retry-After header; a date in it is not worth the trouble."""
    return float(value) if value is not None and value.strip().isdecimal() else None
