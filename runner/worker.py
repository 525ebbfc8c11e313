"""The worker: takes in drops, takes over what has lost its worker, claims, and runs attempts side by side.

One process, one event loop, no fixed sleeps: it wakes for a file event, the end of an attempt, a signal, or the
nearest time something is due. The slow look (POLL) finds what no event told of.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from filelock import FileLock

from runner import after, batch, clock, config, ident, machine, outcome, pool, store, workdir
from runner import entry as entries
from runner.after import Parent
from runner.backlog import Backlog
from runner.blocked import Blocked
from runner.entry import Entry
from runner.errors import BadSetup, MuxqError, Unready, told
from runner.hold import Hold
from runner.home import Home
from runner.intake import Intake
from runner.job import Job
from runner.leftover import Leftovers
from runner.outcome import Cancelled, Failed, Requeued, Retry
from runner.plan import Plan, plan, ready
from runner.recurring import Recurring
from runner.run import following, runs
from runner.running import Running
from runner.spool import Listener, Place, Spool
from runner.state import State
from runner.terminal import Terminal
from runner.waiting import Waiting
from runner.watch import Watcher
from runner.window import Window

POLL = 5.0
"""Seconds between two slow looks."""

LEFT_OVER = 86400.0
"""Seconds after which a file in tmp/ belongs to a writer that was killed."""

SIGNING = 5.0
"""Seconds that others may look at the lock of a worker that comes, to see whether it is a dead one's."""

SETTLING = 10.0
"""Seconds that a worker which leaves gives to attempts whose outcome is known already."""

AT_A_STRETCH = 0.1
"""Seconds of looking for jobs that can start before file events, signals and attempts have their turn."""


