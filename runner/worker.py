"""The worker: takes in drops, takes over what has lost its worker, claims, and runs attempts side by side.

One process, one event loop, no fixed sleeps: it wakes for a file event, the end of an attempt, a signal, or the
nearest time something is due. The slow look (POLL) finds what no event told of.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from runner import clock, config, hold, ident, outcome, process, store
from runner import entry as entries
from runner.attempt import Attempt
from runner.backlog import Backlog
from runner.entry import Entry
from runner.errors import BadSetup, MuxqError, Unready, told
from runner.hold import Hold
from runner.home import Home
from runner.outcome import Cancelled, Failed, Requeued, Retry
from runner.plan import Plan, plan, ready
from runner.run import Run, following, runs
from runner.running import Running
from runner.spool import PATIENCE, Listener, Place, Spool
from runner.state import State
from runner.terminal import Pane, Terminal
from runner.watch import Watcher

POLL = 5.0
"""Seconds between two slow looks."""

SWEEP = 60.0
"""Seconds between two looks for processes of attempts that are over."""

RECHECK = 30.0
"""Seconds until a job whose agent or secret is missing is looked at again."""

SETTLING = 10.0
"""Seconds that a worker which leaves gives to attempts whose outcome is known already."""

ADMIT_AT_ONCE = 1000
"""Drops taken in before the first of them may start."""


@dataclass(slots=True)
class Summary:
    """What one run of the worker came to."""

    count: Counter[State] = field(default_factory=Counter)
    """Jobs that ended, by where they went."""
    blocked: dict[str, str] = field(default_factory=dict)
    """Job id: why its agent or environment is not ready."""
    hold: Hold | None = None
    """The hold that ended a draining run."""


class Worker:
    def __init__(
        self,
        home: Home,
        terminal: Terminal,
        *,
        jobs: int = 1,
        drain: bool = False,
        on_stop: str = "leave",
        env: Mapping[str, str] | None = None,
        listener: Listener | None = None,
    ) -> None:
        self.home, self.terminal = home, terminal
        self.spool = Spool(home, listener)
        self.jobs, self.drain, self.on_stop = jobs, drain, on_stop
        self.env = os.environ if env is None else env
        self.summary = Summary()
        self.running: dict[str, Running] = {}
        """By job id."""
        self._tasks: dict[asyncio.Task[None], Running] = {}
        self.backlog = Backlog()
        self._orphans = False
        """There are running jobs without a worker, and no room to take them over."""
        self._drops_due = 0.0
        self._unfinished = False
        self._poll_due = 0.0
        self._sweep_due = 0.0
        self._troubled_until = 0.0
        self._broken: BaseException | None = None
        self.stopping = False
        """Told to stop."""
        self._woken = asyncio.Event()

    async def run(self) -> Summary:
        """Work until told to stop or, when draining, until nothing is left that can be done now."""
        with contextlib.ExitStack() as open_things:
            self._watcher = open_things.enter_context(Watcher(enabled=config.load(self.home.config).watch))
            open_things.enter_context(self._watcher.watch(self.home.queue, self._on_queue))
            open_things.enter_context(self._watcher.watch(self.home.requests, self._on_request))
            open_things.enter_context(self._watcher.watch(self.home.path, self._on_home))
            open_things.enter_context(self._sign())
            await self.terminal.start()
            self.spool.emit("worker.started", pid=os.getpid(), jobs=self.jobs)
            while not self._finished():
                self._woken.clear()
                await self._step()
                if not self._finished():
                    await self._sleep()
            await self._end_attempts()
            self.spool.emit("worker.stopped", pid=os.getpid())
        await self.terminal.stop_if_empty()
        return self.summary

    @contextlib.contextmanager
    def _sign(self) -> Iterator[None]:
        """Hold a lock by which others see that a worker is here."""
        self.spool.held("worker-*")  # takes away what the dead left
        lock = self.spool.lock(f"worker-{os.getpid()}")
        try:
            yield
        finally:
            if lock:
                self.spool.unlock(lock)

    def stop(self) -> None:
        """Start nothing more; what becomes of running attempts `on_stop` says. Said twice: leave them and go."""
        if self.stopping:
            self.on_stop = "leave"
            for task in list(self._tasks):
                task.cancel()
        self.stopping = True
        self._wake()

    async def _step(self) -> None:
        """Look around, take in, claim; where the disk says no, say so and try again at the next slow look."""
        if time.monotonic() < self._troubled_until:
            return
        try:
            await self._look_around()
            await self._take_in()
            self._claim()
        except OSError as problem:
            self._troubled_until = self._poll_due = time.monotonic() + POLL
            self.spool.emit("worker.trouble", why=f"{told(problem, self.home.path)}; nothing new starts meanwhile")

    # -- waking -----------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        self._woken.set()

    def _on_queue(self, path: str) -> None:
        found = entries.parse(os.path.basename(path))
        if found:
            self.backlog.arrived(found)
        else:
            self._drops_due = 0.0
        self._wake()

    def _on_request(self, _path: str) -> None:
        for job_id, running in self.running.items():
            if (self.home.requests / f"{job_id}.cancel").exists():
                running.attempt.tell(Cancelled())

    def _on_home(self, path: str) -> None:
        if path == str(self.home.hold):
            self._wake()

    async def _sleep(self) -> None:
        """Until something happens or is due. Never longer than to the next slow look, whatever the clock does."""
        held = self._held()
        dated = [moment for moment in (self.backlog.due(), held and held.until) if moment]
        due = min(self._poll_due, self._drops_due, *(time.monotonic() + moment - time.time() for moment in dated))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, due - time.monotonic())):
                await self._woken.wait()

    # -- looking ----------------------------------------------------------------------------------------------

    async def _look_around(self) -> None:
        """The slow look: everything that events should have told, once more."""
        if time.monotonic() < self._poll_due:
            return
        self._poll_due = time.monotonic() + POLL
        self._drops_due = 0.0
        for found in self.spool.entries(State.QUEUED):
            self.backlog.remember(found)
        try:
            asked, panes = time.monotonic(), await self.terminal.panes()
        except MuxqError as problem:
            self.spool.emit("worker.trouble", why=str(problem))
            return
        for running in self.running.values():
            running.attempt.look(panes, asked)
            running.attempt.wake()
        self._on_request("")
        await self._close_orphans(panes)
        self._take_over()

    async def _close_orphans(self, panes: Mapping[str, Pane]) -> None:
        """End what is left of jobs that are running no more, but for sessions that are kept.

        Their worker died between the job's move and the end, or the agent of a kept session has ended.
        """
        for run in self._left_over(panes):
            lock = self.spool.lock(run.job)
            if lock is None:
                continue
            if all(found.id != run.job for found in self.spool.entries(State.RUNNING)):
                attempt = Attempt(self.home, run, self.terminal, self._watcher, self.env)
                if not await attempt.stay(panes):
                    await attempt.close()
            self.spool.unlock(lock)

    def _left_over(self, panes: Mapping[str, Pane]) -> list[Run]:
        """The attempts that have a session, or (looked for now and then) a process of any kind."""
        found = {tuple(session.rpartition("-")[::2]) for session in panes}
        if time.monotonic() >= self._sweep_due:
            self._sweep_due = time.monotonic() + SWEEP
            folders = [Path(value) for value in process.values("MUXQ_RUN_DIR")]
            found |= {(folder.parent.name, folder.name) for folder in folders if folder.parent.parent == self.home.runs}
        known = [(job, number) for job, number in sorted(found) if ident.is_id(job) and number.isdecimal()]
        return [
            Run(job, int(number), self.home.runs / job / number) for job, number in known if job not in self.running
        ]

    def _held(self) -> Hold | None:
        """The hold in force; a damaged hold.json holds too, until a person has mended it."""
        try:
            return hold.current(self.home)
        except MuxqError as problem:
            return Hold(str(problem))

    async def _take_in(self) -> None:
        """Take in drops, in a thread: thousands at once must not keep the running attempts waiting."""
        if time.monotonic() < self._drops_due:
            return
        self._drops_due = math.inf
        drops = await asyncio.to_thread(self.spool.admit, ADMIT_AT_ONCE)
        for found in drops.admitted:
            self.backlog.remember(found)
        self._unfinished = bool(drops.unfinished)
        if drops.full:
            self._drops_due = 0.0
        elif drops.unfinished:
            self._drops_due = min(self._drops_due, time.monotonic() + PATIENCE / 10)

    # -- starting ---------------------------------------------------------------------------------------------

    def _take_over(self) -> None:
        """Running jobs whose lock is free have lost their worker: they are ours now."""
        self._orphans = False
        for found in self.spool.entries(State.RUNNING):
            if self.stopping or found.id in self.running or (lock := self.spool.lock(found.id)) is None:
                continue
            if len(self.running) >= self.jobs or not self.spool.path(Place(State.RUNNING, found)).exists():
                self._orphans = self._orphans or len(self.running) >= self.jobs
                self.spool.unlock(lock)
                continue
            self.spool.emit("job.taken-over", job=found.id)
            self._begin(found, lock, None)

    def _claim(self) -> None:
        """Claim in order while there is room and nothing holds the home."""
        while len(self.running) < self.jobs and not self.stopping and not self._held():
            found = self.backlog.next(time.time())
            if found is None:
                return
            try:
                self._start(found)
            except OSError:
                self.backlog.put_back(found)
                raise

    def _start(self, found: Entry) -> None:
        """Claim one waiting job and begin it, if it can start now and nobody was faster."""
        store.check_room(self.home.path)
        made = self._examine(found)
        if made is None:
            return
        lock = self.spool.claim(found)
        if lock is None:
            self.backlog.forget(found)
        else:
            self._begin(found, lock, made)

    def _examine(self, found: Entry) -> tuple[Plan, str] | None:
        """The plan and the agent's binary of a job that can start now; one that cannot is put where it belongs."""
        place = Place(State.QUEUED, found)
        try:
            job = self.spool.read(place)
            again, worth = self._again(found)
            due = max(job.not_before or 0.0, again)
            if due > time.time():
                self.backlog.postpone(found, due, worth_waiting=worth and due == again)
                return None
            made = plan(self.home, job)
            binary = ready(made, self.env)
        except (Unready, BadSetup) as problem:
            if self.summary.blocked.get(found.id) != str(problem):
                self.spool.emit("job.blocked", job=found.id, why=str(problem))
            self.summary.blocked[found.id] = str(problem)
            self.backlog.postpone(found, time.time() + RECHECK, worth_waiting=False)
            return None
        except MuxqError as problem:
            self.backlog.forget(found)
            if self.spool.path(place).exists():
                self._refuse(place, problem)
            return None
        self.summary.blocked.pop(found.id, None)
        return made, binary

    def _again(self, found: Entry) -> tuple[float, bool]:
        """When a job that was tried may be tried again, in seconds since 1970 (0: now); and whether a drain waits."""
        before = runs(self.home, found.id)
        ended = (before[-1].outcome() if before else None) or {}
        due = ended.get("not_before")
        return (clock.seconds(due) if due else 0.0), ended.get("outcome") == Retry.kind

    def _refuse(self, place: Place, problem: MuxqError) -> None:
        """A waiting job that can no longer run (its template or a file has gone) fails without a session."""
        lock = self.spool.claim(place.entry)
        if lock is None:
            return
        ended = Failed("bad-job", str(problem))
        following(self.home, place.entry.id).end(self.home, outcome.record(ended) | {"finished_at": clock.stamp()})
        self.summary.count[self.spool.move(Place(State.RUNNING, place.entry), ended.move).state] += 1
        self.spool.unlock(lock)

    def _begin(self, found: Entry, lock: FileLock, made: tuple[Plan, str] | None) -> None:
        running = Running(self.spool, found, lock, self.terminal, self._watcher, self.env)
        self.running[found.id] = running
        self.backlog.hold_on_to(found)
        task = asyncio.get_running_loop().create_task(running.attend(made))
        self._tasks[task] = running
        task.add_done_callback(self._ended)
        self._on_request("")

    # -- ending -----------------------------------------------------------------------------------------------

    def _ended(self, task: asyncio.Task[None]) -> None:
        running = self._tasks.pop(task)
        del self.running[running.id]
        self._wake()
        if task.cancelled():
            return
        if (problem := task.exception()) is not None:
            self._broken = problem
            return
        if self._orphans:
            self._poll_due = 0.0
        entry, ended = running.place.entry, running.ended
        self.backlog.let_go(entry)
        if isinstance(ended, Requeued) and ended.reason == "launch":
            self.summary.blocked[running.id] = ended.message
        if ended is not None and running.place.state.final:
            self.backlog.forget(entry)
            self.summary.count[running.place.state] += 1
        elif ended is not None:
            self.backlog.arrived(entry)

    def _finished(self) -> bool:
        """Whether the loop may end: told to stop, or draining and nothing left that can be done now."""
        if self._broken:
            raise self._broken
        if self.stopping:
            return self.on_stop != "finish" or not self.running
        if not self.drain or self.running or self._orphans or self._unfinished or self._drops_due <= time.monotonic():
            return False
        if not self.backlog.left(time.time()):
            return True
        held = self._held()
        if held and held.until is None:
            self.summary.hold = held
        return self.summary.hold is not None

    async def _end_attempts(self) -> None:
        """What `on_stop` says: leave the sessions to the next worker, or end them and put their jobs back."""
        if self.on_stop == "kill":
            for running in self.running.values():
                running.attempt.tell(Requeued("stopped", "the worker was told to end its sessions"))
            await asyncio.gather(*self._tasks)
        if settling := [task for task, running in self._tasks.items() if running.settling]:
            await asyncio.wait(settling, timeout=SETTLING)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
