# SPDX-License-Identifier: Apache-2.0
"""Replies of odd and old levels, and those of the protocol's description with its numbers: `tests/drivers/replies.py`.

Sections are those of the protocol facts that the driver was written from. What begins with `inspur` is for that driver.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from delfin.drivers.ibm.storwize_svc import StorwizeDriver
from delfin.drivers.inspur.as5500 import As5500Driver
from tests.drivers.replies import Case, CommandReplies, cases


@pytest.mark.parametrize('case', cases(Path(__file__).parent / 'data'), ids=str)
def test_replies(case: Case) -> None:
    kind = As5500Driver if str(case).startswith('inspur') else StorwizeDriver
    with CommandReplies(case.directory) as array:
        driver = kind(**array.arguments())
        case.check(driver)
        driver.delete_storage(None)
