"""The command of the morning: report."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from runner.cli.options import HomeOption, as_json, say, warn_of_no_place
from runner.errors import BadInput
from runner.system import clock, duration
from runner.system.text import expand

FORMATS = ("text", "md", "html", "json")


def report(
    since: Annotated[
        str, typer.Option("--since", metavar="D|TIME", help="How far back: 24h, 2d, 18:00, or a date and time.")
    ] = "24h",
    form: Annotated[str, typer.Option("--format", metavar="|".join(FORMATS), help="What to print.")] = "text",
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there; the name says the format.")
    ] = None,
    json_too: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    notify: Annotated[bool, typer.Option("--notify", help="Send it to the places of config.toml, too.")] = False,
    home_path: HomeOption = None,
) -> None:
    """Tell what was done, what was not and why, what it cost, and what waits for you."""
    from runner.notify import notices
    from runner.queue import Queue
    from runner.reports import page
    from runner.reports import report as reports

    wanted = _format("json" if json_too else form, output)
    queue = Queue(home_path)
    found = reports.report(queue, _moment(since))
    shown: dict[str, Callable[[dict[str, Any]], str]] = {
        "text": page.text,
        "md": page.markdown,
        "html": page.html,
        "json": lambda told: as_json(told, indent=2),
    }
    told = shown[wanted](found)
    if output and output != "-":
        expand(output).write_bytes(told.rstrip().encode("utf-8", "replace") + b"\n")
    elif wanted == "text":
        for line in told.splitlines():
            say(line)
    else:
        typer.echo(told)
    if notify:
        warn_of_no_place(queue.home)
        notices.of_report(queue.home, {**found, "summary": page.summary(found), "text": page.text(found)})


def check(said: Mapping[str, Any]) -> None:
    """BadParameter, BadInput for options that cannot be."""
    _format(said["form"], said["output"])
    _moment(said["since"])


def _format(said: str, output: str | None) -> str:
    ending = Path(output).suffix.lstrip(".").lower() if output and said == "text" else ""
    wanted = {"htm": "html", "markdown": "md", "txt": "text"}.get(ending, ending or said)
    if wanted not in FORMATS:
        raise typer.BadParameter(f"{wanted!r} is not one of {', '.join(FORMATS)}.", param_hint="--format")
    return wanted


def _moment(said: str) -> float:
    """The time that `24h`, `18:00` (the last one that has been) or a date and time stands for."""
    now = time.time()
    try:
        return now - duration.seconds(said)
    except BadInput:
        pass
    try:
        clocked = time.strptime(said, "%H:%M")
        year, month, day = time.localtime(now)[:3]
        days = (time.mktime((year, month, day - back, *clocked[3:5], 0, 0, 0, -1)) for back in (0, 1))
        return next(moment for moment in days if moment <= now)
    except ValueError:
        pass
    try:
        moment = clock.moment(said)
    except ValueError:
        raise BadInput(f"{said!r} is no time: give 24h, 18:00, or a date and time like 2026-03-01T18:00") from None
    if moment > now:
        raise BadInput(f"{said!r} is still to come; a report is of what has been")
    return moment
