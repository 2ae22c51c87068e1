# SPDX-License-Identifier: Apache-2.0
"""Who may log in, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass

ADMINISTRATOR, MONITOR = ROLES = ('Administrator', 'Monitor')
STATES = ('normal', 'locked', 'expired')


@dataclass
class Account:
    """`role` is one of ROLES, `state` one of STATES; `key` is a public one."""

    name: str
    password: str
    role: str = ADMINISTRATOR
    key: str = ''
    state: str = 'normal'
