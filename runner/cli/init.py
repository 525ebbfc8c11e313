"""`muxq init`."""

from pathlib import Path
from typing import Annotated

import typer

from runner.cli.options import JsonOption
from runner.cli.printing import print_json, say


def init(
    folder: Annotated[str, typer.Argument(metavar="[DIR]", help="The folder that gets it.")] = ".",
    as_json: JsonOption = False,
) -> None:
    """Make `.muxq/` the home of this folder.

    And of all below it. A `.muxq/` that is there already is used only after this command, or a yes to a question:
    whoever made the folder may have put it there.
    """
    from runner.home import homes, layout

    home = layout.init(Path(folder).expanduser().resolve())
    say(f"muxq: this is a home now; {homes.contents(home.path)}", err=True)
    if as_json:
        print_json({"home": str(home.path)})
    else:
        say(home.path)
