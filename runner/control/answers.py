"""A person's answer to what a running job waits for: by a file to the hook that waits, or by keys to a dialog.

Reports whether the answer has arrived. Moves no job; knows nothing of the command line.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from runner.agents import permission, profile, progress, screen
from runner.agents.agent import Decision, Report
from runner.agents.attention import INTERRUPTED, Attention
from runner.agents.progress import Progress, Turn
from runner.errors import BadInput, MuxqError, NotFound, Unready
from runner.home import events
from runner.home.attempt_folder import AttemptFolder
from runner.home.layout import Home
from runner.system.text import pick, shorten
from runner.tmux.terminal import Terminal, of_home

ARRIVES = 10.0
"""Seconds that a hook may take to fetch its answer, or a dialog to obey a key."""

LOOK = 0.05
"""Seconds between two looks meanwhile."""

BRIEF = 100
"""Characters of a request in the sentence of an error."""

MOST_KEYS = 30
"""Presses after which an option counts as out of reach."""


def oldest(home: Home, folder: AttemptFolder) -> Attention:
    """What the attempt has waited for a person for the longest. BadInput when it waits for nobody."""
    return _requests(home, folder)[0]


def waits_with(home: Home, folder: AttemptFolder, key: str | None = None) -> Attention:
    """The request `key` that the attempt waits with, or the oldest.

    BadInput when it waits for nobody, or not with this request any more. Without a key also where an earlier request
    has ended without a person: whoever answers may have seen that one.
    """
    requests, look = _requests(home, folder), f"muxq show {folder.job}"
    if key is not None:
        if request := next((request for request in requests if request.key == key), None):
            return request
        raise BadInput(f"job {folder.job} does not wait with request {key} any more; look again: {look}")
    if missed := [request for request, by in _answered(folder.events).items() if by != "person"]:
        raise BadInput(
            f"request {missed[-1]} of job {folder.job} has ended without you, and another waits; "
            f"look: {look}, then name it: --request {requests[0].key}"
        )
    return requests[0]


def _requests(home: Home, folder: AttemptFolder) -> tuple[Attention, ...]:
    """What the attempt waits for a person for, the oldest first. BadInput, with what it does, for nothing."""
    now = progress.fold(Progress(), events.read(folder.events), profile.agent_of(folder, home.sessions))
    if not now.waiting:
        doing = now.doing or ("its turn is over" if now.turn is Turn.OVER else "it is at work")
        raise BadInput(f"job {folder.job} waits for nobody: {doing}")
    return now.waiting


def _brief(request: Attention) -> str:
    return shorten(request.detail, BRIEF)


# ---- requests, by a file


def decide(home: Home, folder: AttemptFolder, decision: Decision, key: str | None = None) -> Attention:
    """Answer the request `key`, the oldest by default, by `decision`; returns it.

    BadInput when the job waits for nothing of that kind, or not for this request any more.
    """
    request = waits_with(home, folder, key)
    _check_kind(folder.job, request, decision)
    _check_content(folder.job, request, decision, _report(home, folder, request))
    if not request.id:
        raise BadInput(f"only its screen takes the answer; go there: muxq attach {folder.job} --take-over")
    permission.put(folder.path, request.id, decision, tmp=home.tmp)
    if not _within(ARRIVES, lambda: request.id in _answered(folder.events)):
        permission.answer_file(folder.path, request.id).unlink(missing_ok=True)
        raise Unready(f"nobody has taken the answer; look for yourself: muxq attach {folder.job} --take-over")
    if (by := _answered(folder.events)[request.id]) != "person":
        raise BadInput(f"it was answered meanwhile, by the {by}")
    return request


def _check_kind(job: str, request: Attention, decision: Decision) -> None:
    """BadInput for a decision that does not answer a request of this kind; with the command that does."""
    kind, what = request.kind, f"{request.kind}: {_brief(request)}"
    if kind == INTERRUPTED:
        raise BadInput(f"job {job} waits for a message, not for an answer; send it one: muxq send {job} TEXT")
    if kind not in ("permission", "question"):
        raise BadInput(f"job {job} waits for something else ({what}); choose an option: muxq answer {job} OPTION")
    if kind == "question" and decision.decision == "allow":
        raise BadInput(f"job {job} waits for an answer ({what}); give it one: muxq answer {job} TEXT")
    if kind == "permission" and decision.decision == "answer":
        raise BadInput(f"job {job} waits for a permission ({what}); muxq approve {job}, or muxq deny {job}")


def _check_content(job: str, request: Attention, decision: Decision, report: Report) -> None:
    """BadInput for a rule that the agent does not offer, and for the wrong number of answers."""
    if decision.always and not request.rules:
        raise BadInput(f"the agent has no rule to offer for {_brief(request)}; approve it without --always")
    asked, given = len(report.questions), len(decision.texts)
    if decision.decision == "answer" and given != asked:
        what = f"{request.kind}: {_brief(request)}"
        raise BadInput(f"job {job} asks {asked} question(s), and {given} answer(s) were given: {what}")


def _report(home: Home, folder: AttemptFolder, request: Attention) -> Report:
    """What the agent reported of the request."""
    asked = (event.data for event in events.read(folder.events) if event.name == "permission-asked")
    data = next((data for data in asked if data.get("id") == request.id), {})
    return profile.agent_of(folder, home.sessions).read_report(data)


def _answered(path: Path) -> dict[str, str]:
    """By whom each request was answered, by its id."""
    answers = (event.data for event in events.read(path) if event.name == "permission-answered")
    return {str(data.get("id")): str(data.get("by")) for data in answers}


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK)
    return True


# ---- dialogs, on the screen


def choose(home: Home, folder: AttemptFolder, request: Attention, text: str) -> str:
    """Choose the option of a dialog that begins with `text`; returns it. BadInput when there is none such."""
    chosen = asyncio.run(press(of_home(home.path), folder.session, text))
    events.emit(folder.events, "dialog-answered", dialog=request.detail, chosen=chosen)
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
        key = screen.next_key(shown, wanted) if wanted else None
        if not key:
            raise BadInput(f"no option begins with {text!r}{_offered(options)}")
        await terminal.keys(session, key.name)
        if not await _changed(terminal, session, shown):
            raise Unready(f"the dialog does not obey the key {key.name}; go there: muxq attach --take-over")
        if key.final:
            return wanted
    raise BadInput(f"the option {text!r} cannot be reached")


def _offered(options: Sequence[str]) -> str:
    return f"; there are: {', '.join(options)}" if options else "; no options are on its screen"


async def _changed(terminal: Terminal, session: str, before: str) -> bool:
    """Whether the screen changes in time; a session that has gone counts as changed."""
    deadline = time.monotonic() + ARRIVES
    while time.monotonic() < deadline:
        try:
            if await terminal.screen(session) != before:
                return True
        except MuxqError:
            return True
        await asyncio.sleep(LOOK)
    return False
