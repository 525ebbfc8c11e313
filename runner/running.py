"""A running job in this worker's hands: from the claim, or from a worker that died, to where its outcome sends it."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from runner import clock, hold, outcome, process, profile
from runner.attempt import Attempt
from runner.collect import resets_at
from runner.entry import Entry
from runner.errors import MuxqError, Unready, told
from runner.hold import Hold
from runner.outcome import Cancelled, Done, Failed, Outcome, Requeued
from runner.plan import BACKOFF, Plan, plan, ready
from runner.prepare import prepare
from runner.progress import Turn
from runner.run import Run, following, runs
from runner.spool import Place, Spool
from runner.state import Move, State
from runner.terminal import Terminal, Tmux, find_tmux, socket_path
from runner.watch import Watcher

MOST = {"lost": 3, "throttle": 5}
"""How often a job may vanish with its worker, or be turned away by the service, before it counts as failed."""

LONGEST_PAUSE = 3600.0
"""Seconds: no pause before a further attempt grows beyond this, unless the job's own backoff is longer."""

PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""Errors of the disk that may pass."""

LAUNCH_AGAIN = 30.0
"""Seconds until a session that could not be opened is tried again."""

SETTLE_AGAIN = 5.0
"""Seconds until an outcome that could not be written is tried again."""

HOLD_SECONDS = {"usage-limit": 900.0, "throttle": 60.0}
"""How long the home is held where the agent gives no time."""


class Running:
    """One claimed job. Its lock is held from before the claim until its file is where it belongs and nothing runs."""

    def __init__(
        self, spool: Spool, entry: Entry, lock: FileLock, terminal: Terminal, watcher: Watcher, env: Mapping[str, str]
    ) -> None:
        self.spool, self.place, self.lock, self.env = spool, Place(State.RUNNING, entry), lock, env
        self._terminal, self._watcher = terminal, watcher
        self.attempt = self._attempt(self._last() or following(spool.home, entry.id))
        self.ended: Outcome | None = None
        self.since = time.monotonic()
        self.settling = False
        """Its outcome is known: what is left to do is short, and should be done to its end."""

    @property
    def id(self) -> str:
        return self.place.entry.id

    async def attend(self, made: tuple[Plan, str] | None = None) -> None:
        """See the job through one attempt: a new one with `made`, else the one that was under way.

        Cancelled (the worker leaves): the session lives on, the job stays running, the lock goes with the process.
        """
        try:
            ended = (None if made else self._judged()) or self.attempt.told or await self._try(made)
        except Unready as problem:
            ended = self._launch_again(str(problem))
        except MuxqError as problem:
            ended = Failed("bad-job", str(problem))
        except OSError as problem:
            ended = self._launch_again(told(problem, self.spool.home.path))
        except Exception:  # noqa: BLE001 - the job must end somewhere, and the worker go on
            ended = Failed("internal", f"muxq itself failed; the report is {self._report()}")
        self.settling = True
        ended = self._follow_up(ended)
        while True:
            try:
                return await self._settle(ended)
            except OSError as problem:
                self.spool.emit("worker.trouble", job=self.id, why=told(problem, self.spool.home.path))
                if problem.errno in PASSING:  # nothing is lost by waiting for room
                    await asyncio.sleep(SETTLE_AGAIN)
                else:
                    ended = self._without_a_trace(problem)

    def _launch_again(self, why: str) -> Outcome:
        return Requeued("launch", why, clock.stamp(time.time() + LAUNCH_AGAIN))

    async def _try(self, made: tuple[Plan, str] | None) -> Outcome:
        record = None if made else self.attempt.run.attempt()
        if record is None:
            chosen, binary = made or self._plan()
            before = (self._conversation() if chosen.resume else None) or chosen.adopted()
            await self._end_earlier()
            self.attempt = self._attempt(following(self.spool.home, self.id))
            record = prepare(self.spool.home, self.attempt.run, chosen, binary, before)
            await self.attempt.launch(chosen, record)
            return await self.attempt.watch(chosen.profile, record)
        if (told := self.attempt.run.outcome()) is not None:
            return outcome.load(told)
        self.attempt.take_over(await self._terminal.panes())
        return await self.attempt.watch(profile.load(record["agent"], self.spool.home.sessions), record)

    def _conversation(self) -> dict[str, Any] | None:
        """attempt.json of the last attempt, if its conversation is still there to go on with."""
        for run in reversed(runs(self.spool.home, self.id)):
            if record := run.attempt():
                told = run.outcome() or {}
                transcript = told.get("transcript") if told.get("reason") != "not-resumed" else None
                there = transcript and Path(transcript).is_file() and Path(record["workdir"]).is_dir()
                return record if there else None
        return None

    def _plan(self) -> tuple[Plan, str]:
        made = plan(self.spool.home, self.spool.read(self.place))
        return made, ready(made, self.env)

    def _attempt(self, run: Run) -> Attempt:
        return Attempt(self.spool.home, run, self._terminal, self._watcher, self.env)

    def _last(self) -> Run | None:
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
            await process.end(process.marked("MUXQ_ATTEMPT", run.session), grace=0.0)

    def _without_a_trace(self, problem: OSError) -> Outcome:
        """The result or the run folder was taken away while it was judged: begin a folder of which to say so."""
        self.attempt = self._attempt(following(self.spool.home, self.id))
        return Failed("internal", f"what the attempt left cannot be kept: {told(problem)}")

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
        if isinstance(ended, Failed) and ended.error in outcome.RETRYABLE:
            tried = sum(told.get("outcome") == outcome.Retry.kind for told in before)
            retries, backoff = self._retries()
            if tried < retries:
                pause = random.uniform(0, min(max(backoff, LONGEST_PAUSE), backoff * 2**tried))  # noqa: S311
                return outcome.Retry(ended.error, ended.message, clock.stamp(time.time() + pause))
        return ended

    def _never_resumed(self) -> bool:
        """Whether this attempt was to go on with a conversation, and did not come to its first word."""
        record = self.attempt.run.attempt() or {}
        return bool(record.get("resumes")) and self.attempt.progress.turn is Turn.NONE

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
            made = plan(self.spool.home, self.spool.read(self.place))
        except MuxqError:
            return 0, BACKOFF
        return made.retries, made.backoff

    async def _settle(self, ended: Outcome) -> None:
        """Keep what there is, move the job, end the session; back into the queue only once nothing of it runs."""
        run, home = self.attempt.run, self.spool.home
        if run.outcome() is None:
            await self.attempt.collect(ended)
        if ended.move is Move.REQUEUE:
            await self.attempt.close()
            self._hold(ended)  # a client that has ended has written all that it knows of a limit
            self._move(ended)
        else:
            self._move(ended)
            if not (isinstance(ended, Done) and await self.attempt.stay()):
                await self.attempt.close()
        cancel = home.requests / f"{self.id}.cancel"
        if self.place.state is State.QUEUED and cancel.exists():
            ended = Cancelled()
            self._move(ended)
        cancel.unlink(missing_ok=True)
        self.ended = ended
        self.spool.unlock(self.lock)

    def _move(self, ended: Outcome) -> None:
        try:
            self.place = self.spool.move(self.place, ended.move, why=getattr(ended, "message", ""))
        except FileNotFoundError:
            self.spool.emit("job.taken-away", job=self.id)

    def _hold(self, ended: Outcome) -> None:
        if not isinstance(ended, Requeued) or ended.reason not in outcome.HOLDING:
            return
        seconds = HOLD_SECONDS.get(ended.reason)
        until = None if seconds is None else resets_at(self.attempt.progress.transcript) or time.time() + seconds
        hold.put(self.spool.home, Hold(ended.message or ended.reason, ended.reason, until))
        self.spool.emit(
            "hold.put", kind=ended.reason, reason=ended.message, until=clock.stamp(until) if until else None
        )

    def _report(self) -> str:
        """Write the traceback beside the run's files; returns its path."""
        path = self.spool.home.path / f"crash-{self.id}.txt"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            traceback.print_exc(file=file)
        return str(path)


async def end_now(spool: Spool, entry: Entry, lock: FileLock) -> None:
    """Cancel a running job that has lost its worker; `lock` is its lock, held."""
    terminal = Tmux(socket_path(spool.home.path), find_tmux())
    with Watcher() as watcher:
        running = Running(spool, entry, lock, terminal, watcher, os.environ)
        running.attempt.tell(Cancelled())
        await running.attend()
    if not spool.held("worker-*"):
        await terminal.stop_if_empty()
