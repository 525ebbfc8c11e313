"""What an attempt's events say of it so far. Pure: a fold over events.

Used by the attempt that decides, and by `muxq ls` and `show` that tell.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from runner.event import Event

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
    attention: Attention | None = None
    doing: str = ""
    """The last tool, with what it works on."""
    repairs: int = 0
    transcript: str | None = None
    prompt: str = ""
    """The agent's own name of the prompt whose turn ended last."""
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


def fold(progress: Progress, events: Iterable[Event]) -> Progress:
    """`progress` after `events`. Unknown events count, and change nothing else."""
    for event in events:
        progress = _step(replace(progress, events=progress.events + 1), event.name, event.data)
    return progress


def _step(now: Progress, name: str, data: dict[str, Any]) -> Progress:
    match name:
        case "started":
            return replace(now, started=True, transcript=data.get("transcript_path") or now.transcript)
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
        case "tool-finished" | "tool-failed":
            return replace(now, attention=None)
        case "permission-asked":
            return replace(now, attention=Attention("permission", tool(data)))
        case "dialog":
            return replace(now, attention=Attention("dialog", str(data.get("text", ""))))
        case "dialog-answered":
            return replace(now, attention=None)
        case "turn-over":
            tasks = data.get("background_tasks") or []
            count = len(tasks) if isinstance(tasks, list) else 0
            ended = str(data.get("prompt_id") or "")
            if now.queued:
                return replace(_busy(now), background=count, prompt=ended, queued=False, between=True, doing="")
            return replace(now, turn=Turn.OVER, background=count, prompt=ended, attention=None, doing="")
        case "turn-failed":
            text = str(data.get("last_assistant_message") or data.get("error_details") or "")
            return replace(
                now, turn=Turn.FAILED, error=str(data.get("error") or "unknown"), message=text, attention=None
            )
        case "seen-idle" if now.turn is Turn.BUSY and now.between:
            return replace(now, turn=Turn.OVER, between=False)
        case "seen-idle" if now.turn is Turn.BUSY:
            words = "somebody has interrupted the turn; the agent waits for its next message"
            return replace(now, turn=Turn.INTERRUPTED, attention=Attention(INTERRUPTED, words), doing="")
        case "exited":
            status, signal = data.get("status"), data.get("signal")
            known = now if status is None and signal is None else replace(now, status=status, signal=signal)
            return replace(known, exited=True, attention=None)
    return now


def _busy(now: Progress) -> Progress:
    return replace(now, started=True, turn=Turn.BUSY, background=0, attention=None)


def tool(data: dict[str, Any]) -> str:
    """`Bash: make test` for the data of a tool event; what is longer than a line is cut."""
    given = data.get("tool_input")
    given = given if isinstance(given, dict) else {}
    subject = next((given[key] for key in ("command", "file_path", "pattern", "url", "query") if given.get(key)), "")
    words = " ".join(str(subject).split())
    name = str(data.get("tool_name") or "a tool")
    return f"{name}: {words[:100]}" if words else name
