"""`muxq notify`."""

from typing import Annotated

import typer

from runner.cli.options import HomeOption, JsonOption
from runner.cli.printing import print_json, say
from runner.errors import BadInput, Unready


def notify(
    text: Annotated[str, typer.Argument(metavar="[TEXT]", help="The message.")] = "A message to try this out.",
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Send a message to the places that config.toml names in `notify`, to try them."""
    from runner.home import config, layout
    from runner.notify import sender

    home = layout.locate(home_path).make()
    places = config.load(home.config).notify
    if not places:
        raise BadInput(f"`notify` names no place in {home.config}")
    if problems := sender.send_message(places, "muxq", text):
        raise Unready("; ".join(problems))
    if as_json:
        print_json({"sent": len(places)})
    else:
        say(f"sent to {len(places)} {'place' if len(places) == 1 else 'places'}", err=True)
