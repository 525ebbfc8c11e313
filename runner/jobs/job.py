"""The job file, version 1: bytes to a checked Job, and a Job to the JSON that is stored.

Pure: opens no file but the shipped schema. Does not know the home, so it neither expands `~/` nor looks whether the
files, the workdir, the template or the session profile of a job exist.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Self

from runner.errors import BadInput
from runner.jobs.jsontext import Problem, decoded, parse, refuse, shown, unsound
from runner.jobs.schema import MUST_BE, misshapen
from runner.system import duration

VERSION = 1

Format = Literal["text", "markdown", "json"]
Permissions = Literal["ask", "edits", "deny", "bypass"]
Retry = Literal["resume", "fresh"]
When = Literal["ok", "any"]
OnParentFailure = Literal["fail", "skip"]
Changes = Literal["commit", "leave"]
End = Literal["done", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FromEnv:
    """The value of an environment variable by reference: the worker's own `name`, read at launch, never stored."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """A job that has to end first: an id or a name, of a job or of a batch, as it was said."""

    job: str
    when: When = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a job says of its result. None is "not said"."""

    path: str | None = None
    """Relative to the workdir and without `..`, or absolute, or beginning with `~/`."""
    format: Format | None = None
    min_bytes: int | None = None
    schema: Mapping[str, Any] | str | None = None
    """A JSON Schema, or the path of one: relative to the workdir, absolute, or beginning with `~/`."""
    check: str | None = None
    """A command for sh."""
    check_timeout: float | None = None
    """Seconds."""


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
    worktree: bool | str | None = None
    """A git worktree of its own; a text is the name of its branch."""
    base: str | None = None
    changes: Changes | None = None
    exclusive: bool | None = None
    agent: str | None = None
    model: str | None = None
    args: tuple[str, ...] | None = None
    env: Mapping[str, str | FromEnv] | None = None
    output: Output | None = None
    repairs: int | None = None
    timeout: float | None = None
    """Seconds."""
    stall: float | None = None
    """Seconds."""
    retries: int | None = None
    backoff: float | None = None
    """Seconds."""
    retry: Retry | None = None
    keep: bool | None = None
    """The session stays open after the result is there."""
    conversation: str | None = None
    """The id of the agent's own conversation that the job goes on with."""
    priority: int | None = None
    not_before: float | None = None
    """Seconds since 1970 UTC."""
    after: tuple[After, ...] | None = None
    on_parent_failure: OnParentFailure | None = None
    permissions: Permissions | None = None
    allow: tuple[str, ...] | None = None
    """Rules in the agent's own syntax; `deny` as well."""
    deny: tuple[str, ...] | None = None
    name: str | None = None
    tags: tuple[str, ...] | None = None
    notify: bool | tuple[End, ...] | None = None
    """At which end a message is sent; True: at both."""
    on_done: str | None = None
    """A command for sh; `on_failed` as well."""
    on_failed: str | None = None
    batch: str | None = None
    """The id of the batch it belongs to."""

    @classmethod
    def read(cls, data: bytes, *, where: str) -> Self:
        """The job in the bytes of a job file. Raises NotYet or BadInput as `parse` and `check` do."""
        return cls.check(parse(data, where=where), where=where, text=decoded(data, where))

    @classmethod
    def check(cls, obj: dict[str, Any], *, where: str, text: str | None = None) -> Self:
        """The job that a JSON object describes.

        `text` is the JSON that `obj` was read from, if there is one: it gives the messages their line numbers.
        Raises BadInput, one sentence for each of the first three problems, beginning with `where`.
        """
        refuse(unsound(obj), where, text)
        refuse(misshapen(obj), where, text)
        said, problems = _meanings(obj)
        refuse(problems, where, text)
        return cls(**said)

    def as_dict(self) -> dict[str, Any]:
        """The job as canonical JSON: what was said and `version`, nothing else. `check` makes the same job of it."""
        said = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {key: _WRITERS.get(key, _same)(value) for key, value in said if value is not None}


# --- the meaning: what no schema can say, and the values a Job holds


