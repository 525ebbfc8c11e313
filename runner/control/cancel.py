"""Cancelling a job: a waiting one at once, a running one by its worker, or here where it has none."""

from __future__ import annotations

from runner.errors import BadInput
from runner.home.spool import Place, Spool
from runner.jobs.entry import Entry
from runner.jobs.state import Move, State
from runner.system import files


def cancel(spool: Spool, entry: Entry) -> None:
    """BadInput for a job that has ended, NotFound for one that has been put away."""
    spool.steady(entry, lambda place: cancel_at(spool, place))


def cancel_at(spool: Spool, place: Place) -> None:
    """The same for a job that was seen at `place`. FileNotFoundError when it has moved meanwhile."""
    if place.state.final:
        raise BadInput(f"job {place.entry.id} is {place.state} already")
    if place.state is State.QUEUED:
        spool.move(place, Move.CANCEL)
    else:
        _end(spool, place)


def _end(spool: Spool, place: Place) -> None:
    """Leave a request for the worker of a running job; end the job here if it has none."""
    request = spool.home.request(place.entry.id)
    files.write_json(request, {}, tmp=spool.home.tmp)
    if (lock := spool.lock(place.entry.id)) is None:
        return
    if not spool.path(place).exists():
        request.unlink(missing_ok=True)
        lock.release()
        if spool.locate(place.entry).state.final:
            return  # as it was asked to, or before it could be
        raise FileNotFoundError(f"job {place.entry.id} has just moved on")
    import asyncio

    from runner.worker.execution import Claim, end_now

    asyncio.run(end_now(spool, Claim(place.entry, lock)))
