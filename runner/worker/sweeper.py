"""Ends what dead workers left of jobs that no longer run (sessions, processes) and deletes their requests."""

from __future__ import annotations

import time
from collections.abc import Container, Mapping
from pathlib import Path

from runner.agents import closing
from runner.errors import MuxqError
from runner.home.attempt_folder import AttemptFolder
from runner.home.spool import Spool
from runner.jobs import ident
from runner.jobs.state import State
from runner.system import process
from runner.tmux.terminal import Pane, Terminal

SWEEP = 60.0
"""Seconds between two looks for processes of attempts that are over."""


class Sweeper:
    def __init__(self, spool: Spool, terminal: Terminal, running: Container[str]) -> None:
        """`running`: the ids of the jobs that this worker runs, at any time."""
        self.spool, self.home = spool, spool.home
        self.terminal, self.running = terminal, running
        self._sweep_due = 0.0

    async def close(self, panes: Mapping[str, Pane]) -> None:
        """End what is left of jobs that no longer run, except sessions that are kept.

        Their worker died between the job's move and the end, or the agent of a kept session has ended.
        """
        for folder in self._left_over(panes):
            lock = self.spool.lock(folder.job)
            if lock is None:
                continue
            try:
                over = all(running.id != folder.job for running in self.spool.entries(State.RUNNING))
                if over and not await closing.leave_open(self.home, folder, self.terminal, panes):
                    await closing.close(self.home, folder, self.terminal)
            except MuxqError as problem:
                self.spool.emit("worker.trouble", job=folder.job, why=str(problem))
            finally:
                lock.release()

    def forget_requests(self) -> None:
        """Delete the requests whose job has ended: they came too late, or their worker died before it deleted them."""
        for path in self.home.requests.glob("*.cancel"):
            if not ident.is_id(path.stem) or (lock := self.spool.lock(path.stem)) is None:
                continue
            live = [entry.id for state in (State.QUEUED, State.RUNNING) for entry in self.spool.entries(state)]
            if path.stem not in live:
                path.unlink(missing_ok=True)
            lock.release()

    def _left_over(self, panes: Mapping[str, Pane]) -> list[AttemptFolder]:
        """The attempts that have a session or, every SWEEP seconds, any process."""
        pairs = {tuple(session.rpartition("-")[::2]) for session in panes}
        if time.monotonic() >= self._sweep_due:
            self._sweep_due = time.monotonic() + SWEEP
            folders = [Path(value) for value in process.values("MUXQ_RUN_DIR")]
            pairs |= {(folder.parent.name, folder.name) for folder in folders if folder.parent.parent == self.home.runs}
        known = [(job, number) for job, number in sorted(pairs) if ident.is_id(job) and number.isdecimal()]
        return [
            AttemptFolder(job, int(number), self.home.runs / job / number)
            for job, number in known
            if job not in self.running
        ]
