"""The verbs for a batch: find it, cancel its jobs, try its failed jobs again."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from runner.control.cancel import cancel
from runner.control.retry import retry
from runner.errors import BadInput
from runner.home import batches
from runner.home.batches import Batch
from runner.home.spool import Spool
from runner.intake import batch
from runner.jobs.entry import Entry
from runner.jobs.state import State


@dataclass(slots=True)
class Changed:
    ids: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """Why other jobs could not be changed, one sentence each."""


def find(spool: Spool, reference: str) -> Batch:
    """The batch of an id, of a unique prefix of one, or of a name. NotFound, BadInput."""
    batch.complete(spool)
    return batches.find(spool.home, reference)


def cancel_jobs(spool: Spool, item: Batch) -> Changed:
    """Cancel the jobs of the batch that have not ended."""
    return _each(spool, item, (State.QUEUED, State.RUNNING), cancel)


def retry_failed(spool: Spool, item: Batch) -> Changed:
    """Put the failed jobs of the batch back into the queue."""
    changed = _each(spool, item, (State.FAILED,), retry)
    if changed.ids:
        batches.await_end(spool.home, item)
    return changed


def _each(spool: Spool, item: Batch, states: Collection[State], act: Callable[[Spool, Entry], None]) -> Changed:
    """`act` on the jobs that are in one of the states; a job that has just moved on is left alone."""
    changed = Changed()
    for place in spool.places(item.ids).values():
        if place.state not in states:
            continue
        try:
            act(spool, place.entry)
        except BadInput as problem:
            now = spool.places([place.entry.id]).get(place.entry.id)
            if now and now.state in states:
                changed.problems.append(str(problem))
        else:
            changed.ids.append(place.entry.id)
    return changed
