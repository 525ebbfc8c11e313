"""The morning's page: what is in it, what it costs, and that it needs nothing else to be looked at."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
from typer.testing import CliRunner

from runner.cli.app import app
from runner.errors import BadInput
from runner.home import events, hold
from runner.home.attempt_folder import next_folder
from runner.home.layout import Home
from runner.home.records import AttemptRecord, OutcomeRecord
from runner.home.spool import Place, Spool
from runner.intake.drops import admit
from runner.jobs.state import Move, State
from runner.queue import Queue
from runner.reports import page, period
from runner.reports import report as reports
from runner.system import clock

NOON = clock.seconds("2026-11-20T12:00:00.000Z")
USAGE = {"input_tokens": 10, "output_tokens": 5, "cost_usd": 0.25}


@pytest.fixture
def queue(home: Home) -> Queue:
    return Queue(home.path)


@pytest.fixture
def ended(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """`ended(NAME, MOVE, START, END)`: a job with one attempt, in seconds after NOON."""

    def make(name: str, move: Move, start: float, end: float, worktree: Any = None, **record: Any) -> str:
        job = queue.add("x", agent="echo", name=name)["id"]
        place = queue.spool.move(queue.find(job), Move.CLAIM)
        run = next_folder(queue.home, job)
        output = {"path": str(run.path / "output.md")}
        begun = {"started_at": clock.stamp(NOON + start), "output": output, "worktree": worktree}
        run.begin(queue.home, AttemptRecord.load(begun))
        outcome = {"outcome": WORD[move], "finished_at": clock.stamp(NOON + end), "exit_status": None, "usage": USAGE}
        run.end(queue.home, OutcomeRecord.load(outcome | record))
        monkeypatch.setattr(clock, "stamp", _at(NOON + end))
        queue.spool.move(Place(State.RUNNING, place.entry), move)
        monkeypatch.setattr(clock, "stamp", STAMP)
        return job

    return make


STAMP = clock.stamp
LATE = {"error": "timeout", "message": "late"}
WORD = {Move.FINISH: "done", Move.FAIL: "failed"}


def _at(moment: float) -> Callable[..., str]:
    return lambda seconds=None: STAMP(moment if seconds is None else seconds)


def names(jobs: list[reports.JobLine]) -> list[str | None]:
    return [job.name for job in jobs]


def test_only_what_ended_since_then_is_told(queue: Queue, ended: Callable[..., str]) -> None:
    ended("old", Move.FINISH, 0, 10)
    ended("good", Move.FINISH, 100, 160)
    ended("bad", Move.FAIL, 100, 190, error="no-output", message="nothing was written")
    queue.add("x", agent="echo", name="waiting")
    report = reports.report(queue, NOON + 50, NOON + 200)
    assert (names(report.jobs[State.DONE]), names(report.jobs[State.FAILED]), report.counts["queued"]) == (
        ["good"],
        ["bad"],
        1,
    )
    assert asdict(report.totals) == {
        "attempts": 2,
        "seconds": 150.0,
        "input_tokens": 20,
        "output_tokens": 10,
        "cost_usd": 0.5,
    }
    assert report.jobs[State.FAILED][0].error == {"kind": "no-output", "message": "nothing was written"}


def test_attempts_side_by_side_have_lanes_of_their_own_and_others_share_one(
    queue: Queue, ended: Callable[..., str]
) -> None:
    for name, start, end in (("a", 0, 100), ("b", 50, 120), ("c", 110, 130), ("d", 125, 140)):
        ended(name, Move.FINISH, start, end)
    report = reports.report(queue, NOON - 10, NOON + 200).timeline
    assert [(bar.name, bar.lane) for bar in report] == [("a", 0), ("b", 1), ("c", 0), ("d", 1)]


def test_holds_are_told_with_what_they_cost_and_none_is_counted_twice(
    home: Home, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at, until in ((0, 100), (50, 200)):
        monkeypatch.setattr(clock, "stamp", _at(NOON + at))
        events.emit(home.events, "hold.put", kind="usage-limit", reason="limit", until=STAMP(NOON + until))
    monkeypatch.setattr(clock, "stamp", _at(NOON + 150))
    events.emit(home.events, "hold.lifted", kind="usage-limit")
    monkeypatch.setattr(clock, "stamp", STAMP)
    report = reports.report(queue, NOON - 10, NOON + 300)
    assert ([held.seconds for held in report.holds], report.held_seconds) == ([50.0, 100.0], 150.0)


def test_the_folders_are_listed_once_for_all_jobs(
    queue: Queue, ended: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name is no way to a job's file: each by itself would cost a listing of all."""
    listed: list[State] = []
    names = Spool.names
    monkeypatch.setattr(Spool, "names", lambda self, state: listed.append(state) or names(self, state))
    counted = []
    for count in (1, 5):
        for number in range(count):
            ended(f"job-{count}-{number}", Move.FINISH, 0, 10)
        listed.clear()
        reports.report(queue, NOON - 10, NOON + 30)
        counted.append(len(listed))
    assert counted[0] == counted[1]


