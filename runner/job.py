"""The job file, version 1: bytes to a checked Job, and a Job to the JSON that is stored.

Pure: opens no file but the shipped schema. Does not know the home, so it neither expands `~/` nor looks whether the
files, the workdir, the template or the session profile of a job exist.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from runner import duration
from runner.errors import BadInput

VERSION = 1
MAX_BYTES = 4 * 2**20
"""The largest job file in bytes. A prompt of 200 kB is normal."""
MAX_DEPTH = 50
"""How deep lists and objects may be nested."""

NOT_YET_SUPPORTED = {"stall", "retries", "backoff", "after", "notify", "output.schema", "output.check"}
"""Keys of version 1 that this muxq cannot honour. Ignoring one would break a promise, so each is refused."""

Format = Literal["text", "markdown", "json"]
Permissions = Literal["ask", "edits", "deny", "bypass"]
Keys = tuple[str | int, ...]
"""The way from the top of a job to a value: names of members and numbers of items."""


class NotYet(BadInput):
    """No JSON, but perhaps the beginning of some: a file that is still being written looks like this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FromEnv:
    """The value of an environment variable by reference: the worker's own `name`, read at launch, never stored."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a job says of its result. None is "not said"."""

    path: str | None = None
    """Relative to the workdir and without `..`, or absolute, or beginning with `~/`."""
    format: Format | None = None
    min_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a job file says, checked. None is "not said": defaults are other people's business."""

    version: int = VERSION
    prompt: str | None = None
    template: str | None = None
    vars: Mapping[str, Any] | None = None
    files: tuple[str, ...] | None = None
    workdir: str | None = None
    """Absolute, or beginning with `~/`."""
    agent: str | None = None
    model: str | None = None
    args: tuple[str, ...] | None = None
    env: Mapping[str, str | FromEnv] | None = None
    output: Output | None = None
    timeout: float | None = None
    """Seconds."""
    priority: int | None = None
    not_before: float | None = None
    """Seconds since 1970 UTC."""
    permissions: Permissions | None = None
    name: str | None = None
    tags: tuple[str, ...] | None = None

    @classmethod
    def read(cls, data: bytes, *, where: str) -> Self:
        """The job in the bytes of a job file. Raises NotYet or BadInput as `parse` and `check` do."""
        return cls.check(parse(data, where=where), where=where, text=_text(data, where))

    @classmethod
    def check(cls, obj: dict[str, Any], *, where: str, text: str | None = None) -> Self:
        """The job that a JSON object describes.

        `text` is the JSON that `obj` was read from, if there is one: it gives the messages their line numbers.
        Raises BadInput, one sentence for each of the first three problems, beginning with `where`.
        """
        _refuse(_unsound(obj), where, text)
        _refuse(_misshapen(obj), where, text)
        said, problems = _meanings(obj)
        _refuse(problems, where, text)
        return cls(**said)

    def as_dict(self) -> dict[str, Any]:
        """The job as canonical JSON: what was said and `version`, nothing else. `check` makes the same job of it."""
        said = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {key: _WRITERS.get(key, _same)(value) for key, value in said if value is not None}


def parse(data: bytes, *, where: str) -> dict[str, Any]:
    """The JSON object in the bytes of a job file: UTF-8 with or without a byte order mark, any line ends.

    Raises NotYet for what may be half a file (empty, cut off, padded with zero bytes, no JSON at all), and plain
    BadInput for what is whole and can never be a job. Messages begin with `where` and name line and column.
    """
    text = _text(data, where)
    odd = False

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal odd
        found = dict(pairs)
        odd |= len(found) < len(pairs)
        return found

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
        _refuse(_oddities(text), where, text, column=True)
    if not isinstance(obj, dict):
        raise BadInput(f"{where}: line 1, column 1: a job is a JSON object, {{…}}, not {_shown(obj)}")
    _refuse(_unsound(obj), where, text, column=True)
    return obj


@cache
def _schema_text() -> str:
    return Path(__file__).with_name("job.schema.json").read_text("utf-8")


def schema() -> dict[str, Any]:
    """The published JSON Schema of the job file (draft 2020-12), a copy of the caller's own."""
    published: dict[str, Any] = json.loads(_schema_text())
    return published


# --- bytes and text


_BOM = b"\xef\xbb\xbf"


