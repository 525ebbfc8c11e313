"""`muxq deny`."""

from typing import Annotated

import typer

from runner.cli.approve import RequestOption, print_answered
from runner.cli.options import HomeOption, JobArgument, JsonOption


def deny(
    job: JobArgument,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why; the agent reads it and goes on.")
    ] = None,
    request: RequestOption = None,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Refuse what a job asks for.

    The agent learns of it, and goes on without.
    """
    from runner.queue import Queue

    print_answered(Queue(home_path).deny(job, reason=reason or "", request=request), "refused", as_json=as_json)
