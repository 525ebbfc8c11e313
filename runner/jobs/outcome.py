"""How an attempt ended. Pure. Where the job is moved then: state.py.

One frozen class for each kind, with the fields of that kind alone; outcome.json holds record() of an outcome.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from runner.jobs.state import Move
from runner.system import clock


@dataclass(frozen=True, slots=True)
class Done:
    """The output is new, stable and valid, and the agent has finished with it."""

    kind: ClassVar[str] = "done"
    move: ClassVar[Move] = Move.FINISH


@dataclass(frozen=True, slots=True)
class Failed:
    """`error` is one of ERRORS; `message` one sentence for a person."""

    kind: ClassVar[str] = "failed"
    move: ClassVar[Move] = Move.FAIL
    error: str
    message: str


@dataclass(frozen=True, slots=True)
class Retry:
    """A failure that may pass: the job waits for another attempt until `not_before` (RFC 3339, UTC)."""

    kind: ClassVar[str] = "retry"
    move: ClassVar[Move] = Move.REQUEUE
    error: str
    message: str
    not_before: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A person cancelled the job."""

    kind: ClassVar[str] = "cancelled"
    move: ClassVar[Move] = Move.CANCEL


@dataclass(frozen=True, slots=True)
class Requeued:
    """The job is not at fault, and goes back into the queue. `reason` is a key of REASONS."""

    kind: ClassVar[str] = "requeued"
    move: ClassVar[Move] = Move.REQUEUE
    reason: str
    message: str
    not_before: str | None = None


Outcome = Done | Failed | Retry | Cancelled | Requeued

ERRORS = {
    "no-output": "the agent ended its turn and never wrote the output file",
    "invalid-output": "the output file is not what the job asked for",
    "agent-exited": "the agent's process ended before it left a valid output that is known to be whole",
    "agent-error": "the agent's turn died of an error it could not get over",
    "timeout": "the attempt took longer than the job's timeout",
    "stalled": "the attempt showed no activity for longer than the job's stall",
    "lost": "worker and agent vanished together, more than three times",
    "internal": "muxq itself failed; the report's path is in the message",
    "bad-job": "the job cannot be run any more: its template, files, folder or environment have gone",
    "parent-failed": "a job that it is after was not done, so it never started",
}


RETRYABLE = ("no-output", "invalid-output", "agent-exited", "stalled", "lost")
"""Errors that another attempt may avoid. A timeout, an error of the agent itself or a bad job would repeat."""

REASONS = {
    "lost": "worker and agent vanished, and left no valid result that is known to be whole",
    "stopped": "the worker was told to end its sessions",
    "not-resumed": "the conversation could not be resumed; the next attempt begins a new one",
    "launch": "the session could not be opened: tmux or the disk said no",
    "usage-limit": "the plan's usage limit is reached",
    "throttle": "the service is overloaded or turns requests away for now",
    "account": "the service needs a person: log-in, billing, verification",
}

HOLDING = ("usage-limit", "throttle", "account")
"""Reasons that put the whole home on hold: they would stop every other job as well."""


def load(record: dict[str, Any]) -> Outcome:
    """The outcome that record() wrote. ValueError for anything else."""
    for kind in (Done, Failed, Retry, Cancelled, Requeued):
        if record.get("outcome") == kind.kind:
            values = {item.name: record[item.name] for item in fields(kind) if record.get(item.name) is not None}
            with contextlib.suppress(TypeError, ValueError):  # a field is missing, or not_before is not a time
                clock.seconds(values.get("not_before", "1970-01-01T00:00:00Z"))
                if all(isinstance(value, str) for value in values.values()):
                    return kind(**values)
    raise ValueError(f"not an outcome: {record!r}")


def record(outcome: Outcome) -> dict[str, Any]:
    """The outcome as JSON: its kind and the fields of that kind."""
    return {"outcome": outcome.kind, **asdict(outcome)}
