"""Whether a waiting job can start now. One that cannot start is postponed, waits for others, or ends here."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping

from runner.attempts.plan import Ready, Setup, plan
from runner.errors import BadSetup, MuxqError, Unready
from runner.home import dependencies
from runner.home.attempt_folder import folders_of, next_folder
from runner.home.dependencies import Parent
from runner.home.records import OutcomeRecord
from runner.home.spool import Place, Spool
from runner.intake.add import find_parents
from runner.intake.drops import admit
from runner.jobs import entry as entries
from runner.jobs import ident
from runner.jobs.entry import Entry
from runner.jobs.job import Job
from runner.jobs.outcome import HOLDING, Cancelled, Failed, Requeued, Retry
from runner.jobs.state import Move, State
from runner.notify import notices
from runner.system import clock
from runner.worker.backlog import Backlog, Waiting
from runner.worker.ending import Summary


class Candidates:
    def __init__(
        self, spool: Spool, backlog: Backlog, env: Mapping[str, str], summary: Summary, wake: Callable[[], None]
    ) -> None:
        """`wake` is called when jobs that waited for others may start."""
        self.spool, self.home, self.backlog, self.env = spool, spool.home, backlog, env
        self.summary, self._wake = summary, wake
        self.waiting = Waiting()

    # -- a job whose turn has come -----------------------------------------------------------------------------

    def examine(self, entry: Entry, setup: Setup) -> Ready | None:
        """What starts the job; None where it cannot start now: then it is postponed, waits for others, or has ended.

        `setup` may be shared with other jobs that are taken in and examined in the same step.
        """
        place = Place(State.QUEUED, entry)
        if self._foreign(entry):
            self._disown(entry, setup)
            return None
        try:
            if self._waits(place):
                return None
            known = setup.plans.pop(entry.id, None)
            job = known.job if known else self.spool.read(place)
            if self._adopted(place, job) and self._waits(place):
                return None
            again, worth = self._again(entry)
            due = max(job.not_before or 0.0, again)
            if due > time.time():
                self.backlog.postpone(entry, due, worth_waiting=worth and due == again)
                return None
            ready = (known or plan(self.home, job, setup)).ready(self.env)
        except (Unready, BadSetup) as problem:
            if self.summary.blocked.put(entry.id, str(problem)):
                self.spool.emit("job.blocked", job=entry.id, why=str(problem))
            self.backlog.postpone(entry, time.time() + self.summary.blocked.pause(), worth_waiting=False)
            return None
        except MuxqError as problem:
            self.summary.blocked.lift(entry.id)
            self.backlog.forget(entry)
            if self.spool.path(place).exists():
                self._refuse(place, Failed("bad-job", str(problem)))
            return None
        self.summary.blocked.lift(entry.id)
        return ready

    def _foreign(self, entry: Entry) -> bool:
        """Whether the file has the id of another job. One that has ended may have another name with the same id."""
        if self.spool.foreign(entry):
            return True
        before = folders_of(self.home, entry.id)
        record = before[-1].outcome() if before else None
        if record is None or isinstance(record.outcome, Retry | Requeued):
            return False
        others = [state for state in State if state is not State.QUEUED]
        return any(name.startswith(entry.id) for state in others for name in self.spool.names(state))

    def _disown(self, entry: Entry, setup: Setup) -> None:
        """Take the file in as the drop that it is: it gets an id of its own, or is rejected."""
        self.backlog.forget(entry)
        if (lock := self.spool.lock(entry.id)) is None:
            return  # the job of that id runs; the slow look comes back to the file
        with contextlib.ExitStack() as held, contextlib.suppress(FileNotFoundError):
            held.callback(lock.release)
            if not self._foreign(entry):
                return
            taken = admit(self.spool, among=[self.spool.disown(entry)], setup=setup)
            for job in taken.admitted:
                self.backlog.remember(job)
        self._wake()

    def _again(self, entry: Entry) -> tuple[float, bool]:
        """When another attempt may begin, in seconds since 1970 (0: now); and whether a drain waits for it."""
        before = folders_of(self.home, entry.id)
        record = before[-1].outcome() if before else None
        if record is None or not isinstance(record.outcome, Retry | Requeued):
            return 0.0, False
        due, worth = record.outcome.not_before, isinstance(record.outcome, Retry) or record.outcome.reason in HOLDING
        return clock.seconds(due) if due else 0.0, worth

    def _refuse(self, place: Place, ended: Failed | Cancelled, why: str = "", parent: str | None = None) -> None:
        """End a waiting job, which can no longer run, without a session.

        The outcome is written before the claim: if this worker dies, the worker that takes the job over carries it out.
        """
        lock = self.spool.lock(place.entry.id)
        if lock is None:
            return
        folder = next_folder(self.home, place.entry.id)
        folder.end(self.home, OutcomeRecord(ended, clock.stamp(), message=why, parent=parent))
        try:
            self.spool.move(place, Move.CLAIM)
            running = Place(State.RUNNING, place.entry)
            moved = notices.end(self.spool, running, ended.move, why=why)
            self.summary.count[moved.state] += 1
        except FileNotFoundError:  # a person has just cancelled it
            shutil.rmtree(folder.path, ignore_errors=True)
        lock.release()
        self.release(place.entry)

    # -- those that are after others --------------------------------------------------------------------------

    def _waits(self, place: Place) -> bool:
        """Whether the job must wait for others, or can never start, in which case it is ended here."""
        parents = dependencies.load(self.home, place.entry.id) or ()
        states = {parent.entry.id: self.spool.state(parent.entry) for parent in parents}
        for parent in parents:
            if dependencies.blocks(parent, states[parent.entry.id]):
                self._skip(place, parent, dependencies.complaint(parent, states[parent.entry.id]))
                return True
        if pending := [parent for parent in parents if dependencies.pending(states[parent.entry.id])]:
            self.waiting.put(place.entry, pending)
        return bool(pending)

    def _adopted(self, place: Place, job: Job) -> bool:
        """Whether a record of the parents is written only now: it was lost, or a person moved the job here."""
        if not job.after or dependencies.load(self.home, place.entry.id) is not None:
            return False
        dependencies.write(self.home, place.entry.id, find_parents(self.spool, job))
        return True

    def _skip(self, place: Place, parent: Parent, why: str) -> None:
        """End a job whose parent was not done: it fails, or is cancelled where its file says so."""
        choice = None
        with contextlib.suppress(MuxqError):
            choice = self.spool.read(place).on_parent_failure
        self.summary.blocked.lift(place.entry.id)
        self.backlog.forget(place.entry)
        if self.spool.path(place).exists():
            ended = Cancelled() if choice == "skip" else Failed("parent-failed", why)
            self._refuse(place, ended, why, parent.entry.id)

    def find_ended(self, queued: Iterable[str]) -> None:
        """Release the children of jobs that neither wait nor run: those have ended, or have been taken away.

        `queued`: the names of the files in queue/.
        """
        if not self.waiting:
            return
        live = {name[: ident.LENGTH] for name in (*queued, *self.spool.names(State.RUNNING))}
        for job_id in self.waiting.parents - live:
            if parent := self.waiting.entry(job_id):
                self.release(parent)

    def ended(self, path: str) -> None:
        """A file has come into a folder of ended jobs."""
        entry = entries.parse(os.path.basename(path)) if self.waiting else None
        if entry and self.waiting.entry(entry.id):
            self.release(entry)

    def release(self, parent: Entry) -> None:
        """If the job has ended, give the jobs that waited for it their turn."""
        state = self.spool.state(parent)
        if dependencies.pending(state):
            return
        for child in self.waiting.ended(parent.id, state):
            self.backlog.put_back(child)
        self._wake()

    def elsewhere(self) -> bool:
        """Whether a job waits for one that another worker runs: it may be able to start soon."""
        if not self.waiting:
            return False
        running = {entry.id for entry in self.spool.entries(State.RUNNING)}
        return not self.waiting.parents.isdisjoint(running)
