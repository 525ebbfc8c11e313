"""Jobs below those that they are after."""

from __future__ import annotations

from typing import Any

from runner.views.tree import below, families


def job(name: str, *after: str) -> dict[str, Any]:
    return {"id": name, "after": list(after)}


def test_each_job_stands_below_the_last_of_its_parents_that_is_shown() -> None:
    jobs = [job("e", "c", "elsewhere"), job("d", "b", "c"), job("c", "a"), job("b", "a"), job("a"), job("x", "gone")]
    shown = [(one["id"], depth) for one, depth in zip(*families(jobs), strict=True)]
    assert shown == [("a", 0), ("b", 1), ("c", 1), ("d", 2), ("e", 2), ("x", 0)]


def test_a_long_chain_is_no_matter() -> None:
    jobs = [job(f"{number:05}", *([f"{number - 1:05}"] if number else [])) for number in range(5000)]
    assert families(jobs)[1] == list(range(5000))


def test_a_name_is_moved_in_with_its_depth() -> None:
    assert [below(depth, "n") for depth in range(3)] == ["n", "└ n", "  └ n"]
