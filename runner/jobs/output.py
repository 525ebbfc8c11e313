"""The key `output` of a job file: where the result goes and what it must be. Reads neither the result nor a schema."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from runner.errors import BadInput
from runner.jobs.jsontext import Problem, shown
from runner.jobs.keys import COMMAND, LENGTH, LINE, PATH, Key, Option, Shape, as_json, choice, whole
from runner.system import duration

Format = Literal["text", "markdown", "json"]

LONGEST_CHECK = 86400.0
"""Seconds. The agent waits this long for its hook, and a little longer."""


def _path(path: str) -> str:
    """BadInput for a path that cannot be that of a result file."""
    parts = path.split("/")
    if parts[-1] in ("", ".", ".."):
        raise BadInput(f"the path {shown(path)} is that of a folder; give the path of a file")
    if not path.startswith(("/", "~/")) and (".." in parts or path.startswith("~")):
        raise BadInput(f"the path {shown(path)} leads out of the workdir; give an absolute one")
    return path


def _schema(value: str | dict[str, Any]) -> str | dict[str, Any]:
    if isinstance(value, dict):
        from runner.jobs import output_schema  # slow to import

        output_schema.refuse(value, "it")
    return value


def _check_timeout(value: str | float) -> float:
    limit = duration.seconds(value)
    if limit > LONGEST_CHECK:
        raise BadInput(f"a check may take a day at most, not {shown(value)}")
    return limit


# fmt: off
@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """The result that a job file asks for. None: the key is left out."""

    path: Annotated[str | None, Key(
        Shape(PATH.schema, PATH.must_be, _path), "Path of the result file",
        "A relative path starts at `workdir` and has no `..`; an absolute path, or one that begins with `~/`, may lie "
        "anywhere. Its folder is created if it is missing.",
        default="`output.md` (`.txt`, `.json`) in the folder of the attempt, `runs/JOB/N/`",
        examples=["/srv/today.json"],
        options=[Option("--output, -o", "FILE", "Where the result goes.")],
    )] = None
    format: Annotated[Format | None, Key(
        choice(Format), "Format of the result",
        "What the agent is told to write. A result for `json` counts only if it is one JSON document.",
        default="the template's, else `markdown`",
        examples=["json"],
        options=[Option("--format", "FORMAT", "What the result must be: text, markdown or json.")],
    )] = None
    min_bytes: Annotated[int | None, Key(
        whole(0, of=" of bytes"), "Least size of a result in bytes",
        "A smaller file is not yet a result.",
        default="1 (`shell`: 0)",
        examples=[200],
    )] = None
    schema: Annotated[Mapping[str, Any] | str | None, Key(
        Shape({"type": ["object", "string"], "pattern": LINE}, "must be a JSON Schema (an object), or the path of one",
              _schema),
        "JSON Schema of the result",
        "The result counts only if it fits. The schema itself, or the path of a file that holds it: absolute, relative "
        "to `workdir`, or one that begins with `~/`. It may refer to its own parts only. Makes the format `json`.",
        default="none",
        examples=["report.schema.json"],
        options=[Option("--output-schema", "FILE", "A JSON Schema that the result must fit.")],
    )] = None
    check: Annotated[str | None, Key(
        COMMAND, "Command that checks the result",
        "Run by `sh` in the folder the agent works in, with the agent's environment and the path of the result as "
        "`MUXQ_OUTPUT`. The result counts only if the command ends with exit status 0; otherwise the agent is sent "
        "back with the end of what the command printed.",
        default="none",
        examples=["make test", "grep -q '^## Risks' \"$MUXQ_OUTPUT\""],
        options=[Option("--check", "COMMAND", "A command that must succeed, else the agent is sent back.")],
    )] = None
    check_timeout: Annotated[float | None, Key(
        Shape(LENGTH.schema, LENGTH.must_be, _check_timeout), "Time limit of the check",
        "A length of time as in `timeout`, a day at most. All that the check has started ends with it.",
        default='`"10m"`',
        examples=["30m"],
        options=[Option("--check-timeout", "TIME", "How long the check may take (default: 10m).")],
    )] = None
    """Seconds."""
# fmt: on


def _read(value: str | dict[str, Any]) -> Output:
    """From the path alone, or from what values() makes of the members."""
    if isinstance(value, str):
        return Output(path=_path(value))
    return Output(**value)


def clashes(output: Mapping[str, Any]) -> Iterator[Problem]:
    """What the members of an `output` have against each other."""
    if "schema" in output and output.get("format") in ("text", "markdown"):
        yield Problem(("schema",), f": a schema is for `json`, and `format` is {shown(output['format'])}")


OUTPUT = Shape(
    {"type": ["string", "object"], "pattern": LINE},
    "must be a path without control characters, or an object (`path`, `format`, …)",
    _read,
    as_json,
)
