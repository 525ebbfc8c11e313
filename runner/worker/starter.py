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
from runner.system.locks import FolderLock
from runner.worker.backlog import Backlog
from runner.worker.execution import Claim, Execution
from runner.worker.gate import Gate
from runner.worker.readiness import Candidates

AT_A_STRETCH = 0.1
"""Seconds of looking for jobs that can start before file events, signals and attempts have their turn."""

Begin = Callable[[Claim], None]
"""What takes a claimed job in hand."""


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
        """There are running jobs without a worker, and no room to take them over."""
        self.outside: list[Entry] = []
        """Jobs that wait for their workdir; they are not in the backlog meanwhile."""
        self._told_outside: set[str] = set()
        """Their ids, and earlier ones': each is told of once."""

    def take_over(self) -> None:
        """Running jobs whose lock is free have lost their worker: they are ours now."""
        self.crowded, most = False, self.gate.most()
        for found in self.spool.entries(State.RUNNING):
            if self.gate.stopping or found.id in self.running or (lock := self.spool.lock(found.id)) is None:
                continue
            if len(self.running) >= most or not self.spool.path(Place(State.RUNNING, found)).exists():
                self.crowded = self.crowded or len(self.running) >= most
                lock.release()
                continue
            self.spool.emit("job.taken-over", job=found.id)
            self._told_outside.discard(found.id)
            self._begin(Claim(found, lock, self._hold_again(found)))

    def _hold_again(self, found: Entry) -> FolderLock | None:
        """The workdir of a job that works in it already; of another home's job that was faster we can hold nothing."""
        with contextlib.suppress(MuxqError):
            return _hold_workdir(plan(self.home, self.spool.read(Place(State.RUNNING, found))))
        return None

    def claim(self, setup: Setup) -> bool:
        """Claim in order while the gate lets jobs pass; returns whether to go on at the next step, as it takes long."""
        until = time.monotonic() + AT_A_STRETCH
        while self.gate.open() and len(self.backlog) and self.gate.free():
            if time.monotonic() > until:
                return True
            found = self.backlog.next(time.time())
            if found is None:
                break
            try:
                self._start(found, setup)
            except OSError:
                self.backlog.put_back(found)
                raise
        return False

    def _start(self, found: Entry, setup: Setup) -> None:
        """Claim one waiting job and begin it, if it can start now and nobody was faster."""
        files.check_room(self.home.path)
        ready = self.candidates.examine(found, setup)
        if ready is None:
            return
        with contextlib.ExitStack() as held:
            try:
                workdir = _hold_workdir(ready.plan)
            except Unready as problem:
                self._shut_out(found, str(problem))
                return
            if workdir:
                held.callback(workdir.release)
            if not self.gate.take_turn(found.id):
                self.backlog.put_back(found)
            elif lock := self.spool.claim(found):
                held.pop_all()
                self.gate.started(found.id)
                self._told_outside.discard(found.id)
                self._begin(Claim(found, lock, workdir, ready))
            else:
                self._lost(found)

    def _lost(self, found: Entry) -> None:
        """Somebody else was faster."""
        self.backlog.forget(found)
        if not self.spool.path(Place(State.RUNNING, found)).exists():  # no other worker has it: it was cancelled
            pool.tell_end(self.home, found.id)

    def _shut_out(self, found: Entry, why: str) -> None:
        """Another job works in its folder: looked at again when one of ours ends, and at the slow look."""
        if found.id not in self._told_outside:
            self._told_outside.add(found.id)
            self.spool.emit("job.blocked", job=found.id, why=why)
        self.outside.append(found)

    def let_in(self) -> None:
        """Those that wait for their folder have their turn again."""
        while self.outside:
            self.backlog.put_back(self.outside.pop())


def _hold_workdir(plan: Plan) -> FolderLock | None:
    """The lock of the folder that the job works in alone; None where it does not. Unready: another job has it."""
    return locks.take_workdir(plan.alone) if plan.alone else None
