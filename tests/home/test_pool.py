"""The pool: who may start after a refusal, how long the home waits, and what every worker of it reads the same."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from runner.home import hold, pool
from runner.home.config import Config
from runner.home.hold import Hold
from runner.home.layout import Home
from runner.home.pool import Pool, answered, backoff, observed, pause, refused, turn
from runner.home.quota import AccountLimit, Quota, read

NOW = 1_800_000_000.0


def test_the_pause_doubles_up_to_the_longest() -> None:
    assert [backoff(count) for count in (1, 2, 3, 6, 7, 8, 500)] == [5, 10, 20, 160, 300, 300, 300]


def test_in_fair_weather_every_job_starts_at_once() -> None:
    assert turn(Pool(), "a", NOW, 0.5) == (Pool(), 0.0)


def test_after_refusals_in_a_row_one_probe_goes_alone() -> None:
    shut = refused(refused(refused(Pool())))
    after, due = turn(shut, "a", NOW, 0.5)
    assert (after.probe, due) == ("a", 0.0)
    assert turn(after, "b", NOW + 1, 0.5) == (after, NOW + pool.PROBE_SECONDS)
    assert turn(after, "b", NOW + pool.PROBE_SECONDS, 0.5)[0].probe == "b"


def test_a_refused_probe_gives_its_place_to_another() -> None:
    shut = replace(Pool(), refusals=3, recovering=True, probe="a", probe_until=NOW + 100)
    assert turn(refused(shut), "b", NOW, 0.5)[1] == 0.0


def starts(after: Pool, seconds: float) -> list[float]:
    """When jobs that all want to start do so, in seconds since the first answer."""
    moments, now = [], NOW
    while now < NOW + seconds:
        after, due = turn(after, "x", now, 0.5)
        if due:
            now = due
        else:
            moments.append(now - NOW)
        if after.starts >= pool.RAMP_STARTS:
            break
    return moments


def test_after_the_first_answer_starts_double_every_few_seconds_and_never_come_at_once() -> None:
    moments = starts(answered(refused(Pool()), NOW), 3600)
    counts = [sum(moment <= limit for moment in moments) for limit in (0, 5.01, 10.01, 15.01, 20.01, 25.01)]
    assert counts == [1, 2, 4, 8, 16, 32]
    assert len(moments) == pool.RAMP_STARTS


def test_a_ramp_ends_when_no_job_starts_for_a_while() -> None:
    after, _ = turn(answered(refused(Pool()), NOW), "a", NOW, 0.5)
    assert turn(after, "b", after.next_start + pool.RAMP_SECONDS + 1, 0.5)[0].starts == pool.RAMP_STARTS


def test_an_answer_without_a_refusal_changes_nothing() -> None:
    assert answered(Pool(), NOW) == Pool()


RATES = {"five_hour": AccountLimit(91.4, NOW + 60)}


def test_a_status_line_fills_the_gauge_and_an_older_one_does_not_empty_it() -> None:
    full = observed(Pool(), RATES)
    assert full.windows == RATES
    for older in (AccountLimit(12, NOW + 60), AccountLimit(99, NOW - 60)):
        assert observed(full, {"five_hour": older}) is full
    assert observed(full, {"five_hour": AccountLimit(1, NOW + 18060)}).windows["five_hour"].used == 1


def test_a_window_that_is_used_up_to_its_mark_stops_new_jobs_until_it_is_renewed() -> None:
    full, settings = observed(Pool(), RATES), read({"pause_at": {"five_hour": 90}}, "x")
    assert pause(full, settings, NOW) == Hold("five_hour is used to 91 %, and new jobs stop at 90 %", "pause", NOW + 60)
    assert pause(full, settings, NOW + 60) is None
    assert pause(full, read({"pause_at": {"five_hour": 92}}, "x"), NOW) is None
    assert pause(full, Quota(), NOW) is None


# ---- the files


def test_what_one_worker_learns_every_other_knows(home: Home) -> None:
    start = time.time()
    pool.tell_limits(home, {"five_hour": AccountLimit(91.4, start + 3600)})
    put = pool.throttle(home, "529")
    assert put is not None
    assert (pool.load(home).refusals, pool.load(home).windows["five_hour"].used) == (1, 91.4)
    assert start <= (put.until or 0) <= time.time() + pool.BASE


def test_a_damaged_record_is_a_new_one(home: Home) -> None:
    for text in ("{", "[]", '{"windows": 3}', '{"refusals": "x"}'):
        home.pool.write_text(text)
        assert pool.load(home) == Pool()


def test_sessions_that_meet_the_same_weather_count_once(home: Home) -> None:
    hold.put(home, Hold("x", "throttle", time.time() + 60))
    assert pool.throttle(home, "529") is None
    assert pool.load(home).refusals == 0


def test_a_usage_limit_holds_until_soon_after_its_reset_and_is_reported_once(home: Home) -> None:
    reset = time.time() + 1000
    put = pool.limit(home, "You've hit your limit", reset)
    assert put is not None
    assert (put.kind, reset <= (put.until or 0) <= reset + 20) == ("usage-limit", True)
    assert pool.limit(home, "You've hit your limit", reset) is None


def test_a_limit_that_should_have_been_renewed_is_tried_again_after_a_pause(home: Home) -> None:
    start = time.time()
    put = pool.limit(home, "You've hit your limit", start - 10)
    assert put is not None
    assert start + pool.BASE <= (put.until or 0) <= time.time() + pool.CAP


def test_after_a_limit_only_one_is_tried_until_it_is_answered(home: Home) -> None:
    pool.limit(home, "You've hit your limit", time.time() + 0.01)
    hold.lift(home)
    assert pool.take_turn(home, "a") == 0
    assert pool.take_turn(home, "b") > time.time()
    pool.tell_end(home, "a")
    assert pool.take_turn(home, "b") == 0
    pool.tell_answer(home)
    assert (pool.take_turn(home, "c"), pool.take_turn(home, "d") > time.time()) == (0, True)


def test_a_release_forgets_the_refusals(home: Home) -> None:
    pool.limit(home, "You've hit your limit", time.time() + 1000)
    lifted = pool.release(home)
    assert (lifted and lifted.kind, pool.take_turn(home, "a"), pool.take_turn(home, "b")) == ("usage-limit", 0, 0)


def test_an_answer_under_a_hold_is_old_news(home: Home) -> None:
    pool.limit(home, "You've hit your limit", time.time() + 1000)
    pool.tell_answer(home)
    assert pool.load(home).recovering


def test_no_count_is_lost_between_workers(home: Home) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: pool.change(home, refused), range(40)))
    assert pool.load(home).refusals == 40


def test_a_hold_of_a_person_comes_before_the_pause(home: Home) -> None:
    settings = Config(pool=read({"pause_at": {"five_hour": 90}}, "x"))
    pool.tell_limits(home, {"five_hour": AccountLimit(99, time.time() + 60)})
    hold_in_force = pool.held(home, settings, time.time())
    assert hold_in_force is not None
    assert hold_in_force.kind == "pause"
    hold.put(home, Hold("backup"))
    assert pool.held(home, settings, time.time()) == Hold("backup")


@pytest.mark.parametrize("limit", [(93, 1e308), (93, 9e18), (93, math.inf), (math.nan, 5e3), (1e308, 5e3), (-1, 5e3)])
def test_a_limit_that_no_account_has_is_not_believed(home: Home, limit: tuple[float, float]) -> None:
    used, after = limit
    pool.tell_limits(home, {"odd": AccountLimit(used, time.time() + after)})
    assert (pool.load(home).windows, pool.gauge(pool.load(home), time.time())) == ({}, [])


@pytest.mark.parametrize("number", ["1e308", "9e18", "1e999", "1" + "0" * 400, "NaN"])
def test_a_record_with_such_a_limit_stops_no_listing(home: Home, number: str) -> None:
    home.pool.write_text(f'{{"version": 1, "windows": {{"odd": [93, {number}]}}}}')
    assert pool.gauge(pool.load(home), time.time()) == []


def test_a_renewal_in_a_hundred_years_holds_the_home_no_longer_than_an_unknown(home: Home) -> None:
    put = pool.limit(home, "used up", time.time() + 3e9)
    assert put is not None
    assert (put.until or 0) < time.time() + 2 * pool.UNKNOWN_RESET
