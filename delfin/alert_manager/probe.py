# SPDX-License-Identifier: Apache-2.0
"""Does the SNMP agent of an array answer? Asked after each change of its configuration and now and then; an outage is
one alert, which is cleared when the agent answers again.

The answer of a v3 agent also tells its engine id, by which its traps are known.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from datetime import UTC, datetime
from typing import Any, Self

import sqlalchemy as sa
from pysnmp.hlapi.v3arch import asyncio as snmp
from sqlalchemy.exc import SQLAlchemyError

from delfin import alerts as model
from delfin import exception
from delfin.alert_manager import sources
from delfin.alert_manager.snmp import protocols
from delfin.common import constants
from delfin.common.text import clean, first_line
from delfin.db import Database, alert_sources, alerts
from delfin.keyring import Keyring, place

LOG = logging.getLogger(__name__)

ALERT_ID = '19660818'           # as clients know it
_SYS_DESCR = '1.3.6.1.2.1.1.1.0'
_PORT, _TIMEOUT_SECONDS, _RETRIES = 161, 2, 1
_LOOK_SECONDS = 5.0
_MOST_AT_ONCE = 20
_DAY_SECONDS = 86400.0

_AUTH = {'HMACMD5': snmp.USM_AUTH_HMAC96_MD5, 'HMACSHA': snmp.USM_AUTH_HMAC96_SHA,
         'HMCSHA2224': snmp.USM_AUTH_HMAC128_SHA224, 'HMCSHA2256': snmp.USM_AUTH_HMAC192_SHA256,
         'HMCSHA2384': snmp.USM_AUTH_HMAC256_SHA384, 'HMCSHA2512': snmp.USM_AUTH_HMAC384_SHA512}
# A protocol whose keys are made in two ways is tried in both.
_PRIVACY = {'DES': (snmp.USM_PRIV_CBC56_DES,), '3DES': (snmp.USM_PRIV_CBC168_3DES,),
            'AES': (snmp.USM_PRIV_CFB128_AES,),
            'AES192': (snmp.USM_PRIV_CFB192_AES_BLUMENTHAL, snmp.USM_PRIV_CFB192_AES),
            'AES256': (snmp.USM_PRIV_CFB256_AES_BLUMENTHAL, snmp.USM_PRIV_CFB256_AES),
            'AES192C': (snmp.USM_PRIV_CFB192_AES,), 'AES256C': (snmp.USM_PRIV_CFB256_AES,)}

Row = Mapping[str, Any]


class ProbeFailed(Exception):
    """The agent did not answer as it should."""


class Prober:
    """Asks the agents that are due. Several alert services share them: each is asked by one."""

    def __init__(self, database: Database, keyring: Keyring, interval_seconds: float,
                 on_change: Callable[[], None], on_learned: Callable[[], None]) -> None:
        self._database, self._keyring = database, keyring
        self._interval_seconds = interval_seconds
        self._on_change, self._on_learned = on_change, on_learned
        self._bell = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name='snmp-probe', daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Some configuration has changed."""
        self._bell.set()

    def stop(self) -> None:
        """End; an answer that is waited for is not waited for any longer."""
        self._stopping = True
        self._bell.set()

    def _run(self) -> None:
        while not self._stopping:
            self._bell.clear()
            try:
                asyncio.run(self._ask_due())
            except SQLAlchemyError as error:
                LOG.warning('SNMP agents could not be looked at; is the database up? %s', first_line(error))
            except Exception:       # nobody would be asked any more
                LOG.exception('asking SNMP agents')
            self._bell.wait(_LOOK_SECONDS)

    async def _ask_due(self) -> None:
        while due := self._take(_MOST_AT_ONCE):
            with Engines() as engines:
                await asyncio.gather(*(self._ask(row, engines) for row in due))
            if self._stopping:
                return

    def _take(self, limit: int) -> list[dict[str, Any]]:
        # With an interval of 0 nobody is asked again until his configuration changes.
        pause = self._interval_seconds or 365 * _DAY_SECONDS
        found: list[dict[str, Any]] = []
        with self._database.write('probe') as connection:
            while len(found) < limit and (row := alert_sources.take_probe(connection, pause)) is not None:
                found.append(row)
        return found

    async def _ask(self, row: Row, engines: Engines) -> None:
        try:
            engine_id = await ask(row, self._keyring, engines)
            error = None
        except ProbeFailed as failure:
            engine_id, error = None, str(failure)
        except Exception as failure:        # whatever a broken agent does to the library
            LOG.debug('probe', exc_info=True)
            engine_id, error = None, f'{type(failure).__name__}: {clean(str(failure))}'
        await asyncio.to_thread(self._note, row, engine_id, error)

    def _note(self, row: Row, engine_id: bytes | None, error: str | None) -> None:
        storage_id, state = row['storage_id'], alert_sources.FAILED if error else alert_sources.OK

        def write(connection: sa.Connection) -> str | None:
            before = alert_sources.note_probe(connection, storage_id, state, error)
            if engine_id:
                alert_sources.learn_engine_id(connection, storage_id, engine_id.hex())
            if state != before:
                alerts.apply(connection, [_report(row, error)])
            return before
        before = self._database.attempt(write, 'probed')
        if state != before:
            LOG.log(logging.WARNING if error else logging.INFO, 'the SNMP agent of storage %s %s', storage_id,
                    f'does not answer: {error}' if error else 'answers')
            self._on_change()
        if engine_id and row['engine_id'] is None:
            self._on_learned()


