"""Recurring jobs: adds the jobs of schedules when they come due. A worker calls look() with every slow look."""

from __future__ import annotations

import time

from runner.errors import MuxqError
from runner.home.layout import Home
from runner.home.spool import Spool
from runner.jobs import entry
from runner.jobs.entry import Entry
from runner.jobs.state import State
from runner.schedules import schedule
from runner.schedules.schedule import Schedule


def alive(spool: Spool, name: str) -> Entry | None:
    """A job of this name that waits or runs. A long name is cut in its file's name."""
    for state in (State.QUEUED, State.RUNNING):
        for known in spool.entries(state):
            if known.name and name.startswith(known.name) and entry.new(known.id, known.priority, name) == known:
                return known
    return None


def add(spool: Spool, due: Schedule) -> Entry | None:
    """Add the schedule's job; None where its last job still waits or runs. BadInput when it could not run."""
    from runner.intake import add as intake
    from runner.jobs.job import Job

    keys = {"name": due.name, **(due.job or {})}
    if before := alive(spool, str(keys["name"])):
        spool.emit("schedule.skipped", schedule=due.name, job=before.id)
        return None
    return intake.add(spool, Job.check(keys, where=str(schedule.file(spool.home, due.name))))


class Recurring:
    """The schedules of a home for one worker. Each problem is reported once, until the schedule's file changes."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._reported: dict[str, str] = {}
        """The last problem of each schedule."""

    def look(self) -> list[Entry]:
        """Add the jobs that are due now; returns them. OSError."""
        home, now, added = self._spool.home, time.time(), []
        fired = schedule.fired(home) if (names := schedule.names(home)) else {}
        for name in names:
            try:
                if (new := self._add(home, name, fired.get(name, 0.0), now)) is not None:
                    added.append(new)
                self._reported.pop(name, None)
            except MuxqError as problem:
                if self._reported.get(name) != str(problem):
                    self._reported[name] = str(problem)
                    self._spool.emit("schedule.trouble", schedule=name, why=str(problem))
        return added

    def _add(self, home: Home, name: str, last: float, now: float) -> Entry | None:
        current = schedule.load(home, name)
        if current.job is None or current.due(last, now) is None:
            return None
        return add(self._spool, current) if schedule.take(home, current, now, only_due=True) else None
