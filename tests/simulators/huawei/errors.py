# SPDX-License-Identifier: Apache-2.0
"""Errors as the array tells them: a code, what happened, what to do."""

from __future__ import annotations

NO_SESSION = -401
USER_OFFLINE = 1077949069
IP_LOCKED = 1077949071
TOO_MANY_SESSIONS = 1077949067
BUSY = 1077949006
NO_SUCH_OBJECT = 1077948996
NO_SUCH_LUN = 1077939726
BAD_PARAMETER = 50331651
NOT_SUPPORTED = 1077949002
NOT_LICENSED = 1077950233

_TEXTS = {
    NO_SESSION: ('This operation fails to be performed because of the unauthorized REST.',
                 'Before performing this operation, ensure that REST is authorized.'),
    USER_OFFLINE: ('The user is offline.', 'Log in again.'),
    IP_LOCKED: ('The client IP address has been locked.', 'Try again later or contact the super administrator.'),
    TOO_MANY_SESSIONS: ('The number of online users has reached the upper limit.', 'Log out users not needed.'),
    BUSY: ('The system is busy.', 'Try again later.'),
    NO_SUCH_OBJECT: ('The object does not exist.', 'Refresh and try again.'),
    NO_SUCH_LUN: ('The specified LUN does not exist.', 'Refresh and try again.'),
    BAD_PARAMETER: ('The entered parameter is incorrect.', 'Check the parameters.'),
    NOT_SUPPORTED: ('The operation is not supported.', 'Contact technical support engineers.'),
    NOT_LICENSED: ('The feature is not licensed.', 'Import a license.'),
    1077949061: ('The user name or password is incorrect.', 'Check the user name and password, and try again.'),
    1077987870: ('The user name or password is incorrect. Remaining attempts: {}.', 'Check both.'),
    1077949081: ('Authentication failed.', 'Check the user name and password.'),
    1077949070: ('The user account has been locked.', 'Wait, or have it unlocked.'),
    1077987871: ('The user account has been locked.', 'Wait, or have it unlocked.'),
    1077948995: ('The memory is insufficient.', 'Try again later.'),
    1077949001: ('The message timed out.', 'Try again later.'),
    1077949004: ('The process is busy.', 'Try again later.'),
    1077949021: ('An upgrade is in progress.', 'Try again after it.'),
}


class Refusal(Exception):
    """What the array refuses, and why. `detail` fills the text of those codes that tell a number."""

    def __init__(self, code: int, detail: object = '') -> None:
        description, suggestion = _TEXTS.get(code, ('An internal error occurred.', 'Try again later.'))
        self.code = code
        self.description = description.format(detail)
        self.suggestion = suggestion
        super().__init__(f'{code}: {self.description}')

    @property
    def status(self) -> int:
        """What a firmware answers that uses HTTP's statuses."""
        return 401 if self.code in (NO_SESSION, USER_OFFLINE) else 503 if self.code == BUSY else 500
