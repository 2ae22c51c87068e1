# SPDX-License-Identifier: Apache-2.0
"""Requests of every kind of badness meet one shape of error, and never an error of our own."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from delfin.api.v1.storages import StorageController
from tests.unit.support import Rest

SYNC = '/v1/storages/sync'


def nested(levels, inner=b'1'):
    return b'[' * levels + inner + b']' * levels


# --- bodies ---

@pytest.mark.parametrize('body', [
    b'{', b'{"a": }', b'nonsense', b"{'a': 1}", b'{"a": 1} x', b'[1,]', b'{"a": NaN}', b'{"a": Infinity}', b'\x00',
    b'\xff\xfe', b'"\xff"', b'"\\ud800"', b'{"a": "\\u0000"}', b'{"\\u0000": 1}', nested(21), nested(5000),
    b'[' * 100000, b'{"a":' * 5000],
    ids=lambda body: body[:16].decode('latin-1').encode('unicode_escape').decode())
def test_what_is_no_json_document_is_400(rest, body):
    answer = rest.post('/v1/storages', body)
    assert (answer.status, answer.error) == (400, 'MalformedRequestBody')


def test_a_syntax_error_tells_its_place_and_not_its_text(rest):
    answer = rest.post('/v1/storages', b'{"rest":\n {"password": "s3cret-word" x')
    assert 'line 2, column' in answer.body['error_msg'] and 's3cret-word' not in answer.raw.decode()


def test_a_document_may_be_twenty_levels_deep(rest):
    assert rest.post('/v1/storages', nested(20)).error == 'InvalidInput'


@pytest.mark.parametrize('number', [b'1e999', b'-1e999', b'1' * 5000, b'1e-999', b'0.' + b'1' * 5000, b'-0'])
def test_huge_numbers_are_400(rest, number):
    body = b'{"vendor": "v", "model": "m", "rest": {"host": "h", "username": "u", "password": "p", "port": %b}}'
    assert rest.post('/v1/storages', body % number).status == 400


@pytest.mark.parametrize('content_type', ['text/plain', 'application/xml', 'application/x-www-form-urlencoded',
                                          'application/jsonp', 'multipart/form-data; boundary=x'])
def test_another_content_type_is_415(rest, content_type):
    answer = rest.post('/v1/storages', {'a': 1}, content_type=content_type)
    assert (answer.status, answer.error) == (415, 'InvalidContentType')


def test_a_body_without_content_type_is_415(rest):
    assert rest.post('/v1/storages', {'a': 1}, content_type=None).error == 'InvalidContentType'


@pytest.mark.parametrize('content_type', ['application/json; charset=utf-8', 'APPLICATION/JSON',
                                          'application/json;charset=UTF-8'])
def test_json_in_every_spelling_is_read(rest, content_type):
    assert rest.post('/v1/storages', {}, content_type=content_type).error == 'InvalidInput'


@pytest.mark.parametrize('path', ['/v1/storages', SYNC])
def test_a_body_that_is_too_large_is_413(rest, path):
    rest.conf.set_override('max_body_kb', 1, 'api')
    answer = rest.post(path, b' ' * 1025)
    assert (answer.status, answer.error, answer.body['error_args']) == (413, 'RequestBodyTooLarge', [1024])


def test_a_body_of_just_the_largest_size_is_read(rest):
    rest.conf.set_override('max_body_kb', 1, 'api')
    assert rest.post('/v1/storages', b'{' + b' ' * 1022 + b'}').error == 'InvalidInput'


def test_a_length_that_lies_is_not_believed(rest):
    """The header promises little, the body is large."""
    rest.conf.set_override('max_body_kb', 1, 'api')
    answer = rest.post('/v1/storages', b'[' + b'1,' * 5000 + b'1]', environ={'CONTENT_LENGTH': '10'})
    assert answer.status in (400, 413)


def test_a_body_of_unknown_length_is_not_read_for_ever(rest):
    """Sent in chunks, without a length."""
    rest.conf.set_override('max_body_kb', 1, 'api')
    answer = rest.post('/v1/storages', b'[' + b'1,' * 5000 + b'1]',
                       environ={'CONTENT_LENGTH': '', 'wsgi.input_terminated': True})
    assert (answer.status, answer.error) == (413, 'RequestBodyTooLarge')


def test_a_body_of_unknown_length_is_read(rest):
    answer = rest.post('/v1/storages', b'{"colour": 1}', environ={'CONTENT_LENGTH': '', 'wsgi.input_terminated': True})
    assert answer.error == 'InvalidInput'


@pytest.mark.parametrize('length', ['-1', 'x', '99999999999999999999999', '1e3'])
def test_a_length_that_is_no_number_is_the_clients_fault(rest, length):
    assert 400 <= rest.post('/v1/storages', b'{}', environ={'CONTENT_LENGTH': length}).status < 500


# --- calls without a body ---

@pytest.mark.parametrize('body', [None, b'', b'null', b'{}', b' {} '])
@pytest.mark.parametrize('path', [SYNC, '/v1/storages/{id}/sync'])
def test_a_call_without_arguments_takes_an_empty_body(rest, storage_id, path, body):
    assert rest.post(path.format(id=storage_id), body).status == 202


@pytest.mark.parametrize('body', [None, b'', b'null', b'{}'])
def test_a_deletion_takes_an_empty_body(rest, storage_id, body):
    assert rest('DELETE', f'/v1/storages/{storage_id}', body).status == 202


@pytest.mark.parametrize('body', [b'[]', b'0', b'false', b'""', b'{"force": true}', b'[{}]', b' \n'])
def test_a_call_without_arguments_takes_no_other_body(rest, storage_id, body):
    for method, path in (('POST', SYNC), ('DELETE', f'/v1/storages/{storage_id}')):
        assert rest(method, path, body).error == 'BadRequest'
    assert rest.get(f'/v1/storages/{storage_id}').status == 200


# --- text that is none ---

@pytest.mark.parametrize('path', ['/v1/volumes/\x00', '/v1/\x00', '/v1/storages/a\x00b/sync', '\x00'])
@pytest.mark.parametrize('method', ['GET', 'POST', 'HEAD'])
def test_a_nul_in_the_path_is_400(rest, method, path):
    assert rest(method, path).status == 400


@pytest.mark.parametrize('path', ['/v1/volumes/\xff', '/v1/\xc3\x28', '/v1/storages/\xed\xa0\x80', '/\xfe'])
@pytest.mark.parametrize('method', ['GET', 'POST'])
def test_a_path_that_is_no_utf_8_is_400(rest, method, path):
    answer = rest(method, path)
    assert (answer.status, answer.error) == (400, 'MalformedRequestUrl')


@pytest.mark.parametrize('query', ['name=%00', '%00=x', 'limit=1%00', 'name=%FF', '%FF=x', 'name=%ED%A0%80'])
@pytest.mark.parametrize('path', ['/v1/volumes', '/v1/storages', '/v1/drivers'])
def test_a_nul_or_what_is_no_utf_8_in_the_query_is_400(rest, path, query):
    assert rest.get(f'{path}?{query}').status == 400


def test_other_languages_are_welcome_in_the_query(rest):
    assert rest.get('/v1/volumes?name=%E2%98%83').body == {'volumes': []}


@pytest.mark.parametrize('query', ['', '&', '&&=', '?', '=', 'a', '%', '%zz', 'limit=1&&', ';', 'limit=1;offset=2'])
def test_a_strange_query_is_no_error_of_ours(rest, query):
    assert rest.get(f'/v1/volumes?{query}').status in (200, 400)


# --- request ids ---

@pytest.mark.parametrize('path', ['/v1/volumes', '/v1/nothing', '/healthcheck', '/v1/volumes?limit=x'])
def test_every_answer_carries_a_request_id_under_both_names(rest, path):
    headers = rest.get(path).headers
    assert headers['X-Request-Id'].startswith('req-') and headers['x-compute-request-id'] == headers['X-Request-Id']


def test_two_requests_have_two_ids(rest):
    assert rest.get('/v1/volumes').headers['X-Request-Id'] != rest.get('/v1/volumes').headers['X-Request-Id']


@pytest.mark.parametrize('given', ['abc', 'req-1.2_3', 'x' * 64])
def test_a_sensible_request_id_of_the_client_is_kept(rest, given):
    answer = rest.get('/v1/nothing', headers={'X-Request-Id': given})
    assert answer.headers['X-Request-Id'] == answer.body['request_id'] == given


@pytest.mark.parametrize('given', ['', 'a b', 'x' * 65, 'a\tb', '<script>', 'ö'])
def test_another_request_id_of_the_client_is_replaced(rest, given):
    assert rest.get('/v1/nothing', headers={'X-Request-Id': given}).headers['X-Request-Id'].startswith('req-')


def test_the_request_id_travels_to_the_task_service(rest):
    rest.post('/v1/storages', {'vendor': 'v', 'model': 'm', 'cli': {'host': 'h'}}, headers={'X-Request-Id': 'abc'})
    assert rest.tasks.contexts[0].request_id == 'abc'


# --- our own failures ---

@pytest.fixture
def failing(conf, database, keyring, monkeypatch):
    """`failing(error)`: an API whose GET /v1/storages raises it."""
    def make(error):
        def index(self, request):
            raise error
        monkeypatch.setattr(StorageController, 'index', index)
        return Rest(conf, database, keyring)
    return make


@pytest.mark.parametrize('error', [
    OperationalError('SELECT secret_column', {'password': 's3cret-word'}, Exception('gone')),
    InterfaceError('SELECT secret_column', {}, Exception('gone')), PoolTimeoutError('QueuePool limit')],
    ids=lambda error: type(error).__name__)
def test_a_database_that_is_away_is_503_without_details(failing, error):
    answer = failing(error).get('/v1/storages')
    assert (answer.status, answer.error, answer.headers['Retry-After']) == (503, 'ServiceUnavailable', '5')
    assert 'secret' not in answer.raw.decode() and 's3cret' not in answer.raw.decode()


@pytest.mark.parametrize('error', [ZeroDivisionError('private matters'), KeyError('private matters'),
                                   RecursionError('private matters')], ids=lambda error: type(error).__name__)
def test_a_bug_of_ours_is_500_without_details(failing, error, caplog):
    answer = failing(error).get('/v1/storages')
    assert (answer.status, answer.error) == (500, 'DelfinException')
    assert 'private matters' not in answer.raw.decode() and 'Traceback' not in answer.raw.decode()
    assert 'private matters' in caplog.text


# --- the log ---

def test_one_line_tells_of_each_request(rest, caplog):
    with caplog.at_level(logging.INFO, 'delfin.api.middleware'):
        rest.get('/v1/nothing')
    assert [record.getMessage().split()[1:4] for record in caplog.records
            if record.name == 'delfin.api.middleware'] == [['GET', '/v1/nothing', '404']]


@pytest.mark.parametrize('path', ['/v1/a\nb', '/v1/a\r\nINFO forged', '/v1/\x1b[31m', '/v1/\xe2\x80\xa8'])
def test_a_path_cannot_forge_a_log_line(rest, caplog, path):
    with caplog.at_level(logging.INFO, 'delfin.api.middleware'):
        rest.get(path)
    for record in caplog.records:
        assert record.getMessage().isprintable()


# --- whatever comes ---

@settings(max_examples=150)
@given(st.sampled_from(['GET', 'POST', 'DELETE', 'PUT', 'HEAD', 'OPTIONS', 'X']),
       st.lists(st.one_of(st.sampled_from(['v1', 'storages', 'volumes', 'sync', 'syncs', 'latest', 'drivers', '..']),
                          st.text(st.characters(max_codepoint=255), max_size=4)), max_size=4),
       st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12))
def test_no_path_and_no_query_is_an_error_of_ours(rest, method, parts, query):
    answer = rest(method, '/' + '/'.join(parts).replace('?', ''), environ={'QUERY_STRING': query})
    assert answer.status < 500
    if answer.status >= 400 and method != 'HEAD':
        assert answer.error


@settings(max_examples=150)
@given(st.one_of(st.binary(max_size=60), st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
              st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(
        st.sampled_from(['vendor', 'model', 'rest', 'ssh', 'host', 'port', 'x']), inner, max_size=3)), max_leaves=6)))
def test_no_body_is_an_error_of_ours(rest, body):
    assert rest.post('/v1/storages', body).status in (400, 404, 413, 415)
