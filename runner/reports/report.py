"""The report of a home since a time: its jobs, what has not begun and why, the cost, and what waits. Reads only. How it
is shown: page.

Report.as_dict() is what `muxq report --json` prints:

    {"home", "since", "until",
     "counts": {"done", "failed", "cancelled", "running", "queued"},
     "done" | "failed" | "cancelled" | "waiting" | "running": [JOB],
     "rejected": [{"file", "why"}],
     "not_begun": [{"at", "job", "name", "why"}], "hold": {"kind", "reason", "until"},
     "totals": {"attempts", "seconds", "input_tokens", "output_tokens", "cost_usd"},
     "holds": [{"kind", "reason", "from", "until", "seconds"}], "held_seconds",
     "timeline": [{"job", "name", "attempt", "from", "until", "outcome", "lane"}]}

JOB is JobLine. Jobs that ended since then, and all that run; `waiting` are those of them that wait for a person.
`not_begun` says why jobs wait in the queue; `hold` is the one in force now. Times are RFC 3339 in UTC, lengths in
seconds, what is absent is null. Tokens and cost are the agents' own.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runner.errors import BadSetup, NotFound
from runner.home import events
from runner.home.events import Event
from runner.home.hold import Hold
from runner.home.spool import Place
from runner.jobs.state import State
from runner.queue import Queue
from runner.reports import timeline
from runner.reports.not_begun import NotBegun, held, not_begun
from runner.reports.timeline import Bar, Held
from runner.system import clock
from runner.views.job import describe

TOKENS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
ENDED = ("job.done", "job.failed", "job.cancelled")

LONGEST_HOLD = 8 * 86400.0
"""Seconds before the report's time that are looked through for a hold which lasted into it: a weekly limit's."""


@dataclass(frozen=True, slots=True)
class JobLine:
    """What the report says of one job."""

    id: str
    name: str | None
    agent: str
    finished_at: str | None
    error: dict[str, Any] | None
    """{"kind", "message"}"""
    attention: dict[str, Any] | None
    """{"kind", "detail", …}"""
    seconds: float
    """Of all its attempts."""
    attempts: int
    cost_usd: float | None
    tokens: int | None
    output_path: str | None
    diff: str | None
    """The path of its patch."""
    branch: str | None
    diff_stat: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Rejected:
    file: str
    why: str


@dataclass(frozen=True, slots=True)
class Totals:
    """Of every attempt that was under way, whatever came of it."""

    attempts: int
    seconds: float
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    home: str
    since: float
    """Seconds since 1970; `until` as well."""
    until: float
    counts: dict[str, int]
    """How many jobs are in each state now."""
    jobs: dict[State, list[JobLine]]
    """By the state, all but queued."""
    rejected: list[Rejected]
    not_begun: list[NotBegun]
    hold: Hold | None
    totals: Totals
    holds: list[Held]
    timeline: list[Bar]

    @property
    def waiting(self) -> list[JobLine]:
        """The running jobs that wait for a person."""
        return [job for job in self.jobs[State.RUNNING] if job.attention]

    @property
    def working(self) -> list[JobLine]:
        """The running jobs that wait for nobody."""
        return [job for job in self.jobs[State.RUNNING] if not job.attention]

    @property
    def held_seconds(self) -> float:
        return timeline.covered(self.holds)

    def as_dict(self) -> dict[str, Any]:
        return {
            "home": self.home,
            "since": clock.stamp(self.since),
            "until": clock.stamp(self.until),
            "counts": self.counts,
            **{state.value: _dicts(jobs) for state, jobs in self.jobs.items()},
            "waiting": _dicts(self.waiting),
            "rejected": _dicts(self.rejected),
            "not_begun": _dicts(self.not_begun),
            "hold": self.hold.as_dict() if self.hold else None,
            "totals": asdict(self.totals),
            "holds": [item.as_dict() for item in self.holds],
            "held_seconds": self.held_seconds,
            "timeline": [bar.as_dict() for bar in self.timeline],
        }


def report(queue: Queue, since: float, now: float | None = None) -> Report:
    """What happened in the home since `since` (seconds since 1970)."""
    now = time.time() if now is None else now
    happened = list(events.since(queue.home.events, since))
    jobs = _jobs(queue, happened)
    return Report(
        home=str(queue.home.path),
        since=since,
        until=now,
        counts={state.value: count for state, count in queue.counts().items()},
        jobs=_by_state(jobs, since),
        rejected=[
            Rejected(str(event.data.get("file", "")), str(event.data.get("why", "")))
            for event in happened
            if event.name == "job.rejected"
        ],
        not_begun=not_begun(queue, happened),
        hold=held(queue, now),
        totals=_totals(jobs, since),
        holds=timeline.holds(events.since(queue.home.events, since - LONGEST_HOLD, "hold."), since, now),
        timeline=timeline.bars(jobs, since, now),
    )


def _jobs(queue: Queue, happened: Iterable[Event]) -> list[dict[str, Any]]:
    """The jobs that ended or went back to the queue in these events, and those that run now; the oldest first."""
    ids = {str(event.data.get("job")) for event in happened if event.name in (*ENDED, "job.queued")}
    jobs = {job["id"]: job for job in queue.list([State.RUNNING])}
    for job_id, place in queue.spool.places(ids - set(jobs)).items():  # what is not there has been put away
        with suppress(NotFound, BadSetup):  # it has just been put away; or waits, and config.toml is broken
            jobs[job_id] = _describe(queue, place)
    return [jobs[job_id] for job_id in sorted(jobs)]


def _describe(queue: Queue, place: Place) -> dict[str, Any]:
    try:
        return describe(queue.spool, place)
    except (NotFound, FileNotFoundError):  # it has moved
        return queue.get(place.entry.id)


def _by_state(jobs: Iterable[dict[str, Any]], since: float) -> dict[State, list[JobLine]]:
    """The jobs that run or ended after `since`."""
    lines: dict[State, list[JobLine]] = {state: [] for state in State if state is not State.QUEUED}
    for job in jobs:
        state = State(job["state"])
        if state is State.RUNNING or (state.final and clock.seconds_or(job["finished_at"], 0.0) >= since):
            lines[state].append(_line(job))
    return lines


def _line(job: dict[str, Any]) -> JobLine:
    last = job["attempts"][-1] if job["attempts"] else None
    diff = Path(last["run_dir"], "diff.patch") if last else None
    usage = [attempt["usage"] for attempt in job["attempts"] if attempt["usage"]]
    return JobLine(
        **{key: job[key] for key in ("id", "name", "agent", "finished_at", "error", "attention")},
        seconds=round(sum(_seconds(attempt) for attempt in job["attempts"]), 1),
        attempts=len(job["attempts"]),
        cost_usd=_sum(item.get("cost_usd") for item in usage),
        tokens=_sum(item.get(key) for item in usage for key in TOKENS),
        output_path=job["output_path"] if job["state"] == State.DONE else None,
        diff=str(diff) if diff and diff.exists() else None,
        branch=last["branch"] if last else None,
        diff_stat=last["diff_stat"] if last else None,
    )


def _totals(jobs: Iterable[dict[str, Any]], since: float) -> Totals:
    """Over every attempt that was under way since then."""
    attempts = [
        attempt
        for job in jobs
        for attempt in job["attempts"]
        if clock.seconds_or(attempt["finished_at"], since) >= since
    ]
    usage = [attempt["usage"] for attempt in attempts if attempt["usage"]]
    return Totals(
        attempts=len(attempts),
        seconds=round(sum(map(_seconds, attempts)), 1),
        input_tokens=_sum(item.get("input_tokens") for item in usage),
        output_tokens=_sum(item.get("output_tokens") for item in usage),
        cost_usd=_sum(item.get("cost_usd") for item in usage),
    )


def _seconds(attempt: dict[str, Any]) -> float:
    start = clock.seconds_or(attempt["started_at"], 0.0)
    return max(0.0, clock.seconds_or(attempt["finished_at"], time.time()) - start) if start else 0.0


def _sum(values: Iterable[Any]) -> Any:
    """The sum of those that are numbers; None where none is."""
    numbers = [value for value in values if isinstance(value, int | float)]
    return round(sum(numbers), 6) if numbers else None


def _dicts(records: Sequence[JobLine | Rejected | NotBegun]) -> list[dict[str, Any]]:
    return [asdict(record) for record in records]
