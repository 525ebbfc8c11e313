"""The schema of an output: which schemas are valid, and where a document does not fit one."""

from __future__ import annotations

from typing import Any

import pytest

from runner.errors import BadInput
from runner.jobs.output_schema import LONGEST, misfit, refuse

ITEMS = {
    "type": "object",
    "required": ["items"],
    "properties": {"items": {"type": "array", "items": {"properties": {"price": {"type": "number"}}}}},
}


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"items": []}, ""),
        ({"items": [{}, {"price": 1}]}, ""),
        ({}, "$: 'items' is a required property"),
        ([], "$: [] is not of type 'object'"),
        ({"items": [{}, {}, {}, {"price": "x"}]}, "$.items[3].price: 'x' is not of type 'number'"),
    ],
)
def test_a_misfit_names_its_place(document: Any, says: str) -> None:
    assert misfit(ITEMS, document) == says


def test_three_misfits_are_named_and_the_others_counted() -> None:
    text = misfit(ITEMS, {"items": [{"price": "x"}] * 5})
    assert text.count("is not of type") == 3
    assert text.endswith("; and 2 more")


def test_the_message_about_a_huge_value_is_short() -> None:
    assert len(misfit({"type": "number"}, "x" * 100_000)) == LONGEST


def test_references_within_the_schema_are_followed() -> None:
    schema = {"$defs": {"p": {"type": "number"}}, "items": {"$ref": "#/$defs/p"}}
    refuse(schema, "it")
    assert misfit(schema, [1, "x"]) == "$[1]: 'x' is not of type 'number'"


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "numbr"}, "it is not a JSON Schema: $.type: 'numbr' is not valid under any of the given schemas"),
        (
            {"properties": {"a": {"minimum": "1"}}},
            "it is not a JSON Schema: $.properties.a.minimum: '1' is not of",
        ),
        ({"pattern": "("}, "it is not a JSON Schema: $.pattern: '(' is not a 'regex'"),
        ({"$schema": []}, "it is not a JSON Schema: $.$schema is not a text"),
        ({"$ref": "https://example.org/s.json"}, "it refers to 'https://example.org/s.json'; a schema may only refer"),
        ({"items": [{"$ref": "other.json#/a"}], "$schema": "http://json-schema.org/draft-07/schema#"}, "it refers to"),
        ({"allOf": [{"$ref": "#/$defs/no"}]}, "it refers to '#/$defs/no', which it does not have"),
    ],
)
def test_an_invalid_schema_is_refused(schema: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput) as caught:
        refuse(schema, "it")
    assert str(caught.value).startswith(says)


def test_values_are_not_references() -> None:
    schema = {"const": {"$ref": "https://example.org"}, "enum": [{"$ref": "https://example.org"}]}
    refuse(schema, "it")
    assert misfit(schema, {"$ref": "https://example.org"}) == ""
