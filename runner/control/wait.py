"""Waiting for the end of a job."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time

from runner.home.spool import Place, Spool
from runner.jobs.entry import Entry
from runner.jobs.state import State
from runner.system.watch import Watcher

SLOW_LOOK = 2.0
"""Seconds between two looks at a job that is waited for, where no file event tells."""


async def wait(spool: Spool, entry: Entry, timeout: float | None) -> Place:
    """Where the job is once it has ended. TimeoutError after `timeout` seconds."""
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    changed = asyncio.Event()
    with contextlib.ExitStack() as watches:
        watcher = watches.enter_context(Watcher())
        for state in (state for state in State if state.final):
            watches.enter_context(watcher.watch(spool.home.folders[state], lambda _path: changed.set()))
        while not (place := spool.locate(entry)).state.final:
            left = min(SLOW_LOOK, deadline - time.monotonic())
            if left <= 0:
                raise TimeoutError(f"job {entry.id} is still {place.state}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), left)
            changed.clear()
    return place
