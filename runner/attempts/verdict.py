"""What follows from the evidence. Pure: no clock, no file, no process; the table in docs/architecture.md as code."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

from runner.agents.agent import Failure
from runner.agents.mode import Mode
from runner.agents.progress import Progress, Turn
from runner.attempts.contract import Output
from runner.jobs.outcome import Done, Failed, Outcome, Requeued


class Process(StrEnum):
    ALIVE = "alive"
    EXITED = "exited"
    """The agent's program ended; its pane is still open."""
    GONE = "gone"
    """Neither program nor pane: killed by hand, or a reboot."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of an attempt at one moment. Times in seconds on one monotonic clock."""

    now: float
    deadline: float
    launched: float = -math.inf
    stall: float = math.inf
    """The longest silence that is allowed."""
    output: Output = Output.MISSING
    parsed: bool = False
    """Valid means read from its first byte to its last (JSON): a part of the output would not be valid."""
    problem: str = ""
    """Why the output is invalid."""
    output_since: float = -math.inf
    """When the output last changed."""
    progress: Progress = field(default_factory=Progress)
    last_event: float = -math.inf
    process: Process = Process.ALIVE
    decision: Outcome | None = None
    """What a person or the worker has decided, whatever the rest says."""
    waits_out: bool = False
    """The agent says that it will go on by itself once its limit is renewed."""
    resets_at: float = math.inf
    """When that is."""
    mode: Mode = Mode.DRIVING
    driven_since: float = -math.inf
    """When the mode last came back to driving: silence before that was a person's."""
    last_line: str = ""
    """The last words on the screen of a program that ended."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the session profile says of its kind of agent. Seconds."""

    hooks: bool = False
    interactive: bool = True
    quiet: float = 0.05
    patience: float = 600.0
    waits_out: bool = False
    """It may go on by itself after a usage limit, and says so on its screen."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing follows yet; look again at `until` or at the next piece of evidence."""

    until: float


TELLING = 3.0
"""Seconds in which an agent whose turn has failed says whether it will go on by itself."""

OVERDUE = 600.0
"""Seconds after a reset in which it has to do so (measured: 50 to 90)."""


def verdict(e: Evidence, rules: Rules) -> Wait | Outcome:
    """The outcome that the evidence proves, or how long to wait for more."""
    if e.decision:
        return e.decision
    if e.process is not Process.ALIVE:
        return _ended(e, rules)
    if e.mode is not Mode.DRIVING:
        return _hands_off(e, rules)
    if e.progress.turn is Turn.FAILED:
        return _limited(e, rules) or _turn_failed(e)
    if e.output is Output.VALID and e.now >= _proven_at(e, rules):
        return Done()
    if _over(e) and e.output in _NO_RESULT:
        return _no_result(e)
    if e.now >= e.deadline:
        return Failed("timeout", f"no result within the time given; {_left(e)}")
    if e.now >= _stalled_at(e):
        return Failed("stalled", f"not a word for longer than `stall` allows; {_left(e)}")
    return Wait(min(e.deadline, _stalled_at(e), _next_look(e, rules)))


def _hands_off(e: Evidence, rules: Rules) -> Wait | Outcome:
    """A person drives: in the mode `manual` only a limit is acted on, in `paused` nothing."""
    if e.progress.turn is not Turn.FAILED or e.mode is not Mode.MANUAL:
        return Wait(math.inf)
    outcome = _limited(e, rules) or _turn_failed(e)
    return Wait(math.inf) if isinstance(outcome, Failed) else outcome


_NO_RESULT = (Output.MISSING, Output.OLD, Output.INVALID)


def _stalled_at(e: Evidence) -> float:
    """When the silence will have been too long. Not where a person was asked, or where a result is already there."""
    if e.stall == math.inf or e.output is Output.VALID or e.progress.attention:
        return math.inf
    return max(e.launched, e.last_event, e.output_since, e.driven_since) + e.stall


def _over(e: Evidence) -> bool:
    return e.progress.turn is Turn.OVER and not e.progress.background


def _proven_at(e: Evidence, rules: Rules) -> float:
    """From when on a valid output is the result, if nothing more happens."""
    if _over(e):
        return -math.inf
    if e.progress.turn is Turn.INTERRUPTED:
        return math.inf
    if rules.hooks:
        return max(e.output_since, e.last_event, e.driven_since) + rules.patience
    return e.output_since + rules.quiet if rules.interactive else math.inf


def _next_look(e: Evidence, rules: Rules) -> float:
    if e.output is Output.CHANGING:
        return _when_stable(e, rules)
    return _proven_at(e, rules) if e.output is Output.VALID else math.inf


def _when_stable(e: Evidence, rules: Rules) -> float:
    """When the output will have been quiet for long enough; soon, where only a writer that holds it open says no."""
    due = e.output_since + rules.quiet
    return due if due > e.now else e.now + max(rules.quiet, 0.1)


def _ended(e: Evidence, rules: Rules) -> Wait | Outcome:
    """The process has ended: what it left is judged. A child of it may still be writing."""
    if e.output is Output.CHANGING and e.now < e.deadline:
        return Wait(_when_stable(e, rules))
    if e.output is Output.VALID and _whole(e, rules):
        return Done()
    if e.progress.turn is Turn.FAILED:
        return _turn_failed(e)
    if e.process is Process.GONE:
        return Requeued("lost", f"the session vanished; {_left(e)}")
    words = f"; its last words: {e.last_line}" if e.last_line else ""
    return Failed("agent-exited", f"the agent ended {_how(e.progress)}; {_left(e)}{words}")


def _whole(e: Evidence, rules: Rules) -> bool:
    """Whether a valid output is known to be all of it. Of an agent without hooks the output is the only sign."""
    by_itself = e.process is Process.EXITED and e.progress.status == 0
    return not rules.hooks or _over(e) or by_itself or e.parsed


def _limited(e: Evidence, rules: Rules) -> Wait | None:
    """Wait for an agent that sits its usage limit out: closing it and going on later would gain nothing."""
    if not (rules.waits_out and e.progress.failure is Failure.USAGE_LIMIT):
        return None
    until = e.resets_at + OVERDUE if e.waits_out and e.resets_at < math.inf else e.last_event + TELLING
    return Wait(until if e.waits_out else min(until, e.now + 0.3)) if e.now < until else None


def _turn_failed(e: Evidence) -> Outcome:
    error, message = e.progress.error, e.progress.message
    reason = f"{error}: {message}" if message else error
    if e.progress.failure is Failure.OTHER:
        return Failed("agent-error", reason)
    return Requeued(e.progress.failure.value, reason)


def _no_result(e: Evidence) -> Outcome:
    sent_back = f" (sent back {e.progress.repairs} times)" if e.progress.repairs else ""
    if e.output is Output.INVALID:
        return Failed("invalid-output", f"the agent ended its turn, but {e.problem}{sent_back}")
    old = ", only the file from before the launch is there" if e.output is Output.OLD else ""
    return Failed("no-output", f"the agent ended its turn without writing the output file{old}{sent_back}")


def _left(e: Evidence) -> str:
    return {
        Output.MISSING: "there is no output file",
        Output.OLD: "the output file is the one from before the launch",
        Output.CHANGING: "the output file was still being written",
        Output.INVALID: e.problem,
        Output.VALID: "an output file is there, but the agent had not finished",
    }[e.output]


def _how(progress: Progress) -> str:
    if progress.signal:
        return f"by signal {progress.signal}"
    return f"with exit status {progress.status}" if progress.status is not None else "with an unknown exit status"
