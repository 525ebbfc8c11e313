"""When a worker may end, and what its run has come to. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from runner.home.hold import Hold
from runner.jobs.state import State
from runner.worker.backlog import Blocked


@dataclass(frozen=True, slots=True)
class Situation:
    """What it depends on whether a worker may end, at one moment."""

    running: bool = False
    """Attempts run in this worker's hands."""
    stopping: bool = False
    """A person or a service manager told it to end."""
    finishes: bool = False
    """Told to end, it waits for the attempts that run."""
    closed: bool = False
    """Its window has closed: nothing more starts."""
    drain: bool = False
    """It ends once nothing is left that can be done now."""
    crowded: bool = False
    """Jobs run that have lost their worker, and there is no room to take them over."""
    dropping: bool = False
    """A file is to be taken in, or is still being written."""
    startable: bool = False
    """Jobs wait that may start now, or soon enough to wait for them."""
    hold: Hold | None = None
    """What keeps them from starting until a person lifts it."""
    looked: bool = False
    """There was a slow look since the last job began, or was dropped."""
    elsewhere: bool = False
    """Another worker runs a job that jobs here wait for."""


def idle(now: Situation) -> bool:
    """Whether a draining worker has nothing in hand, so that it matters what may still come."""
    at_work = now.running or now.crowded or now.dropping
    return now.drain and not (now.stopping or now.closed or at_work)


def unsure(now: Situation) -> bool:
    """Whether only a slow look can tell: perhaps there was no event of a drop, or a worker has died."""
    return idle(now) and not now.startable and not now.looked


def may_end(now: Situation) -> bool:
    """Whether the worker may end: it was told to, its window has closed, or nothing is left that can be done now."""
    if now.stopping:
        return not (now.finishes and now.running)
    if now.closed:
        return not now.running
    if not idle(now):
        return False
    return now.hold is not None if now.startable else now.looked and not now.elsewhere


@dataclass(slots=True)
class Summary:
    """What a run has come to."""

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
