# SPDX-License-Identifier: Apache-2.0
"""What the CLI refuses: one line on stderr, and a status."""

from __future__ import annotations

MISSING_PARAMETER = 'CMMVC5707E'
UNKNOWN_PARAMETER = 'CMMVC5709E'
BAD_COMBINATION = 'CMMVC5713E'
NOT_NUMERIC = 'CMMVC5716E'
BAD_FILTER = 'CMMVC5741E'
NO_SUCH_OBJECT = 'CMMVC5753E'
BAD_NAME = 'CMMVC5754E'
UNSTABLE = 'CMMVC5786E'
NO_SUCH_TARGET = 'CMMVC5804E'
NOT_AUTHORIZED = 'CMMVC6253E'
NO_SUCH_EVENT = 'CMMVC8275E'

TEXTS = {
    MISSING_PARAMETER: 'Required parameters are missing.',
    UNKNOWN_PARAMETER: '[{}] is not a supported parameter.',
    BAD_COMBINATION: 'The parameters that were entered cannot be used together.',
    NOT_NUMERIC: 'Non-numeric data was entered for a numeric field ([{}]). Enter a numeric value.',
    BAD_FILTER: 'The filter parameter {} is not supported.',
    NO_SUCH_OBJECT: 'The specified object does not exist.',
    BAD_NAME: 'The specified object does not exist, or the name supplied does not meet the naming rules.',
    UNSTABLE: 'The action failed because the cluster is not in a stable state.',
    NO_SUCH_TARGET: 'The action failed because an object that was specified in the command does not exist.',
    NOT_AUTHORIZED: "The task has failed because the user's role is not authorized to submit the command.",
    NO_SUCH_EVENT: 'The event that was specified was not found.',
}


class Refusal(Exception):
    """`detail` fills the text of those codes that repeat what was entered."""

    def __init__(self, code: str, detail: str = '', status: int = 1) -> None:
        text = TEXTS.get(code, 'The command failed.').format(detail)
        self.status = status
        super().__init__(f'{code} {text}')


class NotFound(Refusal):
    """There is no such command; `shell` says so."""

    def __init__(self, shell: str, command: str) -> None:
        self.status = 127
        Exception.__init__(self, f'{shell}: {command}: command not found')
