"""The drops that a worker has been notified of, until they are taken in. Lists no folder."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from pathlib import Path

from runner.attempts.plan import Setup
from runner.home.spool import Spool
from runner.intake import admission, drops
from runner.worker.backlog import Backlog

ADMIT_AT_ONCE = 1000
"""Drops taken in before the first of them may start."""


HELD_OPEN = 60.0
"""Seconds without a change after which no run waits any longer for a drop that is still being written."""


class DropBuffer:
    def __init__(self, spool: Spool, backlog: Backlog) -> None:
        self.spool, self.backlog = spool, backlog
        self._dropped: set[str] = set()
        """Names of files in queue/ that are not jobs yet."""
        self.due = 0.0
        """When it has something to do, on the monotonic clock."""
        self._untaken = False
        """An error has left drops to the next slow look."""
        self._growing: dict[str, tuple[int, float]] = {}
        """By the name of an unfinished drop: its size, and since when it has that, on the monotonic clock."""

    def drop(self, name: str) -> None:
        """A file in queue/ is not a job yet: it is taken in at the next step."""
        if not name.startswith("."):
            self._dropped.add(name)
            self.due = 0.0

    async def take_in(self, setup: Setup) -> bool:
        """Take in drops, in a thread: thousands at once must not hold up the running attempts.

        Returns whether there were any. To be called when it is `due`.
        """
        self.due = math.inf
        dropped, self._dropped = self._dropped, set()
        self._untaken = bool(dropped)
        taken = await asyncio.to_thread(drops.admit, self.spool, ADMIT_AT_ONCE, dropped, setup)
        for entry in taken.admitted:
            self.backlog.remember(entry)
        self._dropped.update(taken.unfinished, taken.left)
        self._untaken = False
        self._measure(taken.unfinished)
        if taken.left:
            self.due = 0.0
        elif taken.unfinished:
            self.due = min(self.due, time.monotonic() + admission.PATIENCE / 10)
        return bool(dropped)

    def _measure(self, unfinished: Sequence[str]) -> None:
        before, now, self._growing = self._growing, time.monotonic(), {}
        for name in unfinished:
            size, known = _size(self.spool.home.queue / name), before.get(name)
            self._growing[name] = known if known and known[0] == size else (size, now)

    def left(self) -> bool:
        """Whether a drop can be taken in now, or is still being written; not one that is only held open."""
        now = time.monotonic()
        written = any(now - since < HELD_OPEN for _, since in self._growing.values())
        return self._untaken or written or self.due <= now


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return -1
