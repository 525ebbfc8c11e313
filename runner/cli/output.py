"""`muxq output`."""

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from runner.cli.options import HomeOption, JobArgument, JsonOption
from runner.cli.printing import print_json, say


def output(
    job: JobArgument,
    path: Annotated[bool, typer.Option("--path", help="Print the path of the result, not the result.")] = False,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Print a done job's result."""
    from runner.queue import Queue

    file = Queue(home_path).output_file(job)
    if as_json:
        print_json({"path": str(file), "text": file.read_text("utf-8", "replace")})
    elif path and sys.stdout.isatty():
        say(file)
    elif path:
        sys.stdout.buffer.write(os.fsencode(file) + b"\n")  # for a program: the very bytes
    else:
        _copy(file)


def _copy(file: Path) -> None:
    """Print the file byte for byte; on a terminal with a line end."""
    sys.stdout.flush()
    with file.open("rb") as source:
        shutil.copyfileobj(source, sys.stdout.buffer)
        if sys.stdout.isatty() and file.stat().st_size and not _ends_its_line(source):
            sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()


def _ends_its_line(source: BinaryIO) -> bool:
    source.seek(-1, 2)
    return source.read(1) == b"\n"
