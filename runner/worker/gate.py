"""Whether one more job may start: an open window, room, no hold, and its turn. Knows what runs, not what waits."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping

from runner.errors import MuxqError
from runner.home import config, pool
from runner.home.hold import Hold
from runner.home.spool import Spool
from runner.system import capacity
from runner.worker.ending import Summary
from runner.worker.execution import Execution
from runner.worker.window import Window


class Gate:
    def __init__(
        self, spool: Spool, jobs: int | None, window: Window | None, running: Mapping[str, Execution], summary: Summary
    ) -> None:
        """`jobs`: how many may run side by side; None: as many as the machine carries. `running`: those that run.

        `window`: None where the run is open for ever.
        """
        self.spool, self.home = spool, spool.home
        self.jobs, self.window, self.running, self.summary = jobs, window, running, summary
        self.settings = config.Config()
        self.stopping = False
        """A person or a service manager has asked for the end."""
        self._started: set[str] = set()
        """Ids of the jobs that this run has begun, where it may begin only so many."""
        self.start_due = 0.0
        """When the next job may start, in seconds since 1970; 0: at once."""
        self._hold: Hold | None = None
        """The hold in force when a job might have started last."""
        self._short = False
        """There was too little memory for another session."""

    def read_settings(self) -> None:
        """Read config.toml again: `[pool]` may change during a run. A file that cannot be read changes nothing."""
        with contextlib.suppress(MuxqError):
            self.settings = config.load(self.home.config)

    def open(self) -> bool:
        """Whether anything may start at all. A window that has closed stays so."""
        if self.window and not self.summary.closed:
            used = pool.used(pool.load(self.home), time.time()) if self.window.max_usage is not None else {}
            self.summary.closed = self.window.closed(time.time(), len(self._started), used)
            if self.summary.closed:
                self.spool.emit("worker.closed", why=self.summary.closed, running=len(self.running))
        return not self.stopping and not self.summary.closed

    def over(self) -> bool:
        """Whether the window has closed, and sessions that still run have had their grace."""
        return self.window is not None and self.window.over(time.time())

    def free(self) -> bool:
        """Whether one more may start now, if there is one."""
        return self._room() and time.time() >= self.start_due and not self.held()

    def held(self) -> Hold | None:
        """The hold in force, read from the disk."""
        self._hold = pool.held(self.home, self.settings, time.time())
        return self._hold

    def most(self) -> int:
        """The most jobs side by side."""
        return self.jobs or capacity.most()

    def _room(self) -> bool:
        """Whether this worker may run one more job; with `auto`, whether the machine has the memory."""
        if len(self.running) >= self.most():
            return False
        if self.jobs is not None:
            return True
        running = capacity.sizes([pid for execution in self.running.values() if (pid := execution.attempt.pid)])
        lack = capacity.lack(*capacity.memory(), running)
        if lack and not self._short:
            self.spool.emit("worker.trouble", why=f"too little memory for another session: {lack >> 20} MB are missing")
        self._short = bool(lack)
        return not lack

    def take_turn(self, job_id: str) -> bool:
        """Whether this job may start now; if so, it counts as started."""
        self.start_due = pool.take_turn(self.home, job_id)
        return not self.start_due

    def started(self, job_id: str) -> None:
        """This run has begun the job."""
        if self.window and self.window.max_jobs is not None:
            self._started.add(job_id)

    def forget_turn(self) -> None:
        """The hold or the pool has changed: perhaps the next job may start already."""
        self.start_due = 0.0

    def due(self) -> list[float]:
        """When it may open or close, in seconds since 1970; of the hold as last read, as a change wakes the worker."""
        dated = [moment for moment in (self._hold and self._hold.until, self.start_due) if moment]
        return dated + (self.window.due(time.time()) if self.window else [])
