# SPDX-License-Identifier: Apache-2.0
"""Rules about what goes wrong: passwords, hosts, sessions, time; and what errors and logs may say."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

from delfin import exception
from delfin.drivers import errors
from delfin.drivers.compliance.bench import Bench, Reply
from delfin.drivers.compliance.contract import METHODS
from delfin.drivers.compliance.hostile import HostileHost, Manner
from delfin.drivers.compliance.isolation import REFUSED, WRONG_PASSWORD, with_wrong_password
from delfin.drivers.compliance.rules import Problem, Skip, rule

_CONNECTIONS_AT_MOST: Final = 10
_UNREACHABLE: Final = (
    exception.InvalidIpOrPort, exception.ConnectTimeout, exception.HTTPConnectionTimeout, exception.SSHConnectTimeout,
    exception.SSHException, exception.SSLHandshakeFailed)
_SHOWN: Final = 5


class _Visit(NamedTuple):
    """What came of sending the driver to a hostile host."""

    reply: Reply
    connections: int
    seconds: float


class _Visits:
    """Each manner once."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    @functools.cache    # noqa: B019  lives as long as the bench
    def to(self, manner: Manner) -> _Visit:
        """Build a driver that connects there, and ask it who it is."""
        bench = self._bench
        with HostileHost(manner) as host:
            storage_id = bench.add(host.access(bench.device.access(), bench.patience.socket))
            began = time.monotonic()
            reply = bench.call('get_storage', storage_id=storage_id, seconds=bench.patience.hostile)
            taken = time.monotonic() - began
            bench.forget(storage_id)
        return _Visit(reply, host.connections, taken)


_VISITS: WeakKeyDictionary[Bench, _Visits] = WeakKeyDictionary()


def _visit(bench: Bench, manner: Manner) -> _Visit:
    """`Skip` if the driver does not connect to the address that it is given."""
    visits = _VISITS.setdefault(bench, _Visits(bench))
    if not visits.to(Manner.SILENT).connections:
        raise Skip('the driver opens no connection to the address that it is given')
    return visits.to(manner)


@rule('E01', 'A wrong password is InvalidUsernameOrPassword, InvalidCredential or NotAuthorized, at the latest at the '
      'first call',
      'log in with what is given and raise one of them; Delfin then does not try again, which might lock the account')
def wrong_password(bench: Bench) -> Iterator[Problem]:
    storage_id = bench.add(with_wrong_password(bench.device.access()))
    reply = bench.call('get_storage', storage_id=storage_id)
    bench.forget(storage_id)
    if reply.stranger is None and not isinstance(reply.error, REFUSED):
        yield Problem(f'with a wrong password {reply.why()}', 'get_storage')


@rule('E02', 'A host that refuses connections is an error that says so (InvalidIpOrPort, ConnectTimeout …), in time',
      'let errors of requests and paramiko pass, or raise such a one')
def refused(bench: Bench) -> Iterator[Problem]:
    reply = _visit(bench, Manner.REFUSE).reply
    if isinstance(reply.error, exception.DriverCallTimeout):
        yield Problem(f'no answer within {bench.patience.hostile:g} s', 'get_storage')
    elif reply.stranger is None and not isinstance(reply.error, _UNREACHABLE):
        yield Problem(f'of a host that refuses connections {reply.why()}', 'get_storage')


def _in_time(bench: Bench, manner: Manner) -> Iterator[Problem]:
    reply = _visit(bench, manner).reply
    if isinstance(reply.error, exception.DriverCallTimeout):
        yield Problem(f'of a host that {manner.value} no answer within {bench.patience.hostile:g} s', 'get_storage')
    elif reply.answered or reply.refused:
        yield Problem(f'of a host that {manner.value} get_storage {reply.why()}', 'get_storage')


@rule('T01', 'A host that accepts and stays silent costs an error in time, not a thread',
      'set a time-out for connecting and reading; `timeout` of the access section, if it is given')
def silent(bench: Bench) -> Iterator[Problem]:
    yield from _in_time(bench, Manner.SILENT)


@rule('T02', 'A host that sends a byte now and then does so, too: there is a limit for the whole answer',
      'a time-out of the socket begins anew with each byte; RestClient has a limit for all')
def trickle(bench: Bench) -> Iterator[Problem]:
    yield from _in_time(bench, Manner.TRICKLE)


@rule('T03', f'A host that hangs up is an error after at most {_CONNECTIONS_AT_MOST} attempts',
      'try again once or twice, with a pause')
def closed(bench: Bench) -> Iterator[Problem]:
    visit = _visit(bench, Manner.CLOSE)
    if visit.connections > _CONNECTIONS_AT_MOST:
        yield Problem(f'connects {visit.connections} times to a host that hangs up', 'get_storage')
    else:
        yield from _in_time(bench, Manner.CLOSE)


@rule('E04', 'A web page in place of an answer is an error',
      'check the form of an answer before it is used')
def rubbish(bench: Bench) -> Iterator[Problem]:
    yield from _in_time(bench, Manner.RUBBISH)


@rule('E05', 'When the device has ended the session, the call that meets this logs in again, or fails and the next one '
      'works',
      'log in again once, or raise NotAuthorized: then Delfin calls reset_connection')
def expired(bench: Bench) -> Iterator[Problem]:
    if not bench.storage.answered:
        raise Skip('get_storage does not answer')
    bench.call('get_storage')
    if not bench.device.expire_sessions():
        raise Skip('the device cannot end sessions')
    first = bench.call('get_storage')
    if first.stranger is not None:
        return
    if first.error is not None and not errors.session_lost(first.error):
        yield Problem(f'when the session has ended {first.why()}, which does not say so', 'get_storage')
    elif first.error is not None:
        again = bench.call('get_storage')
        if not again.answered:
            yield Problem(f'after the session had ended {again.why()}', 'get_storage')


@rule('E06', 'A device that fails makes the call fail: never an empty or partial answer',
      'let the error pass; an empty list would have Delfin delete what it knows')
def failing(bench: Bench) -> Iterator[Problem]:
    broken = bench.device.failing()
    if broken is None:
        raise Skip('the device cannot fail on demand')
    answered = [name for name, reply in bench.inventory.replies.items() if reply.answered]
    answered += ['list_alerts'] if bench.alerts.answered else []
    with broken:
        for name in answered:
            if bench.call(name).answered:
                yield Problem('answers although the device fails', name)


@rule('E07', 'What is raised is of delfin.exception, of requests or paramiko, or an OSError',
      'catch what your code may meet and raise one of delfin.exception', last=True)
def family(bench: Bench) -> Iterator[Problem]:
    seen: set[tuple[str, str]] = set()
    for reply in bench.replies:
        stranger = reply.stranger
        if stranger is not None and (reply.method, stranger) not in seen:
            seen.add((reply.method, stranger))
            yield Problem(f'raises {stranger}', reply.method if reply.method in METHODS else None)


@rule('E08', 'No secret in an error, a log line of any level, or repr()',
      'name the user and the host, never the password', last=True)
def secrets(bench: Bench) -> Iterator[Problem]:
    shown = bench.call('__repr__')      # of the instance: the door calls any method
    if shown.answered and bench.masker.leaks(str(shown.value)):
        yield Problem('repr() shows a secret')
    for number, text in enumerate(bench.leaks()):
        if number < _SHOWN:
            yield Problem(text.replace(WRONG_PASSWORD, '***'))
