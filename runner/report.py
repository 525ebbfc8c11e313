"""The morning's page: what a home has done since a time, what it has not and why, what it cost, what waits.

    {"home", "since", "until",
     "counts": {"done", "failed", "cancelled", "running", "queued"},
     "done" | "failed" | "cancelled" | "waiting" | "running": [JOB],
     "rejected": [{"file", "why"}],
     "totals": {"attempts", "seconds", "input_tokens", "output_tokens", "cost_usd"},
     "holds": [{"kind", "reason", "from", "until", "seconds"}], "held_seconds",
     "timeline": [{"job", "name", "attempt", "from", "until", "outcome", "lane"}]}

JOB is {"id", "name", "agent", "finished_at", "seconds", "attempts", "cost_usd", "tokens", "error", "attention",
"output_path", "diff", "branch", "diff_stat"}. Jobs that ended since then, and all that run; `waiting` are those of them
that wait for a person. Times are RFC 3339 in UTC, lengths in seconds, what is absent is null. Tokens and cost are the
agents' own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from runner import batch, clock, duration, event, view
from runner.errors import NotFound
from runner.event import Event
from runner.queue import Queue
from runner.spool import Place
from runner.state import State

TOKENS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
ENDED = ("job.done", "job.failed", "job.cancelled")


LONGEST_HOLD = 8 * 86400.0
"""Seconds before the report's time that are looked through for a hold which lasted into it: a weekly limit's."""


def report(queue: Queue, since: float, now: float | None = None) -> dict[str, Any]:
    """What happened in the home since `since` (seconds since 1970)."""
    now = time.time() if now is None else now
    happened = list(event.since(queue.home.events, since))
    jobs = _jobs(queue, happened)
    found: dict[str, list[dict[str, Any]]] = {state.value: [] for state in State if state is not State.QUEUED}
    for job in jobs:
        if job["state"] in found and (job["state"] == State.RUNNING or _moment(job["finished_at"], 0.0) >= since):
            found[job["state"]].append(_line(job))
    holds = list(_holds(event.since(queue.home.events, since - LONGEST_HOLD, "hold."), since, now))
    return {
        "home": str(queue.home.path),
        "since": clock.stamp(since),
        "until": clock.stamp(now),
        "counts": {state.value: count for state, count in queue.counts().items()},
        **found,
        "waiting": [job for job in found["running"] if job["attention"]],
        "rejected": [
            {key: str(one.data.get(key, "")) for key in ("file", "why")}
            for one in happened
            if one.name == "job.rejected"
        ],
        "totals": _totals(jobs, since),
        "holds": holds,
        "held_seconds": _covered([(_moment(one["from"], 0.0), _moment(one["until"], now)) for one in holds]),
        "timeline": timeline(jobs, since, now),
    }


def _jobs(queue: Queue, happened: Iterable[Event]) -> list[dict[str, Any]]:
    """The jobs that ended or went back to the queue in these events, and those that run now; the oldest first."""
    ids = {str(one.data.get("job")) for one in happened if one.name in (*ENDED, "job.queued")}
    found = {job["id"]: job for job in queue.list([State.RUNNING])}
    for job_id, place in batch.places(queue.spool, ids - set(found)).items():  # what is not there has been put away
        with suppress(NotFound):
            found[job_id] = _described(queue, place)
    return [found[job_id] for job_id in sorted(found)]


def _described(queue: Queue, place: Place) -> dict[str, Any]:
    try:
        return view.describe(queue.spool, place)
    except (NotFound, FileNotFoundError):  # it has moved
        return queue.get(place.entry.id)


def _line(job: dict[str, Any]) -> dict[str, Any]:
    """What the report says of one job."""
    last = job["attempts"][-1] if job["attempts"] else None
    diff = Path(last["run_dir"], "diff.patch") if last else None
    usage = [attempt["usage"] for attempt in job["attempts"] if attempt["usage"]]
    return {
        **{key: job[key] for key in ("id", "name", "agent", "finished_at", "error", "attention")},
        "seconds": round(sum(_seconds(attempt) for attempt in job["attempts"]), 1),
        "attempts": len(job["attempts"]),
        "cost_usd": _sum(said.get("cost_usd") for said in usage),
        "tokens": _sum(said.get(key) for said in usage for key in TOKENS),
        "output_path": job["output_path"] if job["state"] == State.DONE else None,
        "diff": str(diff) if diff and diff.exists() else None,
        "branch": last["branch"] if last else None,
        "diff_stat": last["diff_stat"] if last else None,
    }


def _totals(jobs: list[dict[str, Any]], since: float) -> dict[str, Any]:
    """Over every attempt that was under way since then, whatever it came to."""
    attempts = [one for job in jobs for one in job["attempts"] if _moment(one["finished_at"], since) >= since]
    usage = [one["usage"] for one in attempts if one["usage"]]
    return {
        "attempts": len(attempts),
        "seconds": round(sum(map(_seconds, attempts)), 1),
        **{key: _sum(said.get(key) for said in usage) for key in TOKENS[:2]},
        "cost_usd": _sum(said.get("cost_usd") for said in usage),
    }


def timeline(jobs: list[dict[str, Any]], since: float, now: float) -> list[dict[str, Any]]:
    """Every attempt as a bar, in as few lanes as there were attempts side by side; those of one lane never overlap."""
    bars = []
    for job in jobs:
        for one in job["attempts"]:
            start, end = _moment(one["started_at"], now), _moment(one["finished_at"], now)
            if end >= since and one["started_at"]:
                bars.append((max(start, since), max(end, start), job, one))
    lanes: list[float] = []
    found = []
    for start, end, job, one in sorted(bars, key=lambda bar: (bar[0], bar[2]["id"], bar[3]["number"])):
        lane = next((number for number, free in enumerate(lanes) if free <= start), len(lanes))
        lanes[lane:] = [end, *lanes[lane + 1 :]]
        found.append(
            {
                "job": job["id"],
                "name": job["name"],
                "attempt": one["number"],
                "from": clock.stamp(start),
                "until": clock.stamp(end),
                "outcome": one["outcome"] or "running",
                "lane": lane,
            }
        )
    return found


def _holds(happened: Iterable[Event], since: float, now: float) -> Iterator[dict[str, Any]]:
    """The holds in these events, as far as they lasted after `since`: from when they were put to their end, or to the
    next, or to when they were lifted."""
    put: Event | None = None
    for one in (*(said for said in happened if said.name in ("hold.put", "hold.lifted")), None):
        if put:
            begin, ends = max(since, _moment(put.at, since)), _moment(put.data.get("until"), now)
            end = min(ends, now, _moment(one.at, now) if one else now)
            if end > begin:
                yield {
                    "kind": str(put.data.get("kind", "")),
                    "reason": str(put.data.get("reason", "")),
                    "from": clock.stamp(begin),
                    "until": clock.stamp(end),
                    "seconds": round(end - begin, 1),
                }
        put = one if one and one.name == "hold.put" else None


def _covered(spans: list[tuple[float, float]]) -> float:
    """Seconds that at least one of the spans covers."""
    total, reached = 0.0, 0.0
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return round(total, 1)


def _seconds(attempt: dict[str, Any]) -> float:
    start = _moment(attempt["started_at"], 0.0)
    return max(0.0, _moment(attempt["finished_at"], time.time()) - start) if start else 0.0


def _moment(said: Any, otherwise: float) -> float:
    try:
        return clock.seconds(said)
    except (TypeError, ValueError):
        return otherwise


def _sum(values: Iterable[Any]) -> Any:
    """The sum of those that are numbers; None where none is."""
    numbers = [value for value in values if isinstance(value, int | float)]
    return round(sum(numbers), 6) if numbers else None


# ---- for people


def text(found: dict[str, Any]) -> str:
    """The report for a terminal or a message."""
    return "\n".join(_paragraphs(found, title=lambda words: words.upper(), item="  "))


def markdown(found: dict[str, Any]) -> str:
    """The report as Markdown."""
    return "\n".join(_paragraphs(found, title=lambda words: f"\n## {words}\n", item="- "))


def html(found: dict[str, Any]) -> str:
    """The report as one HTML file that needs nothing else, and fits a phone."""
    import jinja2

    files = jinja2.FileSystemLoader(Path(__file__).parent)
    page = jinja2.Environment(loader=files, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page.filters.update(length=_length, local=_local, uri=lambda path: Path(path).absolute().as_uri(), cost=_cost)
    page.filters.update(changed=_changed)
    working = [job for job in found["running"] if not job["attention"]]
    more = {"summary": summary(found), "picture": picture(found), "working": working}
    return page.get_template("report.html").render(**found, **more)


def summary(found: dict[str, Any]) -> str:
    """One line: how many of what, and what it cost."""
    counts = [f"{len(found[state])} {state}" for state in ("done", "failed", "cancelled", "running") if found[state]]
    counts += [f"{len(found['rejected'])} not taken as jobs"] if found["rejected"] else []
    counts += [f"{found['counts']['queued']} waiting in the queue"] if found["counts"]["queued"] else []
    totals = found["totals"]
    parts = [", ".join(counts) or "nothing happened"]
    parts += [f"{_length(totals['seconds'])} of work"] if totals["seconds"] else []
    parts += [_cost(totals["cost_usd"])] if totals["cost_usd"] else []
    parts += [f"{_length(found['held_seconds'])} on hold"] if found["held_seconds"] else []
    return "; ".join(parts)


def _paragraphs(found: dict[str, Any], *, title: Callable[[str], str], item: str) -> Iterator[str]:
    yield f"{_local(found['since'])} to {_local(found['until'])}: {summary(found)}"
    parts = {
        "Waits for you": [
            (job, f"{job['attention']['kind']}: {job['attention']['detail']}") for job in found["waiting"]
        ],
        "Failed": [
            (job, f"{job['error']['kind']}: {job['error']['message']}" if job["error"] else "")
            for job in found["failed"]
        ],
        "Done": [(job, job["output_path"] or "") for job in found["done"]],
        "Cancelled": [(job, "") for job in found["cancelled"]],
        "Running": [(job, "") for job in found["running"] if not job["attention"]],
    }
    for words, lines in parts.items():
        if lines:
            yield title(words)
            for job, said in lines:
                cost = f", {_cost(job['cost_usd'])}" if job["cost_usd"] else ""
                yield f"{item}{job['name'] or job['id']} ({_length(job['seconds'])}{cost}) {said}".rstrip()
                if changes := _changes(job):
                    yield f"    {changes}"
    if found["rejected"]:
        yield title("Not taken as jobs")
        yield from (f"{item}{one['file']}: {one['why']}" for one in found["rejected"])
    if found["holds"]:
        yield title("On hold")
        for one in found["holds"]:
            yield f"{item}{_local(one['from'])}, {_length(one['seconds'])}: {one['reason']}"


def picture(found: dict[str, Any]) -> dict[str, Any]:
    """The timeline in per cent of its width: {"lanes", "bars", "holds", "ticks"}."""
    begin, end = _moment(found["since"], 0.0), _moment(found["until"], 0.0)
    starts = [_moment(bar["from"], end) for bar in found["timeline"]]
    begin = max(begin, min(starts, default=end) - 60)  # an empty evening is not worth the width
    width = max(1.0, end - begin)

    def place(one: dict[str, Any]) -> dict[str, Any]:
        left = 100 * max(0.0, _moment(one["from"], begin) - begin) / width
        right = 100 * max(0.0, _moment(one["until"], end) - begin) / width
        return {**one, "left": round(left, 3), "width": round(max(0.15, right - left), 3)}

    return {
        "lanes": 1 + max((bar["lane"] for bar in found["timeline"]), default=0),
        "bars": [place(bar) for bar in found["timeline"]],
        "holds": [place(one) for one in found["holds"] if _moment(one["until"], 0.0) > begin],
        "ticks": [{"left": round(100 * (at - begin) / width, 3), "label": _hour(at)} for at in _ticks(begin, end)],
    }


def _ticks(begin: float, end: float) -> range:
    """At most seven round times of the clock on the wall."""
    sizes = (60, 300, 900, 3600, 7200, 14400, 43200, 86400)
    step = next((size for size in sizes if (end - begin) / size <= 7), 604800)
    ahead = time.localtime(begin).tm_gmtoff
    return range((int(begin + ahead) // step + 1) * step - ahead, int(end), step)


def _changes(job: dict[str, Any]) -> str:
    """Where what it has changed is, and how much that is; "" where it has neither branch nor diff."""
    branch, diff = (f"{key} {job[key]}" if job[key] else "" for key in ("branch", "diff"))
    return ", ".join(filter(None, (branch, _changed(job), diff)))


def _changed(job: dict[str, Any]) -> str:
    """What its diff comes to, like `2 files, +10 -3`; "" where nothing was changed, or nobody looked."""
    stat = job["diff_stat"] or {}
    files, added, removed = (stat.get(key) or 0 for key in ("files", "insertions", "deletions"))
    return f"{files} {'file' if files == 1 else 'files'}, +{added} -{removed}" if files else ""


def _length(seconds: float | None) -> str:
    return "" if seconds is None else " ".join(duration.show(seconds).split()[:2])


def _local(stamp: str | None) -> str:
    return clock.local(clock.seconds(stamp)) if stamp else ""


def _hour(moment: float) -> str:
    """The hour, or at midnight the day that begins."""
    here = time.localtime(moment)
    return time.strftime("%H:%M" if here.tm_hour or here.tm_min else "%a %d", here)


def _cost(dollars: float | None) -> str:
    return "" if dollars is None else f"${dollars:.2f}"
