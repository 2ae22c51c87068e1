# SPDX-License-Identifier: Apache-2.0
"""Whether a body is as its schema says, and in which words it is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import fastjsonschema

from delfin import exception


def checked(validate: Callable[[Any], Any], body: Any) -> dict[str, Any]:
    """A body that `validate`, a compiled schema, accepts. `InvalidInput` names field and rule, never a value."""
    try:
        validate(body)
    except fastjsonschema.JsonSchemaValueException as error:
        raise exception.InvalidInput(_explain(error)) from None
    return dict(body)


def integers(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body with 60.0, which is an integer to JSON Schema, as 60."""
    return {name: int(value) if isinstance(value, float) and value.is_integer() else value
            for name, value in body.items()}


def _explain(error: fastjsonschema.JsonSchemaValueException) -> str:
    """The library's sentence without the value, which may be a password."""
    path = '.'.join(str(part) for part in error.path[1:]) or 'the body'
    rule, limit = error.rule, error.rule_definition
    if rule == 'required':
        missing = [name for name in limit if not isinstance(error.value, dict) or name not in error.value]
        return f'{path}: {", ".join(missing)} is required.'
    if rule == 'additionalProperties':
        known = set(error.definition.get('properties', {}))
        unknown = sorted(str(name)[:64] for name in error.value if name not in known) if known else []
        return f'{path}: unknown field {", ".join(unknown)}; known are {", ".join(sorted(known))}.' if known else (
            f'{path}: a field name may hold letters, digits, blank and - _ : . only.')
    meaning = error.definition.get('description', '')
    sentences = {
        'type': f'must be of type {limit}', 'enum': f'must be one of {limit}', 'minimum': f'must be at least {limit}',
        'maximum': f'must be at most {limit}', 'minLength': f'must have at least {limit} characters',
        'maxLength': f'must have at most {limit} characters',
        'pattern': f'must match {limit}{" (" + meaning + ")" if meaning else ""}',
        'maxProperties': f'must have at most {limit} fields',
    }
    return f'{path} {sentences.get(str(rule), "is not valid")}.'
