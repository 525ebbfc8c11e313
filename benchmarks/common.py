"""What the benchmarks share: a sandbox, taking turns, medians and the table. Measures nothing itself.

Everything runs in a temporary folder, on tmux sockets of its own, in an environment built from nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.home.layout import Home
from runner.system import process
from runner.tmux.setup import find_tmux, socket_path

REPOSITORY = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
MUXQ = str(Path(sys.executable).with_name("muxq"))
LOOK = 0.0005
"""Seconds between two looks at an awaited file: a tighter loop would take processor time from the program."""
NOW = "date +%s%N" if sys.platform == "linux" else "perl -MTime::HiRes=time -e 'printf \"%.0f\\n\", time * 1e9'"
"""A command that prints the time in ns since 1970."""


# ---- sandbox


@contextlib.contextmanager
def sandbox() -> Iterator[Path]:
    """A short-named folder that is gone afterwards, also when the benchmark is interrupted."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="muxq-bench-")).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def environment(folder: Path, **extra: str) -> dict[str, str]:
    """The whole environment of a benchmarked program: nothing of the caller's but PATH."""
    home = folder / "user"
    home.mkdir(exist_ok=True)
    return {"HOME": str(home), "PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", **extra}


class Tmux:
    """A bare tmux server that runs already, as a worker's does."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._socket = folder / "bare.sock"
        self._base = [find_tmux(), "-S", str(self._socket), "-f", "/dev/null"]
        self._env = dict(env)

    def __enter__(self) -> Tmux:
        self.run("new-session", "-d", "-s", "keeper", "-x", "200", "-y", "50", "cat")
        return self

    def __exit__(self, *_: object) -> None:
        end_server(self._socket)

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [*self._base, *words], env=self._env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
        )
        return done.stdout

    def launch(self, session: str, *argv: str, cwd: Path | None = None) -> None:
        """As a script without a runner does: one process, which returns as soon as the session exists."""
        place = ["-c", str(cwd)] if cwd else []
        self.run("new-session", "-d", "-s", session, "-x", "200", "-y", "50", *place, "--", *argv)

    def sessions(self) -> list[str]:
        return self.run("list-sessions", "-F", "#{session_name}").split()

    def end(self, session: str) -> None:
        """End a session and wait for its program."""
        pid = int(self.run("display-message", "-p", "-t", f"={session}:", "#{pane_pid}"))
        self.run("kill-session", "-t", f"={session}")
        wait_until(lambda: process.find(pid) is None)


class Worker:
    """A running `muxq work` on a fresh home."""

    def __init__(self, folder: Path, env: Mapping[str, str], *, jobs: int = 1) -> None:
        self.home = Home(folder / "home").make()
        self._env = dict(env)
        self._argv = [MUXQ, "work", "--jobs", str(jobs), "--quiet", "--home", str(self.home.path)]
        self._dropped = 0

    def __enter__(self) -> Worker:
        self._process = subprocess.Popen(self._argv, env=self._env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_until(lambda: self.home.events.exists() and b"worker.started" in self.home.events.read_bytes())
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        end_server(socket_path(self.home.path))

    @property
    def pid(self) -> int:
        return self._process.pid

    def drop(self, job: Mapping[str, Any]) -> tuple[str, int]:
        """Rename a job file into queue/: the name it will be called, and the time in ns just before."""
        self._dropped += 1
        name = f"round{self._dropped}"
        scratch = self.home.tmp / f"{name}.json"
        scratch.write_text(json.dumps(job))
        began = time.time_ns()
        scratch.rename(self.home.queue / f"{name}.json")
        return name, began

    def done(self, name: str) -> tuple[str, int]:
        """Wait for the job's file in done/: its id, and the time in ns. RuntimeError when the file moves elsewhere."""
        ending = f".{name}.json"
        while True:
            finished = next((file for file in os.listdir(self.home.path / "done") if file.endswith(ending)), None)
            now = time.time_ns()
            if finished:
                return finished.partition(".")[0].partition("+")[0], now
            for folder in ("failed", "rejected"):
                if any(file.endswith((ending, f"{name}.json")) for file in os.listdir(self.home.path / folder)):
                    raise RuntimeError(f"the job {name} is {folder}; see {self.home.path}")
            if self._process.poll() is not None:
                raise RuntimeError(f"muxq work has ended with status {self._process.returncode}")
            time.sleep(LOOK)

    def settled(self, job_id: str) -> None:
        """Wait until the worker has closed the session and released the job, before the next round."""
        lock = self.home.locks / f"{job_id}.lock"
        wait_until(lambda: not lock.exists())


