"""The JSON Schema that a job's output must fit: whether it is one, and what a document has against it.

Slow to import, so only who has a schema in hands does. Fetches nothing: a schema refers to itself alone.
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

TOLD = 3
"""So many misfits are told."""

LOOKED_FOR = 100
LONGEST = 300
"""Characters of what is said of one: it repeats the value."""

DATA = ("enum", "const", "default", "examples")
"""Keywords whose values are no schemas."""


def refuse(schema: dict[str, Any], where: str) -> None:
    """BadInput, beginning with `where`, for what is no JSON Schema or refers to something outside of it."""
    if not isinstance(schema.get("$schema", ""), str):
        raise BadInput(f"{where} is no JSON Schema: $.$schema is no text")
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
    except SchemaError as problem:
        raise BadInput(f"{where} is no JSON Schema: {_told(problem)}") from None
    for reference in _references(schema):
        if not reference.startswith("#"):
            raise BadInput(f"{where} refers to {reference[:80]!r}; a schema may only refer to its own parts, by #/…")
        if reference.startswith("#/") and not _leads_somewhere(schema, reference):
            raise BadInput(f"{where} refers to {reference[:80]!r}, which it does not have")


def misfit(schema: Any, document: Any) -> str:
    """What the document has against the schema, as "$.items[3].price: 'x' is not of type 'number'"; "" for nothing."""
    kind = validator_for(schema, default=Draft202012Validator)
    nothing_else: Registry[Any] = Registry()
    try:
        found = list(islice(kind(schema, registry=nothing_else).iter_errors(document), LOOKED_FOR))
    except Unresolvable as problem:
        return f"the schema refers to what it does not have ({problem})"
    more = len(found) - TOLD
    told = "; ".join(_told(error) for error in found[:TOLD])
    return f"{told}; and {more} more" if more > 0 else told


def _told(error: Any) -> str:
    said = f"{error.json_path}: {error.message}"
    return said if len(said) <= LONGEST else f"{said[: LONGEST - 1]}…"


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
