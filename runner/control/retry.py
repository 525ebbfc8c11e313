"""Trying a job again: back into the queue; and the jobs that never started because it was not done."""

from __future__ import annotations

import contextlib

from runner.errors import BadInput
from runner.home import dependencies
from runner.home.attempt_folder import folders_of, next_folder
from runner.home.spool import Place, Spool
from runner.jobs.entry import Entry
from runner.jobs.state import TRANSITIONS, Move, State


def retry(spool: Spool, entry: Entry) -> None:
    """BadInput unless the job has failed or was cancelled, NotFound for one that has been put away."""
    spool.steady(entry, lambda place: _retry(spool, place))


def _retry(spool: Spool, place: Place) -> None:
    if Move.RETRY not in TRANSITIONS[place.state]:
        raise BadInput(f"job {place.entry.id} is {place.state}; only a failed or cancelled job can be tried again")
    attempt = next_folder(spool.home, place.entry.id)
    spool.home.request(place.entry.id).unlink(missing_ok=True)  # it came too late, and was not meant for this try
    try:
        spool.move(place, Move.RETRY)
    except FileNotFoundError:  # put away, perhaps, with all its attempts but this one
        with contextlib.suppress(OSError):
            attempt.path.rmdir()
            attempt.path.parent.rmdir()
        raise


def failed_children(spool: Spool, entry: Entry) -> list[str]:
    """The ids of the jobs that never started because this one was not done, and of those behind them."""
    ids = [entry.id]
    children = dependencies.children(spool.home)
    for job_id in ids:  # grows while it is gone through
        ids += [child for child in children.get(job_id, ()) if child not in ids and _skipped(spool, child)]
    return ids[1:]


def _skipped(spool: Spool, job_id: str) -> bool:
    """Whether the job has ended because a parent was not done."""
    attempts = folders_of(spool.home, job_id)
    record = attempts[-1].outcome() if attempts else None
    if record is None or not record.parent:
        return False
    return spool.find(job_id).state in (State.FAILED, State.CANCELLED)
