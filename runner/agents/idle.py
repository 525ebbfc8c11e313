"""Finds a turn that somebody has interrupted: an agent reports that nowhere, but its screen shows that it waits."""

from __future__ import annotations

import contextlib

from runner.agents import composer, screen
from runner.agents.profile import Profile
from runner.agents.progress import Progress, Turn
from runner.errors import MuxqError
from runner.home import events
from runner.home.attempt_folder import AttemptFolder
from runner.tmux.terminal import Terminal

SILENCE = 4.0
"""Seconds without an event after which a busy session is looked at."""


class IdleWatch:
    """Two looks in a row at an idle screen, without an event between them, become the event `seen-idle`."""

    def __init__(self, folder: AttemptFolder, terminal: Terminal) -> None:
        self._folder, self._terminal = folder, terminal
        self._idle_at = -1
        """How many events there were when the screen last looked idle; -1: it did not."""

    async def look(self, profile: Profile, progress: Progress, silent: float) -> None:
        """Look at the screen of a session that has been `silent` for so many seconds in the middle of a turn."""
        if not profile.composer or progress.turn is not Turn.BUSY or silent < SILENCE:
            return
        with contextlib.suppress(MuxqError):
            if not await self._looks_idle(profile, progress):
                self._idle_at = -1
            elif self._idle_at == progress.events:
                events.emit(self._folder.events, "seen-idle")
            else:
                self._idle_at = progress.events

    async def _looks_idle(self, profile: Profile, progress: Progress) -> bool:
        view = await self._terminal.view(self._folder.session)
        if progress.waiting and screen.asks(composer.bare(view.text)):  # its mark looks like a composer's
            return False
        return composer.idle(view.text, view.row, profile.composer, profile.working)
