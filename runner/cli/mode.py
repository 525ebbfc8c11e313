"""`muxq mode`."""

from typing import Annotated

import typer

from runner.cli.options import HomeOption, JobArgument, JsonOption
from runner.cli.printing import print_json, say


def mode(
    job: JobArgument,
    word: Annotated[
        str | None, typer.Argument(metavar="[driving|manual|paused]", help="The new mode.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Print or set who drives a job's session.

    driving: muxq. manual: you; muxq acts only on limits. paused: muxq does nothing.
    """
    from runner.queue import Queue

    current = Queue(home_path).mode(job, word)
    if as_json:
        print_json({"mode": current})
    else:
        say(current)
