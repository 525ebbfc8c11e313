"""A request for a permission, or a question, that an agent's hook holds open until a person answers by a file.

    runs/JOB/N/answer-ID.json   {"version": 1, "decision": "allow" | "deny" | "answer", "always", "message", "texts"}

The hook (sessions/hook.py) waits here, so this needs nothing but the standard library. It does not know which tool may
do what: rules are the agent's own to judge.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from runner.agents import progress
from runner.agents.agent import Agent, Decision
from runner.errors import MuxqError
from runner.home import events
from runner.system import files

LOOK = 0.25
"""Seconds between two looks of a waiting hook: one stat each of two files."""

NOBODY = "Nobody has answered in time. Go on without it as far as you can, and say in your result what was left out."


def answer_file(run: Path, request: str) -> Path:
    """Where the answer to the request of this id is waited for."""
    return run / f"answer-{request}.json"


def put(run: Path, request: str, decision: Decision, *, tmp: Path) -> None:
    """Leave the answer for the hook that waits; `tmp` lies on the same file system."""
    files.write_json(answer_file(run, request), asdict(decision), tmp=tmp, durable=False)


def taken(run: Path, request: str) -> Decision | None:
    """The answer that lies there; None while there is none, or none that can be read."""
    try:
        said = files.read_json(answer_file(run, request))
    except MuxqError:
        return None
    if not said or said.get("decision") not in ("allow", "deny", "answer"):
        return None
    texts = said.get("texts")
    words = tuple(str(text) for text in texts) if isinstance(texts, list) else ()
    return Decision(said["decision"], bool(said.get("always")), str(said.get("message") or ""), words)


# ---- the hook's side


def hold(
    run: Path, agent: Agent, data: dict[str, Any], *, record: dict[str, Any], within: float, default: str
) -> dict[str, Any] | None:
    """Tell of the request and wait for its answer, told as `permission-answered`; what to print, None for nothing.

    `record` is what of the data the event keeps. `within` is in seconds. Ends by itself where the person answers on
    the screen, and where nobody is there any more to be told.
    """
    tail = events.Tail(run / "events.jsonl")
    tail.skip()
    ident = os.urandom(4).hex()
    request = progress.asked(agent.read_report(record), ident, "")

    def told(by: str, decision: str | None) -> None:
        events.emit(tail.path, "permission-answered", id=ident, by=by, decision=decision)

    _on_interrupt(run, told)  # before a person can see the request, and refuse it
    events.emit(tail.path, "permission-asked", **{**record, "id": ident})
    by, word = _wait(run, agent, request, tail, time.monotonic() + within)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    unasked = "deny" if request.kind == "question" else default  # nobody knows the answer to a question
    decision = taken(run, ident) if by == "person" else Decision(unasked, message=NOBODY) if by == "limit" else None
    if by:
        told(by, decision.decision if decision else word)
    return agent.reply(data, decision) if decision else None


def _wait(
    run: Path, agent: Agent, request: progress.Attention, tail: events.Tail, deadline: float
) -> tuple[str, str | None]:
    """By whom it was answered: person, limit, screen (and how, if that is known), or "": nobody is there to be told."""
    parent, seen = os.getppid(), -1
    while True:
        if answer_file(run, request.id).exists() and taken(run, request.id):
            return "person", None
        size = tail.path.stat().st_size
        if size != seen:
            seen = size
            for found in tail.read():
                if found.name == "permission-answered" and found.data.get("id") == request.id:
                    return "", None
                if progress.resolves(found.name, agent.read_report(found.data), request):
                    return "screen", "allow" if found.name in ("tool-finished", "tool-failed") else None
        if time.monotonic() >= deadline:
            return "limit", None
        if os.getppid() != parent or _nobody_reads():
            return "", None
        time.sleep(LOOK)


def _nobody_reads() -> bool:
    """Whether the other end of standard output is closed."""
    poll = select.poll()
    poll.register(1, 0)
    return bool(poll.poll(0))


def _on_interrupt(run: Path, told: Callable[[str, str | None], None]) -> None:
    """The agent ends the hook with TERM when a person says No on the screen; muxq itself, once the attempt is over."""

    def stop(*_: Any) -> NoReturn:
        if not (run / "outcome.json").exists() or (run / "keep.json").exists():
            told("screen", "deny")
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)


def limits(run: Path) -> tuple[float, str] | None:
    """How long a request waits (seconds) and what it is answered with then, of attempt.json; None: not at all."""
    try:
        said = json.loads((run / "attempt.json").read_bytes())["answer"]
        return float(said["within"]), str(said["default"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
