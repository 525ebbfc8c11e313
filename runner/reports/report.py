"""The morning's page: what a home has done since a time, what it has not and why, what it cost, what waits. Looks only;
how people are shown it: page.

    {"home", "since", "until",
     "counts": {"done", "failed", "cancelled", "running", "queued"},
     "done" | "failed" | "cancelled" | "waiting" | "running": [JOB],
     "rejected": [{"file", "why"}],
     "not_begun": [{"at", "job", "name", "why"}], "hold": {"kind", "reason", "until"},
     "totals": {"attempts", "seconds", "input_tokens", "output_tokens", "cost_usd"},
     "holds": [{"kind", "reason", "from", "until", "seconds"}], "held_seconds",
     "timeline": [{"job", "name", "attempt", "from", "until", "outcome", "lane"}]}

JOB is {"id", "name", "agent", "finished_at", "seconds", "attempts", "cost_usd", "tokens", "error", "attention",
"output_path", "diff", "branch", "diff_stat"}. Jobs that ended since then, and all that run; `waiting` are those of them
that wait for a person. `not_begun` says why jobs wait in the queue, one of many that wait for the same, or no job where
it is so for all; `hold` is the one in force now. Times are RFC 3339 in UTC, lengths in seconds, what is absent is null.
Tokens and cost are the agents' own.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from runner.errors import BadSetup, NotFound
from runner.home import events
from runner.home.events import Event
from runner.home.spool import Place
from runner.jobs.state import State
from runner.queue import Queue
from runner.reports import not_begun
from runner.system import clock
from runner.views import job as view

TOKENS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
ENDED = ("job.done", "job.failed", "job.cancelled")

LONGEST_HOLD = 8 * 86400.0
"""Seconds before the report's time that are looked through for a hold which lasted into it: a weekly limit's."""


def report(queue: Queue, since: float, now: float | None = None) -> dict[str, Any]:
    """What happened in the home since `since` (seconds since 1970)."""
    now = time.time() if now is None else now
    happened = list(events.since(queue.home.events, since))
    jobs = _jobs(queue, happened)
    found: dict[str, list[dict[str, Any]]] = {state.value: [] for state in State if state is not State.QUEUED}
    for job in jobs:
        if job["state"] in found and (job["state"] == State.RUNNING or moment(job["finished_at"], 0.0) >= since):
            found[job["state"]].append(_line(job))
    held = not_begun.held(queue, now)
    holds = list(_holds(events.since(queue.home.events, since - LONGEST_HOLD, "hold."), since, now))
    return {
        "home": str(queue.home.path),
        "since": clock.stamp(since),
        "until": clock.stamp(now),
        "counts": {state.value: count for state, count in queue.counts().items()},
        **found,
        "waiting": [job for job in found["running"] if job["attention"]],
        "rejected": [
            {key: str(one.data.get(key, "")) for key in ("file", "why")}
            for one in happened
            if one.name == "job.rejected"
        ],
        "not_begun": not_begun.not_begun(queue, happened),
        "hold": held.as_dict() if held else None,
        "totals": _totals(jobs, since),
        "holds": holds,
        "held_seconds": _covered([(moment(one["from"], 0.0), moment(one["until"], now)) for one in holds]),
        "timeline": timeline(jobs, since, now),
    }


def _jobs(queue: Queue, happened: Iterable[Event]) -> list[dict[str, Any]]:
    """The jobs that ended or went back to the queue in these events, and those that run now; the oldest first."""
    ids = {str(one.data.get("job")) for one in happened if one.name in (*ENDED, "job.queued")}
    found = {job["id"]: job for job in queue.list([State.RUNNING])}
    for job_id, place in queue.spool.places(ids - set(found)).items():  # what is not there has been put away
        with suppress(NotFound, BadSetup):  # it has just been put away; or waits, and config.toml is broken
            found[job_id] = _described(queue, place)
    return [found[job_id] for job_id in sorted(found)]


def _described(queue: Queue, place: Place) -> dict[str, Any]:
    try:
        return view.describe(queue.spool, place)
    except (NotFound, FileNotFoundError):  # it has moved
        return queue.get(place.entry.id)


def _line(job: dict[str, Any]) -> dict[str, Any]:
    """What the report says of one job."""
    last = job["attempts"][-1] if job["attempts"] else None
    diff = Path(last["run_dir"], "diff.patch") if last else None
    usage = [attempt["usage"] for attempt in job["attempts"] if attempt["usage"]]
    return {
        **{key: job[key] for key in ("id", "name", "agent", "finished_at", "error", "attention")},
        "seconds": round(sum(_seconds(attempt) for attempt in job["attempts"]), 1),
        "attempts": len(job["attempts"]),
        "cost_usd": _sum(said.get("cost_usd") for said in usage),
        "tokens": _sum(said.get(key) for said in usage for key in TOKENS),
        "output_path": job["output_path"] if job["state"] == State.DONE else None,
        "diff": str(diff) if diff and diff.exists() else None,
        "branch": last["branch"] if last else None,
        "diff_stat": last["diff_stat"] if last else None,
    }


def _totals(jobs: list[dict[str, Any]], since: float) -> dict[str, Any]:
    """Over every attempt that was under way since then, whatever it came to."""
    attempts = [one for job in jobs for one in job["attempts"] if moment(one["finished_at"], since) >= since]
    usage = [one["usage"] for one in attempts if one["usage"]]
    return {
        "attempts": len(attempts),
        "seconds": round(sum(map(_seconds, attempts)), 1),
        **{key: _sum(said.get(key) for said in usage) for key in TOKENS[:2]},
        "cost_usd": _sum(said.get("cost_usd") for said in usage),
    }


def timeline(jobs: list[dict[str, Any]], since: float, now: float) -> list[dict[str, Any]]:
    """Every attempt as a bar, in as few lanes as there were attempts side by side; those of one lane never overlap."""
    bars = []
    for job in jobs:
        for one in job["attempts"]:
            start, end = moment(one["started_at"], now), moment(one["finished_at"], now)
            if end >= since and one["started_at"]:
                bars.append((max(start, since), max(end, start), job, one))
    lanes: list[float] = []
    found = []
    for start, end, job, one in sorted(bars, key=lambda bar: (bar[0], bar[2]["id"], bar[3]["number"])):
        lane = next((number for number, free in enumerate(lanes) if free <= start), len(lanes))
        lanes[lane:] = [end, *lanes[lane + 1 :]]
        found.append(
            {
                "job": job["id"],
                "name": job["name"],
                "attempt": one["number"],
                "from": clock.stamp(start),
                "until": clock.stamp(end),
                "outcome": one["outcome"] or "running",
                "lane": lane,
            }
        )
    return found


def _holds(happened: Iterable[Event], since: float, now: float) -> Iterator[dict[str, Any]]:
    """The holds in these events, as far as they lasted after `since`: from when they were put to their end, or to the
    next, or to when they were lifted."""
    put: Event | None = None
    for one in (*(said for said in happened if said.name in ("hold.put", "hold.lifted")), None):
        if put:
            begin, ends = max(since, moment(put.at, since)), moment(put.data.get("until"), now)
            end = min(ends, now, moment(one.at, now) if one else now)
            if end > begin:
                yield {
                    "kind": str(put.data.get("kind", "")),
                    "reason": str(put.data.get("reason", "")),
                    "from": clock.stamp(begin),
                    "until": clock.stamp(end),
                    "seconds": round(end - begin, 1),
                }
        put = one if one and one.name == "hold.put" else None


def _covered(spans: list[tuple[float, float]]) -> float:
    """Seconds that at least one of the spans covers."""
    total, reached = 0.0, 0.0
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return round(total, 1)


def _seconds(attempt: dict[str, Any]) -> float:
    start = moment(attempt["started_at"], 0.0)
    return max(0.0, moment(attempt["finished_at"], time.time()) - start) if start else 0.0


def moment(said: Any, otherwise: float) -> float:
    """A time that a record holds, in seconds since 1970; `otherwise` where it holds none."""
    try:
        return clock.seconds(said)
    except (TypeError, ValueError):
        return otherwise


def _sum(values: Iterable[Any]) -> Any:
    """The sum of those that are numbers; None where none is."""
    numbers = [value for value in values if isinstance(value, int | float)]
    return round(sum(numbers), 6) if numbers else None
