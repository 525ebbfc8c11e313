"""JSON text: the bytes of a file to an object, and problems of its values to sentences with line and column.

Knows no key of a job, though its messages name a job: its keys are in job.
"""

import json
import math
import re
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from runner.errors import BadInput

MAX_BYTES = 4 * 2**20
"""The largest job file in bytes. A prompt of 200 kB is normal."""
MAX_DEPTH = 50
"""How deep lists and objects may be nested."""
MAX_PROBLEMS = 100
"""The search stops after so many: a file can hold half a million, and a message names three."""

KeyPath = tuple[str | int, ...]
"""The path from the top of a job to a value: names of members and numbers of items."""


class NotYet(BadInput):
    """Not JSON, but perhaps the beginning of it: a file that is still being written looks like this."""


def parse(data: bytes, *, where: str) -> dict[str, Any]:
    """The JSON object in the bytes of a job file: UTF-8 with or without a byte order mark, any line ends.

    Raises NotYet for a file that may be half written (empty, cut off, padded with zero bytes, not JSON at all), and
    plain BadInput for one that is whole and can never be a job. Messages begin with `where` and name line and column.
    """
    text = decoded(data, where)
    odd = False

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal odd
        obj = dict(pairs)
        odd |= len(obj) < len(pairs)
        return obj

    def number(token: str) -> float | None:
        nonlocal odd
        odd |= not _storable(token)
        return None if odd else _number(token)

    try:
        obj = json.loads(text, object_pairs_hook=members, parse_int=number, parse_float=number, parse_constant=number)
    except json.JSONDecodeError as problem:
        raise NotYet(f"{where}: line {problem.lineno}, column {problem.colno}: not valid JSON: {problem.msg}") from None
    except RecursionError:
        raise BadInput(f"{where}: nested too deep, at most {MAX_DEPTH} levels are accepted") from None
    if odd:
        refuse(_oddities(text), where, text, column=True)
    if not isinstance(obj, dict):
        raise BadInput(f"{where}: line 1, column 1: a job is a JSON object, {{…}}, not {shown(obj)}")
    refuse(unsound(obj), where, text, column=True)
    return obj


# --- bytes and text


_BOM = b"\xef\xbb\xbf"


def decoded(data: bytes, where: str) -> str:
    """The text of a job file without a byte order mark. NotYet, BadInput as parse()."""
    if len(data) > MAX_BYTES:
        raise BadInput(f"{where}: larger than {MAX_BYTES} bytes; put long material into files and name them in `files`")
    if not data.removeprefix(_BOM).strip():
        raise NotYet(f"{where}: line 1, column 1: the file is empty")
    data = data.removeprefix(_BOM)
    try:
        return data.decode()
    except UnicodeDecodeError as problem:
        before = data[: problem.start].decode()
        line, column = _place(before, len(before))
        raise NotYet(f"{where}: line {line}, column {column}: not UTF-8; save the file as UTF-8") from None


def _place(text: str, offset: int) -> tuple[int, int]:
    """Line and column, both from 1."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


class _Spot(NamedTuple):
    """The place of a value in a JSON text."""

    path: KeyPath
    offset: int
    """Of the value's key; of the value itself in a list and at the top."""
    token: str
    """The first token of the value."""


