"""The key `after` of a job file: jobs that have to end first. Their names are looked up elsewhere."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from runner.jobs.keys import LINE, Key, Shape, as_json, choice, text

When = Literal["ok", "any"]


# fmt: off
@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """A job that has to end first."""

    job: Annotated[str, Key(
        text(LINE, "must be the id or name of a job, on one line"), "Id or name",
        "Of a job, or of a batch: then of all its jobs.",
    )]
    when: Annotated[When, Key(
        choice(When), "How it must have ended",
        "`ok`: it must be done. `any`: it may have ended in any way.",
        default="`ok`",
    )] = "ok"
# fmt: on


def _read(value: list[str | dict[str, Any]]) -> tuple[After, ...]:
    return tuple(After(job=item) if isinstance(item, str) else After(**item) for item in value)


def _write(after: tuple[After, ...]) -> list[Any]:
    return [parent.job if parent.when == "ok" else as_json(parent) for parent in after]


AFTER = Shape({"type": "array"}, "must be a list of ids or names of jobs", _read, _write)
PARENT = Shape(
    {"type": ["string", "object"], "pattern": LINE},
    'must be the id or name of a job, or {"job": "NAME", "when": "ok" or "any"}',
)
