"""The keys of a job file: what each one may hold, its words for people, and what follows from both for a JSON object.

A Shape is the JSON that one value may be; a Key is a shape with its words. The table of all keys is the annotations of
Job and of the dataclasses of its parts.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

from runner.errors import BadInput
from runner.jobs.jsontext import KeyPath, Problem, dotted, shown
from runner.system import duration
from runner.system.text import nearest


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


@dataclass(frozen=True, slots=True)
class Option:
    """An option of `muxq add` that gives the key its value."""

    flags: str
    """As `--name, -n` or `--this/--no-this`; empty for the argument."""
    metavar: str | None
    help: str

    @property
    def names(self) -> list[str]:
        """Each way to write it: `--name` and `-n`."""
        return re.findall(r"-[\w-]+", self.flags)


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a job file, an item of a list, or a value of an object."""

    shape: Shape
    title: str
    text: str
    """What it means, in whole sentences."""
    default: str = ""
    """What holds where it is left out, for people."""
    examples: Sequence[Any] = ()
    options: Sequence[Option] = ()
    secret: bool = False
    """No error repeats a value."""
    items: "Key | None" = None
    """Of a list: what each item is."""
    members: Mapping[str, "Key"] | None = None
    """Of an object: the keys it may have."""
    required: Sequence[str] = ()
    """Those of `members` that it must have."""
    clashes: Callable[[Mapping[str, Any]], Iterator[Problem]] | None = None
    """Of an object: what its members have against each other; paths begin at the object."""
    names: str | None = None
    """Of an object of the user's own names: the pattern of a name."""
    values: "Key | None" = None
    """Of an object of the user's own names: what each value is."""


@cache
def keys_of(table: type[Any]) -> Mapping[str, Key]:
    """The keys that the annotations of a dataclass write down."""
    return {name: annotation.__metadata__[0] for name, annotation in table.__annotations__.items()}


def problems(key: Key, value: Any, path: KeyPath = (), *, secret: bool = False) -> Iterator[Problem]:
    """What keeps a value from being that of the key: its shape, and the shape of all that lies in it."""
    secret |= key.secret
    if not key.shape.fits(value):
        # A whole list or object in the message would not help.
        hidden = secret or (isinstance(value, (list, dict)) and key.shape.has_type(value))
        yield Problem(path, f" {key.shape.must_be}" + ("" if hidden else f", not {shown(value)}"))
    if isinstance(value, list) and key.items:
        for number, item in enumerate(value):
            yield from problems(key.items, item, (*path, number), secret=secret)
    if isinstance(value, dict):
        yield from _of_members(key, value, path, secret)
        yield from _of_own_names(key, value, path, secret)


def _of_members(key: Key, value: dict[str, Any], path: KeyPath, secret: bool) -> Iterator[Problem]:
    """Problems of an object whose keys are known."""
    if key.members is None:
        return
    for name, member in key.members.items():
        if name in value:
            yield from problems(member, value[name], (*path, name), secret=secret)
    if any(name not in value for name in key.required):
        yield Problem(path, f" {key.shape.must_be}")
    if key.clashes:
        yield from (problem._replace(path=(*path, *problem.path)) for problem in key.clashes(value))
    yield from (_unknown((*path, name), key.members) for name in value if name not in key.members)


def _of_own_names(key: Key, value: dict[str, Any], path: KeyPath, secret: bool) -> Iterator[Problem]:
    """Problems of an object whose keys are the user's."""
    if key.names:
        name_shape = Shape({"pattern": key.names}, "")
        wrong = (name for name in value if not name_shape.fits(name))
        rule = " is not a valid variable name: letters, digits and _, no digit first"
        yield from (Problem((*path, name), rule) for name in wrong)
    if key.values:
        for name, item in value.items():
            yield from problems(key.values, item, (*path, name), secret=secret)


def _unknown(path: KeyPath, known: Mapping[str, Key]) -> Problem:
    if path == ("id",):
        return Problem(path, " is given by muxq, not by the job; remove it, or use `name`")
    name = nearest(str(path[-1]), known)
    hint = f"did you mean `{dotted((*path[:-1], name))}`?" if name else f"known are {', '.join(known)}"
    return Problem(path, f": {hint}", before="unknown key ")


def values(
    members: Mapping[str, Key], obj: Mapping[str, Any], path: KeyPath = ()
) -> tuple[dict[str, Any], list[Problem]]:
    """What a Job holds of an object without `problems`, and the problems that no schema can express."""
    result: dict[str, Any] = {}
    wrong: list[Problem] = []
    for name, value in obj.items():
        key, inside = members[name], list[Problem]()
        if key.members and isinstance(value, dict):
            value, inside = values(key.members, value, (*path, name))
        wrong += inside
        try:
            result[name] = None if inside else key.shape.read(value)
        except BadInput as problem:
            wrong.append(Problem((*path, name), f": {problem}"))
    return result, wrong


def as_json(record: Any) -> dict[str, Any]:
    """The reverse of values(): JSON of all fields of a table's record that are not None."""
    fields = ((name, key, getattr(record, name)) for name, key in keys_of(record.__class__).items())
    return {name: key.shape.write(value) for name, key, value in fields if value is not None}
