"""What becomes of a job once its attempt has ended: the tables of settling.py, line by line."""

from __future__ import annotations

import errno

import pytest

from runner.errors import Unready
from runner.jobs.outcome import ERRORS, RETRYABLE, Cancelled, Done, Failed, Outcome, Requeued, Retry
from runner.jobs.state import TRANSITIONS, Move, State
from runner.system import clock
from runner.worker.settling import STEPS, STEPS_ANEW, STEPS_UNRECORDED, History, Recourse, Step, follow_up, recourse

NOW = 1_800_000_000.0


def retry(error: str, pause: float) -> Retry:
    return Retry(error, "why", clock.stamp(NOW + pause))


@pytest.mark.parametrize(
    ("ended", "history", "becomes"),
    [
        (Done(), History(retries=9), Done()),
        (Cancelled(), History(retries=9), Cancelled()),
        (Failed("no-output", "why"), History(), Failed("no-output", "why")),
        (Failed("no-output", "why"), History(retries=1, backoff=40), retry("no-output", 20)),
        (Failed("no-output", "why"), History(retries=3, tries=2, backoff=40), retry("no-output", 80)),
        (Failed("no-output", "why"), History(retries=2, tries=2), Failed("no-output", "why")),
        (Failed("timeout", "why"), History(retries=9), Failed("timeout", "why")),
        (Failed("stalled", "why"), History(retries=20, tries=15, backoff=40), retry("stalled", 1800)),
        (Failed("stalled", "why"), History(retries=20, tries=15, backoff=9000), retry("stalled", 4500)),
        (Failed("agent-exited", "why"), History(never_resumed=True), Requeued("not-resumed", "why")),
        (Failed("agent-exited", "why"), History(retries=1, backoff=40), retry("agent-exited", 20)),
        (Failed("no-output", "why"), History(never_resumed=True), Failed("no-output", "why")),
        (Requeued("lost", "why"), History(returns=2), Requeued("lost", "why")),
        (Requeued("lost", "why"), History(returns=3), Failed("lost", "why (for the 4th time)")),
        (Requeued("throttle", "why"), History(returns=19), Requeued("throttle", "why")),
        (Requeued("throttle", "why"), History(returns=20), Failed("agent-error", "why (for the 21th time)")),
        (Requeued("stopped", "why"), History(returns=999, retries=9), Requeued("stopped", "why")),
    ],
)
def test_what_becomes_of_the_job(ended: Outcome, history: History, becomes: Outcome) -> None:
    assert follow_up(ended, history, now=NOW, chance=0.5) == becomes


@pytest.mark.parametrize("error", ERRORS)
def test_another_attempt_follows_the_errors_that_may_pass_and_no_others(error: str) -> None:
    becomes = follow_up(Failed(error, "why"), History(retries=1), now=NOW, chance=0.5)
    assert isinstance(becomes, Retry) == (error in RETRYABLE)


# --- the steps


@pytest.mark.parametrize("move", TRANSITIONS[State.RUNNING])
def test_every_move_out_of_running_is_recorded_first_and_released_last(move: Move) -> None:
    steps = STEPS[move]
    assert (steps[0], steps[-1]) == (Step.RECORD, Step.RELEASE)
    assert steps.count(Step.MOVE) == 1
    assert len({Step.LEAVE, Step.CLOSE}.intersection(steps)) == 1


def test_a_job_goes_back_into_the_queue_only_once_its_session_has_ended_and_the_home_is_on_hold() -> None:
    steps = STEPS[Move.REQUEUE]
    assert steps.index(Step.CLOSE) < steps.index(Step.HOLD) < steps.index(Step.MOVE) < steps.index(Step.CANCEL)


@pytest.mark.parametrize("move", [Move.FINISH, Move.FAIL, Move.CANCEL])
def test_a_job_that_ends_is_moved_before_its_session_is_closed(move: Move) -> None:
    steps = STEPS[move]
    assert steps.index(Step.MOVE) < max(steps.index(step) for step in steps if step in (Step.LEAVE, Step.CLOSE))


def test_only_a_job_that_is_done_leaves_its_session_open() -> None:
    assert [move for move, steps in STEPS.items() if Step.LEAVE in steps] == [Move.FINISH]


def test_an_internal_failure_is_recorded_in_a_new_folder_or_not_at_all() -> None:
    assert (Step.ANEW, *STEPS[Move.FAIL]) == STEPS_ANEW
    assert tuple(step for step in STEPS[Move.FAIL] if step is not Step.RECORD) == STEPS_UNRECORDED


# --- where a step fails


@pytest.mark.parametrize(
    ("problem", "final", "failures", "way"),
    [
        (OSError(errno.ENOSPC, "full"), False, 0, Recourse.WAIT),
        (OSError(errno.EROFS, "read-only"), False, 99, Recourse.WAIT),
        (Unready("no tmux"), False, 99, Recourse.WAIT),
        (OSError(errno.EISDIR, "damaged"), True, 0, Recourse.WAIT),
        (OSError(errno.EISDIR, "damaged"), False, 0, Recourse.ANEW),
        (OSError(errno.EISDIR, "damaged"), False, 2, Recourse.ANEW),
        (OSError(errno.EISDIR, "damaged"), False, 3, Recourse.UNRECORDED),
        (KeyError("ours"), True, 0, Recourse.ANEW),
        (KeyError("ours"), False, 99, Recourse.UNRECORDED),
    ],
)
def test_what_is_done_about_a_step_that_failed(problem: Exception, final: bool, failures: int, way: Recourse) -> None:
    assert recourse(problem, final=final, failures=failures) is way
