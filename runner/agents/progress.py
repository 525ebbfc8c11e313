"""What an attempt's events say of it so far. Pure: a fold over events.

Used by the attempt that decides, and by `muxq ls` and `show` that tell.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from runner.home.events import Event
from runner.system import clock

INTERRUPTED = "interrupted"
"""The kind of attention for a turn that a person has broken off: no event tells of that, its screen does."""

ACCOUNT = {
    "authentication_failed",
    "oauth_org_not_allowed",
    "account_on_hold",
    "verification_required",
    "billing_error",
    "cloud_credential_error",
}
"""Errors of a turn that only a person can put right; no job is at fault."""

PASSING = {"rate_limit", "overloaded", "server_error"}
"""Errors that pass by themselves; the agent has already retried them."""


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
    error: str = ""
    """Why the turn failed, in the agent's own word, and `message` for a person."""
    message: str = ""
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


def fold(progress: Progress, events: Iterable[Event]) -> Progress:
    """`progress` after `events`. Unknown events count, and change nothing else."""
    for event in events:
        before = progress.turn
        progress = _step(replace(progress, events=progress.events + 1), event.name, event.data, event.at)
        if (progress.turn is Turn.FAILED) != (before is Turn.FAILED):
            progress = _limited(progress, event.at)
        if before is Turn.INTERRUPTED and progress.turn is not before:
            others = tuple(one for one in progress.waiting if one.kind != INTERRUPTED)
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


def _step(now: Progress, name: str, data: dict[str, Any], at: str) -> Progress:
    if any(answers(name, data, one) for one in now.waiting):
        now = replace(now, waiting=tuple(one for one in now.waiting if not answers(name, data, one)))
    match name:
        case "started":
            said = data.get("transcript_path")
            return replace(now, started=True, transcript=said if said and isinstance(said, str) else now.transcript)
        case "prompt-accepted" if now.prompt and data.get("prompt_id") == now.prompt:
            return now  # told by a hook that ran beside the agent, after the end of that very turn
        case "prompt-accepted" if now.turn is Turn.BUSY and now.accepted and data.get("prompt_id") == now.accepted:
            return replace(now, queued=True)
        case "prompt-accepted":
            named = str(data.get("prompt_id") or "")
            return replace(_busy(now), accepted=named, queued=False, between=False)
        case "repair":
            return replace(_busy(now), repairs=now.repairs + 1)
        case "tool-started":  # may come late too, so it says nothing of a question that was asked since
            again = _busy(now) if now.turn is Turn.INTERRUPTED else now
            return replace(again, doing=tool(data))
        case "permission-asked":
            return replace(now, waiting=(*now.waiting, asked(data, at)))
        case "permission-answered":
            return replace(now, waiting=tuple(one for one in now.waiting if one.id != data.get("id")))
        case "dialog":
            kind = "log-in" if data.get("kind") == "log-in" else "dialog"
            return replace(now, waiting=(Attention(kind, str(data.get("text", "")), at),))
        case "dialog-answered":
            return replace(now, waiting=())
        case "alerted":
            return replace(now, alerted=str(data.get("since", "")))
        case "turn-over":
            tasks = data.get("background_tasks") or []
            count = len(tasks) if isinstance(tasks, list) else 0
            ended = str(data.get("prompt_id") or "")
            if now.queued:
                return replace(_busy(now), background=count, prompt=ended, queued=False, between=True, doing="")
            return replace(now, turn=Turn.OVER, background=count, prompt=ended, doing="")
        case "turn-failed":
            text = str(data.get("last_assistant_message") or data.get("error_details") or "")
            return replace(now, turn=Turn.FAILED, error=str(data.get("error") or "unknown"), message=text)
        case "seen-idle" if now.turn is Turn.BUSY and now.between:
            return replace(now, turn=Turn.OVER, between=False)
        case "seen-idle" if now.turn is Turn.BUSY:
            words = "somebody has interrupted the turn; the agent waits for its next message"
            return replace(now, turn=Turn.INTERRUPTED, waiting=(Attention(INTERRUPTED, words, at),), doing="")
        case "exited":
            status, signal = data.get("status"), data.get("signal")
            known = now if status is None and signal is None else replace(now, status=status, signal=signal)
            return replace(known, exited=True)
    return now


def _busy(now: Progress) -> Progress:
    return replace(now, started=True, turn=Turn.BUSY, background=0)


def asked(data: dict[str, Any], at: str) -> Attention:
    """What the data of a `permission-asked` event asks of a person."""
    found = questions(data)
    options = tuple(found[0][1]) if found else ()
    kind = "question" if found else "permission"
    return Attention(kind, tool(data), at, str(data.get("id") or ""), options, str(data.get("prompt_id") or ""))


def questions(data: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """The questions of a tool that asks some, each with the options it offers; [] for any other tool."""
    given = data.get("tool_input")
    found = given.get("questions") if isinstance(given, dict) else None
    listed = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return [(str(one.get("question") or ""), _labels(one.get("options"))) for one in listed]


def _labels(options: Any) -> list[str]:
    listed = options if isinstance(options, list) else []
    return [str(one.get("label") or "") if isinstance(one, dict) else str(one) for one in listed]


def answers(name: str, data: dict[str, Any], request: Attention) -> bool:
    """Whether an event tells that `request` waits no more: a person has answered it on the screen, or it is void."""
    match name:
        case "tool-finished" | "tool-failed":
            return request.detail == tool(data) or not request.id
        case "prompt-accepted" | "repair":  # a hook that runs beside the agent may tell late of the very same prompt
            prompt = data.get("prompt_id")
            return not (prompt and prompt == request.prompt)
        case "turn-over":  # one of the tasks in the background may be what waits
            return not data.get("background_tasks")
        case "started":
            return not request.id
    return name in ("turn-failed", "session-ended", "exited")


def tool(data: dict[str, Any]) -> str:
    """`Bash: make test` for the data of a tool event; what is longer than a line is cut."""
    given = data.get("tool_input")
    given = given if isinstance(given, dict) else {}
    subject = next((given[key] for key in ("command", "file_path", "pattern", "url", "query") if given.get(key)), "")
    if not subject and (found := questions(data)):
        return " ".join(" ".join(question for question, _ in found).split())[:200]
    words = " ".join(str(subject).split())
    name = str(data.get("tool_name") or "a tool")
    return f"{name}: {words[:100]}" if words else name


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
        case Turn.FAILED if progress.error in ACCOUNT | PASSING:
            return Status.LIMITED
    return Status.IDLE
