"""A glance at the screen of a session that should be at work and says nothing: was its turn broken off?

An agent tells of no interruption by its user. Looked at only when the worker's slow look comes by, or somebody waits.
"""

from __future__ import annotations

import contextlib

from runner import composer, event, screen
from runner.errors import MuxqError
from runner.profile import Profile
from runner.progress import Progress, Turn
from runner.run import Run
from runner.terminal import Terminal

SILENCE = 4.0
"""Seconds without a word after which a busy session is looked at."""


class Glance:
    """Two looks in a row at an idle screen, and not a word between them, are told as the event `seen-idle`."""

    def __init__(self, terminal: Terminal, run: Run) -> None:
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
                event.emit(self.run.events, "seen-idle")
            else:
                self._seen = now.events
