# SPDX-License-Identifier: Apache-2.0
"""What clients can rely on, as requests and their answers: read it as a manual of the API.

Here it runs against delfin-all; `tests/integration/test_rest_contract_granian.py` runs the same against delfin-api.
"""

from __future__ import annotations

import concurrent.futures
import csv
import io
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import requests

from delfin.api.operations import Operation, operations
from tests.engines.base import wait_until
from tests.faults.test_arrays import Array
from tests.services import FAKE, Client, fake, kinds

PASSWORD = fake()['rest']['password']
NO_BODY = object()
ABSENT = object()       # in an expected object: this field is not there


# --- how requests and answers are written down ---

@dataclass(frozen=True)
class Case:
    """One line of the manual. `{words}` in `asks`, `body` and `answer` stand for ids and names of the array at hand.

    `answer` and `headers` are compared by `expect`.
    """

    says: str
    asks: str
    answer: Any = ...
    status: int = 200
    headers: Mapping[str, Any] = field(default_factory=dict)
    sends: Mapping[str, str] = field(default_factory=dict)
    body: Any = NO_BODY


def ask(client: Client, asks: str, status: int = 200, body: Any = NO_BODY, **kwargs: Any) -> requests.Response:
    """The answer to `asks`, a method and a path, which must have this status."""
    method, _, path = asks.partition(' ')
    answer = client.request(method, path, **({} if body is NO_BODY else {'json': body}), **kwargs)
    assert answer.status_code == status, (asks, answer.status_code, answer.text)
    return answer


def answers(client: Client, case: Case, words: Mapping[str, str]) -> None:
    """Fail unless the service answers as the manual says."""
    answer = ask(client, fill(case.asks, words), case.status, fill(case.body, words), headers=dict(case.sends))
    expect(case.headers, answer.headers, 'header')
    if case.answer is not ...:
        expect(fill(case.answer, words), answer.json() if answer.content else None)


def fill(value: Any, words: Mapping[str, str]) -> Any:
    """The words in place of their `{names}`."""
    if isinstance(value, str):
        return re.sub(r'\{(\w+)\}', lambda match: words[match[1]], value)
    if isinstance(value, dict):
        return {name: fill(item, words) for name, item in value.items()}
    return [fill(item, words) for item in value] if isinstance(value, list) else value


def expect(expected: Any, found: Any, where: str = 'answer') -> None:
    """Fail, saying where, unless `found` is as expected.

    `...` is anything, a type any value of it, a pattern any text that it finds itself in. An object has at least the
    expected fields, those marked ABSENT excepted. A list has exactly the expected items, or begins with them if `...`
    is the last.
    """
    complaint = mismatch(expected, found, where)
    if complaint:
        raise AssertionError(complaint)


def mismatch(expected: Any, found: Any, where: str = 'answer') -> str | None:
    """Where `found` is not as expected (see `expect`); None when it is."""
    if expected is ...:
        return None
    if isinstance(expected, type):
        fits = type(found) is expected
    elif isinstance(expected, re.Pattern):
        fits = isinstance(found, str) and expected.search(found) is not None
    elif isinstance(expected, Mapping) and isinstance(found, Mapping):
        complaints = (_field_mismatch(name, value, found, where) for name, value in expected.items())
        return next(filter(None, complaints), None)
    elif isinstance(expected, list) and isinstance(found, list):
        open_end = expected[-1:] == [...]
        wanted = expected[:-1] if open_end else expected
        if len(found) < len(wanted) or (len(found) > len(wanted) and not open_end):
            return f'{where} has {len(found)} items instead of {len(wanted)}: {found}'
        complaints = (mismatch(item, found[number], f'{where}[{number}]') for number, item in enumerate(wanted))
        return next(filter(None, complaints), None)
    else:
        fits = expected == found and isinstance(expected, bool) is isinstance(found, bool)
    return None if fits else f'{where} is {found!r}, expected {expected!r}'


def _field_mismatch(name: str, expected: Any, found: Mapping[str, Any], where: str) -> str | None:
    if expected is ABSENT:
        return f'{where} has {name}' if name in found else None
    return mismatch(expected, found[name], f'{where}.{name}') if name in found else f'{where} has no {name}: {found}'


def refusal(code: str, *says: str) -> dict[str, Any]:
    """An error whose message has these parts in this order."""
    return {'error_code': code, 'error_msg': re.compile('.*'.join(map(re.escape, says))), 'error_args': list,
            'request_id': re.compile('.')}


def table(*cases: Case) -> pytest.MarkDecorator:
    """A table of the manual as parameters of a test."""
    return pytest.mark.parametrize('case', cases, ids=[case.says.replace(' ', '-') for case in cases])


# --- what there is to ask about ---

_ports = itertools.count(9500)


@pytest.fixture(scope='module')
def storage(delfin: Client) -> dict[str, Any]:
    """An array that no test changes, with an SNMP configuration and alerts."""
    found = delfin.register_fake(next(_ports))
    ask(delfin, f'PUT /v1/storages/{found["id"]}/snmp-config', body={
        'host': '127.0.0.1', 'version': 'SNMPv2c', 'community_string': 'community'})
    wait_until(lambda: not delfin.get(f'/v1/storages/{found["id"]}/alerts/sync')['pending'], 10)
    return found


@pytest.fixture(scope='module')
def other(delfin: Client, storage: dict[str, Any]) -> dict[str, Any]:
    """Another one of the same model."""
    return delfin.register_fake(next(_ports), volumes='3')


@pytest.fixture(scope='module')
def volumes(delfin: Client, storage: dict[str, Any]) -> list[dict[str, Any]]:
    return delfin.rows('volumes', storage['id'])


@pytest.fixture(scope='module')
def words(delfin: Client, storage: dict[str, Any], other: dict[str, Any],
          volumes: list[dict[str, Any]]) -> dict[str, str]:
    """What may stand in braces in a case."""
    view = delfin.rows('masking_views', storage['id'], nested=True)[0]
    volume = volumes[0]
    return {
        'storage': storage['id'], 'other': other['id'], 'serial': storage['serial_number'],
        'volume': volume['id'], 'native': volume['native_volume_id'], 'name': volume['name'], 'wwn': volume['wwn'],
        'WWN': volume['wwn'].upper(), 'colons': ':'.join(re.findall('..', volume['wwn'])),
        'COLONS': ':'.join(re.findall('..', volume['wwn'])).upper(), 'view': view['id'],
    }


@pytest.fixture
def array(delfin: Client, tmp_path: Path) -> Array:
    """An array of the test's own, which can be told how to behave."""
    return Array(delfin, tmp_path / 'control.json', next(_ports))


# --- 1. Discovery ---

VERSION_1 = {'id': 'v1', 'status': 'current', 'href': '/v1', 'openapi': '/v1/openapi.json', 'docs': '/v1/docs'}


@table(
    Case('the root names the versions', 'GET /', {'name': 'delfin', 'version': str, 'versions': [VERSION_1]}),
    Case('a version names its documents', 'GET /v1/', VERSION_1),
    Case('with and without a slash', 'GET /v1', VERSION_1),
    Case('every answer has a request id', 'GET /', headers={
        'X-Request-Id': re.compile('^req-'), 'x-compute-request-id': re.compile('^req-')}),
    Case('the request id may be the clients', 'GET /', sends={'X-Request-Id': 'ticket-4711'},
         headers={'X-Request-Id': 'ticket-4711'}),
    Case('openapi is json', 'GET /v1/openapi.json', {'openapi': re.compile(r'^3\.1\.')},
         headers={'Content-Type': 'application/json'}),
    Case('the page is html', 'GET /v1/docs', headers={'Content-Type': re.compile('^text/html')}),
)
def test_discovery(delfin: Client, case: Case) -> None:
    answers(delfin, case, {})


