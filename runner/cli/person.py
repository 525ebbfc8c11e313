"""Commands of a person whom a job waits for: approve, deny, answer; and notify, which tries how one is told."""

from typing import Annotated, Any

import typer

from runner.cli.options import HomeOption, JobArgument, JsonOption, print_json, say


def approve(
    job: JobArgument,
    always: Annotated[
        bool, typer.Option("--always", help="And what the agent suggests for it, for the rest of its session.")
    ] = False,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Allow what a job asks for.

    The oldest request, if it asks for several things.
    """
    from runner.queue import Queue

    _told(Queue(home_path).approve(job, always=always), "approved", as_json)


def deny(
    job: JobArgument,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why; the agent reads it and goes on.")
    ] = None,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Refuse what a job asks for.

    The agent is told, and goes on without it.
    """
    from runner.queue import Queue

    _told(Queue(home_path).deny(job, reason=reason or ""), "refused", as_json)


def answer(
    job: JobArgument,
    text: Annotated[
        list[str],
        typer.Argument(
            metavar="TEXT...", help="The beginning of an option, or words of your own; one for each question."
        ),
    ],
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Answer a job's question.

    Or choose an option of the dialog that it stands before.
    """
    from runner.queue import Queue

    _told(Queue(home_path).answer(job, *text), "answered", as_json)


def _told(answered: dict[str, Any], how: str, as_json: bool) -> None:
    """Say what was answered: the request as it stood."""
    if as_json:
        print_json(answered)
    else:
        chosen = f" with {answered['chosen']!r}" if answered["chosen"] else ""
        say(f"{how}{chosen}: {answered['detail']}", err=True)


def notify(
    text: Annotated[str, typer.Argument(metavar="[TEXT]", help="What to say.")] = "A message to try this out.",
    home_path: HomeOption = None,
) -> None:
    """Send a message to the places that config.toml names in `notify`, to try them."""
    from runner.errors import BadInput, Unready
    from runner.home import config, layout
    from runner.notify import sender

    place = layout.locate(home_path).make()
    places = config.load(place.config).notify
    if not places:
        raise BadInput(f"`notify` names no place in {place.config}")
    if problems := sender.deliver(places, "muxq", text):
        raise Unready("; ".join(problems))
    say(f"sent to {len(places)} {'place' if len(places) == 1 else 'places'}", err=True)
