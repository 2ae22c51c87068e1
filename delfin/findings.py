# SPDX-License-Identifier: Apache-2.0
"""What was odd in an answer, counted once per kind of oddity and column rather than per row."""

from __future__ import annotations

from typing import Any

from delfin.common.text import printable

_EXAMPLE_LENGTH = 80
_AT_MOST = 100          # different findings of one answer; a driver may invent a new key in every row

# Codes and what they mean to an operator.
UNKNOWN_KEY = 'unknown_key'                     # no such column; the value is ignored
UNKNOWN_VALUE = 'unknown_value'                 # not in the column's enumeration; kept as given
NOT_A_NUMBER = 'not_a_number'                   # no usable whole number >= 0; stored as unknown
NOT_A_BOOLEAN = 'not_a_boolean'                 # stored as unknown
NOT_TEXT = 'not_text'                           # stored as unknown
TEXT_CUT = 'text_cut'                           # longer than the column
TEXT_CLEANED = 'text_cleaned'                   # NUL or an invalid character was taken out
NO_NATIVE_ID = 'no_native_id'                   # the row is rejected
NATIVE_ID_TOO_LONG = 'native_id_too_long'       # the row is rejected
REPEATED_NATIVE_ID = 'repeated_native_id'       # the first row counts
NOT_A_ROW = 'not_a_row'                         # the row is rejected
ROW_UNREADABLE = 'row_unreadable'               # the row is rejected; its stored row is kept and marked stale
UNLIKELY_UNIT = 'unlikely_unit'                 # so small that another unit was meant, it seems; kept as given
DANGLING_REFERENCE = 'dangling_reference'       # names a resource that the array does not list
NOT_A_DOCUMENT = 'not_a_document'               # a part of the capabilities has another shape; it is ignored
VERSION_KEYED = 'version_keyed'                 # capabilities for several firmware versions: the fitting ones count
UNKNOWN_RESOURCE_TYPE = 'unknown_resource_type'     # of metrics; what is said of it is ignored
UNKNOWN_METRIC = 'unknown_metric'               # no such metric; it is not collected (a vendor's own begin with x_)
WRONG_UNIT = 'wrong_unit'                       # not the metric's unit; it is not collected
NOT_A_SERIES = 'not_a_series'                   # no (name, labels, values); ignored
UNASKED_METRIC = 'unasked_metric'               # a metric or resource type that nobody asked for; ignored
UNKNOWN_LABEL = 'unknown_label'                 # ignored
NOT_FINITE = 'not_finite'                       # no finite number; the point is ignored
OUTSIDE_WINDOW = 'outside_window'               # a point of another time than was asked for; ignored
REPEATED_POINT = 'repeated_point'               # the same series and time once more; the first counts
UNKNOWN_RESOURCE = 'unknown_resource'           # not in the inventory; its points are delivered all the same
CLOCK_SET_BACK = 'clock_set_back'               # the array's clock is far behind what was collected: begun anew
DELETION_WITHHELD = 'deletion_withheld'         # far fewer rows than stored: asked again before anything goes


class Findings:
    """Collects findings of one driver answer."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], dict[str, Any]] = {}

    def add(self, code: str, column: str = '', example: Any = None) -> None:
        """Count one more; the first example is kept, shortened."""
        self.add_many(code, column, 1, example)

    def add_many(self, code: str, column: str, count: int, example: Any = None) -> None:
        """Count some more."""
        column = _shown(column) or ''
        entry = self._found.get((code, column))
        if entry is not None:
            entry['count'] += count
        elif len(self._found) < _AT_MOST:
            self._found[code, column] = {'code': code, 'column': column or None, 'count': count,
                                         'example': _shown(example)}

    def __contains__(self, code: object) -> bool:
        return any(found == code for found, _ in self._found)

    def listing(self) -> list[dict[str, Any]]:
        """`{'code', 'column', 'count', 'example'}` in the order of first sight."""
        return list(self._found.values())


def _shown(example: Any) -> str | None:
    return None if example is None else printable(example)[:_EXAMPLE_LENGTH]
