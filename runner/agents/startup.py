"""Answers the dialogs that stand before an agent's start: those that the profile knows; a person has the others.

The screen is looked at only until the agent's first event.
"""

from __future__ import annotations

import math
import time

from runner.agents import screen
from runner.agents.profile import Dialog, Profile
from runner.agents.progress import Progress
from runner.home import events
from runner.home.attempt_folder import AttemptFolder
from runner.home.layout import Home
from runner.system import files
from runner.tmux.terminal import Terminal, screen_of

FIRST_LOOK = 1.0
"""Seconds after launch before an agent without an event is looked at."""

NEXT_LOOK = 0.3
"""Seconds between two looks."""

ANSWERED = 2.0
"""Seconds until the screen no longer shows a dialog that a person has answered."""

WAITING = 5.0
"""Seconds between two looks at a dialog that waits for a person."""


class StartUp:
    """Of one attempt. `permissions` are its own, `launched` is on the monotonic clock."""

    def __init__(
        self,
        home: Home,
        folder: AttemptFolder,
        terminal: Terminal,
        profile: Profile,
        *,
        permissions: str,
        launched: float,
    ) -> None:
        self._home, self._folder, self._terminal, self._profile = home, folder, terminal, profile
        self._permissions = permissions
        self._since = launched
        """From when on the agent has had the time to start."""
        self._due = launched + FIRST_LOOK if profile.hooks and profile.dialogs else math.inf
        self._waits = False
        """A dialog waits for a person."""

    async def look(self, progress: Progress, *, driving: bool) -> float:
        """Press the next key for a dialog, or leave it to a person; when to look again, on the monotonic clock."""
        now = time.monotonic()
        if progress.started:
            self._due = math.inf
        elif not driving:  # a person sits before the dialogs
            self._since = now
            return math.inf
        elif self._waits and progress.attention is None:  # answered; the next dialog has its own time
            self._waits, self._since, self._due = False, now, now + ANSWERED
        if now >= self._due:
            self._due = now + await self._answer(progress, late=now - self._since > self._profile.start_timeout)
        return self._due

    async def _answer(self, progress: Progress, *, late: bool) -> float:
        """Press a key or ask a person; seconds until the next look."""
        shown = await screen_of(self._terminal, self._folder.session)
        dialog = screen.find(shown, self._profile.dialogs)
        allowed = dialog is not None and self._permissions in dialog.permissions
        key = screen.next_key(shown, dialog.choose) if dialog and allowed else None
        if key:
            await self._terminal.keys(self._folder.session, key.name)
        if dialog and key and key.final:
            events.emit(self._folder.events, "dialog-answered", dialog=dialog.name, chosen=dialog.choose)
            return NEXT_LOOK
        if late or (dialog and not allowed):  # unknown, without effect, or a person's to answer
            if not self._waits and progress.attention is None:
                self._ask(shown, dialog)
            self._waits = True
            return WAITING
        return NEXT_LOOK

    def _ask(self, shown: str, dialog: Dialog | None) -> None:
        """Leave a dialog to a person, with the screen that shows it."""
        files.write_whole(self._folder.dialog, shown.rstrip().encode() + b"\n", tmp=self._home.tmp, durable=False)
        kind = dialog.kind if dialog else "dialog"
        events.emit(self._folder.events, "dialog", kind=kind, text=screen.words(shown, dialog))
