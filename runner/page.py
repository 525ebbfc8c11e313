"""The report as people read it: one line, text, Markdown, or one HTML file. Pure, but for its template."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from runner import clock, duration
from runner.report import moment


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
    made = jinja2.Environment(loader=files, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    made.filters.update(length=_length, local=_local, uri=lambda path: Path(path).absolute().as_uri(), cost=_cost)
    made.filters.update(changed=_changed)
    working = [job for job in found["running"] if not job["attention"]]
    more = {"summary": summary(found), "picture": picture(found), "working": working}
    return made.get_template("report.html").render(**found, **more)


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
    begin, end = moment(found["since"], 0.0), moment(found["until"], 0.0)
    starts = [moment(bar["from"], end) for bar in found["timeline"]]
    begin = max(begin, min(starts, default=end) - 60)  # an empty evening is not worth the width
    width = max(1.0, end - begin)

    def place(one: dict[str, Any]) -> dict[str, Any]:
        left = 100 * max(0.0, moment(one["from"], begin) - begin) / width
        right = 100 * max(0.0, moment(one["until"], end) - begin) / width
        return {**one, "left": round(left, 3), "width": round(max(0.15, right - left), 3)}

    return {
        "lanes": 1 + max((bar["lane"] for bar in found["timeline"]), default=0),
        "bars": [place(bar) for bar in found["timeline"]],
        "holds": [place(one) for one in found["holds"] if moment(one["until"], 0.0) > begin],
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
