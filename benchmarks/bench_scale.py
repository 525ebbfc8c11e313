"""The cost of a hundred thousand jobs: each step on a home of many against the same step on a home of a few."""

from __future__ import annotations

import argparse
import functools
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from common import (
    MUXQ,
    Measure,
    Row,
    compare,
    end_server,
    environment,
    sandbox,
    seconds_of,
    show,
    table,
    take_turns,
    wait_until,
)

from runner.home import hold
from runner.home.attempt_folder import AttemptFolder
from runner.home.hold import Hold
from runner.home.layout import Home
from runner.home.spool import Place, Spool
from runner.jobs import entry, ident
from runner.jobs.entry import Entry
from runner.jobs.state import Move, State
from runner.system import clock
from runner.tmux.setup import socket_path
from runner.worker.backlog import Backlog

FEW = 100
NAMELESS, NAMED = 66, 67
"""Numbers of two of them."""
JOB = {"version": 1, "agent": "shell", "prompt": "true"}
HELD = Hold("held by a benchmark")
QUIET = 0.2
"""Seconds before a round, so that the round before has ended."""
SHORT, LONG = 2.0, 14.0
"""Seconds of observing an idle worker: the cost of its slow looks, without that of its start."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="default: 9")
    parser.add_argument("--jobs", type=int, default=100_000, metavar="N", help="default: 100000")
    args = parser.parse_args()
    with sandbox() as folder:
        env = environment(folder)
        for title, measure in (("waiting", _waiting), ("finished", _finished)):
            rows = measure(folder, env, args.jobs, max(2, args.rounds))
            table(f"{args.jobs:,} {title} jobs (ours) against {FEW} (peer), {args.rounds} rounds", rows)


# ---- homes


def _ids(count: int) -> Iterator[str]:
    """Ids of jobs that came every 10 ms until now."""
    begin = (time.time_ns() // 1_000_000 - 10 * count) << 25
    return (ident._encode(begin + (10 * number << 25) + number) for number in range(count))


def _names(count: int) -> Iterator[Entry]:
    """Two jobs of three have a name, one of a hundred a priority."""
    for number, job_id in enumerate(_ids(count)):
        yield entry.new(job_id, 5 if number % 100 == 50 else 0, f"job{number}" if number % 3 else None)


def _queue(path: Path, count: int) -> Home:
    home, text = Home(path).make(), json.dumps(JOB).encode()
    for new in _names(count):
        (home.queue / new.file).write_bytes(text)
    return home


def _done(path: Path, count: int) -> Home:
    """A home of finished jobs, each with the two records that a listing reads."""
    home, text = Home(path).make(), json.dumps(JOB).encode()
    ended = json.dumps({"version": 1, "outcome": "done", "finished_at": clock.stamp(), "message": ""}).encode()
    for new in _names(count):
        run = AttemptFolder(new.id, 1, home.runs / new.id / "1")
        run.path.mkdir(parents=True)
        output = {"path": str(run.path / "output.md")}
        began = {"version": 1, "job": new.id, "attempt": 1, "started_at": clock.stamp(), "output": output}
        (run.path / "attempt.json").write_text(json.dumps(began))
        (run.path / "outcome.json").write_bytes(ended)
        (home.path / "done" / new.file).write_bytes(text)
    return home


# ---- waiting


def _waiting(folder: Path, env: Mapping[str, str], count: int, rounds: int) -> list[Row]:
    homes = _queue(folder / "many", count), _queue(folder / "few", FEW)
    row = functools.partial(_row, homes, rounds)
    rows = [
        row("claim: from the backlog to running/", _claim, 1.5),
        row("muxq add", lambda home: _muxq(home, env, "add", "true", "--agent", "shell"), 1.5),
        row("muxq ls", lambda home: _muxq(home, env, "ls"), 3.0),
        row("muxq show NAME", lambda home: _muxq(home, env, "show", "job1")),
    ]
    for home in homes:
        hold.put(home, HELD)
    workers = {home: _Worker(home, env) for home in homes}
    try:
        rows += [
            row("a worker picks up a job of high priority", lambda home: workers[home].pick_up, 1.5),
            row("a worker takes in a dropped file", lambda home: workers[home].take_in),
        ]
    finally:
        for worker in workers.values():
            worker.end()
    started = row("a worker: from its start to its first claim", lambda home: lambda: _start_up(home, env))
    return [*rows, started, *_idle(homes, env)]


def _claim(home: Home) -> Measure:
    """Take the first job of a full backlog, claim it; then, untimed, put it back."""
    spool, backlog = Spool(home), Backlog()
    for waiting in spool.entries(State.QUEUED):
        backlog.remember(waiting)

    def measure() -> float:
        began = time.perf_counter()
        waiting = backlog.next(time.time())
        lock = spool.claim(waiting) if waiting else None
        took = time.perf_counter() - began
        if waiting is None or lock is None:
            raise RuntimeError(f"nothing to claim in {home.path}")
        spool.move(Place(State.RUNNING, waiting), Move.REQUEUE)
        lock.release()
        backlog.put_back(waiting)
        return took

    return measure


class _Worker:
    """A `muxq work`. On a held home it takes in dropped files, and starts nothing until the hold is lifted."""

    def __init__(self, home: Home, env: Mapping[str, str]) -> None:
        self.home = home
        seen = home.events.stat().st_size if home.events.exists() else 0
        self._process = subprocess.Popen(
            [MUXQ, "work", "--quiet", "--home", str(home.path)], env=dict(env), stdin=subprocess.DEVNULL
        )
        wait_until(lambda: home.events.exists() and b"worker.started" in home.events.read_bytes()[seen:])

    def take_in(self) -> float:
        """From the rename into queue/ to the rename that makes it a job."""
        time.sleep(QUIET)
        scratch, target = self.home.tmp / "drop.json", self.home.queue / "drop.json"
        scratch.write_text(json.dumps(JOB))
        began = time.perf_counter()
        scratch.rename(target)
        wait_until(lambda: not target.exists())
        return time.perf_counter() - began

    def pick_up(self) -> float:
        """From the end of the hold to the move of the job's file."""
        new = _urgent(self.home)
        time.sleep(QUIET)  # the worker knows of it by then
        began = time.perf_counter()
        hold.lift(self.home)
        return _claimed(new, self.home, began)

    def memory(self) -> float:
        """Its memory in megabytes."""
        listing = subprocess.run(["ps", "-o", "rss=", "-p", str(self._process.pid)], capture_output=True, check=True)
        return int(listing.stdout) / 1024

    def end(self) -> float:
        """End it; returns the seconds of processor time that it took."""
        self._process.send_signal(signal.SIGTERM)
        _, status, used = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        end_server(socket_path(self.home.path))
        return used.ru_utime + used.ru_stime


