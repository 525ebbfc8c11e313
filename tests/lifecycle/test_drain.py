"""Draining runs: one at a time, and no longer, no more and no dearer than they were told."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from runner.home import pool
from runner.home.quota import AccountLimit
from tests.site import Site

pytestmark = pytest.mark.lifecycle
Wait = Callable[..., None]


def gated(site: Site, name: str = "gate") -> str:
    return f"touch {site.folder}/begun; while [ ! -e {site.folder}/{name} ]; do sleep 0.02; done; echo through"


def test_a_second_drain_ends_at_once_with_75_or_0_and_starts_nothing(site: Site, wait_until: Wait) -> None:
    site.drop("long", gated(site))
    first = site.work("--drain")
    wait_until((site.folder / "begun").exists)
    site.drop("other", "echo x")
    refused, free = site.process("work", "--drain"), site.process("work", "--drain", "--if-free")
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (75, "", 1)
    assert str(site.home.locks / "drain.lock") in refused.stderr
    assert (free.returncode, free.stderr) == (0, refused.stderr)
    (site.folder / "gate").touch()
    assert first.wait(30) == 0
    assert site.states() == {"long": "done", "other": "done"}


def test_a_plain_worker_and_a_drain_work_side_by_side(site: Site, wait_until: Wait) -> None:
    site.drop("long", gated(site))
    plain = site.work()
    wait_until((site.folder / "begun").exists)
    site.drop("other", "echo x")
    drain = site.work("--drain")
    wait_until(lambda: site.states() == {"long": "running", "other": "done"})
    (site.folder / "gate").touch()
    assert drain.wait(30) == 0
    plain.send_signal(signal.SIGTERM)
    assert plain.wait(30) == 0


@pytest.mark.parametrize(("left", "code", "told"), [(True, 130, "failed"), (False, 0, "done")])
def test_a_drain_that_is_told_to_stop_has_not_ended_well_if_jobs_are_left(
    site: Site, wait_until: Wait, left: bool, code: int, told: str
) -> None:
    site.drop("long", gated(site), priority=1)
    drain = site.work("--drain", "--on-stop", "finish", "--on-done", "touch done", "--on-failed", "touch failed")
    wait_until((site.folder / "begun").exists)
    if left:
        site.drop("other", "echo x")
        wait_until(lambda: site.events("job.admitted")[1:])
    drain.send_signal(signal.SIGINT)
    wait_until(lambda: "stopping" in site.log())
    (site.folder / "gate").touch()
    assert drain.wait(30) == code
    wait_until((site.home.path / told).exists)
    assert "told to stop" in site.log()


def test_a_drain_that_was_killed_leaves_no_lock(site: Site, wait_until: Wait) -> None:
    site.drop("long", gated(site))
    first = site.work("--drain")
    wait_until((site.folder / "begun").exists)
    first.kill()
    first.wait()
    (site.folder / "gate").touch()
    assert (site.drain(), site.states()) == (0, {"long": "done"})


def test_at_the_end_of_the_window_nothing_new_starts_and_what_runs_may_finish(site: Site, wait_until: Wait) -> None:
    site.drop("long", gated(site), priority=1)
    site.drop("next", "echo x")
    worker = site.work("--drain", "--until", "+6s")
    wait_until((site.folder / "begun").exists)
    wait_until(lambda: site.events("worker.closed"))
    (site.folder / "gate").touch()
    assert worker.wait(30) == 6
    assert site.states() == {"long": "done", "next": "queued"}
    assert "1 done, 0 failed, 1 left; the window closed at " in site.log()


def test_a_grace_ends_the_run_and_the_sessions_go_on(site: Site, wait_until: Wait) -> None:
    site.drop("long", gated(site))
    worker = site.work("--drain", "--until", "+6s", "--grace", "0.5s")
    assert worker.wait(30) == 6
    assert (site.states(), len(site.sessions())) == ({"long": "running"}, 1)
    (site.folder / "gate").touch()
    assert (site.drain(), site.states(), len(site.job("long")["attempts"])) == (0, {"long": "done"}, 1)


def test_a_grace_ends_the_sessions_where_it_is_told_to(site: Site, wait_until: Wait) -> None:
    site.drop("long", gated(site))
    worker = site.work("--drain", "--until", "+6s", "--grace", "0.5s", "--on-stop", "kill")
    assert worker.wait(30) == 6
    assert (site.states(), site.sessions(), site.left()) == ({"long": "queued"}, [], [])


def test_no_more_jobs_are_started_than_the_run_may(site: Site) -> None:
    for name in "abc":
        site.queue.add("echo x", agent="shell", name=name)
    assert site.drain("--max-jobs", "2", "--jobs", "3") == 6
    assert site.states() == {"a": "done", "b": "done", "c": "queued"}
    assert "2 done, 0 failed, 1 left; 2 jobs were started, as many as --max-jobs allows" in site.log()
    assert site.drain("--max-jobs", "1") == 0
    assert "1 done, 0 failed, 0 left; nothing is left to do" in site.log()


def test_nothing_starts_once_so_much_of_the_plan_is_used(site: Site) -> None:
    pool.tell_limits(site.home, {"five_hour": AccountLimit(61, time.time() + 3600)})
    site.drop("job", "echo x")
    assert (site.drain("--max-usage", "60%"), site.states()) == (6, {"job": "queued"})
    assert "1 left; five_hour is used to 61 %, and --max-usage is 60 %" in site.log()
    assert (site.drain("--max-usage", "62%"), site.states()) == (0, {"job": "done"})


def test_a_drain_says_at_its_end_what_failed(site: Site) -> None:
    site.drop("good", "echo x")
    site.drop("bad", "exit 7")
    assert site.drain("--quiet") == 1
    assert site.log() == "muxq: 1 done, 1 failed, 0 left; nothing is left to do\n"


def test_a_quiet_drain_that_went_well_says_nothing(site: Site) -> None:
    site.drop("good", "echo x")
    assert (site.drain("--quiet"), site.log()) == (0, "")


@pytest.mark.parametrize("words", [["--until", "+1h"], ["--max-jobs", "1"], ["--max-usage", "5%"], ["--if-free"]])
def test_only_a_draining_run_has_a_window(site: Site, words: list[str]) -> None:
    assert (site.work(*words).wait(30), f"{words[0]}: it is only for --drain" in site.log()) == (2, True)


def test_a_window_that_is_no_time_is_refused(site: Site) -> None:
    assert (site.drain("--until", "dawn"), "like 07:00, or +2h" in site.log()) == (4, True)
