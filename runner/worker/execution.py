"""A running job in this worker's hands: from the claim, or from a worker that died, to where its outcome sends it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import os
import random
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

from runner.agents import closing, profile
from runner.agents.profile import Profile
from runner.agents.progress import Attention, Turn
from runner.attempts import worktree
from runner.attempts.attempt import Attempt
from runner.attempts.collect import resets_at
from runner.attempts.plan import BACKOFF, Plan, Ready
from runner.attempts.plan import plan as plan_of
from runner.attempts.prepare import prepare
from runner.errors import MuxqError, Unready, told
from runner.home import hold, pool
from runner.home.attempt_folder import AttemptFolder, following, runs
from runner.home.hold import Hold
from runner.home.spool import Place, Spool
from runner.jobs import outcome
from runner.jobs.entry import Entry
from runner.jobs.outcome import Cancelled, Done, Failed, Outcome, Requeued
from runner.jobs.state import Move, State
from runner.notify import notices
from runner.system import clock, files
from runner.system.locks import FolderLock, Lock
from runner.system.watch import Watcher
from runner.tmux.terminal import Terminal, of_home
from runner.views import job as view

MOST = {"lost": 3, "throttle": 20}
"""How often a job may vanish with its worker, or be turned away by the service, before it counts as failed."""

LONGEST_PAUSE = 3600.0
"""Seconds: no pause before a further attempt grows beyond this, unless the job's own backoff is longer."""

PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""Errors of the disk that may pass."""

LAUNCH_AGAIN = 30.0
"""Seconds until a session that could not be opened is tried again."""

TRIES = 3
"""How often it is tried to keep what a damaged run folder holds; then the job is moved without."""

SIGNALLED = 128
"""Exit statuses from here on say that a signal ended the program, which it caught."""

LOOK = 0.2
"""Seconds between two looks at whether a worktree that is being made is still wanted."""

SLOW = 30.0
"""Seconds after which it is told that a worktree is still being made."""

SETTLE_AGAIN = 5.0
"""Seconds until an outcome that could not be written is tried again."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A running job that is this process's, and the locks that say so to others."""

    entry: Entry
    lock: Lock
    workdir: FolderLock | None = None
    """Of a job that works alone in its folder."""
    ready: Ready | None = None
    """What begins a new attempt; None: one is under way."""

    def release(self) -> None:
        """Let go of every lock: the job is settled."""
        if self.workdir:
            self.workdir.release()
        self.lock.release()


