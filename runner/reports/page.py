"""The report as people read it: one line, text, Markdown, or one HTML file. Pure, but for its template."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from runner.reports.report import moment
from runner.system import clock, duration


def text(found: dict[str, Any]) -> str:
    """The report for a terminal or a message."""
    return "\n".join(_paragraphs(found, title=lambda words: words.upper(), item="  "))


def markdown(found: dict[str, Any]) -> str:
    """The report as Markdown."""
    return "# " + "\n".join(_paragraphs(found, title=lambda words: f"\n## {words}\n", item="- "))


def html(found: dict[str, Any]) -> str:
    """The report as one HTML file that needs nothing else, and fits a phone."""
    import jinja2

    files = jinja2.FileSystemLoader(Path(__file__).parent)
    made = jinja2.Environment(loader=files, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    made.filters.update(length=_length, local=_local, uri=lambda path: Path(path).absolute().as_uri(), cost=_cost)
    made.filters.update(changed=_changed)
    working = [job for job in found["running"] if not job["attention"]]
    more = {"summary": summary(found), "times": _times(found), "picture": picture(found), "working": working}
    more |= {"held": _held(found), "not_begun": _not_begun(found)}
    return made.get_template("report.html").render(found | more)


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


def _times(found: dict[str, Any]) -> str:
    """From when to when: both with their day where that is not today's."""
    since = _local(found["since"])
    until = clock.local(clock.seconds(found["until"]), today=len(since) == len("14:05"))
    return f"{since} to {until}"


def _held(found: dict[str, Any]) -> str:
    """The hold in force now in words; "" where there is none."""
    hold = found["hold"]
    if not hold:
        return ""
    return f"on hold until {_local(hold['until']) or 'you lift it (muxq release)'}: {_flat(hold['reason'])}"


def _not_begun(found: dict[str, Any]) -> list[str]:
    """Why jobs wait in the queue, in words."""
    held = _held(found) if found["counts"]["queued"] and found["hold"] and found["hold"]["until"] else ""
    lines = []
    for one in found["not_begun"]:
        what = f"{one['name'] or one['job']}, and what needs the same" if one["job"] else "nothing more started"
        lines.append(f"{_local(one['at'])}, {what}: {_flat(one['why'])}")
    return [*lines, *([held] if held else [])]


def _paragraphs(found: dict[str, Any], *, title: Callable[[str], str], item: str) -> Iterator[str]:
    yield f"{_times(found)}: {summary(found)}"
    held = _held(found) if found["hold"] and not found["hold"]["until"] else ""
    parts: dict[str, list[str]] = {
        "Waits for you": [
            *([f"{item}{held}"] if held else []),
            *(_lines(item, found["waiting"], lambda job: f"{job['attention']['kind']}: {job['attention']['detail']}")),
        ],
        "Failed": _lines(item, found["failed"], _reason),
        "Not begun": [f"{item}{line}" for line in _not_begun(found)],
        "Done": _lines(item, found["done"], lambda job: job["output_path"] or ""),
        "Cancelled": _lines(item, found["cancelled"]),
        "Running": _lines(item, [job for job in found["running"] if not job["attention"]]),
        "Not taken as jobs": [f"{item}{one['file']}: {_flat(one['why'])}" for one in found["rejected"]],
        "On hold": [
            f"{item}{_local(one['from'])}, {_length(one['seconds'])}: {_flat(one['reason'])}" for one in found["holds"]
        ],
    }
    for words, lines in parts.items():
        if lines:
            yield title(words)
            yield from lines


def _lines(item: str, jobs: list[dict[str, Any]], said: Callable[[dict[str, Any]], str] = lambda _job: "") -> list[str]:
    """A line for each job with what is `said` of it, and one below for its changes. The path of a result has its id."""
    lines = []
    for job in jobs:
        facts = [job["id"]] if job["name"] and not job["output_path"] else []
        facts += [_length(job["seconds"]), *([_cost(job["cost_usd"])] if job["cost_usd"] else [])]
        lines.append(f"{item}{job['name'] or job['id']} ({', '.join(facts)}) {_flat(said(job))}".rstrip())
        if changes := _changes(job):
            lines.append(f"    {changes}")
    return lines


def _reason(job: dict[str, Any]) -> str:
    return f"{job['error']['kind']}: {job['error']['message']}" if job["error"] else ""


def _flat(text: str) -> str:
    return " ".join(text.split())


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
