"""Recurring jobs: adds the jobs of schedules when they come due. A worker looks with every slow look of its own."""

from __future__ import annotations

import time

from runner.errors import MuxqError
from runner.home.layout import Home
from runner.home.spool import Spool
from runner.jobs import entry as entries
from runner.jobs.entry import Entry
from runner.jobs.state import State
from runner.schedules import schedule
from runner.schedules.schedule import Schedule


def alive(spool: Spool, name: str) -> Entry | None:
    """A job of this name that waits or runs. A long name is cut in its file's name."""
    for found in (one for state in (State.QUEUED, State.RUNNING) for one in spool.entries(state) if one.name):
        if name.startswith(found.name or "") and entries.new(found.id, found.priority, name) == found:
            return found
    return None


def add(spool: Spool, found: Schedule) -> Entry | None:
    """Add the schedule's job; None where the last one still waits or runs. BadInput when it could not run."""
    from runner.intake import add as intake
    from runner.jobs.job import Job

    said = {"name": found.name, **(found.job or {})}
    if before := alive(spool, str(said["name"])):
        spool.emit("schedule.skipped", schedule=found.name, job=before.id)
        return None
    return intake.add(spool, Job.check(said, where=str(schedule.file(spool.home, found.name))))


class Recurring:
    """The schedules of a home, as a worker sees to them. Each trouble is told once, until the file is changed."""

    def __init__(self, spool: Spool) -> None:
        self._spool, self._told = spool, dict[str, str]()

    def look(self) -> list[Entry]:
        """Add the jobs that are due now; returns them. OSError when the disk says no."""
        home, now, added = self._spool.home, time.time(), []
        fired = schedule.fired(home) if (names := schedule.names(home)) else {}
        for name in names:
            try:
                if (new := self._add(home, name, fired.get(name, 0.0), now)) is not None:
                    added.append(new)
                self._told.pop(name, None)
            except MuxqError as problem:
                if self._told.get(name) != str(problem):
                    self._told[name] = str(problem)
                    self._spool.emit("schedule.trouble", schedule=name, why=str(problem))
        return added

    def _add(self, home: Home, name: str, last: float, now: float) -> Entry | None:
        found = schedule.load(home, name)
        if found.job is None or found.due(last, now) is None or not schedule.take(home, found, now, only_due=True):
            return None
        return add(self._spool, found)