@pytest.fixture(scope='module')
def document(delfin: Client) -> dict[str, Any]:
    return delfin.get('/v1/openapi.json')


def walk(value: Any) -> Iterator[dict[str, Any]]:
    """Every object inside a document."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(item)


def checker(document: dict[str, Any], schema: Mapping[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """For values that a schema of the document describes."""
    return jsonschema_rs.Draft202012Validator({**schema, 'components': document['components']}, validate_formats=True)


def test_openapi_is_valid(document: dict[str, Any]) -> None:
    import schemathesis  # takes a second, and this module is imported by others

    schemathesis.openapi.from_dict(document).validate()


def test_every_schema_of_openapi_is_valid_and_its_references_lead_somewhere(document: dict[str, Any]) -> None:
    for part in walk(document):
        if isinstance(part.get('schema'), dict):
            checker(document, part['schema'])
    for schema in document['components']['schemas'].values():
        checker(document, schema)


def test_openapi_has_every_call_that_is_routed(document: dict[str, Any]) -> None:
    documented = {(method.upper(), path) for path, methods in document['paths'].items() for method in methods}
    assert documented == {(operation.method, operation.path) for operation in operations()}


def test_every_documented_path_takes_the_documented_methods(delfin: Client, document: dict[str, Any]) -> None:
    for path, methods in document['paths'].items():
        allowed = ask(delfin, f'OPTIONS {path.replace("{", "").replace("}", "")}').headers['Allow']
        documented = {method.upper() for method in methods}
        assert set(allowed.split(', ')) == documented | ({'HEAD'} if 'GET' in documented else set()), path


def test_operations_have_names_of_their_own(document: dict[str, Any]) -> None:
    names = [operation['operationId'] for methods in document['paths'].values() for operation in methods.values()]
    assert len(set(names)) == len(names)


def test_documented_examples_are_as_their_schemas_say(document: dict[str, Any]) -> None:
    examples = [(part['example'], part['schema']) for part in walk(document) if 'example' in part and 'schema' in part]
    assert examples
    for example, schema in examples:
        checker(document, schema).validate(example)


def test_documented_example_parameters_are_accepted(delfin: Client, document: dict[str, Any]) -> None:
    for path in ('/v1/storages', '/v1/volumes'):
        parameters = document['paths'][path]['get']['parameters']
        examples = {item['name']: item['example'] for item in parameters if 'example' in item}
        assert examples
        delfin.get(path, **{name: ','.join(value) if isinstance(value, list) else value
                            for name, value in examples.items()})


@pytest.mark.parametrize('path', [operation.path for operation in operations() if operation.listed])
def test_every_documented_sort_key_and_field_is_known(delfin: Client, document: dict[str, Any], words: dict[str, str],
                                                      path: str) -> None:
    schemas = {item['name']: item['schema'] for item in document['paths'][path]['get']['parameters']}
    path = path.replace('{storage_id}', words['storage'])
    delfin.get(path, limit=1, fields=','.join(schemas['fields']['items']['enum']))
    for key in schemas['sort_key']['enum']:
        delfin.get(path, limit=1, sort=key)


@pytest.mark.parametrize('operation', [operation for operation in operations()
                                       if operation.method == 'GET' and operation.answer != {'type': 'string'}],
                         ids=lambda operation: operation.path)
def test_answers_are_as_documented(delfin: Client, document: dict[str, Any], words: dict[str, str],
                                   operation: Operation) -> None:
    path = operation.path.replace('{storage_id}', words['storage'])
    if path.endswith('/{id}') and operation.path != '/v1/storages/{id}':
        collection = path.removesuffix('/{id}')
        (rows,) = (value for value in delfin.get(collection, limit=1).values() if isinstance(value, list))
        path = f'{collection}/{rows[0]["id"]}'
    path = path.format(id=words['storage'], **FAKE)
    needed = {'search': {'q': words['wwn']}, 'metrics': {'resource_type': 'volume'}}
    answer = delfin.get(path, **needed.get(path.rpartition('/')[2], {}))
    content = document['paths'][operation.path]['get']['responses']['200']['content']['application/json']
    checker(document, content['schema']).validate(answer)


class _Links(HTMLParser):
    """What a page would load or lead to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.targets: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.targets |= {value or '' for name, value in attrs if name in ('src', 'href', 'action', 'srcset', 'data')}


def test_the_page_needs_nothing_from_outside_and_runs_no_script(delfin: Client) -> None:
    page = ask(delfin, 'GET /v1/docs').text
    links = _Links(page)
    assert links.tags.isdisjoint({'script', 'iframe', 'object', 'embed', 'link', 'img'})
    assert {target for target in links.targets if not target.startswith('#')} == {'/v1/openapi.json'}
    assert 'url(' not in page
    assert '@import' not in page


# --- 2. Lists: order ---

def none_first(name: str) -> Callable[[dict[str, Any]], Any]:
    """Unknown values are smaller than all others."""
    return lambda row: (row[name] is not None, row[name])


@pytest.mark.parametrize(('path', 'sort', 'keys'), [
    ('volumes', {'sort': 'name:asc'}, [('name', False)]),
    ('volumes', {'sort': 'total_capacity:desc'}, [('total_capacity', True)]),
    ('volumes', {'sort': 'total_capacity'}, [('total_capacity', True)]),
    ('volumes', {'sort': 'compressed:asc,total_capacity:desc,name:asc'},
     [('compressed', False), ('total_capacity', True), ('name', False)]),
    ('volumes', {'sort': 'native_volume_id:asc,native_volume_id:desc'}, [('native_volume_id', False)]),
    ('volumes', {'sort_key': 'name', 'sort_dir': 'asc'}, [('name', False)]),
    ('volumes', {'sort_key': 'name'}, [('name', True)]),
    ('volumes', {}, [('created_at', True), ('id', True)]),
    ('disks', {'sort': 'speed:asc,name:asc'}, [('speed', False), ('name', False)]),
    ('disks', {'sort': 'speed:desc,name:asc'}, [('speed', True), ('name', False)]),
    ('ports', {'sort': 'wwn:desc'}, [('wwn', True)]),
], ids=str)
def test_lists_are_sorted(delfin: Client, storage: dict[str, Any], path: str, sort: dict[str, str],
                          keys: list[tuple[str, bool]]) -> None:
    rows = delfin.get(f'/v1/{path}', storage_id=storage['id'], **sort)[path]
    expected = list(rows)
    for name, descending in reversed(keys):
        expected.sort(key=none_first(name), reverse=descending)
    assert [[row[name] for name, _ in keys] for row in rows] == [[row[name] for name, _ in keys] for row in expected]


