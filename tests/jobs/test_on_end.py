"""What somebody wishes to happen at an end: what a job says goes before what its home says."""

from __future__ import annotations

from typing import Any

import pytest

from runner.jobs.on_end import NOTHING, OnEnd, read

HOME = OnEnd(("failed",), "echo done", "echo failed")


@pytest.mark.parametrize(
    ("keys", "on_end"),
    [
        ({}, HOME),
        ({"notify": True}, OnEnd(("done", "failed"), "echo done", "echo failed")),
        ({"notify": False}, OnEnd((), "echo done", "echo failed")),
        ({"notify": ["done"]}, OnEnd(("done",), "echo done", "echo failed")),
        ({"notify": []}, OnEnd((), "echo done", "echo failed")),
        ({"on_done": "true"}, OnEnd(("failed",), "true", "echo failed")),
        ({"on_failed": "true"}, OnEnd(("failed",), "echo done", "true")),
        ({"notify": "done", "on_done": 1, "on_failed": None}, HOME),
        ({"notify": ["done", ["failed"]]}, HOME),
        ({"notify": None}, HOME),
    ],
)
def test_a_key_of_a_job_overrides_the_default_of_its_home(keys: dict[str, Any], on_end: OnEnd) -> None:
    assert read(keys, HOME) == on_end


def test_a_wish_says_itself() -> None:
    assert read(HOME.as_dict()) == HOME
    assert read(NOTHING.as_dict(), HOME) == NOTHING


def test_no_wish_counts_as_none() -> None:
    assert not read({})
    assert all((OnEnd(("done",)), OnEnd(on_done="x"), OnEnd(on_failed="x")))


def test_each_end_has_its_command() -> None:
    assert [HOME.command(end) for end in ("done", "failed")] == ["echo done", "echo failed"]
