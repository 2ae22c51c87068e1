# SPDX-License-Identifier: Apache-2.0
"""How other people's modules are imported."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def without(name: str) -> Iterator[None]:
    """A module cannot be found while others are imported in this block, unless it is there already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None        # type: ignore[assignment]      # Python's way to say so
    try:
        yield
    finally:
        del sys.modules[name]