@table(
    Case('an unknown key names the known ones', 'GET /v1/volumes?sort=nam:asc', status=400,
         answer=refusal('InvalidInput', "'nam'", 'created_at', 'name', 'total_capacity')),
    Case('so does an unknown sort_key', 'GET /v1/volumes?sort_key=nam', status=400,
         answer=refusal('InvalidInput', "'nam'", 'name')),
    Case('sort beats sort_key', 'GET /v1/storages/{storage}/masking-views?sort=name:asc&sort_key=id&limit=1',
         {'masking_views': [{'name': 'view-000'}]}),
    Case('which must make sense all the same', 'GET /v1/volumes?sort=name&sort_dir=down', status=400,
         answer=refusal('InvalidInput', 'asc or desc')),
    Case('directions are lower case', 'GET /v1/volumes?sort=name:ASC', status=400,
         answer=refusal('InvalidInput', 'asc or desc')),
    Case('a colon needs a direction', 'GET /v1/volumes?sort=name:', status=400,
         answer=refusal('InvalidInput', 'asc or desc')),
    Case('storages are sorted too', 'GET /v1/storages?sort=serial_number:asc&limit=1', {'storages': [...]}),
    Case('and nested lists', 'GET /v1/storages/{storage}/masking-views?sort=name:asc&fields=name&limit=2',
         {'masking_views': [{'name': 'view-000'}, {'name': 'view-001'}]}),
)
def test_order(delfin: Client, words: dict[str, str], case: Case) -> None:
    answers(delfin, case, words)


# --- 3. Lists: pages ---

@table(
    Case('limit cuts', 'GET /v1/volumes?storage_id={other}&limit=2', {'volumes': [..., ...], 'next_marker': str}),
    Case('the last page has no marker', 'GET /v1/volumes?storage_id={other}&limit=3',
         {'volumes': [{}, {}, {}], 'next_marker': ABSENT}),
    Case('no limit is the largest', 'GET /v1/volumes?storage_id={other}', {'volumes': [{}, {}, {}]}),
    Case('a larger limit is cut', 'GET /v1/volumes?storage_id={other}&limit=1000000', {'volumes': [{}, {}, {}]}),
    Case('limit 0 is an empty list', 'GET /v1/volumes?storage_id={other}&limit=0', {'volumes': []}),
    Case('offset skips', 'GET /v1/volumes?storage_id={other}&offset=2', {'volumes': [{}]}),
    Case('total counts all that fit the filter', 'GET /v1/volumes?storage_id={other}&limit=1&total=true',
         {'volumes': [{}], 'total_count': 3}, headers={'X-Total-Count': '3'}),
    Case('nobody counts unasked', 'GET /v1/volumes?storage_id={other}', {'total_count': ABSENT}),
    Case('a negative limit is refused', 'GET /v1/volumes?limit=-1', refusal('InvalidInput', 'limit'), 400),
    Case('so is a limit in words', 'GET /v1/volumes?limit=ten', refusal('InvalidInput', 'limit'), 400),
    Case('and an offset beyond reason', 'GET /v1/volumes?offset=2147483648', refusal('InvalidInput', 'offset'), 400),
    Case('total is true or false', 'GET /v1/volumes?total=maybe', refusal('InvalidInput', 'total'), 400),
    Case('a marker that is no row is not found', 'GET /v1/volumes?marker=nothing',
         refusal('VolumeNotFound', 'nothing'), 404),
    Case('nor one of another list', 'GET /v1/volumes?marker={storage}', refusal('VolumeNotFound'), 404),
    Case('nor one that the filter leaves out', 'GET /v1/volumes?storage_id={other}&marker={volume}',
         refusal('VolumeNotFound'), 404),
    Case('an unknown storage as marker', 'GET /v1/storages?marker=nothing', refusal('StorageNotFound'), 404),
    Case('a damaged marker is refused', 'GET /v1/volumes?marker=m.abc', refusal('InvalidInput', 'next_marker'), 400),
)
def test_pages(delfin: Client, words: dict[str, str], case: Case) -> None:
    answers(delfin, case, words)


def pages(client: Client, path: str, envelope: str, **parameters: Any) -> Iterator[list[dict[str, Any]]]:
    """A list as a client reads it: page after page until there is no marker."""
    marker: dict[str, str] = {}
    for _ in range(100):
        answer = client.get(path, **parameters, **marker)
        yield answer[envelope]
        if 'next_marker' not in answer:
            return
        marker = {'marker': answer['next_marker']}
    raise AssertionError('the pages do not end')


@pytest.mark.parametrize('sort', [None, 'name:asc', 'compressed:desc,total_capacity:asc', 'wwn:desc'])
def test_pages_by_marker_make_up_the_list(delfin: Client, storage: dict[str, Any], sort: str | None) -> None:
    parameters = {'storage_id': storage['id'], **({'sort': sort} if sort else {})}
    whole = delfin.get('/v1/volumes', **parameters)['volumes']
    read = list(pages(delfin, '/v1/volumes', 'volumes', limit=7, **parameters))
    assert [len(page) for page in read] == [7, 7, 7, 7, 7, 5]
    assert [row['id'] for page in read for row in page] == [row['id'] for row in whole]


@pytest.mark.parametrize('direction', ['asc', 'desc'])
def test_pages_by_marker_pass_unknown_values(delfin: Client, storage: dict[str, Any], direction: str) -> None:
    read = list(pages(delfin, '/v1/ports', 'ports', storage_id=storage['id'], limit=1, sort=f'wwn:{direction}'))
    assert len({page[0]['id'] for page in read}) == len(read) == 8


def test_a_marker_may_be_the_id_of_the_last_row(delfin: Client, storage: dict[str, Any],
                                                volumes: list[dict[str, Any]]) -> None:
    rest = delfin.get('/v1/volumes', storage_id=storage['id'], marker=volumes[6]['id'])['volumes']
    assert [row['id'] for row in rest] == [row['id'] for row in volumes[7:]]


def test_a_marker_belongs_to_its_order(delfin: Client) -> None:
    marker = delfin.get('/v1/volumes', limit=1, sort='name:asc')['next_marker']
    assert 'order' in delfin.get('/v1/volumes', 400, limit=1, marker=marker)['error_msg']


def test_a_marker_outlives_its_row(delfin: Client, array: Array) -> None:
    wanted = {'storage_id': array.id, 'sort': 'native_volume_id:asc'}
    everything = delfin.get('/v1/volumes', **wanted)['volumes']
    (number,) = (number for number, row in enumerate(everything) if row['native_volume_id'] == 'volume_39')
    marker = delfin.get('/v1/volumes', **wanted, limit=number + 1)['next_marker']
    array.behave(**{'remove.volumes': 1})
    assert kinds(array.sync())['volumes']['deleted'] == 1
    rest = delfin.get('/v1/volumes', **wanted, marker=marker)['volumes']
    assert [row['id'] for row in rest] == [row['id'] for row in everything[number + 1:]]


# --- 4. Lists: filters and fields ---

GIB = 2**30


