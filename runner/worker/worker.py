"""The worker: takes in drops, takes over what has lost its worker, claims, and runs attempts side by side.

One process, one event loop, no fixed sleeps: it wakes for a file event, the end of an attempt, a signal, or the
nearest time something is due. The slow look (POLL) finds what no event told of.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator, Mapping

from runner.attempts.plan import Setup
from runner.errors import MuxqError, describe_error
from runner.home import config
from runner.home.layout import Home
from runner.home.spool import Listener, Spool
from runner.intake import batch
from runner.jobs import entry as entries
from runner.jobs.outcome import Cancelled, Requeued
from runner.jobs.state import State
from runner.notify import notices, sender
from runner.schedules.recurring import Recurring
from runner.system import files
from runner.system.watch import Watcher
from runner.tmux.terminal import Terminal
from runner.worker.backlog import Backlog
from runner.worker.blocked import Summary
from runner.worker.drop_buffer import DropBuffer
from runner.worker.execution import Claim, Execution
from runner.worker.gate import Gate
from runner.worker.readiness import Candidates
from runner.worker.starter import Starter
from runner.worker.sweeper import Sweeper
from runner.worker.window import Window

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
        self.home, self.terminal = home, terminal
        self.spool = Spool(home, listener)
        self.jobs, self.drain, self.on_stop = jobs, drain, on_stop
        self.window = window or Window()
        self.env = os.environ if env is None else env
        self.summary = Summary()
        self._recurring = Recurring(self.spool)
        self.running: dict[str, Execution] = {}
        """By job id."""
        self._tasks: dict[asyncio.Task[None], Execution] = {}
        self.backlog = Backlog()
        self._intake = DropBuffer(self.spool, self.backlog)
        self.candidates = Candidates(self.spool, self.backlog, self.env, self.summary, self._wake)
        self._gate = Gate(self.spool, jobs, self.window, self.running, self.summary)
        self._starter = Starter(self.spool, self._gate, self.backlog, self.candidates, self.running, self._begin)
        self._poll_due = 0.0
        self._looked = False
        """There was a slow look since the last job began, or was dropped."""
        self._troubled_until = 0.0
        self._broken: BaseException | None = None
        self._woken = asyncio.Event()

    async def run(self) -> Summary:
        """Work until told to stop or, when draining, until nothing is left that can be done now."""
        with contextlib.ExitStack() as open_things:
            self._gate.settings = config.load(self.home.config)
            self._watcher = open_things.enter_context(Watcher(enabled=self._gate.settings.watch))
            self._leftovers = Sweeper(self.spool, self.terminal, self.running)
            open_things.enter_context(self._watcher.watch(self.home.queue, self._on_queue))
            open_things.enter_context(self._watcher.watch(self.home.requests, self._on_request))
            open_things.enter_context(self._watcher.watch(self.home.path, self._on_home))
            for state in (state for state in State if state.final):
                open_things.enter_context(self._watcher.watch(self.home.folder(state), self.candidates.ended))
            open_things.enter_context(self._sign())
            await self.terminal.start()
            self.spool.emit("worker.started", pid=os.getpid(), jobs=self.jobs)
            try:
                while not self._finished():
                    self._woken.clear()
                    looked = time.time()
                    await self._step()
                    if not self._finished():
                        await self._sleep(looked)
                await self._end_attempts()
            finally:
                self._tell_news(at_once=True)
            self.spool.emit("worker.stopped", pid=os.getpid())
        await self.terminal.stop_if_empty()
        return self.summary

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

    @property
    def stopping(self) -> bool:
        """Told to stop."""
        return self._gate.stopping

    def stop(self) -> None:
        """Start nothing more; what becomes of running attempts `on_stop` says. Said twice: leave them and go."""
        if self.stopping:
            self.on_stop = "leave"
            for task in list(self._tasks):
                task.cancel()
        self._gate.stopping = self.summary.stopped = True
        self._wake()

    async def _step(self) -> None:
        """Look around, take in, claim; where the disk says no, say so and try again at the next slow look."""
        if time.monotonic() < self._troubled_until:
            return
        setup = Setup(self.home)
        try:
            await self._look_around()
            if await self._intake.take_in(setup):
                self._looked = False
            if self._starter.claim(setup):
                self._wake()
        except OSError as problem:
            self._troubled_until = self._poll_due = time.monotonic() + POLL
            why = describe_error(problem, self.home.path)
            self.spool.emit("worker.trouble", why=f"{why}; nothing new starts meanwhile")

    # -- waking -----------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        self._woken.set()

    def _on_queue(self, path: str) -> None:
        name = os.path.basename(path)
        if found := entries.parse(name):
            self.backlog.arrived(found)
        else:
            self._intake.drop(name)
        self._wake()

    def _on_request(self, _path: str) -> None:
        for job_id, running in self.running.items():
            if self.home.request(job_id).exists():
                running.attempt.tell(Cancelled())

    def _on_home(self, path: str) -> None:
        if path in (str(self.home.hold), str(self.home.pool)):
            self._gate.forget_turn()
            self._wake()

    async def _sleep(self, looked: float) -> None:
        """Until something happens or is due. Never longer than to the next slow look, whatever the clock does.

        What was due already when the step `looked`, and is still, waits for room or the end of a hold: no time tells.
        """
        await asyncio.sleep(0)  # the event's wait() below does not let the others run when it is set
        dated = [moment for moment in (self.backlog.due(), *self._gate.due()) if moment and moment > looked]
        due = min(self._poll_due, self._intake.due, *(time.monotonic() + moment - time.time() for moment in dated))
        due = max(due, self._troubled_until)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, due - time.monotonic())):
                await self._woken.wait()

    # -- looking ----------------------------------------------------------------------------------------------

    async def _look_around(self) -> None:
        """The slow look: everything that events should have told, once more."""
        if time.monotonic() < self._poll_due:
            return
        self._poll_due = time.monotonic() + POLL
        self._starter.let_in()
        self._gate.read_settings()
        for new in self._recurring.look():
            self.backlog.remember(new)
        batch.complete(self.spool)
        self._tell_news()
        names = self.spool.names(State.QUEUED)
        self.candidates.find_ended(names)
        for name in self.backlog.unknown(names):
            if found := entries.parse(name):
                self.backlog.remember(found)
            else:
                self._intake.drop(name)
        self._looked = True
        try:
            asked, panes = time.monotonic(), await self.terminal.panes()
        except MuxqError as problem:
            self.spool.emit("worker.trouble", why=str(problem))
            return
        for running in self.running.values():
            running.attempt.look(panes, asked)
            running.attempt.wake()
        self._on_request("")
        await self._leftovers.close(panes)
        self._leftovers.forget_requests()
        self._starter.take_over()

    def _tell_news(self, *, at_once: bool = False) -> None:
        """Tell of batches that have ended, and of what there was no room to tell of; `at_once`: nobody comes after."""
        try:
            notices.of_batches(self.spool)
        except OSError as problem:
            self.spool.emit("worker.trouble", why=describe_error(problem, self.home.path))
        sender.go_on(at_once=at_once)

    # -- attempts ---------------------------------------------------------------------------------------------

    def _begin(self, claim: Claim) -> None:
        running = Execution(self.spool, claim, self.terminal, self._watcher, self.env)
        self.running[running.id] = running
        self._looked = False
        self.backlog.hold_on_to(claim.entry)
        task = asyncio.get_running_loop().create_task(running.attend())
        self._tasks[task] = running
        task.add_done_callback(self._ended)
        self._on_request("")

    def _ended(self, task: asyncio.Task[None]) -> None:
        running = self._tasks.pop(task)
        del self.running[running.id]
        self._starter.let_in()
        self._wake()
        if task.cancelled():
            return
        if (problem := task.exception()) is not None:
            self._broken = problem
            return
        if self._starter.crowded:
            self._poll_due = 0.0
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

    def _finished(self) -> bool:
        """Whether the loop may end: told to stop, or draining and nothing left that can be done now."""
        if self._broken:
            raise self._broken
        if self.running and self.window.over(time.time()):
            self._gate.stopping = True
        if self.stopping:
            return self.on_stop != "finish" or not self.running
        if self.summary.closed or self.window.over(time.time()):
            return not self.running
        if not self.drain or self.running or self._starter.crowded or self._intake.left():
            return False
        if not self.backlog.left(time.time()) and not self._starter.outside:
            if not self._looked:  # perhaps no event has told of a drop that a command took in, or a worker has died
                self._poll_due = 0.0
            return self._looked and not self.candidates.elsewhere()
        held = self._gate.held()
        if held and held.until is None:
            self.summary.hold = held
        return self.summary.hold is not None

    async def _end_attempts(self) -> None:
        """What `on_stop` says: leave the sessions to the next worker, or end them and put their jobs back."""
        if self.on_stop == "kill":
            for running in self.running.values():
                running.attempt.tell(Requeued("stopped", "the worker was told to end its sessions"))
            await asyncio.gather(*self._tasks, return_exceptions=True)  # told once more, all are cancelled
        if settling := [task for task, running in self._tasks.items() if running.settling]:
            await asyncio.wait(settling, timeout=SETTLING)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._broken:
            raise self._broken