_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},:]|[^\s\[\]{},:"]+')


def _spots(text: str) -> Iterator[_Spot]:
    """The values of a valid JSON text in order, except those that are nested too deep. Without recursion."""
    keys: list[Any] = []
    offset = 0
    for match in _TOKEN.finditer(text):
        piece = match[0]
        if piece == ",":
            keys[-1] = keys[-1] + 1 if isinstance(keys[-1], int) else None
        elif piece in ("]", "}"):
            keys.pop()
        elif keys and keys[-1] is None:  # in an object, and its next key is due
            keys[-1], offset = json.loads(piece), match.start()
        elif piece != ":":
            if len(keys) <= MAX_DEPTH:
                yield _Spot(tuple(keys), offset if keys and isinstance(keys[-1], str) else match.start(), piece)
            opened: dict[str, list[Any]] = {"{": [None], "[": [0]}
            keys.extend(opened.get(piece, []))


# --- problems and the sentences they become


class Problem(NamedTuple):
    path: KeyPath
    text: str
    """Follows the name of the key in the sentence."""
    before: str = ""
    """Stands before that name."""
    offset: int | None = None
    """Its place in the text, where the path is not enough."""


def refuse(problems: Iterable[Problem], where: str, text: str | None, *, column: bool = False) -> None:
    """Raise BadInput if there is any problem: the first three, in the order of the text."""
    unique: dict[tuple[KeyPath, int | None], Problem] = {}
    for problem in islice(problems, MAX_PROBLEMS):
        unique.setdefault((problem.path, problem.offset), problem)
    if not unique:
        return
    placed = sorted(_placed(unique.values(), text), key=lambda problem: problem.offset or 0)
    more = f"; and {len(placed) - 3} more" if len(placed) > 3 else ""
    more = "; and many more" if len(placed) >= MAX_PROBLEMS else more
    raise BadInput(f"{where}: " + "; ".join(_sentence(problem, text, column) for problem in placed[:3]) + more)


def _placed(problems: Collection[Problem], text: str | None) -> Iterator[Problem]:
    """The problems, each with its offset in the text: the first place of its path where it has none of its own."""
    paths = {problem.path for problem in problems}
    offsets: dict[KeyPath, int] = {}
    for spot in _spots(text) if text else ():
        if spot.path in paths:
            offsets.setdefault(spot.path, spot.offset)
    for problem in problems:
        yield problem._replace(offset=offsets.get(problem.path)) if problem.offset is None else problem


def _sentence(problem: Problem, text: str | None, column: bool) -> str:
    place = ""
    if text is not None and problem.offset is not None:
        line, col = _place(text, problem.offset)
        place = f" (line {line}, column {col})" if column else f" (line {line})"
    name = f"`{dotted(problem.path)}`" if problem.path else "the job"
    return f"{problem.before}{name}{place if problem.path or column else ''}{problem.text}"


def dotted(path: KeyPath) -> str:
    """The path as a message shows it: `output.path`, `files[1]`."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")
    return _cut(text if text.isprintable() else json.dumps(text)[1:-1], 80)


def shown(value: Any) -> str:
    """A value as JSON would write it, short, on one line."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    ascii_only = isinstance(value, str) and not value.isprintable()
    return _cut(json.dumps(value, ensure_ascii=ascii_only, default=lambda odd: type(odd).__name__), 60)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


# --- values that JSON allows and a job does not


def _storable(token: str) -> bool:
    """Whether a JSON number can be kept as it is: finite, and within 300 digits."""
    return len(token) <= 300 and math.isfinite(float(token))


def _number(token: str) -> float:
    return int(token) if token.lstrip("-").isdigit() else float(token)


def _oddities(text: str) -> Iterator[Problem]:
    """Duplicate keys, and numbers that cannot be stored."""
    seen: set[KeyPath] = set()
    for spot in _spots(text):
        if spot.path in seen and isinstance(spot.path[-1], str):
            yield Problem(spot.path, " is given twice; give it once", offset=spot.offset)
        if spot.token[0] in "-0123456789NI" and not _storable(spot.token):
            yield Problem(
                spot.path, f" is not a number that a job can hold: {_cut(spot.token, 40)}", offset=spot.offset
            )
        seen.add(spot.path)


def unsound(obj: Any) -> Iterator[Problem]:
    """Values that cannot be stored as JSON or handed to a process: the first flaw of each."""
    todo: list[tuple[KeyPath, Any]] = [((), obj)]
    while todo:
        path, value = todo.pop()
        if len(path) > MAX_DEPTH:
            yield Problem(path[:1], f" is nested too deep, at most {MAX_DEPTH} levels are accepted")
            return
        if isinstance(value, dict):
            todo.extend(((*path, key), member) for key, member in value.items())
            yield from (Problem(path, f" has a key that {flaw}") for key in value if (flaw := _flaw(key)))
        elif isinstance(value, list):
            todo.extend(((*path, number), item) for number, item in enumerate(value))
        elif flaw := _flaw(value):
            yield Problem(path, f" {flaw}")


def _flaw(value: Any) -> str | None:
    if isinstance(value, str):
        if "\0" in value:
            return "contains a NUL character"
        try:
            value.encode()
        except UnicodeEncodeError as problem:
            return f"contains half a character (the lone surrogate U+{ord(value[problem.start]):04X})"
    elif isinstance(value, float):
        return None if math.isfinite(value) else f"is not a number that a job can hold: {value}"
    elif not isinstance(value, (int, type(None))):
        return f"is a {type(value).__name__}, which JSON cannot hold"
    return None
