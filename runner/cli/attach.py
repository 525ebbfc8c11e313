"""`muxq attach`."""

import subprocess
import sys
from typing import Annotated

import typer

from runner.cli.options import HomeOption, JobArgument
from runner.cli.printing import say
from runner.errors import Unready

LEAVE = "F12 leaves the session (or Ctrl-b d); it goes on."


def attach(
    job: JobArgument,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Type into the session; without it, you only watch.")
    ] = False,
    home_path: HomeOption = None,
) -> None:
    """Open a job's session in this terminal.

    Leave it with F12, or with the tmux prefix and d: Ctrl-b d. While it is taken over the mode is manual.
    """
    from runner.queue import Queue

    session = Queue(home_path).session(job)
    session.need()
    if not sys.stdin.isatty():
        raise Unready("attach needs a terminal on its standard input")
    if take_over:
        session.take_over()
    try:
        say(LEAVE, err=True)
        argv = session.terminal().attach_argv(session.name, read_only=not take_over)
        code = subprocess.run(argv, check=False).returncode
    finally:
        if take_over:
            session.give_back()
    raise typer.Exit(code)
