"""What keeps waiting jobs from their start: told once, looked at again, forgotten when it is over."""

from __future__ import annotations

from runner.worker.backlog import RECHECK, Blocked


def test_of_jobs_that_wait_for_the_same_only_the_first_is_news() -> None:
    blocked = Blocked()
    assert [blocked.put(job, why) for job, why in [("a", "x"), ("b", "x"), ("a", "x"), ("b", "y"), ("a", "y")]] == [
        *(True, False, False, True, False),
    ]
    assert blocked.reasons() == {"y": ["b", "a"]}


def test_what_was_mended_is_news_when_it_breaks_again() -> None:
    blocked = Blocked()
    blocked.put("a", "x")
    blocked.lift("a")
    blocked.lift("never seen")
    assert (len(blocked), blocked.reasons(), blocked.put("b", "x")) == (0, {}, True)


def test_very_many_jobs_are_looked_at_again_at_a_bounded_rate() -> None:
    blocked = Blocked()
    pauses = []
    for number in range(100_000):
        blocked.put(str(number), "x")
        pauses.append(blocked.pause())
    assert (pauses[0], pauses[749], pauses[-1]) == (RECHECK, RECHECK, 4000)
