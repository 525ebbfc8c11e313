"""What an attempt's events say of it so far. Pure: a fold over events.

Used by the attempt that decides, and by `muxq ls` and `show` that tell.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from runner.agents.agent import Agent, Failure, Report
from runner.home.events import Event
from runner.system import clock

INTERRUPTED = "interrupted"
"""The kind of attention for a turn that a person has broken off: no event tells of that, its screen does."""


class Turn(StrEnum):
    NONE = "none"
    BUSY = "busy"
    OVER = "over"
    FAILED = "failed"
    INTERRUPTED = INTERRUPTED


@dataclass(frozen=True, slots=True)
class Attention:
    """A running attempt waits for a person: kind is permission, question, dialog, log-in or interrupted."""

    kind: str
    detail: str
    """The tool and what it works on, the question, or the dialog's words."""
    since: str = ""
    """RFC 3339."""
    id: str = ""
    """Of a request that can be answered by a file (permission.py); "" where only the screen can."""
    options: tuple[str, ...] = ()
    """What a question offers."""
    prompt: str = ""
    """The agent's own name of the prompt it was asked under."""


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
    """The `since` of what a person was told of last."""
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
        before = progress.turn
        progress = _step(replace(progress, events=progress.events + 1), event, agent.read_report(event.data))
        if (progress.turn is Turn.FAILED) != (before is Turn.FAILED):
            progress = _limited(progress, event.at)
        if before is Turn.INTERRUPTED and progress.turn is not before:
            others = tuple(request for request in progress.waiting if request.kind != INTERRUPTED)
            progress = replace(progress, waiting=others)
    return progress


def _limited(now: Progress, at: str) -> Progress:
    """A turn has just failed, or goes on after it had."""
    try:
        moment = clock.seconds(at)
    except ValueError:
        return replace(now, failed_at=None)
    if now.failed_at is None:
        return replace(now, failed_at=moment)
    return replace(now, failed_at=None, limited=now.limited + max(0.0, moment - now.failed_at))


def _step(now: Progress, event: Event, report: Report) -> Progress:
    if any(resolves(event.name, report, request) for request in now.waiting):
        open_ones = tuple(request for request in now.waiting if not resolves(event.name, report, request))
        now = replace(now, waiting=open_ones)
    data = event.data
    match event.name:
        case "started":
            return replace(now, started=True, transcript=report.transcript or now.transcript)
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
            return replace(again, doing=report.tool)
        case "permission-asked":
            return replace(now, waiting=(*now.waiting, asked(report, str(data.get("id") or ""), event.at)))
        case "permission-answered":
            return replace(now, waiting=tuple(request for request in now.waiting if request.id != data.get("id")))
        case "dialog":
            kind = "log-in" if data.get("kind") == "log-in" else "dialog"
            return replace(now, waiting=(Attention(kind, str(data.get("text", "")), event.at),))
        case "dialog-answered":
            return replace(now, waiting=())
        case "alerted":
            return replace(now, alerted=str(data.get("since", "")))
        case "turn-over":
            ended = replace(now, background=report.background, prompt=report.prompt, doing="")
            if now.queued:
                return replace(ended, started=True, turn=Turn.BUSY, queued=False, between=True)
            return replace(ended, turn=Turn.OVER)
        case "turn-failed":
            text = report.message or report.details
            return replace(now, turn=Turn.FAILED, failure=report.failure, error=report.error, message=text)
        case "seen-idle" if now.turn is Turn.BUSY and now.between:
            return replace(now, turn=Turn.OVER, between=False)
        case "seen-idle" if now.turn is Turn.BUSY:
            words = "somebody has interrupted the turn; the agent waits for its next message"
            return replace(now, turn=Turn.INTERRUPTED, waiting=(Attention(INTERRUPTED, words, event.at),), doing="")
        case "exited":
            status, signal = data.get("status"), data.get("signal")
            known = now if status is None and signal is None else replace(now, status=status, signal=signal)
            return replace(known, exited=True)
    return now


def _busy(now: Progress) -> Progress:
    return replace(now, started=True, turn=Turn.BUSY, background=0)


def asked(report: Report, request: str, at: str) -> Attention:
    """What a `permission-asked` event with the id `request` asks of a person."""
    options = report.questions[0].options if report.questions else ()
    kind = "question" if report.questions else "permission"
    return Attention(kind, report.tool, at, request, options, report.prompt)


def resolves(name: str, report: Report, request: Attention) -> bool:
    """Whether an event tells that `request` waits no more: a person has answered it on the screen, or it is void."""
    match name:
        case "tool-finished" | "tool-failed":
            return request.detail == report.tool or not request.id
        case "prompt-accepted" | "repair":  # a hook that runs beside the agent may report late of the very same prompt
            return not (report.prompt and report.prompt == request.prompt)
        case "turn-over":  # one of the tasks in the background may be what waits
            return not report.background
        case "started":
            return not request.id
    return name in ("turn-failed", "session-ended", "exited")


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
