"""`muxq ls`."""

import sys
import time
from typing import Annotated, Any

import typer

from runner.cli.options import HomeOption, JsonOption
from runner.cli.printing import print_json, print_table, say
from runner.home import config, pool
from runner.jobs.state import State
from runner.system import clock, duration
from runner.system.text import shorten
from runner.views.tree import below, families


def ls(
    state: Annotated[
        list[str] | None, typer.Option("--state", "-s", metavar="STATE", help="Only jobs in this state.")
    ] = None,
    tag: Annotated[str | None, typer.Option("--tag", metavar="TEXT", help="Only jobs with this tag.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, help="At most N jobs.")] = 50,
    everything: Annotated[bool, typer.Option("--all", help="All jobs, however many.")] = False,
    tree: Annotated[bool, typer.Option("--tree", help="Show each job below the jobs that it is after.")] = False,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """List jobs.

    Running ones, waiting ones in claim order, then finished ones, the newest first.
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
    rows = [
        (job["id"], job["state"], _age(job, now), job["agent"], below(depth, job["name"] or ""), _what(job))
        for depth, job in zip(depths, jobs, strict=True)
    ]
    print_table(("ID", "STATE", "AGE", "AGENT", "NAME", "WHAT"), rows)
    if sys.stderr.isatty():
        _print_counts(queue.counts(), len(jobs), states, tag)
    return None


def _state(word: str) -> State:
    try:
        return State(word)
    except ValueError:
        raise typer.BadParameter(f"{word!r} is not one of {', '.join(State)}.", param_hint="--state") from None


def _print_counts(counts: dict[State, int], shown: int, states: list[State], tag: str | None) -> None:
    """How many jobs there are, and how many of them the table leaves out."""
    text = ", ".join(f"{counts[state]} {state}" for state in State if counts[state])
    more = sum(counts[state] for state in states) - shown
    hint = f"; {more} more: muxq ls --all" if more > 0 and tag is None else ""
    say(f"{text or 'no jobs yet; add one with: muxq add PROMPT'}{hint}", err=True)


def _age(job: dict[str, Any], now: float) -> str:
    """How long the job has run, or waited, or since when it has ended."""
    since = {"running": job["attempts"][-1]["started_at"] if job["attempts"] else None, "queued": job["created_at"]}
    start = since.get(job["state"], job["finished_at"]) or job["created_at"]
    text = duration.show(max(1, int(now - clock.seconds(start))))
    return " ".join(text.split()[:1])


def _what(job: dict[str, Any]) -> str:
    """What a person needs to know of the job, in a few words."""
    last = job["attempts"][-1] if job["attempts"] else None
    if job["attention"]:
        detail = shorten(job["attention"]["detail"], 100)
        return f"{_mode(job)}waits for you ({job['attention']['kind']}): {detail}"
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
    """The mode, where muxq does not drive."""
    return f"{job['mode']}, " if job["mode"] not in (None, "driving") else ""
