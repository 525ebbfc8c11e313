"""The report as people read it: one line, text, Markdown, or one HTML file. Pure, but for its template."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from runner.jobs.state import State
from runner.reports.report import JobLine, Report
from runner.system import clock, duration
from runner.system.text import plain, shorten

ASKED = 200
"""Characters of what a job asks for."""

MARKS = re.compile(r"[\\*\[\]<]|^[#>+-]")
"""Characters that would make more than text of a line of Markdown."""


def text(report: Report) -> str:
    """The report for a terminal or a message."""
    return "\n".join(_paragraphs(report, title=lambda words: words.upper(), item="  ", clean=plain))


def markdown(report: Report) -> str:
    """The report as Markdown."""
    return "# " + "\n".join(_paragraphs(report, title=lambda words: f"\n## {words}\n", item="- ", clean=_literal))


def html(report: Report) -> str:
    """The report as one HTML file that needs nothing else, and fits a phone."""
    import jinja2

    files = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(loader=files, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(length=_length, local=clock.local, cost=_cost, changed=_changed)
    environment.filters.update(uri=lambda path: Path(path).absolute().as_uri())
    return environment.get_template("report.html").render(
        report=report,
        summary=summary(report),
        times=_times(report),
        picture=picture(report),
        held=_held(report),
        not_begun=_not_begun(report),
        **{state.value: jobs for state, jobs in report.jobs.items()},
    )


def summary(report: Report) -> str:
    """One line: how many of what, and what it cost."""
    states = (State.DONE, State.FAILED, State.CANCELLED, State.RUNNING)
    counts = [f"{len(report.jobs[state])} {state}" for state in states if report.jobs[state]]
    counts += [f"{len(report.rejected)} not taken as jobs"] if report.rejected else []
    counts += [f"{report.counts['queued']} waiting in the queue"] if report.counts["queued"] else []
    parts = [", ".join(counts) or "nothing happened"]
    parts += [f"{_length(report.totals.seconds)} of work"] if report.totals.seconds else []
    parts += [_cost(report.totals.cost_usd)] if report.totals.cost_usd else []
    parts += [f"{_length(report.held_seconds)} on hold"] if report.held_seconds else []
    return "; ".join(parts)


def _times(report: Report) -> str:
    """From when to when: both with their day where that is not today's."""
    since = clock.local(report.since)
    return f"{since} to {clock.local(report.until, today=len(since) == len('14:05'))}"


def _held(report: Report) -> str:
    """The hold in force now in words; "" where there is none."""
    hold = report.hold
    if not hold:
        return ""
    end = "you lift it (muxq release)" if hold.until is None else clock.local(hold.until)
    return f"on hold until {end}: {_flat(hold.reason)}"


def _not_begun(report: Report) -> list[str]:
    """Why jobs wait in the queue, in words."""
    lines = []
    for reason in report.not_begun:
        what = f"{reason.name or reason.job}, and what needs the same" if reason.job else "nothing more started"
        lines.append(f"{clock.local(clock.seconds(reason.at))}, {what}: {_flat(reason.why)}")
    ends_by_itself = report.hold is not None and report.hold.until is not None
    return [*lines, _held(report)] if report.counts["queued"] and ends_by_itself else lines


def _literal(text: str) -> str:
    """`text` as Markdown that says just that: no link, no HTML, no emphasis."""
    return MARKS.sub(r"\\\g<0>", plain(text))


def _paragraphs(
    report: Report, *, title: Callable[[str], str], item: str, clean: Callable[[str], str]
) -> Iterator[str]:
    """The lines of the report; `clean` takes from each what would be more than text where it is shown."""
    yield f"{_times(report)}: {summary(report)}"
    for words, lines in _parts(report).items():
        if lines:
            yield title(words)
            for line in lines:
                yield f"    {clean(line.strip())}" if line.startswith(" ") else f"{item}{clean(line)}"


