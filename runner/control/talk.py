"""Talking to a session that stands: a message typed into its composer, and the wait for the turn to be over.

Every door is another's (terminal.py, event.py); what may not be typed over is decided in refusal(), pure.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runner.agents import composer, mode
from runner.agents.idle import IdleWatch
from runner.agents.mode import Driver, Mode
from runner.agents.profile import Profile
from runner.agents.progress import INTERRUPTED, Progress, Turn, fold
from runner.errors import Refused, Unready
from runner.home import events
from runner.home.attempt_folder import AttemptFolder
from runner.home.layout import Home
from runner.tmux.terminal import Terminal

LOOK = 0.05
"""Seconds between two looks at the events, while a person waits for the answer to a command."""

SLOW_LOOK = 2.0
"""Seconds between two looks at what no event tells of: the screen, and where the job is."""

COMPOSER_SECONDS = 10.0
"""How long the composer may take to be drawn, of a session that has just started or changes its screen."""

ENTERS = 4
"""How often Enter is pressed, each once ACCEPT_SECONDS have passed without a word. The text is never typed again."""

ACCEPT_SECONDS = 3.0

ANSWER = ("muxq answer {} TEXT",)
ANSWERS = {"permission": ("muxq approve {0}", "muxq deny {0}"), "question": ("muxq answer {0} TEXT", "muxq deny {0}")}
"""What a person types to answer a request of this kind; ANSWER for any other."""

CLEARINGS = 10
"""How often a line of a draft is deleted before it is given up."""


@dataclass(frozen=True, slots=True)
class Turned:
    """How a turn ended: `how` is over, interrupted, failed or gone; `said`: the agent's last words."""

    how: str
    said: str = ""

    @property
    def well(self) -> bool:
        return self.how == "over"


def refusal(job: str, text: str, profile: Profile, hands: Driver, now: Progress, *, raw: bool, force: bool) -> str:
    """Why a message is not typed, with what to do; "" when it may be."""
    if not profile.composer:
        return f"the agent {profile.name!r} cannot be sent messages: its profile has no `composer`"
    if not text.strip():
        return "there is nothing to send"
    if not raw and (found := next((word for word in profile.special if text.lstrip().startswith(word)), None)):
        return f"a message that begins with {found!r} is a command to the agent's own program; send it with --raw"
    if hands.holder and not force:
        return f"somebody has taken over the session of job {job} (process {hands.holder.pid}); wait, or use --force"
    if hands.mode is not Mode.DRIVING and not force:
        return f"the mode of job {job} is {hands.mode}; first: muxq mode {job} driving (or use --force)"
    if now.exited:
        return f"the program of job {job} has ended"
    if now.attention and now.attention.kind != INTERRUPTED:
        return (
            f"job {job} waits for an answer ({now.attention.kind}: {now.attention.detail}), not for a message; "
            f"answer it with: {' or '.join(ANSWERS.get(now.attention.kind, ANSWER)).format(job)}"
        )
    return ""


class Talk:
    """With one session."""

    def __init__(self, home: Home, run: AttemptFolder, profile: Profile, terminal: Terminal) -> None:
        self.home, self.run, self.profile, self.terminal = home, run, profile, terminal
        self.progress = Progress()
        self._tail = events.Tail(run.events)
        self._said = ""
        self._last_event = time.monotonic()

    # -- sending ----------------------------------------------------------------------------------------------

    async def send(self, text: str, *, raw: bool = False, force: bool = False) -> bool:
        """Type `text` as one message; returns whether it was queued behind a turn. Refused: it was not typed."""
        self._read()
        hands = mode.current(self.run)
        if why := refusal(self.run.job, text, self.profile, hands, self.progress, raw=raw, force=force):
            raise Refused(why)
        await self._empty_composer(force=force)
        busy = self.progress.turn is Turn.BUSY
        await self.terminal.paste(self.run.session, text)
        await self._until(self._typed, 1.0)
        for _ in range(ENTERS):
            await self.terminal.keys(self.run.session, "Enter")
            if await self._until(self._taken if raw or not self.profile.hooks else self._accepted, ACCEPT_SECONDS):
                return busy
        raise Unready(
            f"the message stands in the composer of job {self.run.job}, and was not accepted; "
            f"look at it: muxq attach {self.run.job} --take-over"
        )

    async def _empty_composer(self, *, force: bool) -> None:
        """Wait until the composer is there; Refused when it stays away, or somebody has begun to type.

        With `force` what stands there is deleted: a client puts an interrupted message back there.
        """
        if not await self._until(self._drawn, COMPOSER_SECONDS):
            raise Refused(
                f"there is no composer on the screen of job {self.run.job}, so nothing was typed; "
                f"look at it: muxq attach {self.run.job}"
            )
        for _ in range(CLEARINGS if force and await self._draft() else 0):
            await self.terminal.keys(self.run.session, "C-u")
            if await self._until(self._taken, 4 * LOOK):
                return
        if draft := await self._draft():
            shown = draft if len(draft) <= 60 else draft[:60] + "…"
            raise Refused(
                f"somebody has begun to type to job {self.run.job}: {shown!r}; nothing was typed over it. "
                f"Send or delete that first (muxq attach {self.run.job} --take-over), or delete it with --force"
            )

    async def _draft(self) -> str | None:
        shown = await self.terminal.view(self.run.session)
        return composer.draft(shown.text, shown.row, self.profile.composer)

    async def _drawn(self) -> bool:
        return await self._draft() is not None

    async def _typed(self) -> bool:
        return bool(await self._draft())

    async def _taken(self) -> bool:
        return not await self._draft()

    async def _accepted(self) -> bool:
        return any(found.name == "prompt-accepted" for found in self._read())

    async def _until(self, condition: Callable[[], Any], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not await condition():
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(LOOK)
        return True

    # -- waiting ----------------------------------------------------------------------------------------------

    async def turn(self, ended: Callable[[], str | None], timeout: float | None = None) -> Turned:
        """Block until the present turn is over, however it ends. TimeoutError after `timeout` seconds.

        `ended` says what has become of a job whose session is no more ("done", …), None while it stands.
        """
        idle_watch = IdleWatch(self.run, self.terminal)
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        due = 0.0
        while True:
            self._read()
            if (how := self._over()) is not None:
                return Turned(how, self._said)
            if time.monotonic() >= due:
                due = time.monotonic() + SLOW_LOOK
                if (state := ended()) is not None:
                    self._read()
                    return Turned(self._over() or ("over" if state == "done" else "gone"), self._said)
                await idle_watch.look(self.profile, self.progress, time.monotonic() - self._last_event)
            if time.monotonic() >= deadline:
                raise TimeoutError(f"the turn of job {self.run.job} is not over yet")
            await asyncio.sleep(LOOK)

    def _over(self) -> str | None:
        """How the turn ended, None while it has not. An agent that tells of no turns ends with its job."""
        ends = {Turn.OVER: "over", Turn.FAILED: "failed", Turn.INTERRUPTED: "interrupted"}
        return ends.get(self.progress.turn) or ("gone" if self.progress.exited and self.profile.hooks else None)

    def _read(self) -> list[events.Event]:
        """The events since the last call, told to `progress`."""
        found = self._tail.read()
        if found:
            self._last_event = time.monotonic()
        for event in found:
            report = self.profile.agent.read_report(event.data)
            if event.name == "turn-over":
                self._said = report.message
            elif event.name == "turn-failed":
                self._said = report.message or report.error
        self.progress = fold(self.progress, found, self.profile.agent)
        return found
