"""The JSON that a value of a job file may be: its limits, the sentence for an error, and what a Job holds of it.

Of one value alone: the contents of a list or an object are checked in keys.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from runner.system import duration


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of value."""

    schema: Mapping[str, Any]
    """Keywords of JSON Schema, out of `type`, `format` and those of LIMITS."""
    must_be: str
    """What is accepted; follows the name of the key in an error."""
    read: Callable[[Any], Any] = _same
    """From JSON that fits to what a Job holds. BadInput for a value that no schema can refuse."""
    write: Callable[[Any], Any] = _same
    """And back."""

    def has_type(self, value: Any) -> bool:
        """Whether the value is of a `type` of the schema, if it names any."""
        types = self.schema.get("type")
        return types is None or any(TYPES[word](value) for word in ([types] if isinstance(types, str) else types))

    def fits(self, value: Any) -> bool:
        """Whether the value is what the schema accepts."""
        limits = ((LIMITS[word], limit) for word, limit in self.schema.items() if word in LIMITS)
        return self.has_type(value) and all(holds(limit, value) for holds, limit in limits)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return _is_number(value) and (isinstance(value, int) or value.is_integer())


TYPES: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "number": _is_number,
    "integer": _is_whole,
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def _matches(pattern: str, value: Any) -> bool:
    # In a JSON Schema `$` is the end of the text; in Python it is also the place before a last line end.
    return not isinstance(value, str) or re.search(pattern.replace("$", r"\Z"), value) is not None


def _is_unique(_: bool, value: Any) -> bool:
    return not isinstance(value, list) or len({json.dumps(item) for item in value}) == len(value)


LIMITS: Mapping[str, Callable[[Any, Any], bool]] = {
    "const": lambda only, value: _is_number(value) and value == only,
    "enum": lambda words, value: isinstance(value, str) and value in words,
    "pattern": _matches,
    "maxLength": lambda most, value: not isinstance(value, str) or len(value) <= most,
    "minimum": lambda least, value: not _is_number(value) or value >= least,
    "maximum": lambda most, value: not _is_number(value) or value <= most,
    "exclusiveMinimum": lambda bound, value: not _is_number(value) or value > bound,
    "uniqueItems": _is_unique,
}
"""Keyword to whether (its limit, a value) go together; as in JSON Schema, a limit of texts holds for texts alone."""


def text(pattern: str, must_be: str, **limits: Any) -> Shape:
    """A text that matches the pattern."""
    return Shape({"type": "string", "pattern": pattern, **limits}, must_be)


def whole(least: int, most: int | None = None, *, of: str = "") -> Shape:
    """A whole number; it may be written with a point (5.0)."""
    bounds = {"minimum": least} | ({} if most is None else {"maximum": most})
    accepted = f"{of}, {least} or more" if most is None else f"{of} from {least} to {most}"
    return Shape({"type": "integer", **bounds}, f"must be a whole number{accepted}", int)


def choice(literal: Any) -> Shape:
    """One of the words of a Literal."""
    *words, last = (json.dumps(word) for word in get_args(literal))
    return Shape({"enum": list(get_args(literal))}, f"must be {', '.join(words)} or {last}")


def list_of(what: str, **limits: Any) -> Shape:
    """A list, which a Job holds as a tuple."""
    return Shape({"type": "array", **limits}, f"must be a list of {what}", tuple, list)


FLAG = Shape({"type": "boolean"}, "must be true or false")
COMMAND = text(r"\S", "must be a shell command that is not blank")
LENGTH = Shape(
    {"type": ["string", "number"], "exclusiveMinimum": 0}, f"must be {duration.FORMS}, above 0", duration.seconds
)
"""A length of time, which a Job holds in seconds."""
LINE = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]+$"
"""A text on one line."""
PATH = text(LINE, "must be a path, not empty and without control characters")
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
"""The name of a variable."""
