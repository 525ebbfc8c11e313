"""The end of an attempt's session: it is left open where that was asked for, else ended with all that it started.

Used by the worker for its own attempts and for those of dead workers, and by `muxq close`. Judges nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from runner.agents import kept, usage
from runner.home import events
from runner.home.attempt_folder import AttemptFolder
from runner.home.layout import Home
from runner.jobs.outcome import Done
from runner.system import files, process
from runner.system.process import Proc
from runner.tmux.terminal import Pane, Terminal, screen_of

MARK = "MUXQ_ATTEMPT"
"""The variable that is in the environment of every process of an attempt; its value is the session's name."""

ROUNDS = 10
"""How many times at most the processes that an attempt has started since the last look are ended."""

GRACE = 5.0
"""Seconds that the processes of an attempt have to end by themselves."""


async def leave_open(
    home: Home, folder: AttemptFolder, terminal: Terminal, panes: Mapping[str, Pane] | None = None
) -> bool:
    """Whether the session of an attempt with a result stays open: that was asked for, and its program runs.

    `panes` is tmux's latest answer, where the caller has it already.
    """
    record = folder.outcome() if kept.asked(folder) else None
    if record is None or not isinstance(record.outcome, Done):
        return False
    pane = (await terminal.panes() if panes is None else panes).get(folder.session)
    program = process.find(pane.pid) if pane and not pane.dead else None
    if program is None:
        kept.forget(folder)
        return False
    if not kept.stands(folder):
        kept.settle(home, folder, program)
    return True


async def close(home: Home, folder: AttemptFolder, terminal: Terminal, *, exited: bool = False) -> None:
    """Keep the last screen, then end the session and every process of the attempt, and no other process.

    `exited`: the program is known to have ended, so tmux need not be asked for it.
    """
    await _keep_screen(home, folder, terminal)
    left = await process.end(await _processes(folder, terminal, exited=exited), grace=GRACE)
    for number in range(ROUNDS):  # a process that outlives TERM may have started more meanwhile
        if not (late := process.marked(MARK, folder.session)):
            break
        left = await process.end(late, grace=0.0 if number else GRACE)
    await terminal.kill(folder.session)
    await asyncio.to_thread(usage.complete, home, folder)
    if left:
        events.emit(home.events, "attempt.left-over", job=folder.job, pids=[proc.pid for proc in left])


async def end_strays(folder: AttemptFolder) -> None:
    """End at once what an attempt has left whose worker died while it closed the session."""
    await process.end(process.marked(MARK, folder.session), grace=0.0)


async def _keep_screen(home: Home, folder: AttemptFolder, terminal: Terminal) -> None:
    if shown := await screen_of(terminal, folder.session):
        with contextlib.suppress(OSError):  # a full disk or a missing folder: the job's end is worth more than a screen
            data = shown.rstrip().encode("utf-8", "replace") + b"\n"
            files.write_whole(folder.screen, data, tmp=home.tmp, durable=False)


async def _processes(folder: AttemptFolder, terminal: Terminal, *, exited: bool) -> list[Proc]:
    """The processes of the attempt: the tree under its pane, and those that have left it and still bear its mark."""
    tree: list[Proc] = []
    if not exited:
        pane = (await terminal.panes()).get(folder.session)
        root = process.find(pane.pid) if pane and not pane.dead else None
        tree = [root, *process.descendants(root)] if root else []
    return tree + [proc for proc in process.marked(MARK, folder.session) if proc not in tree]
