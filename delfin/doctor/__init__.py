# SPDX-License-Identifier: Apache-2.0
"""`delfin-manage doctor`: finds the usual mistakes of an installation and says what to do about each."""

from __future__ import annotations

from collections.abc import Sequence

from delfin import exception
from delfin.common import config
from delfin.doctor import alerting, base, broker, database, fleet, host
from delfin.doctor.base import Finding, Group, Level

__all__ = ['Finding', 'Level', 'examine']

SECONDS = 15.0

_ONE_OPTION = 'configuration: ['        # so the error begins when all files could be read

GROUPS: Sequence[Group] = (
    ('host', host.CHECKS),
    ('API', host.API_CHECKS),
    ('drivers', host.DRIVER_CHECKS),
    ('database', (*database.CHECKS, *fleet.CHECKS, *alerting.CHECKS)),
    ('broker', broker.CHECKS),
)


def examine(argv: Sequence[str], prog: str) -> list[Finding]:
    """Everything that can be found out within a quarter of a minute; `argv` names the configuration files."""
    try:
        conf = config.load(argv, prog)
        found = []
    except exception.InvalidConfiguration as error:
        found = [Finding(Level.PROBLEM, 'configuration', error.msg)]
        if not error.msg.startswith(_ONE_OPTION):
            return [*found, Finding(Level.WARNING, 'everything else', 'could not be examined')]
        conf = config.CONF      # all but one option can be used
    return [*found, *base.examine(conf, GROUPS, SECONDS)]
