"""Events as sentences for people: those of the home, and those of an attempt. Pure."""

from __future__ import annotations

from typing import Any

from runner.agents.agent import Agent
from runner.system import clock
from runner.system.text import shorten

WIDTH = 100
"""Characters of a tool and what it works on."""

ON_STOP = {
    "leave": "they go on; the next worker takes over",
    "finish": "waiting for them",
    "kill": "ending them",
}
"""What a stopping worker does with the sessions that run, by the value of `on_stop`."""


def sentence(name: str, data: dict[str, Any]) -> str | None:
    """An event of the home as a line for people; None for an event that people need not see."""
    job = data.get("job", "")
    match name:
        case "job.admitted":
            return f"{job} taken in" + (f" ({data['file']})" if data.get("file") else "")
        case "job.added":
            return f"{job} added"
        case "job.rejected":
            return f"{data['file']} rejected: {data['why']}"
        case "job.running":
            return f"{job} started"
        case "job.taken-over":
            return f"{job} taken over from a worker that is gone"
        case "job.done" | "job.failed" | "job.cancelled":
            why = f": {data['why']}" if data.get("why") else ""
            return f"{job} {name.removeprefix('job.')}{why}"
        case "job.queued":
            return f"{job} back in the queue: {data.get('why', '')}"
        case "job.blocked":
            return f"{job} cannot start: {data['why']}"
        case "job.attention":
            return f"{job} waits for you ({data['kind']}): {data['detail']}"
    return _sentence_without_job(name, data)


def _sentence_without_job(name: str, data: dict[str, Any]) -> str | None:
    match name:
        case "hold.put":
            until = clock.local(clock.seconds(data["until"])) if data["until"] else "a person lifts it"
            return f"on hold until {until}: {data['reason']}"
        case "hold.lifted":
            return "the hold was lifted"
        case "notify.failed":
            return f"notification failed ({data['what']}): {data['why']}"
        case "worker.trouble":
            return f"trouble: {data['why']}"
        case "schedule.skipped":
            return f"schedule {data['schedule']}: nothing added, {data['job']} still waits or runs"
        case "schedule.trouble":
            return f"schedule {data['schedule']}: {data['why']}"
        case "worker.closed":
            return f"nothing more starts: {data['why']}; {data['running']} running"
        case "worker.stopping":
            return f"stopping; {data['running']} running: {ON_STOP[data['on_stop']]}" if data["running"] else "stopping"
    return None


def sentence_of_attempt(name: str, data: dict[str, Any], agent: Agent) -> str | None:  # noqa: C901 - one case for each event
    """An event of an attempt with such an agent as a line for people; None for an event that people need not see."""
    report = agent.read_report(data)
    match name:
        case "started":
            return "the agent's session is up"
        case "prompt-accepted":
            return "the prompt was accepted"
        case "tool-started":
            return shorten(report.tool, WIDTH)
        case "permission-asked":
            return f"waits for {'an answer' if report.questions else 'a permission'}: {shorten(report.tool, WIDTH)}"
        case "permission-answered":
            return f"{data.get('decision') or 'answered'}, by the {data.get('by')}"
        case "turn-over":
            return "the turn is over"
        case "seen-idle":
            return "its screen shows that it waits for a message"
        case "turn-failed":
            return f"the turn failed: {report.error}: {report.message}"
        case "repair":
            return f"sent back: {data.get('reason')}"
        case "exited":
            status = data.get("status")
            return "the process ended" + (f" with status {status}" if status is not None else "")
        case "dialog":
            return f"shows a dialog: {data.get('text')}"
        case "dialog-answered":
            return f"the dialog {data.get('dialog')!r} was answered with {data.get('chosen')!r}"
    return None
