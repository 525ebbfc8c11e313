"""A person's answer to what a running job waits for: by a file to the hook that waits, or by keys to a dialog.

Says whether the answer has arrived. Moves no job; knows nothing of the command line.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from runner.agents import permission, profile, progress, screen
from runner.agents.agent import Decision, Report
from runner.agents.profile import Dialog
from runner.agents.progress import Attention
from runner.errors import BadInput, MuxqError, NotFound, Unready
from runner.home import events as event
from runner.home.attempt_folder import AttemptFolder
from runner.home.layout import Home
from runner.system.text import pick
from runner.tmux.terminal import Terminal, of_home

ARRIVES = 10.0
"""Seconds that a hook may take to fetch its answer, or a dialog to obey a key."""

LOOK = 0.05
"""Seconds between two looks meanwhile."""

MOST_KEYS = 30
"""Presses after which an option counts as out of reach."""


def waiting(home: Home, run: AttemptFolder) -> tuple[Attention | None, str]:
    """What the attempt waits for a person for, and what it does if it waits for nobody."""
    now = progress.fold(progress.Progress(), event.read(run.events), profile.agent_of(run, home.sessions))
    return now.attention, now.doing or {progress.Turn.OVER: "its turn is over"}.get(now.turn, "it is at work")


def decide(home: Home, run: AttemptFolder, decision: Decision) -> Attention:
    """Answer the oldest request by `decision`; returns it. BadInput when the job waits for nothing of that kind."""
    asked, doing = waiting(home, run)
    if asked is None:
        raise BadInput(f"job {run.job} waits for nobody: {doing}")
    _refuse_other_kinds(home, run, asked, decision)
    if not asked.id:
        raise BadInput(f"only its screen takes the answer; go there: muxq attach {run.job} --take-over")
    permission.put(run.path, asked.id, decision, tmp=home.tmp)
    if not _within(ARRIVES, lambda: asked.id in _answered(run.events)):
        permission.answer_file(run.path, asked.id).unlink(missing_ok=True)
        raise Unready(f"nobody has taken the answer; look for yourself: muxq attach {run.job} --take-over")
    if (by := _answered(run.events)[asked.id]) != "person":
        raise BadInput(f"it was answered meanwhile, by the {by}")
    return asked


def _refuse_other_kinds(home: Home, run: AttemptFolder, asked: Attention, decision: Decision) -> None:
    job, kind, what = run.job, asked.kind, f"{asked.kind}: {asked.detail}"
    if kind == progress.INTERRUPTED:
        raise BadInput(f"job {job} waits for a message, not for an answer; send it one: muxq send {job} TEXT")
    if kind not in ("permission", "question"):
        raise BadInput(f"job {job} waits for something else ({what}); choose an option: muxq answer {job} OPTION")
    if kind == "question" and decision.decision == "allow":
        raise BadInput(f"job {job} waits for an answer ({what}); say it: muxq answer {job} TEXT")
    if kind == "permission" and decision.decision == "answer":
        raise BadInput(f"job {job} waits for a permission ({what}); muxq approve {job}, or muxq deny {job}")
    report = _report(home, run, asked.id)
    if decision.always and not report.offers_rule:
        raise BadInput(f"the agent has no rule to offer for {asked.detail}; approve it without --always")
    wanted = len(report.questions)
    if decision.decision == "answer" and len(decision.texts) != wanted:
        raise BadInput(f"job {job} asks {wanted} question(s), and {len(decision.texts)} answer(s) were given: {what}")


def _report(home: Home, run: AttemptFolder, request: str) -> Report:
    """What the agent told of the request with this id."""
    asked = (e.data for e in event.read(run.events) if e.name == "permission-asked" and e.data.get("id") == request)
    return profile.agent_of(run, home.sessions).read_report(next(asked, {}))


def _answered(events: Path) -> dict[str, str]:
    """By whom each request was answered, by its id."""
    told = (e.data for e in event.read(events) if e.name == "permission-answered")
    return {str(data.get("id")): str(data.get("by")) for data in told}


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK)
    return True


# ---- dialogs, on the screen


def choose(home: Home, run: AttemptFolder, asked: Attention, text: str) -> str:
    """Choose the option of a dialog that begins with `text`; returns it. BadInput when there is none such."""
    terminal = of_home(home.path)
    chosen = asyncio.run(press(terminal, run.session, text))
    event.emit(run.events, "dialog-answered", dialog=asked.detail, chosen=chosen)
    return chosen


async def press(terminal: Terminal, session: str, text: str) -> str:
    """Move to the option that begins with `text`, see that it is the marked one, and only then press Enter."""
    for _ in range(MOST_KEYS):
        try:
            shown = await terminal.screen(session)
        except NotFound:
            raise BadInput("its session has ended") from None
        options = screen.options(shown)
        wanted = pick(options, text)
        key = screen.answer(shown, Dialog(name="", text="", choose=wanted)) if wanted else None
        if not key:
            raise BadInput(f"no option begins with {text!r}{_offered(options)}")
        await terminal.keys(session, key.key)
        if not await _changed(terminal, session, shown):
            raise Unready(f"the dialog does not obey the key {key.key}; go there: muxq attach --take-over")
        if key.final:
            return wanted
    raise BadInput(f"the option {text!r} cannot be reached")


def _offered(options: Sequence[str]) -> str:
    return f"; there are: {', '.join(options)}" if options else "; no options are on its screen"


async def _changed(terminal: Terminal, session: str, before: str) -> bool:
    """Whether the screen becomes another one in time; one that has gone is another one too."""
    deadline = time.monotonic() + ARRIVES
    while time.monotonic() < deadline:
        try:
            if await terminal.screen(session) != before:
                return True
        except MuxqError:
            return True
        await asyncio.sleep(LOOK)
    return False
