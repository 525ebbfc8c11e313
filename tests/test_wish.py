"""What somebody wishes to happen at an end: what a job says goes before what its home says."""

from __future__ import annotations

from typing import Any

import pytest

from runner.wish import NOTHING, Wish, read

HOME = Wish(("failed",), "echo done", "echo failed")


@pytest.mark.parametrize(
    ("said", "wish"),
    [
        ({}, HOME),
        ({"notify": True}, Wish(("done", "failed"), "echo done", "echo failed")),
        ({"notify": False}, Wish((), "echo done", "echo failed")),
        ({"notify": ["done"]}, Wish(("done",), "echo done", "echo failed")),
        ({"notify": []}, Wish((), "echo done", "echo failed")),
        ({"on_done": "true"}, Wish(("failed",), "true", "echo failed")),
        ({"on_failed": "true"}, Wish(("failed",), "echo done", "true")),
        ({"notify": "done", "on_done": 1, "on_failed": None}, HOME),
        ({"notify": ["done", ["failed"]]}, HOME),
        ({"notify": None}, HOME),
    ],
)
def test_what_is_said_goes_before_what_is_there_without_it(said: dict[str, Any], wish: Wish) -> None:
    assert read(said, HOME) == wish


def test_a_wish_says_itself() -> None:
    assert read(HOME.as_dict()) == HOME
    assert read(NOTHING.as_dict(), HOME) == NOTHING


def test_no_wish_counts_as_none() -> None:
    assert not read({})
    assert all((Wish(("done",)), Wish(on_done="x"), Wish(on_failed="x")))


def test_each_end_has_its_command() -> None:
    assert [HOME.command(end) for end in ("done", "failed")] == ["echo done", "echo failed"]