def _meanings(obj: dict[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    said: dict[str, Any] = {}
    problems = []
    for key, value in obj.items():
        try:
            said[key] = _READERS.get(key, _same)(value)
        except BadInput as problem:
            problems.append(Problem((key,), f": {problem}"))
        except _InOutput as problem:
            problems.append(Problem((key, problem.key) if isinstance(value, dict) else (key,), f": {problem}"))
    return said, problems


def _same(value: Any) -> Any:
    return value


_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?P<offset>[Zz]|[+-]\d\d:\d\d)?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _moment(text: str) -> float:
    """RFC 3339 to seconds since 1970 UTC."""
    match = _MOMENT.fullmatch(text)
    if match and not match["offset"]:
        raise BadInput(f'{shown(text)} does not say its offset from UTC; append Z for UTC, or one like "+01:00"')
    try:
        if match:
            return (datetime.fromisoformat(text.upper()).astimezone(UTC) - _EPOCH).total_seconds()
    except (ValueError, OverflowError):
        pass
    hint = "; a length of time means nothing in a file" if text.startswith("+") else ""
    raise BadInput(f"{shown(text)} {MUST_BE['not_before']}{hint}")


def _moment_text(moment: float) -> str:
    return (_EPOCH + timedelta(seconds=moment)).isoformat().replace("+00:00", "Z")


class _InOutput(Exception):  # noqa: N818 - becomes a Problem
    def __init__(self, key: str, says: object) -> None:
        super().__init__(str(says))
        self.key = key


LONGEST_CHECK = 86400.0
"""Seconds. The agent waits so long for its hook, and a little longer."""


def _output(value: str | dict[str, Any]) -> Output:
    said: dict[str, Any] = {"path": value} if isinstance(value, str) else dict(value)
    for key, read in _OUTPUT_READERS.items():
        if key in said:
            try:
                said[key] = read(said[key])
            except BadInput as problem:
                raise _InOutput(key, problem) from None
    if "schema" in said and said.get("format", "json") != "json":
        raise _InOutput("schema", f"a schema is for `json`, and `format` is {shown(said['format'])}")
    return Output(**said)


def _check_timeout(value: str | float) -> float:
    limit = duration.seconds(value)
    if limit > LONGEST_CHECK:
        raise BadInput(f"a check may take a day at most, not {shown(value)}")
    return limit


def _schema(value: str | dict[str, Any]) -> str | dict[str, Any]:
    if isinstance(value, dict):
        from runner.jobs.output_schema import refuse as refuse_schema

        refuse_schema(value, "it")
    return value


def _result_path(path: str) -> str:
    """The path. BadInput for one that cannot be that of a result file."""
    parts = path.split("/")
    if parts[-1] in ("", ".", ".."):
        raise BadInput(f"the path {shown(path)} is that of a folder; say that of a file")
    if not path.startswith(("/", "~/")) and (".." in parts or path.startswith("~")):
        raise BadInput(f"the path {shown(path)} leaves the workdir; say an absolute one")
    return path


def _output_dict(output: Output) -> dict[str, Any]:
    said = ((field.name, getattr(output, field.name)) for field in fields(output))
    return {key: value for key, value in said if value is not None}


def _after(value: list[str | dict[str, Any]]) -> tuple[After, ...]:
    return tuple(After(job=said) if isinstance(said, str) else After(**said) for said in value)


def _after_list(after: tuple[After, ...]) -> list[Any]:
    return [said.job if said.when == "ok" else {"job": said.job, "when": said.when} for said in after]


def _env(value: Mapping[str, str | dict[str, str]]) -> dict[str, str | FromEnv]:
    return {key: said if isinstance(said, str) else FromEnv(name=said["from_env"]) for key, said in value.items()}


def _env_dict(env: Mapping[str, str | FromEnv]) -> dict[str, Any]:
    return {key: {"from_env": said.name} if isinstance(said, FromEnv) else said for key, said in env.items()}


def _notify(value: bool | list[End]) -> bool | tuple[End, ...]:
    return tuple(value) if isinstance(value, list) else value


def _notify_json(value: bool | tuple[End, ...]) -> bool | list[End]:
    return list(value) if isinstance(value, tuple) else value


_OUTPUT_READERS: dict[str, Callable[[Any], Any]] = {
    "path": _result_path,
    "min_bytes": int,
    "schema": _schema,
    "check_timeout": _check_timeout,
}

_READERS: dict[str, Callable[[Any], Any]] = {
    "version": int,
    "vars": dict,
    "files": tuple,
    "args": tuple,
    "env": _env,
    "output": _output,
    "timeout": duration.seconds,
    "stall": duration.seconds,
    "repairs": int,
    "retries": int,
    "backoff": duration.seconds,
    "priority": int,
    "not_before": _moment,
    "after": _after,
    "allow": tuple,
    "deny": tuple,
    "tags": tuple,
    "notify": _notify,
}
"""From the checked JSON of a key to what a Job holds. BadInput for what no schema can say."""

_WRITERS: dict[str, Callable[[Any], Any]] = {
    "vars": dict,
    "files": list,
    "args": list,
    "env": _env_dict,
    "output": _output_dict,
    "not_before": _moment_text,
    "after": _after_list,
    "allow": list,
    "deny": list,
    "tags": list,
    "notify": _notify_json,
}
"""And back."""
