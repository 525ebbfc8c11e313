"""The jobs that a worker has found to be after others: who is free when one has ended."""

from __future__ import annotations

import pytest

from runner.home.dependencies import Parent
from runner.jobs import entry as entries
from runner.jobs.ident import new_id
from runner.jobs.state import State
from runner.worker.backlog import Waiting

A, B, C, D = (entries.new(new_id(), 0, name) for name in "abcd")


def test_a_job_is_free_when_the_last_of_its_parents_has_ended() -> None:
    waiting = Waiting()
    waiting.put(C, [Parent(A, "ok"), Parent(B, "ok")])
    assert (waiting.ended(A.id, State.DONE), waiting.ended(B.id, State.DONE), len(waiting)) == ([], [C], 0)


@pytest.mark.parametrize(("when", "free"), [("ok", [C]), ("any", [])])
def test_the_first_failure_is_worth_a_look_where_the_parent_must_be_done(when: str, free: list[object]) -> None:
    waiting = Waiting()
    waiting.put(C, [Parent(A, when), Parent(B, "ok")])
    assert (waiting.ended(A.id, State.FAILED), waiting.parents) == (free, set() if free else {B.id})


def test_all_children_of_a_parent_are_free_together() -> None:
    waiting = Waiting()
    waiting.put(B, [Parent(A, "ok")])
    waiting.put(C, [Parent(A, "ok")])
    waiting.put(D, [Parent(A, "ok"), Parent(B, "ok")])
    assert (waiting.ended(A.id, State.DONE), len(waiting), waiting.parents) == ([B, C], 1, {B.id})


def test_a_job_that_is_put_again_waits_for_what_was_said_last() -> None:
    waiting = Waiting()
    waiting.put(C, [Parent(A, "ok")])
    waiting.put(C, [Parent(B, "ok")])
    assert (waiting.ended(A.id, State.DONE), waiting.parents, waiting.entry(B.id)) == ([], {B.id}, B)


def test_nobody_waits_for_an_unknown_job() -> None:
    assert (Waiting().ended(A.id, State.DONE), Waiting().entry(A.id)) == ([], None)
