"""The one word for what a session does."""

from __future__ import annotations

import pytest

from runner.agents.agent import Failure
from runner.agents.attention import INTERRUPTED, Attention
from runner.agents.progress import Progress, Turn
from runner.agents.status import Status, status


@pytest.mark.parametrize(
    ("progress", "word"),
    [
        (Progress(), Status.STARTING),
        (Progress(started=True), Status.STARTING),
        (Progress(turn=Turn.BUSY), Status.WORKING),
        (Progress(turn=Turn.BUSY, waiting=(Attention("permission", "x"),)), Status.WAITING),
        (Progress(waiting=(Attention("dialog", "x"),)), Status.WAITING),
        (Progress(turn=Turn.OVER), Status.IDLE),
        (Progress(turn=Turn.OVER, background=1), Status.IDLE),
        (Progress(turn=Turn.INTERRUPTED, waiting=(Attention(INTERRUPTED, "x"),)), Status.IDLE),
        *((Progress(turn=Turn.FAILED, failure=kind), Status.LIMITED) for kind in Failure if kind is not Failure.OTHER),
        (Progress(turn=Turn.FAILED), Status.IDLE),
        (Progress(turn=Turn.BUSY, exited=True), Status.GONE),
        (Progress(turn=Turn.BUSY, waiting=(Attention("permission", "x"),), exited=True), Status.GONE),
    ],
)
def test_the_status_follows_from_what_was_told(progress: Progress, word: Status) -> None:
    assert status(progress) is word


def test_a_process_that_is_gone_overrules_what_was_told() -> None:
    assert status(Progress(turn=Turn.BUSY), gone=True) is Status.GONE
