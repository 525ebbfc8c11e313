"""The verbs for schedules: add one with its timer, describe it, take it away. What a schedule is: schedules."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import Any

from runner.errors import BadInput, MuxqError, NotFound, Unready
from runner.home.layout import Home
from runner.schedules import schedule, timer
from runner.schedules.schedule import Schedule
from runner.system import clock


@dataclass(frozen=True, slots=True)
class Listing:
    """A schedule as it stands in the home. `schedule` and `next` are None where its file cannot be used."""

    name: str
    last: float | None
    """When it last came due, in seconds since 1970; `next` as well."""
    next: float | None
    problem: str | None
    """Why it cannot be used."""
    schedule: Schedule | None

    def as_dict(self) -> dict[str, Any]:
        record: dict[str, Any] = {
            "name": self.name,
            "last": _stamp(self.last),
            "next": _stamp(self.next),
            "problem": self.problem,
        }
        if self.schedule:
            record |= {"cron": self.schedule.cron, "tz": self.schedule.tz, "catch_up": self.schedule.made_up_for}
            record |= {"timer": self.schedule.timer, "job": self.schedule.job}
            record |= {"command": list(self.schedule.command) or None}
        return record


def add(home: Home, new: Schedule) -> Listing:
    """Save the schedule and have its timer wake it. MuxqError, OSError: nothing is left behind."""
    schedule.save(home, new)
    try:
        timer.install(home, new)
    except (MuxqError, OSError):
        schedule.remove(home, new.name)
        raise
    return describe(home, new.name)


def listing(home: Home) -> list[Listing]:
    """All schedules, by name."""
    return [describe(home, name) for name in schedule.names(home)]


def describe(home: Home, name: str) -> Listing:
    last = schedule.fired(home).get(name)
    try:
        current = schedule.load(home, name)
    except MuxqError as error:
        return Listing(name, last, None, str(error), None)
    due, problem = None, None
    try:
        due = current.next(time.time())
        if not timer.installed(home, name, current.timer):
            problem = f"{current.timer} does not know this schedule; remove it and add it again"
    except MuxqError as error:
        problem = str(error)
    return Listing(name, last, due, problem, current)


def remove(home: Home, name: str) -> None:
    """Take the schedule away, with its lines in the crontab or its units. NotFound, BadInput."""
    try:
        timer.remove(home, name, schedule.load(home, name).timer)
    except (BadInput, NotFound):  # its file cannot say: look wherever it could be
        if not _remove_everywhere(home, name) and name not in schedule.names(home):
            raise
    schedule.remove(home, name)


def _remove_everywhere(home: Home, name: str) -> bool:
    """Whether any timer knew of it."""
    removed = False
    for kind in schedule.TIMERS:
        with contextlib.suppress(Unready):
            removed = timer.remove(home, name, kind) or removed
    return removed


def free_name(home: Home, word: str) -> str:
    """`word`, or `word-2` and so on where schedules have that name already."""
    used = schedule.names(home)
    return next(name for name in (word, *(f"{word}-{i}" for i in range(2, len(used) + 3))) if name not in used)


def _stamp(moment: float | None) -> str | None:
    return None if moment is None else clock.stamp(moment)
