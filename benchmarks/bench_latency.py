"""The latency of the queue at both ends of a job: from the drop to its program, and from its evidence to done/.

The worker is idle before each round, as it is in a queue that is not full.
"""

from __future__ import annotations

import itertools
import json
import time
from datetime import datetime

from common import (
    NOW,
    REPOSITORY,
    Row,
    Tmux,
    Worker,
    absolute,
    compare,
    environment,
    rounds,
    sandbox,
    table,
    take_turns,
    wait_for_file,
)

PICK_UP = 3.0
DETECTION = 0.020


def main() -> None:
    count = rounds(40, __doc__ or "")
    with sandbox() as folder:
        env = environment(folder)
        with Worker(folder, env) as worker, Tmux(folder, env) as bare:
            rows = [*_shell(worker, bare, count), _echo(worker, count)]
    table(f"latency, {count} rounds", rows)


def _shell(worker: Worker, bare: Tmux, count: int) -> list[Row]:
    """The job's program only prints the time."""
    folder = worker.home.path.parent
    script = folder / "prompt.md"
    script.write_text(NOW + "\n")
    numbers = itertools.count()
    ends: list[float] = []

    def ours() -> float:
        name, began = worker.drop({"agent": "shell", "prompt": NOW})
        job, ended = worker.done(name)
        ran = int((worker.home.runs / job / "1" / "output.md").read_text())
        ends.append((ended - ran) / 1e9)
        worker.settled(job)
        return (ran - began) / 1e9

    def peer() -> float:
        """The command of the shell profile, word for word."""
        out = folder / f"out{next(numbers)}"
        began = time.time_ns()
        bare.launch(out.name, "sh", str(REPOSITORY / "sessions" / "shell.sh"), str(script), str(out))
        wait_for_file(out)
        return (int(out.read_text()) - began) / 1e9

    drops, launches = take_turns(count, ours, peer)
    return [
        compare("pick-up: drop → program / bare tmux new-session", drops, launches, PICK_UP),
        absolute("detection: program's last word → done/ (no hooks)", ends[-count:], DETECTION),
    ]


def _echo(worker: Worker, count: int) -> Row:
    """From the time in the agent's own turn-over line, written after its output."""

    def ours() -> float:
        name, _ = worker.drop({"agent": "echo", "prompt": "fine"})
        job, ended = worker.done(name)
        lines = (worker.home.runs / job / "1" / "events.jsonl").read_text().splitlines()
        over = next(event for event in map(json.loads, lines) if event["event"] == "turn-over")
        worker.settled(job)
        return ended / 1e9 - datetime.fromisoformat(over["at"]).timestamp()

    return absolute("detection: turn over → done/ (hooks)", take_turns(count, ours)[0], DETECTION)


if __name__ == "__main__":
    main()
