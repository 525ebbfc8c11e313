"""How a job is settled once its attempt has ended: what becomes of it, and in which steps. Pure: tables and decisions.

`follow_up` turns the attempt's outcome into the job's; STEPS says what is done then, in order; `recourse` says how it
goes on where a step fails. Execution carries it out.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from enum import StrEnum

from runner.attempts.plan import BACKOFF
from runner.errors import Unready
from runner.jobs.outcome import RETRYABLE, Failed, Outcome, Requeued, Retry
from runner.jobs.state import Move
from runner.system import clock

MOST = {"lost": 3, "throttle": 20}
"""How often a job may vanish with its worker, or be turned away by the service, before it counts as failed."""

LONGEST_PAUSE = 3600.0
"""Seconds: no pause before a further attempt grows beyond this, unless the job's own backoff is longer."""

PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""Errors of the disk that may pass."""

TRIES = 3
"""How many new attempt folders are begun to record an internal failure in; then the job ends without a record."""


# ---- what becomes of the job


@dataclass(frozen=True, slots=True)
class History:
    """What the outcome of an attempt is weighed against."""

    returns: int = 0
    """Earlier attempts that went back for the same reason, since a person last put the job into the queue."""
    tries: int = 0
    """Earlier attempts that failed and were followed by another, since then."""
    retries: int = 0
    """Further attempts that the job allows."""
    backoff: float = BACKOFF
    """Seconds: the longest pause before the second attempt."""
    never_resumed: bool = False
    """The attempt was to go on with a conversation, and ended by itself before its first word."""


def follow_up(ended: Outcome, history: History, *, now: float, chance: float) -> Outcome:
    """The job's outcome: an end to endless returns, another attempt where one is worth it, else the attempt's own.

    `now` in seconds since 1970; `chance`, drawn from 0 to 1, is the share of the longest pause.
    """
    if isinstance(ended, Requeued):
        return _again_or_never(ended, history)
    if not isinstance(ended, Failed):
        return ended
    if ended.error == "agent-exited" and history.never_resumed:
        return Requeued("not-resumed", ended.message)
    if ended.error in RETRYABLE and history.tries < history.retries:
        longest = min(max(history.backoff, LONGEST_PAUSE), history.backoff * 2**history.tries)
        return Retry(ended.error, ended.message, clock.stamp(now + chance * longest))
    return ended


def _again_or_never(ended: Requeued, history: History) -> Outcome:
    if history.returns < MOST.get(ended.reason, history.returns + 1):
        return ended
    error = "lost" if ended.reason == "lost" else "agent-error"
    return Failed(error, f"{ended.message} (for the {history.returns + 1}th time)")


# ---- in which steps


class Step(StrEnum):
    ANEW = "anew"
    """Begin another attempt folder: the last one can hold no record."""
    RECORD = "record"
    """Collect what the attempt leaves, and write its outcome.json."""
    MOVE = "move"
    """Move the job's file, and notify those who asked for it."""
    LEAVE = "leave"
    """Leave the session open where that was asked for, else close it."""
    CLOSE = "close"
    """End the session and all processes of the attempt."""
    HOLD = "hold"
    """Put the home on hold where the outcome is a limit's or the account's: a client that has ended has written all."""
    CANCEL = "cancel"
    """Cancel the waiting job if that was asked for meanwhile."""
    RELEASE = "release"
    """Forget the request and the turn, and let go of the job's locks."""


STEPS: dict[Move, tuple[Step, ...]] = {
    Move.FINISH: (Step.RECORD, Step.MOVE, Step.LEAVE, Step.RELEASE),
    Move.FAIL: (Step.RECORD, Step.MOVE, Step.CLOSE, Step.RELEASE),
    Move.CANCEL: (Step.RECORD, Step.MOVE, Step.CLOSE, Step.RELEASE),
    Move.REQUEUE: (Step.RECORD, Step.CLOSE, Step.HOLD, Step.MOVE, Step.CANCEL, Step.RELEASE),
}
"""By what the outcome does with the job's file. Into the queue it goes only once nothing of the attempt runs."""

STEPS_ANEW = (Step.ANEW, *STEPS[Move.FAIL])
STEPS_UNRECORDED = STEPS[Move.FAIL][1:]


# ---- where a step fails


class Recourse(StrEnum):
    WAIT = "wait"
    """Take the same step again after a while: what is wrong may pass, or nothing is lost by waiting."""
    ANEW = "anew"
    """The attempt folder is damaged or gone: record an internal failure in a new one."""
    UNRECORDED = "unrecorded"
    """Not even a new folder can be made: the job fails without a record, after a while."""


def recourse(problem: Exception, *, final: bool, failures: int) -> Recourse:
    """What to do about a step that failed. `final`: the job's file is where it stays; `failures`: how many before."""
    if isinstance(problem, Unready) or (isinstance(problem, OSError) and (problem.errno in PASSING or final)):
        return Recourse.WAIT
    return Recourse.ANEW if failures < TRIES else Recourse.UNRECORDED
