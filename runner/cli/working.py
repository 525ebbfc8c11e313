"""What `muxq work` is besides the worker: signals, the lines or the live display for people, the exit code."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import Any

import typer

from runner import config, home
from runner.display import Lines, Live
from runner.plain import plain
from runner.state import State
from runner.terminal import Tmux, find_tmux, socket_path
from runner.watch import OnlyOverflows
from runner.worker import Summary, Worker


def run(path: str | None, *, jobs: str | None, drain: bool, on_stop: str | None, quiet: bool) -> int:
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
        place, terminal, jobs=_jobs(jobs) if jobs else settings.jobs, drain=drain, on_stop=how, listener=display.event
    )
    with display.showing(worker):
        summary = asyncio.run(_until_stopped(worker, display))
    return _tell(summary, drain)


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


def _tell(summary: Summary, drain: bool) -> int:
    for why, jobs in summary.blocked.reasons().items():
        _say(f"{f'job {jobs[0]} waits' if len(jobs) == 1 else f'{len(jobs)} jobs wait'}: {why}")
    if summary.hold:
        _say(f"on hold: {summary.hold.reason}; lift it with: muxq release")
    if drain and (summary.count[State.FAILED] or summary.count[State.CANCELLED]):
        return 1
    return 5 if drain and (summary.blocked or summary.hold) else 0


def _say(text: Any) -> None:
    print(f"muxq: {plain(text)}", file=sys.stderr)
