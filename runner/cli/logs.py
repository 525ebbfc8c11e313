"""`muxq logs`."""

import sys
from typing import Annotated

import typer

from runner.cli import printing
from runner.cli.options import FollowOption, HomeOption, JobArgument, JsonOption
from runner.cli.printing import print_json, say


def logs(
    job: JobArgument,
    follow: FollowOption = False,
    screen: Annotated[
        bool, typer.Option("--screen", help="Print the last screen of the last attempt instead.")
    ] = False,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Print what happened to a job, step by step."""
    from runner.queue import Queue

    queue = Queue(home_path)
    if screen:
        text = queue.screen(job)
        if as_json:
            return print_json({"screen": text})
        for row in text.splitlines():
            say(row)
        return None
    story = queue.story(job)
    for steps in story.follow() if follow else [story.new()]:
        for step in steps:
            if line := printing.as_json(step.as_dict()) if as_json else step.line():
                typer.echo(line)
        sys.stdout.flush()
    return None
