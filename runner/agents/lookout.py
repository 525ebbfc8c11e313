"""Looks after what waits for a person in a running attempt: reports it once, and sees when it is answered.

Dialogs before the start are startup.py's; whether an answer was given on the screen, only the screen shows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from runner.agents import screen
from runner.agents.attention import INTERRUPTED, Attention
from runner.agents.profile import Profile
from runner.agents.progress import Progress
from runner.agents.startup import StartUp
from runner.home import events
from runner.home.attempt_folder import AttemptFolder
from runner.home.layout import Home
from runner.system import clock
from runner.tmux.terminal import Terminal, screen_of

DRAWN = 2.0
"""Seconds until the screen shows what was asked."""

LOOK = 5.0
"""Seconds between two looks at a screen that waits for a person."""


class Lookout:
    """Of one attempt; see StartUp. `alert` is called once for each thing that waits for a person."""

    def __init__(
        self,
        home: Home,
        folder: AttemptFolder,
        terminal: Terminal,
        profile: Profile,
        *,
        permissions: str,
        launched: float,
        alert: Callable[[Attention], None],
    ) -> None:
        self._folder, self._terminal, self._working, self._alert = folder, terminal, profile.working, alert
        self._startup = StartUp(home, folder, terminal, profile, permissions=permissions, launched=launched)
        self._alerted = ""
        """The `since` of what was reported last."""

    async def look(self, progress: Progress, *, driving: bool = True) -> float:
        """Do what can be done now; when to look again, on the monotonic clock.

        While a person drives, dialogs and interruptions are theirs: they are left alone.
        """
        self._report(progress, driving)
        return min(await self._startup.look(progress, driving=driving), await self._requests(progress))

    def _report(self, progress: Progress, driving: bool) -> None:
        """Tell a person, once, of what waits for one; whichever worker looks."""
        request = progress.attention
        if request is None or (request.kind == INTERRUPTED and not driving):
            return
        if request.since not in (progress.alerted, self._alerted):
            self._alerted = request.since
            events.emit(self._folder.events, "alerted", kind=request.kind, since=request.since)
            self._alert(request)

    async def _requests(self, progress: Progress) -> float:
        """A person may have answered on the screen: then the agent works again, and reports only when it is done."""
        requests = [request for request in progress.waiting if request.id]
        if not requests or not self._working:
            return math.inf
        drawn = [request for request in requests if _age(request) > DRAWN]
        if not drawn:
            return time.monotonic() + DRAWN
        shown = await screen_of(self._terminal, self._folder.session)
        for request in drawn if screen.at_work(shown, self._working) else ():
            events.emit(self._folder.events, "permission-answered", id=request.id, by="screen", decision=None)
        return time.monotonic() + (LOOK if shown else DRAWN)


def _age(request: Attention) -> float:
    """Seconds since it was asked."""
    return time.time() - clock.seconds_or(request.since, -math.inf)
