"""What a home has not begun, and why: what holds it, a window that has closed, what jobs cannot start. Looks only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from runner.errors import MuxqError, NotFound
from runner.home import config, hold, pool
from runner.home.events import Event
from runner.home.hold import Hold
from runner.jobs.state import State
from runner.queue import Queue
from runner.system import clock


def held(queue: Queue, now: float) -> Hold | None:
    """The hold in force. A config.toml that is broken cannot say of a pause, and hides no hold."""
    try:
        return pool.held(queue.home, config.load(queue.home.config), now)
    except MuxqError:
        return hold.standing(queue.home)


def not_begun(queue: Queue, happened: Iterable[Event]) -> list[dict[str, Any]]:
    """Of a home in which jobs wait why, by these events: {"at", "job", "name", "why"}, in their order.

    One for each reason for which a job cannot start, with the first that waits for it; without a job what concerns all
    of them: the window that closed on the last run, if it did, and a config.toml that is broken.
    """
    if not queue.counts()[State.QUEUED]:
        return []
    blocked: dict[str, Event] = {}
    """By the job's id."""
    closed: Event | None = None
    for one in happened:
        job = str(one.data.get("job"))
        if one.name == "job.blocked":
            blocked[job] = one
        elif one.name == "job.running":
            blocked.pop(job, None)
        elif one.name in ("worker.started", "worker.closed"):
            closed = one if one.name == "worker.closed" else None
    first: dict[str, dict[str, Any]] = {}
    """By the reason."""
    for job, one in blocked.items():
        why = str(one.data.get("why", ""))
        if why not in first and (name := _waits(queue, job)) is not None:
            first[why] = {"at": one.at, "job": job, "name": name or None, "why": why}
    found = [*first.values(), *_broken(queue)]
    if closed:
        found.append({"at": closed.at, "job": None, "name": None, "why": str(closed.data.get("why", ""))})
    return sorted(found, key=lambda line: str(line["at"]))


def _broken(queue: Queue) -> list[dict[str, Any]]:
    """A config.toml that cannot be used: no job starts."""
    try:
        config.load(queue.home.config)
    except MuxqError as problem:
        return [{"at": clock.stamp(), "job": None, "name": None, "why": str(problem)}]
    return []


def _waits(queue: Queue, job: str) -> str | None:
    """The job's name, or "", if it waits in the queue."""
    try:
        place = queue.find(job)
    except NotFound:
        return None
    return place.entry.name or "" if place.state is State.QUEUED else None