@pytest.mark.parametrize(('query', 'fits'), [
    ('type=thin', lambda row: row['type'] == 'thin'),
    ('type=thin&compressed=true', lambda row: row['type'] == 'thin' and row['compressed']),
    ('compressed=false', lambda row: not row['compressed']),
    ('native_storage_pool_id=storage_pool_0&native_storage_pool_id=storage_pool_2',
     lambda row: row['native_storage_pool_id'] in ('storage_pool_0', 'storage_pool_2')),
    (f'total_capacity={100 * GIB}&total_capacity={200 * GIB}',
     lambda row: row['total_capacity'] in (100 * GIB, 200 * GIB)),
    (f'total_capacity>={200 * GIB}', lambda row: row['total_capacity'] >= 200 * GIB),
    (f'total_capacity<={200 * GIB}', lambda row: row['total_capacity'] <= 200 * GIB),
    (f'total_capacity>={50 * GIB}&total_capacity<={200 * GIB}',
     lambda row: 50 * GIB <= row['total_capacity'] <= 200 * GIB),
    ('name~=erp', lambda row: 'erp' in row['name']),
    ('name~=-index-&type=thin', lambda row: '-index-' in row['name'] and row['type'] == 'thin'),
    ('description~=Volume of w', lambda row: 'Volume of w' in row['description']),
    ('name~=ERP', lambda row: False),
    ('name~=%25', lambda row: False),        # a percent sign, no wildcard
    ('name=erp', lambda row: False),
    ('status=Available', lambda row: False),
])
def test_filters_select(delfin: Client, storage: dict[str, Any], volumes: list[dict[str, Any]], query: str,
                        fits: Callable[[dict[str, Any]], bool]) -> None:
    found = ask(delfin, f'GET /v1/volumes?storage_id={storage["id"]}&{query}').json()['volumes']
    assert [row['id'] for row in found] == [row['id'] for row in volumes if fits(row)]


@table(
    Case('an unknown filter names the known ones', 'GET /v1/volumes?nam=x', status=400,
         answer=refusal('InvalidInput', "'nam'", 'name', 'native_volume_id', 'wwn', 'limit')),
    Case('a text has no at-least', 'GET /v1/volumes?name>=a', refusal('InvalidInput', 'name', '>='), 400),
    Case('a number has no part', 'GET /v1/volumes?total_capacity~=1', refusal('InvalidInput', '~='), 400),
    Case('a number is a number', 'GET /v1/volumes?total_capacity=1GB', refusal('InvalidInput', 'total_capacity'), 400),
    Case('a number fits 64 bits', 'GET /v1/volumes?total_capacity>=9223372036854775808', status=400,
         answer=refusal('InvalidInput', 'total_capacity')),
    Case('a boolean is true or false', 'GET /v1/volumes?compressed=maybe', refusal('InvalidInput', 'compressed'), 400),
    Case('a free text is no filter by equality', 'GET /v1/volumes?description=x', status=400,
         answer=refusal('InvalidInput', 'description')),
    Case('a field for each filter', 'GET /v1/volumes?id={volume}&wwn={wwn}&fields=id,wwn',
         {'volumes': [{'id': '{volume}', 'wwn': '{wwn}'}]}),
    Case('storages are filtered', 'GET /v1/storages?serial_number={serial}&fields=id',
         {'storages': [{'id': '{storage}'}]}),
    Case('by range too', 'GET /v1/storages?serial_number={serial}&total_capacity<=1', {'storages': []}),
    Case('fields picks', 'GET /v1/volumes?id={volume}&fields=name,id',
         {'volumes': [{'name': '{name}', 'id': '{volume}', 'wwn': ABSENT, 'storage_id': ABSENT}]}),
    Case('an unknown field names the known ones', 'GET /v1/volumes?fields=nam', status=400,
         answer=refusal('InvalidInput', "'nam'", 'last_seen_at', 'name')),
    Case('an object takes no parameters', 'GET /v1/volumes/{volume}?fields=id', status=400,
         answer=refusal('InvalidInput', "'fields'")),
    Case('text must be utf-8', 'GET /v1/volumes?name=%FF', refusal('MalformedRequestUrl', 'UTF-8'), 400),
    Case('without nul', 'GET /v1/volumes?name=%00', refusal('MalformedRequestUrl', 'NUL'), 400),
)
def test_filters_and_fields(delfin: Client, words: dict[str, str], case: Case) -> None:
    answers(delfin, case, words)


# --- 5. Lists as CSV ---

CSV = {'Accept': 'text/csv'}


def csv_of(client: Client, path: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(ask(client, f'GET {path}', headers=CSV).text, newline=''), strict=True))


@table(
    Case('csv for those who accept it', 'GET /v1/volumes?limit=1', sends=CSV,
         headers={'Content-Type': re.compile('^text/csv'), 'Vary': 'Accept'}),
    Case('or like it better', 'GET /v1/volumes?limit=1', headers={'Content-Type': re.compile('^text/csv')},
         sends={'Accept': 'application/json;q=0.5, text/csv'}),
    Case('json for browsers', 'GET /v1/volumes?limit=1', headers={'Content-Type': 'application/json'},
         sends={'Accept': 'text/html,application/xhtml+xml,*/*;q=0.8'}),
    Case('json in doubt', 'GET /v1/volumes?limit=1', headers={'Content-Type': 'application/json', 'Vary': 'Accept'},
         sends={'Accept': 'image/png'}),
    Case('the next marker is in a header', 'GET /v1/volumes?limit=1', sends=CSV,
         headers={'X-Next-Marker': re.compile(r'^m\.')}),
    Case('so is the total', 'GET /v1/volumes?limit=1&storage_id={other}&total=true', sends=CSV,
         headers={'X-Total-Count': '3'}),
    Case('errors stay json', 'GET /v1/volumes?nam=x', refusal('InvalidInput'), 400, sends=CSV,
         headers={'Content-Type': 'application/json'}),
)
def test_csv(delfin: Client, words: dict[str, str], case: Case) -> None:
    answers(delfin, case, words)


def test_csv_has_the_rows_and_fields_of_the_json(delfin: Client, storage: dict[str, Any]) -> None:
    query = f'storage_id={storage["id"]}&fields=name,total_capacity,compressed,extra&sort=name:asc'
    rows = ask(delfin, f'GET /v1/volumes?{query}').json()['volumes']
    assert csv_of(delfin, f'/v1/volumes?{query}') == [
        ['name', 'total_capacity', 'compressed', 'extra'],
        *([row['name'], str(row['total_capacity']), 'true' if row['compressed'] else 'false', ''] for row in rows)]


def test_csv_has_a_column_for_every_field(delfin: Client, volumes: list[dict[str, Any]]) -> None:
    assert set(csv_of(delfin, '/v1/volumes?limit=0')[0]) == volumes[0].keys()


LABELS = {'display_name': '=HYPERLINK("http://x","y")', 'site': '+49 30 1', 'note': 'a "quoted", long\nnote',
          'tags': ['gold', 'a, b']}


@pytest.fixture(scope='module')
def labelled(delfin: Client) -> dict[str, Any]:
    """A storage whose labels are unpleasant."""
    registered = delfin.register_fake(next(_ports))
    return ask(delfin, f'PUT /v1/storages/{registered["id"]}', body=LABELS).json()


@pytest.mark.parametrize(('name', 'text'), [
    ('note', 'a "quoted", long\nnote'), ('tags', '["gold","a, b"]'), ('quarantined_until', ''),
    ('display_name', '\'=HYPERLINK("http://x","y")'), ('site', "'+49 30 1"), ('deleted', 'false'),
])
def test_csv_cells_survive_and_run_nothing(delfin: Client, labelled: dict[str, Any], name: str, text: str) -> None:
    rows = csv_of(delfin, f'/v1/storages?id={labelled["id"]}&fields={name}')
    assert rows == [[name], [text]] if text else rows in ([[name], []], [[name], ['']])