def end_server(socket: Path) -> None:
    """End the tmux server of a benchmark's own socket, if one runs there, and wait for its programs."""
    base = [find_tmux(), "-S", str(socket)]
    panes = subprocess.run(
        [*base, "list-panes", "-a", "-F", "#{pane_pid}", ";", "kill-server"],
        capture_output=True,
        text=True,
        check=False,
    )
    pids = [int(line) for line in panes.stdout.split()]
    wait_until(lambda: not any(map(process.find, pids)))


def wait_until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s")
        time.sleep(LOOK)


def wait_for_file(path: Path, seconds: float = 60.0) -> int:
    """The time in ns at which the file was seen."""
    deadline = time.monotonic() + seconds
    while True:
        exists = os.access(path, os.F_OK)
        now = time.time_ns()
        if exists:
            return now
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} did not appear within {seconds:g} s")
        time.sleep(LOOK)


# ---- taking turns


Measure = Callable[[], float]


def take_turns(rounds: int, *sides: Measure, warm: int = 1) -> list[list[float]]:
    """Each side's numbers. One round asks every side once; who is first changes from round to round.

    The first `warm` rounds are not counted.
    """
    times: list[list[float]] = [[] for _ in sides]
    for number in range(-warm, rounds):
        order = list(range(len(sides)))
        for side in order if number % 2 else reversed(order):
            measured = sides[side]()
            if number >= 0:
                times[side].append(measured)
    return times


def seconds_of(*argv: str, env: Mapping[str, str], cwd: Path) -> float:
    """How long a command takes from start to end, its output read through a pipe."""
    began = time.perf_counter()
    subprocess.run(argv, env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return time.perf_counter() - began


# ---- the table


@dataclass(frozen=True, slots=True)
class Row:
    what: str
    ours: str
    peer: str = ""
    ratio: str = ""
    target: str = ""


def compare(what: str, ours: Sequence[float], peer: Sequence[float], target: float | None = None) -> Row:
    """Two sides that took turns: medians in seconds, and their ratio."""
    ratio = statistics.median(ours) / statistics.median(peer)
    low, high = quartiles([a / b for a, b in zip(ours, peer, strict=True)])
    ratios = f"{ratio:.2f} ({low:.2f}–{high:.2f})"
    return Row(what, span(ours), span(peer), ratios, "" if target is None else _met(ratio, target, f"{target:.2f}"))


def absolute(what: str, ours: Sequence[float], target: float | None = None) -> Row:
    """One side alone, in seconds."""
    met = "" if target is None else _met(statistics.median(ours), target, show(target))
    return Row(what, span(ours), target=met)


def _met(value: float, target: float, shown: str) -> str:
    return f"≤ {shown} {'met' if value <= target else 'MISSED'}"


def span(values: Sequence[float]) -> str:
    """The median and, in brackets, the quartiles."""
    low, high = quartiles(values)
    return f"{show(statistics.median(values))} ({show(low)}–{show(high)})"


def show(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def table(title: str, rows: Sequence[Row]) -> None:
    """Print the rows; medians, and in brackets the quartiles of the rounds."""
    cells = [("", "ours", "peer", "ratio", "target"), *((r.what, r.ours, r.peer, r.ratio, r.target) for r in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(5)]
    print(f"\n{title}")
    for row in cells:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def rounds(default: int, about: str) -> int:
    """`--rounds N` of the command line."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--rounds", type=int, default=default, metavar="N", help=f"default: {default}")
    count: int = parser.parse_args().rounds
    return max(1, count)
