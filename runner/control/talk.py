"""Talking to a session that stands: a message typed into its composer, and the wait for the turn to be over.

What may not be typed over is decided in refusal(), pure. Keys and screens are terminal.py's, events are events.py's.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from runner.agents import composer, mode
from runner.agents.attention import INTERRUPTED, Attention
from runner.agents.idle import IdleWatch
from runner.agents.mode import Driver, Mode
from runner.agents.profile import Profile
from runner.agents.progress import Progress, Turn, fold
from runner.errors import Refused, Unready
from runner.home import events
from runner.home.attempt_folder import AttemptFolder
from runner.system.text import shorten
from runner.tmux.terminal import Terminal

LOOK = 0.05
"""Seconds between two looks at the events, while a person waits for the answer to a command."""

SLOW_LOOK = 2.0
"""Seconds between two looks at what no event reports: the screen, and where the job is."""

COMPOSER_SECONDS = 10.0
"""How long the composer may take to be drawn, of a session that has just started or changes its screen."""

TYPED_SECONDS = 1.0
"""How long the text may take to be drawn, before Enter is pressed all the same."""

ENTERS = 4
"""How often Enter is pressed, each once ACCEPT_SECONDS have passed without an event. The text is never typed again."""

ACCEPT_SECONDS = 3.0

ANSWER = ("muxq answer {} TEXT",)
ANSWERS = {"permission": ("muxq approve {0}", "muxq deny {0}"), "question": ("muxq answer {0} TEXT", "muxq deny {0}")}
"""What a person types to answer a request of this kind; ANSWER for any other."""

CLEARINGS = 10
"""How often a line of a draft is deleted before it is given up."""

SHOWN = 60
"""Characters of a draft that a refusal shows."""

ENDS = {Turn.OVER: "over", Turn.FAILED: "failed", Turn.INTERRUPTED: "interrupted"}


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was typed; `queued`: it waits behind a turn."""

    job: str
    queued: bool

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """How a turn ended: `how` is over, interrupted, failed or gone; `words` are the agent's last."""

    how: str
    words: str = ""


def refusal(
    job: str, text: str, profile: Profile, driver: Driver, progress: Progress, *, raw: bool, force: bool
) -> str:
    """Why a message is not typed, with what to do; "" when it may be."""
    if not profile.composer:
        return f"the agent {profile.name!r} cannot be sent messages: its profile has no `composer`"
    if not text.strip():
        return "there is nothing to send"
    special = next((beginning for beginning in profile.special if text.lstrip().startswith(beginning)), None)
    if special and not raw:
        return f"a message that begins with {special!r} is a command to the agent's own program; send it with --raw"
    if driver.holder and not force:
        return f"somebody has taken over the session of job {job} (process {driver.holder.pid}); wait, or use --force"
    if driver.mode is not Mode.DRIVING and not force:
        return f"the mode of job {job} is {driver.mode}; first: muxq mode {job} driving (or use --force)"
    if progress.exited:
        return f"the program of job {job} has ended"
    if progress.attention and progress.attention.kind != INTERRUPTED:
        return _refusal_of_request(job, progress.attention)
    return ""


def _refusal_of_request(job: str, request: Attention) -> str:
    commands = " or ".join(ANSWERS.get(request.kind, ANSWER)).format(job)
    waits = f"job {job} waits for an answer ({request.kind}: {shorten(request.detail, 100)}), not for a message"
    return f"{waits}; answer it with: {commands}"


