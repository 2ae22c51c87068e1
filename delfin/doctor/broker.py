# SPDX-License-Identifier: Apache-2.0
"""The message broker, and whether a task service answers through it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from oslo_messaging import opts as messaging_opts

from delfin import exception, rpc
from delfin.context import get_admin_context
from delfin.doctor.base import Check, Finding, Patient, Unreachable, ok, problem, transport, warning

_CONNECT_SECONDS = 3.0
_PING_SECONDS = 5.0
_RABBIT = 'oslo_messaging_rabbit'
_QUORUM = ('rabbit_quorum_queue', 'rabbit_transient_quorum_queue')
_PORT = 5672


def transport_url(patient: Patient) -> Iterator[Finding]:
    """Which way the services reach each other."""
    if rpc.is_local(patient.conf):
        yield ok(transport_url, 'local://, for delfin-all only')
        return
    url = transport(patient.conf)
    if any((host.username, host.password) == ('guest', 'guest') for host in url.hosts):
        yield warning(transport_url, 'the broker is used with the account guest and its default password; make an '
                      'account for Delfin with "rabbitmqctl add_user"')
    else:
        yield ok(transport_url, f'{url.transport}, {_hosts(url)}')


def broker_queues(patient: Patient) -> Iterator[Finding]:
    """Whether queues live on more than one node of the broker."""
    if not _is_rabbit(patient):
        return
    for group, options in messaging_opts.list_opts():
        if group == _RABBIT:
            patient.conf.register_opts(options, group=group)
    missing = [name for name in _QUORUM if not patient.conf[_RABBIT][name]]
    if missing:
        yield warning(broker_queues, f'[{_RABBIT}] {" and ".join(missing)} should be true on every host, with a new '
                      'virtual host: other queues are lost with a node of the broker')
    else:
        yield ok(broker_queues, 'quorum queues')


def broker_reachable(patient: Patient) -> Iterator[Finding]:
    """Whether somebody listens there."""
    if rpc.is_local(patient.conf):
        return
    url = transport(patient.conf)
    refused = []
    for host in url.hosts:
        try:
            socket.create_connection((host.hostname, host.port or _PORT), _CONNECT_SECONDS).close()
        except OSError as error:
            refused.append(f'{host.hostname}:{host.port or _PORT} ({error.strerror or error})')
    for where in refused[:len(url.hosts) - 1]:
        yield warning(broker_reachable, f'{where} cannot be reached; is this node of the broker running?')
    if len(refused) == len(url.hosts):
        raise Unreachable(f'{", ".join(refused)} cannot be reached; start the broker, or correct transport_url')
    if not refused:
        yield ok(broker_reachable, _hosts(url))


def task_service_answers(patient: Patient) -> Iterator[Finding]:
    """A question to a task service and its answer, all the way."""
    if rpc.is_local(patient.conf):
        return
    connection = rpc.Rpc(patient.conf)
    try:
        answer = connection.client(rpc.TASK_TOPIC).call(get_admin_context(), 'ping', timeout_seconds=_PING_SECONDS)
        yield ok(task_service_answers, f'{answer["host"]}, version {answer["version"]}')
    except exception.ServiceUnavailable as error:
        yield problem(task_service_answers, f'{error.msg} (if the broker is up: are account, password and virtual host '
                      'of transport_url right, and does delfin-task run?)')
    finally:
        with suppress(Exception):       # a broker that fails now has answered the question already
            connection.close()


def _is_rabbit(patient: Patient) -> bool:
    return not rpc.is_local(patient.conf) and transport(patient.conf).transport == 'rabbit'


def _hosts(url: Any) -> str:
    return ', '.join(f'{host.hostname}:{host.port or _PORT}' for host in url.hosts)


CHECKS: tuple[Check, ...] = (transport_url, broker_queues, broker_reachable, task_service_answers)
