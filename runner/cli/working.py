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

from runner.cli.make import number_of_jobs
from runner.cli.options import warn_of_no_place
from runner.errors import CLOSED, Busy, told
from runner.home import config, layout
from runner.home.layout import Home
from runner.home.spool import Listener, Spool
from runner.jobs.on_end import NOTHING, OnEnd
from runner.jobs.state import State
from runner.notify import notices
from runner.system import clock
from runner.system.text import plain
from runner.system.watch import OnlyOverflows
from runner.tmux.terminal import of_home
from runner.worker.blocked import Summary
from runner.worker.display import Lines, Live
from runner.worker.window import Window
from runner.worker.worker import Worker

INTERRUPTED = 130
"""The exit code of a draining run that was told to stop with jobs left: what comes after it must not go on."""


def run(
    path: str | None,
    *,
    jobs: str | None,
    drain: bool,
    on_stop: str | None,
    quiet: bool,
    window: Window | None = None,
    if_free: bool = False,
    wish: OnEnd = NOTHING,
) -> int:
    """Run one worker on the home; returns the exit code. However a run ends, those are told who wish to know."""
    place = layout.locate(path).make()
    begun, summary = clock.stamp(), Summary()
    try:
        stderr = logging.StreamHandler(sys.stderr)
        stderr.addFilter(OnlyOverflows())
        logging.basicConfig(level=logging.WARNING, format="muxq: %(message)s", handlers=[stderr])
        live = sys.stdout.isatty() and sys.stderr.isatty() and not quiet and os.environ.get("TERM", "dumb") != "dumb"
        display = Live() if live else Lines(quiet=quiet)
        if wish.notify:
            warn_of_no_place(place)
        worker = _worker(place, jobs, on_stop, drain=drain, window=window, listener=display.event)
        summary = worker.summary
        with _alone(worker.spool) if drain else contextlib.nullcontext(), display.showing(worker):
            asyncio.run(_until_stopped(worker, display))
    except Exception as problem:
        if isinstance(problem, Busy) and if_free:
            _say(problem)
            return 0
        if wish:
            notices.of_run(place, wish, _as_dict(place, begun, summary, _left(place), *_went_wrong(problem)))
        raise
    left = _left(place) if drain else 0
    code = _tell(summary, drain, left, quiet)
    notices.of_run(place, wish, _as_dict(place, begun, summary, left, code, _why(summary, left)))
    return code


def _worker(
    place: Home, jobs: str | None, on_stop: str | None, *, drain: bool, window: Window | None, listener: Listener
) -> Worker:
    settings = config.load(place.config)
    return Worker(
        place,
        of_home(place.path),
        jobs=number_of_jobs(jobs) if jobs else settings.jobs,
        drain=drain,
        on_stop=on_stop or settings.on_stop,
        window=window,
        listener=listener,
    )


def _left(place: Home) -> int:
    """How many jobs wait or run."""
    spool = Spool(place)
    return sum(len(spool.entries(state)) for state in (State.QUEUED, State.RUNNING))


def _went_wrong(problem: Exception) -> tuple[int, str]:
    """The exit code of a run that ends in an error, and why it ends."""
    if isinstance(problem, OSError):
        return 5, told(problem)
    code = getattr(problem, "exit_code", 3)
    return code, "muxq itself failed" if code == 3 else str(problem)


def _as_dict(place: Home, begun: str, summary: Summary, left: int, code: int, why: str) -> dict[str, Any]:
    """A run as JSON (docs/files.md)."""
    return {
        "home": str(place.path),
        "started_at": begun,
        "finished_at": clock.stamp(),
        "exit_code": code,
        "why": why,
        **{state.value: summary.count[state] for state in State if state.final},
        "left": left,
        "hold": summary.hold.reason if summary.hold else None,
        "waiting": [{"jobs": len(jobs), "why": why} for why, jobs in summary.blocked.reasons().items()],
    }


@contextlib.contextmanager
def _alone(spool: Spool) -> Iterator[None]:
    """Hold the lock that one draining run of a home has at a time. Busy when another has it."""
    lock = spool.lock("drain")
    if lock is None:
        raise Busy(f"another run drains this home and holds {spool.home.locks / 'drain.lock'}; nothing was started")
    try:
        yield
    finally:
        lock.release()


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
    if summary.stopped and left:
        return INTERRUPTED
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
