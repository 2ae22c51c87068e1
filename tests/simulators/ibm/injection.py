# SPDX-License-Identifier: Apache-2.0
"""What is to go wrong with commands and files, how often, and which."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, replace

from tests.simulators.ibm import errors
from tests.simulators.injection import Spell
from tests.simulators.ssh import Reply

FORMS = ('error', 'absent', 'drop', 'cut', 'close', 'stall', 'warning', 'flood', 'garbage', 'empty', 'vanish')
_OF_FILES = ('drop', 'stall', 'vanish')


@dataclass
class Fault(Spell):
    """Something that goes wrong with a command, or with the fetching of a file.

    `command` is how the command begins, without prefix, word by word: `lsvdisk`, `lsvdisk -bytes`; `''` means every
    one. If it begins with `/` it is a pattern for the path of a file that is fetched: `/dumps/iostats/Nv_*`. `skip`
    lets so many go right first, `times` is how many then go wrong (None: all). `form`:

        error    fails with `code` (CMMVC…E), and `text` behind it
        absent   the command is not found
        drop     the connection is closed without an answer
        cut      the right answer up to `lines` lines, then the connection is closed
        close    the same, but only the channel is closed, without a status
        stall    the right answer after `seconds`
        warning  the right answer, and `text` on stderr
        flood    the right answer, `size` MB of it
        garbage  something that is neither text nor a table, with success
        empty    nothing, with success
        vanish   the file is not there any more

    Files know drop, stall and vanish; see `Control.truncate` as well.
    """

    command: str = ''
    form: str = 'error'
    code: str = errors.UNSTABLE
    text: str = ''
    lines: int = 1
    seconds: float = 60.0
    size: int = 64

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise ValueError(f'form is one of {", ".join(FORMS)}')
        if self.command.startswith('/') != (self.form == 'vanish') and self.form not in _OF_FILES:
            raise ValueError(f'of files, form is one of {", ".join(_OF_FILES)}')

    def concerns(self, words: tuple[str, ...]) -> bool:
        """Whether a command is meant."""
        meant = tuple(self.command.split())
        return not self.command.startswith('/') and words[:len(meant)] == meant

    def concerns_file(self, path: str) -> bool:
        """Whether a file is."""
        return self.command.startswith('/') and fnmatch.fnmatchcase(path, self.command)


def spoiled(fault: Fault, right: Reply, shell: str, command: str) -> Reply:
    """The reply with that wrong with it."""
    lines = b''.join(right.stdout.splitlines(keepends=True)[:fault.lines])
    match fault.form:
        case 'error':
            text = fault.text or errors.TEXTS.get(fault.code, 'The command failed.')
            return Reply(stderr=f'{fault.code} {text}\n'.encode(), status=1)
        case 'absent':
            return Reply(stderr=f'{shell}: {command}: command not found\n'.encode(), status=127)
        case 'drop':
            return Reply(hang_up=True)
        case 'cut':
            return replace(right, stdout=lines, hang_up=True)
        case 'close':
            return replace(right, stdout=lines, status=None)
        case 'stall':
            return replace(right, wait=fault.seconds)
        case 'warning':
            return replace(right, stderr=f'{fault.text or "The session will soon be closed."}\n'.encode())
        case 'flood':
            block = (right.stdout or b'\n') * (1 + 2**20 // max(1, len(right.stdout)))
            return replace(right, stdout=block, times=fault.size)
        case 'garbage':
            return Reply(b'\x00\xff\xfe\x80<html>!!\n!\xc3\n')
        case 'empty':
            return Reply()
    raise ValueError(f'{fault.form} is for files')
