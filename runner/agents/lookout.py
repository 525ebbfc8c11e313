"""What stands between a running agent and its going on: dialogs before its start, requests that wait for a person.

Answers the dialogs that the profile has an answer for, tells of the others, and sees when a person has answered on the
screen what the agent says nothing of. It looks at the screen only while one of them may stand there.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable

from runner.agents import composer, screen
from runner.agents.profile import Dialog, Profile
from runner.agents.progress import INTERRUPTED, Attention, Progress, Turn
from runner.errors import MuxqError
from runner.home import events
from runner.home.attempt_folder import AttemptFolder
from runner.home.layout import Home
from runner.system import clock, files
from runner.tmux.terminal import Terminal, screen_of

FIRST_LOOK = 1.0
"""Seconds after launch before an agent that has said nothing is looked at: a dialog may stand in its way."""

DRAWN = 2.0
"""Seconds until the screen shows what was asked, or no longer shows what was answered."""

LOOK = 5.0
"""Seconds between two looks at a screen that waits for a person."""


class Lookout:
    """Of one attempt. `permissions` are its own, `launched` is on the monotonic clock."""

    def __init__(
        self,
        home: Home,
        run: AttemptFolder,
        terminal: Terminal,
        profile: Profile,
        *,
        permissions: str,
        launched: float,
        alert: Callable[[Attention], None],
    ) -> None:
        self._home, self._run, self._terminal, self._profile = home, run, terminal, profile
        self._permissions, self._alert = permissions, alert
        self._since = launched
        self._due = launched + FIRST_LOOK if profile.hooks and profile.dialogs else math.inf
        self._alerted = ""
        self._dialog = False
        """A dialog waits for a person."""

    async def look(self, progress: Progress, *, driving: bool = True) -> float:
        """Do what can be done now; when to look again, on the monotonic clock.

        While it is not muxq that drives, a person sits before the dialogs and the interruptions: they are left alone.
        """
        self._tell(progress, driving)
        return min(await self._dialogs(progress, driving), await self._requests(progress))

    def _tell(self, progress: Progress, driving: bool) -> None:
        """Tell a person, once, of each thing that waits for one; whichever worker looks."""
        found = progress.attention
        if found and (driving or found.kind != INTERRUPTED) and found.since not in (progress.alerted, self._alerted):
            self._alerted = found.since
            events.emit(self._run.events, "alerted", kind=found.kind, since=found.since)
            self._alert(found)

    async def _dialogs(self, progress: Progress, driving: bool) -> float:
        """Until the agent's first word: look whether a known question stands in its way, and answer it by its text."""
        now = time.monotonic()
        if progress.started:
            self._due = math.inf
        elif not driving:
            self._since = now
            return math.inf
        elif self._dialog and progress.attention is None:  # answered: give it time to be gone, then the next one
            self._dialog, self._since, self._due = False, now, now + DRAWN
        if now < self._due:
            return self._due
        self._due = now + 0.3
        shown = await screen_of(self._terminal, self._run.session)
        dialog = screen.find(shown, self._profile.dialogs)
        ours = dialog if dialog and self._permissions in dialog.permissions else None
        key = screen.answer(shown, ours) if ours else None
        if key:
            await self._terminal.keys(self._run.session, key.key)
            if key.final:
                events.emit(self._run.events, "dialog-answered", dialog=key.dialog.name, chosen=key.dialog.choose)
        late = now - self._since > self._profile.start_timeout  # nothing known, or no key helps
        if not (key and key.final) and (late or (dialog and not ours)):
            self._due = now + LOOK
            if not self._dialog and progress.attention is None:
                self._ask(shown, dialog)
            self._dialog = True
        return self._due

    def _ask(self, shown: str, dialog: Dialog | None) -> None:
        """Leave a dialog to a person, with the screen that it stands on."""
        files.write_whole(self._run.dialog, shown.rstrip().encode() + b"\n", tmp=self._home.tmp, durable=False)
        kind = dialog.kind if dialog else "dialog"
        events.emit(self._run.events, "dialog", kind=kind, text=screen.words(shown, dialog))

    async def _requests(self, progress: Progress) -> float:
        """A person may have answered on the screen: then the agent is at work again, and tells only when it is done."""
        asked = [one for one in progress.waiting if one.id]
        if not asked or not self._profile.working:
            return math.inf
        shown = await screen_of(self._terminal, self._run.session) if any(_age(one) > DRAWN for one in asked) else ""
        if screen.at_work(shown, self._profile.working):
            for one in asked:
                if _age(one) > DRAWN:
                    events.emit(self._run.events, "permission-answered", id=one.id, by="screen", decision=None)
        return time.monotonic() + (LOOK if shown else DRAWN)


def _age(one: Attention) -> float:
    """Seconds since it was asked."""
    try:
        return time.time() - clock.seconds(one.since)
    except ValueError:
        return math.inf


SILENCE = 4.0
"""Seconds without a word after which a busy session is looked at."""


class Glance:
    """Two looks in a row at an idle screen, and not a word between them, are told as the event `seen-idle`."""

    def __init__(self, terminal: Terminal, run: AttemptFolder) -> None:
        self.terminal, self.run = terminal, run
        self.due = False
        """The slow look has come by since the last."""
        self._seen = -1
        """How many events there had been when the screen last looked idle."""

    async def look(self, profile: Profile, now: Progress, silent: float) -> None:
        """Look, if that is due and `now` has been `silent` for so many seconds in the middle of a turn."""
        due, self.due = self.due, False
        if not due or not profile.composer or now.turn is not Turn.BUSY or silent < SILENCE:
            return
        with contextlib.suppress(MuxqError):
            shown = await self.terminal.view(self.run.session)
            asked = now.waiting and screen.asks(composer.bare(shown.text))  # the mark looks like a composer's
            if asked or not composer.idle(shown.text, shown.row, profile.composer, profile.working):
                self._seen = -1
            elif self._seen == now.events:
                events.emit(self.run.events, "seen-idle")
            else:
                self._seen = now.events
