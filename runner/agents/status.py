"""The one word for what the session of a running or kept attempt does. Pure."""

from __future__ import annotations

from enum import StrEnum

from runner.agents.agent import Failure
from runner.agents.attention import INTERRUPTED
from runner.agents.progress import Progress, Turn


class Status(StrEnum):
    STARTING = "starting"
    """Launched, and not a word yet."""
    WORKING = "working"
    """In the middle of a turn."""
    WAITING = "waiting"
    """For a person: a permission or a dialog."""
    IDLE = "idle"
    """The turn is over, or a person has interrupted it."""
    LIMITED = "limited"
    """A limit or the account ended the turn; the session still stands."""
    GONE = "gone"
    """The program has ended."""


def status(progress: Progress, *, gone: bool = False) -> Status:
    """The word for what the events say; `gone`: the process is known to have ended, whatever they say."""
    if gone or progress.exited:
        return Status.GONE
    if progress.attention and progress.attention.kind != INTERRUPTED:
        return Status.WAITING
    match progress.turn:
        case Turn.NONE:
            return Status.STARTING
        case Turn.BUSY:
            return Status.WORKING
        case Turn.FAILED if progress.failure is not Failure.OTHER:
            return Status.LIMITED
    return Status.IDLE
