"""One try at a job: prepare → launch → watch → collect → close.

All that it knows is in its folder, in tmux and in the processes, so that a worker can begin in the middle: an attempt
that is taken over from a worker that died is the same code without prepare and launch.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from runner.agents import closing, usage
from runner.agents.agent import Agent
from runner.agents.attention import Attention
from runner.agents.idle import IdleWatch
from runner.agents.lookout import Lookout
from runner.agents.mode import Mode
from runner.agents.profile import Profile
from runner.agents.progress import Progress, Turn
from runner.attempts import collect, prepare
from runner.attempts.collect import Changes
from runner.attempts.contract import Output
from runner.attempts.judge import Judge
from runner.attempts.observer import Limits, Observer
from runner.attempts.output import OutputFile
from runner.attempts.plan import Conversation, Ready
from runner.attempts.verdict import Evidence, Rules, Wait, verdict
from runner.attempts.worktree import Worktree
from runner.errors import NotFound, Unready
from runner.home import events
from runner.home.attempt_folder import AttemptFolder
from runner.home.layout import Home
from runner.home.records import AttemptRecord, Contract, OutcomeRecord, Remains
from runner.jobs.outcome import Done, Failed, Outcome, Retry
from runner.system import clock, process
from runner.system.watch import Watcher
from runner.tmux.terminal import Pane, Terminal, screen_of

POST_MORTEM = ("timeout", "stalled")
"""Errors after which post-mortem.txt shows what the agent was doing last."""


class Attempt:
    """One attempt. wake() it when something may have happened to it; decide() what overrules its evidence."""

    def __init__(
        self,
        home: Home,
        folder: AttemptFolder,
        terminal: Terminal,
        watcher: Watcher,
        alert: Callable[[Attention], None] = lambda _: None,
    ) -> None:
        """`alert` is called once for each thing that waits for a person."""
        self.home, self.folder, self._terminal, self._watcher, self._alert = home, folder, terminal, watcher, alert
        self.record: AttemptRecord | None = None
        """attempt.json, once it is written or read."""
        self.pid: int | None = None
        """The program's, once it is known."""
        self._observer = Observer(home, folder, terminal)
        self._idle_watch, self._slow_look_due = IdleWatch(folder, terminal), False
        self._woken = asyncio.Event()
        self._launched = math.inf
        self._seal = ""
        """The digest of attempt.json, as this worker wrote it or took it over."""
        self._invalid = False
        """It ended with an output that is not what the job asked for."""

    @property
    def progress(self) -> Progress:
        """What its events say of it so far."""
        return self._observer.progress

    @property
    def agent(self) -> Agent:
        """What kind of agent it is, from attempt.json on."""
        return self._observer.agent

    @property
    def decision(self) -> Outcome | None:
        """What a person or the worker has decided about it."""
        return self._observer.decision

    # -- prepare, launch --------------------------------------------------------------------------------------

    def prepare(self, ready: Ready, conversation: Conversation | None, tree: Worktree | None) -> None:
        """Write what the agent will need. BadInput where the template cannot be filled in."""
        self.record = prepare.prepare(self.home, self.folder, ready, conversation, tree)
        self._seal = self.folder.seal()

    async def launch(self, ready: Ready) -> None:
        """Open the session. The environment goes to tmux by its standard input: no secret is on a command line."""
        record = self._prepared()
        workdir = Path(record.workdir)
        if ready.plan.profile.trust:
            await asyncio.to_thread(self.agent.mark_trusted, workdir, ready.environment)
        env = {**ready.environment, **self._marks()}
        events_file, session = self.folder.events, self.folder.session
        pane = await self._terminal.launch(session, record.argv, cwd=workdir, env=env, events=events_file)
        self.pid = pane.pid
        self._launched = time.monotonic()
        events.emit(self.home.events, "attempt.launched", job=self.folder.job, attempt=self.folder.number)

    def take_over(self, record: AttemptRecord, panes: Mapping[str, Pane]) -> None:
        """Begin in the middle: the attempt was launched by a worker that has died."""
        self.record, self._launched, self._seal = record, -math.inf, self.folder.seal()
        self.look(panes, time.monotonic())

    def _prepared(self) -> AttemptRecord:
        if self.record is None:
            raise RuntimeError(f"the attempt {self.folder.session} is neither prepared nor taken over")
        return self.record

    def _marks(self) -> dict[str, str]:
        """The environment by which the attempt's processes are known."""
        return {closing.MARK: self.folder.session, "MUXQ_RUN_DIR": str(self.folder.path)}

    # -- watch ------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Look at the evidence again."""
        self._woken.set()

    def decide(self, outcome: Outcome) -> None:
        """End with `outcome`, whatever the evidence. The first decision counts."""
        self._observer.decision = self._observer.decision or outcome
        self.wake()

    def look(self, panes: Mapping[str, Pane], asked: float) -> None:
        """`panes` are all of tmux, asked for at `asked` (monotonic): they show an end that tmux did not report."""
        self._slow_look_due = True
        pane = panes.get(self.folder.session)
        self.pid = pane.pid if pane else self.pid
        if asked >= self._launched and (pane is None or pane.dead):
            self._end(pane)

    def _end(self, pane: Pane | None) -> None:
        self._observer.ended(pane)
        self.wake()

    async def _follow_end(self) -> None:
        """Report the end of the program, as soon as the system does."""
        try:
            self._end(await self._terminal.ended(self.folder.session))
        except NotFound:
            self._end(None)
        except Unready as problem:  # the worker's slow look goes on asking
            events.emit(self.home.events, "worker.trouble", why=str(problem))

    async def watch(self, profile: Profile, env: Mapping[str, str]) -> Outcome:
        """Wait for evidence until a verdict follows from it. `env` is the agent's."""
        record = self._prepared()
        contract, limits = _contract(record), Limits.of(record)
        rules = _rules(profile, contract)
        judge = Judge(self.folder.path, contract.path, {**env, **self._marks()}, self.wake, self._seal)
        output = OutputFile(contract, rules.quiet, judge)
        lookout = self._lookout(profile, record, limits)
        with self._awake(output), contextlib.closing(judge):
            while True:
                self._woken.clear()
                evidence = await self._observer.evidence(output, limits, profile.waits_out)
                evidence, outcome = self._verdict(evidence, rules, output)
                if not isinstance(outcome, Wait):
                    self._invalid = evidence.output is Output.INVALID
                    return outcome
                due = await lookout.look(evidence.progress, driving=evidence.mode is Mode.DRIVING)
                if self._slow_look_due:
                    self._slow_look_due = False
                    await self._idle_watch.look(profile, evidence.progress, evidence.now - evidence.last_event)
                await self._sleep(min(outcome.until, due))

    def _lookout(self, profile: Profile, record: AttemptRecord, limits: Limits) -> Lookout:
        return Lookout(
            self.home,
            self.folder,
            self._terminal,
            profile,
            permissions=record.permissions,
            launched=limits.launched,
            alert=self._alert,
        )

    @contextlib.contextmanager
    def _awake(self, output: OutputFile) -> Iterator[None]:
        """While a change of a file that matters, or the end of the program, wakes the attempt."""

        def on_file(path: str) -> None:
            # Any event of the output counts: when its writer closes it, it is another evidence, but no other version.
            if os.path.basename(path) == output.name or self._observer.changed():
                self.wake()

        with contextlib.ExitStack() as watches:
            for folder in {self.folder.path, Path(output.contract.path).parent}:
                watches.enter_context(self._watcher.watch(folder, on_file))
            following = asyncio.create_task(self._follow_end())
            watches.callback(following.cancel)
            yield

    def _verdict(self, evidence: Evidence, rules: Rules, output: OutputFile) -> tuple[Evidence, Wait | Outcome]:
        """The verdict and its evidence: an output that is all that is lacking is judged by its whole contract."""
        outcome = verdict(evidence, rules)
        if not (isinstance(outcome, Done) and output.contract.deep):
            return evidence, outcome
        turn_over = evidence.progress.turn is Turn.OVER and not evidence.progress.background
        problem = output.problem(self._observer.work, turn_over=turn_over)
        if problem is None:
            return evidence, Wait(math.inf)
        if problem:
            evidence = replace(evidence, output=Output.INVALID, problem=problem)
        return evidence, verdict(evidence, rules)

    async def _sleep(self, until: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if until == math.inf else max(0.0, until - time.monotonic())):
                await self._woken.wait()

    # -- collect, close ---------------------------------------------------------------------------------------

    async def collect(self, outcome: Outcome) -> None:
        """Keep what the attempt leaves, then write outcome.json."""
        self._observer.read()  # an attempt that was ended by a decision was perhaps never looked at
        record, changes, progress = self.record or self.folder.attempt(), Changes(), self.progress
        if record:
            if isinstance(outcome, Failed | Retry) and outcome.error in POST_MORTEM:
                await self._post_mortem(outcome.message)
            self._keep_output(record, outcome)
            changes = await collect.changes(self.home, self.folder, record, done=isinstance(outcome, Done))
        remains = Remains(
            exit_status=progress.status,
            repairs=progress.repairs,
            transcript=progress.transcript,
            usage=usage.read(self.folder, self.agent, progress.transcript),
            branch=changes.branch,
            diff_stat=changes.diff_stat,
        )
        self.folder.end(self.home, OutcomeRecord(outcome, clock.stamp(), remains))

    def _keep_output(self, record: AttemptRecord, outcome: Outcome) -> None:
        if record.output is None:
            return
        if isinstance(outcome, Done):
            collect.result(self.home, self.folder, Path(record.output.path))
        elif self._invalid:
            collect.invalid(self.home, self.folder, Path(record.output.path))

    async def _post_mortem(self, reason: str) -> None:
        """Write post-mortem.txt while the session still runs."""
        shown = await screen_of(self._terminal, self.folder.session)
        pane = (await self._terminal.panes()).get(self.folder.session)
        pids = [pane.pid, *(proc.pid for proc in process.descendants(pane.pid))] if pane and not pane.dead else []
        processes = process.describe_processes(pids)
        collect.post_mortem(self.home, self.folder, reason, shown, processes, self.progress.transcript)

    async def close(self) -> None:
        """End the session and every process of the attempt."""
        await closing.close(self.home, self.folder, self._terminal, exited=self.progress.exited)


def _contract(record: AttemptRecord) -> Contract:
    if record.output is None:
        raise ValueError(f"attempt.json of {record.session} does not say what the output must be")
    return record.output


def _rules(profile: Profile, contract: Contract) -> Rules:
    patience = profile.patience + (contract.check_timeout if contract.check else 0.0)  # its hook may be checking
    return Rules(profile.hooks, profile.interactive, profile.quiet, patience, waits_out=bool(profile.waits_out))
