# SPDX-License-Identifier: Apache-2.0
"""Rules about instances: they do not mix arrays up, stand the threads that they claim, log out and leave nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Final

from delfin import exception
from delfin.access import Access
from delfin.common.constants import ACCESS_TYPE
from delfin.drivers.api import Lane
from delfin.drivers.compliance.bench import Bench, Reply
from delfin.drivers.compliance.contract import METHODS
from delfin.drivers.compliance.inventory import Inventory
from delfin.drivers.compliance.rules import Problem, Skip, rule
from delfin.drivers.instances import capacity_of

THREADS_AT_MOST: Final = 8
REFUSED: Final = (exception.InvalidUsernameOrPassword, exception.InvalidCredential, exception.NotAuthorized)
WRONG_PASSWORD: Final = 'wrong-password-of-delfin-compliance'


def with_wrong_password(access: Access) -> Access:
    """The same with another password; `Skip` if there is none in it."""
    changed: dict[str, Any] = {name: dict(value) if isinstance(value, dict) else value
                               for name, value in access.items()}
    found = False
    for section in ACCESS_TYPE:
        if changed.get(section) and changed[section].get('password'):
            changed[section]['password'] = WRONG_PASSWORD
            found = True
    if not found:
        raise Skip('there is no password in the access information')
    return changed


@rule('I01', 'Instances of two arrays do not mix up what they say',
      'keep state in the instance, never in the class or the module')
def two_arrays(bench: Bench) -> Iterator[Problem]:
    other = bench.device.another()
    if other is None:
        raise Skip('there is no second device')
    expected = _said(bench.storage), bench.inventory.keys()
    other_id = bench.add(other)
    there = _said(bench.call('get_storage', storage_id=other_id))
    here = _said(bench.call('get_storage'))
    keys = Inventory.ask(bench, other_id).keys(), Inventory.ask(bench).keys()
    if there is not None and there == expected[0]:
        yield Problem(f'two arrays have one serial number, {there}', 'get_storage')
    elif here != expected[0]:
        yield Problem(f'after another array was asked this one is {here}, not {expected[0]}', 'get_storage')
    stays = bench.again.keys()
    for name, ids in keys[1].items():
        if stays.get(name) == expected[1].get(name) != ids:
            yield Problem(f'{name}: other rows after another array was asked', bench.inventory.listings[name].method)
    bench.forget(other_id)


def _said(reply: Reply) -> Any:
    return reply.value.get('serial_number') if reply.answered and isinstance(reply.value, dict) else None


@rule('I02', 'As many calls at once as MAX_CONCURRENT_CALLS says give what single calls give',
      'lock what is shared, or leave MAX_CONCURRENT_CALLS 1')
def threads(bench: Bench) -> Iterator[Problem]:
    at_once = min(capacity_of(bench.driver_class), THREADS_AT_MOST)
    if at_once == 1:
        raise Skip('the driver takes one call at a time')
    names = [name for name, reply in bench.inventory.replies.items() if reply.answered and METHODS[name].kind]
    if not names:
        raise Skip('no list method answers')
    found: set[tuple[str, str]] = set()
    start = threading.Barrier(at_once)

    def ask(number: int) -> None:
        start.wait()
        for step in range(len(names)):
            name = names[(step + number * len(names) // at_once) % len(names)]      # everybody something else
            reply = bench.call(name, lane=Lane.BULK)
            inventory = Inventory()
            if reply.answered:
                inventory.take(name, reply)
            expected = {table: keys for table, keys in bench.again.keys().items()
                        if bench.again.listings[table].method == name}
            if not reply.answered:
                found.add((name, f'at the same time as others {reply.why()}'))
            elif inventory.keys() != expected:
                found.add((name, 'gives other rows at the same time as others'))

    workers = [threading.Thread(target=ask, args=(number,), name=f'driver-compliance-{number}')
               for number in range(at_once)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for name, text in sorted(found):
        yield Problem(text, name)


@rule('I05', 'reset_connection makes the next calls use what it was given: a wrong password fails, the right one works '
      'again',
      'log out, keep the new access information, log in at the next call')
def reset(bench: Bench) -> Iterator[Problem]:
    access = bench.device.access()
    wrong = with_wrong_password(access)
    if not bench.storage.answered:
        raise Skip('get_storage does not answer')
    storage_id = bench.add(access)
    if not bench.call('get_storage', storage_id=storage_id).answered:
        raise Skip('the device takes no second session')
    changed = bench.call('reset_connection', storage_id=storage_id, **bench.arguments(wrong))
    if changed.refused:
        yield Problem('raises NotImplementedError', 'reset_connection')
    later = bench.call('get_storage', storage_id=storage_id)
    if changed.answered and later.answered:
        yield Problem('after it was given a wrong password, calls work: it goes on with the old one or asks for none',
                      'reset_connection')
    bench.call('reset_connection', storage_id=storage_id, **bench.arguments(access))
    again = bench.call('get_storage', storage_id=storage_id)
    if not again.answered and again.stranger is None:
        yield Problem(f'with the right password again get_storage {again.why()}', 'reset_connection')
    bench.forget(storage_id)


@rule('I03', 'Arguments are left as they are',
      'copy what you change', last=True)
def arguments(bench: Bench) -> Iterator[Problem]:
    _ = bench.again, bench.alerts
    for method in dict.fromkeys(bench.changed_arguments):
        yield Problem('changes its arguments', method)


@rule('I04', 'After delete_storage no thread and no socket is left; a second call is no error',
      'end what was started in delete_storage', last=True)
def nothing_left(bench: Bench) -> Iterator[Problem]:
    for _ in range(2):
        reply = bench.call('delete_storage')
        if not reply.answered and not reply.refused and reply.stranger is None:
            yield Problem(reply.why(), 'delete_storage')
    for left in bench.traces.left(bench.patience.leaving):
        yield Problem(f'{left} is left', 'delete_storage')


@rule('I06', 'delete_storage logs out',
      'arrays allow few sessions, and one that was left counts until it times out', last=True)
def logged_out(bench: Bench) -> Iterator[Problem]:
    bench.call('delete_storage')
    sessions = bench.device.sessions()
    if sessions is None:
        raise Skip('the device does not tell who is logged in')
    if sessions:
        yield Problem(f'{sessions} session(s) are left on the device', 'delete_storage')
