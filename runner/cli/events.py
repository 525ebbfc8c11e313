"""`muxq events`."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli import printing
from runner.cli.options import FollowOption, HomeOption, JobArgument, JsonOption, LastOption, complete_event
from runner.cli.printing import say
from runner.errors import BadInput

if TYPE_CHECKING:
    from runner.views.story import Step

MAX_DATA = 300
"""Letters of an event's data that are shown to people; JSON has all."""


def events(
    job: JobArgument,
    kinds: Annotated[
        list[str] | None,
        typer.Option("--type", "-t", metavar="NAME", help="Only these events.", autocompletion=complete_event),
    ] = None,
    last: LastOption = None,
    follow: FollowOption = False,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Print the events of a job's sessions, one by one."""
    from runner.home.events import OF_ATTEMPT
    from runner.queue import Queue

    if unknown := [kind for kind in kinds or () if kind not in OF_ATTEMPT]:
        raise BadInput(f"no event {unknown[0]!r}; there are: {', '.join(OF_ATTEMPT)}")
    story, limit = Queue(home_path).story(job), last
    for steps in story.follow() if follow else [story.new()]:
        chosen = [step for step in steps if step.attempt and (not kinds or step.event.name in kinds)]
        for step in chosen[-limit if limit else 0 :]:
            say(printing.as_json(step.as_dict()) if as_json else _line(step))
        sys.stdout.flush()
        limit = None


def _line(step: "Step") -> str:
    data = printing.as_json(step.event.data)
    shown = data if len(data) <= MAX_DATA else data[:MAX_DATA] + "…"
    return f"{step.time()}  [{step.attempt}] {step.event.name:16} {shown}"
