# SPDX-License-Identifier: Apache-2.0
"""Translation marker. Messages are English; drivers wrap theirs in `_` and may rely on getting a `str` back."""


def _(text: str) -> str:
    """Return `text`, marked as translatable."""
    return text