class Execution:
    """One claimed job. Its locks are held from before the claim until its file is where it belongs and nothing runs."""

    def __init__(
        self, spool: Spool, claim: Claim, terminal: Terminal, watcher: Watcher, env: Mapping[str, str]
    ) -> None:
        self.spool, self.claim, self.place, self.env = spool, claim, Place(State.RUNNING, claim.entry), env
        self._terminal, self._watcher = terminal, watcher
        last = self._last()
        self._unseen = last is None
        """Nothing of it was ever begun, as far as its run folders say."""
        self.attempt = self._attempt(last or following(spool.home, claim.entry.id))
        self.ended: Outcome | None = None
        self.since = time.monotonic()
        self.settling = False
        """Its outcome is known: what is left to do is short, and should be done to its end."""

    @property
    def id(self) -> str:
        return self.place.entry.id

    async def attend(self) -> None:
        """See the job through one attempt: a new one where the claim is ready for it, else the one under way.

        Cancelled (the worker leaves): the session lives on, the job stays running, the locks go with the process.
        """
        ready = self.claim.ready
        try:
            ended = (None if ready else self._judged()) or self.attempt.told or await self._try(ready)
        except Unready as problem:
            ended = self.attempt.told or self._launch_again(str(problem))
        except MuxqError as problem:
            ended = self.attempt.told or Failed("bad-job", str(problem))
        except OSError as problem:
            ended = self._launch_again(told(problem, self.spool.home.path))
        except Exception:  # noqa: BLE001 - the job must end somewhere, and the worker go on
            ended = Failed("internal", f"muxq itself failed; the report is {self._report()}")
        self.settling = True
        with contextlib.suppress(OSError):
            ended = self._follow_up(ended)
        await self._settle_in_the_end(ended)

    async def _settle_in_the_end(self, ended: Outcome) -> None:
        """Settle, whatever the disk, tmux or a damaged run folder say: what may pass is waited for."""
        wrong = 0
        while True:
            try:
                if wrong > TRIES:  # not even a new folder can be made: the job ends without a record
                    await asyncio.sleep(SETTLE_AGAIN)
                elif wrong:  # the result or the run folder was damaged or taken away: begin a folder to say so in
                    self.attempt = self._attempt(following(self.spool.home, self.id))
                return await self._settle(ended, keep=wrong <= TRIES)
            except (OSError, Unready) as problem:
                why = told(problem, self.spool.home.path) if isinstance(problem, OSError) else str(problem)
                self.spool.emit("worker.trouble", job=self.id, why=why)
                may_pass = isinstance(problem, Unready) or problem.errno in PASSING
                if may_pass or self.place.state.final:  # nothing is lost by waiting
                    await asyncio.sleep(SETTLE_AGAIN)
                    continue
                ended = Failed("internal", f"what the attempt left cannot be kept: {why}")
            except Exception:  # noqa: BLE001 - what an agent leaves in its run folder can be anything
                ended = Failed("internal", f"muxq itself failed; the report is {self._report()}")
            wrong += 1

    def _launch_again(self, why: str) -> Outcome:
        return Requeued("launch", why, clock.stamp(time.time() + LAUNCH_AGAIN))

    async def _try(self, ready: Ready | None) -> Outcome:
        record = None if ready else self.attempt.run.attempt()
        if record is None:
            fresh = ready is not None and self._unseen
            ready = ready or self._ready()
            plan = ready.plan
            before = (self._conversation() if plan.resume else None) or plan.adopted()
            if not fresh:
                await self._end_earlier()
                self.attempt = self._attempt(following(self.spool.home, self.id))
            tree = await self._worktree(plan) if plan.job.worktree else None
            record = prepare(self.spool.home, self.attempt.run, plan, ready.binary, before, tree)
            await self.attempt.launch(ready, record)
            return await self.attempt.watch(plan.profile, record, ready.environment)
        if (told := self.attempt.run.outcome()) is not None:
            return outcome.load(told)
        self.attempt.take_over(await self._terminal.panes())
        agent = profile.load(record["agent"], self.spool.home.sessions)
        return await self.attempt.watch(agent, record, self._environment(agent))

    async def _worktree(self, chosen: Plan) -> dict[str, Any]:
        """The job's worktree. It is told of where git, or its turn at the repository, takes long.

        Given up, with BadInput or Unready, where the job is told to end; and where the worker leaves.
        """
        home, folder, unwanted = self.spool.home, chosen.workdir(self.spool.home.path), Event()
        words = (home, self.id, folder, chosen.job.base, chosen.branch, unwanted)
        making, slow = asyncio.create_task(asyncio.to_thread(worktree.make, *words)), time.monotonic() + SLOW
        try:
            while not (await asyncio.wait([making], timeout=LOOK))[0]:
                if self.attempt.told:
                    unwanted.set()
                if time.monotonic() > slow:
                    slow, why = math.inf, f"no worktree after {SLOW:g} s: git, or another job's git, works in {folder}"
                    self.spool.emit("worker.trouble", job=self.id, why=why)
            return making.result()
        finally:
            unwanted.set()

    def _environment(self, agent: Profile) -> Mapping[str, str]:
        """That of an agent that runs already, as far as it is still known."""
        with contextlib.suppress(MuxqError):
            return self._ready().environment
        return agent.environment(self.env)

    def _conversation(self) -> dict[str, Any] | None:
        """attempt.json of the last attempt that said a word, if its conversation is still there to go on with."""
        for run in reversed(runs(self.spool.home, self.id)):
            record, told = run.attempt(), run.outcome() or {}
            transcript = told.get("transcript")
            refused = told.get("reason") == "not-resumed"
            if record is None or (record.get("resumes") and not transcript and not refused):
                continue  # it was ended before its first word: what it was to go on with still waits
            there = transcript and not refused and Path(transcript).is_file() and Path(record["workdir"]).is_dir()
            return record if there else None
        return None

    def _ready(self) -> Ready:
        return self._plan().ready(self.env)

    def _plan(self) -> Plan:
        return plan_of(self.spool.home, self.spool.read(self.place))

    def _attempt(self, run: AttemptFolder) -> Attempt:
        return Attempt(self.spool.home, run, self._terminal, self._watcher, self.env, self._alert)

    def _alert(self, found: Attention) -> None:
        """Tell a person that the job waits for one."""
        self.spool.emit("job.attention", job=self.id, kind=found.kind, detail=found.detail)
        try:
            job = view.describe(self.spool, self.place)
        except (MuxqError, OSError):
            return  # it has just ended
        notices.of_attention(self.spool.home, job | {"attention": job["attention"] or view.attention(found)})

    def _last(self) -> AttemptFolder | None:
        """The attempt to go on with: one that was begun and not judged, else the youngest."""
        before = runs(self.spool.home, self.id)
        begun = [run for run in before if run.outcome() is None and run.attempt() is not None]
        return next(reversed(begun or before), None)

    def _judged(self) -> Outcome | None:
        """The outcome that a worker has written down and not lived to carry out: no later word overrules it."""
        told = self.attempt.run.outcome()
        ended = outcome.load(told) if told else None
        return ended if ended and ended.move is not Move.REQUEUE else None

    async def _end_earlier(self) -> None:
        """End what an attempt has left whose worker died while it closed: no two of them ever run side by side."""
        for run in runs(self.spool.home, self.id):
            await closing.end_strays(run)

    # -- settling ---------------------------------------------------------------------------------------------

    def _follow_up(self, ended: Outcome) -> Outcome:
        """What becomes of the job: an end to endless returns, another attempt where one is worth it."""
        if isinstance(ended, Failed) and ended.error == "agent-exited" and self._never_resumed():
            return Requeued("not-resumed", ended.message)
        before = self._since_a_person()
        if isinstance(ended, Requeued) and (limit := MOST.get(ended.reason)) is not None:
            count = sum(told.get("reason") == ended.reason for told in before)
            if count >= limit:
                error = "lost" if ended.reason == "lost" else "agent-error"
                return Failed(error, f"{ended.message} (for the {count + 1}th time)")
        if isinstance(ended, Requeued) and ended.reason == "throttle":
            return replace(ended, not_before=clock.stamp(self._throttled(ended.message)))
        if isinstance(ended, Failed) and ended.error in outcome.RETRYABLE:
            tried = sum(told.get("outcome") == outcome.Retry.kind for told in before)
            retries, backoff = self._retries()
            if tried < retries:
                pause = random.uniform(0, min(max(backoff, LONGEST_PAUSE), backoff * 2**tried))  # noqa: S311
                return outcome.Retry(ended.error, ended.message, clock.stamp(time.time() + pause))
        return ended

    def _throttled(self, why: str) -> float:
        """Hold the home; returns when this job may be tried again: after others, in case the fault is its own."""
        with contextlib.suppress(OSError):
            if put := pool.throttle(self.spool.home, why):
                self.spool.emit("hold.put", **put.as_dict())
        standing = hold.standing(self.spool.home)
        return max(time.time(), (standing and standing.until) or 0.0) + random.uniform(0, pool.BASE)  # noqa: S311

    def _never_resumed(self) -> bool:
        """Whether this attempt was to go on with a conversation, and gave up by itself before its first word."""
        record, progress = self.attempt.run.attempt() or {}, self.attempt.progress
        by_itself = progress.status is not None and progress.status < SIGNALLED
        return bool(record.get("resumes")) and by_itself and progress.turn is Turn.NONE

    def _since_a_person(self) -> list[dict[str, Any]]:
        """outcome.json of the attempts before this one, back to where a person last put the job into the queue."""
        found: list[dict[str, Any]] = []
        for run in reversed(runs(self.spool.home, self.id)):
            told = run.outcome() or {}
            if told.get("outcome") in (Failed.kind, Cancelled.kind) and run.number != self.attempt.run.number:
                break
            if run.number != self.attempt.run.number:
                found.append(told)
        return found

    def _retries(self) -> tuple[int, float]:
        try:
            plan = self._plan()
        except MuxqError:
            return 0, BACKOFF
        return plan.retries, plan.backoff

    async def _settle(self, ended: Outcome, *, keep: bool) -> None:
        """Keep what there is, move the job, end the session; back into the queue only once nothing of it runs."""
        run, home = self.attempt.run, self.spool.home
        if keep and run.outcome() is None:
            await self.attempt.collect(ended)
        here = self.place.state is State.RUNNING  # not so where this is tried again
        if here and ended.move is not Move.REQUEUE:
            self._move(ended)
        if not (isinstance(ended, Done) and await closing.leave_open(home, run, self._terminal)):
            await closing.close(home, run, self._terminal, exited=self.attempt.progress.exited)
        if here and ended.move is Move.REQUEUE:
            self._hold(ended)  # a client that has ended has written all that it knows of a limit
            self._move(ended)
        cancel = home.request(self.id)
        if self.place.state is State.QUEUED and cancel.exists():
            ended = Cancelled()
            self._move(ended)
        cancel.unlink(missing_ok=True)
        pool.tell_end(home, self.id)
        self.ended = ended
        self.claim.release()

    def _move(self, ended: Outcome) -> None:
        if self.place.state.final:
            return  # settled once already, but for its end
        try:
            self.place = notices.end(self.spool, self.place, ended.move, why=getattr(ended, "message", ""))
        except FileNotFoundError:
            self.spool.emit("job.taken-away", job=self.id)

    def _hold(self, ended: Outcome) -> None:
        if not isinstance(ended, Requeued):
            return
        home, why, put = self.spool.home, ended.message or ended.reason, None
        if ended.reason == "usage-limit":
            put = pool.limit(home, why, resets_at(self.attempt.progress.transcript))
        elif ended.reason == "account" and hold.put(home, account := Hold(why, "account")):
            put = account
        if put:
            self.spool.emit("hold.put", **put.as_dict())
            if put.until is None:
                notices.of_hold(home, why)

    def _report(self) -> str:
        """Write the traceback beside the run's files; returns its path."""
        path = self.spool.home.path / f"crash-{self.id}.txt"
        try:
            files.write_whole(path, traceback.format_exc().encode("utf-8", "replace"), tmp=self.spool.home.tmp)
        except OSError as problem:
            return f"lost: {told(problem)}"
        return str(path)


async def end_now(spool: Spool, claim: Claim) -> None:
    """Cancel a running job that has lost its worker."""
    terminal = of_home(spool.home.path)
    with Watcher() as watcher:
        running = Execution(spool, claim, terminal, watcher, os.environ)
        running.attempt.tell(Cancelled())
        await running.attend()
    if not spool.held("worker-*"):
        await terminal.stop_if_empty()
