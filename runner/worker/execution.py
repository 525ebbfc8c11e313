"""A running job of this worker: from its claim or its take-over to the folder that its outcome moves it to."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import random
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from runner.agents import closing, profile
from runner.agents.attention import Attention
from runner.agents.profile import Profile
from runner.agents.progress import Turn
from runner.attempts import worktree
from runner.attempts.attempt import Attempt
from runner.attempts.plan import BACKOFF, Conversation, Plan, Ready
from runner.attempts.plan import plan as plan_of
from runner.attempts.worktree import Worktree
from runner.errors import MuxqError, Unready, describe_error
from runner.home import hold, pool
from runner.home.attempt_folder import AttemptFolder, folders_of, next_folder
from runner.home.hold import Hold
from runner.home.spool import Place, Spool
from runner.jobs.entry import Entry
from runner.jobs.outcome import RETRYABLE, Cancelled, Failed, Outcome, Requeued, Retry
from runner.jobs.state import Move, State
from runner.notify import notices
from runner.system import clock, files
from runner.system.locks import FolderLock, Lock
from runner.system.text import shorten
from runner.system.watch import Watcher
from runner.tmux.terminal import Terminal, of_home
from runner.views import job as view
from runner.worker import settling
from runner.worker.settling import STEPS, STEPS_ANEW, STEPS_UNRECORDED, History, Recourse, Step

LAUNCH_AGAIN = 30.0
"""Seconds until the next try to open a session."""

SIGNALLED = 128
"""Exit statuses from here on mean that the program caught a signal and ended."""

LOOK = 0.2
"""Seconds between two checks whether a worktree that is being made is still wanted."""

SLOW = 30.0
"""Seconds after which it is reported that a worktree is still being made."""

SETTLE_AGAIN = 5.0
"""Seconds until an outcome that could not be written is tried again."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A running job that is this process's, and the locks that say so to others."""

    entry: Entry
    lock: Lock
    workdir: FolderLock | None = None
    """Of a job that works alone in its folder."""
    plan: Plan | None = None
    """None where it is not known, or cannot be made any more."""
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
        """No attempt of it was begun before, as far as its folders say."""
        self.attempt = self._attempt(last or next_folder(spool.home, claim.entry.id))
        self.ended: Outcome | None = None
        self.since = time.monotonic()
        self.settling = False
        """Its outcome is known: the rest is short and should be completed."""

    @property
    def id(self) -> str:
        return self.place.entry.id

    async def attend(self) -> None:
        """See the job through one attempt: a new one where the claim is ready for it, else the one under way.

        Cancelled (the worker leaves): the session lives on, the job stays running, the locks go with the process.
        """
        ready = self.claim.ready
        try:
            ended = (None if ready else self._judged()) or self.attempt.decision or await self._try(ready)
        except Unready as problem:
            ended = self.attempt.decision or self._launch_again(str(problem))
        except MuxqError as problem:
            ended = self.attempt.decision or Failed("bad-job", str(problem))
        except OSError as problem:
            ended = self._launch_again(describe_error(problem, self.spool.home.path))
        except Exception:  # noqa: BLE001 - the job must end somewhere, and the worker go on
            ended = Failed("internal", f"muxq itself failed; the report is {self._report()}")
        self.settling = True
        with contextlib.suppress(OSError):
            ended = self._follow_up(ended)
        await self._settle(ended)

    def _launch_again(self, why: str) -> Outcome:
        return Requeued("launch", why, clock.stamp(time.time() + LAUNCH_AGAIN))

    async def _try(self, ready: Ready | None) -> Outcome:
        record = None if ready else self.attempt.folder.attempt()
        if record is None:
            fresh = ready is not None and self._unseen
            ready = ready or self._ready()
            plan = ready.plan
            conversation = (self._conversation() if plan.resume else None) or plan.conversation()
            if not fresh:
                await self._end_earlier()
                self.attempt = self._attempt(next_folder(self.spool.home, self.id))
            tree = await self._worktree(plan) if plan.job.worktree else None
            self.attempt.prepare(ready, conversation, tree)
            await self.attempt.launch(ready)
            return await self.attempt.watch(plan.profile, ready.environment)
        if (ended := self.attempt.folder.outcome()) is not None:
            return ended.outcome
        self.attempt.take_over(record, await self._terminal.panes())
        agent = profile.load(record.agent, self.spool.home.sessions)
        return await self.attempt.watch(agent, self._environment(agent))

    async def _worktree(self, chosen: Plan) -> Worktree:
        """The job's worktree. It is reported where git, or the lock of the repository, takes long.

        Given up, with BadInput or Unready, where the job is to end; and where the worker leaves.
        """
        home, folder, unwanted = self.spool.home, chosen.workdir(self.spool.home.path), Event()
        words = (home, self.id, folder, chosen.job.base, chosen.branch, unwanted)
        making, slow = asyncio.create_task(asyncio.to_thread(worktree.make, *words)), time.monotonic() + SLOW
        try:
            while not (await asyncio.wait([making], timeout=LOOK))[0]:
                if self.attempt.decision:
                    unwanted.set()
                if time.monotonic() > slow:
                    slow, why = math.inf, f"no worktree after {SLOW:g} s: git, or another job's git, works in {folder}"
                    self.spool.emit("worker.trouble", job=self.id, why=why)
            return making.result()
        finally:
            unwanted.set()

    def _environment(self, agent: Profile) -> Mapping[str, str]:
        """The environment of an agent that runs already, as far as it is still known."""
        with contextlib.suppress(MuxqError):
            return self._ready().environment
        return agent.environment(self.env)

    def _conversation(self) -> Conversation | None:
        """The conversation of the last attempt in which the agent wrote a word, if it can still be resumed."""
        for run in reversed(folders_of(self.spool.home, self.id)):
            record, ended = run.attempt(), run.outcome()
            transcript = ended.transcript if ended else None
            refused = ended is not None and _reason(ended.outcome) == "not-resumed"
            if record is None or (record.resumes and not transcript and not refused):
                continue  # it was ended before its first word: the earlier conversation is still the last
            exists = transcript and Path(transcript).is_file() and Path(record.workdir).is_dir()
            return Conversation(record.session_id, Path(record.workdir), record) if exists and not refused else None
        return None

    def _ready(self) -> Ready:
        return self._plan().ready(self.env)

    def _plan(self) -> Plan:
        return self.claim.plan or plan_of(self.spool.home, self.spool.read(self.place))

    def _attempt(self, run: AttemptFolder) -> Attempt:
        return Attempt(self.spool.home, run, self._terminal, self._watcher, self._alert)

    def _alert(self, attention: Attention) -> None:
        """Notify a person that the job waits for one."""
        self.spool.emit("job.attention", job=self.id, kind=attention.kind, detail=shorten(attention.detail, 100))
        try:
            job = view.describe(self.spool, self.place)
        except (MuxqError, OSError):
            return  # it has just ended
        notices.of_attention(self.spool.home, job | {"attention": job["attention"] or view.attention(attention)})

    def _last(self) -> AttemptFolder | None:
        """The attempt to go on with: one that was begun and not judged, else the youngest."""
        before = folders_of(self.spool.home, self.id)
        begun = [run for run in before if run.outcome() is None and run.attempt() is not None]
        return next(reversed(begun or before), None)

    def _judged(self) -> Outcome | None:
        """The outcome that a dead worker has recorded and not carried out: nothing overrules it."""
        record = self.attempt.folder.outcome()
        return record.outcome if record and record.outcome.move is not Move.REQUEUE else None

    async def _end_earlier(self) -> None:
        """End what is left of earlier attempts whose worker died: two of a job never run side by side."""
        for run in folders_of(self.spool.home, self.id):
            await closing.end_strays(run)

    # -- settling ---------------------------------------------------------------------------------------------

    def _follow_up(self, ended: Outcome) -> Outcome:
        """What becomes of the job; a service that turns requests away puts the home on hold."""
        if not isinstance(ended, Failed | Requeued):
            return ended
        ended = settling.follow_up(ended, self._history(ended), now=time.time(), chance=_chance())
        if isinstance(ended, Requeued) and ended.reason == "throttle":
            return replace(ended, not_before=clock.stamp(self._throttled(ended.message)))
        return ended

    def _history(self, ended: Failed | Requeued) -> History:
        """What happened before, as far as it matters to this outcome."""
        earlier = self._since_a_person()
        if isinstance(ended, Requeued):
            return History(returns=sum(_reason(outcome) == ended.reason for outcome in earlier))
        tries = sum(isinstance(outcome, Retry) for outcome in earlier)
        retries, backoff = self._retries() if ended.error in RETRYABLE else (0, BACKOFF)
        return History(tries=tries, retries=retries, backoff=backoff, never_resumed=self._never_resumed())

    def _throttled(self, why: str) -> float:
        """Hold the home; returns when this job may be tried again: later than others, as it may be the cause."""
        with contextlib.suppress(OSError):
            if put := pool.throttle(self.spool.home, why):
                self.spool.emit("hold.put", **put.as_dict())
        standing = hold.standing(self.spool.home)
        return max(time.time(), (standing and standing.until) or 0.0) + _chance() * pool.BASE

    def _never_resumed(self) -> bool:
        """Whether this attempt was to resume a conversation, and ended by itself before its first word."""
        record, progress = self.attempt.folder.attempt(), self.attempt.progress
        by_itself = progress.status is not None and progress.status < SIGNALLED
        return record is not None and bool(record.resumes) and by_itself and progress.turn is Turn.NONE

    def _since_a_person(self) -> list[Outcome]:
        """The outcomes of the attempts before this one, back to where a person last put the job into the queue."""
        outcomes: list[Outcome] = []
        for run in reversed(folders_of(self.spool.home, self.id)):
            record = run.outcome() if run.number != self.attempt.folder.number else None
            if record and isinstance(record.outcome, Failed | Cancelled):
                break
            if record:
                outcomes.append(record.outcome)
        return outcomes

    def _retries(self) -> tuple[int, float]:
        try:
            plan = self._plan()
        except MuxqError:
            return 0, BACKOFF
        return plan.retries, plan.backoff

    async def _settle(self, ended: Outcome) -> None:
        """Take the steps of the table, whatever the disk, tmux or a damaged attempt folder say."""
        steps, failures = list(STEPS[ended.move]), 0
        while steps:
            try:
                ended = await self._take(steps[0], ended)
                del steps[0]
                continue
            except Exception as problem:  # noqa: BLE001 - what an agent leaves in its folder can be anything
                way = settling.recourse(problem, final=self.place.state.final, failures=failures)
                why = self._words_of(problem)
            if way is not Recourse.ANEW:
                await asyncio.sleep(SETTLE_AGAIN)
            if way is not Recourse.WAIT:
                failures += 1
                ended = Failed("internal", why)
                steps = list(STEPS_ANEW if way is Recourse.ANEW else STEPS_UNRECORDED)
        self.ended = ended

    async def _take(self, step: Step, ended: Outcome) -> Outcome:
        """Take one step; returns the outcome, which a person may have changed."""
        match step:
            case Step.ANEW:
                self.attempt = self._attempt(next_folder(self.spool.home, self.id))
            case Step.RECORD:
                await self._record(ended)
            case Step.MOVE:
                self._move(ended)
            case Step.LEAVE:
                await self._leave()
            case Step.CLOSE:
                await self._close()
            case Step.HOLD:
                self._hold(ended)
            case Step.CANCEL:
                return self._cancel(ended)
            case Step.RELEASE:
                self._release()
        return ended

    async def _record(self, ended: Outcome) -> None:
        if self.attempt.folder.outcome() is None:
            await self.attempt.collect(ended)

    def _move(self, ended: Outcome, *, of: State = State.RUNNING) -> None:
        if self.place.state is not of:
            return  # an earlier try has moved it
        try:
            self.place = notices.end(self.spool, self.place, ended.move, why=getattr(ended, "message", ""))
        except FileNotFoundError:
            self.spool.emit("job.taken-away", job=self.id)

    async def _leave(self) -> None:
        if not await closing.leave_open(self.spool.home, self.attempt.folder, self._terminal):
            await self._close()

    async def _close(self) -> None:
        await self.attempt.close()

    def _cancel(self, ended: Outcome) -> Outcome:
        """A request that came after the attempt's end: the job waits again, and is cancelled there."""
        if self.place.state is not State.QUEUED or not self.spool.home.request(self.id).exists():
            return ended
        self._move(cancelled := Cancelled(), of=State.QUEUED)
        return cancelled

    def _release(self) -> None:
        self.spool.home.request(self.id).unlink(missing_ok=True)
        pool.tell_end(self.spool.home, self.id)
        self.claim.release()

    def _hold(self, ended: Outcome) -> None:
        if not isinstance(ended, Requeued):
            return
        home, why, put = self.spool.home, ended.message or ended.reason, None
        if ended.reason == "usage-limit":
            put = pool.limit(home, why, self.attempt.agent.read_reset(self.attempt.progress.transcript))
        elif ended.reason == "account" and hold.put(home, account := Hold(why, "account")):
            put = account
        if put:
            self.spool.emit("hold.put", **put.as_dict())
            if put.until is None:
                notices.of_hold(home, why)

    def _words_of(self, problem: Exception) -> str:
        """What went wrong as a step was taken: an event of the home, or where it is our mistake a report."""
        if not isinstance(problem, OSError | Unready):
            return f"muxq itself failed; the report is {self._report()}"
        why = describe_error(problem, self.spool.home.path) if isinstance(problem, OSError) else str(problem)
        self.spool.emit("worker.trouble", job=self.id, why=why)
        return f"what the attempt left cannot be kept: {why}"

    def _report(self) -> str:
        """Write the traceback beside the run's files; returns its path."""
        path = self.spool.home.path / f"crash-{self.id}.txt"
        try:
            files.write_whole(path, traceback.format_exc().encode("utf-8", "replace"), tmp=self.spool.home.tmp)
        except OSError as problem:
            return f"lost: {describe_error(problem)}"
        return str(path)


def _chance() -> float:
    return random.random()  # noqa: S311 - nothing depends on its being hard to guess


def _reason(ended: Outcome) -> str | None:
    """Why a job went back into the queue without a fault of its own."""
    return ended.reason if isinstance(ended, Requeued) else None


async def end_now(spool: Spool, claim: Claim) -> None:
    """Cancel a running job that has lost its worker."""
    terminal = of_home(spool.home.path)
    with Watcher() as watcher:
        running = Execution(spool, claim, terminal, watcher, os.environ)
        running.attempt.decide(Cancelled())
        await running.attend()
    if not spool.held("worker-*"):
        await terminal.stop_if_empty()