def test_csv_lines_end_as_rfc_4180_wants(delfin: Client, labelled: dict[str, Any]) -> None:
    path = f'/v1/storages?id={labelled["id"]}&fields=note,tags,deleted'
    assert ask(delfin, f'GET {path}', headers=CSV).text == (
        'note,tags,deleted\r\n"a ""quoted"", long\nnote","[""gold"",""a, b""]",false\r\n')


# --- 6. Conditional requests ---

@pytest.mark.parametrize('accept', ['application/json', 'text/csv'])
@pytest.mark.parametrize('path', ['/v1/volumes?storage_id={storage}', '/v1/volumes/{volume}', '/v1/storages/{storage}',
                                  '/v1/storages/{storage}/masking-views', '/v1/openapi.json'])
def test_what_has_not_changed_is_not_sent_again(delfin: Client, words: dict[str, str], path: str, accept: str) -> None:
    path = fill(path, words)
    first = ask(delfin, f'GET {path}', headers={'Accept': accept})
    again = ask(delfin, f'GET {path}', 304, headers={'Accept': accept, 'If-None-Match': first.headers['ETag']})
    assert (again.content, again.headers['ETag']) == (b'', first.headers['ETag'])


def test_what_has_changed_is_sent(delfin: Client) -> None:
    storage_id = delfin.register_fake(next(_ports))['id']
    before = ask(delfin, f'GET /v1/storages/{storage_id}').headers['ETag']
    ask(delfin, f'PUT /v1/storages/{storage_id}', body={'site': 'Berlin'})
    after = ask(delfin, f'GET /v1/storages/{storage_id}', headers={'If-None-Match': before})
    assert after.headers['ETag'] != before


def test_csv_and_json_have_different_tags(delfin: Client) -> None:
    json_tag = ask(delfin, 'GET /v1/volumes').headers['ETag']
    assert ask(delfin, 'GET /v1/volumes', headers={**CSV, 'If-None-Match': json_tag}).headers['ETag'] != json_tag


# --- 7. Methods and paths ---

@table(
    Case('options of a collection', 'OPTIONS /v1/volumes', headers={'Allow': 'GET, HEAD'}),
    Case('options of a storage', 'OPTIONS /v1/storages/{storage}', headers={'Allow': 'DELETE, GET, HEAD, PUT'}),
    Case('what cannot be made', 'POST /v1/volumes', refusal('MethodNotAllowed', 'POST', 'GET'), 405,
         headers={'Allow': 'GET, HEAD'}),
    Case('what cannot be patched', 'PATCH /v1/storages/{storage}', refusal('MethodNotAllowed'), 405,
         headers={'Allow': 'DELETE, GET, HEAD, PUT'}),
    Case('what cannot be deleted', 'DELETE /v1/storages', refusal('MethodNotAllowed'), 405,
         headers={'Allow': 'GET, HEAD, POST'}),
    Case('sync is no storage', 'GET /v1/storages/sync', refusal('MethodNotAllowed'), 405, headers={'Allow': 'POST'}),
    Case('no such path', 'GET /v1/nothing', refusal('NotFound', 'no such path'), 404,
         headers={'Content-Type': 'application/json'}),
    Case('no such version', 'GET /v2/storages', refusal('NotFound'), 404),
    Case('no such storage', 'GET /v1/storages/nothing', refusal('StorageNotFound', 'nothing'), 404),
    Case('no such volume', 'GET /v1/volumes/nothing', refusal('VolumeNotFound', 'nothing'), 404),
    Case('a slash at the end is fine', 'GET /v1/volumes/{volume}/', {'id': '{volume}'}),
    Case('also behind a list', 'GET /v1/volumes/?id={volume}', {'volumes': [{'id': '{volume}'}]}),
    Case('so is .json', 'GET /v1/volumes/{volume}.json', {'id': '{volume}'}),
    Case('also behind a list', 'GET /v1/storage-pools.json?limit=1', {'storage_pools': [{}]}),
    Case('pools have a second name', 'GET /v1/storages-pools?limit=1', {'storage_pools': [{}]}),
    Case('a broken body', 'POST /v1/storages', refusal('InvalidInput', 'rest, ssh, cli, smis'), 400, body={}),
)
def test_methods_and_paths(delfin: Client, words: dict[str, str], case: Case) -> None:
    answers(delfin, case, words)


@pytest.mark.parametrize('path', ['/v1', '/v1/volumes', '/v1/volumes/{volume}', '/v1/openapi.json', '/healthcheck'])
def test_head_is_get_without_the_body(delfin: Client, words: dict[str, str], path: str) -> None:
    get, head = (ask(delfin, f'{method} {fill(path, words)}') for method in ('GET', 'HEAD'))
    assert head.content == b''
    assert {name: head.headers.get(name) for name in ('Content-Length', 'Content-Type', 'ETag')} == {
        name: get.headers.get(name) for name in ('Content-Length', 'Content-Type', 'ETag')}


@pytest.mark.parametrize(('content', 'content_type', 'status', 'code'), [
    (b'{"rest":', 'application/json', 400, 'MalformedRequestBody'),
    (b'\xff', 'application/json', 400, 'MalformedRequestBody'),
    (b'[' * 100_000, 'application/json', 400, 'MalformedRequestBody'),
    (b'"\\u0000"', 'application/json', 400, 'MalformedRequestBody'),
    (b'[]', 'application/json', 400, 'InvalidInput'),
    (b'a=b', 'application/x-www-form-urlencoded', 415, 'InvalidContentType'),
    (b'{}', 'text/plain', 415, 'InvalidContentType'),
    (b' ' * 1_100_000, 'application/json', 413, 'RequestBodyTooLarge'),
])
def test_a_body_that_is_none(delfin: Client, content: bytes, content_type: str, status: int, code: str) -> None:
    error = ask(delfin, 'POST /v1/storages', status, data=content, headers={'Content-Type': content_type}).json()
    expect(refusal(code), error)


# --- 8. Nested collections ---

@table(
    Case('the path decides', 'GET /v1/storages/{storage}/storage-hosts?storage_id={other}&limit=1&fields=storage_id',
         {'storage_hosts': [{'storage_id': '{storage}'}]}),
    Case('an unknown storage', 'GET /v1/storages/nothing/storage-hosts', refusal('StorageNotFound', 'nothing'), 404),
    Case('one of its rows', 'GET /v1/storages/{storage}/masking-views/{view}',
         {'id': '{view}', 'storage_id': '{storage}'}),
    Case('not one of another storage', 'GET /v1/storages/{other}/masking-views/{view}',
         {**refusal('MaskingViewNotFound'), 'error_args': ['{view}']}, 404),
    Case('a flat list of an unknown storage is empty', 'GET /v1/volumes?storage_id=nothing', {'volumes': []}),
    Case('its syncs', 'GET /v1/storages/{storage}/syncs?limit=1', {'syncs': [{'storage_id': '{storage}'}]}),
    Case('no syncs of an unknown one', 'GET /v1/storages/nothing/syncs', refusal('StorageNotFound'), 404),
    Case('nor a latest one', 'GET /v1/storages/nothing/syncs/latest', refusal('StorageNotFound'), 404),
    Case('a sync takes no parameters', 'POST /v1/storages/{storage}/sync?forse=true', status=400,
         answer=refusal('InvalidInput', "'forse'")),
    Case('a sync of unknown kinds names the known ones', 'POST /v1/storages/{storage}/sync', status=400,
         body={'kinds': ['moons']}, answer=refusal('InvalidInput', 'kinds.0', 'storage_pools', 'volumes')),
    Case('a sync of no kinds', 'POST /v1/storages/{storage}/sync', refusal('InvalidInput', 'kinds'), 400,
         body={'kinds': []}),
    Case('a misspelt force', 'POST /v1/storages/{storage}/sync', refusal('InvalidInput', 'forse', 'force, kinds'), 400,
         body={'forse': True}),
    Case('a sync of an unknown storage', 'POST /v1/storages/nothing/sync', refusal('StorageNotFound'), 404,
         body={'kinds': ['volumes']}),
    Case('a sync of all takes no body that says something', 'POST /v1/storages/sync',
         refusal('BadRequest', 'no body'), 400, body={'force': True}),
)
def test_nested_collections(delfin: Client, words: dict[str, str], case: Case) -> None:
    answers(delfin, case, words)


