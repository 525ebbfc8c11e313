"""`muxq adopt`."""

from typing import Annotated

import typer

from runner.cli.job_options import Agent, Name
from runner.cli.options import HomeOption, JsonOption
from runner.cli.printing import print_json, say
from runner.system.text import expand


def adopt(
    conversation: Annotated[str, typer.Argument(metavar="UUID", help="The agent's own id of the conversation.")],
    prompt: Annotated[
        str | None, typer.Argument(metavar="[PROMPT]", help="Its next task; default: to go on.", show_default=False)
    ] = None,
    workdir: Annotated[
        str, typer.Option("--workdir", "-C", metavar="DIR", help="The folder of the conversation.")
    ] = ".",
    agent: Agent = None,
    name: Name = None,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Add a job that goes on with a conversation you have had with the agent; its id is printed."""
    from runner.queue import GO_ON, Queue

    folder = str(expand(workdir).absolute())
    job = Queue(home_path).adopt(conversation, folder, prompt or GO_ON, agent=agent, name=name)
    if as_json:
        print_json(job)
    else:
        say(job["id"])
