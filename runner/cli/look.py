"""Commands that only look: ls, show, output, logs, schema, doctor."""

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from runner.agents.progress import INTERRUPTED
from runner.cli.options import HomeOption, JobArgument, JsonOption, print_json, say
from runner.cli.tree import below, families
from runner.home import config, layout, pool
from runner.jobs.state import State
from runner.system import clock, duration
from runner.system.text import plain

SCREEN_LINES = 15
"""How much of a dialog's screen is shown."""

COLOURS = {"running": "cyan", "done": "green", "failed": "red", "cancelled": "yellow"}


def ls(
    state: Annotated[
        list[str] | None, typer.Option("--state", "-s", metavar="STATE", help="Only jobs in this state.")
    ] = None,
    tag: Annotated[str | None, typer.Option("--tag", metavar="S", help="Only jobs with this tag.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, help="At most so many jobs.")] = 50,
    everything: Annotated[bool, typer.Option("--all", help="All jobs, however many.")] = False,
    tree: Annotated[bool, typer.Option("--tree", help="Show jobs below those that they are after.")] = False,
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
    jobs, depths = families(jobs) if tree else (jobs, [0] * len(jobs))
    for name, why in queue.drops.rejected:
        say(f"{name} rejected: {why}", err=True)
    if as_json:
        return print_json(jobs)
    for name in queue.drops.unfinished:
        say(f"{name} is still being written, or a job that it is after is", err=True)
    now = time.time()
    if held := pool.held(queue.home, config.load(queue.home.config), now):
        say(f"on hold until {held.end()}: {held.reason}", err=True)
    if gauge := pool.gauge(pool.load(queue.home), now):
        say(f"used: {', '.join(gauge)}", err=True)
    rows: list[tuple[str, ...]] = [
        (job["id"], job["state"], _age(job), job["agent"], below(depth, job["name"] or ""), _what(job))
        for depth, job in zip(depths, jobs, strict=True)
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
    say(f"{told or 'no jobs yet; add one with: muxq add PROMPT'}{hint}", err=True)


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
    if job["waits_for"]:
        return f"after {', '.join(job['waits_for'][:3])}{', …' if len(job['waits_for']) > 3 else ''}"
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
    clean = [tuple(plain(cell) for cell in row) for row in rows]
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
        "batch",
        "after",
        "waits_for",
        "created_at",
        "started_at",
        "finished_at",
        "output_path",
    ):
        if found[key] not in (None, [], "") and (key, found[key]) != ("mode", "driving"):
            say(f"{key + ':':13} {', '.join(found[key]) if isinstance(found[key], list) else found[key]}")
    if found["error"]:
        say(f"{'error:':13} {found['error']['kind']}: {found['error']['message']}")
    if found["attention"]:
        _show_attention(found["id"], found["attention"])
    if found["kept"]:
        say(f"{'kept:':13} its session stays open until: muxq close {found['id']}")
    if found["command"]:
        say(f"{'by hand:':13} {found['command']}")
    for attempt in found["attempts"]:
        say("")
        say(f"attempt {attempt['number']}: {attempt['outcome'] or attempt['doing'] or 'under way'}")
        said = attempt["error"]["message"] if attempt["error"] else None
        usage = ", ".join(f"{key} {value}" for key, value in (attempt["usage"] or {}).items())
        rows = {
            "because": said,
            "usage": usage,
            "branch": attempt["branch"],
            "changed": ", ".join(f"{count} {key}" for key, count in (attempt["diff_stat"] or {}).items() if count),
            **{
                key: attempt[key]
                for key in ("started_at", "finished_at", "run_dir", "prompt", "screen", "invalid_output", "post_mortem")
            },
        }
        for key, value in rows.items():
            if value:
                say(f"  {key + ':':13} {value}")
    return None


def _show_attention(job: str, asked: dict[str, Any]) -> None:
    """What the job waits for, and what to type."""
    say(f"{'attention:':13} {asked['kind']}: {asked['detail']}")
    say(f"{'since:':13} {asked['since']}")
    if asked["options"]:
        say(f"{'options:':13} {' / '.join(asked['options'])}")
    lines = {
        "permission": (f"muxq approve {job}", f"muxq approve {job} --always", f"muxq deny {job} --reason TEXT"),
        INTERRUPTED: (f"muxq send {job} TEXT",),
        "question": (f"muxq answer {job} TEXT", f"muxq deny {job}"),
    }.get(asked["kind"], (f"muxq answer {job} OPTION", f"muxq attach {job} --take-over"))
    for number, line in enumerate(lines):
        say(f"{'' if number else 'type:':13} {line}")
    if asked["screen"]:
        shown = Path(asked["screen"]).read_text("utf-8", "replace").splitlines()
        for line in [line for line in shown if line.strip()][-SCREEN_LINES:]:
            say(f"    | {line}")


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
    if path and sys.stdout.isatty():
        say(file)
    elif path:
        sys.stdout.buffer.write(os.fsencode(file) + b"\n")  # for a program: the very bytes
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
        for line in queue.screen(place.entry.id).splitlines():
            say(line)
        return
    story = Story(queue, place.entry, as_json=as_json)
    for line in story.follow() if follow else story.told():
        typer.echo(line)
        sys.stdout.flush()


def schema() -> None:
    """Print the JSON Schema of the job file."""
    from runner.jobs.schema import schema as published

    print_json(published())


def doctor(
    agent: Annotated[
        str | None, typer.Option("--agent", "-a", metavar="A", help="Check this agent (default: the home's).")
    ] = None,
    as_cron: Annotated[
        bool, typer.Option("--cron", help="Try it as cron would: no terminal, no locale, a short PATH.")
    ] = False,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Say what is missing on this machine.

    And how to mend it; exit status 5 if jobs could not run.
    """
    from runner.control import doctor, rehearsal

    checks = (rehearsal if as_cron else doctor).examine(layout.locate(home_path), agent)
    if as_json:
        print_json([check.as_dict() for check in checks])
    else:
        for check in checks:
            mark = {"ok": "ok  ", "warning": "note", "broken": "BAD "}[check.level]
            say(f"{mark}  {check.subject + ':':14} {check.found}")
            if check.mend:
                say(f"{'':21}mend: {check.mend}")
    if any(check.level == "broken" for check in checks):
        raise typer.Exit(5)
