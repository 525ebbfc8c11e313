"""Homes as released versions left them: today's code lists them as they did, and finishes what they began."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.site import REPOSITORY, Site

pytestmark = pytest.mark.lifecycle

HERE = Path(__file__).parent
ENDS = ("done", "failed", "cancelled")
RELEASES = sorted(path.name.removeprefix("home-") for path in HERE.glob("home-*"))


class Release:
    """The home of a release, copied into a site, and what that release answered about it."""

    def __init__(self, version: str, site: Site) -> None:
        self.site, self.home, self.user = site, site.home.path, site.folder / "user"
        self.words = {
            "@HOME@": str(self.home),
            "@USER@": str(self.user),
            "@PYTHON@": sys.executable,
            "@COMMAND@": str(Path(sys.executable).with_name("muxq")),
            "@MUXQ@": str(REPOSITORY),
        }
        stored = HERE / f"home-{version}"
        self._copy(stored / "home", self.home)
        self._copy(stored / "user", self.user)
        (self.user / "project").mkdir()
        site.give_crontab()
        self.expected: dict[str, Any] = json.loads(self._absolute((stored / "expected.json").read_text("utf-8")))

    def _copy(self, stored: Path, target: Path) -> None:
        for path in filter(Path.is_file, sorted(stored.rglob("*"))):
            copy = target / path.relative_to(stored)
            copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            copy.write_text(self._absolute(path.read_text("utf-8")), "utf-8")
            copy.chmod(0o600)
        for folder in (target, *filter(Path.is_dir, target.rglob("*"))):
            folder.chmod(0o700)

    def _absolute(self, text: str) -> str:
        for word, path in self.words.items():
            text = text.replace(word, path)
        return text

    def json(self, *words: str) -> Any:
        """What today's `muxq WORDS --json` prints."""
        done = self.site.muxq(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def text(self, *words: str) -> str:
        done = self.site.muxq(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest, site: Site) -> Release:
    return Release(request.param, site)


def known(now: Any, then: Any) -> Any:
    """`now` without the keys that the release did not write yet."""
    if isinstance(now, dict) and isinstance(then, dict):
        return {key: known(value, then[key]) for key, value in now.items() if key in then}
    if isinstance(now, list) and isinstance(then, list) and len(now) == len(then):
        return list(map(known, now, then))
    return now


def undated(job: dict[str, Any]) -> dict[str, Any]:
    """Without an attempt, a job's end is the moment its file was renamed: of a copy that is another."""
    return job if job["attempts"] else {**job, "finished_at": None}


def test_every_answer_about_the_home_is_the_one_of_the_release(release: Release) -> None:
    (release.home / "queue" / "dropped.json").unlink()
    then, jobs = release.expected, release.json("ls", "--all")
    assert known(list(map(undated, jobs)), then["jobs"]) == list(map(undated, then["jobs"]))
    for job in then["jobs"]:
        expected = undated(then["show"][job["id"]])
        assert known(undated(release.site.queue.get(job["id"])), expected) == expected
    assert release.json("show", "invalid") == release.site.queue.get("invalid")
    batches = [release.json("batch", "show", batch["id"]) for batch in release.json("batch", "ls")]
    assert known(batches, then["batches"]) == then["batches"]
    assert release.json("hold", "--show") == then["hold"]
    schedules = [{**schedule, "next": None} for schedule in release.json("schedule", "ls")]
    expected = [{**schedule, "next": None} for schedule in then["schedules"]]
    assert known(schedules, expected) == expected


def test_outputs_logs_and_reports_of_the_release_can_be_read(release: Release) -> None:
    assert release.text("output", "done") == "Good morning."
    assert release.text("output", "templated") == "Good day, Ada.\n"
    assert json.loads(release.text("output", "json")) == [1, 2, 3]
    assert "Expecting property name" in release.text("logs", "invalid")
    assert "rm -rf build" in release.text("logs", "asked")
    assert json.loads(release.text("events", "done", "--json").splitlines()[-1])["event"] == "exited"
    assert "The session stays." in release.text("transcript", "kept")
    report = release.json("report", "--since", "2026-11-01T00:00:00Z")
    assert {job["name"] for job in report["done"]} >= {"done", "json", "limited", "letters-0001"}
    assert {job["name"] for job in report["failed"]} == {"failed", "invalid"}
    assert "unknown key `promt`" in (release.home / "rejected" / "broken.json.error.txt").read_text("utf-8")


def test_a_worker_finishes_what_the_release_began(release: Release, wait_until: Callable[..., None]) -> None:
    site, before = release.site, {job["name"]: job["state"] for job in release.expected["jobs"]}
    assert site.drain("--jobs", "4") == 5, "the hold of the release is in force"
    (release.user / "go").touch()
    release.text("release")
    assert (site.drain("--jobs", "4"), site.log()) == (0, site.log())
    after = dict.fromkeys(before, "done") | {name: before[name] for name in before if before[name] in ENDS}
    assert site.states() == after | {"dropped": "done", "far": "queued"}
    assert outcomes(site, "lost") == ["requeued lost", "done"]
    assert outcomes(site, "manual") == ["requeued lost", "done"]
    assert outcomes(site, "again") == ["retry agent-exited", "done"]
    assert outcomes(site, "answered") == ["requeued lost", "done"], "its turn was not over"
    assert outcomes(site, "judged") == ["done"]
    assert release.text("output", "answered") == "The result lies here.\n"
    assert release.text("output", "lost") == "finished\n"
    wait_until(lambda: (release.user / "batch.json").exists() and (release.user / "late.txt").exists())
    wait_until(lambda: not site.senders())
    assert json.loads((release.user / "batch.json").read_text())["counts"]["done"] == 2
    assert (release.user / "late.txt").read_text() == "done\n"


def outcomes(site: Site, name: str) -> list[str]:
    """How each attempt of a job ended, with the reason where there is one."""
    ends = []
    for attempt in site.job(name)["attempts"]:
        record = json.loads((Path(attempt["run_dir"]) / "outcome.json").read_text())
        reason = record.get("reason") or record.get("error")
        ends.append(" ".join(filter(None, [record["outcome"], reason])))
    return ends


def test_a_kept_session_of_the_release_that_has_ended_can_be_closed(release: Release) -> None:
    assert release.site.job("kept")["kept"] is False
    assert release.site.muxq("close", "kept").returncode in (0, 4)
