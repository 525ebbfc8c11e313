"""`muxq answer`."""

from typing import Annotated

import typer

from runner.cli.approve import RequestOption, print_answered
from runner.cli.options import HomeOption, JobArgument, JsonOption


def answer(
    job: JobArgument,
    text: Annotated[
        list[str],
        typer.Argument(
            metavar="TEXT...", help="The beginning of an option, or words of your own; one for each question."
        ),
    ],
    request: RequestOption = None,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Answer a job's question.

    Or choose an option of the dialog on its screen.
    """
    from runner.queue import Queue

    print_answered(Queue(home_path).answer(job, *text, request=request), "answered", as_json=as_json)