def test_a_night_without_work_is_a_page_too(queue: Queue) -> None:
    report = reports.report(queue, NOON, NOON + 10)
    assert page.summary(report) == "nothing happened"
    assert "nothing happened" in page.html(report)
    assert json.loads(json.dumps(report.as_dict())) == report.as_dict()


def test_the_page_needs_nothing_else_and_believes_no_name(queue: Queue, ended: Callable[..., str]) -> None:
    ended("<script>alert(1)", Move.FINISH, 0, 10)
    ended("bad", Move.FAIL, 0, 20, error="no-output", message="<img src=x onerror=y>")
    text = page.html(reports.report(queue, NOON - 10, NOON + 30))
    assert "<script" not in text
    assert "<img" not in text
    assert set(re.findall(r"""(?:href|src|srcset|data|action|poster)=["']?([^"' >]{5})""", text)) == {"file:"}
    assert re.findall(r"@import|url\(|https?:|<(?:link|script|iframe|object|embed|base|form)\b|http-equiv", text) == []


def test_every_form_tells_the_same_jobs(queue: Queue, ended: Callable[..., str]) -> None:
    ended("good", Move.FINISH, 0, 10)
    ended("bad", Move.FAIL, 0, 20, error="no-output", message="nothing was written")
    queue.spool.move(queue.find(queue.add("x", agent="echo", name="busy")["id"]), Move.CLAIM)
    report = reports.report(queue, NOON - 10, NOON + 30)
    for text in (page.text(report), page.markdown(report), page.html(report)):
        assert all(word in text for word in ("good", "bad", "nothing was written", "1 done, 1 failed", "$0.50", "busy"))


def test_bars_and_ticks_lie_within_the_picture(queue: Queue, ended: Callable[..., str]) -> None:
    ended("good", Move.FINISH, 0, 3600)
    shown = page.picture(reports.report(queue, NOON - 80_000, NOON + 4000))
    assert all(0 <= bar["left"] <= bar["left"] + bar["width"] <= 100.2 for bar in shown["bars"])
    assert 2 <= len(shown["ticks"]) <= 8


def test_a_drop_that_was_no_job_is_told_with_the_reason(queue: Queue) -> None:
    (queue.home.queue / "typo.json").write_text('{"promt": "x"}')
    admit(queue.spool)
    report = reports.report(queue, time.time() - 60)
    assert [drop.file for drop in report.rejected] == ["typo.json"]
    for form in (page.text, page.markdown, page.html):
        assert all(words in form(report) for words in ("1 not taken as jobs", "typo.json", "did you mean `prompt`?"))


def _tree(branch: str) -> dict[str, str]:
    return {"path": "/worktree", "branch": branch, "base": "c0ffee", "repository": "/repository"}


def test_where_the_changes_of_a_job_are_and_how_many_is_told_in_every_form(
    queue: Queue, ended: Callable[..., str]
) -> None:
    stat = {"files": 2, "insertions": 10, "deletions": 3}
    tea = ended("tea", Move.FINISH, 0, 10, worktree=_tree("drinks/tea"), diff_stat=stat)
    diff = queue.home.runs / tea / "1" / "diff.patch"
    diff.write_text("+ tea")
    ended("none", Move.FAIL, 0, 10, worktree=_tree("drinks/none"), diff_stat=stat | {"files": 0}, **LATE)
    ended("bare", Move.FINISH, 0, 10)
    report = reports.report(queue, NOON - 10, NOON + 30)
    text = {job.name: [job.branch, job.diff_stat, job.diff] for job in report.jobs[State.DONE]}
    assert text == {"tea": ["drinks/tea", stat, str(diff)], "bare": [None, None, None]}
    for form in (page.text, page.markdown):
        assert f"    branch drinks/tea, 2 files, +10 -3, diff {diff}\n" in form(report)
        assert "    branch drinks/none\n" in form(report)
    shown = page.html(report)
    assert f'branch <code>drinks/tea</code> · <a href="{diff.as_uri()}">diff</a> (2 files, +10 -3)' in shown
    assert "branch <code>drinks/none</code></small>" in shown