@dataclass(slots=True)
class Summary:
    """What one run of the worker came to."""

    count: Counter[State] = field(default_factory=Counter)
    """Jobs that ended, by where they went."""
    blocked: Blocked = field(default_factory=Blocked)
    """Jobs that were left waiting, since their agent or environment is not ready."""
    hold: Hold | None = None
    """The hold that ended a draining run."""
    closed: str = ""
    """Why a draining run began nothing more, though there may have been something."""
    stopped: bool = False
    """It was told to end."""


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
        self.running: dict[str, Running] = {}
        """By job id."""
        self._tasks: dict[asyncio.Task[None], Running] = {}
        self._started: set[str] = set()
        """Ids of the jobs that this run has begun."""
        self.backlog = Backlog()
        self._intake = Intake(self.spool, self.backlog)
        self.waiting = Waiting()
        self._orphans = False
        """There are running jobs without a worker, and no room to take them over."""
        self._poll_due = 0.0
        self._looked = False
        """There was a slow look since the last job began, or was dropped."""
        self._start_due = 0.0
        """When a job may start that has to wait for its turn, in seconds since 1970; 0: none has to."""
        self._outside: list[Entry] = []
        """Jobs that wait for their workdir; they are not in the backlog meanwhile."""
        self._told_outside: set[str] = set()
        """Their ids, and earlier ones': each is told of once."""
        self._short = False
        """There was too little memory for another session."""
        self._settings = config.Config()
        self._troubled_until = 0.0
        self._broken: BaseException | None = None
        self.stopping = False
        """Told to stop."""
        self._woken = asyncio.Event()

    async def run(self) -> Summary:
        """Work until told to stop or, when draining, until nothing is left that can be done now."""
        with contextlib.ExitStack() as open_things:
            self._settings = config.load(self.home.config)
            self._watcher = open_things.enter_context(Watcher(enabled=self._settings.watch))
            self._leftovers = Leftovers(self.spool, self.terminal, self._watcher, self.env, self.running)
            open_things.enter_context(self._watcher.watch(self.home.queue, self._on_queue))
            open_things.enter_context(self._watcher.watch(self.home.requests, self._on_request))
            open_things.enter_context(self._watcher.watch(self.home.path, self._on_home))
            for state in (state for state in State if state.final):
                open_things.enter_context(self._watcher.watch(self.home.folder(state), self._on_end))
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
        store.sweep(self.home.tmp, LEFT_OVER)
        lock = self.spool.lock(f"worker-{os.getpid()}", wait=SIGNING)  # another that signs looks at it for a moment
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
        self.stopping = self.summary.stopped = True
        self._wake()

    async def _step(self) -> None:
        """Look around, take in, claim; where the disk says no, say so and try again at the next slow look."""
        if time.monotonic() < self._troubled_until:
            return
        try:
            await self._look_around()
            if await self._intake.take_in():
                self._looked = False
            self._claim()
        except OSError as problem:
            self._troubled_until = self._poll_due = time.monotonic() + POLL
            self.spool.emit("worker.trouble", why=f"{told(problem, self.home.path)}; nothing new starts meanwhile")

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

    def _on_end(self, path: str) -> None:
        found = entries.parse(os.path.basename(path)) if self.waiting else None
        if found and self.waiting.entry(found.id):
            self._release(found)

    def _on_request(self, _path: str) -> None:
        for job_id, running in self.running.items():
            if self.home.request(job_id).exists():
                running.attempt.tell(Cancelled())

    def _on_home(self, path: str) -> None:
        if path in (str(self.home.hold), str(self.home.pool)):
            self._start_due = 0.0
            self._wake()

    async def _sleep(self) -> None:
        """Until something happens or is due. Never longer than to the next slow look, whatever the clock does."""
        await asyncio.sleep(0)  # the event's wait() below does not let the others run when it is set
        held = self._held()
        dated = [moment for moment in (self.backlog.due(), held and held.until, self._start_due) if moment]
        dated += self.window.due(time.time())
        due = min(self._poll_due, self._intake.due, *(time.monotonic() + moment - time.time() for moment in dated))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, due - time.monotonic())):
                await self._woken.wait()

    # -- looking ----------------------------------------------------------------------------------------------

    async def _look_around(self) -> None:
        """The slow look: everything that events should have told, once more."""
        if time.monotonic() < self._poll_due:
            return
        self._poll_due = time.monotonic() + POLL
        self._looked = True
        self._let_in()
        self._read_settings()
        for new in self._recurring.look():
            self.backlog.remember(new)
        batch.complete(self.spool)
        names = self.spool.names(State.QUEUED)
        if self.waiting:
            self._find_ended(names)
        for name in self.backlog.unknown(names):
            if found := entries.parse(name):
                self.backlog.remember(found)
            else:
                self._intake.drop(name)
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
        self._take_over()

    def _read_settings(self) -> None:
        """What config.toml says of the pool may change while we run; one that cannot be read changes nothing."""
        with contextlib.suppress(MuxqError):
            self._settings = config.load(self.home.config)

    def _find_ended(self, queued: Iterable[str]) -> None:
        """The jobs that are waited for and neither wait nor run have ended, or have been taken away."""
        live = {name[: ident.LENGTH] for name in (*queued, *self.spool.names(State.RUNNING))}
        for job_id in self.waiting.parents - live:
            if parent := self.waiting.entry(job_id):
                self._release(parent)

    def _release(self, parent: Entry) -> None:
        """If the job has ended, have those looked at that have waited for it."""
        stands = after.state(self.home, parent)
        if after.pending(stands):
            return
        for child in self.waiting.ended(parent.id, stands):
            self.backlog.put_back(child)
        self._wake()

    def _held(self) -> Hold | None:
        return pool.held(self.home, self._settings, time.time())

    # -- starting ---------------------------------------------------------------------------------------------

    def _take_over(self) -> None:
        """Running jobs whose lock is free have lost their worker: they are ours now."""
        self._orphans, most = False, self.jobs or machine.most()
        for found in self.spool.entries(State.RUNNING):
            if self.stopping or found.id in self.running or (lock := self.spool.lock(found.id)) is None:
                continue
            if len(self.running) >= most or not self.spool.path(Place(State.RUNNING, found)).exists():
                self._orphans = self._orphans or len(self.running) >= most
                self.spool.unlock(lock)
                continue
            self.spool.emit("job.taken-over", job=found.id)
            self._begin(found, lock, None, self._hold_again(found))

    def _hold_again(self, found: Entry) -> int | None:
        """The workdir of a job that works in it already; of another home's job that was faster we can hold nothing."""
        with contextlib.suppress(MuxqError):
            made = plan(self.home, self.spool.read(Place(State.RUNNING, found)))
            return workdir.take(made.alone) if made.alone else None
        return None

    def _claim(self) -> None:
        """Claim in order while there is room and nothing holds the home; what takes long goes on at the next step."""
        until = time.monotonic() + AT_A_STRETCH
        while self._open() and self._room() and time.time() >= self._start_due and not self._held():
            if time.monotonic() > until:
                return self._wake()
            found = self.backlog.next(time.time())
            if found is None:
                return None
            try:
                self._start(found)
            except OSError:
                self.backlog.put_back(found)
                raise
        return None

    def _open(self) -> bool:
        """Whether anything may start at all. A window that has closed stays so."""
        if not self.summary.closed:
            used = pool.used(pool.load(self.home), time.time()) if self.window.max_usage is not None else {}
            self.summary.closed = self.window.closed(time.time(), len(self._started), used)
            if self.summary.closed:
                self.spool.emit("worker.closed", why=self.summary.closed, running=len(self.running))
        return not self.stopping and not self.summary.closed

    def _room(self) -> bool:
        """Whether this worker may run one more; `auto` asks the machine."""
        if self.jobs is not None:
            return len(self.running) < self.jobs
        if len(self.running) >= machine.most() or not len(self.backlog):
            return False
        running = machine.sizes([pid for one in self.running.values() if (pid := one.attempt.pid)])
        lack = machine.lack(*machine.memory(), running)
        if lack and not self._short:
            self.spool.emit("worker.trouble", why=f"too little memory for another session: {lack >> 20} MB are missing")
        self._short = bool(lack)
        return not lack

    def _start(self, found: Entry) -> None:
        """Claim one waiting job and begin it, if it can start now and nobody was faster."""
        store.check_room(self.home.path)
        made = self._examine(found)
        if made is None:
            return
        try:
            held = workdir.take(made[0].alone) if made[0].alone else None
        except Unready as problem:
            self._shut_out(found, str(problem))
            return
        self._start_due = pool.take_turn(self.home, found.id)
        if self._start_due:
            workdir.release(held)
            self.backlog.put_back(found)
            return
        lock = self.spool.claim(found)
        if lock is None:
            workdir.release(held)
            self.backlog.forget(found)
        else:
            self._started.add(found.id)
            self._begin(found, lock, made, held)

    def _shut_out(self, found: Entry, why: str) -> None:
        """Another job works in its folder: looked at again when one of ours ends, and at the slow look."""
        if found.id not in self._told_outside:
            self._told_outside.add(found.id)
            self.spool.emit("job.blocked", job=found.id, why=why)
        self._outside.append(found)

    def _let_in(self) -> None:
        """Those that wait for their folder have their turn again."""
        while self._outside:
            self.backlog.put_back(self._outside.pop())

    def _examine(self, found: Entry) -> tuple[Plan, str] | None:
        """The plan and the agent's binary of a job that can start now; one that cannot is put where it belongs."""
        place = Place(State.QUEUED, found)
        try:
            if self._waits(place):
                return None
            job = self.spool.read(place)
            if self._adopted(place, job) and self._waits(place):
                return None
            again, worth = self._again(found)
            due = max(job.not_before or 0.0, again)
            if due > time.time():
                self.backlog.postpone(found, due, worth_waiting=worth and due == again)
                return None
            made = plan(self.home, job)
            binary = ready(made, self.env)
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
        return made, binary

    def _waits(self, place: Place) -> bool:
        """Whether the job is after others that have not ended; one that can never start is ended here."""
        parents = after.load(self.home, place.entry.id) or ()
        stands = {parent.entry.id: after.state(self.home, parent.entry) for parent in parents}
        for parent in parents:
            if after.blocks(parent, stands[parent.entry.id]):
                self._skip(place, parent, after.complaint(parent, stands[parent.entry.id]))
                return True
        if open_ones := [parent for parent in parents if after.pending(stands[parent.entry.id])]:
            self.waiting.put(place.entry, open_ones)
        return bool(open_ones)

    def _adopted(self, place: Place, job: Job) -> bool:
        """Whether the parents of a job were looked for only now: its record was lost, or it was moved here by hand."""
        if not job.after or after.load(self.home, place.entry.id) is not None:
            return False
        after.write(self.home, place.entry.id, self.spool.parents(job))
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
            self._refuse(place, ended, message=why, parent=parent.entry.id)

    def _again(self, found: Entry) -> tuple[float, bool]:
        """When a job that was tried may be tried again, in seconds since 1970 (0: now); and whether a drain waits."""
        before = runs(self.home, found.id)
        ended = (before[-1].outcome() if before else None) or {}
        due = ended.get("not_before")
        return (clock.seconds(due) if due else 0.0), (
            ended.get("outcome") == Retry.kind or ended.get("reason") in outcome.HOLDING
        )

    def _refuse(self, place: Place, ended: Failed | Cancelled, **more: str) -> None:
        """A waiting job that can no longer run (its template or a file has gone) ends without a session."""
        lock = self.spool.claim(place.entry)
        if lock is None:
            return
        told = outcome.record(ended) | more | {"finished_at": clock.stamp()}
        following(self.home, place.entry.id).end(self.home, told)
        moved = self.spool.move(Place(State.RUNNING, place.entry), ended.move, why=more.get("message", ""))
        self.summary.count[moved.state] += 1
        self.spool.unlock(lock)
        self._release(place.entry)

    def _begin(self, found: Entry, lock: FileLock, made: tuple[Plan, str] | None, held: int | None = None) -> None:
        running = Running(self.spool, found, lock, self.terminal, self._watcher, self.env)
        running.workdir = held
        self._told_outside.discard(found.id)
        self.running[found.id] = running
        self._looked = False
        self.backlog.hold_on_to(found)
        task = asyncio.get_running_loop().create_task(running.attend(made))
        self._tasks[task] = running
        task.add_done_callback(self._ended)
        self._on_request("")

    # -- ending -----------------------------------------------------------------------------------------------

    def _ended(self, task: asyncio.Task[None]) -> None:
        running = self._tasks.pop(task)
        del self.running[running.id]
        workdir.release(running.workdir)
        self._let_in()
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
            self.summary.blocked.put(running.id, ended.message)
        if ended is not None and running.place.state.final:
            self.backlog.forget(entry)
            self.summary.count[running.place.state] += 1
            self._release(entry)
        elif ended is not None:
            self.backlog.arrived(entry)

    def _finished(self) -> bool:
        """Whether the loop may end: told to stop, or draining and nothing left that can be done now."""
        if self._broken:
            raise self._broken
        if self.running and self.window.over(time.time()):
            self.stopping = True
        if self.stopping:
            return self.on_stop != "finish" or not self.running
        if self.summary.closed or self.window.over(time.time()):
            return not self.running
        if not self.drain or self.running or self._orphans or self._intake.left():
            return False
        if not self.backlog.left(time.time()) and not self._outside:
            if not self._looked:  # perhaps no event has told of a drop that a command took in, or a worker has died
                self._poll_due = 0.0
            return self._looked and not self._elsewhere()
        held = self._held()
        if held and held.until is None:
            self.summary.hold = held
        return self.summary.hold is not None

    def _elsewhere(self) -> bool:
        """Whether jobs wait for one that another worker is running: it may soon be their turn."""
        running = {found.id for found in self.spool.entries(State.RUNNING)} if self.waiting else set()
        return not self.waiting.parents.isdisjoint(running)

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
