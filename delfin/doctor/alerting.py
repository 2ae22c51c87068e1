# SPDX-License-Identifier: Apache-2.0
"""Traps, alert sources and exporters, as the database knows them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from delfin import exception
from delfin.alert_manager import sockets
from delfin.alert_manager.sources import split
from delfin.db import alert_sources, exports, traps
from delfin.db.engine import now
from delfin.doctor.base import Check, Finding, Patient, ok, problem, warning
from delfin.rotation import some

_LATELY = timedelta(hours=1)
# By stream of exporters.
_MANY_WAITING = {'alerts': 1000, 'metrics': 1_000_000}
_UNITS = {'alerts': 'events', 'metrics': 'points'}
_SERVICES = {'alerts': 'delfin-alert', 'metrics': 'delfin-task'}


def trap_addresses(patient: Patient) -> Iterator[Finding]:
    """Whether what [alerts] listen says can be understood."""
    for text in patient.conf.alerts.listen:
        try:
            sockets.parse_address(text)
        except exception.InvalidConfiguration as error:
            yield problem(trap_addresses, error.msg)
    if not patient.conf.alerts.listen:
        yield warning(trap_addresses, '[alerts] listen is empty: who runs with this configuration receives no traps')


def silent_agents(patient: Patient) -> Iterator[Finding]:
    """Which configured SNMP agents did not answer when they were asked last."""
    with patient.database.read() as connection:
        failed = [row['storage_id'] for row in alert_sources.listing(connection)
                  if row['probe_state'] == alert_sources.FAILED]
    if failed:
        yield warning(silent_agents, f'the SNMP agent of {some(failed)} does not answer; GET '
                      '/v1/storages/{id}/snmp-config says why')


def refused_traps(patient: Patient) -> Iterator[Finding]:
    """Whether senders that are configured were refused in the last hour."""
    with patient.database.read() as connection:
        hosts = {host for row in alert_sources.listing(connection) for host in split(row['host'])}
        since = now(connection) - _LATELY
        found = [f'{row["address"]} ({row["reason"]})' for row in traps.rejected(connection)
                 if row['address'] in hosts and row['last_at'] > since]
    if found:
        yield warning(refused_traps, f'traps of configured senders were refused in the last hour: {some(found)}; GET '
                      '/v1/traps/rejected, and docs/alerts.md for what the reasons mean')


def failed_traps(patient: Patient) -> Iterator[Finding]:
    """Whether traps wait for somebody to look at them."""
    with patient.database.read() as connection:
        newest = traps.failed(connection, 1)
    if newest:
        moment = f'{newest[0]["received_at"]:%Y-%m-%d %H:%M:%S} UTC'
        yield warning(failed_traps, f'there are traps that no driver could read, the newest of {moment}: '
                      f'{newest[0]["error"]}; see "delfin-manage traps list", and "delfin-manage traps retry" after '
                      'the driver was mended')


def exporting(patient: Patient) -> Iterator[Finding]:
    """Whether what exporters have to deliver is taken."""
    with patient.database.read() as connection:
        found = exports.listing(connection)
        moment = now(connection)
    for row in found:
        name, waiting = f'exporter {row["name"]} of {row["stream"]}', f'{row["waiting"]} {_UNITS[row["stream"]]} wait'
        if row['error']:
            yield problem(exporting, f'{name} fails, {waiting}: {row["error"]}')
        elif row['expires_at'] is None or row['expires_at'] < moment:
            yield warning(exporting, f'no node runs {name}, {waiting}; start {_SERVICES[row["stream"]]} with it in '
                          f'[{row["stream"]}] exporters')
        elif row['waiting'] > _MANY_WAITING[row['stream']]:
            yield warning(exporting, f'{waiting} for {name}')
    if found and not any(row['error'] for row in found):
        yield ok(exporting, some([f'{row["name"]} ({row["stream"]})' for row in found]))


CHECKS: tuple[Check, ...] = (trap_addresses, silent_agents, refused_traps, failed_traps, exporting)