def _report(row: Row, error: str | None) -> alerts.Report:
    """The alert of an outage, or its end."""
    moment = datetime.now(UTC)
    values = dict.fromkeys((column.name for column in model.ALERT_COLUMNS), None) | {
        'alert_id': ALERT_ID, 'alert_name': 'SNMP agent does not answer', 'severity': constants.Severity.MAJOR,
        'category': constants.Category.FAULT if error else constants.Category.RECOVERY,
        'type': constants.EventType.COMMUNICATIONS_ALARM, 'match_key': 'delfin-snmp-agent',
        'resource_type': constants.DEFAULT_RESOURCE_TYPE, 'location': f'NetworkEntity={row["host"]}'[:255],
        'occur_time': int(moment.timestamp() * 1000), 'description': error,
        'recovery_advice': 'Check that the agent runs, that UDP port 161 is open towards the alert service, and the '
                           'community or user in the SNMP configuration of this storage.'}
    return alerts.Report(row['storage_id'], values, moment, model.DELFIN)


class Engines:
    """pysnmp's engines for one round of questions. Whoever asks with the same credentials shares one: it takes 150 ms
    to make. Never for longer than a round: an engine remembers users and clocks that may have changed.
    """

    def __init__(self) -> None:
        self._made: dict[Hashable, snmp.SnmpEngine] = {}
        self.engine_ids: dict[tuple[Any, ...], bytes] = {}      # of agents, by address

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for engine in self._made.values():
            engine.close_dispatcher()

    def of(self, user: Any) -> snmp.SnmpEngine:
        """The engine to ask with these credentials."""
        key = None if isinstance(user, snmp.CommunityData) else (
            user.userName, user.authentication_protocol, user.authentication_key, user.privacy_protocol,
            user.privacy_key)
        if key not in self._made:
            engine = self._made[key] = snmp.SnmpEngine()
            engine.observer.register_observer(self._note, 'rfc3412.receiveMessage:response')
        return self._made[key]

    def _note(self, _engine: Any, _point: str, variables: Mapping[str, Any], _context: Any) -> None:
        engine_id = bytes(variables['contextEngineId'] or b'')
        if engine_id:
            self.engine_ids[tuple(variables['transportAddress'])] = engine_id


async def ask(row: Row, keyring: Keyring, engines: Engines) -> bytes | None:
    """Ask the first host of a configuration that answers for its description; the engine id of a v3 agent.

    `ProbeFailed` says why nobody did.
    """
    problem = 'no host is configured'
    for host in sources.split(row['host']):
        for user in _credentials(row, keyring):
            try:
                return await _get(host, row, user, engines)
            except ProbeFailed as failure:
                problem = f'{host}: {failure}'
    raise ProbeFailed(problem)


def _credentials(row: Row, keyring: Keyring) -> list[Any]:
    def secret(name: str) -> str | None:
        return None if row[name] is None else keyring.open(
            row[name], place(row['storage_id'], alert_sources.PLACE, name))
    try:
        if row['version'] != 'SNMPv3':
            return [snmp.CommunityData(secret('community_string'), mpModel=int(row['version'] != 'SNMPv1'))]
        given: dict[str, Any] = {}
        protected: tuple[Any, ...] = (None,)
        if row['security_level'] != protocols.NO_AUTH_NO_PRIV:
            given = {'authKey': secret('auth_key'), 'authProtocol': _AUTH[row['auth_protocol']]}
        if row['security_level'] == protocols.AUTH_PRIV:
            protected = _PRIVACY[row['privacy_protocol']]
            given['privKey'] = secret('privacy_key')
        return [snmp.UsmUserData(row['username'], **given, **({'privProtocol': way} if way else {}))
                for way in protected]
    except exception.SecretUnreadable as error:
        raise ProbeFailed(error.msg) from None


async def _get(host: str, row: Row, user: Any, engines: Engines) -> bytes | None:
    options = {'timeout': row['expiration'] or _TIMEOUT_SECONDS,
               'retries': _RETRIES if row['retry_num'] is None else row['retry_num']}
    began = time.monotonic()
    try:
        family, *_, address = (await asyncio.get_running_loop().getaddrinfo(
            host.strip('[]'), row['port'] or _PORT, type=socket.SOCK_DGRAM))[0]
        target = snmp.Udp6TransportTarget if family == socket.AF_INET6 else snmp.UdpTransportTarget
        transport = await target.create((str(address[0]), int(address[1])), **options)
        context = snmp.ContextData(contextName=(row['context_name'] or '').encode())
        trouble, status, _, _ = await snmp.get_cmd(
            engines.of(user), user, transport, context, snmp.ObjectType(snmp.ObjectIdentity(_SYS_DESCR)),
            lookupMib=False)
        if trouble:
            raise ProbeFailed(f'{clean(str(trouble))} ({time.monotonic() - began:.1f} s)')
        if status:
            LOG.debug('%s answers with an error: %s', host, status)     # it answers
        return engines.engine_ids.get(tuple(transport.transport_address)) if row['version'] == 'SNMPv3' else None
    except (OSError, UnicodeError) as error:        # UnicodeError: a name that is none
        raise ProbeFailed(getattr(error, 'strerror', None) or clean(str(error)) or type(error).__name__) from None
