# SPDX-License-Identifier: Apache-2.0
"""The two helpers that drivers import from here: the time, and the check of command lines."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from delfin import exception

# What makes a shell do more than run one command.
_SPECIAL = re.compile(r'[`$|;&><]')
_SPECIAL_UNESCAPED = re.compile(r'(?<!\\)[`$|;&><]')
_QUOTE_UNESCAPED = re.compile(r'''(?<!\\)["']''')
_LINE_BREAK = re.compile(r'[\r\n]')


def utcnow_ms() -> int:
    """Now, in epoch milliseconds."""
    return time.time_ns() // 1_000_000


def check_ssh_injection(cmd: str | Sequence[str]) -> None:
    """`SSHInjectionThreat` if a command line could make a shell run something else than it seems to.

    A text must not hold a backtick, `$`, `|`, `;`, `&`, `>`, `<`, nor a line break inside; a backslash protects none of
    them. Of a list, each item is one argument: special characters need a backslash before them, blanks need quotes
    around the argument, and quotes inside of these a backslash.
    """
    if isinstance(cmd, str):
        threat = _SPECIAL.search(cmd) is not None or _LINE_BREAK.search(cmd.strip()) is not None
    else:
        threat = any(_is_threat(argument.strip()) for argument in cmd)
    if threat:
        raise exception.SSHInjectionThreat(cmd if isinstance(cmd, str) else ' '.join(cmd))


def _is_threat(argument: str) -> bool:
    quoted = len(argument) > 1 and argument[0] == argument[-1] and argument[0] in '"\''
    if quoted and _QUOTE_UNESCAPED.search(argument[1:-1]):
        return True
    if not quoted and len(argument.split()) > 1:
        return True
    return _SPECIAL_UNESCAPED.search(argument) is not None
