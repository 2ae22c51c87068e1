# SPDX-License-Identifier: Apache-2.0
"""The exporter `webhook` and what it has in common with everything that posts: a real server hears what it does."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import socket

import pytest

from delfin import exception
from delfin.exporter.base_exporter import ACKNOWLEDGED, DeliveryFailed, EventRefused
from delfin.exporter.receiver import Receiver
from delfin.exporter.webhook import WebhookExporter
from tests.checkouts import free_port
from tests.simulators.tls import Answer, Authority, TlsServer
from tests.unit.exporter_support import Web

KEY = 'f3b8c1d2e4a5968778695a4b3c2d1e0f'
EVENT = {'id': 'a1', 'alert_name': 'Disk failed', 'event': 'raised', 'event_at': '2026-01-01T00:00:00Z',
         'event_id': 'e1'}


@pytest.fixture
def key_path(tmp_path):
    path = tmp_path / 'webhook.key'
    path.write_text(f'{KEY}\n')
    path.chmod(0o600)
    return path


@pytest.fixture
def make(conf, key_path):
    """The exporter for a URL."""
    def make(url, **options):
        for name, value in {'url': url, 'secret_file': str(key_path), **options}.items():
            conf.set_override(name, value, 'webhook')
        return WebhookExporter.create(conf)
    return make


@pytest.fixture
def web():
    with Web() as server:
        yield server


def test_a_receiver_gets_the_events_and_can_tell_who_sent_them(make, web):
    make(f'{web.http}/hooks/delfin').dispatch(None, [EVENT])
    request = web.requests[0]
    assert request.path == '/hooks/delfin'
    assert json.loads(request.body) == {'version': '1', 'events': [
        {'id': 'e1', 'event': 'raised', 'at': '2026-01-01T00:00:00Z', 'alert': {
            'id': 'a1', 'alert_name': 'Disk failed'}}]}
    moment, _, digest = request.headers['X-Delfin-Signature'].partition(',v1=')
    signed = moment.removeprefix('t=').encode() + b'.' + request.body
    assert digest == hmac.new(KEY.encode(), signed, hashlib.sha256).hexdigest()


def test_the_delivery_has_the_same_id_when_it_is_repeated_and_another_one_for_other_events(make, web):
    exporter = make(web.http)
    for data in ([EVENT], [EVENT], [{**EVENT, 'event_id': 'e2'}]):
        exporter.dispatch(None, data)
    ids = [request.headers['X-Delfin-Delivery'] for request in web.requests]
    assert ids[0] == ids[1] != ids[2]


def test_acknowledgements_are_told_too():
    assert ACKNOWLEDGED in WebhookExporter.EVENTS


def test_a_new_key_needs_no_restart(make, web, key_path):
    exporter = make(web.http)
    exporter.dispatch(None, [EVENT])
    key_path.write_text('another key, long enough')
    exporter.dispatch(None, [EVENT])
    first, second = (request.headers['X-Delfin-Signature'].rpartition('=')[2] for request in web.requests)
    assert first != second


def test_one_connection_serves_many_deliveries(make, web):
    exporter = make(web.http)
    for _ in range(5):
        exporter.dispatch(None, [EVENT])
    assert web.connections == 1


# --- what becomes of answers ---

@pytest.mark.parametrize(('status', 'final'), [(400, True), (413, True), (422, True), (401, False), (404, False)])
def test_what_a_receiver_will_not_take(make, web, status, final):
    web.status = status
    with pytest.raises(EventRefused, match=f'answered {status}') as caught:
        make(web.http).dispatch(None, [EVENT])
    assert caught.value.final is final


@pytest.mark.parametrize('status', [408, 429, 500, 503])
def test_what_a_receiver_cannot_take_now(make, web, status):
    web.status = status
    with pytest.raises(DeliveryFailed, match=f'answered {status}') as caught:
        make(web.http).dispatch(None, [EVENT])
    assert not isinstance(caught.value, EventRefused)


def test_redirects_are_not_followed(make, web):
    with (TlsServer(lambda request: Answer({}, 302, {'Location': f'{web.http}/elsewhere'}), None) as server,
          pytest.raises(DeliveryFailed, match='answered 302')):
        make(f'http://127.0.0.1:{server.port}').dispatch(None, [EVENT])
    assert web.requests == []


def test_an_answer_that_does_not_come_is_not_waited_for(make, web):
    web.gate.clear()
    with pytest.raises(DeliveryFailed, match=f'http://127.0.0.1:{web.port}: no answer within 0.2 s'):
        make(web.http, timeout_seconds=0.2).dispatch(None, [EVENT])
    web.gate.set()


def test_2xx_means_delivered_even_when_the_rest_of_the_answer_never_comes(make):
    with TlsServer(lambda request: Answer({}, 202, length=1000), None) as server:
        make(f'http://127.0.0.1:{server.port}').dispatch(None, [EVENT])
    assert len(server.requests) == 1


# --- TLS ---

def test_an_unknown_certificate_is_not_accepted(make):
    with Web(Authority().issue('127.0.0.1')) as server:
        with pytest.raises(DeliveryFailed, match='TLS failed: unable to get local issuer certificate|self-signed'):
            make(server.url).dispatch(None, [EVENT])
        assert server.requests == []


def test_the_ca_that_is_configured_is_believed(make, tmp_path):
    authority = Authority()
    (tmp_path / 'ca.pem').write_text(authority.pem)
    with Web(authority.issue('127.0.0.1')) as server:
        make(server.url, ca_file=str(tmp_path / 'ca.pem')).dispatch(None, [EVENT])
        assert len(server.posts) == 1


# --- secrets ---

def test_neither_key_nor_path_of_the_url_shows_in_an_error_or_a_log(make, caplog):
    caplog.set_level(logging.DEBUG)
    url = f'http://127.0.0.1:{free_port()}/hooks/T0KEN-in-the-path?key=T0KEN'
    with pytest.raises(DeliveryFailed, match='no connection: Connection refused') as caught:
        make(url).dispatch(None, [EVENT])
    shown = repr(caught.value) + str(caught.value) + ''.join(
        record.getMessage() for record in caplog.records if record.name.startswith('delfin'))
    assert 'T0KEN' not in shown
    assert KEY not in shown


def test_a_name_that_does_not_exist_is_told(make, monkeypatch):
    def unknown(*args, **kwargs):
        raise socket.gaierror(-2, 'Name or service not known')
    monkeypatch.setattr(socket, 'getaddrinfo', unknown)
    with pytest.raises(DeliveryFailed, match='no connection: Name or service not known'):
        make('https://nowhere.example/hook').dispatch(None, [EVENT])


def test_a_receiver_that_quotes_what_it_got_does_not_bring_a_token_into_our_log():
    with TlsServer(lambda request: Answer({'you sent': request.headers['Authorization']}, 403), None) as server:
        target = Receiver(f'http://127.0.0.1:{server.port}', timeout_seconds=5,
                          headers=lambda: {'Authorization': 'Bearer T0KEN-of-ours'})
        with pytest.raises(EventRefused, match='answered 403: .*you sent') as caught:
            target.post(b'{}', {})
    assert 'T0KEN' not in str(caught.value)


def test_proxies_of_the_environment_are_not_asked(make, web, monkeypatch):
    monkeypatch.setenv('http_proxy', f'http://127.0.0.1:{free_port()}')
    make(web.http).dispatch(None, [EVENT])
    assert len(web.posts) == 1


# --- configuration ---

@pytest.mark.parametrize(('options', 'reason'), [
    ({'url': None}, r'\[webhook\] url must be set'),
    ({'url': 'ftp://host/'}, r'\[webhook\] url must be a URL'),
    ({'url': 'https://host:99999/'}, r'\[webhook\] url must be a URL'),
    ({'url': 'https://user:T0KEN@host/'}, r'\[webhook\] url must not hold a password'),
    ({'secret_file': None}, r'\[webhook\] secret_file must be set'),
    ({'secret_file': '/nowhere'}, r'secret_file: No such file or directory: /nowhere'),
    ({'ca_file': '/nowhere'}, 'CA path /nowhere'),
])
def test_what_cannot_work_is_told_at_the_start(make, options, reason):
    with pytest.raises(exception.InvalidConfiguration, match=reason) as caught:
        make(**{'url': 'https://host/', **options})
    assert 'T0KEN' not in str(caught.value)


@pytest.mark.parametrize(('text', 'mode', 'reason'), [
    (KEY, 0o604, 'is open to others; run "chmod o= '),
    ('short', 0o600, 'must hold at least 16 characters'),
    ('', 0o600, 'must hold one line'),
    (f'{KEY}\n{KEY}', 0o600, 'must hold one line'),
])
def test_a_key_file_that_is_of_no_use_is_told_at_the_start(make, key_path, text, mode, reason):
    key_path.write_text(text)
    key_path.chmod(mode)
    with pytest.raises(exception.InvalidConfiguration, match=reason) as caught:
        make('https://host/')
    assert KEY not in str(caught.value)


def test_a_key_file_that_has_gone_is_a_failure_that_can_be_mended(make, web, key_path):
    exporter = make(web.http)
    key_path.unlink()
    with pytest.raises(DeliveryFailed, match='secret_file: No such file'):
        exporter.dispatch(None, [EVENT])
