# SPDX-License-Identifier: Apache-2.0
"""Thousands of requests made from the OpenAPI document, good ones and bad ones, and every answer as documented.

schemathesis runs as a command of its own, with this module as its hooks. The seed is fixed: a failure comes back. Its
output ends with a curl command for each. DELFIN_LONG=1 lets it look for twenty minutes.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis

from delfin import exception
from delfin.api import listing
from delfin.api.operations import operations
from delfin.api.schemas import snmp
from delfin.api.schemas import storages as bodies
from delfin.common.constants import ACCESS_TYPE
from delfin.common.masking import MASK
from tests.checkouts import ROOT
from tests.services import FAKE, Site

LONG = os.environ.get('DELFIN_LONG') == '1'
LONG_SECONDS = 1200
SECONDS = 2 * LONG_SECONDS if LONG else 420       # a busy machine takes three times as long as a quiet one
SEED = 20

# 500 is always a bug of ours. What may happen when an array or a service fails must be documented for the call.
CONFIGURATION = '''
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 501, 502, 503, 504]
'''


# --- what schemathesis loads ---

_CHECKED_BY = {
    ('POST', '/v1/storages'): bodies.registration,
    ('PUT', '/v1/storages/{id}/access-info'): bodies.access_update,
    ('PUT', '/v1/storages/{id}/snmp-config'): snmp.config,
    ('PUT', '/v1/storages/{id}/alert-source'): snmp.config,
    ('POST', '/v1/storages/{id}/snmp-config/push'): snmp.push,
}
# Whom a configuration lets in must be complete, which a schema cannot say.
_SNMP = {'community_string': 'community', 'username': 'user', 'security_level': 'authPriv', 'auth_protocol': 'HMACSHA',
         'auth_key': 'authentication', 'privacy_protocol': 'AES', 'privacy_key': 'confidential'}
_BOUNDS = ('begin_time', 'end_time')


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Whatever would reach a driver reaches the make-believe one on this machine; the rest is refused before."""
    for place in (case.query, case.body):       # a time must not end before it begins
        if isinstance(place, dict) and _are_numbers(bounds := [place.get(name) for name in _BOUNDS]):
            place |= dict(zip(_BOUNDS, sorted(bounds, key=float), strict=True))
    if isinstance(case.query, dict) and {'start', 'end'} <= case.query.keys():
        with contextlib.suppress(exception.InvalidInput):
            start, end = (listing.moment(str(case.query[name]), name) for name in ('start', 'end'))
            case.query |= {'start': min(start, end), 'end': max(start, end)}
    if case.operation.path.endswith('/push') and isinstance(case.query, dict) and _is_host(case.query.get('host')):
        case.query['host'] = '127.0.0.1'
    check = _CHECKED_BY.get((case.operation.method.upper(), case.operation.path))
    if check is None:
        return
    try:
        check(case.body)
    except exception.InvalidInput:
        return
    case.body = _harmless_snmp(case.body) if check in (snmp.config, snmp.push) else _harmless(case.body)


def _are_numbers(values: list[Any]) -> bool:
    return all(re.fullmatch(r'[0-9]+(\.0)?', str(value)) for value in values)


def _is_host(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(snmp.PUSH['properties']['host']['pattern'], value) is not None


def _harmless_snmp(body: dict[str, Any] | None) -> dict[str, Any] | None:
    """Traps from this machine, with everything that a version and level may need."""
    if not body or 'host' not in body:
        return body
    needed = {name: value for name, value in _SNMP.items() if body.get(name) in (None, '', MASK) and 'version' in body}
    return {**body, **needed, 'host': '127.0.0.1'}


def _harmless(body: dict[str, Any]) -> dict[str, Any]:
    """A valid body with the fake driver, small arrays, loopback hosts, and no certificate that would be looked into."""
    body = {**body, **{name: value for name, value in FAKE.items() if name in body}}
    for name in ACCESS_TYPE:
        if name in body:
            section = {field: value for field, value in body[name].items() if field != 'ca_cert'}
            body[name] = {**section, **({'host': '127.0.0.1'} if section.get('host') else {})}
    if 'extra_attributes' in body:
        body['extra_attributes'] = {'volumes': '2', 'disks': '2'}
    return body


# --- the test ---

@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A Delfin with one array."""
    site = Site(tmp_path / 'site', alerts={'trap_host': '127.0.0.1'})
    with site.start() as process:
        process.ready().client.register_fake(9700)
        yield site
        assert process.stop() == 0


@pytest.mark.timeout(SECONDS + 60)
def test_every_answer_is_as_documented(site: Site, tmp_path: Path) -> None:
    configuration = tmp_path / 'schemathesis.toml'
    configuration.write_text(CONFIGURATION)
    amount = ['--max-time', str(LONG_SECONDS)] if LONG else ['--max-examples', '8']
    done = subprocess.run(
        [sys.executable, '-m', 'schemathesis.cli', '--config-file', str(configuration), 'run',
         f'http://127.0.0.1:{site.port}/v1/openapi.json', '--seed', str(SEED), *amount, '--checks', 'all',
         # A new storage has no SNMP configuration, which this check takes for a fault of its registration.
         '--exclude-checks', 'ensure_resource_availability',
         '--workers', '1',      # Python 3.11 cannot parse in two threads at once (bpo-106905)
         '--generation-allow-x00', 'false',     # JSON Schema cannot say that NUL is refused
         '--generation-database', 'none', '--no-color', '--warnings', 'off'],
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'SCHEMATHESIS_HOOKS': __name__}, cwd=tmp_path,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
    tested = re.search(r'Tested: (\d+)', done.stdout)
    assert tested and int(tested[1]) == len(operations()) - 1     # all but the document itself
    assert 'Traceback' not in site.log.read_text()
