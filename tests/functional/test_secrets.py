# SPDX-License-Identifier: Apache-2.0
"""No password in database, logs or answers: plain, base64, percent-encoded or JSON-escaped, with DEBUG logging on."""

from __future__ import annotations

import base64
import json
import stat
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.services import Client, Site, fake, wait_for

# Characters that look different in each encoding.
PASSWORD = 'Pä55/w+rd "quoted"\\&%7E'
LOGIN = 'Another-5ecret/#?'


def forms(secret: str) -> dict[str, bytes]:
    raw = secret.encode()
    found = {
        'plain': raw,
        'percent': urllib.parse.quote(secret, safe='').encode(),
        'percent, slashes kept': urllib.parse.quote(secret).encode(),
        'form': urllib.parse.quote_plus(secret).encode(),
        'json': json.dumps(secret)[1:-1].encode(),
        'json, utf-8': json.dumps(secret, ensure_ascii=False)[1:-1].encode(),
        'repr': repr(secret)[1:-1].encode(),
        'hex': raw.hex().encode(),
    }
    for shift, head, in enumerate((0, 2, 3)):
        # What base64 shows of the secret wherever it stands in a longer text.
        text = base64.b64encode(b'x' * shift + raw)
        found[f'base64 at {shift}'] = text[head:len(text) - (0, 3, 2)[(shift + len(raw)) % 3]]
    return found


@pytest.fixture(scope='module')
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, bytes]]:
    """Everything that a run with every kind of mishap left behind, by where it was found."""
    site = Site(tmp_path_factory.mktemp('secrets'), debug=True)
    with site.start() as process:
        client = process.ready().client
        _use(client, site)
        assert process.stop() == 0
        left = {'answers': b'\n'.join(client.bodies), 'output': process.output.encode()}
    for path in site.root.rglob('*'):
        if path.is_file() and path.name != 'keys':
            left[str(path.relative_to(site.root))] = path.read_bytes()
    yield left


def _body(port: int, **extra: str) -> dict[str, Any]:
    body = fake(port, **extra)
    body['rest'] |= {'username': 'operator', 'password': PASSWORD}
    return body


def _use(client: Client, site: Site) -> None:
    control = site.root / 'control.json'
    good = client.post('/v1/storages', _body(9100, control_file=str(control)), 201)
    client.synced(good['id'])
    # A driver that puts its decoded password into exceptions and log lines.
    control.write_text(json.dumps({'misbehave': 'list_volumes:secret_leak,list_disks:secret_leak'}))
    run = client.sync(good['id'])
    assert run['state'] == 'failed'
    control.unlink()
    client.post('/v1/storages', _body(9101, misbehave='get_storage:secret_leak'), 502)
    # Mistakes of the client, each with the password in the body.
    client.post('/v1/storages', _body(9102, login_password=LOGIN), 400)
    client.post('/v1/storages', {**_body(9103), 'nonsense': PASSWORD}, 400)
    body = _body(9104)
    client.post('/v1/storages', {**body, 'rest': {**body['rest'], 'port': PASSWORD}}, 400)
    client.post('/v1/storages', [PASSWORD], 400)
    broken = json.dumps(_body(9105))[:-1].encode()
    assert client.request('POST', '/v1/storages', data=broken,
                          headers={'Content-Type': 'application/json'}).status_code == 400
    site.manage('key', 'rotate')
    client.sync(good['id'])
    other = client.post('/v1/storages', _body(9106, login_password=PASSWORD), 201)
    client.synced(other['id'])
    client.delete(f'/v1/storages/{other["id"]}')
    wait_for('the purge', lambda: f'storage {other["id"]} is removed' in site.log.read_text())
    client.get('/v1/storages')
    client.get('/v1/drivers')


@pytest.mark.parametrize('secret', [PASSWORD, LOGIN])
def test_the_secret_is_nowhere(everything: dict[str, bytes], secret: str) -> None:
    found = [(where, form) for where, content in everything.items() for form, text in forms(secret).items()
             if text in content]
    assert found == []


def test_the_run_had_something_to_hide(everything: dict[str, bytes]) -> None:
    assert b'DEBUG' in everything['delfin.log']
    assert b'***' in everything['delfin.log']
    assert b'$delfin$1$' in everything['delfin.sqlite'] + everything.get('delfin.sqlite-wal', b'')


def test_the_key_file_is_for_the_service_only(tmp_path: Path) -> None:
    site = Site(tmp_path / 'site')
    assert stat.S_IMODE((site.root / 'keys').stat().st_mode) == 0o600
