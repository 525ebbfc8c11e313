"""A home over time: its attempts as bars in lanes, and the holds between them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from runner.home.events import Event
from runner.system import clock


@dataclass(frozen=True, slots=True)
class Bar:
    """One attempt. Times are seconds since 1970."""

    job: str
    name: str | None
    attempt: int
    start: float
    end: float
    outcome: str
    lane: int

    def as_dict(self) -> dict[str, Any]:
        return {
            "job": self.job,
            "name": self.name,
            "attempt": self.attempt,
            "from": clock.stamp(self.start),
            "until": clock.stamp(self.end),
            "outcome": self.outcome,
            "lane": self.lane,
        }


@dataclass(frozen=True, slots=True)
class Held:
    """A time in which nothing new started. Times are seconds since 1970."""

    kind: str
    reason: str
    start: float
    end: float

    @property
    def seconds(self) -> float:
        return round(self.end - self.start, 1)

    def as_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "reason": self.reason,
            "from": clock.stamp(self.start),
            "until": clock.stamp(self.end),
            "seconds": self.seconds,
        }


def bars(jobs: Iterable[dict[str, Any]], since: float, now: float) -> list[Bar]:
    """Every attempt of the jobs (as JSON) that was under way after `since`, in as few lanes as possible.

    Those of one lane never overlap.
    """
    spans = sorted(_spans(jobs, since, now), key=lambda span: (span[0], span[2]["id"], span[3]["number"]))
    lanes: list[float] = []
    """When each lane is free."""
    drawn = []
    for start, end, job, attempt in spans:
        lane = next((number for number, free in enumerate(lanes) if free <= start), len(lanes))
        lanes[lane:] = [end, *lanes[lane + 1 :]]
        outcome = attempt["outcome"] or "running"
        drawn.append(Bar(job["id"], job["name"], attempt["number"], start, end, outcome, lane))
    return drawn


def _spans(
    jobs: Iterable[dict[str, Any]], since: float, now: float
) -> Iterator[tuple[float, float, dict[str, Any], dict[str, Any]]]:
    """(start, end, job, attempt)."""
    for job in jobs:
        for attempt in job["attempts"]:
            start = clock.seconds_or(attempt["started_at"], now)
            end = clock.seconds_or(attempt["finished_at"], now)
            if end >= since and attempt["started_at"]:
                yield max(start, since), max(end, start), job, attempt


def holds(events: Iterable[Event], since: float, now: float) -> list[Held]:
    """The holds in these events, as far as they lasted after `since`.

    Each lasts from when it was put to its own end, to the next hold, or to when it was lifted.
    """
    changes = [event for event in events if event.name in ("hold.put", "hold.lifted")]
    following = [clock.seconds_or(event.at, now) for event in changes[1:]] + [now]
    held = [
        _held(put, next_change, since, now)
        for put, next_change in zip(changes, following, strict=False)
        if put.name == "hold.put"
    ]
    return [item for item in held if item.end > item.start]


def _held(put: Event, next_change: float, since: float, now: float) -> Held:
    start = max(since, clock.seconds_or(put.at, since))
    end = min(clock.seconds_or(put.data.get("until"), now), now, next_change)
    return Held(str(put.data.get("kind", "")), str(put.data.get("reason", "")), start, end)


def covered(spans: Sequence[Held]) -> float:
    """Seconds that at least one of them covers."""
    total, reached = 0.0, 0.0
    for span in sorted(spans, key=lambda span: (span.start, span.end)):
        total += max(0.0, span.end - max(span.start, reached))
        reached = max(reached, span.end)
    return round(total, 1)
