"""When a worker may end, and what its run has come to. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

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


class Course(StrEnum):
    """How a worker goes on."""

    END = "end"
    LOOK = "look"
    """At once by a slow look: perhaps there was no event of a drop, or a worker has died."""
    GO_ON = "go-on"


def course(now: Situation) -> Course:
    """END when the worker was told to, its window has closed, or nothing is left that can be done now."""
    if now.stopping:
        return Course.GO_ON if now.finishes and now.running else Course.END
    if now.closed:
        return Course.GO_ON if now.running else Course.END
    if not now.drain or now.running or now.crowded or now.dropping:
        return Course.GO_ON
    if now.startable:
        return Course.END if now.hold else Course.GO_ON
    if not now.looked:
        return Course.LOOK
    return Course.GO_ON if now.elsewhere else Course.END


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
