"""Limits and refusals with real workers: what waits in place, what is tried again, and how many at a time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from runner.home import pool
from runner.home.quota import AccountLimit
from runner.system import clock
from tests.site import Site

pytestmark = pytest.mark.lifecycle
Wait = Callable[..., None]


def began(site: Site, name: str) -> list[float]:
    return [clock.seconds(attempt["started_at"]) for attempt in site.queue.get(name)["attempts"]]


def test_an_agent_that_sits_its_limit_out_is_left_to_it_and_nothing_starts_meanwhile(
    site: Site, wait_until: Wait
) -> None:
    site.drop("limited", "@limit 3\nthere", agent="echo", priority=1, timeout=2)
    site.drop("next", "@wait 0\nhere", agent="echo")
    worker = site.work("--drain")
    wait_until(site.home.hold.exists, 20)
    resets = clock.seconds(json.loads(site.home.hold.read_text())["until"])
    assert site.states() == {"limited": "running", "next": "queued"}
    assert site.job("limited")["attempts"][0]["outcome"] is None
    assert worker.wait(30) == 0
    assert (site.queue.output("limited"), len(began(site, "limited"))) == ("there", 1)
    assert began(site, "next")[0] >= resets
    assert [hold["kind"] for hold in site.events("hold.put")] == ["usage-limit"]


def test_an_agent_in_its_limit_is_adopted_and_still_left_to_it(site: Site, wait_until: Wait) -> None:
    site.drop("limited", "@limit 4\nthere", agent="echo", timeout=2)
    worker = site.work()
    wait_until(site.home.hold.exists, 20)
    worker.kill()
    worker.wait()
    assert site.drain() == 0
    assert (site.queue.output("limited"), len(began(site, "limited"))) == ("there", 1)


def test_a_throttle_costs_no_attempt_and_the_conversation_goes_on(site: Site, wait_until: Wait) -> None:
    busy = site.folder / "busy"
    busy.touch()
    site.drop("job", f"@busy-while {busy}\nthere", agent="echo")
    worker = site.work("--drain")
    wait_until(lambda: pool.load(site.home).refusals == 1, 20)
    busy.unlink()
    assert worker.wait(60) == 0
    assert [attempt["outcome"] for attempt in site.job("job")["attempts"]][-1] == "done"
    assert site.queue.output("job") == "there"
    assert not pool.load(site.home).recovering


def test_a_job_that_is_always_turned_away_does_not_stop_the_others(site: Site, wait_until: Wait) -> None:
    busy = site.folder / "busy"
    busy.touch()
    site.drop("poison", f"@busy-while {busy}\nthere", agent="echo", priority=9)
    for number in range(3):
        site.drop(f"good{number}", "fine", agent="echo")
    worker = site.work()
    wait_until(lambda: [site.state(f"good{number}") for number in range(3)] == ["done"] * 3, 60)
    worker.terminate()
    assert worker.wait(30) == 0


def test_a_herd_that_was_turned_away_does_not_come_back_at_once(site: Site, wait_until: Wait) -> None:
    """Fifty agents, two workers; the service says no, then yes."""
    busy, count = site.folder / "busy", 50
    busy.touch()
    for number in range(count):
        site.drop(f"job{number}", f"@busy-while {busy}\nfine", agent="echo")
    workers = [site.work("--jobs", "25") for _ in range(2)]
    wait_until(lambda: pool.load(site.home).refusals >= pool.OPEN_AFTER, 60)
    turned_away = sum(len(job["attempts"]) for job in site.queue.list())
    wait_until(lambda: not site.sessions(), 60)
    busy.unlink()
    open_again = time.time()
    wait_until(lambda: all(state == "done" for state in site.states().values()), 100)
    starts = sorted(moment for name in site.states() for moment in began(site, name) if moment >= open_again)
    first = starts[0]
    counts = [sum(moment - first < 5 * step for moment in starts) for step in range(1, 8)]
    print(f"{turned_away} were turned away; then started within 5, 10, … seconds of the first: {counts}")
    for worker in workers:
        worker.terminate()
        assert worker.wait(30) == 0
    assert (counts[0] < count / 4, counts[1] < count / 2) == (True, True)  # a slow machine only makes them fewer


def test_a_window_used_up_to_its_mark_stops_new_jobs(site: Site) -> None:
    (site.home.path / "config.toml").write_text("[pool]\npause_at = { five_hour = 90 }\n")
    pool.tell_limits(site.home, {"five_hour": AccountLimit(93, int(time.time()) + 3600)})
    site.drop("job", "echo hi")
    assert "five_hour 93 % until" in site.muxq("ls").stderr
    assert site.muxq("hold", "--show").stdout.startswith("on hold until ")
    site.home.pool.unlink()
    pool.tell_limits(site.home, {"five_hour": AccountLimit(93, int(time.time()) + 4)})
    assert site.drain() == 0
    assert began(site, "job")[0] >= pool.load(site.home).windows["five_hour"].resets_at


def test_auto_runs_as_many_as_the_machine_can_carry(site: Site) -> None:
    for number in range(4):
        site.drop(f"job{number}", "echo hi")
    assert (site.drain("--jobs", "auto"), set(site.states().values())) == (0, {"done"})
    assert site.process("work", "--jobs", "many").returncode == 2
