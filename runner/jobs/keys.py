"""A key of a job file as the table of all keys writes it down, and what follows from it for a JSON object.

The table itself is the annotations of Job and of the dataclasses of its parts.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from runner.errors import BadInput
from runner.jobs.jsontext import KeyPath, Problem, dotted, shown
from runner.jobs.shape import Shape
from runner.system.text import nearest


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
