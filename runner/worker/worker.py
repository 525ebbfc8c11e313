"""The worker: takes in drops, takes over what has lost its worker, claims, and runs attempts side by side.

One process, one event loop, no fixed sleeps: it wakes for a file event, the end of an attempt, a signal, or the
nearest time something is due. The slow look (POLL) finds what no event reported.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from runner.attempts.plan import Setup
from runner.errors import MuxqError, describe_error
from runner.home import config
from runner.home.layout import Home
from runner.home.spool import Listener, Spool
from runner.jobs import entry as entries
from runner.jobs.outcome import Cancelled, Requeued
from runner.jobs.state import FINAL, State
from runner.notify import notices, sender
from runner.system import files
from runner.system.watch import OnChange, Watcher
from runner.tmux.terminal import Terminal
from runner.worker.backlog import Backlog
from runner.worker.drop_buffer import DropBuffer
from runner.worker.ending import Course, Situation, Summary, course
from runner.worker.execution import Claim, Execution
from runner.worker.gate import Gate
from runner.worker.readiness import Candidates
from runner.worker.starter import Starter
from runner.worker.sweeper import Sweeper
from runner.worker.window import Window

if TYPE_CHECKING:
    from runner.schedules.recurring import Recurring

POLL = 5.0
"""Seconds between two slow looks."""

LEFT_OVER = 86400.0
"""Seconds after which a file in tmp/ belongs to a writer that was killed."""

SIGNING = 5.0
"""Seconds that others may look at the lock of a worker that comes, to see whether it is a dead one's."""

SETTLING = 10.0
"""Seconds that a worker which leaves gives to attempts whose outcome is known already."""


