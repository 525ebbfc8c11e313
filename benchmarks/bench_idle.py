"""What a worker costs while its sessions are quiet: its own processor time, and that of the tmux server."""

from __future__ import annotations

import argparse
import time

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
    said = parser.parse_args()
    rows = []
    with sandbox() as folder:
        for count in (1, said.sessions):
            place = folder / str(count)
            place.mkdir()
            with Worker(place, environment(folder), jobs=count) as worker:
                for _ in range(count):
                    worker.drop({"prompt": "@stay", "agent": "echo"})
                wait_until(lambda worker=worker, count=count: _quiet(worker) == count, 120)
                time.sleep(3)
                (server,) = process.serving("start-server", str(socket_path(worker.home.path)))
                sides = [psutil.Process(worker.pid), psutil.Process(server.pid)]
                before = [_used(side) for side in sides]
                time.sleep(said.seconds)
                shares = [100 * (_used(side) - old) / said.seconds for side, old in zip(sides, before, strict=True)]
            met = "" if count == 1 else f"≤ {TARGET:g} % {'met' if sum(shares) <= TARGET else 'MISSED'}"
            rows.append(Row(f"{count} quiet", f"worker {shares[0]:.2f} %, tmux {shares[1]:.2f} %", target=met))
    table(f"processor time of quiet sessions, of one core, over {said.seconds:g} s", rows)


def _quiet(worker: Worker) -> int:
    """Sessions that have said their first word and nothing since."""
    return sum(b"prompt-accepted" in events.read_bytes() for events in worker.home.runs.glob("*/*/events.jsonl"))


def _used(one: psutil.Process) -> float:
    times = one.cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    main()
