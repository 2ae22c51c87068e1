# SPDX-License-Identifier: Apache-2.0
"""What authors of drivers build with; docs/driver-guide.md shows it at work. All of it is public contract.

* `session`: a REST API with a login, and the driver base that goes with it
* `cli`: a command line over SSH, with its driver base; `shell` is the connection and `files` reads files over it,
  `delimited` what commands print
* `limits` and `errors` belong to both
* `paging`: lists that come in pages
* `mapping`: tables that make rows of replies; `units` has the conversions they name
* `traps`: tables that make alerts of SNMP traps
* `metrics`: tables of metrics, the capabilities that follow from them, and the points
* `rows`: the columns of each kind as types
* `simulator`: an HTTPS array for tests

A table is data: somebody who knows the vendor's manual can check it without reading code. It is checked itself when it
is made, that is, when the driver is imported: a column, metric or unit that does not exist is a ValueError.
"""

from delfin.drivers.kit.cli import CliDriver, CliSession
from delfin.drivers.kit.errors import ArrayBusy, NotThere, Refused, SessionExpired, UnknownCommand
from delfin.drivers.kit.limits import Limits, in_parallel
from delfin.drivers.kit.mapping import OTHERS, Table, combined, constant, first_of, product
from delfin.drivers.kit.metrics import MetricTable, Points, capabilities
from delfin.drivers.kit.paging import by_cursor, by_offset
from delfin.drivers.kit.session import RestDriver, RestSession
from delfin.drivers.kit.traps import TrapTable

__all__ = ['OTHERS', 'ArrayBusy', 'CliDriver', 'CliSession', 'Limits', 'MetricTable', 'NotThere', 'Points', 'Refused',
           'RestDriver', 'RestSession', 'SessionExpired', 'Table', 'TrapTable', 'UnknownCommand', 'by_cursor',
           'by_offset', 'capabilities', 'combined', 'constant', 'first_of', 'in_parallel', 'product']
