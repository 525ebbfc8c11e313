"""How an attempt ended: what is written down is what is read back."""

from __future__ import annotations

import pytest

from runner.jobs import outcome
from runner.jobs.outcome import Cancelled, Done, Failed, Outcome, Requeued, Retry

ONE_OF_EACH: list[Outcome] = [
    Done(),
    Failed("timeout", "too long"),
    Retry("agent-exited", "status 3", "2026-11-21T03:00:00.000Z"),
    Cancelled(),
    Requeued("lost", "gone"),
    Requeued("launch", "no tmux", "2026-11-21T03:00:00.000Z"),
]


@pytest.mark.parametrize("ended", ONE_OF_EACH, ids=str)
def test_a_record_is_read_back_as_the_same_outcome(ended: Outcome) -> None:
    assert outcome.load(outcome.record(ended)) == ended


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"outcome": "splendid"},
        {"outcome": None},
        {"outcome": ["done"]},
        {"outcome": "failed", "error": "timeout"},
        {"outcome": "failed", "error": "timeout", "message": 5},
        {"outcome": "requeued", "reason": [], "message": "x"},
        {"outcome": "retry", "error": "lost", "message": "x"},
        {"outcome": "retry", "error": "lost", "message": "x", "not_before": "soon"},
    ],
)
def test_a_record_that_is_not_an_outcome_is_refused(record: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not an outcome"):
        outcome.load(record)


def test_what_is_worth_another_attempt_is_an_error_there_is() -> None:
    assert set(outcome.RETRYABLE) <= set(outcome.ERRORS)
    assert set(outcome.HOLDING) <= set(outcome.REASONS)
