"""The progress of an attempt by its events so far. Pure: a fold over events.

Used by the attempt, which decides by it, and by `muxq ls` and `show`, which print it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from runner.agents.agent import Agent, Failure, Report
from runner.agents.attention import INTERRUPTED, Attention, asked, resolves
from runner.home.events import Event
from runner.system import clock
from runner.system.text import shorten

DOING = 100
"""Characters of `doing`."""


class Turn(StrEnum):
    NONE = "none"
    BUSY = "busy"
    OVER = "over"
    FAILED = "failed"
    INTERRUPTED = INTERRUPTED


@dataclass(frozen=True, slots=True)
class Progress:
    started: bool = False
    """The agent's session is up; no start-up dialog stands in the way."""
    turn: Turn = Turn.NONE
    background: int = 0
    """Background tasks that were running when the turn ended."""
    failure: Failure = Failure.OTHER
    """What follows from the failure of the turn; `error` is the agent's own word for it."""
    error: str = ""
    message: str = ""
    """Why the turn failed, for a person."""
    waiting: tuple[Attention, ...] = ()
    """What it waits for a person for, the oldest first."""
    alerted: str = ""
    """The `since` of what was last reported to a person."""
    doing: str = ""
    """The last tool, with what it works on."""
    repairs: int = 0
    transcript: str | None = None
    prompt: str = ""
    """The agent's own name of the prompt whose turn ended last."""
    failed_at: float | None = None
    """When the turn failed, in seconds since 1970, until the agent goes on by itself."""
    limited: float = 0.0
    """Seconds it has spent so, until it went on."""
    accepted: str = ""
    """And of the one that was accepted last."""
    queued: bool = False
    """A message was accepted in the middle of the turn: carried out in it, or in one of its own right after it."""
    between: bool = False
    """A turn has ended with a message queued, and no event says whether another follows."""
    exited: bool = False
    status: int | None = None
    signal: int | str | None = None
    events: int = 0

    @property
    def attention(self) -> Attention | None:
        """What a person has to see to first."""
        return self.waiting[0] if self.waiting else None


def fold(progress: Progress, events: Iterable[Event], agent: Agent) -> Progress:
    """`progress` after `events` of this kind of agent. Unknown events count, and change nothing else."""
    for event in events:
        report = agent.read_report(event.data)
        after = _waiting(replace(progress, events=progress.events + 1), event, report)
        after = _turn(_session(after, event, report), event, report)
        progress = _limited(after, progress.turn, event.at)
    return progress


def _waiting(now: Progress, event: Event, report: Report) -> Progress:
    """What waits for a person after the event."""
    waiting = tuple(request for request in now.waiting if not resolves(event.name, report, request))
    match event.name:
        case "permission-asked":
            waiting = (*waiting, asked(report, str(event.data.get("id") or ""), event.at))
        case "permission-answered":
            waiting = tuple(request for request in waiting if request.id != event.data.get("id"))
        case "dialog":
            kind = "log-in" if event.data.get("kind") == "log-in" else "dialog"
            waiting = (Attention(kind, str(event.data.get("text", "")), event.at),)
        case "dialog-answered":
            waiting = ()
    return replace(now, waiting=waiting) if waiting != now.waiting else now


def _session(now: Progress, event: Event, report: Report) -> Progress:
    """The session and its program after the event."""
    match event.name:
        case "started":
            return replace(now, started=True, transcript=report.transcript or now.transcript)
        case "alerted":
            return replace(now, alerted=str(event.data.get("since", "")))
        case "exited":
            status, signal = event.data.get("status"), event.data.get("signal")
            known = now if status is None and signal is None else replace(now, status=status, signal=signal)
            return replace(known, exited=True)
    return now


def _turn(now: Progress, event: Event, report: Report) -> Progress:
    """The turn after the event."""
    match event.name:
        case "prompt-accepted" if now.prompt and report.prompt == now.prompt:
            return now  # reported by a hook that ran beside the agent, after the end of that very turn
        case "prompt-accepted" if now.turn is Turn.BUSY and now.accepted and report.prompt == now.accepted:
            return replace(now, queued=True)
        case "prompt-accepted":
            return replace(_busy(now), accepted=report.prompt, queued=False, between=False)
        case "repair":
            return replace(_busy(now), repairs=now.repairs + 1)
        case "tool-started":  # may come late too, so it says nothing of a question that was asked since
            again = _busy(now) if now.turn is Turn.INTERRUPTED else now
            return replace(again, doing=shorten(report.tool, DOING))
        case "turn-over":
            ended = _ended(now, Turn.OVER, background=report.background, prompt=report.prompt, doing="")
            busy = replace(ended, started=True, turn=Turn.BUSY, queued=False, between=True)
            return busy if now.queued else ended
        case "turn-failed":
            text = report.message or report.details
            return _ended(now, Turn.FAILED, failure=report.failure, error=report.error, message=text)
        case "seen-idle" if now.turn is Turn.BUSY and now.between:
            return _ended(now, Turn.OVER, between=False)
        case "seen-idle" if now.turn is Turn.BUSY:
            words = "somebody has interrupted the turn; the agent waits for its next message"
            return replace(now, turn=Turn.INTERRUPTED, waiting=(Attention(INTERRUPTED, words, event.at),), doing="")
    return now


def _busy(now: Progress) -> Progress:
    return replace(_resumed(now), started=True, turn=Turn.BUSY, background=0)


def _ended(now: Progress, turn: Turn, **changes: Any) -> Progress:
    return replace(_resumed(now), turn=turn, **changes)


def _resumed(now: Progress) -> Progress:
    """Without the attention for an interrupted turn: the session goes on."""
    others = tuple(request for request in now.waiting if request.kind != INTERRUPTED)
    return replace(now, waiting=others) if others != now.waiting else now


def _limited(now: Progress, before: Turn, at: str) -> Progress:
    """Count the time from a failed turn until the agent goes on by itself."""
    if (now.turn is Turn.FAILED) == (before is Turn.FAILED):
        return now
    try:
        moment = clock.seconds(at)
    except ValueError:
        return replace(now, failed_at=None)
    if now.failed_at is None:
        return replace(now, failed_at=moment)
    return replace(now, failed_at=None, limited=now.limited + max(0.0, moment - now.failed_at))
