"""`muxq approve`."""

from typing import Annotated, Any

import typer

from runner.cli.options import HomeOption, JobArgument, JsonOption
from runner.cli.printing import print_json, say


def approve(
    job: JobArgument,
    always: Annotated[
        bool, typer.Option("--always", help="Also the agent's own suggestion, for the rest of its session.")
    ] = False,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Allow what a job asks for.

    The oldest request, if it asks for several things.
    """
    from runner.queue import Queue

    print_answered(Queue(home_path).approve(job, always=always), "approved", as_json=as_json)


def print_answered(request: dict[str, Any], how: str, *, as_json: bool) -> None:
    """Print the request that was answered, as it stood."""
    if as_json:
        print_json(request)
    else:
        chosen = f" with {request['chosen']!r}" if request["chosen"] else ""
        say(f"{how}{chosen}: {request['detail']}", err=True)
