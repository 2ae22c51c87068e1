# SPDX-License-Identifier: Apache-2.0
"""Names only: which calls can misbehave, and how. `misbehaviour` does it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from delfin.kinds import KINDS


class Shape(enum.Enum):
    """What a method answers: decides how the answer can be spoilt."""

    BUILD = 'construction'
    VALUE = 'a single value or nothing'
    ROW = 'one row'
    ROWS = 'rows, or a dict of rows'


# `init` stands for the constructor: most real drivers log in there.
METHODS: Mapping[str, Shape] = {
    'init': Shape.BUILD,
    'reset_connection': Shape.VALUE,
    'delete_storage': Shape.VALUE,
    'get_storage': Shape.ROW,
    **{kind.method: Shape.ROWS for kind in KINDS},
    'add_trap_config': Shape.VALUE,
    'remove_trap_config': Shape.VALUE,
    'list_alerts': Shape.ROWS,
    'clear_alert': Shape.VALUE,
    'get_alert_sources': Shape.ROWS,
    'collect_perf_metrics': Shape.ROWS,
    'get_latest_perf_timestamp': Shape.VALUE,
}

_EVERYWHERE = frozenset(Shape)
_ANSWERS = frozenset({Shape.VALUE, Shape.ROW, Shape.ROWS})
_ROWS = frozenset({Shape.ROWS})


@dataclass(frozen=True, slots=True)
class Action:
    """One way to misbehave and the calls that can."""

    help: str
    shapes: frozenset[Shape]


ACTIONS: Mapping[str, Action] = {
    'raise': Action('raise an exception that is not ours', _EVERYWHERE),
    'raise_typed': Action('raise StorageBackendException', _EVERYWHERE),
    'notimplemented': Action('raise NotImplementedError', _EVERYWHERE),
    'exit': Action('raise SystemExit', _EVERYWHERE),
    'secret_leak': Action('log the decoded password at DEBUG level and raise an exception that quotes it plainly and '
                          'in base64', _EVERYWHERE),
    'hang': Action('block until the control file no longer says so (then answer), reset_connection or delete_storage '
                   'is called (then fail) or hang_seconds are over (then answer)', _EVERYWHERE),
    'garbage': Action('answer rows that are wrong in every way', _ANSWERS),
    'none': Action('answer None', _ANSWERS),
    'vanish': Action('answer no rows', frozenset({Shape.ROW, Shape.ROWS})),
    'shrink': Action('answer less than half of the rows', _ROWS),
    'half_generator': Action('yield half of the rows, then raise', _ROWS),
    'half_hang': Action('yield half of the rows, then hang', _ROWS),
}
