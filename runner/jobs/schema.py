"""The published JSON Schema of the job file, made of the table of its keys. Checks nothing: see keys."""

from typing import Any

from runner.jobs.job import TABLE
from runner.jobs.keys import Key


def schema() -> dict[str, Any]:
    """The JSON Schema of a job file, version 1 (draft 2020-12), a copy of the caller's own."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:muxq:job:1",
        **_part(TABLE),
        "oneOf": [{"required": ["prompt"]}, {"required": ["template"]}],
        "dependentRequired": {"vars": ["template"]},
    }


def _part(key: Key) -> dict[str, Any]:
    """The schema of one key and of all that lies in it."""
    default = f" Default: {key.default}." if key.default else ""
    part: dict[str, Any] = {"title": key.title, "description": f"{key.text}{default}", **key.shape.schema}
    if key.examples:
        part["examples"] = list(key.examples)
    if key.items:
        part["items"] = _part(key.items)
    if key.names:
        part["propertyNames"] = {"pattern": key.names}
    if key.values:
        part["additionalProperties"] = _part(key.values)
    if key.members is not None:
        part["properties"] = {name: _part(member) for name, member in key.members.items()}
        part["additionalProperties"] = False
    if key.required:
        part["required"] = list(key.required)
    return part
