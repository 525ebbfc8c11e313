"""Which jobs a listing shows, and in which order."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from runner.home.spool import Place, Spool
from runner.intake.admitted import Drops
from runner.intake.drops import admit
from runner.jobs.entry import is_job
from runner.jobs.state import State


@dataclass(frozen=True, slots=True)
class Listing:
    places: list[Place]
    drops: Drops
    """What happened to the dropped files."""


def listing(spool: Spool, states: Collection[State | str], limit: int | None) -> Listing:
    """The first `limit` jobs in `states`: running ones, then waiting ones in claim order, then ended ones, the youngest
    first. Drops are taken in before. No folder of many is listed twice, or without need.

    The running ones are looked at before and after the queue: a job that starts or goes back is not missed.
    """
    running = {entry.id: entry for entry in spool.entries(State.RUNNING, limit)}
    names = spool.names(State.QUEUED)
    dropped = [name for name in names if not is_job(name)]
    drops = admit(spool, among=dropped)
    if dropped:  # they are jobs now, whoever has taken them in
        names = spool.names(State.QUEUED)
    running |= {entry.id: entry for entry in spool.entries(State.RUNNING, limit)}
    places: list[Place] = []
    if State.RUNNING in states:
        places += [Place(State.RUNNING, running[job_id]) for job_id in sorted(running)]
    if State.QUEUED in states:
        waiting = spool.entries(State.QUEUED, limit, names)
        places += [Place(State.QUEUED, entry) for entry in waiting if entry.id not in running]
    if limit is None or len(places) < limit:
        final = [state for state in State if state.final and state in states]
        ended = [Place(state, entry) for state in final for entry in spool.entries(state, limit)]
        places += sorted(ended, key=lambda place: place.entry.id, reverse=True)
    return Listing(list({place.entry.id: place for place in places}.values())[:limit], drops)
