"""Applies a verb to many jobs: an error with one job does not stop the others."""

from collections.abc import Callable, Iterable
from typing import Any

import typer

from runner.cli.printing import print_json, say
from runner.errors import MuxqError


def each(
    words: Iterable[str],
    act: Callable[[str], dict[str, Any]],
    line: Callable[[dict[str, Any]], str],
    *,
    as_json: bool,
) -> None:
    """`act` on every job; prints `line` of each, or all as JSON. Ends with the highest exit code of the errors."""
    jobs, code = [], 0
    for word in words:
        try:
            jobs.append(act(word))
        except MuxqError as problem:
            say(f"muxq: {problem}", err=True)
            code = max(code, problem.exit_code)
            continue
        if not as_json:
            say(line(jobs[-1]))
    if as_json:
        print_json(jobs)
    if code:
        raise typer.Exit(code)
