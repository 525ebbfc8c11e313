"""The processor time of a worker and of its tmux server while the sessions are quiet."""

from __future__ import annotations

import argparse
import time
from functools import partial

import psutil
from common import Row, Worker, environment, sandbox, table, wait_until

from runner.system import process
from runner.tmux.setup import socket_path

TARGET = 2.0
"""Per cent of a core."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=100, metavar="N", help="default: 100")
    parser.add_argument("--seconds", type=float, default=30, metavar="N", help="default: 30")
    args = parser.parse_args()
    rows = []
    with sandbox() as folder:
        for count in (1, args.sessions):
            place = folder / str(count)
            place.mkdir()
            with Worker(place, environment(folder), jobs=count) as worker:
                for _ in range(count):
                    worker.drop({"prompt": "@stay", "agent": "echo"})
                wait_until(partial(_all_quiet, worker, count), 120)
                time.sleep(3)
                (server,) = process.serving("start-server", str(socket_path(worker.home.path)))
                sides = [psutil.Process(worker.pid), psutil.Process(server.pid)]
                before = [_used(side) for side in sides]
                time.sleep(args.seconds)
                shares = [100 * (_used(side) - old) / args.seconds for side, old in zip(sides, before, strict=True)]
            met = "" if count == 1 else f"≤ {TARGET:g} % {'met' if sum(shares) <= TARGET else 'MISSED'}"
            rows.append(Row(f"{count} quiet", f"worker {shares[0]:.2f} %, tmux {shares[1]:.2f} %", target=met))
    table(f"processor time of quiet sessions, of one core, over {args.seconds:g} s", rows)


def _all_quiet(worker: Worker, count: int) -> bool:
    """Whether so many sessions have begun their turn, in which they do nothing more."""
    streams = worker.home.runs.glob("*/*/events.jsonl")
    return sum(b"prompt-accepted" in events.read_bytes() for events in streams) == count


def _used(side: psutil.Process) -> float:
    times = side.cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    main()
