"""What an attempt's events add up to."""

from __future__ import annotations

from typing import Any

import pytest

from runner.agents import claude
from runner.agents.agent import Failure
from runner.agents.attention import Attention
from runner.agents.progress import Progress, Turn, fold
from runner.home.events import Event

BASH = {"tool_name": "Bash", "tool_input": {"command": "make test"}}
DOING = "Bash: make test"
IDLE = "somebody has interrupted the turn; the agent waits for its next message"

T = "/projects/x/t.jsonl"


def after(*names: str | tuple[str, dict[str, Any]]) -> Progress:
    pairs = [(name, {}) if isinstance(name, str) else name for name in names]
    return fold(Progress(), [Event("t", name, data) for name, data in pairs], claude)


def test_nothing_told_is_nothing_known() -> None:
    assert after() == Progress()


@pytest.mark.parametrize(
    ("events", "known"),
    [
        ([("started", {"transcript_path": T})], Progress(started=True, transcript=T, events=1)),
        (["started", "prompt-accepted"], Progress(started=True, turn=Turn.BUSY, events=2)),
        (["prompt-accepted", ("tool-started", BASH)], Progress(True, Turn.BUSY, doing="Bash: make test", events=2)),
        (
            ["prompt-accepted", ("tool-started", BASH), ("permission-asked", BASH)],
            Progress(True, Turn.BUSY, doing=DOING, events=3, waiting=(Attention("permission", DOING, "t"),)),
        ),
        (
            ["prompt-accepted", ("permission-asked", BASH | {"id": "a"}), ("permission-asked", {"id": "b"})],
            Progress(
                True,
                Turn.BUSY,
                events=3,
                waiting=(Attention("permission", DOING, "t", "a"), Attention("permission", "a tool", "t", "b")),
            ),
        ),
        (["prompt-accepted", "permission-asked", "tool-finished"], Progress(True, Turn.BUSY, events=3)),
        (["prompt-accepted", "permission-asked", "tool-failed"], Progress(True, Turn.BUSY, events=3)),
        (["prompt-accepted", ("tool-started", BASH), "turn-over"], Progress(True, Turn.OVER, events=3)),
        ([("turn-over", {"background_tasks": [{}, {}]})], Progress(turn=Turn.OVER, background=2, events=1)),
        (["turn-over", "repair"], Progress(True, Turn.BUSY, repairs=1, events=2)),
        (["repair", "repair"], Progress(True, Turn.BUSY, repairs=2, events=2)),
        (
            [("turn-failed", {"error": "rate_limit", "last_assistant_message": "You've hit your limit"})],
            Progress(
                turn=Turn.FAILED,
                failure=Failure.USAGE_LIMIT,
                error="rate_limit",
                message="You've hit your limit",
                events=1,
            ),
        ),
        ([("turn-failed", {"error_details": "d"})], Progress(turn=Turn.FAILED, error="unknown", message="d", events=1)),
        ([("dialog", {"text": "trust"})], Progress(waiting=(Attention("dialog", "trust", "t"),), events=1)),
        (
            [("dialog", {"text": "Select", "kind": "log-in"})],
            Progress(waiting=(Attention("log-in", "Select", "t"),), events=1),
        ),
        ([("dialog", {"text": "trust"}), "dialog-answered"], Progress(events=2)),
        (
            [("dialog", {"text": "trust"}), "started"],
            Progress(started=True, events=2),
        ),
        ([("dialog", {"text": "trust"}), "prompt-accepted"], Progress(True, Turn.BUSY, events=2)),
        ([("exited", {"status": 3, "signal": None})], Progress(exited=True, status=3, events=1)),
        ([("exited", {"status": None, "signal": 9})], Progress(exited=True, signal=9, events=1)),
        ([("exited", {"status": 3}), ("exited", {"status": None})], Progress(exited=True, status=3, events=2)),
        (["notified", "session-ended", "something new"], Progress(events=3)),
        (
            ["prompt-accepted", ("tool-started", BASH), "seen-idle"],
            Progress(True, Turn.INTERRUPTED, waiting=(Attention("interrupted", IDLE, "t"),), events=3),
        ),
        (
            ["prompt-accepted", ("permission-asked", BASH | {"id": "a"}), "seen-idle"],
            Progress(True, Turn.INTERRUPTED, waiting=(Attention("interrupted", IDLE, "t"),), events=3),
        ),
        (
            ["prompt-accepted", "seen-idle", ("permission-asked", BASH | {"id": "a"}), ("tool-started", BASH)],
            Progress(True, Turn.BUSY, doing=DOING, waiting=(Attention("permission", DOING, "t", "a"),), events=4),
        ),
        (
            ["prompt-accepted", "seen-idle", ("turn-over", {"background_tasks": [1]})],
            Progress(True, Turn.OVER, background=1, events=3),
        ),
        (["prompt-accepted", "seen-idle", "prompt-accepted"], Progress(True, Turn.BUSY, events=3)),
        (["prompt-accepted", "seen-idle", "turn-over"], Progress(True, Turn.OVER, events=3)),
        (["prompt-accepted", "turn-over", "seen-idle"], Progress(True, Turn.OVER, events=3)),
        (["seen-idle"], Progress(events=1)),
        (["prompt-accepted", "seen-idle", ("tool-started", BASH)], Progress(True, Turn.BUSY, doing=DOING, events=3)),
    ],
)  # fmt: skip
def test_events_add_up(events: list[str | tuple[str, dict[str, Any]]], known: Progress) -> None:
    assert after(*events) == known


def test_a_message_in_the_middle_of_a_turn_keeps_it_from_being_over_at_its_end() -> None:
    """As the client tells it: accepted under the name of the turn that goes on, then perhaps a turn of another name."""
    first, second = {"prompt_id": "1"}, {"prompt_id": "2"}
    queued = [("prompt-accepted", first), ("prompt-accepted", first), ("turn-over", first)]
    assert after(*queued).turn is Turn.BUSY
    assert after(*queued, ("turn-over", second)).turn is Turn.OVER
    assert after(*queued, "seen-idle").turn is Turn.OVER
    assert after(*queued, ("turn-over", second), ("prompt-accepted", {"prompt_id": "3"}), "seen-idle").turn is (
        Turn.INTERRUPTED
    )


def test_a_prompt_that_is_told_after_the_end_of_its_turn_begins_none() -> None:
    name = {"prompt_id": "1"}
    assert after(("prompt-accepted", name), ("turn-over", name), ("prompt-accepted", name)).turn is Turn.OVER


def test_a_session_that_starts_again_keeps_its_transcript() -> None:
    assert after(("started", {"transcript_path": T}), "started").transcript == T


def test_events_may_come_in_several_portions() -> None:
    events = [Event("t", name) for name in ("started", "prompt-accepted", "turn-over")]
    assert fold(fold(Progress(), events[:1], claude), events[1:], claude) == fold(Progress(), events, claude)


@pytest.mark.parametrize(
    "data", [{"background_tasks": 5}, {"background_tasks": None}, {"background_tasks": "two"}, {"background_tasks": {}}]
)
def test_background_tasks_of_a_strange_kind_count_as_none(data: dict[str, Any]) -> None:
    assert after(("turn-over", data)).background == 0
