"""What a job waits for: records, what the states of parents mean, and the order of drops."""

from __future__ import annotations

import random
from itertools import permutations

import pytest

from runner.home import dependencies
from runner.home.dependencies import Node, Parent
from runner.home.layout import Home
from runner.jobs import entry as entries
from runner.jobs.entry import Entry
from runner.jobs.ident import new_id
from runner.jobs.state import State


def entry(name: str | None = None) -> Entry:
    return entries.new(new_id(), 0, name)


def test_parents_are_read_as_they_were_written(home: Home) -> None:
    parents = (Parent(entry("a"), "ok"), Parent(entry(), "any"))
    dependencies.write(home, "x", parents)
    assert (dependencies.load(home, "x"), oct(home.parents("x").stat().st_mode & 0o777)) == (parents, "0o600")


@pytest.mark.parametrize("damage", [None, b"", b"[]", b'{"after": [{}]}', b'{"after": [{"file": "x", "when": "ok"}]}'])
def test_a_record_that_is_missing_or_damaged_counts_as_none(home: Home, damage: bytes | None) -> None:
    if damage is not None:
        home.parents("x").write_bytes(damage)
    assert dependencies.load(home, "x") is None


@pytest.mark.parametrize(
    ("when", "stands", "pending", "blocks"),
    [
        ("ok", State.QUEUED, True, False),
        ("ok", State.RUNNING, True, False),
        ("ok", State.DONE, False, False),
        ("ok", State.FAILED, False, True),
        ("ok", State.CANCELLED, False, True),
        ("ok", None, False, True),
        ("any", State.QUEUED, True, False),
        ("any", State.RUNNING, True, False),
        ("any", State.DONE, False, False),
        ("any", State.FAILED, False, False),
        ("any", State.CANCELLED, False, False),
        ("any", None, False, False),
    ],
)
def test_what_follows_from_how_a_parent_stands(when: str, stands: State | None, pending: bool, blocks: bool) -> None:
    assert (dependencies.pending(stands), dependencies.blocks(Parent(entry(), when), stands)) == (pending, blocks)


@pytest.mark.parametrize(
    ("state", "words"),
    [(State.FAILED, "has failed"), (State.CANCELLED, "was cancelled"), (None, "has been taken away")],
)
def test_the_complaint_names_the_parent_and_what_to_do(state: State | None, words: str) -> None:
    parent = Parent(entry("report"), "ok")
    reason = dependencies.complaint(parent, state)
    assert f"report ({parent.entry.id}), which this job is after, {words}" in reason
    assert reason.endswith(f"muxq retry {parent.entry.id} --children")


def nodes(**after: str) -> dict[str, Node]:
    return {f"{name}.json": Node(name, frozenset(words.split())) for name, words in after.items()}


def test_drops_enter_after_those_that_they_name_in_whatever_order_they_were_dropped() -> None:
    for names in permutations("abcd"):
        drops = nodes(a="", b="a", c="a elsewhere", d="b c")
        order, circle = dependencies.order({f"{name}.json": drops[f"{name}.json"] for name in names})
        assert (order[0], sorted(order[1:3]), order[3], circle) == ("a.json", ["b.json", "c.json"], "d.json", [])


def test_only_those_that_wait_for_each_other_are_a_circle() -> None:
    order, circle = dependencies.order(nodes(a="b", b="c", c="a", behind="a", free="", own="own"))
    assert (sorted(order), circle) == (["free.json", "own.json"], ["a.json", "b.json", "c.json"])


def test_of_a_job_with_two_drops_of_its_parents_name_both_come_first() -> None:
    drops = {"c": Node("c", frozenset({"p"})), "1": Node("p", frozenset()), "2": Node("p", frozenset())}
    order, _ = dependencies.order(drops)
    assert order[-1] == "c"


def reachable(before: dict[str, set[str]], file: str) -> set[str]:
    """What has to enter before a drop, at any distance."""
    seen: set[str] = set()
    front = [file]
    while front:
        new = before[front.pop()] - seen
        seen |= new
        front += new
    return seen


@pytest.mark.parametrize("seed", range(100))
def test_drops_enter_after_their_parents_and_those_that_wait_for_a_circle_are_not_in_it(seed: int) -> None:
    dice = random.Random(seed)
    drops = {
        f"{number}.json": Node(
            f"n{dice.randint(0, 7)}", frozenset(f"n{dice.randint(0, 9)}" for _ in range(dice.choice([0, 1, 1, 2])))
        )
        for number in range(dice.randint(0, 9))
    }
    before = {
        file: {other for other in drops if other != file and drops[other].name in node.after}
        for file, node in drops.items()
    }
    far = {file: reachable(before, file) for file in drops}
    circular = {file for file in drops if file in far[file]}
    order, circle = dependencies.order(drops)
    assert set(order) == {file for file in drops if file not in circular and circular.isdisjoint(far[file])}
    assert all(order.index(other) < order.index(file) for file in order for other in before[file])
    assert set(circle) == {file for file in drops if circular & far[file] and any(file in far[end] for end in circular)}


def test_the_children_of_all_jobs_are_read_from_the_records(home: Home) -> None:
    top, other = entry(), entry()
    dependencies.write(home, "1", [Parent(top, "ok")])
    dependencies.write(home, "2", [Parent(top, "ok"), Parent(other, "any")])
    assert dependencies.children(home) == {top.id: ["1", "2"], other.id: ["2"]}
