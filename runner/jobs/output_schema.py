"""The JSON Schema that a job's output must fit: whether it is valid, and where a document does not fit it.

Slow to import, so it is imported only for jobs with a schema. Fetches nothing: a schema refers to itself alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from runner.errors import BadInput

NAMED = 3
"""A message names so many errors."""

MAX_ERRORS = 100
"""The search stops after so many."""

LONGEST = 300
"""Characters of the text about one error: it repeats the value."""

DATA = ("enum", "const", "default", "examples")
"""Keywords whose values are data and not schemas."""


def refuse(schema: dict[str, Any], where: str) -> None:
    """BadInput, beginning with `where`, for an invalid JSON Schema, or one that refers to something outside of it."""
    if not isinstance(schema.get("$schema", ""), str):
        raise BadInput(f"{where} is not a JSON Schema: $.$schema is not a text")
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
    except SchemaError as problem:
        raise BadInput(f"{where} is not a JSON Schema: {_described(problem)}") from None
    for reference in _references(schema):
        if not reference.startswith("#"):
            raise BadInput(f"{where} refers to {reference[:80]!r}; a schema may only refer to its own parts, by #/…")
        if reference.startswith("#/") and not _leads_somewhere(schema, reference):
            raise BadInput(f"{where} refers to {reference[:80]!r}, which it does not have")


def misfit(schema: Any, document: Any) -> str:
    """Why the document does not fit, as "$.items[3].price: 'x' is not of type 'number'"; "" for one that fits."""
    kind = validator_for(schema, default=Draft202012Validator)
    nothing_else: Registry[Any] = Registry()
    try:
        errors = list(islice(kind(schema, registry=nothing_else).iter_errors(document), MAX_ERRORS))
    except Unresolvable as problem:
        return f"the schema refers to a part that it does not have ({problem})"
    more = len(errors) - NAMED
    text = "; ".join(_described(error) for error in errors[:NAMED])
    return f"{text}; and {more} more" if more > 0 else text


def _described(error: Any) -> str:
    text = f"{error.json_path}: {error.message}"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for item in schema:
            yield from _references(item)
    elif isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for key, member in schema.items():
            if key not in DATA:
                yield from _references(member)


def _leads_somewhere(schema: Any, reference: str) -> bool:
    """Whether the reference (`#/…`) points to a part of the schema."""
    at = schema
    for part in reference.removeprefix("#/").split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(at, list) and key.isdecimal() and int(key) < len(at):
            at = at[int(key)]
        elif isinstance(at, dict) and key in at:
            at = at[key]
        else:
            return False
    return True