def _start_up(home: Home, env: Mapping[str, str]) -> float:
    """From the start of the program to the move of the first job's file."""
    new = _urgent(home)
    hold.lift(home)
    began = time.perf_counter()
    worker = _Worker(home, env)
    try:
        return _claimed(new, home, began)
    finally:
        worker.end()


def _urgent(home: Home) -> Entry:
    """A new job, before all others."""
    new = entry.new(ident.new_id(), 1_000_000, "urgent")
    (home.tmp / new.file).write_text(json.dumps(JOB))
    (home.tmp / new.file).rename(home.queue / new.file)
    return new


def _claimed(new: Entry, home: Home, began: float) -> float:
    """The seconds from `began` to the claim of the job. The home is held then, and at rest."""
    wait_until(lambda: not (home.queue / new.file).exists())
    took = time.perf_counter() - began
    hold.put(home, HELD)
    wait_until(lambda: not os.listdir(home.folders[State.RUNNING]) and not list(home.locks.glob("1*.lock")))
    return took


def _idle(homes: tuple[Home, Home], env: Mapping[str, str]) -> list[Row]:
    """Processor and memory of a worker that has nothing to do."""
    used, memory = [], [0.0, 0.0]
    for seconds in (SHORT, LONG):
        workers = [_Worker(home, env) for home in homes]
        time.sleep(seconds)
        memory = [worker.memory() for worker in workers]
        used.append([worker.end() for worker in workers])
    begun, all_told = used
    shares = [f"{max(0.0, all_told[n] - begun[n]) / (LONG - SHORT):.1%}" for n in range(2)]
    return [
        Row("a worker: processor time of its start", show(begun[0]), show(begun[1]), f"{begun[0] / begun[1]:.2f}"),
        Row("an idle worker: share of a processor", shares[0], shares[1]),
        Row("an idle worker: memory", f"{memory[0]:.0f} MB", f"{memory[1]:.0f} MB", f"{memory[0] / memory[1]:.2f}"),
    ]


# ---- finished


def _finished(folder: Path, env: Mapping[str, str], count: int, rounds: int) -> list[Row]:
    homes = _done(folder / "many-done", count), _done(folder / "few-done", FEW)
    jobs = {home.path: Spool(home).entries(State.DONE) for home in homes}

    def row(words: str, number: int | None = None, of: str = "", target: float | None = 1.5) -> Row:
        def timed(home: Home) -> Measure:
            job = [] if number is None else [_called(jobs[home.path][number], of)]
            return _muxq(home, env, *words.split(), *job)

        return _row(homes, rounds, f"muxq {words} {of}".rstrip(), timed, target)

    return [
        row("ls"),
        row("show", NAMELESS, "ID"),
        row("wait", NAMELESS, "ID"),
        row("show", NAMED, "ID, of a job with a name"),
        row("wait", NAMED, "ID, of a job with a name"),
        row("show", NAMED, "NAME", None),
        _row(homes, rounds, "one listing of done/, which ls and look-ups by name need", _listing),
    ]


def _called(job: Entry, how: str) -> str:
    return job.name or job.id if how == "NAME" else job.id


# ---- measuring


def _muxq(home: Home, env: Mapping[str, str], *words: str) -> Measure:
    return lambda: seconds_of(MUXQ, *words, "--home", str(home.path), env=env, cwd=home.path)


def _listing(home: Home) -> Measure:
    def measure() -> float:
        began = time.perf_counter()
        os.listdir(home.folders[State.DONE])
        return time.perf_counter() - began

    return measure


def _row(
    homes: tuple[Home, Home],
    rounds: int,
    what: str,
    make: Callable[[Home], Measure],
    target: float | None = None,
) -> Row:
    """`make(home)` measures one side; the sides take turns."""
    ours, peer = take_turns(rounds, *(make(home) for home in homes), warm=2)
    return compare(what, ours, peer, target)


if __name__ == "__main__":
    main()
