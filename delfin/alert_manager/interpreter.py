# SPDX-License-Identifier: Apache-2.0
"""From a notification to what it says of which storage's alerts, by the `parse_alert` of the storage's driver.

A notification may speak for the storages that its authentication allows, no others: what a driver reads out of it (a
serial number, a name) only chooses among them. Several arrays behind one address are told apart in that way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from delfin import alerts, exception
from delfin.alert_manager.snmp import ber
from delfin.alert_manager.sources import Known, Table
from delfin.alert_manager.spool import Received
from delfin.alerts import Parsed
from delfin.common.text import clean
from delfin.context import get_admin_context
from delfin.db.alerts import Report
from delfin.drivers import calling, errors
from delfin.drivers.manager import DriverManager
from delfin.findings import Findings

LOG = logging.getLogger(__name__)

ParseAtOwner = Callable[[str, dict[str, str]], Any]


@dataclass(frozen=True, slots=True)
class Trap:
    """A notification as people and drivers read it."""

    received_at: datetime
    source: str
    version: str
    storage_ids: tuple[str, ...]
    variables: Mapping[str, str]

    @classmethod
    def of(cls, received: Received) -> Trap:
        """From the spool. `ber.Malformed` for a trap whose envelope was good, but not what is in it."""
        variables = ber.trap_variables(ber.read_pdu(received.pdu))
        return cls(datetime.fromtimestamp(received.received_at / 1000, UTC), received.source, received.version,
                   received.storage_ids, {oid: clean(text) for oid, text in variables.items()})

    def view(self) -> dict[str, Any]:
        """The raw trap of an alert."""
        return {'received_at': self.received_at.isoformat().replace('+00:00', 'Z'), 'source': self.source,
                'version': self.version, 'variables': dict(self.variables)}


@dataclass(frozen=True, slots=True)
class Meaning:
    """What became of a notification: a report, or an alert sync to be made for `sync`, or an `error`, or nothing."""

    report: Report | None = None
    sync: tuple[str, ...] = ()
    error: str | None = None


NOTHING = Meaning()


class Interpreter:
    """Reads notifications. `at_owner(storage_id, trap)` has the owner of the array read one whose driver cannot do
    without its session.
    """

    def __init__(self, drivers: DriverManager, table: Callable[[], Table], at_owner: ParseAtOwner) -> None:
        self._drivers, self._table, self._at_owner = drivers, table, at_owner
        self._context = get_admin_context()

    def read(self, trap: Trap) -> Meaning:
        """What it says. Never raises: what goes wrong is told in `error`."""
        table = self._table()
        candidates = [known for storage_id in trap.storage_ids if (known := table.storage(storage_id)) is not None]
        if not candidates:
            return NOTHING      # removed since
        failure: str | None = None
        # One driver after the other; storages of one driver are told apart by what it reads.
        for driver, storages in _by_driver(candidates).items():
            try:
                row = self._parse(driver, storages, trap, table)
                if row is None:
                    continue
                parsed = alerts.parsed(row, Findings())
                named = parsed.serial_number is not None or parsed.storage_name is not None
                storage = _addressee(parsed, candidates if named else storages)
            except exception.IncompleteTrapInformation:
                return Meaning(sync=tuple(storage.id for storage in storages))
            except exception.DelfinException as error:
                failure = error.msg
            except BaseException as error:      # third-party code may raise anything, even SystemExit
                failure = errors.translate(error, 'parse_alert', clean).msg
                LOG.debug('parse_alert of "%s %s"', *driver, exc_info=True)
            else:
                return Meaning(Report(storage.id, parsed.values, trap.received_at, alerts.TRAP, trap.view()))
        return NOTHING if failure is None else Meaning(error=failure)

    def _parse(self, driver: tuple[str, str], storages: Sequence[Known], trap: Trap, table: Table) -> Any:
        driver_class = self._drivers.get_class(*driver)
        storage_id = storages[0].id
        given = {**trap.variables, 'transport_address': trap.source, 'storage_id': storage_id}
        controllers = (table.controller(storage.id, trap.source) for storage in storages)
        controller = next(filter(None, controllers), None)
        if controller is not None:
            given['controller_name'] = controller
        context = self._context.renewed()
        context.storage_id = storage_id
        try:
            return calling.call_without_instance(driver_class, 'parse_alert', storage_id, context, dict(given))
        except calling.NeedsInstance:
            return self._at_owner(storage_id, given)
        except NotImplementedError:
            return None


def _by_driver(candidates: Sequence[Known]) -> dict[tuple[str, str], list[Known]]:
    found: dict[tuple[str, str], list[Known]] = {}
    for known in candidates:
        found.setdefault((known.driver_vendor, known.driver_model), []).append(known)
    return found


def _addressee(parsed: Parsed, candidates: Sequence[Known]) -> Known:
    """Whose alert it is; `InvalidResults` if that is none, or not one, of those it may speak for."""
    if parsed.serial_number is not None:
        matching = [known for known in candidates if known.serial_number == parsed.serial_number]
        what = f'the trap is of serial number {parsed.serial_number}'
    elif parsed.storage_name is not None:
        matching = [known for known in candidates if known.name == parsed.storage_name]
        what = f'the trap is of storage name {parsed.storage_name}'
    else:
        matching = list(candidates)
        what = 'the trap names no storage'
    if len(matching) == 1:
        return matching[0]
    count = 'none' if not matching else f'{len(matching)}'
    raise exception.InvalidResults(f'{what}, and {count} of the storages whose alert source accepts its sender fits')
