"""Commands that only look: ls, show, output, logs, schema, doctor."""

import shutil
import sys
import time
from collections.abc import Callable
from typing import Annotated, Any, BinaryIO

import typer

from runner import clock, duration, hold, home
from runner.cli.options import HomeOption, JobArgument, JsonOption, print_json
from runner.state import State

COLOURS = {"running": "cyan", "done": "green", "failed": "red", "cancelled": "yellow"}


def ls(
    state: Annotated[
        list[str] | None, typer.Option("--state", "-s", metavar="STATE", help="Only jobs in this state.")
    ] = None,
    tag: Annotated[str | None, typer.Option("--tag", metavar="S", help="Only jobs with this tag.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, help="At most so many jobs.")] = 50,
    everything: Annotated[bool, typer.Option("--all", help="All jobs, however many.")] = False,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """List jobs.

    Running ones, waiting ones in claim order, then the youngest finished ones.
    """
    from runner.queue import Queue

    queue = Queue(home_path)
    states = [_state(word) for word in state] if state else list(State)
    jobs = queue.list(states, limit=None if everything or tag else limit)
    jobs = [job for job in jobs if tag is None or tag in job["tags"]][: None if everything else limit]
    for name, why in queue.drops.rejected:
        typer.echo(f"{name} rejected: {why}", err=True)
    if as_json:
        return print_json(jobs)
    for name in queue.drops.unfinished:
        typer.echo(f"{name} is still being written", err=True)
    if held := hold.current(queue.home):
        until = time.strftime("%H:%M", time.localtime(held.until)) if held.until else "a person lifts it (muxq release)"
        typer.echo(f"on hold until {until}: {held.reason}", err=True)
    jobs.sort(key=lambda job: job["attention"] is None)
    rows: list[tuple[str, ...]] = [
        (job["id"], job["state"], _age(job), job["agent"], job["name"] or "", _what(job)) for job in jobs
    ]
    _table(("ID", "STATE", "AGE", "AGENT", "NAME", "WHAT"), rows)
    if sys.stderr.isatty():
        _counted(queue.counts(), len(jobs), states, tag)
    return None


def _state(word: str) -> State:
    try:
        return State(word)
    except ValueError:
        raise typer.BadParameter(f"{word!r} is not one of {', '.join(State)}.", param_hint="--state") from None


def _counted(counts: dict[State, int], shown: int, states: list[State], tag: str | None) -> None:
    """Say what is not shown."""
    told = ", ".join(f"{counts[state]} {state}" for state in State if counts[state])
    more = sum(counts[state] for state in states) - shown
    hint = f"; {more} more: muxq ls --all" if more > 0 and tag is None else ""
    typer.echo(f"{told or 'no jobs yet; add one with: muxq add PROMPT'}{hint}", err=True)


def _age(job: dict[str, Any]) -> str:
    """How long the job has run, or waited, or since when it has ended."""
    since = {"running": job["attempts"][-1]["started_at"] if job["attempts"] else None, "queued": job["created_at"]}
    start = since.get(job["state"], job["finished_at"]) or job["created_at"]
    text = duration.show(max(1, int(time.time() - clock.seconds(start))))
    return " ".join(text.split()[:1])


def _what(job: dict[str, Any]) -> str:
    """What there is to say of the job in a few words."""
    last = job["attempts"][-1] if job["attempts"] else None
    if job["attention"]:
        return f"{_mode(job)}waits for you ({job['attention']['kind']}): {job['attention']['detail']}"
    if job["error"]:
        return f"{job['error']['kind']}: {job['error']['message']}"
    if job["state"] == "running" and last:
        return f"{_mode(job)}{last['doing'] or job['status'] or 'starting'}"
    if job["kept"]:
        return f"kept, {_mode(job)}{job['status']}: muxq send {job['id']} TEXT, or muxq close {job['id']}"
    if job["state"] == "queued" and last and last["error"]:
        return f"tried before: {last['error']['message']}"
    return job["output_path"] or "" if job["state"] == "done" else ""


def _mode(job: dict[str, Any]) -> str:
    """The mode, where it is not muxq that drives."""
    return f"{job['mode']}, " if job["mode"] not in (None, "driving") else ""


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Aligned columns; the last is cut to the terminal's width, or whole where there is none."""
    if not rows:
        return
    tty = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if tty else sys.maxsize
    clean = [tuple("".join(c if c.isprintable() else "?" for c in cell) for cell in row) for row in rows]
    widths = [max(len(row[i]) for row in [head, *clean]) for i in range(len(head) - 1)]
    for number, row in enumerate([head, *clean]):
        cells = [cell.ljust(size) for cell, size in zip(row, widths, strict=False)]
        line = "  ".join([*cells, row[-1]]).rstrip()
        line = line if len(line) <= width else line[: width - 1] + "…"
        if tty and number == 0:
            line = typer.style(line, bold=True)
        elif tty and row[1] in COLOURS:
            line = line.replace(row[1], typer.style(row[1], fg=COLOURS[row[1]]), 1)
        typer.echo(line)


def show(job: JobArgument, as_json: JsonOption = False, home_path: HomeOption = None) -> None:
    """Tell everything of a job.

    Its state, each attempt, and where its files lie.
    """
    from runner.queue import Queue

    found = Queue(home_path).get(job)
    if as_json:
        return print_json(found)
    for key in (
        "id",
        "name",
        "state",
        "status",
        "mode",
        "agent",
        "priority",
        "tags",
        "created_at",
        "started_at",
        "finished_at",
        "output_path",
    ):
        if found[key] not in (None, [], "") and (key, found[key]) != ("mode", "driving"):
            typer.echo(f"{key + ':':13} {', '.join(found[key]) if key == 'tags' else found[key]}")
    for key in ("error", "attention"):
        if found[key]:
            typer.echo(f"{key + ':':13} {found[key]['kind']}: {found[key].get('message') or found[key].get('detail')}")
    if found["kept"]:
        typer.echo(f"{'kept:':13} its session stays open until: muxq close {found['id']}")
    if found["command"]:
        typer.echo(f"{'by hand:':13} {found['command']}")
    for attempt in found["attempts"]:
        typer.echo(f"\nattempt {attempt['number']}: {attempt['outcome'] or attempt['doing'] or 'under way'}")
        said = attempt["error"]["message"] if attempt["error"] else None
        usage = ", ".join(f"{key} {value}" for key, value in (attempt["usage"] or {}).items())
        rows = {
            "because": said,
            "usage": usage,
            **{
                key: attempt[key] for key in ("started_at", "finished_at", "run_dir", "prompt", "screen", "post_mortem")
            },
        }
        for key, value in rows.items():
            if value:
                typer.echo(f"  {key + ':':13} {value}")
    return None


def output(
    job: JobArgument,
    path: Annotated[bool, typer.Option("--path", help="Print where the result lies, not the result.")] = False,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Print a done job's result."""
    from runner.queue import Queue

    file = Queue(home_path).output_file(job)
    if as_json:
        return print_json({"path": str(file), "text": file.read_text("utf-8", "replace")})
    if path:
        typer.echo(str(file))
    else:
        sys.stdout.flush()
        with file.open("rb") as source:
            shutil.copyfileobj(source, sys.stdout.buffer)
            if sys.stdout.isatty() and file.stat().st_size and not _ends_its_line(source):
                sys.stdout.buffer.write(b"\n")
        sys.stdout.buffer.flush()
    return None


def _ends_its_line(source: BinaryIO) -> bool:
    source.seek(-1, 2)
    return source.read(1) == b"\n"


def logs(
    job: JobArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")] = False,
    screen: Annotated[
        bool, typer.Option("--screen", help="Print the last screen of the last attempt instead.")
    ] = False,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Tell what happened to a job, step by step."""
    from runner.cli.story import Story
    from runner.queue import Queue

    queue = Queue(home_path)
    place = queue.find(job)
    if screen:
        typer.echo(queue.screen(place.entry.id), nl=False)
        return
    story = Story(queue, place.entry, as_json=as_json)
    for line in story.follow() if follow else story.told():
        typer.echo(line)
        sys.stdout.flush()


def schema() -> None:
    """Print the JSON Schema of the job file."""
    from runner.jobschema import schema as published

    print_json(published())


def doctor(
    agent: Annotated[
        str | None, typer.Option("--agent", "-a", metavar="A", help="Check this agent (default: the home's).")
    ] = None,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Say what is missing on this machine.

    And how to mend it; exit status 5 if jobs could not run.
    """
    from runner.doctor import examine

    checks = examine(home.locate(home_path), agent)
    if as_json:
        print_json([check.as_dict() for check in checks])
    else:
        for check in checks:
            mark = {"ok": "ok  ", "warning": "note", "broken": "BAD "}[check.level]
            typer.echo(
                f"{mark}  {check.subject + ':':14} {check.found}"
                + (f"\n{'':21}mend: {check.mend}" if check.mend else "")
            )
    if any(check.level == "broken" for check in checks):
        raise typer.Exit(5)


COMMANDS: tuple[Callable[..., None], ...] = (ls, show, output, logs, schema, doctor)
