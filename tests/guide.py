# SPDX-License-Identifier: Apache-2.0
"""The files that stand in the code blocks of docs/driver-guide.md: "```python <path>" begins a part of a file."""

from __future__ import annotations

from pathlib import Path

from tests.checkouts import ROOT

GUIDE = ROOT / 'docs' / 'driver-guide.md'


def files(guide: Path = GUIDE) -> dict[str, str]:
    """The text of each file by its path; parts of one file follow each other, with the blank lines of its style."""
    found: dict[str, list[str]] = {}
    part: list[str] | None = None
    for line in guide.read_text('utf-8').splitlines():
        if line.startswith('```'):
            _, _, path = line.partition(' ')
            part = [] if part is None and path else None
            if part is not None:
                found.setdefault(path, []).append('')
                current = path
        elif part is not None:
            found[current][-1] += f'{line}\n'
    return {path: _joined(parts) for path, parts in found.items()}


def _joined(parts: list[str]) -> str:
    text = parts[0]
    for part in parts[1:]:
        ends_inside = text.splitlines()[-1].startswith(' ')
        text += ('\n\n' if part.startswith('class ') or ends_inside and not part.startswith(' ') else '\n') + part
    return text
