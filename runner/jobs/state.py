"""The states of a job and the moves between them, in one table. Pure.

A state is the folder that the job's file lies in; a move is one rename (Spool.move). How an attempt ended: outcome.py.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def folder(self) -> str:
        """The folder of the home that holds the jobs in this state."""
        return "queue" if self is State.QUEUED else self.value

    @property
    def final(self) -> bool:
        """Only a person moves a job out of this state."""
        return self not in (State.QUEUED, State.RUNNING)


FINAL = tuple(state for state in State if state.final)


class Move(StrEnum):
    CLAIM = "claim"
    FINISH = "finish"
    FAIL = "fail"
    CANCEL = "cancel"
    REQUEUE = "requeue"
    RETRY = "retry"


TRANSITIONS: dict[State, dict[Move, State]] = {
    State.QUEUED: {Move.CLAIM: State.RUNNING, Move.CANCEL: State.CANCELLED},
    State.RUNNING: {
        Move.FINISH: State.DONE,
        Move.FAIL: State.FAILED,
        Move.CANCEL: State.CANCELLED,
        Move.REQUEUE: State.QUEUED,
    },
    State.DONE: {},
    State.FAILED: {Move.RETRY: State.QUEUED},
    State.CANCELLED: {Move.RETRY: State.QUEUED},
}


def after(state: State, move: Move) -> State:
    """The state that `move` leads to. ValueError when the table does not have it."""
    try:
        return TRANSITIONS[state][move]
    except KeyError:
        raise ValueError(f"a {state} job cannot {move}") from None


def diagram() -> str:
    """The table as a Mermaid state diagram; docs/architecture.md shows exactly this text."""
    arrows = [
        f"    {state} --> {target}: {move}" for state, moves in TRANSITIONS.items() for move, target in moves.items()
    ]
    ends = [f"    {state} --> [*]" for state in State if state.final]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {State.QUEUED}: add or drop", *arrows, *ends])
