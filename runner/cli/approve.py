"""`muxq approve`."""

import sys
from typing import Annotated, Any

import typer

from runner.cli.options import HomeOption, JobArgument, JsonOption
from runner.cli.printing import print_json, say

RequestOption = Annotated[
    str | None,
    typer.Option(
        "--request", metavar="ID", help="The request that is meant, as muxq show names it.", show_default=False
    ),
]


def approve(
    job: JobArgument,
    always: Annotated[
        bool, typer.Option("--always", help="Also the agent's own suggestion, for the rest of its session.")
    ] = False,
    request: RequestOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask back on a terminal.")] = False,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Allow what a job asks for.

    The oldest request, if it asks for several things. On a terminal the request is shown first.
    """
    from runner.queue import Queue

    queue = Queue(home_path)
    if request is None and not yes and sys.stdin.isatty():
        request = _confirmed(queue.asked(job), always)
    print_answered(queue.approve(job, always=always, request=request), "approved", as_json=as_json)


def _confirmed(attention: dict[str, Any], always: bool) -> str:
    """Show what is asked for, and ask whether it may be; returns its id."""
    from runner.cli.show import print_request

    print_request(attention if always else attention | {"rules": []}, err=True)
    typer.confirm("Allow this?", abort=True, err=True)
    return str(attention["id"])


def print_answered(request: dict[str, Any], how: str, *, as_json: bool) -> None:
    """Print the request that was answered, as it stood."""
    if as_json:
        print_json(request)
    else:
        chosen = f" with {request['chosen']!r}" if request["chosen"] else ""
        say(f"{how}{chosen}: {request['detail']}", err=True)
