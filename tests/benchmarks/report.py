# SPDX-License-Identifier: Apache-2.0
"""The figures as a table, and as the marked sections of docs/benchmarks.md."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sqlite3
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from delfin.version import version_string
from tests.benchmarks.measure import Comparison, Figure
from tests.engines import MariaDB, PostgreSQL
from tests.engines.base import EngineError

DOCUMENT = Path(__file__).resolve().parents[2] / 'docs' / 'benchmarks.md'

_BEGIN = '<!-- {}, written by python -m tests.benchmarks --write: begin -->'
_END = '<!-- end -->'
_LIBRARIES = ('SQLAlchemy', 'psycopg', 'PyMySQL', 'orjson', 'WebOb', 'Routes', 'waitress', 'prometheus_client')
_HEAD = ('what', 'engine', 'against', 'floor ms', 'Delfin ms', 'ratio', 'rounds', 'target', '')
_FIGURE_HEAD = ('what', 'engine', 'measured', 'rounds', 'limit', '', 'basis')


def text(comparisons: Sequence[Comparison], figures: Sequence[Figure]) -> str:
    """Lines for a terminal."""
    tables = [(_HEAD, [*map(_cells, comparisons)]), (_FIGURE_HEAD, [*map(_figure_cells, figures)])]
    blocks = [_aligned([head, *rows]) for head, rows in tables if rows]
    return '\n\n'.join([*blocks, *filter(None, ['\n'.join(_distances(comparisons))])])


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return '\n'.join('  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                     for row in rows)


def write(section: str, comparisons: Sequence[Comparison], figures: Sequence[Figure]) -> None:
    """Replace a marked section of the document."""
    text = DOCUMENT.read_text(encoding='utf-8')
    mark = _BEGIN.format(section)
    before, begin, rest = text.partition(mark)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise SystemExit(f'{DOCUMENT} has no lines "{mark}" and "{_END}"')
    written = '\n'.join(['', *_facts(), '', *_markdown(_HEAD, map(_cells, comparisons)),
                         *_markdown(_FIGURE_HEAD, map(_figure_cells, figures)), *_distances(comparisons)])
    DOCUMENT.write_text(f'{before}{begin}{written}{end}{after}', encoding='utf-8')


def _cells(comparison: Comparison) -> tuple[str, ...]:
    return (comparison.what, comparison.engine, comparison.against, _ms(comparison.floor), _ms(comparison.delfin),
            f'{comparison.ratio:.2f}', _range(comparison.ratios), f'≤ {comparison.target:.3g}', comparison.verdict)


def _ms(value: float) -> str:
    return f'{value:.2f}' if value >= 0.1 else f'{value:.4f}'


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table and an empty line; nothing without rows."""
    lines = [f'| {" | ".join(row)} |' for row in rows]
    if lines:
        yield from (f'| {" | ".join(head)} |', f'|{"---|" * len(head)}', *lines, '')


def _figure_cells(figure: Figure) -> tuple[str, ...]:
    return (figure.what, figure.engine, f'{figure.measured:,.4g} {figure.unit}', _range(figure.rounds),
            f'≤ {figure.limit:,.4g}', figure.verdict, figure.basis)


def _range(values: Sequence[float]) -> str:
    return f'{min(values):,.3g} to {max(values):,.3g}' if values else ''


def _distances(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Where the time of those goes whose parts were measured."""
    for title in dict.fromkeys(comparison.title for comparison in comparisons if comparison.parts):
        split = [comparison for comparison in comparisons if comparison.parts and comparison.title == title]
        yield f"Where Delfin's time for {title} goes, in milliseconds:"
        yield ''
        names = tuple(dict.fromkeys(name for comparison in split for name in comparison.parts))
        yield from _markdown(('engine', *names, 'above the floor'), (
            (comparison.engine, *(_part(comparison, name) for name in names),
             f'{comparison.delfin - comparison.floor:.2f}') for comparison in split))


def _part(comparison: Comparison, name: str) -> str:
    return f'{comparison.parts[name]:.2f}' if name in comparison.parts else ''


# --- the machine and what runs on it ---

def _facts() -> Iterator[str]:
    libraries = ', '.join(f'{name} {importlib.metadata.version(name)}' for name in _LIBRARIES)
    yield f'* {datetime.now(UTC):%Y-%m-%d}, Delfin {version_string()}'
    yield f'* {_processor()}, {os.cpu_count()} cores, {_memory()}, Linux {platform.release()}'
    yield f'* Python {platform.python_version()}, {libraries}'
    yield f'* SQLite {sqlite3.sqlite_version}{"".join(_servers())}'


def _processor() -> str:
    for line in Path('/proc/cpuinfo').read_text().splitlines():
        if line.startswith('model name'):
            return line.partition(':')[2].strip()
    return platform.machine()


def _memory() -> str:
    pages, size = os.sysconf('SC_PHYS_PAGES'), os.sysconf('SC_PAGE_SIZE')
    return f'{pages * size / 2**30:.0f} GiB'


def _servers() -> Iterator[str]:
    for engine, program in ((PostgreSQL, 'postgres'), (MariaDB, 'mariadbd')):
        try:
            path = engine.program(program)
        except EngineError:
            continue
        # "postgres (PostgreSQL) 15.1 …", "mariadbd  Ver 10.11.6-MariaDB …"
        said = subprocess.run([path, '--version'], capture_output=True, text=True, check=True).stdout.split()
        number = next((word for word in said if word[0].isdigit()), '')
        yield f', {engine.name} {number.partition("-")[0]}'
