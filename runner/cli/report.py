"""`muxq report`."""

import time
from pathlib import Path
from typing import Annotated

import typer

from runner.cli.options import HomeOption, warn_of_no_place
from runner.cli.printing import as_json, say
from runner.system import files
from runner.system.text import expand

FORMATS = ("text", "md", "html", "json")
ENDINGS = {"htm": "html", "markdown": "md", "txt": "text"}


def report(
    since: Annotated[
        str, typer.Option("--since", metavar="WHEN", help="How far back: 24h, 2d, 18:00, or a date and time.")
    ] = "24h",
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="text, md, html or json.")] = "text",
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write it to FILE, whose ending is the format.")
    ] = None,
    json_too: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    notify: Annotated[bool, typer.Option("--notify", help="Also send it to the places of config.toml.")] = False,
    home_path: HomeOption = None,
) -> None:
    """Report what was done, what was not and why, what it cost, and what waits for you."""
    from runner.notify import notices
    from runner.queue import Queue
    from runner.reports import page, period
    from runner.reports import report as reports

    chosen = _format("json" if json_too else form, output)
    queue, start = Queue(home_path), period.start(since, time.time())
    record = reports.report(queue, start)
    if chosen == "json":
        text = as_json(record.as_dict(), indent=2)
    else:
        text = {"text": page.text, "md": page.markdown, "html": page.html}[chosen](record)
    if output and output != "-":
        files.write_private(expand(output), text.rstrip().encode("utf-8", "replace") + b"\n")
    elif chosen == "text":
        for line in text.splitlines():
            say(line)
    else:
        typer.echo(text)
    if notify:
        warn_of_no_place(queue.home)
        notices.of_report(queue.home, {**record.as_dict(), "summary": page.summary(record), "text": page.text(record)})


def check(form: str, output: str | None, since: str) -> None:
    """BadParameter, BadInput for options that cannot be used."""
    from runner.reports import period

    _format(form, output)
    period.start(since, time.time())


def _format(form: str, output: str | None) -> str:
    """The format that is asked for, or that the ending of the file names. BadParameter."""
    ending = Path(output).suffix.lstrip(".").lower() if output and form == "text" else ""
    chosen = ENDINGS.get(ending, ending or form)
    if chosen not in FORMATS:
        raise typer.BadParameter(f"{chosen!r} is not one of {', '.join(FORMATS)}.", param_hint="--format")
    return chosen