class Worker:
    def __init__(
        self,
        home: Home,
        terminal: Terminal,
        *,
        jobs: int | None = 1,
        drain: bool = False,
        on_stop: str = "leave",
        window: Window | None = None,
        env: Mapping[str, str] | None = None,
        listener: Listener | None = None,
    ) -> None:
        """`jobs`: attempts side by side, None for as many as the machine carries. `on_stop`: see config.ON_STOP."""
        self.home, self.terminal = home, terminal
        self.spool = Spool(home, listener)
        self.jobs, self.drain, self.on_stop = jobs, drain, on_stop
        self.env = os.environ if env is None else env
        self.summary = Summary()
        self._recurring: Recurring | None = None
        self.running: dict[str, Execution] = {}
        """By job id."""
        self._tasks: dict[asyncio.Task[None], Execution] = {}
        self.backlog = Backlog()
        self.drops = DropBuffer(self.spool, self.backlog)
        self.candidates = Candidates(self.spool, self.backlog, self.env, self.summary, self._wake)
        self.gate = Gate(self.spool, jobs, window, self.running, self.summary)
        self.starter = Starter(self.spool, self.gate, self.backlog, self.candidates, self.running, self._begin)
        self._poll_due = 0.0
        self._looked = False
        """There was a slow look since the last job began, or was dropped."""
        self._stepped = 0.0
        """When the last step began, in seconds since 1970."""
        self._troubled_until = 0.0
        self._broken: BaseException | None = None
        self._woken = asyncio.Event()

    @property
    def stopping(self) -> bool:
        """Told to stop."""
        return self.gate.stopping

    def stop(self) -> None:
        """Start nothing more; what becomes of running attempts `on_stop` says. A second call: leave them and go."""
        if self.stopping:
            self.on_stop = "leave"
            for task in list(self._tasks):
                task.cancel()
        self.gate.stopping = self.summary.stopped = True
        self._wake()

    # -- the loop ---------------------------------------------------------------------------------------------

    async def run(self) -> Summary:
        """Sign in, work, end the attempts; raises what was wrong with muxq itself."""
        with contextlib.ExitStack() as resources:
            self._open(resources)
            await self.terminal.start()
            self.spool.emit("worker.started", pid=os.getpid(), jobs=self.jobs)
            try:
                await self._work()
                await self._end_attempts()
            finally:
                self._notify(at_once=True)
            self.spool.emit("worker.stopped", pid=os.getpid())
        await self.terminal.stop_if_empty()
        return self.summary

    def _open(self, resources: contextlib.ExitStack) -> None:
        """Read the settings, watch the folders where something may happen, and hold the lock of a living worker."""
        settings = self.gate.settings = config.load(self.home.config)
        watcher = self._watcher = resources.enter_context(Watcher(enabled=settings.watch))
        self.sweeper = Sweeper(self.spool, self.terminal, self.running)
        folders: dict[Path, OnChange] = {self.home.queue: self._on_queue, self.home.requests: self._on_request}
        folders |= {self.home.folders[state]: self.candidates.ended for state in FINAL}
        for folder, on_change in folders.items():
            resources.enter_context(watcher.watch(folder, on_change))
        gates = {self.home.hold.name, self.home.pool.name}
        resources.enter_context(watcher.watch(self.home.path, self._on_gate, names=gates))
        resources.enter_context(self._sign())

    @contextlib.contextmanager
    def _sign(self) -> Iterator[None]:
        """Hold a lock by which others see that a worker is here."""
        self.spool.held("worker-*")  # takes away what the dead left
        files.sweep(self.home.tmp, LEFT_OVER)
        lock = self.spool.lock(f"worker-{os.getpid()}", wait=SIGNING)  # another that signs looks at it for a moment
        try:
            yield
        finally:
            if lock:
                lock.release()

    async def _work(self) -> None:
        """Sleep until something is due, then take a step; again, until the worker may end."""
        while not self._may_end():
            await self._sleep()
            await self._step()

    async def _step(self) -> None:
        """Look around, take in drops, claim. Where the disk refuses, all waits until the next slow look."""
        self._woken.clear()
        self._stepped = time.time()
        if time.monotonic() < self._troubled_until or (self.stopping and self.on_stop != "finish"):
            return
        setup = Setup(self.home)
        try:
            await self._look_around()
            await self._take_in(setup)
            self._claim(setup)
        except OSError as problem:
            self._troubled_until = self._poll_due = time.monotonic() + POLL
            why = describe_error(problem, self.home.path)
            self.spool.emit("worker.trouble", why=f"{why}; nothing new starts meanwhile")

    async def _take_in(self, setup: Setup) -> None:
        if time.monotonic() >= self.drops.due and await self.drops.take_in(setup):
            self._looked = False

    def _claim(self, setup: Setup) -> None:
        if self.starter.claim(setup):
            self._wake()

    # -- waking -----------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        self._woken.set()

    def _on_queue(self, path: str) -> None:
        name = os.path.basename(path)
        entry = entries.parse(name)
        if entry is None:
            self.drops.drop(name)
        elif not self.backlog.arrived(entry):
            return  # our own move of it
        self._wake()

    def _on_request(self, _path: str = "") -> None:
        for job_id, running in self.running.items():
            if self.home.request(job_id).exists():
                running.attempt.decide(Cancelled())

    def _on_gate(self, _path: str) -> None:
        self.gate.forget_turn()
        self._wake()

    async def _sleep(self) -> None:
        """Until something happens or is due. Never longer than to the next slow look, whatever the clock does.

        What was due already when the last step began, and is still, waits for room or the end of a hold, which no time
        tells.
        """
        await asyncio.sleep(0)  # the event's wait() below does not let the others run when it is set
        dates = [moment for moment in (self.backlog.due(), *self.gate.due()) if moment and moment > self._stepped]
        due = min(self._poll_due, self.drops.due, *(time.monotonic() + moment - time.time() for moment in dates))
        due = max(due, self._troubled_until)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, due - time.monotonic())):
                await self._woken.wait()

    # -- looking ----------------------------------------------------------------------------------------------

    async def _look_around(self) -> None:
        """The slow look: settings, schedules, batches, the queue, then what tmux and dead workers' jobs are like."""
        if time.monotonic() < self._poll_due:
            return
        self._poll_due = time.monotonic() + POLL
        if self.starter.outside:
            self.starter.let_in()
        self.gate.read_settings()
        self._add_scheduled()
        self._complete_batches()
        self._notify()
        self._look_into_the_queue()
        await self._look_at_sessions()

    def _add_scheduled(self) -> None:
        if not any(self.home.schedules.glob("*.json")):
            return
        from runner.schedules.recurring import Recurring  # most homes have no schedule

        self._recurring = self._recurring or Recurring(self.spool)
        for entry in self._recurring.look():
            self.backlog.remember(entry)

    def _complete_batches(self) -> None:
        if not any(self.home.batches.glob("*")):
            return
        from runner.intake import batch  # most homes have no batch

        batch.complete(self.spool)
        self._notify_of_batches()

    def _notify_of_batches(self) -> None:
        try:
            notices.of_batches(self.spool)
        except OSError as problem:
            self.spool.emit("worker.trouble", why=describe_error(problem, self.home.path))

    def _notify(self, *, at_once: bool = False) -> None:
        """Send what there was no room to send; `at_once`: nobody does it later."""
        if sender.waiting:
            sender.go_on(at_once=at_once)

    def _look_into_the_queue(self) -> None:
        names = self.spool.names(State.QUEUED)
        self.candidates.find_ended(names)
        for name in self.backlog.unknown(names):
            if entry := entries.parse(name):
                self.backlog.remember(entry)
            else:
                self.drops.drop(name)
        self._looked = True

    async def _look_at_sessions(self) -> None:
        """Show every attempt what tmux says, then see to the jobs and sessions that dead workers left."""
        try:
            asked, panes = time.monotonic(), await self.terminal.panes()
        except MuxqError as problem:
            self.spool.emit("worker.trouble", why=str(problem))
            return
        for running in self.running.values():
            running.attempt.look(panes, asked)
            running.attempt.wake()
        self._on_request()
        await self.sweeper.close(panes)
        self.sweeper.forget_requests()
        self.starter.take_over()

    # -- attempts ---------------------------------------------------------------------------------------------

    def _begin(self, claim: Claim) -> None:
        running = Execution(self.spool, claim, self.terminal, self._watcher, self.env)
        self.running[running.id] = running
        self._looked = False
        self.backlog.hold_on_to(claim.entry)
        task = asyncio.get_running_loop().create_task(running.attend())
        self._tasks[task] = running
        task.add_done_callback(self._ended)
        self._on_request()

    def _ended(self, task: asyncio.Task[None]) -> None:
        running = self._tasks.pop(task)
        del self.running[running.id]
        if self.starter.outside:
            self.starter.let_in()
        self._wake()
        if task.cancelled():
            return
        if (problem := task.exception()) is not None:
            self._broken = problem
            return
        if self.starter.crowded:
            self._poll_due = 0.0
        self._account_for(running)

    def _account_for(self, running: Execution) -> None:
        """The job of an attempt that ended is over, or waits again."""
        entry, ended = running.place.entry, running.ended
        self.backlog.let_go(entry)
        if isinstance(ended, Requeued) and ended.reason == "launch":
            self.summary.blocked.put(running.id, ended.message)
        if ended is not None and running.place.state.final:
            self.backlog.forget(entry)
            self.summary.count[running.place.state] += 1
            self.candidates.release(entry)
        elif ended is not None:
            self.backlog.arrived(entry)

    # -- ending -----------------------------------------------------------------------------------------------

    def _may_end(self) -> bool:
        """See how things stand; carries out what follows besides the end."""
        if self._broken:
            raise self._broken
        over = self.gate.window is not None and self.gate.over()
        if self.running and over:
            self.gate.stopping = True
        now = self._situation(closed=over or bool(self.summary.closed))
        way = course(now)
        if way is Course.END:
            self.summary.hold = now.hold
        elif way is Course.LOOK:
            self._poll_due = 0.0
        return way is Course.END

    def _situation(self, *, closed: bool) -> Situation:
        """What the end depends on. Unless the worker is idle, what costs a look at the disk is left out."""
        idle = self.drain and not (self.running or self.stopping or closed)
        startable = idle and (self.backlog.left(time.time()) or bool(self.starter.outside))
        hold = self.gate.held() if startable else None
        return Situation(
            running=bool(self.running),
            stopping=self.stopping,
            finishes=self.on_stop == "finish",
            closed=closed,
            drain=self.drain,
            crowded=self.starter.crowded,
            dropping=idle and self.drops.left(),
            startable=startable,
            hold=hold if hold and hold.until is None else None,
            looked=self._looked,
            elsewhere=idle and self._looked and not startable and self.candidates.elsewhere(),
        )

    async def _end_attempts(self) -> None:
        """What `on_stop` says: leave the sessions to the next worker, or end them and put their jobs back."""
        if self.on_stop == "kill":
            for running in self.running.values():
                running.attempt.decide(Requeued("stopped", "the worker was told to end its sessions"))
            await asyncio.gather(*self._tasks, return_exceptions=True)  # stop() once more cancels them all
        if settling := [task for task, running in self._tasks.items() if running.settling]:
            await asyncio.wait(settling, timeout=SETTLING)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._broken:
            raise self._broken
