"""The table of moves: every pair of a state and a move, and the picture drawn from it."""

from __future__ import annotations

import pytest

from runner.jobs.state import TRANSITIONS, Move, State, after, diagram

Q, R, D, F, C = State.QUEUED, State.RUNNING, State.DONE, State.FAILED, State.CANCELLED

TABLE = {
    Move.CLAIM: {Q: R, R: None, D: None, F: None, C: None},
    Move.FINISH: {Q: None, R: D, D: None, F: None, C: None},
    Move.FAIL: {Q: None, R: F, D: None, F: None, C: None},
    Move.CANCEL: {Q: C, R: C, D: None, F: None, C: None},
    Move.REQUEUE: {Q: None, R: Q, D: None, F: None, C: None},
    Move.RETRY: {Q: None, R: None, D: None, F: Q, C: Q},
}
PAIRS = [pytest.param(state, move, id=f"{state}-{move}") for move in Move for state in State]


@pytest.mark.parametrize(("state", "move"), PAIRS)
def test_a_move_leads_where_the_table_says(state: State, move: Move) -> None:
    target = TABLE[move][state]
    if target is None:
        with pytest.raises(ValueError, match=f"a {state} job cannot {move}"):
            after(state, move)
    else:
        assert after(state, move) is target


def test_every_state_has_its_row() -> None:
    assert set(TRANSITIONS) == set(State)


def test_every_state_has_a_folder_of_its_own() -> None:
    assert [state.folder for state in State] == ["queue", "running", "done", "failed", "cancelled"]


def test_only_done_failed_and_cancelled_are_final() -> None:
    assert [state for state in State if state.final] == [D, F, C]


def test_the_diagram_shows_every_move_and_nothing_else() -> None:
    assert diagram() == (
        "stateDiagram-v2\n"
        "    [*] --> queued: add or drop\n"
        "    queued --> running: claim\n"
        "    queued --> cancelled: cancel\n"
        "    running --> done: finish\n"
        "    running --> failed: fail\n"
        "    running --> cancelled: cancel\n"
        "    running --> queued: requeue\n"
        "    failed --> queued: retry\n"
        "    cancelled --> queued: retry\n"
        "    done --> [*]\n"
        "    failed --> [*]\n"
        "    cancelled --> [*]"
    )
