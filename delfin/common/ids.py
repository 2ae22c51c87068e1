# SPDX-License-Identifier: Apache-2.0
"""Ids of what there are many of: resources, alerts, requests. Unique; nobody is kept out by not knowing one."""

from __future__ import annotations

import os
import random
import uuid

_random = random.Random()       # noqa: S311  no secrets
os.register_at_fork(after_in_child=_random.seed)


def new_id() -> str:
    """A UUID4 as text.

    `uuid.uuid4` asks the kernel for each one, which lets other threads have the interpreter: with thousands of traps or
    rows under way it takes milliseconds to come back.
    """
    return str(uuid.UUID(int=_random.getrandbits(128), version=4))
