# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI 3.1 document, made from the table of operations, and a page of it that needs nothing from outside."""

from __future__ import annotations

import html
from http import HTTPStatus
from typing import Any

from delfin.api import operations, schemas_of
from delfin.api.operations import COMMON_ERRORS, Operation, ref
from delfin.version import version_string

Schema = dict[str, Any]

_DESCRIPTION = (
    'Storage arrays of every vendor in one inventory. Capacities are bytes, port speeds bit/s, disk speeds rpm; times '
    'are RFC 3339 in UTC; unknown values are null. Lists are filtered with name=value (repeated: one of), '
    'name~=part, name>=n and name<=n. Errors have one shape.')


def document() -> Schema:
    """The whole document."""
    paths: dict[str, Schema] = {}
    for operation in operations.operations():
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        'openapi': '3.1.0',
        'info': {'title': 'Delfin', 'version': version_string(), 'description': _DESCRIPTION,
                 'license': {'name': 'Apache-2.0', 'identifier': 'Apache-2.0'}},
        'servers': [{'url': '/'}],
        'paths': paths,
        'components': {'schemas': schemas_of.components()},
    }


def _operation(operation: Operation) -> Schema:
    described: Schema = {
        'summary': operation.summary, 'tags': [operation.tag], 'operationId': _operation_id(operation),
        'parameters': [*_path_parameters(operation.path), *operation.parameters],
        'responses': {
            str(operation.status): _answer(operation),
            **{str(status): _error(status) for status in sorted({*COMMON_ERRORS, *operation.errors})}},
    }
    if operation.method == 'GET':
        described['responses']['304'] = {'description': 'not modified since the given ETag'}
    if operation.path == '/v1/storages' and operation.method == 'POST':
        described['responses']['200'] = {
            'description': 'with dry_run: what would be registered',
            'content': {'application/json': {'schema': {'type': 'object'}}}}
    if operation.body is not None:
        described['requestBody'] = {'required': not operation.body_optional,
                                    'content': {'application/json': {'schema': operation.body}}}
    return described


def _operation_id(operation: Operation) -> str:
    words = operation.path.strip('/').replace('{', 'by_').replace('}', '').replace('-', '_').replace('.', '_')
    return f'{operation.method.lower()}_{words.replace("/", "_") or "root"}'


def _path_parameters(path: str) -> list[Schema]:
    return [{'name': part[1:-1], 'in': 'path', 'required': True, 'schema': {'type': 'string', 'minLength': 1}}
            for part in path.split('/') if part.startswith('{')]


def _answer(operation: Operation) -> Schema:
    described: Schema = {'description': HTTPStatus(operation.status).phrase}
    if operation.listed:
        described['content'] = {
            'application/json': {'schema': {
                'type': 'object', 'required': [operation.envelope],
                'properties': {
                    operation.envelope: {'type': 'array', 'items': _row(operation.listed)},
                    'next_marker': {'type': 'string', 'description': 'there is another page'},
                    'total_count': {'type': 'integer'}}}},
            'text/csv': {'schema': {'type': 'string'}}}
    elif operation.answer is not None:
        content_type = 'text/html' if operation.answer.get('type') == 'string' else 'application/json'
        described['content'] = {content_type: {'schema': operation.answer}}
    return described


def _row(component: str) -> Schema:
    """A row of a list: with `fields=` some of the properties may be absent, so none is required."""
    schema = schemas_of.components()[component]
    return {'type': 'object', 'properties': schema['properties']}


def _error(status: int) -> Schema:
    return {'description': HTTPStatus(status).phrase, 'content': {'application/json': {'schema': ref('Error')}}}


# --- the page ---

_STYLE = (
    'body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#222}'
    'code,.path{font-family:ui-monospace,monospace}.method{display:inline-block;width:4.5rem;font-weight:bold}'
    'details{border:1px solid #ddd;border-radius:4px;margin:.4rem 0;padding:.4rem .8rem}'
    'summary{cursor:pointer}table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.15rem .6rem;'
    'border-bottom:1px solid #eee;vertical-align:top}nav a{margin-right:.8rem}')


def page(described: Schema) -> str:
    """The document as one HTML page without scripts."""
    by_tag: dict[str, list[str]] = {}
    for path, methods in described['paths'].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation['tags'][0], []).append(_operation_html(path, method, operation))
    tags = ''.join(f'<a href="#{_text(tag)}">{_text(tag)}</a> ' for tag in by_tag)
    sections = ''.join(f'<h2 id="{_text(tag)}">{_text(tag)}</h2>{"".join(items)}' for tag, items in by_tag.items())
    schemas = ''.join(_schema_html(name, schema) for name, schema in described['components']['schemas'].items())
    info = described['info']
    return (f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Delfin REST API</title>'
            f'<style>{_STYLE}</style></head><body><h1>Delfin REST API {_text(info["version"])}</h1>'
            f'<p>{_text(info["description"])} The same for machines: <a href="/v1/openapi.json">openapi.json</a>.</p>'
            f'<nav>{tags}<a href="#schemas">schemas</a></nav>{sections}<h2 id="schemas">schemas</h2>{schemas}'
            '</body></html>')


def _operation_html(path: str, method: str, operation: Schema) -> str:
    rows = ''.join(
        f'<tr><td><code>{_text(parameter["name"])}</code></td><td>{_text(parameter["in"])}</td>'
        f'<td>{_text(parameter.get("description", ""))}</td></tr>' for parameter in operation['parameters'])
    answers = ', '.join(f'{status} {_text(answer["description"])}'
                        for status, answer in operation['responses'].items())
    table = f'<table><tr><th>parameter</th><th>in</th><th></th></tr>{rows}</table>' if rows else ''
    return (f'<details><summary><span class="method">{method.upper()}</span> <span class="path">{_text(path)}</span> '
            f'{_text(operation["summary"])}</summary>{table}<p>Answers: {answers}</p></details>')


def _schema_html(name: str, schema: Schema) -> str:
    rows = ''.join(
        f'<tr><td><code>{_text(field)}</code></td><td>{_text(_type_text(facts))}</td>'
        f'<td>{_text(facts.get("description", ""))}</td></tr>' for field, facts in schema['properties'].items())
    return f'<details id="{_text(name)}"><summary>{_text(name)}</summary><table>{rows}</table></details>'


def _type_text(schema: Schema) -> str:
    kind = schema.get('type', schema.get('enum', schema.get('const', '')))
    return ', '.join(map(str, kind)) if isinstance(kind, list) else str(kind)


def _text(value: object) -> str:
    return html.escape(str(value))
