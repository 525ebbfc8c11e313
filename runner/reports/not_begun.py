"""The jobs of a home that have not begun, and why: a closed window, a broken config, a lack. Looks only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runner.errors import MuxqError, NotFound
from runner.home import config, hold, pool
from runner.home.events import Event
from runner.home.hold import Hold
from runner.jobs.state import State
from runner.queue import Queue
from runner.system import clock


@dataclass(frozen=True, slots=True)
class NotBegun:
    """One reason for which jobs wait in the queue, with the first job that waits for it."""

    at: str
    job: str | None
    """None: no job can start."""
    name: str | None
    why: str


def held(queue: Queue, now: float) -> Hold | None:
    """The hold in force. A config.toml that is broken says nothing of a pause, and hides no hold."""
    try:
        return pool.held(queue.home, config.load(queue.home.config), now)
    except MuxqError:
        return hold.standing(queue.home)


def not_begun(queue: Queue, happened: Iterable[Event]) -> list[NotBegun]:
    """Why jobs of the home wait, by these events, in their order: one for each reason.

    Without a job: the window that closed on the last run, if it did, and a config.toml that is broken.
    """
    if not queue.counts()[State.QUEUED]:
        return []
    blocked, closed = _last_of(happened)
    first: dict[str, NotBegun] = {}
    """By the reason."""
    for job, event in blocked.items():
        why = str(event.data.get("why", ""))
        if why not in first and (name := _waits(queue, job)) is not None:
            first[why] = NotBegun(event.at, job, name or None, why)
    reasons = [*first.values(), *_broken(queue)]
    if closed:
        reasons.append(NotBegun(closed.at, None, None, str(closed.data.get("why", ""))))
    return sorted(reasons, key=lambda reason: reason.at)


def _last_of(happened: Iterable[Event]) -> tuple[dict[str, Event], Event | None]:
    """The jobs that were blocked and have not begun since, by id; and the last run's closed window, if it closed."""
    blocked: dict[str, Event] = {}
    closed: Event | None = None
    for event in happened:
        job = str(event.data.get("job"))
        if event.name == "job.blocked":
            blocked[job] = event
        elif event.name == "job.running":
            blocked.pop(job, None)
        elif event.name in ("worker.started", "worker.closed"):
            closed = event if event.name == "worker.closed" else None
    return blocked, closed


def _broken(queue: Queue) -> list[NotBegun]:
    """A config.toml that cannot be used: no job starts."""
    try:
        config.load(queue.home.config)
    except MuxqError as problem:
        return [NotBegun(clock.stamp(), None, None, str(problem))]
    return []


def _waits(queue: Queue, job: str) -> str | None:
    """The job's name, or "", if it waits in the queue."""
    try:
        place = queue.find(job)
    except NotFound:
        return None
    return place.entry.name or "" if place.state is State.QUEUED else None
