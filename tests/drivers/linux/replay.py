# SPDX-License-Identifier: Apache-2.0
"""Recorded machines: the driver asks, and gets what the machine's tools printed once."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from delfin.drivers.linux import LinuxHostDriver
from delfin.drivers.linux.runner import COMMAND_TIMEOUT_SECONDS, Completed, Runner, ToolMissing

DATA = Path(__file__).parent / 'data'


class RecordedMachine(Runner):
    """A runner that answers from `data/<name>.json`. Tests change `tools` and `files` to tell another story."""

    def __init__(self, name: str) -> None:
        recording = json.loads((DATA / f'{name}.json').read_text('utf-8'))
        self.files: dict[str, str] = recording['files']
        self.clock = 0      # epoch ms
        self.asked: list[str] = []
        self.commands: list[Sequence[str]] = []
        self.tools = {
            tool: Completed(tool, '\n'.join(entry['stdout']), '\n'.join(entry['stderr']), entry['status'])
            for tool, entry in recording['commands'].items() if entry['status'] != 127}

    def run(self, argv: Sequence[str], timeout: float = COMMAND_TIMEOUT_SECONDS) -> Completed:
        tool = 'ip route' if 'route' in argv else 'smartctl' if _asks_for_health(argv) else argv[0]
        self.asked.append(tool)
        self.commands.append(argv)
        if tool not in self.tools:
            raise ToolMissing(argv[0])
        return self.tools[tool]

    def read_files(self, *patterns: str) -> dict[str, str]:
        self.asked.append('files')
        wanted = re.compile('|'.join(re.escape(pattern).replace(r'\*', '[^/]*') for pattern in patterns))
        return {path: content for path, content in self.files.items() if wanted.fullmatch(path)}

    def read_files_now(self, *patterns: str) -> tuple[int, dict[str, str]]:
        return self.clock, self.read_files(*patterns)

    def fails(self, tool: str, stderr: str, status: int = 1, stdout: str = '') -> None:
        """From now on the tool ends with an error."""
        self.tools[tool] = Completed(tool, stdout, stderr, status)

    def lacks(self, *tools: str) -> None:
        """The tools are not installed."""
        for tool in tools:
            self.tools.pop(tool, None)

    def has_no(self, pattern: str) -> None:
        """The files do not exist."""
        self.files = {path: content for path, content in self.files.items()
                      if not PurePosixPath(path).match(pattern)}


def _asks_for_health(argv: Sequence[str]) -> bool:
    return argv[0] == 'sh' and 'smartctl' in argv[2]


def driver_of(machine: Runner, **options: str) -> LinuxHostDriver:
    """A driver whose commands run on the machine."""
    driver = LinuxHostDriver(storage_id='1', cli={'host': 'localhost'}, extra_attributes=options)
    driver._runner = machine
    return driver


def by(rows: Sequence[dict[str, Any]], column: str = 'name') -> dict[str, dict[str, Any]]:
    """The rows by one of their columns, which must be unique."""
    found = {row[column]: row for row in rows}
    assert len(found) == len(rows), f'{column} is not unique'
    return found


def text_of(name: str) -> str:
    """A data file."""
    return (DATA / name).read_text('utf-8')