# --- 9. Search over all arrays ---

FOUND = {'results': [{'kind': 'volumes', 'id': '{volume}', 'storage_id': '{storage}', 'matched': 'wwn',
                      'value': '{wwn}', 'resource': {'id': '{volume}', 'name': '{name}'}}], 'truncated': False}


@table(
    Case('a wwn', 'GET /v1/search?q={wwn}', FOUND),
    Case('in upper case', 'GET /v1/search?q={WWN}', FOUND),
    Case('with colons', 'GET /v1/search?q={colons}', FOUND),
    Case('with both', 'GET /v1/search?q={COLONS}', FOUND),
    Case('with 0x', 'GET /v1/search?q=0x{wwn}', FOUND),
    Case('with blanks around it', 'GET /v1/search?q=%20{wwn}%20', FOUND),
    Case('a serial number', 'GET /v1/search?q={serial}', {'results': [
        {'kind': 'storages', 'id': '{storage}', 'matched': 'serial_number', 'resource': {'sync_status': 'SYNCED'}},
        ...]}),
    Case('what is asked for comes before what begins with it', 'GET /v1/search?q=volume_3',
         {'results': [{'value': 'volume_3'}, ...]}),
    Case('the beginning of a name', 'GET /v1/search?q=erp-data', {'results': [
        {'kind': 'volumes', 'matched': 'name', 'value': re.compile('^erp-data-')}, ...]}),
    Case('but not its middle', 'GET /v1/search?q=data-0000', {'results': [], 'truncated': False}),
    Case('nothing', 'GET /v1/search?q=no-such-thing', {'results': [], 'truncated': False}),
    Case('no more than wanted', 'GET /v1/search?q=volume&limit=2', {'results': [{}, {}], 'truncated': True}),
    Case('one letter is too little', 'GET /v1/search?q=e', refusal('InvalidInput', 'q must have'), 400),
    Case('so is nothing', 'GET /v1/search', refusal('InvalidInput', 'q must have'), 400),
    Case('other parameters', 'GET /v1/search?q=erp&kind=volumes', refusal('InvalidInput', "'kind'"), 400),
)
def test_search(delfin: Client, words: dict[str, str], case: Case) -> None:
    answers(delfin, case, words)


# --- 10. Drivers and capabilities ---

@table(
    Case('what can be registered', 'GET /v1/drivers', {'drivers': [{'name': str, 'status': 'ok', 'error': None}, ...]}),
    Case('one driver', 'GET /v1/drivers/fake_storage/fake_driver', {
        **FAKE, 'status': 'ok', 'driver_api': '1.0', 'documentation': str, 'capabilities': {'is_historic': True},
        'options': {'volumes': {'description': str, 'secret': False, 'default': '40'}}}),
    Case('which options are secret', 'GET /v1/drivers/fake_storage/fake_driver',
         {'options': {'login_password': {'secret': True, 'default': ''}}}),
    Case('a real one', 'GET /v1/drivers/linux/host', {'name': 'linux host', 'status': 'ok'}),
    Case('no such vendor', 'GET /v1/drivers/nobody/fake_driver', refusal('StorageDriverNotFound', 'nobody'), 404),
    Case('no such model', 'GET /v1/drivers/fake_storage/x', refusal('StorageDriverNotFound', 'fake_storage x'), 404),
    Case('a driver takes no parameters', 'GET /v1/drivers?vendor=x', refusal('InvalidInput', "'vendor'"), 400),
    Case('what can be measured', 'GET /v1/storages/{storage}/capabilities', {
        'metadata': {'vendor': 'fake_vendor', 'model': 'fake_model'},
        'spec': {'is_historic': True, 'resource_metrics': {'volume': {'iops': {'unit': 'IOPS', 'description': str}}}}}),
    Case('capabilities of nothing', 'GET /v1/storages/nothing/capabilities', refusal('StorageNotFound'), 404),
)
def test_drivers_and_capabilities(delfin: Client, words: dict[str, str], case: Case) -> None:
    answers(delfin, case, words)


# --- 11. Registration ---

def test_a_dry_run_tells_what_would_be_registered_and_stores_nothing(delfin: Client) -> None:
    before = delfin.get('/v1/storages')
    found = ask(delfin, 'POST /v1/storages?dry_run=true', body=fake(9400)).json()
    expect({'vendor': 'fake_vendor', 'model': 'fake_model', 'serial_number': str, 'total_capacity': int,
            'registered_as': None}, found)
    assert delfin.get('/v1/storages') == before


def test_a_dry_run_tells_what_is_registered_already(delfin: Client, storage: dict[str, Any]) -> None:
    port = delfin.get(f'/v1/storages/{storage["id"]}/access-info')['rest']['port']
    found = ask(delfin, 'POST /v1/storages?dry_run=true', body=fake(port)).json()
    assert (found['serial_number'], found['registered_as']) == (storage['serial_number'], storage['id'])


@table(
    Case('a wrong password', 'POST /v1/storages?dry_run=true', refusal('InvalidUsernameOrPassword'), 400,
         body=fake(9401, login_password='another')),
    Case('an unknown driver', 'POST /v1/storages?dry_run=true', refusal('StorageDriverNotFound', 'nobody x'), 404,
         body={**fake(), 'vendor': 'nobody', 'model': 'x'}),
    Case('an incomplete body', 'POST /v1/storages?dry_run=true', refusal('InvalidInput', 'rest: ', 'password'), 400,
         body={**FAKE, 'rest': {'host': 'x', 'port': 1, 'username': 'y'}}),
    Case('maybe', 'POST /v1/storages?dry_run=maybe', refusal('InvalidInput', 'dry_run'), 400, body=fake()),
)
def test_a_dry_run_fails_as_a_registration_does(delfin: Client, case: Case) -> None:
    answers(delfin, case, {})


REST = fake()['rest']