def test_a_hold_that_began_before_counts_from_then_on(
    home: Home, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "stamp", _at(NOON - 7200))
    events.emit(home.events, "hold.put", kind="usage-limit", reason="limit", until=STAMP(NOON + 100))
    monkeypatch.setattr(clock, "stamp", STAMP)
    report = reports.report(queue, NOON, NOON + 300)
    assert ([(held["from"], held["seconds"]) for held in report.as_dict()["holds"]]) == [(STAMP(NOON), 100.0)]


def test_a_week_has_its_days_below_it_and_a_night_its_hours(
    queue: Queue, ended: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    ended("good", Move.FINISH, 0, 600)
    for until, labels in (
        (NOON + 6 * 86400, ["Sat 21", "Sun 22", "Mon 23", "Tue 24", "Wed 25", "Thu 26"]),
        (NOON + 6 * 3600, ["18:00", "19:00", "20:00", "21:00", "22:00", "23:00"]),
    ):
        text = page.html(reports.report(queue, NOON, until))
        assert re.findall(r'--at:[\d.]+%">([^<]+)<', text) == labels
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("now", "expected"),
    [("2026-03-29T12:00+02:00", "2026-03-28T18:00+01:00"), ("2026-10-25T12:00+01:00", "2026-10-24T18:00+02:00")],
)
def test_six_in_the_evening_is_that_whatever_the_clocks_did_meanwhile(
    monkeypatch: pytest.MonkeyPatch, now: str, expected: str
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    assert period.start("18:00", clock.seconds(now)) == clock.seconds(expected)
    monkeypatch.undo()
    time.tzset()


def test_a_place_that_is_none_is_said_and_is_no_fault_of_the_program(home: Home) -> None:
    with pytest.raises(BadInput, match="nobody-of-this-name"):
        CliRunner().invoke(
            app, ["report", "--home", str(home.path), "-o", "~nobody-of-this-name/x"], catch_exceptions=False
        )


def test_a_record_that_names_no_absolute_path_spoils_no_page(queue: Queue, ended: Callable[..., str]) -> None:
    job = ended("odd", Move.FINISH, 0, 10)
    record = queue.home.runs / job / "1" / "attempt.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"output": {"path": "x\udcff.md"}}))
    assert "odd" in page.html(reports.report(queue, NOON - 10, NOON + 30))


def begun(home: Home, monkeypatch: pytest.MonkeyPatch, at: float, name: str, **data: Any) -> None:
    """An event of the home, `at` seconds after NOON."""
    monkeypatch.setattr(clock, "stamp", _at(NOON + at))
    events.emit(home.events, name, **data)
    monkeypatch.setattr(clock, "stamp", STAMP)


def test_what_was_not_begun_is_told_with_why_in_every_form(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    job = queue.add("x", agent="echo", name="tea")["id"]
    begun(queue.home, monkeypatch, 5, "job.blocked", job=job, why="no claude on PATH")
    begun(queue.home, monkeypatch, 9, "worker.closed", why="the window closed at 07:00", running=0)
    report = reports.report(queue, NOON, NOON + 30)
    assert report.as_dict()["not_begun"] == [
        {"at": STAMP(NOON + 5), "job": job, "name": "tea", "why": "no claude on PATH"},
        {"at": STAMP(NOON + 9), "job": None, "name": None, "why": "the window closed at 07:00"},
    ]
    for text in (page.text(report), page.markdown(report), page.html(report)):
        assert all(word in text for word in ("tea", "no claude on PATH", "the window closed at 07:00"))


def test_nothing_is_told_of_what_has_begun_after_all(
    queue: Queue, ended: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ended("tea", Move.FINISH, 20, 30)
    begun(queue.home, monkeypatch, 5, "job.blocked", job=job, why="no claude on PATH")
    begun(queue.home, monkeypatch, 9, "worker.closed", why="the window closed at 07:00", running=1)
    assert reports.report(queue, NOON, NOON + 30).not_begun == []


def test_a_job_that_is_to_be_tried_again_was_begun(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    job = queue.add("x", agent="echo", name="tea")["id"]
    begun(queue.home, monkeypatch, 5, "job.blocked", job=job, why="no claude on PATH")
    begun(queue.home, monkeypatch, 6, "job.running", job=job)
    assert reports.report(queue, NOON, NOON + 30).not_begun == []


def test_a_hold_that_a_person_must_lift_waits_for_you(queue: Queue) -> None:
    hold.put(queue.home, hold.Hold("the log-in has run out", "account"))
    report = reports.report(queue, NOON, NOON + 30)
    assert report.as_dict()["hold"] == {"kind": "account", "reason": "the log-in has run out", "until": None}
    for text in (page.text(report), page.markdown(report), page.html(report)):
        assert "the log-in has run out" in text
        assert "muxq release" in text


def test_a_reason_of_many_lines_is_one_line_of_the_text(queue: Queue, ended: Callable[..., str]) -> None:
    ended("bad", Move.FAIL, 0, 20, error="invalid-output", message="the check failed; it said:\nno tests\n  in it")
    report = reports.report(queue, NOON - 10, NOON + 30)
    for text in (page.text(report), page.markdown(report)):
        assert "the check failed; it said: no tests in it" in text


def test_a_failed_job_can_be_looked_up_by_what_the_page_says(queue: Queue, ended: Callable[..., str]) -> None:
    jobs = [ended("page", Move.FAIL, 0, 20, error="no-output", message="nothing") for _ in range(2)]
    report = reports.report(queue, NOON - 10, NOON + 30)
    for text in (page.text(report), page.markdown(report), page.html(report)):
        assert all(job in text for job in jobs)


def test_the_end_of_the_time_has_its_day_where_the_beginning_has(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    now = time.time()
    whole = clock.local(now, today=False)
    assert page.text(reports.report(queue, NOON, now)).startswith(f"{clock.local(NOON)} to {whole}: ")
    assert f"{clock.local(NOON)} to {whole} · " in page.html(reports.report(queue, NOON, now))
    assert clock.local(NOON, today=False) == "Fri 20 Nov 12:00"
    monkeypatch.undo()
    time.tzset()


def test_a_time_that_is_still_to_come_is_no_beginning_of_a_report() -> None:
    with pytest.raises(BadInput, match="2999-01-01"):
        period.start("2999-01-01", time.time())


def test_the_markdown_begins_with_a_heading(queue: Queue) -> None:
    assert page.markdown(reports.report(queue, NOON, NOON + 10)).startswith("# ")


def test_a_minus_for_a_file_is_the_standard_output(home: Home) -> None:
    text = CliRunner().invoke(app, ["report", "--home", str(home.path), "-o", "-"], catch_exceptions=False)
    assert "nothing happened" in text.stdout


def test_a_broken_config_is_a_reason_and_keeps_nobody_from_the_report(queue: Queue) -> None:
    events.emit(queue.home.events, "job.blocked", job=queue.add("x", agent="echo")["id"], why="no claude on PATH")
    queue.retry(queue.cancel(queue.add("x", agent="echo")["id"])["id"])
    queue.home.config.write_text('on_failed = "x')
    hold.put(queue.home, hold.Hold("away"))
    report = reports.report(queue, time.time() - 60)
    assert report.hold == hold.Hold("away")
    assert [str(queue.home.config) in reason.why for reason in report.not_begun] == [False, True]


def test_what_others_wrote_is_text_and_no_more_in_the_report(queue: Queue, ended: Callable[..., str]) -> None:
    ended("[x](javascript:alert(1)) <script>", Move.FINISH, 0, 10)
    ended("bad", Move.FAIL, 0, 20, error="no-output", message="so\n- forged <img src=x> \x1b]0;p\x07")
    report = reports.report(queue, NOON - 10, NOON + 30)
    text, markdown, html = page.text(report), page.markdown(report), page.html(report)
    assert ("\\[x\\](javascript:alert(1)) \\<script>" in markdown, "so - forged \\<img src=x>" in markdown) == (
        True,
        True,
    )
    assert ("<script>" in html, 'href="javascript:' in html, "<img" in html) == (False, False, False)
    for form in (text, markdown):
        assert [line for line in form.splitlines() if line.startswith("- forged")] == []
        assert "\x1b" not in form
