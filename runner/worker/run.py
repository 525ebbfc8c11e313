"""A run of a worker on a home: its lock, its signals, its record, and the notifications of its end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from runner.errors import CLOSED, Busy, describe_error
from runner.home import config
from runner.home.layout import Home
from runner.home.spool import Spool
from runner.jobs.on_end import NOTHING, OnEnd
from runner.jobs.state import State
from runner.notify import notices
from runner.system import clock
from runner.tmux.terminal import of_home
from runner.worker.display import Lines, Live
from runner.worker.ending import Summary
from runner.worker.window import Window
from runner.worker.worker import Worker

INTERRUPTED = 130
"""The exit code of a draining run that was told to stop with jobs left: what comes after it must not go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    jobs: int | Literal["auto"] | None = None
    """Attempts side by side; auto: as many as cores and memory allow; None: as config.toml says."""
    drain: bool = False
    """End when nothing is left that can be done now."""
    on_stop: str | None = None
    """leave, finish or kill; None: as config.toml says."""
    window: Window | None = None
    if_free: bool = False
    """Another draining run is not a failure: it causes no notification."""
    on_end: OnEnd = NOTHING


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The result of a run (docs/files.md, "A run as JSON")."""

    home: str
    started_at: str
    finished_at: str
    exit_code: int
    why: str
    """Why it ended."""
    done: int
    failed: int
    cancelled: int
    left: int
    """Jobs that wait or run; 0 after a run that does not drain."""
    hold: str | None
    """The reason of the hold that ended it."""
    waiting: list[dict[str, Any]]
    """[{"jobs", "why"}]: how many jobs could not start for each reason."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def run(home: Home, options: RunOptions, display: Lines | Live | None) -> tuple[RunRecord, Summary]:
    """Run one worker until it is told to stop or, draining, nothing is left. However it ends, `on_end` is carried out.

    `display` shows what happens; None: nothing is shown.
    Busy when another run drains the home.
    """
    started, summary = clock.stamp(), Summary()
    try:
        worker = _worker(home, options, display)
        summary = worker.summary
        with contextlib.ExitStack() as held:
            if options.drain:
                held.enter_context(_alone(worker.spool))
            if display:
                held.enter_context(display.showing(worker))
            asyncio.run(_until_stopped(worker, display))
    except Exception as problem:
        if options.on_end and not (isinstance(problem, Busy) and options.if_free):
            failure = _record(home, started, summary, _left(home), *_failure(problem))
            notices.of_run(home, options.on_end, failure.as_dict())
        raise
    left = _left(home) if options.drain else 0
    code = exit_code(summary, left) if options.drain else 0
    record = _record(home, started, summary, left, code, reason(summary, left))
    notices.of_run(home, options.on_end, record.as_dict())
    return record, summary


def exit_code(summary: Summary, left: int) -> int:
    """Of a draining run with `left` jobs that wait or run."""
    if summary.count[State.FAILED] + summary.count[State.CANCELLED]:
        return 1
    if summary.stopped and left:
        return INTERRUPTED
    if summary.blocked or summary.hold:
        return 5
    return CLOSED if summary.closed and left else 0


def reason(summary: Summary, left: int) -> str:
    """Why a draining run with `left` jobs that wait or run has ended."""
    if summary.stopped:
        return "told to stop"
    if summary.closed and left:
        return summary.closed
    if summary.hold:
        return "on hold"
    if summary.blocked:
        return "what is left cannot start"
    return "what is left is for later" if left else "nothing is left to do"


def _worker(home: Home, options: RunOptions, display: Lines | Live | None) -> Worker:
    settings = config.load(home.config)
    jobs = settings.jobs if options.jobs is None else None if options.jobs == "auto" else options.jobs
    return Worker(
        home,
        of_home(home.path),
        jobs=jobs,
        drain=options.drain,
        on_stop=options.on_stop or settings.on_stop,
        window=options.window,
        listener=display.event if display else None,
    )


@contextlib.contextmanager
def _alone(spool: Spool) -> Iterator[None]:
    """Hold the lock of the only draining run of the home. Busy when another has it."""
    lock = spool.lock("drain")
    if lock is None:
        raise Busy(f"another run drains this home and holds {spool.home.locks / 'drain.lock'}; nothing was started")
    try:
        yield
    finally:
        lock.release()


async def _until_stopped(worker: Worker, display: Lines | Live | None) -> None:
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        if worker.stopping and number is not signal.SIGINT:
            return  # `timeout` and service managers tell a process, and then its group
        worker.stop()
        if display:
            display.event("worker.stopping", {"on_stop": worker.on_stop, "running": len(worker.running)})

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop, number)
    await worker.run()


def _left(home: Home) -> int:
    """How many jobs wait or run."""
    spool = Spool(home)
    return sum(len(spool.entries(state)) for state in (State.QUEUED, State.RUNNING))


def _failure(problem: Exception) -> tuple[int, str]:
    """The exit code of a run that ends in an error, and why it ends."""
    if isinstance(problem, OSError):
        return 5, describe_error(problem)
    code = getattr(problem, "exit_code", 3)
    return code, "muxq itself failed" if code == 3 else str(problem)


def _record(home: Home, started: str, summary: Summary, left: int, code: int, why: str) -> RunRecord:
    return RunRecord(
        home=str(home.path),
        started_at=started,
        finished_at=clock.stamp(),
        exit_code=code,
        why=why,
        done=summary.count[State.DONE],
        failed=summary.count[State.FAILED],
        cancelled=summary.count[State.CANCELLED],
        left=left,
        hold=summary.hold.reason if summary.hold else None,
        waiting=[{"jobs": len(jobs), "why": why} for why, jobs in summary.blocked.reasons().items()],
    )