@table(
    Case('an unknown field names the known ones', 'POST /v1/storages', status=400, body={**fake(), 'pasword': 'x'},
         answer=refusal('InvalidInput', 'pasword', 'rest, smis, ssh')),
    Case('also inside a section', 'POST /v1/storages', status=400, body={**FAKE, 'rest': {**REST, 'pasword': 'x'}},
         answer=refusal('InvalidInput', 'rest: ', 'pasword', 'password')),
    Case('a section needs its fields', 'POST /v1/storages', status=400, body={**FAKE, 'ssh': {'host': 'x'}},
         answer=refusal('InvalidInput', 'ssh', 'username')),
    Case('vendor and model are needed', 'POST /v1/storages', status=400, body={'rest': REST},
         answer=refusal('InvalidInput', 'vendor, model')),
    Case('a port is a port', 'POST /v1/storages', status=400, body={**FAKE, 'rest': {**REST, 'port': 70000}},
         answer=refusal('InvalidInput', 'rest.port', '65535')),
    Case('a host is a name or an address', 'POST /v1/storages', status=400,
         body={**FAKE, 'rest': {**REST, 'host': 'a b'}}, answer=refusal('InvalidInput', 'rest.host')),
    Case('extra attributes are texts', 'POST /v1/storages', status=400, body={**fake(), 'extra_attributes': {'a': 1}},
         answer=refusal('InvalidInput', 'extra_attributes.a', 'string')),
    Case('the driver checks its own', 'POST /v1/storages', status=400, body=fake(9402, volumes='many'),
         answer=refusal('InvalidInput', 'volumes')),
    Case('an array that answers rubbish', 'POST /v1/storages', refusal('StorageBackendException'), 502,
         body=fake(9403, misbehave='get_storage:raise_typed')),
)
def test_what_cannot_be_registered(delfin: Client, case: Case) -> None:
    answers(delfin, case, {})


def test_a_refusal_never_repeats_a_value(delfin: Client) -> None:
    body = {**FAKE, 'rest': {**REST, 'port': 'geheim-1', 'host': 'geheim 2', 'password': ['geheim-3']}}
    assert 'geheim' not in ask(delfin, 'POST /v1/storages', 400, body).text


def test_two_who_register_one_array_at_once_are_told_apart(delfin: Client) -> None:
    def register(_: int) -> requests.Response:
        with requests.Session() as session:
            return session.post(f'{delfin.url}/v1/storages', json=fake(9404, **{'latency_ms.get_storage': '300'}))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        first, second = sorted(pool.map(register, range(2)), key=lambda answer: answer.status_code)
    assert (first.status_code, second.status_code) == (201, 409)
    expect(refusal('StorageAlreadyExists'), second.json())


# --- 12. Access information ---

def access(array: Array) -> dict[str, Any]:
    return array.client.get(f'/v1/storages/{array.id}/access-info')


def change_access(array: Array, body: Mapping[str, Any], status: int = 200) -> dict[str, Any]:
    return ask(array.client, f'PUT /v1/storages/{array.id}/access-info', status, dict(body)).json()


def test_access_information_shows_how_an_array_is_reached_and_no_secret(array: Array) -> None:
    shown = access(array)
    expect({
        'storage_id': array.id, **FAKE, 'storage_name': None, 'created_at': re.compile('Z$'), 'updated_at': None,
        'rest': {'host': '127.0.0.1', 'port': int, 'username': 'demo', 'password': ABSENT}, 'ssh': {}, 'cli': {},
        'smis': {}, 'extra_attributes': {'control_file': str}}, shown)
    assert shown in array.client.get('/v1/access-infos')['access_infos']


def test_secret_extra_attributes_are_masked(delfin: Client) -> None:
    storage_id = delfin.register_fake(next(_ports), login_password=PASSWORD, volumes='1')['id']
    shown = delfin.get(f'/v1/storages/{storage_id}/access-info')
    assert shown['extra_attributes'] == {'login_password': '***', 'volumes': '1'}
    assert PASSWORD not in ask(delfin, 'GET /v1/access-infos').text


def test_a_wrong_password_changes_nothing_and_the_old_one_keeps_working(array: Array) -> None:
    array.behave(login_password=PASSWORD)
    before = access(array)
    expect(refusal('InvalidUsernameOrPassword'), change_access(array, {'rest': {'password': 'wrong'}}, 400))
    assert access(array) == before
    assert array.sync()['state'] == 'done'
    assert array.status() == 'SYNCED'


def test_access_information_of_another_array_is_a_conflict_and_changes_nothing(array: Array) -> None:
    before = access(array)
    error = change_access(array, {'rest': {'port': before['rest']['port'] + 1000}}, 409)
    expect(refusal('StorageSerialNumberMismatch', 'nothing was changed'), error)
    assert access(array) == before
    assert array.sync()['state'] == 'done'


def test_after_a_change_the_array_is_reached_the_new_way(array: Array) -> None:
    array.behave(login_password='changed-on-the-array')
    assert array.sync()['state'] == 'failed'
    shown = change_access(array, {'rest': {'password': 'changed-on-the-array'}})
    expect({'storage_id': array.id, 'updated_at': re.compile('Z$'), 'rest': {'password': ABSENT}}, shown)
    assert array.sync()['state'] == 'done'


def test_what_is_not_given_stays(array: Array) -> None:
    before = access(array)
    shown = change_access(array, {'rest': {'username': 'other'}, 'extra_attributes': {'volumes': '25'}})
    assert shown['rest'] == {**before['rest'], 'username': 'other'}
    assert shown['extra_attributes'] == {**before['extra_attributes'], 'volumes': '25'}
    array.sync()
    assert len(array.ids()) == 25


def test_a_field_that_is_null_is_forgotten(array: Array) -> None:
    assert change_access(array, {'rest': {'timeout': 30}})['rest']['timeout'] == 30
    assert 'timeout' not in change_access(array, {'rest': {'timeout': None}})['rest']


def test_a_secret_that_comes_back_masked_stays(delfin: Client) -> None:
    body = fake(next(_ports), login_password=PASSWORD)
    storage_id = delfin.register(**body)['id']
    shown = delfin.get(f'/v1/storages/{storage_id}/access-info')
    ask(delfin, f'PUT /v1/storages/{storage_id}/access-info',
        body={name: shown[name] for name in ('rest', 'extra_attributes')})
    assert delfin.sync(storage_id)['state'] == 'done'


def test_a_section_can_be_added_and_an_extra_attribute_removed(array: Array) -> None:
    change_access(array, {'extra_attributes': {'hosts': '9'}})
    shown = change_access(array, {'ssh': {'host': '127.0.0.1', 'username': 'root'}, 'extra_attributes': {'hosts': ''}})
    assert (shown['ssh'], shown['extra_attributes'].keys()) == (
        {'host': '127.0.0.1', 'username': 'root'}, {'control_file'})


@table(
    Case('nothing', 'PUT /v1/storages/{storage}/access-info', refusal('InvalidInput'), 400, body={}),
    Case('null for what must be', 'PUT /v1/storages/{storage}/access-info', refusal('InvalidInput', 'rest'), 400,
         body={'rest': None}),
    Case('a port that is none', 'PUT /v1/storages/{storage}/access-info', refusal('InvalidInput', 'rest.port'), 400,
         body={'rest': {'port': 0}}),
    Case('another driver', 'PUT /v1/storages/{storage}/access-info', refusal('InvalidInput', 'vendor'), 400,
         body={'vendor': 'linux', 'rest': {'port': 1}}),
    Case('an unknown storage', 'PUT /v1/storages/nothing/access-info', refusal('StorageNotFound'), 404,
         body={'rest': {'port': 1}}),
    Case('nor has it one', 'GET /v1/storages/nothing/access-info', refusal('StorageNotFound'), 404),
)
def test_what_is_no_access_information(delfin: Client, words: dict[str, str], case: Case) -> None:
    answers(delfin, case, words)


