# SPDX-License-Identifier: Apache-2.0
"""Who may send notifications, for which storage, and how he proves it.

Receivers look senders up in an immutable `Table`, which is replaced as a whole when the configuration changes, so that
a changed or removed source counts from the next datagram on. A source that cannot be used (its secret does not open,
its host has no address) is reported and disturbs no other.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from delfin import exception
from delfin.alert_manager.snmp import protocols, usm
from delfin.common.text import first_line
from delfin.db import Database, alert_sources
from delfin.db.alert_sources import Configuration, Known
from delfin.keyring import Keyring, place

LOG = logging.getLogger(__name__)

_POLL_SECONDS = 5.0         # so late a change is seen that no message announced
_RETRY_SECONDS = 30.0       # after a name could not be looked up
_V3 = 'SNMPv3'

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """One storage's configuration. v1 and v2c prove themselves by `community`, v3 by `user` and `engine_id` (None: the
    first one that authenticates is learned).
    """

    storage_id: str
    hosts: tuple[str, ...]
    community: bytes | None = field(default=None, repr=False)
    user: usm.User | None = None
    engine_id: bytes | None = None


class Table:
    """Senders by address."""

    def __init__(self, sources: Iterable[Source] = (), addresses: Mapping[str, Iterable[str]] | None = None,
                 controllers: Mapping[tuple[str, str], str] | None = None,
                 storages: Mapping[str, Known] | None = None) -> None:
        self._storages = dict(storages or {})
        self._by_address: dict[str, tuple[Source, ...]] = {}
        sources = list(sources)
        self.unpinned = [source.storage_id for source in sources if source.user is not None and not source.engine_id]
        self._controllers = dict(controllers or {})
        by_address: dict[str, list[Source]] = defaultdict(list)
        for source in sources:
            for address in dict.fromkeys(address for host in source.hosts
                                         for address in (addresses or {}).get(host, (host,))):
                by_address[address].append(source)
        self._by_address = {address: tuple(found) for address, found in by_address.items()}

    @classmethod
    def of(cls, read: Configuration, sources: Iterable[Source] = (),
           addresses: Mapping[str, Iterable[str]] | None = None) -> Table:
        """From the database: storages and controllers as it has them, `sources` as they could be opened."""
        controllers = {(storage_id, _literal(host) or host): name
                       for (storage_id, host), name in read.controllers.items()}
        return cls(sources, addresses, controllers, read.storages)

    def at(self, address: str) -> tuple[Source, ...]:
        """Who may send from this address."""
        return self._by_address.get(address, ())

    def storage(self, storage_id: str) -> Known | None:
        """A storage that has an alert source."""
        return self._storages.get(storage_id)

    def controller(self, storage_id: str, address: str) -> str | None:
        """Name of the storage's controller that has this address."""
        return self._controllers.get((storage_id, address))


