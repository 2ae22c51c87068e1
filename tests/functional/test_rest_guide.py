# SPDX-License-Identifier: Apache-2.0
"""docs/rest-guide.md does what it says: its console blocks are run in one shell against a real delfin-all.

In a block, `$ ` begins a command and `> ` continues it. The lines up to the next command are its answer:

* one that begins with `{"` or `[` is JSON: every field that is shown must be there, more may be. `…` is any value, any
  part of a text, or, after the last item of a list, any further ones;
* other lines are text; `…` is any part of a line, a line that is only `…` any number of lines;
* without an answer the command must succeed, no more.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.checkouts import ROOT
from tests.functional.test_rest_contract import expect
from tests.services import Client

GUIDE = ROOT / 'docs' / 'rest-guide.md'
ADDRESS = 'http://127.0.0.1:8190'       # what the guide says instead of the address at hand
ANYTHING = '…'

pytestmark = pytest.mark.skipif(not shutil.which('curl') or not shutil.which('bash'), reason='curl or bash is missing')


@dataclass(frozen=True)
class Step:
    """One command of the guide."""

    line: int
    command: str
    answer: str


def steps(guide: Path) -> list[Step]:
    """The commands of all console blocks, in order."""
    found: list[Step] = []
    in_block = False
    for number, line in enumerate(guide.read_text('utf-8').splitlines(), 1):
        if line.startswith('```'):
            in_block = line == '```console'
        elif in_block and line.startswith('$ '):
            found.append(Step(number, line[2:], ''))
        elif in_block:
            step = found.pop()
            if line.startswith('> ') and not step.answer:
                found.append(Step(step.line, f'{step.command}\n{line[2:]}', ''))
            else:
                found.append(Step(step.line, step.command, f'{step.answer}{line}\n'))
    return found


STEPS = steps(GUIDE)


@pytest.fixture(scope='module')
def outputs(delfin: Client, tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[int, str]]:
    """Exit code and output of every step, by its line."""
    folder = tmp_path_factory.mktemp('guide')
    script = folder / 'guide.sh'
    script.write_text(''.join(f'{{\n{step.command}\n}} > {step.line}.out 2>&1\necho $? > {step.line}.code\n'
                              for step in STEPS).replace(ADDRESS, delfin.url), 'utf-8')
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']])      # a python3 is there
    environment = {'PATH': path, 'no_proxy': '*', 'LC_ALL': 'C.UTF-8'}
    subprocess.run(['bash', '-o', 'pipefail', str(script)], cwd=folder, check=True, timeout=60,
                   stdin=subprocess.DEVNULL, env=environment)
    return {step.line: (int((folder / f'{step.line}.code').read_text()), (folder / f'{step.line}.out').read_text())
            for step in STEPS}


@pytest.mark.parametrize('step', STEPS, ids=lambda step: f'line-{step.line}')
def test_the_guide_shows_what_happens(outputs: dict[int, tuple[int, str]], step: Step) -> None:
    check(step, *outputs[step.line])


def check(step: Step, code: int, output: str) -> None:
    """The command of a step went well and said what the guide shows."""
    assert code == 0, output
    text = step.answer
    if text.startswith(('{"', '[')):
        expected, text = claimed(text)
        found, end = json.JSONDecoder().raw_decode(output)
        expect(expected, found)
        output = output[end:].lstrip('\n')
    if step.answer:
        assert pattern(text.strip('\n') + '\n').fullmatch(output.replace('\r', '').rstrip('\n') + '\n'), output


def claimed(text: str) -> tuple[Any, str]:
    """The JSON that an answer begins with, as `expect` takes it, and the text behind it."""
    document, end = json.JSONDecoder().raw_decode(spelt_out(text))
    return opened(document), spelt_out(text)[end:]


def spelt_out(text: str) -> str:
    """The guide's JSON with every `…` in a place where JSON can have it."""
    parts = re.split(r'("(?:[^"\\]|\\.)*")', text)
    for number in range(0, len(parts), 2):      # outside of texts
        part = re.sub(r',?\s*…\s*}', '}', re.sub(r':\s*…', f': "{ANYTHING}"', parts[number]))
        parts[number] = re.sub(r'(?<!")…', f'"{ANYTHING}"', part)
    return ''.join(parts)


def opened(value: Any) -> Any:
    """`…` as what `expect` understands."""
    if isinstance(value, dict):
        return {name: opened(item) for name, item in value.items()}
    if isinstance(value, list):
        return [opened(item) for item in value]
    if value == ANYTHING:
        return ...
    return re.compile(f'^{pattern(value).pattern}$') if isinstance(value, str) and ANYTHING in value else value


def pattern(text: str) -> re.Pattern[str]:
    """The text as a regular expression."""
    lines = [r'(?:.*\n)*' if line.strip() == ANYTHING else '.*'.join(map(re.escape, line.split(ANYTHING)))
             for line in text.splitlines(keepends=True)]
    return re.compile(''.join(lines))


def test_the_guide_has_something_to_run() -> None:
    assert len(STEPS) > 30
    assert sum(bool(step.answer) for step in STEPS) > 25


def test_what_the_guide_leaves_out_is_understood() -> None:
    expected, rest = claimed('{"a": …, "b": [1, …], "c": "x…z", "d": […], "e": {…}, …}\n200\n')
    expect(expected, {'a': None, 'b': [1, 2], 'c': 'xyz', 'd': [], 'e': {'f': 1}, 'g': 2})
    assert (expected['b'], rest) == ([1, ...], '\n200\n')