# --- 13. Labels ---

def test_labels_are_what_people_say_and_survive_a_sync(array: Array) -> None:
    labels = {'display_name': 'erp gold', 'note': 'call Ann first', 'site': 'Berlin', 'tags': ['gold', 'erp']}
    shown = ask(array.client, f'PUT /v1/storages/{array.id}', body=labels).json()
    expect(labels, shown)
    array.behave(epoch=1)
    assert array.sync()['state'] == 'done'
    expect({**labels, 'name': shown['name']}, array.client.get(f'/v1/storages/{array.id}'))
    assert array.id in [row['id'] for row in array.client.get('/v1/storages', display_name='erp gold')['storages']]


@table(
    Case('one label is changed and the others stay', 'PUT /v1/storages/{labelled}',
         {'site': 'Munich', 'note': LABELS['note'], 'tags': LABELS['tags']}, body={'site': 'Munich'}),
    Case('null takes one away', 'PUT /v1/storages/{labelled}', {'note': None, 'tags': []},
         body={'note': None, 'tags': None}),
    Case('nothing changes nothing', 'PUT /v1/storages/{labelled}', {'id': '{labelled}'}, body={}),
    Case('what the array says cannot be changed', 'PUT /v1/storages/{labelled}', status=400, body={'vendor': 'x'},
         answer=refusal('InvalidInput', 'vendor', 'display_name, maintenance, name, note, site, sync_interval_seconds',
                        'tags')),
    Case('tags are texts', 'PUT /v1/storages/{labelled}', refusal('InvalidInput', 'tags'), 400, body={'tags': [1]}),
    Case('a label has an end', 'PUT /v1/storages/{labelled}', refusal('InvalidInput', 'site', '255'), 400,
         body={'site': 'x' * 256}),
    Case('an unknown storage', 'PUT /v1/storages/nothing', refusal('StorageNotFound'), 404, body={'site': 'x'}),
)
def test_labels(delfin: Client, labelled: dict[str, Any], case: Case) -> None:
    answers(delfin, case, {'labelled': labelled['id']})


# --- Settings, syncs of some kinds, nodes ---

@table(
    Case('maintenance is switched on', 'PUT /v1/storages/{labelled}', {'maintenance': True},
         body={'maintenance': True}),
    Case('and stays', 'GET /v1/storages/{labelled}', {'maintenance': True, 'sync_interval_seconds': None}),
    Case('an interval of its own', 'PUT /v1/storages/{labelled}', {'sync_interval_seconds': 900, 'maintenance': True},
         body={'sync_interval_seconds': 900}),
    Case('zero is never', 'PUT /v1/storages/{labelled}', {'sync_interval_seconds': 0},
         body={'sync_interval_seconds': 0}),
    Case('null is as the installation has it', 'PUT /v1/storages/{labelled}',
         {'sync_interval_seconds': None, 'maintenance': False},
         body={'sync_interval_seconds': None, 'maintenance': False}),
    Case('maintenance is yes or no', 'PUT /v1/storages/{labelled}', refusal('InvalidInput', 'maintenance', 'boolean'),
         400, body={'maintenance': None}),
    Case('an interval is not negative', 'PUT /v1/storages/{labelled}', status=400, body={'sync_interval_seconds': -1},
         answer=refusal('InvalidInput', 'sync_interval_seconds', '0')),
    Case('nor longer than a month', 'PUT /v1/storages/{labelled}', status=400,
         body={'sync_interval_seconds': 2_592_001}, answer=refusal('InvalidInput', 'sync_interval_seconds', '2592000')),
    Case('the nodes of the installation', 'GET /v1/nodes', {'nodes': [
        {'name': str, 'version': str, 'alive': True, 'storages': int, 'started_at': re.compile('Z$'),
         'heartbeat_at': re.compile('Z$'), 'expires_at': re.compile('Z$'), 'key_ids': ABSENT, 'boot': ABSENT}]}),
    Case('nodes take no parameters', 'GET /v1/nodes?alive=true', refusal('InvalidInput', "'alive'"), 400),
)
def test_settings_and_nodes(delfin: Client, labelled: dict[str, Any], case: Case) -> None:
    answers(delfin, case, {'labelled': labelled['id']})


def test_some_kinds_are_synced_at_once(array: Array) -> None:
    requested = ask(array.client, f'POST /v1/storages/{array.id}/sync', 202, {'kinds': ['disks'], 'force': True})
    assert requested.headers['Location'] == f'/v1/storages/{array.id}/syncs/latest'
    expect({'trigger': 'api', 'state': 'done', 'force': True, 'kinds': [
        {'kind': 'storage', 'state': 'done'}, {'kind': 'disks', 'state': 'done', 'seen': 24}]},
        array.client.synced(array.id, requested.json()['id']))


def test_a_kind_that_could_not_be_fetched_is_named_until_it_can(array: Array) -> None:
    array.behave(misbehave='list_volumes:raise_typed')
    array.sync()
    expect({'sync_status': 'FAILED', 'failed_kinds': ['volumes']}, storage_of(array))
    array.behave()
    array.sync()
    expect({'sync_status': 'SYNCED', 'failed_kinds': []}, storage_of(array))


# --- 14. Freshness ---

def storage_of(array: Array) -> dict[str, Any]:
    return array.client.get(f'/v1/storages/{array.id}')


def last_seen(array: Array, kind: str) -> set[str]:
    return {row['last_seen_at'] for row in array.client.rows(kind, array.id)}


def test_a_synced_storage_is_fresh(array: Array) -> None:
    run = array.client.synced(array.id)
    expect({'sync_status': 'SYNCED', 'reachable': True, 'last_sync_at': run['finished_at'],
            'last_contact_at': re.compile('Z$'), 'quarantined_until': None}, storage_of(array))
    assert len(last_seen(array, 'volumes')) == 1


def test_a_sync_without_changes_makes_the_rows_fresh(array: Array) -> None:
    before = last_seen(array, 'volumes')
    assert array.sync()['state'] == 'done'
    assert min(last_seen(array, 'volumes')) > max(before)


def test_an_array_that_does_not_answer_is_said_to_be_unreachable_and_its_rows_to_be_old(array: Array) -> None:
    before, seen = storage_of(array), last_seen(array, 'volumes')
    array.behave(misbehave='get_storage:raise_typed,list_*:raise_typed')
    assert array.sync()['state'] == 'failed'
    expect({'sync_status': 'FAILED', 'reachable': False, 'last_sync_at': before['last_sync_at'],
            'last_contact_at': before['last_contact_at']}, storage_of(array))
    assert last_seen(array, 'volumes') == seen
    array.behave()
    assert array.sync()['state'] == 'done'
    expect({'sync_status': 'SYNCED', 'reachable': True}, storage_of(array))


def test_a_kind_that_failed_is_old_and_the_others_are_fresh(array: Array) -> None:
    before, volumes, disks = storage_of(array), last_seen(array, 'volumes'), last_seen(array, 'disks')
    array.behave(misbehave='list_volumes:raise_typed')
    assert array.sync()['state'] == 'failed'
    assert last_seen(array, 'volumes') == volumes
    assert last_seen(array, 'disks') != disks
    after = storage_of(array)
    assert (after['reachable'], after['last_sync_at']) == (True, before['last_sync_at'])
    assert after['last_contact_at'] > before['last_contact_at']
