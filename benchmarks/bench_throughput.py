"""The throughput of a full queue of empty jobs, against bare loops of tmux that keep no record."""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from common import MUXQ, Row, Tmux, end_server, environment, quartiles, rounds, sandbox, table, take_turns, wait_until

from runner.home.layout import Home
from runner.tmux.setup import socket_path

JOBS = 200
SIDE_BY_SIDE = 8


def main() -> None:
    count = rounds(3, __doc__ or "")
    with sandbox() as folder:
        env = environment(folder)
        numbers = itertools.count()
        with Tmux(folder, env) as bare:

            def queue() -> float:
                home = Home(folder / f"home{next(numbers)}").make()
                for number in range(JOBS):
                    (home.queue / f"job{number}.json").write_text(json.dumps({"agent": "shell", "prompt": "true"}))
                began = time.perf_counter()
                argv = [MUXQ, "work", "--drain", "--quiet", "--jobs", str(SIDE_BY_SIDE), "--home", str(home.path)]
                subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=True)
                took = time.perf_counter() - began
                end_server(socket_path(home.path))
                if len(list((home.path / "done").iterdir())) != JOBS:
                    raise RuntimeError(f"not every job is done in {home.path}")
                return took

            def loop(threads: int) -> float:
                began = time.perf_counter()
                names = [f"loop{next(numbers)}" for _ in range(JOBS)]
                with ThreadPoolExecutor(threads) as pool:
                    list(pool.map(lambda name: bare.launch(name, "true"), names))
                wait_until(lambda: len(bare.sessions()) == 1)
                return time.perf_counter() - began

            ours, single, several = take_turns(count, queue, lambda: loop(1), lambda: loop(SIDE_BY_SIDE), warm=0)
    ours_is = f"muxq work --jobs {SIDE_BY_SIDE} --drain"
    table(
        f"{JOBS} jobs that do nothing, {count} rounds; the queue's start-up included",
        [
            _row(f"{ours_is} / tmux new-session … true, one after the other", ours, single),
            _row(f"{ours_is} / tmux new-session … true, {SIDE_BY_SIDE} at a time", ours, several),
        ],
    )


def _row(what: str, ours: list[float], peer: list[float]) -> Row:
    return Row(what, _rate(ours), _rate(peer), f"{statistics.median(ours) / statistics.median(peer):.1f} × the time")


def _rate(took: list[float]) -> str:
    low, high = quartiles([JOBS / seconds for seconds in took])
    return f"{JOBS / statistics.median(took):.0f}/s ({low:.0f}–{high:.0f})"


if __name__ == "__main__":
    main()