class Talk:
    """With the session of one attempt."""

    def __init__(self, folder: AttemptFolder, profile: Profile, terminal: Terminal) -> None:
        self._folder, self._profile, self._terminal = folder, profile, terminal
        self._job, self._session = folder.job, folder.session
        self._progress = Progress()
        self._tail = events.Tail(folder.events)
        self._last_words = ""
        self._last_event = time.monotonic()

    # -- sending ----------------------------------------------------------------------------------------------

    async def send(self, text: str, *, raw: bool = False, force: bool = False) -> Sent:
        """Type `text` as one message. Refused: it was not typed. Unready: it was typed and not accepted."""
        self._read()
        driver = mode.current(self._folder)
        if why := refusal(self._job, text, self._profile, driver, self._progress, raw=raw, force=force):
            raise Refused(why)
        await self._empty_composer(force=force)
        queued = self._progress.turn is Turn.BUSY
        await self._terminal.paste(self._session, text)
        await _until(self._typed, TYPED_SECONDS)
        accepted = self._empty if raw or not self._profile.hooks else self._accepted
        for _ in range(ENTERS):
            await self._terminal.keys(self._session, "Enter")
            if await _until(accepted, ACCEPT_SECONDS):
                return Sent(self._job, queued)
        raise Unready(
            f"the message stands in the composer of job {self._job}, and was not accepted; "
            f"look at it: muxq attach {self._job} --take-over"
        )

    async def _empty_composer(self, *, force: bool) -> None:
        """Wait until the composer is there; Refused when it stays away, or somebody has begun to type.

        With `force` a draft is deleted: a client puts an interrupted message back into its composer.
        """
        if not await _until(self._drawn, COMPOSER_SECONDS):
            raise Refused(
                f"there is no composer on the screen of job {self._job}, so nothing was typed; "
                f"look at it: muxq attach {self._job}"
            )
        for _ in range(CLEARINGS if force and await self._draft() else 0):
            await self._terminal.keys(self._session, "C-u")
            if await _until(self._empty, 4 * LOOK):
                return
        if draft := await self._draft():
            shown = draft if len(draft) <= SHOWN else draft[:SHOWN] + "…"
            raise Refused(
                f"somebody has begun to type to job {self._job}: {shown!r}; nothing was typed over it. "
                f"Send or delete that first (muxq attach {self._job} --take-over), or delete it with --force"
            )

    async def _draft(self) -> str | None:
        view = await self._terminal.view(self._session)
        return composer.draft(view.text, view.row, self._profile.composer)

    async def _drawn(self) -> bool:
        return await self._draft() is not None

    async def _typed(self) -> bool:
        return bool(await self._draft())

    async def _empty(self) -> bool:
        return not await self._draft()

    async def _accepted(self) -> bool:
        return any(event.name == "prompt-accepted" for event in self._read())

    # -- waiting ----------------------------------------------------------------------------------------------

    async def turn(self, ended: Callable[[], str | None], timeout: float | None = None) -> TurnEnd:
        """Block until the present turn is over, however it ends. TimeoutError after `timeout` seconds.

        `ended` says what has become of a job whose session is no more ("done", …), None while it stands.
        """
        idle_watch = IdleWatch(self._folder, self._terminal)
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        due = 0.0
        while True:
            self._read()
            if how := self._over():
                return TurnEnd(how, self._last_words)
            if time.monotonic() >= due:
                due = time.monotonic() + SLOW_LOOK
                if (state := ended()) is not None:
                    self._read()
                    return TurnEnd(self._over() or ("over" if state == "done" else "gone"), self._last_words)
                await idle_watch.look(self._profile, self._progress, time.monotonic() - self._last_event)
            if time.monotonic() >= deadline:
                raise TimeoutError(f"the turn of job {self._job} is not over yet")
            await asyncio.sleep(LOOK)

    def _over(self) -> str | None:
        """How the turn ended, None while it has not. An agent that reports no turns ends with its job."""
        gone = "gone" if self._progress.exited and self._profile.hooks else None
        return ENDS.get(self._progress.turn) or gone

    def _read(self) -> list[events.Event]:
        """The events since the last call, folded into the progress."""
        fresh = self._tail.read()
        if fresh:
            self._last_event = time.monotonic()
        agent = self._profile.agent
        for event in fresh:
            if event.name in ("turn-over", "turn-failed"):
                report = agent.read_report(event.data)
                self._last_words = report.message or (report.error if event.name == "turn-failed" else "")
        self._progress = fold(self._progress, fresh, agent)
        return fresh


async def _until(condition: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(LOOK)
    return True
