"""One try at a job: prepare → launch → watch → collect → close.

Everything it knows it reads from the run folder, from tmux and from the processes, so that a worker can begin in the
middle: an attempt taken over from a worker that died is the same code without prepare and launch.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from runner.agents import mode, profile, progress, screen
from runner.agents.agent import Agent, Failure
from runner.agents.closing import MARK
from runner.agents.lookout import Glance, Lookout
from runner.agents.mode import Mode
from runner.agents.profile import Profile
from runner.agents.progress import Attention, Turn
from runner.attempts import collect
from runner.attempts.collect import Changes
from runner.attempts.contract import identity, problem
from runner.attempts.judge import Judge
from runner.attempts.plan import Ready
from runner.attempts.verdict import Evidence, Output, Process, Rules, Wait, verdict
from runner.errors import NotFound, Unready
from runner.home import events as event
from runner.home import pool
from runner.home.attempt_folder import AttemptFolder
from runner.home.layout import Home
from runner.home.records import AttemptRecord, Contract, Identity, OutcomeRecord, Remains
from runner.jobs.outcome import Done, Failed, Outcome, Retry
from runner.system import clock, files, process
from runner.system.watch import Watcher
from runner.tmux.terminal import Pane, Terminal, screen_of

POST_MORTEM = ("timeout", "stalled")
"""Errors after which post-mortem.txt says what stood still."""

ANSWERED = ("tool-started", "turn-over")
"""Events that prove an answer of the service."""

WORK = ("prompt-accepted", "tool-started", "tool-finished", "tool-failed", "turn-over", "repair")
"""Events after which what an output was judged by may be otherwise."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one attempt, in seconds on the monotonic clock of this boot: when it began, when it must end; its `stall`."""

    launched: float
    deadline: float
    stall: float