def _parts(report: Report) -> dict[str, list[str]]:
    """The lines below each title; a line that begins with a blank belongs to the one above it."""
    lift = [_held(report)] if report.hold and report.hold.until is None else []
    return {
        "Waits for you": [*lift, *_lines(report.waiting, _attention)],
        "Failed": _lines(report.jobs[State.FAILED], _reason),
        "Not begun": _not_begun(report),
        "Done": _lines(report.jobs[State.DONE], lambda job: job.output_path or ""),
        "Cancelled": _lines(report.jobs[State.CANCELLED]),
        "Running": _lines(report.working),
        "Not taken as jobs": [f"{_flat(drop.file)}: {_flat(drop.why)}" for drop in report.rejected],
        "On hold": [
            f"{clock.local(held.start)}, {_length(held.seconds)}: {_flat(held.reason)}" for held in report.holds
        ],
    }


def _lines(jobs: Sequence[JobLine], remark: Callable[[JobLine], str] = lambda _job: "") -> list[str]:
    """A line for each job with a remark, and one below for its changes. The path of a result has the job's id."""
    lines = []
    for job in jobs:
        facts = [job.id] if job.name and not job.output_path else []
        facts += [_length(job.seconds), *([_cost(job.cost_usd)] if job.cost_usd else [])]
        lines.append(f"{_flat(job.name or '') or job.id} ({', '.join(facts)}) {_flat(remark(job))}".rstrip())
        if changes := _changes(job):
            lines.append(f" {changes}")
    return lines


def _attention(job: JobLine) -> str:
    return f"{job.attention['kind']}: {shorten(job.attention['detail'], ASKED)}" if job.attention else ""


def _reason(job: JobLine) -> str:
    return f"{job.error['kind']}: {job.error['message']}" if job.error else ""


def _flat(text: str) -> str:
    return " ".join(text.split())


def picture(report: Report) -> dict[str, Any]:
    """The timeline in per cent of its width: {"lanes", "bars", "holds", "ticks"}."""
    earliest = min((bar.start for bar in report.timeline), default=report.until)
    begin, end = max(report.since, earliest - 60), report.until  # an empty evening is not worth the width
    width = max(1.0, end - begin)

    def span(start: float, stop: float) -> dict[str, float]:
        left, right = (100 * max(0.0, moment - begin) / width for moment in (start, stop))
        return {"left": round(left, 3), "width": round(max(0.15, right - left), 3)}

    return {
        "lanes": 1 + max((bar.lane for bar in report.timeline), default=0),
        "bars": [{"bar": bar, **span(bar.start, bar.end)} for bar in report.timeline],
        "holds": [{"reason": held.reason, **span(held.start, held.end)} for held in report.holds if held.end > begin],
        "ticks": [{"left": round(100 * (at - begin) / width, 3), "label": _hour(at)} for at in _ticks(begin, end)],
    }


def _ticks(begin: float, end: float) -> range:
    """At most seven round times of the clock on the wall."""
    sizes = (60, 300, 900, 3600, 7200, 14400, 43200, 86400)
    step = next((size for size in sizes if (end - begin) / size <= 7), 604800)
    ahead = time.localtime(begin).tm_gmtoff
    return range((int(begin + ahead) // step + 1) * step - ahead, int(end), step)


def _changes(job: JobLine) -> str:
    """Where what it has changed is, and how much that is; "" where it has neither branch nor diff."""
    branch = f"branch {job.branch}" if job.branch else ""
    diff = f"diff {job.diff}" if job.diff else ""
    return ", ".join(filter(None, (branch, _changed(job), diff)))


def _changed(job: JobLine) -> str:
    """What its diff comes to, like `2 files, +10 -3`; "" where nothing was changed, or nobody looked."""
    stat = job.diff_stat or {}
    files, added, removed = (stat.get(key) or 0 for key in ("files", "insertions", "deletions"))
    return f"{files} {'file' if files == 1 else 'files'}, +{added} -{removed}" if files else ""


def _length(seconds: float | None) -> str:
    return "" if seconds is None else " ".join(duration.show(seconds).split()[:2])


def _hour(moment: float) -> str:
    """The hour, or at midnight the day that begins."""
    here = time.localtime(moment)
    return time.strftime("%H:%M" if here.tm_hour or here.tm_min else "%a %d", here)


def _cost(dollars: float | None) -> str:
    return "" if dollars is None else f"${dollars:.2f}"
