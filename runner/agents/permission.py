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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from runner.agents import attention
from runner.agents.agent import Agent, Decision
from runner.errors import MuxqError
from runner.home import events
from runner.home.events import Event
from runner.home.records import AnswerRule
from runner.system import files

LOOK = 0.25
"""Seconds between two looks of a waiting hook: one stat each of two files."""

NOBODY = "Nobody has answered in time. Go on without it as far as you can, and say in your result what was left out."


# ---- the answer, in a file


def answer_file(folder: Path, request: str) -> Path:
    """Where the answer to the request with this id is waited for."""
    return folder / f"answer-{request}.json"


def put(folder: Path, request: str, decision: Decision, *, tmp: Path) -> None:
    """Leave the answer for the hook that waits; `tmp` lies on the same file system."""
    files.write_json(answer_file(folder, request), asdict(decision), tmp=tmp, durable=False)


def taken(folder: Path, request: str) -> Decision | None:
    """The answer in the file; None while there is none, or none that can be read."""
    try:
        record = files.read_json(answer_file(folder, request))
    except MuxqError:
        return None
    if not record or record.get("decision") not in ("allow", "deny", "answer"):
        return None
    texts = record.get("texts")
    answers = tuple(str(text) for text in texts) if isinstance(texts, list) else ()
    return Decision(record["decision"], bool(record.get("always")), str(record.get("message") or ""), answers)


# ---- the hook's side


@dataclass(frozen=True, slots=True)
class Answered:
    """How a request ended: `by` is person, limit or screen, and "" where nobody needs to know any more."""

    by: str
    decision: str | None = None
    """allow or deny, where an answer on the screen shows which."""


def hold(folder: Path, agent: Agent, data: dict[str, Any], *, record: dict[str, Any], rule: AnswerRule) -> str:
    """Report the request and wait for its answer, reported as `permission-answered`; what to print, "" for nothing.

    `record` is what of the data the event keeps. Ends by itself where the person answers on the screen, and where
    nobody reads what is printed.
    """
    request = HeldRequest(folder, agent, record)
    request.ask()
    end = request.wait(time.monotonic() + rule.within)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    decision = request.decision(end, rule.default)
    if end.by:
        request.report_end(end.by, decision.decision if decision else end.decision)
    return json.dumps(agent.reply(data, decision)) if decision else ""


class HeldRequest:
    """One request that a hook holds open; the hook is this process."""

    def __init__(self, folder: Path, agent: Agent, record: dict[str, Any]) -> None:
        self._folder, self._agent, self._record = folder, agent, record
        self._id = os.urandom(4).hex()
        self._request = attention.asked(agent.read_report(record), self._id, "")
        self._tail = events.Tail(folder / "events.jsonl")
        self._parent = os.getppid()

    def ask(self) -> None:
        """Report the request, and its end too where the agent ends this hook."""
        self._tail.skip()
        signal.signal(signal.SIGTERM, self._stop)  # before a person can see the request, and refuse it
        events.emit(self._tail.path, "permission-asked", **{**self._record, "id": self._id})

    def report_end(self, by: str, decision: str | None) -> None:
        events.emit(self._tail.path, "permission-answered", id=self._id, by=by, decision=decision)

    def wait(self, deadline: float) -> Answered:
        """How the request ends; `deadline` is on the monotonic clock."""
        size = -1
        while True:
            if answer_file(self._folder, self._id).exists() and taken(self._folder, self._id):
                return Answered("person")
            if (now := self._tail.path.stat().st_size) != size:
                size = now
                if end := next(filter(None, map(self._end_by, self._tail.read())), None):
                    return end
            if time.monotonic() >= deadline:
                return Answered("limit")
            if os.getppid() != self._parent or _nobody_reads():
                return Answered("")
            time.sleep(LOOK)

    def decision(self, end: Answered, default: str) -> Decision | None:
        """What the agent is answered; None where it has its answer from the screen."""
        if end.by == "limit":  # nobody knows the answer to a question
            return Decision("deny" if self._request.kind == "question" else default, message=NOBODY)
        return taken(self._folder, self._id) if end.by == "person" else None

    def _end_by(self, event: Event) -> Answered | None:
        """How the event ends the request, if it does."""
        if event.name == "permission-answered" and event.data.get("id") == self._id:
            return Answered("")
        if attention.resolves(event.name, self._agent.read_report(event.data), self._request):
            return Answered("screen", "allow" if event.name in ("tool-finished", "tool-failed") else None)
        return None

    def _stop(self, *_: Any) -> NoReturn:
        """The agent ends the hook with TERM when a person says No on the screen; muxq, once the attempt is over."""
        if not (self._folder / "outcome.json").exists() or (self._folder / "keep.json").exists():
            self.report_end("screen", "deny")
        os._exit(0)


def _nobody_reads() -> bool:
    """Whether the other end of standard output is closed."""
    poll = select.poll()
    poll.register(1, 0)
    return bool(poll.poll(0))
