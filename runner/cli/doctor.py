"""`muxq doctor`."""

from typing import Annotated

import typer

from runner.cli.options import HomeOption, JsonOption, complete_agent
from runner.cli.printing import print_json, say

MARKS = {"ok": "ok  ", "warning": "note", "broken": "BAD "}


def doctor(
    agent: Annotated[
        str | None,
        typer.Option(
            "--agent",
            "-a",
            metavar="NAME",
            help="Check this agent (default: the home's).",
            autocompletion=complete_agent,
        ),
    ] = None,
    as_cron: Annotated[
        bool, typer.Option("--cron", help="Check as cron would run it: no terminal, no locale, a short PATH.")
    ] = False,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Check this machine and name what is missing.

    And how to mend it; exit status 5 if jobs could not run.
    """
    from runner.control import doctor, rehearsal
    from runner.home import layout

    checks = (rehearsal if as_cron else doctor).examine(layout.locate(home_path), agent)
    if as_json:
        print_json([check.as_dict() for check in checks])
    else:
        for check in checks:
            say(f"{MARKS[check.level]}  {check.subject + ':':14} {check.found}")
            if check.mend:
                say(f"{'':21}mend: {check.mend}")
    if any(check.level == "broken" for check in checks):
        raise typer.Exit(5)
