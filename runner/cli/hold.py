"""`muxq hold`."""

from typing import Annotated

import typer

from runner.cli.options import HomeOption, JsonOption, length
from runner.cli.printing import print_json, say


def hold(
    reason: Annotated[str, typer.Argument(metavar="[REASON]", help="Why; shown by ls.")] = "put on hold by hand",
    lasting: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="Lift it automatically after this time: 30m, 2h.")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Only print the present hold: until when, and why.")] = False,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Start nothing new in this home.

    Until `muxq release`, or for a time with --for. Running jobs go on.
    """
    from runner.queue import Queue

    queue = Queue(home_path)
    standing = queue.held() if show else queue.hold(reason, length(lasting))
    if as_json:
        print_json(standing.as_dict() if standing else None)
    else:
        text = f"on hold until {standing.end()}: {standing.reason}" if standing else "no hold"
        say(text, err=not show)
