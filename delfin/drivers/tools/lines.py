# SPDX-License-Identifier: Apache-2.0
"""How much of each driver is data, and how much is code: `python -m delfin.drivers.tools.lines docs/drivers/README.md`
puts the table between the marks in that page.

Data is what modules assign at their top: tables, words, formulas. Code is functions and classes. Imports, comments, doc
strings and empty lines do not count.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

DRIVERS = Path(__file__).parents[1]
BEGIN, END = '<!-- lines: begin -->', '<!-- lines: end -->'

_FOLDERS = ('huawei/oceanstor', 'ibm/storwize_svc', 'inspur/as5500', 'linux', 'fake_storage')
_SHARED = 'kit'
_SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING,
           tokenize.ENDMARKER}


class Lines(NamedTuple):
    """Of a folder."""

    data: int
    code: int


def count(folder: Path) -> Lines:
    """The lines of all modules in a folder and below."""
    found = [_of(path.read_text('utf-8')) for path in sorted(folder.rglob('*.py'))]
    return Lines(sum(each.data for each in found), sum(each.code for each in found))


def table() -> str:
    """As Markdown."""
    rows = ['| Driver | Data | Code |', '|---|---|---|']
    for name in (*_FOLDERS, _SHARED):
        lines = count(DRIVERS / name)
        shown = f'`delfin/drivers/{name}`' + (' (for all of them)' if name == _SHARED else '')
        rows.append(f'| {shown} | {lines.data} | {lines.code} |')
    return '\n'.join(rows)


def renewed(page: str) -> str:
    """A page with the table as it is now. ValueError without the marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f'the page has no {BEGIN} … {END}')
    return f'{before}{BEGIN}\n{table()}\n{END}{after}'


def _of(source: str) -> Lines:
    tree = ast.parse(source)
    written = set(_written(source)) - {line for node in ast.walk(tree) for line in _docstring(node)}
    data, code = set(), set()
    for node in tree.body:
        lines = written & set(range(node.lineno - len(getattr(node, 'decorator_list', ())), (node.end_lineno or 0) + 1))
        if isinstance(node, ast.Assign | ast.AnnAssign):
            data |= lines
        elif not isinstance(node, ast.Import | ast.ImportFrom):
            code |= lines
    return Lines(len(data), len(code))


def _written(source: str) -> Iterator[int]:
    """Lines with anything on them but comments."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _SILENT:
            yield from range(token.start[0], token.end[0] + 1)


def _docstring(node: ast.AST) -> Iterator[int]:
    body = getattr(node, 'body', None)
    if isinstance(body, list) and body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) \
            and isinstance(body[0].value.value, str):
        yield from range(body[0].lineno, (body[0].end_lineno or 0) + 1)


if __name__ == '__main__':
    page = Path(sys.argv[1])
    page.write_text(renewed(page.read_text('utf-8')), 'utf-8')
