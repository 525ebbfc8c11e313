"""The waiting jobs whose turn has come: can one start now? One that cannot waits where it belongs, or ends here."""

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
        """`wake` is called when jobs may start that have waited for others."""
        self.spool, self.home, self.backlog, self.env = spool, spool.home, backlog, env
        self.summary, self._wake = summary, wake
        self.waiting = Waiting()

    # -- one whose turn has come ------------------------------------------------------------------------------

    def examine(self, found: Entry, setup: Setup) -> Ready | None:
        """What starts a job now; None for one that cannot start, which is put where it belongs.

        `setup` may be shared with others that are taken in and examined at the same moment.
        """
        place = Place(State.QUEUED, found)
        try:
            if self._waits(place):
                return None
            known = setup.plans.pop(found.id, None)
            job = known.job if known else self.spool.read(place)
            if self._adopted(place, job) and self._waits(place):
                return None
            again, worth = self._again(found)
            due = max(job.not_before or 0.0, again)
            if due > time.time():
                self.backlog.postpone(found, due, worth_waiting=worth and due == again)
                return None
            ready = (known or plan(self.home, job, setup)).ready(self.env)
        except (Unready, BadSetup) as problem:
            if self.summary.blocked.put(found.id, str(problem)):
                self.spool.emit("job.blocked", job=found.id, why=str(problem))
            self.backlog.postpone(found, time.time() + self.summary.blocked.pause(), worth_waiting=False)
            return None
        except MuxqError as problem:
            self.summary.blocked.lift(found.id)
            self.backlog.forget(found)
            if self.spool.path(place).exists():
                self._refuse(place, Failed("bad-job", str(problem)))
            return None
        self.summary.blocked.lift(found.id)
        return ready

    def _again(self, found: Entry) -> tuple[float, bool]:
        """When a job that was tried may be tried again, in seconds since 1970 (0: now); and whether a drain waits."""
        before = folders_of(self.home, found.id)
        record = before[-1].outcome() if before else None
        if record is None or not isinstance(record.outcome, Retry | Requeued):
            return 0.0, False
        due, worth = record.outcome.not_before, isinstance(record.outcome, Retry) or record.outcome.reason in HOLDING
        return clock.seconds(due) if due else 0.0, worth

    def _refuse(self, place: Place, ended: Failed | Cancelled, why: str = "", parent: str | None = None) -> None:
        """A waiting job that can no longer run (its template or a file has gone) ends without a session.

        The outcome is there before the claim: who takes the job over, if this worker dies, carries it out.
        """
        lock = self.spool.lock(place.entry.id)
        if lock is None:
            return
        run = next_folder(self.home, place.entry.id)
        run.end(self.home, OutcomeRecord(ended, clock.stamp(), message=why, parent=parent))
        try:
            self.spool.move(place, Move.CLAIM)
            running = Place(State.RUNNING, place.entry)
            moved = notices.end(self.spool, running, ended.move, why=why)
            self.summary.count[moved.state] += 1
        except FileNotFoundError:  # a person has just cancelled it
            shutil.rmtree(run.path, ignore_errors=True)
        lock.release()
        self.release(place.entry)

    # -- those that are after others --------------------------------------------------------------------------

    def _waits(self, place: Place) -> bool:
        """Whether the job is after others that have not ended; one that can never start is ended here."""
        parents = dependencies.load(self.home, place.entry.id) or ()
        stands = {parent.entry.id: self.spool.state(parent.entry) for parent in parents}
        for parent in parents:
            if dependencies.blocks(parent, stands[parent.entry.id]):
                self._skip(place, parent, dependencies.complaint(parent, stands[parent.entry.id]))
                return True
        if open_ones := [parent for parent in parents if dependencies.pending(stands[parent.entry.id])]:
            self.waiting.put(place.entry, open_ones)
        return bool(open_ones)

    def _adopted(self, place: Place, job: Job) -> bool:
        """Whether the parents of a job were looked for only now: its record was lost, or it was moved here by hand."""
        if not job.after or dependencies.load(self.home, place.entry.id) is not None:
            return False
        dependencies.write(self.home, place.entry.id, find_parents(self.spool, job))
        return True

    def _skip(self, place: Place, parent: Parent, why: str) -> None:
        """A job that is after one that was not done fails without a session, or is cancelled if it says so."""
        said = None
        with contextlib.suppress(MuxqError):
            said = self.spool.read(place).on_parent_failure
        self.summary.blocked.lift(place.entry.id)
        self.backlog.forget(place.entry)
        if self.spool.path(place).exists():
            ended = Cancelled() if said == "skip" else Failed("parent-failed", why)
            self._refuse(place, ended, why, parent.entry.id)

    def find_ended(self, queued: Iterable[str]) -> None:
        """The jobs that are waited for and neither wait nor run have ended, or have been taken away."""
        if not self.waiting:
            return
        live = {name[: ident.LENGTH] for name in (*queued, *self.spool.names(State.RUNNING))}
        for job_id in self.waiting.parents - live:
            if parent := self.waiting.entry(job_id):
                self.release(parent)

    def ended(self, path: str) -> None:
        """A job's file came to where ended ones lie."""
        found = entries.parse(os.path.basename(path)) if self.waiting else None
        if found and self.waiting.entry(found.id):
            self.release(found)

    def release(self, parent: Entry) -> None:
        """If the job has ended, have those looked at that have waited for it."""
        stands = self.spool.state(parent)
        if dependencies.pending(stands):
            return
        for child in self.waiting.ended(parent.id, stands):
            self.backlog.put_back(child)
        self._wake()

    def elsewhere(self) -> bool:
        """Whether jobs wait for one that another worker is running: it may soon be their turn."""
        if not self.waiting:
            return False
        running = {entry.id for entry in self.spool.entries(State.RUNNING)}
        return not self.waiting.parents.isdisjoint(running)