class Sources:
    """Keeps the table true. `on_change` is called after each replacement."""

    def __init__(self, database: Database, keyring: Keyring, resolve_interval_seconds: float,
                 on_change: Callable[[], None] = lambda: None) -> None:
        self._database = database
        self._keyring = keyring
        self._resolve_interval_seconds = resolve_interval_seconds
        self._on_change = on_change
        self._table = Table()
        self._made: dict[str, tuple[tuple[Any, ...], Source | None]] = {}
        self._seen: tuple[Any, ...] | None = None
        self._addresses: dict[str, tuple[str, ...]] = {}        # of names
        self._names: frozenset[str] = frozenset()
        self._failing: set[str] = set()         # names of which the log says already that they could not be looked up
        self._to_pin: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._bell = threading.Event()
        self._resolver_bell = threading.Event()
        self._stopping = False
        self._threads = [threading.Thread(target=self._run, name='alert-sources', daemon=True),
                         threading.Thread(target=self._resolve_all, name='alert-resolver', daemon=True)]

    @property
    def table(self) -> Table:
        """The senders as they are now."""
        return self._table

    def start(self) -> None:
        """Load, then keep looking. The names of hosts are looked up beside that."""
        self.load()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping = True
        self._bell.set()
        self._resolver_bell.set()
        for thread in self._threads:
            if thread.is_alive() and thread is not self._threads[1]:        # a name server may be slow
                thread.join()

    def wake(self) -> None:
        """The configuration has changed."""
        self._bell.set()

    def load(self) -> None:
        """Read the configuration now."""
        with self._lock:
            with self._database.read() as connection:
                read = alert_sources.configuration(connection)
            seen = (read, self._addresses)
            if seen == self._seen and None not in (source for _, source in self._made.values()):
                return
            before = dict(self._made)
            sources = [source for row in read.sources
                       if (source := self._source(row, read.hosts[row['storage_id']]))]
            self._made = {row['storage_id']: self._made[row['storage_id']] for row in read.sources}
            if seen == self._seen and self._made == before:     # what could not be used still cannot
                return
            self._names = frozenset(host for source in sources for host in source.hosts if _literal(host) is None)
            # A name that comes back some day is looked up anew.
            self._addresses = {name: found for name, found in self._addresses.items() if name in self._names}
            self._table = Table.of(read, sources, {name: self._addresses.get(name, ()) for name in self._names})
            self._seen = read, self._addresses
        if self._names - self._addresses.keys():
            self._resolver_bell.set()
        self._on_change()

    def pin(self, storage_id: str, engine_id: bytes) -> None:
        """Whose engine has authenticated: stored soon, by a thread that may wait for the database."""
        self._to_pin[storage_id] = engine_id
        self._bell.set()

    def _store_pins(self) -> None:
        while self._to_pin:
            storage_id, engine_id = next(iter(self._to_pin.items()))
            with self._database.write('pin') as connection:
                alert_sources.learn_engine_id(connection, storage_id, engine_id.hex())
            LOG.info('the alert source of storage %s has the engine id %s', storage_id, engine_id.hex())
            del self._to_pin[storage_id]

    def _run(self) -> None:
        while not self._stopping:
            self._bell.wait(_POLL_SECONDS)
            self._bell.clear()
            if self._stopping:
                return
            for action in (self._store_pins, self.load):    # a pin that cannot be stored keeps no news away
                try:
                    action()
                except SQLAlchemyError as error:
                    LOG.warning('alert sources could not be looked at, those of before stay in use; is the database '
                                'up? %s', first_line(error))
                except Exception:       # receivers would work with an old table for ever
                    LOG.exception('alert sources')

    def _source(self, row: Row, further: Iterable[str]) -> Source | None:
        """The source of a row; made anew only when the row has changed, since keys are made of it."""
        hosts = tuple(dict.fromkeys(_literal(host) or host for host in (*split(row['host']), *further) if host))
        made_of = (hosts, *(row[name] for name in (
            'version', 'community_string', 'username', 'security_level', 'auth_protocol', 'auth_key',
            'privacy_protocol', 'privacy_key', 'engine_id')))
        known = self._made.get(row['storage_id'])
        again = known is not None and known[0] == made_of
        if known is None or known[1] is None or not again:      # a secret opens once its key is back in the file
            known = self._made[row['storage_id']] = (made_of, self._open(row, hosts, told=again))
        return known[1]

    def _open(self, row: Row, hosts: tuple[str, ...], told: bool) -> Source | None:
        storage_id = row['storage_id']

        def secret(name: str) -> str | None:
            return None if row[name] is None else self._keyring.open(
                row[name], place(storage_id, alert_sources.PLACE, name))
        try:
            if protocols.canonical_version(row['version']) != _V3:
                community = secret('community_string')
                if not community:
                    raise ValueError('it has no community')
                return Source(storage_id, hosts, community.encode())
            user = usm.User(row['username'].encode(), row['security_level'], row['auth_protocol'], secret('auth_key'),
                            row['privacy_protocol'], secret('privacy_key'))
            return Source(storage_id, hosts, None, user, bytes.fromhex(row['engine_id']) if row['engine_id'] else None)
        except (exception.SecretUnreadable, ValueError, AttributeError, TypeError) as error:
            if not told:
                LOG.error('the alert source of storage %s cannot be used, its traps are refused: %s; enter it again '
                          '(PUT /v1/storages/%s/snmp-config)', storage_id, error, storage_id)
            return None

    # --- names ---

    def _resolve_all(self) -> None:
        due: dict[str, float] = {}
        while not self._stopping:
            now = time.monotonic()
            names = self._names
            for name in names:
                if (due.get(name, 0.0) <= now or name not in self._addresses) and not self._stopping:
                    pause = self._resolve_interval_seconds
                    if not self._resolve(name):
                        pause = min(pause, _RETRY_SECONDS)
                    due[name] = time.monotonic() + pause
            due = {name: at for name, at in due.items() if name in names}
            self._failing &= names
            pause = min(due.values(), default=now + self._resolve_interval_seconds) - time.monotonic()
            self._resolver_bell.wait(max(0.0, pause))
            self._resolver_bell.clear()

    def _resolve(self, name: str) -> bool:
        """Look a name up; whether that worked. If not, the addresses of before stay."""
        worked = True
        try:
            found = tuple(dict.fromkeys(
                _literal(str(entry[4][0])) or '' for entry in socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)))
        except (OSError, UnicodeError) as error:
            kept = self._addresses.get(name)
            if name not in self._failing:
                LOG.warning('the host name %s of an alert source could not be looked up (%s); %s', name, error,
                            'its addresses of before stay in use' if kept else 'traps from it are refused')
            self._failing.add(name)
            found, worked = kept or (), False
        else:
            self._failing.discard(name)
        with self._lock:
            if self._addresses.get(name) == found:
                return worked
            self._addresses = {**self._addresses, name: found}
        self._bell.set()
        return worked


def split(hosts: str) -> list[str]:
    """The hosts of a comma list."""
    return [host.strip() for host in hosts.split(',') if host.strip()]


def _literal(host: str) -> str | None:
    """An address as sockets show it (an IPv4 one in IPv6 clothes as IPv4); None for a name."""
    try:
        address = ipaddress.ip_address(host.partition('%')[0].strip('[]'))
    except ValueError:
        return None
    mapped = getattr(address, 'ipv4_mapped', None)
    return str(mapped or address)
