# SPDX-License-Identifier: Apache-2.0
"""In what the products that speak this CLI differ."""

from __future__ import annotations

from dataclasses import dataclass

from delfin.drivers.ibm.storwize_svc.session import PLAIN, Prefixes, StorwizeSession


@dataclass(frozen=True, slots=True)
class Variant:
    """`vendor` is what the array is said to be; it does not say so itself."""

    vendor: str


IBM = Variant(vendor='IBM')
INSPUR = Variant(vendor='Inspur')


class InspurSession(StorwizeSession):
    """Levels of Inspur's own (MCS) know commands only behind prefixes; others know IBM's."""

    PREFIXES = (PLAIN, Prefixes(read=('mcsinq',), change=('mcsop',)))
