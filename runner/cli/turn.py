"""`muxq turn`."""

from collections.abc import Callable
from typing import Any

import typer

from runner.cli.options import HomeOption, JobArgument, JsonOption, TimeoutOption, length
from runner.cli.printing import print_json, say, say_lines


def turn(
    job: JobArgument, timeout: TimeoutOption = None, as_json: JsonOption = False, home_path: HomeOption = None
) -> None:
    """Block until the present turn is over or the session is gone.

    Exit status 0: it is over; 1: it failed or was interrupted, the session is gone, or the time has run out.
    """
    from runner.queue import Queue

    queue, limit = Queue(home_path), length(timeout)
    print_turn(lambda: queue.turn(job, limit), as_json=as_json, message=False)


def print_turn(wait: Callable[[], dict[str, Any]], *, as_json: bool, message: bool) -> None:
    """Print how a turn has ended, or with `message` the agent's last message; exit status 1 unless it is over."""
    try:
        turn = wait()
    except TimeoutError as problem:
        say(f"muxq: {problem}", err=True)
        raise typer.Exit(1) from None
    over = turn["how"] == "over"
    if as_json:
        print_json(turn)
    elif not message:
        say(turn["how"])
    elif over:
        say_lines(turn["said"])
    if not over:
        words = f": {turn['said']}" if turn["said"] else ""
        say(f"muxq: the turn of job {turn['job']} did not finish successfully ({turn['how']}){words}", err=True)
        raise typer.Exit(1)