class Attempt:
    """One attempt. wake() it when something may have happened to it; tell() it what others have decided."""

    def __init__(
        self,
        home: Home,
        run: AttemptFolder,
        terminal: Terminal,
        watcher: Watcher,
        env: Mapping[str, str],
        alert: Callable[[Attention], None] = lambda _: None,
    ) -> None:
        """`alert` is called once for each thing that waits for a person."""
        self.alert = alert
        self.home, self.run, self.terminal, self.watcher, self.env = home, run, terminal, watcher, env
        self.progress = progress.Progress()
        self.told: Outcome | None = None
        self._gone = False
        self._launched = math.inf
        self._woken = asyncio.Event()
        self._tail = event.Tail(run.events)
        self._last_event = self._output_since = -math.inf
        self._seen: Identity | None = None
        self._judged: tuple[Identity, str] | None = None
        self._work = 0
        """How many events have told of work."""
        self._invalid = False
        """It ended with an output that is not what the job asked for."""
        self._waits_out = False
        self._resets_at: float | None = None
        self._status: Identity | None = None
        self._glance = Glance(terminal, run)
        self.pid: int | None = None
        """The program's, once it is known."""

    @cached_property
    def agent(self) -> Agent:
        """What kind of agent it is, from attempt.json on."""
        return profile.agent_of(self.run, self.home.sessions)

    # -- launch -----------------------------------------------------------------------------------------------

    async def launch(self, ready: Ready, record: AttemptRecord) -> None:
        """Open the session. The environment goes to tmux by its standard input: no secret is on a command line."""
        workdir = Path(record.workdir)
        if ready.plan.profile.trust:
            await asyncio.to_thread(self.agent.mark_trusted, workdir, ready.environment)
        env = {**ready.environment, **self._marks()}
        pane = await self.terminal.launch(self.run.session, record.argv, cwd=workdir, env=env, events=self.run.events)
        self.pid = pane.pid
        self._launched = time.monotonic()
        event.emit(self.home.events, "attempt.launched", job=self.run.job, attempt=self.run.number)

    def _marks(self) -> dict[str, str]:
        """The environment by which the attempt's processes are known."""
        return {MARK: self.run.session, "MUXQ_RUN_DIR": str(self.run.path)}

    # -- watch ------------------------------------------------------------------------------------------------

    def wake(self, _path: str = "") -> None:
        """Look at the evidence again."""
        self._woken.set()

    def tell(self, ended: Outcome) -> None:
        """End with `ended`, whatever the evidence."""
        self.told = self.told or ended
        self.wake()

    def take_over(self, panes: Mapping[str, Pane]) -> None:
        """Begin in the middle: the attempt was launched by a worker that is no more."""
        self._launched = -math.inf
        self.look(panes, time.monotonic())

    def look(self, panes: Mapping[str, Pane], asked: float) -> None:
        """What tmux said of all its panes when it was asked at `asked` (monotonic): the net under its own notices."""
        self._glance.due = True
        pane = panes.get(self.run.session)
        self.pid = pane.pid if pane else self.pid
        if asked >= self._launched and (pane is None or pane.dead):
            self._ended(pane)

    def _ended(self, pane: Pane | None) -> None:
        """The program has ended; without a pane nobody knows how."""
        if pane is None:
            self._gone = True
        else:
            self.progress = replace(self.progress, exited=True, status=pane.status, signal=pane.signal)
        self.wake()

    async def _follow_end(self) -> None:
        """Tell of the end of the program, as soon as the system does."""
        try:
            self._ended(await self.terminal.ended(self.run.session))
        except NotFound:
            self._ended(None)
        except Unready as problem:  # the worker's slow look goes on asking
            event.emit(self.home.events, "worker.trouble", why=str(problem))

    async def watch(self, profile: Profile, record: AttemptRecord, env: Mapping[str, str]) -> Outcome:
        """Wait for evidence until a verdict follows from it. `env` is the agent's."""
        contract = record.output
        if contract is None:
            raise ValueError(f"attempt.json of {self.run.session} does not say what the output must be")
        patience = profile.patience + (contract.check_timeout if contract.check else 0.0)  # its hook may be checking
        rules = Rules(profile.hooks, profile.interactive, profile.quiet, patience, waits_out=bool(profile.waits_out))
        judge = Judge(self.run.path, contract.path, {**env, **self._marks()}, self.wake)
        launched = _launched_at(record)
        limits = Limits(launched, launched + record.timeout, record.stall or math.inf)
        lookout = Lookout(
            self.home,
            self.run,
            self.terminal,
            profile,
            permissions=record.permissions,
            launched=launched,
            alert=self.alert,
        )
        with contextlib.ExitStack() as watches:
            for folder in {self.run.path, Path(contract.path).parent}:
                watches.enter_context(self.watcher.watch(folder, self.wake))
            following = asyncio.create_task(self._follow_end())
            watches.callback(following.cancel)
            watches.callback(judge.close)
            while True:
                self._woken.clear()
                evidence = await self._evidence(contract, rules, limits, profile)
                found = verdict(evidence, rules)
                if isinstance(found, Done) and contract.deep:
                    evidence, found = self._judge(judge, evidence, rules)
                if not isinstance(found, Wait):
                    self._invalid = evidence.output is Output.INVALID
                    return found
                due = await lookout.look(self.progress, driving=evidence.mode is Mode.DRIVING)
                await self._glance.look(profile, self.progress, time.monotonic() - self._last_event)
                await self._sleep(min(found.until, due))

    def _judge(self, judge: Judge, evidence: Evidence, rules: Rules) -> tuple[Evidence, Wait | Outcome]:
        """What follows once the output, which is all that is lacking, is judged by its whole contract."""
        over = self.progress.turn is Turn.OVER and not self.progress.background
        why = judge.problem(self._seen, self._work, hook=over) if self._seen else None
        if why is None:
            return evidence, Wait(math.inf)
        if why:
            evidence = replace(evidence, output=Output.INVALID, problem=why)
        return evidence, verdict(evidence, rules)

    async def _sleep(self, until: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if until == math.inf else max(0.0, until - time.monotonic())):
                await self._woken.wait()

    async def _evidence(self, contract: Contract, rules: Rules, limits: Limits, profile: Profile) -> Evidence:
        """Read events first, then the output: a turn that is over has its output on disk already."""
        now = time.monotonic()
        if fresh := self._read_events():
            self._last_event = now
            if any(said.name in ANSWERED for said in fresh):
                pool.tell_answer(self.home)
        self._look_at_limits()
        await self._look_at_limit(profile)
        hands = self._hands()
        state, why = self._output(contract, rules, now)
        alive = Process.EXITED if self.progress.exited else Process.GONE if self._gone else Process.ALIVE
        wordless = alive is not Process.EXITED or state in (Output.VALID, Output.CHANGING)
        return Evidence(
            now=now,
            launched=limits.launched,
            deadline=limits.deadline + self.progress.limited + hands.away_until(now),
            stall=limits.stall,
            output=state,
            parsed=contract.format == "json",
            problem=why,
            output_since=self._output_since,
            progress=self.progress,
            last_event=self._last_event,
            process=alive,
            told=self.told,
            waits_out=self._waits_out,
            resets_at=math.inf if self._resets_at is None else now + self._resets_at - time.time(),
            mode=hands.mode,
            driven_since=hands.since if hands.mode is Mode.DRIVING else -math.inf,
            last_line="" if wordless else screen.last_line(await screen_of(self.terminal, self.run.session)),
        )

    def _hands(self) -> mode.Driver:
        """Who drives; a mode whose program was killed is taken back here."""
        hands = mode.load(self.run)
        return hands if mode.valid(hands) else mode.give_back(self.home, self.run)

    def _read_events(self) -> list[event.Event]:
        """What the agent has told since the last look, folded in."""
        fresh = self._tail.read()
        self.progress = progress.fold(self.progress, fresh, self.agent)
        self._work += sum(said.name in WORK for said in fresh)
        return fresh

    def _look_at_limits(self) -> None:
        """Pass on to the pool what the agent's status line says of the account's limits, when it says something new."""
        if (found := identity(str(self.run.status))) != self._status:
            self._status = found
            pool.tell_limits(self.home, self.agent.read_limits(collect.status(self.run)))

    async def _look_at_limit(self, profile: Profile) -> None:
        """After a usage limit: whether the agent says that it waits in place; if so, the home is held meanwhile."""
        if not (self.progress.turn is Turn.FAILED and self.progress.failure is Failure.USAGE_LIMIT):
            self._waits_out, self._resets_at = False, None
        elif (
            not self._waits_out
            and profile.waits_out
            and screen.says(await screen_of(self.terminal, self.run.session), profile.waits_out)
        ):
            self._resets_at = self.agent.read_reset(self.progress.transcript)
            self._waits_out = (self._resets_at or 0.0) > time.time()  # its transcript names the time a moment later
            with contextlib.suppress(OSError):
                if self._waits_out and (put := pool.limit(self.home, self.progress.message, self._resets_at)):
                    event.emit(self.home.events, "hold.put", **put.as_dict())

    def _output(self, contract: Contract, rules: Rules, now: float) -> tuple[Output, str]:
        found = identity(contract.path)
        if found != self._seen:
            self._seen, self._output_since = found, now
        if found is None:
            return Output.MISSING, ""
        if found == contract.before:
            return Output.OLD, ""
        if self._judged and self._judged[0] == found:
            why = self._judged[1]
            return (Output.INVALID, why) if why else (Output.VALID, "")
        age = max(now - self._output_since, time.time() - found.mtime_ns / 1e9)
        if age < rules.quiet or files.being_written(Path(contract.path)):
            return Output.CHANGING, ""
        try:
            why = problem(contract)
        except OSError as unreadable:
            why = f"the output file cannot be read ({unreadable.strerror})"
        if identity(contract.path) != found:
            return Output.CHANGING, ""
        self._judged = found, why
        return (Output.INVALID, why) if why else (Output.VALID, "")

    # -- collect ----------------------------------------------------------------------------------------------

    async def collect(self, ended: Outcome) -> None:
        """Keep what the attempt leaves, then write outcome.json."""
        self._read_events()  # one that others have ended was perhaps never looked at
        self._look_at_limits()
        changes = Changes()
        if record := self.run.attempt():
            if isinstance(ended, Failed | Retry) and ended.error in POST_MORTEM:
                await self._post_mortem(ended.message)
            self._keep_output(record, ended)
            changes = await collect.changes(self.home, self.run, record, done=isinstance(ended, Done))
        remains = Remains(
            exit_status=self.progress.status,
            repairs=self.progress.repairs,
            transcript=self.progress.transcript,
            usage=self.agent.read_usage(self.progress.transcript, collect.status(self.run)),
            branch=changes.branch,
            diff_stat=changes.diff_stat,
        )
        self.run.end(self.home, OutcomeRecord(ended, clock.stamp(), remains))

    def _keep_output(self, record: AttemptRecord, ended: Outcome) -> None:
        if record.output is None:
            return
        if isinstance(ended, Done):
            collect.result(self.home, self.run, Path(record.output.path))
        elif self._invalid:
            collect.invalid(self.home, self.run, Path(record.output.path))

    async def _post_mortem(self, why: str) -> None:
        """While everything still stands: what ran, what was said last."""
        shown = await screen_of(self.terminal, self.run.session)
        pane = (await self.terminal.panes()).get(self.run.session)
        tree = [pane.pid, *(proc.pid for proc in process.descendants(pane.pid))] if pane and not pane.dead else []
        collect.post_mortem(self.home, self.run, why, shown, process.told(tree), self.progress.transcript)


def _launched_at(record: AttemptRecord) -> float:
    """When an attempt began, on this boot's monotonic clock: neither a set clock nor a suspend moves a deadline.

    One from another boot, or from where boots have no name, is dated by the wall clock.
    """
    if record.boot and record.boot == clock.boot():
        return record.monotonic
    return time.monotonic() + clock.seconds(record.started_at) - time.time()
