"""What an attempt's events say of it so far. Pure: a fold over events.

Used by the attempt that decides, and by `muxq ls` and `show` that tell.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from runner import clock
from runner.event import Event


class Turn(StrEnum):
    NONE = "none"
    BUSY = "busy"
    OVER = "over"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Attention:
    """A running attempt waits for a person: kind is permission, question, dialog or log-in."""

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
    failed_at: float | None = None
    """When the turn failed, in seconds since 1970, until the agent goes on by itself."""
    limited: float = 0.0
    """Seconds it has spent so, until it went on."""
    exited: bool = False
    status: int | None = None
    signal: int | str | None = None
    events: int = 0


def fold(progress: Progress, events: Iterable[Event]) -> Progress:
    """`progress` after `events`. Unknown events count, and change nothing else."""
    for event in events:
        before = progress.turn
        progress = _step(replace(progress, events=progress.events + 1), event.name, event.data)
        if (progress.turn is Turn.FAILED) != (before is Turn.FAILED):
            progress = _limited(progress, event.at)
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


def _step(now: Progress, name: str, data: dict[str, Any]) -> Progress:
    match name:
        case "started":
            said = data.get("transcript_path")
            return replace(now, started=True, transcript=said if said and isinstance(said, str) else now.transcript)
        case "prompt-accepted" if now.prompt and data.get("prompt_id") == now.prompt:
            return now  # told by a hook that ran beside the agent, after the end of that very turn
        case "prompt-accepted" | "repair":
            extra = 1 if name == "repair" else 0
            return replace(now, started=True, turn=Turn.BUSY, background=0, attention=None, repairs=now.repairs + extra)
        case "tool-started":  # may come late too, so it says nothing of a question that was asked since
            return replace(now, doing=tool(data))
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
            return replace(now, turn=Turn.OVER, background=count, prompt=ended, attention=None, doing="")
        case "turn-failed":
            text = str(data.get("last_assistant_message") or data.get("error_details") or "")
            return replace(
                now, turn=Turn.FAILED, error=str(data.get("error") or "unknown"), message=text, attention=None
            )
        case "exited":
            status, signal = data.get("status"), data.get("signal")
            known = now if status is None and signal is None else replace(now, status=status, signal=signal)
            return replace(known, exited=True, attention=None)
    return now


def tool(data: dict[str, Any]) -> str:
    """`Bash: make test` for the data of a tool event; what is longer than a line is cut."""
    given = data.get("tool_input")
    given = given if isinstance(given, dict) else {}
    subject = next((given[key] for key in ("command", "file_path", "pattern", "url", "query") if given.get(key)), "")
    words = " ".join(str(subject).split())
    name = str(data.get("tool_name") or "a tool")
    return f"{name}: {words[:100]}" if words else name
