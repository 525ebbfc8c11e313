"""`muxq output`."""

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from runner.cli.options import HomeOption, JobArgument, JsonOption
from runner.cli.printing import print_json, say, say_lines

PIECE = 1 << 16
"""Characters of a line that are printed at a time: a line may be as long as the file."""


def output(
    job: JobArgument,
    path: Annotated[bool, typer.Option("--path", help="Print the path of the result, not the result.")] = False,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Print a done job's result."""
    from runner.queue import Queue

    queue = Queue(home_path)
    file = queue.output_file(job)
    if as_json:
        print_json({"path": str(file), "text": queue.output(job)})
    elif path and sys.stdout.isatty():
        say(file)
    elif path:
        sys.stdout.buffer.write(os.fsencode(file) + b"\n")  # for a program: the very bytes
    else:
        _copy(file)


def _copy(file: Path) -> None:
    """Print the file byte for byte; on a terminal line by line, without what would give the terminal orders."""
    if sys.stdout.isatty():
        with file.open(encoding="utf-8", errors="replace", newline="\n") as lines:
            while piece := lines.readline(PIECE):
                say_lines(piece.removesuffix("\n"))
        return
    sys.stdout.flush()
    with file.open("rb") as source:
        shutil.copyfileobj(source, sys.stdout.buffer)
    sys.stdout.buffer.flush()
