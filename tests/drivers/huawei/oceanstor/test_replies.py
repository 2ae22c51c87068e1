# SPDX-License-Identifier: Apache-2.0
"""Replies of odd and old releases, and those of the protocol's description: see `tests/drivers/replies.py`.

Sections are those of the protocol facts that the driver was written from.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from delfin.drivers.huawei.oceanstor import OceanStorDriver
from tests.drivers.replies import Case, RestReplies, cases

SERIAL = '2102351XYZ10K4000007'
GOOD = {'code': 0, 'description': '0'}
# What every case has, unless it says otherwise: a session, and an array that takes no batches.
USUAL = [
    {'method': 'POST', 'path': '/sessions', 'body': {
        'data': {'accountstate': 1, 'deviceid': SERIAL, 'iBaseToken': '9F2C41D0'}, 'error': GOOD}},
    {'method': 'DELETE', 'path': '/sessions', 'body': {'data': {}, 'error': GOOD}},
    {'method': 'POST', 'path': '/server/compositeinfo', 'body': {'error': {'code': 1077949002, 'description': 'no'}}},
    {'path': '/system/', 'body': {'data': {'ID': SERIAL, 'SECTORSIZE': '512'}, 'error': GOOD}},
]


def place(path: str) -> str:
    """Behind the array's name."""
    return re.sub('^/deviceManager/rest/[^/]+', '', path)


@pytest.mark.parametrize('case', cases(Path(__file__).parent / 'data'), ids=str)
def test_replies(case: Case) -> None:
    own = {(reply.get('method', 'GET'), place(reply['path'])) for reply in case.replies}
    usual = [reply for reply in USUAL if (reply.get('method', 'GET'), reply['path']) not in own]
    with RestReplies([*usual, *case.replies], place=place) as array:
        driver = OceanStorDriver(**array.arguments())
        case.check(driver)
        driver.delete_storage(None)
