"""What `muxq work` is besides the worker: signals, the lines or the live display for people, the exit code."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import typer

from runner import config, home
from runner.display import Lines, Live
from runner.errors import Busy
from runner.plain import plain
from runner.spool import Spool
from runner.state import State
from runner.summary import Summary
from runner.terminal import Tmux
from runner.tmuxsetup import find_tmux, socket_path
from runner.watch import OnlyOverflows
from runner.window import CLOSED, Window
from runner.worker import Worker


def run(
    path: str | None,
    *,
    jobs: str | None,
    drain: bool,
    on_stop: str | None,
    quiet: bool,
    window: Window | None = None,
    if_free: bool = False,
) -> int:
    """Run one worker on the home; returns the exit code."""
    place = home.locate(path).make()
    settings = config.load(place.config)
    how = on_stop or settings.on_stop
    if how not in config.ON_STOP:
        raise typer.BadParameter(f"{how!r} is not one of {', '.join(config.ON_STOP)}.", param_hint="--on-stop")
    stderr = logging.StreamHandler(sys.stderr)
    stderr.addFilter(OnlyOverflows())
    logging.basicConfig(level=logging.WARNING, format="muxq: %(message)s", handlers=[stderr])
    live = sys.stdout.isatty() and sys.stderr.isatty() and not quiet and os.environ.get("TERM", "dumb") != "dumb"
    display = Live() if live else Lines(quiet=quiet)
    terminal = Tmux(socket_path(place.path), find_tmux())
    worker = Worker(
        place,
        terminal,
        jobs=_jobs(jobs) if jobs else settings.jobs,
        drain=drain,
        on_stop=how,
        window=window,
        listener=display.event,
    )
    try:
        with _alone(worker.spool) if drain else contextlib.nullcontext(), display.showing(worker):
            summary = asyncio.run(_until_stopped(worker, display))
    except Busy as problem:
        if not if_free:
            raise
        _say(problem)
        return 0
    left = sum(len(worker.spool.entries(state)) for state in (State.QUEUED, State.RUNNING)) if drain else 0
    return _tell(summary, drain, left, quiet)


@contextlib.contextmanager
def _alone(spool: Spool) -> Iterator[None]:
    """Hold the lock that one draining run of a home has at a time. Busy when another has it."""
    lock = spool.lock("drain")
    if lock is None:
        raise Busy(f"another run drains this home and holds {spool.home.locks / 'drain.lock'}; nothing was started")
    try:
        yield
    finally:
        spool.unlock(lock)


def _jobs(said: str) -> int | None:
    if said == "auto":
        return None
    if not said.isdecimal() or int(said) < 1:
        raise typer.BadParameter(f"{said!r} is neither a whole number above 0 nor auto.", param_hint="--jobs")
    return int(said)


async def _until_stopped(worker: Worker, display: Lines | Live) -> Summary:
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        if worker.stopping and number is not signal.SIGINT:
            return  # `timeout` and service managers tell a process, and then its group
        worker.stop()
        display.event("worker.stopping", {"on_stop": worker.on_stop, "running": len(worker.running)})

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop, number)
    return await worker.run()


def _tell(summary: Summary, drain: bool, left: int, quiet: bool) -> int:
    for why, jobs in summary.blocked.reasons().items():
        _say(f"{f'job {jobs[0]} waits' if len(jobs) == 1 else f'{len(jobs)} jobs wait'}: {why}")
    if summary.hold:
        _say(f"on hold: {summary.hold.reason}; lift it with: muxq release")
    wrong = summary.count[State.FAILED] + summary.count[State.CANCELLED]
    if drain and (wrong or (summary.closed and left) or not quiet):
        _say(f"{_counted(summary, left)}; {_why(summary, left)}")
    if not drain:
        return 0
    if wrong:
        return 1
    if summary.blocked or summary.hold:
        return 5
    return CLOSED if summary.closed and left else 0


def _counted(summary: Summary, left: int) -> str:
    """`3 done, 1 failed, 2 left`."""
    words = [f"{summary.count[state]} {state}" for state in (State.DONE, State.FAILED)]
    words += [f"{summary.count[State.CANCELLED]} cancelled"] if summary.count[State.CANCELLED] else []
    return ", ".join([*words, f"{left} left"])


def _why(summary: Summary, left: int) -> str:
    """Why a draining run has ended."""
    if summary.stopped:
        return "told to stop"
    if summary.closed and left:
        return summary.closed
    if summary.hold:
        return "on hold"
    if summary.blocked:
        return "what is left cannot start"
    return "what is left is for later" if left else "nothing is left to do"


def _say(text: Any) -> None:
    print(f"muxq: {plain(text)}", file=sys.stderr)
