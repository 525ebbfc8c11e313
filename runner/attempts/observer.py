"""Everything that is known of a running attempt, read from its sources into Evidence.

The sources: the agent's events and status line, who drives, the output, the screen, and what tmux and the worker
report. Where nothing has changed, a look costs a stat for each file. What the agent says of the account's limits is
passed on to the home's pool as it is read. Decides nothing about the attempt.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from dataclasses import dataclass, replace
from functools import cached_property

from runner.agents import mode, profile, progress, screen, usage
from runner.agents.agent import Agent, Failure
from runner.agents.mode import Driver, Mode
from runner.agents.progress import Progress, Turn
from runner.attempts.contract import Output
from runner.attempts.output import OutputFile
from runner.attempts.verdict import Evidence, Process
from runner.home import events, pool
from runner.home.attempt_folder import AttemptFolder
from runner.home.layout import Home
from runner.home.records import AttemptRecord
from runner.jobs.outcome import Outcome
from runner.system import clock
from runner.tmux.terminal import Pane, Terminal, screen_of

ANSWERED = ("tool-started", "turn-over")
"""Events that prove an answer of the service."""

WORK = ("prompt-accepted", "tool-started", "tool-finished", "tool-failed", "turn-over", "repair")
"""Events that make an earlier judgement of the output void."""

Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one attempt, in seconds on the monotonic clock of this boot: when it began, when it must end; its `stall`."""

    launched: float
    deadline: float
    stall: float

    @classmethod
    def of(cls, record: AttemptRecord) -> Limits:
        launched = _launched_at(record)
        return cls(launched, launched + record.timeout, record.stall or math.inf)


def _launched_at(record: AttemptRecord) -> float:
    """When an attempt began, on this boot's monotonic clock: neither a set clock nor a suspend moves a deadline.

    An attempt from another boot, or from a system whose boots have no name, is dated by the wall clock.
    """
    if record.boot and record.boot == clock.boot():
        return record.monotonic
    return time.monotonic() + clock.seconds(record.started_at) - time.time()


class Observer:
    """Of one attempt. `decision` and ended() take what no file says."""

    def __init__(self, home: Home, folder: AttemptFolder, terminal: Terminal) -> None:
        self._home, self._folder, self._terminal = home, folder, terminal
        self.progress = Progress()
        self.work = 0
        """How many events of WORK there have been."""
        self.last_event = -math.inf
        self.decision: Outcome | None = None
        """What a person or the worker has decided."""
        self._gone = False
        self._tail = events.Tail(folder.events)
        self._driver = Driver()
        self._waits_out = False
        self._resets_at: float | None = None
        """When the account's limit is renewed, in seconds since 1970."""
        self._files = (str(folder.events), str(folder.status), str(folder.mode))
        self._stamps: list[Stamp | None] = [None, None, None]

    @cached_property
    def agent(self) -> Agent:
        """What kind of agent it is, from attempt.json on."""
        return profile.agent_of(self._folder, self._home.sessions)

    # -- what others report -----------------------------------------------------------------------------------

    def ended(self, pane: Pane | None) -> None:
        """The program has ended; without a pane it is not known how."""
        if pane is None:
            self._gone = True
        else:
            self.progress = replace(self.progress, exited=True, status=pane.status, signal=pane.signal)

    # -- files ------------------------------------------------------------------------------------------------

    def changed(self) -> bool:
        """Whether one of the agent's or the person's files has changed since the last read()."""
        return [_stamp(path) for path in self._files] != self._stamps

    def read(self) -> None:
        """Read those of the files that have changed."""
        before, self._stamps = self._stamps, [_stamp(path) for path in self._files]
        new_events, new_status, new_mode = (now != then for now, then in zip(self._stamps, before, strict=True))
        if new_events:
            self._read_events()
        if new_status:
            pool.tell_limits(self._home, usage.limits(self._folder, self.agent))
        if new_mode:
            self._driver = mode.load(self._folder)

    def _valid_driver(self) -> Driver:
        """Who drives now; a mode whose program was killed is taken back."""
        if self._driver.holder and not self._driver.valid():
            self._driver = mode.give_back(self._home, self._folder)
        return self._driver

    def _read_events(self) -> None:
        fresh = self._tail.read()
        self.progress = progress.fold(self.progress, fresh, self.agent)
        self.work += sum(event.name in WORK for event in fresh)
        if fresh:
            self.last_event = time.monotonic()
        if any(event.name in ANSWERED for event in fresh):
            pool.tell_answer(self._home)

    # -- evidence ---------------------------------------------------------------------------------------------

    async def evidence(self, output: OutputFile, limits: Limits, waits_out: str) -> Evidence:
        """All that is known now. `waits_out`: the words on the screen of an agent that sits a usage limit out.

        Events are read first, then the output: after the turn is over, its output is on disk.
        """
        now = time.monotonic()
        self.read()
        if self.progress.turn is Turn.FAILED or self._resets_at is not None:
            await self._look_at_limit(waits_out)
        state, problem = output.look(now)
        driver, process = self._valid_driver(), self._process()
        return Evidence(
            now=now,
            launched=limits.launched,
            deadline=limits.deadline + self.progress.limited + driver.away_until(now),
            stall=limits.stall,
            output=state,
            parsed=output.contract.format == "json",
            problem=problem,
            output_since=output.changed_at,
            progress=self.progress,
            last_event=self.last_event,
            process=process,
            decision=self.decision,
            waits_out=self._waits_out,
            resets_at=math.inf if self._resets_at is None else now + self._resets_at - time.time(),
            mode=driver.mode,
            driven_since=driver.since if driver.mode is Mode.DRIVING else -math.inf,
            last_line=await self._last_words(process, state),
        )

    def _process(self) -> Process:
        if self.progress.exited:
            return Process.EXITED
        return Process.GONE if self._gone else Process.ALIVE

    async def _last_words(self, process: Process, state: Output) -> str:
        """The last line on the screen of a program that ended without a result."""
        if process is not Process.EXITED or state in (Output.VALID, Output.CHANGING):
            return ""
        return screen.last_line(await screen_of(self._terminal, self._folder.session))

    async def _look_at_limit(self, waits_out: str) -> None:
        """After a usage limit: whether the agent says that it waits in place; if so, the home is held meanwhile."""
        if not (self.progress.turn is Turn.FAILED and self.progress.failure is Failure.USAGE_LIMIT):
            self._waits_out, self._resets_at = False, None
            return
        if self._waits_out or not waits_out:
            return
        if screen.says(await screen_of(self._terminal, self._folder.session), waits_out):
            self._resets_at = self.agent.read_reset(self.progress.transcript)
            self._waits_out = (self._resets_at or 0.0) > time.time()  # its transcript names the time a moment later
            self._hold()

    def _hold(self) -> None:
        with contextlib.suppress(OSError):
            if self._waits_out and (hold := pool.limit(self._home, self.progress.message, self._resets_at)):
                events.emit(self._home.events, "hold.put", **hold.as_dict())


def _stamp(path: str) -> Stamp | None:
    """Two that differ are two versions of the file; None: there is none."""
    try:
        info = os.stat(path)
    except OSError:
        return None
    return info.st_ino, info.st_size, info.st_mtime_ns