def _text(data: bytes, where: str) -> str:
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
    """Where a value stands in a JSON text."""

    keys: Keys
    offset: int
    """Of the value's key; of the value itself in a list and at the top."""
    token: str
    """The first token of the value."""


_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},:]|[^\s\[\]{},:"]+')


def _spots(text: str) -> Iterator[_Spot]:
    """Every value of a valid JSON text in its order. Walks the nesting, without recursion."""
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
            yield _Spot(tuple(keys), offset if keys and isinstance(keys[-1], str) else match.start(), piece)
            opened: dict[str, list[Any]] = {"{": [None], "[": [0]}
            keys.extend(opened.get(piece, []))


# --- problems and the sentences they become


class _Problem(NamedTuple):
    keys: Keys
    says: str
    """Follows the name of the key."""
    before: str = ""
    offset: int | None = None
    """Where it stands, if `keys` alone cannot say."""


def _refuse(problems: Iterable[_Problem], where: str, text: str | None, *, column: bool = False) -> None:
    """Raise BadInput if there is any problem: the first three, in the order of the text."""
    found: dict[tuple[Keys, int | None], _Problem] = {}
    for problem in problems:
        found.setdefault((problem.keys, problem.offset), problem)
    if not found:
        return
    first: dict[Keys, int] = {}
    for spot in _spots(text) if text else ():
        first.setdefault(spot.keys, spot.offset)
    placed = [problem._replace(offset=_first(problem.offset, first.get(problem.keys))) for problem in found.values()]
    placed.sort(key=lambda problem: problem.offset or 0)
    more = f"; and {len(placed) - 3} more" if len(placed) > 3 else ""
    raise BadInput(f"{where}: " + "; ".join(_sentence(problem, text, column) for problem in placed[:3]) + more)


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _sentence(problem: _Problem, text: str | None, column: bool) -> str:
    place = ""
    if text is not None and problem.offset is not None:
        line, col = _place(text, problem.offset)
        place = f" (line {line}, column {col})" if column else f" (line {line})"
    name = f"`{_dotted(problem.keys)}`" if problem.keys else "the job"
    return f"{problem.before}{name}{place if problem.keys or column else ''}{problem.says}"


def _dotted(keys: Sequence[str | int]) -> str:
    dotted = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")
    return _cut(dotted if dotted.isprintable() else json.dumps(dotted)[1:-1], 80)


def _shown(value: Any) -> str:
    """A value as JSON would write it, short, on one line."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    ascii_only = isinstance(value, str) and not value.isprintable()
    return _cut(json.dumps(value, ensure_ascii=ascii_only, default=lambda odd: type(odd).__name__), 60)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


# --- what JSON allows and a job does not


def _storable(token: str) -> bool:
    """Whether a JSON number can be kept as it is: finite, and within 300 digits."""
    return len(token) <= 300 and math.isfinite(float(token))


def _number(token: str) -> float:
    return int(token) if token.lstrip("-").isdigit() else float(token)


def _oddities(text: str) -> Iterator[_Problem]:
    """Keys that stand twice and numbers that cannot be kept."""
    seen: set[Keys] = set()
    for spot in _spots(text):
        if spot.keys in seen and isinstance(spot.keys[-1], str):
            yield _Problem(spot.keys, " stands twice; say it once", offset=spot.offset)
        if spot.token[0] in "-0123456789NI" and not _storable(spot.token):
            yield _Problem(spot.keys, f" is no number a job can hold: {_cut(spot.token, 40)}", offset=spot.offset)
        seen.add(spot.keys)


def _unsound(obj: Any) -> Iterator[_Problem]:
    """Values that cannot be stored as JSON or handed to a process: the first of each path."""
    todo: list[tuple[Keys, Any]] = [((), obj)]
    while todo:
        keys, value = todo.pop()
        if len(keys) > MAX_DEPTH:
            yield _Problem(keys[:1], f" is nested too deep, at most {MAX_DEPTH} levels are accepted")
            return
        if isinstance(value, dict):
            todo.extend(((*keys, key), member) for key, member in value.items())
            yield from (_Problem(keys, f" has a key that {flaw}") for key in value if (flaw := _flaw(key)))
        elif isinstance(value, list):
            todo.extend(((*keys, number), item) for number, item in enumerate(value))
        elif flaw := _flaw(value):
            yield _Problem(keys, f" {flaw}")


def _flaw(value: Any) -> str | None:
    if isinstance(value, str):
        if "\0" in value:
            return "contains a NUL character"
        try:
            value.encode()
        except UnicodeEncodeError as problem:
            return f"contains half a character (the lone surrogate U+{ord(value[problem.start]):04X})"
    elif isinstance(value, float):
        return None if math.isfinite(value) else f"is no number a job can hold: {value}"
    elif not isinstance(value, (int, type(None))):
        return f"is a {type(value).__name__}, which JSON cannot say"
    return None


# --- the shape: what the schema says, in sentences

_MUST_BE = {
    "": "must be a JSON object",
    "version": "must be 1, the version this muxq reads",
    "prompt": "must be a text that is not blank",
    "template": "must be the name of a template: letters, digits, _ and - only",
    "vars": "must be an object of variables and their values",
    "files": "must be a list of paths",
    "files[]": "must be a path, not empty and without control characters",
    "workdir": "must be an absolute path, or begin with ~/ (jobs run from cron; say an absolute path)",
    "agent": "must be the name of a session profile: letters, digits, _ and - only",
    "model": "must be the name of a model, on one line and without - at its beginning",
    "args": "must be a list of strings",
    "args[]": "must be a string",
    "env": "must be an object of names and values",
    "env.*": 'must be a string or {"from_env": "NAME"}',
    "env.*.from_env": "must be the name of an environment variable: letters, digits and _ only, no digit first",
    "output": "must be a path without control characters, or an object of `path`, `format` and `min_bytes`",
    "output.path": "must be a path, not empty and without control characters",
    "output.format": 'must be "text", "markdown" or "json"',
    "output.min_bytes": "must be a whole number of bytes, 0 or more",
    "timeout": f"must be {duration.FORMS}, above 0",
    "priority": "must be a whole number from -1000000 to 1000000",
    "not_before": 'must be a date and time with its offset, such as "2026-03-01T02:00:00+01:00"',
    "permissions": 'must be "ask", "edits", "deny" or "bypass"',
    "name": "must be 1 to 200 characters, no path: without / and \\, control characters and blanks at its ends",
    "tags": "must be a list of strings, each of them once",
    "tags[]": "must be 1 to 64 characters, without control characters and blanks at its ends",
}
"""What each value of the schema must be, for the sentence that says what is accepted."""


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator, ValidationError, validators

    def pattern(_: Any, wanted: str, instance: Any, __: Any) -> Iterator[ValidationError]:
        # In a JSON Schema `$` is the end of the text; in Python it is also the place before a last line end.
        if isinstance(instance, str) and not re.search(wanted.replace("$", r"\Z"), instance):
            yield ValidationError(f"does not match {wanted}")

    strict = validators.extend(Draft202012Validator, {"pattern": pattern})  # type: ignore[no-untyped-call]
    return strict(schema())


def _misshapen(obj: dict[str, Any]) -> list[_Problem]:
    errors = list(_validator().iter_errors(obj))
    version = [error for error in errors if list(error.absolute_path) == ["version"]]
    problems = [problem for error in version or errors for problem in _explained(error)]
    unknown = any(len(problem.keys) == 1 and problem.before for problem in problems)
    # Who wrote `promt` has a prompt in mind: one sentence is enough.
    return [problem for problem in problems if problem.keys or not unknown]


def _explained(error: Any) -> Iterator[_Problem]:
    keys: Keys = tuple(error.absolute_path)
    match error.validator:
        case "additionalProperties":
            known = error.schema["properties"]
            yield from (_unknown((*keys, key), known) for key in error.instance if key not in known)
        case "oneOf":
            both = "prompt" in error.instance and "template" in error.instance
            says = " has both `prompt` and `template`; say one" if both else " needs a `prompt` or a `template`"
            yield _Problem(keys, says)
        case "dependentRequired":
            yield _Problem(("vars",), " is for a `template`, and the job has none")
        case _ if "propertyNames" in error.absolute_schema_path:
            yield _Problem((*keys, error.instance), " is no name of a variable: letters, digits and _, no digit first")
        case kind:
            # Values of `env` are never shown: secrets. Of a list that is one, only what it must be helps.
            hidden = keys[:1] == ("env",) or (isinstance(error.instance, (list, dict)) and kind != "type")
            yield _must_be(keys, "" if hidden else f", not {_shown(error.instance)}")


def _unknown(keys: Keys, known: Mapping[str, Any]) -> _Problem:
    import difflib

    if keys == ("id",):
        return _Problem(keys, " is given by muxq, not by the job; remove it, or say `name`")
    if _dotted(keys) in NOT_YET_SUPPORTED:
        return _Problem(keys, " is not yet supported by this version of muxq; remove it")
    near = difflib.get_close_matches(str(keys[-1]).lower(), known, 1)
    hint = f"did you mean `{_dotted((*keys[:-1], near[0]))}`?" if near else f"known are {', '.join(known)}"
    return _Problem(keys, f": {hint}", before="unknown key ")


def _must_be(keys: Keys, not_this: str) -> _Problem:
    general = "".join(
        "[]" if isinstance(key, int) else ".*" if at == 1 and keys[0] == "env" else f".{key}"
        for at, key in enumerate(keys)
    )
    return _Problem(keys, f" {_MUST_BE[general.removeprefix('.')]}{not_this}")


# --- the meaning: what no schema can say, and the values a Job holds


def _meanings(obj: dict[str, Any]) -> tuple[dict[str, Any], list[_Problem]]:
    said: dict[str, Any] = {}
    problems = []
    for key, value in obj.items():
        try:
            said[key] = _READERS.get(key, _same)(value)
        except BadInput as problem:
            keys = (key, "path") if key == "output" and isinstance(value, dict) else (key,)
            problems.append(_Problem(keys, f": {problem}"))
    return said, problems


def _same(value: Any) -> Any:
    return value


_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?P<offset>[Zz]|[+-]\d\d:\d\d)?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _moment(text: str) -> float:
    """RFC 3339 to seconds since 1970 UTC."""
    match = _MOMENT.fullmatch(text)
    if match and not match["offset"]:
        raise BadInput(f'{_shown(text)} does not say its offset from UTC; append Z for UTC, or one like "+01:00"')
    try:
        if match:
            return (datetime.fromisoformat(text.upper()).astimezone(UTC) - _EPOCH).total_seconds()
    except (ValueError, OverflowError):
        pass
    hint = "; a length of time means nothing in a file" if text.startswith("+") else ""
    raise BadInput(f"{_shown(text)} {_MUST_BE['not_before']}{hint}")


def _moment_text(moment: float) -> str:
    return (_EPOCH + timedelta(seconds=moment)).isoformat().replace("+00:00", "Z")


def _output(value: str | dict[str, Any]) -> Output:
    said: dict[str, Any] = {"path": value} if isinstance(value, str) else dict(value)
    if "path" in said:
        _refuse_path(said["path"])
    if "min_bytes" in said:
        said["min_bytes"] = int(said["min_bytes"])
    return Output(**said)


def _refuse_path(path: str) -> None:
    """BadInput for a path that cannot be that of a result file."""
    parts = path.split("/")
    if parts[-1] in ("", ".", ".."):
        raise BadInput(f"the path {_shown(path)} is that of a folder; say that of a file")
    if not path.startswith(("/", "~/")) and (".." in parts or path.startswith("~")):
        raise BadInput(f"the path {_shown(path)} leaves the workdir; say an absolute one")


def _output_dict(output: Output) -> dict[str, Any]:
    said = {"path": output.path, "format": output.format, "min_bytes": output.min_bytes}
    return {key: value for key, value in said.items() if value is not None}


def _env(value: Mapping[str, str | dict[str, str]]) -> dict[str, str | FromEnv]:
    return {key: said if isinstance(said, str) else FromEnv(name=said["from_env"]) for key, said in value.items()}


def _env_dict(env: Mapping[str, str | FromEnv]) -> dict[str, Any]:
    return {key: {"from_env": said.name} if isinstance(said, FromEnv) else said for key, said in env.items()}


_READERS: dict[str, Callable[[Any], Any]] = {
    "version": int,
    "vars": dict,
    "files": tuple,
    "args": tuple,
    "env": _env,
    "output": _output,
    "timeout": duration.seconds,
    "priority": int,
    "not_before": _moment,
    "tags": tuple,
}
"""From the checked JSON of a key to what a Job holds. BadInput for what no schema can say."""

_WRITERS: dict[str, Callable[[Any], Any]] = {
    "vars": dict,
    "files": list,
    "args": list,
    "env": _env_dict,
    "output": _output_dict,
    "not_before": _moment_text,
    "tags": list,
}
"""And back."""
