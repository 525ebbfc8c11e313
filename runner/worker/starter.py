"""The start of jobs: waiting ones in their order while the gate lets them, and running ones that lost their worker."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping

from runner.attempts.plan import Plan, Setup, plan
from runner.errors import MuxqError, Unready
from runner.home import pool
from runner.home.spool import Place, Spool
from runner.jobs.entry import Entry
from runner.jobs.state import State
from runner.system import files, locks
from runner.system.locks import FolderLock, Lock
from runner.worker.backlog import Backlog
from runner.worker.execution import Claim, Execution
from runner.worker.gate import Gate
from runner.worker.readiness import Candidates

AT_A_STRETCH = 0.1
"""Seconds of claiming after which file events, signals and attempts have their turn."""

Begin = Callable[[Claim], None]
"""Begins the attempt of a claimed job."""


class Starter:
    def __init__(
        self,
        spool: Spool,
        gate: Gate,
        backlog: Backlog,
        candidates: Candidates,
        running: Mapping[str, Execution],
        begin: Begin,
    ) -> None:
        self.spool, self.home, self.gate = spool, spool.home, gate
        self.backlog, self.candidates = backlog, candidates
        self.running, self._begin = running, begin
        self.crowded = False
        """Jobs run that have lost their worker, and there is no room to take them over."""
        self.outside: list[Entry] = []
        """Jobs that wait for their workdir; they are not in the backlog meanwhile."""
        self._reported: set[str] = set()
        """The ids of jobs of which it was reported that they wait for their workdir: once each."""

    def take_over(self) -> None:
        """Take over the running jobs whose lock is free: they have lost their worker."""
        self.crowded, most = False, self.gate.most()
        for entry in self.spool.entries(State.RUNNING):
            if self.gate.stopping or entry.id in self.running or (lock := self.spool.lock(entry.id)) is None:
                continue
            if len(self.running) >= most or not self.spool.path(Place(State.RUNNING, entry)).exists():
                self.crowded = self.crowded or len(self.running) >= most
                lock.release()
                continue
            self.spool.emit("job.taken-over", job=entry.id)
            self._reported.discard(entry.id)
            self._begin(self._claim_again(entry, lock))

    def _claim_again(self, entry: Entry, lock: Lock) -> Claim:
        """The claim of a job that runs already, with its plan and its workdir as far as they can be had.

        The plan can have become impossible, and a job of another home can have taken the workdir.
        """
        known, workdir = None, None
        with contextlib.suppress(MuxqError):
            known = plan(self.home, self.spool.read(Place(State.RUNNING, entry)))
            workdir = _hold_workdir(known)
        return Claim(entry, lock, workdir, known)

    def claim(self, setup: Setup) -> bool:
        """Claim jobs in order while the gate is open; returns whether some are left, because AT_A_STRETCH is over."""
        until = time.monotonic() + AT_A_STRETCH
        while self.gate.open() and len(self.backlog) and self.gate.free():
            if time.monotonic() > until:
                return True
            entry = self.backlog.next(time.time())
            if entry is None:
                break
            try:
                self._start(entry, setup)
            except OSError:
                self.backlog.put_back(entry)
                raise
        return False

    def _start(self, entry: Entry, setup: Setup) -> None:
        """Claim one waiting job and begin it, if it can start now and no other process claims it first."""
        files.check_room(self.home.path)
        ready = self.candidates.examine(entry, setup)
        if ready is None:
            return
        with contextlib.ExitStack() as held:
            try:
                workdir = _hold_workdir(ready.plan)
            except Unready as problem:
                self._shut_out(entry, str(problem))
                return
            if workdir:
                held.callback(workdir.release)
            if not self.gate.take_turn(entry.id):
                self.backlog.put_back(entry)
            elif lock := self.spool.claim(entry):
                held.pop_all()
                self.gate.started(entry.id)
                self._reported.discard(entry.id)
                self._begin(Claim(entry, lock, workdir, ready.plan, ready))
            else:
                self._lost(entry)

    def _lost(self, entry: Entry) -> None:
        """Another process has claimed or cancelled the job."""
        self.backlog.forget(entry)
        if not self.spool.path(Place(State.RUNNING, entry)).exists():  # no worker has it: it was cancelled
            pool.tell_end(self.home, entry.id)

    def _shut_out(self, entry: Entry, why: str) -> None:
        """Another job works in its folder: it is tried again when one of our jobs ends, and at the slow look."""
        if entry.id not in self._reported:
            self._reported.add(entry.id)
            self.spool.emit("job.blocked", job=entry.id, why=why)
        self.outside.append(entry)

    def let_in(self) -> None:
        """Give the jobs that wait for their folder their turn again."""
        while self.outside:
            self.backlog.put_back(self.outside.pop())


def _hold_workdir(plan: Plan) -> FolderLock | None:
    """The lock of the folder that the job works in alone; None where it does not. Unready: another job has it."""
    return locks.take_workdir(plan.alone) if plan.alone else None
