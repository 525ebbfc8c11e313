"""What a running attempt waits for a person for, and which events end that wait. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from runner.agents.agent import Report

INTERRUPTED = "interrupted"
"""The kind for a turn that a person has broken off: no event reports that, its screen shows it."""


@dataclass(frozen=True, slots=True)
class Attention:
    """One thing that waits for a person: kind is permission, question, dialog, log-in or interrupted."""

    kind: str
    detail: str
    """The tool and what it works on, whole; the question; or the dialog's words."""
    since: str = ""
    """RFC 3339."""
    id: str = ""
    """Of a request that can be answered by a file (permission.py); "" where only the screen can."""
    options: tuple[str, ...] = ()
    """What a question offers."""
    prompt: str = ""
    """The agent's own name of the prompt it was asked under."""
    inputs: tuple[str, ...] = ()
    """What else the tool is given, each as `NAME: VALUE`."""
    rules: tuple[str, ...] = ()
    """What `--always` would allow from then on, in words."""

    @property
    def key(self) -> str:
        """What an answer names: the id, or for what only the screen can answer, a hash of what and when it was."""
        return self.id or hashlib.sha256(f"{self.kind}\0{self.since}\0{self.detail}".encode()).hexdigest()[:8]


def asked(report: Report, request: str, at: str) -> Attention:
    """What a `permission-asked` event with the id `request` asks of a person."""
    options = report.questions[0].options if report.questions else ()
    kind = "question" if report.questions else "permission"
    return Attention(kind, report.tool, at, request, options, report.prompt, report.inputs, report.rules)


def _same(tool: str, other: str) -> bool:
    """Whether two events speak of one use of a tool: of a long one either may hold the beginning alone."""
    short, long = sorted((tool, other), key=len)
    return short == long or (short.endswith("…") and long.startswith(short[:-1]))


def resolves(name: str, report: Report, request: Attention) -> bool:
    """Whether an event ends the wait of `request`: a person has answered it on the screen, or it is void."""
    match name:
        case "tool-finished" | "tool-failed":
            return _same(request.detail, report.tool) or not request.id
        case "prompt-accepted" | "repair":  # a hook that runs beside the agent may report late of the very same prompt
            return not (report.prompt and report.prompt == request.prompt)
        case "turn-over":  # one of the tasks in the background may be what waits
            return not report.background
        case "started":
            return not request.id
    return name in ("turn-failed", "session-ended", "exited")
