"""A batch as a dict: what `--json` prints and messages are filled from. Reads files; changes none."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from runner.errors import NotFound
from runner.home import batches, config
from runner.home.batches import Batch
from runner.home.spool import Place, Spool
from runner.jobs.state import State
from runner.views import job as view


def summary(batch: Batch, places: Mapping[str, Place]) -> dict[str, Any]:
    """The batch without its jobs, given Spool.places() of them."""
    keys = ("id", "name", "source", "count", "created_at")
    return {**{key: getattr(batch, key) for key in keys}, "counts": batches.counts(batch, places)}


def describe(spool: Spool, batch: Batch) -> dict[str, Any]:
    """The batch with the ids of its jobs, and its failed jobs as {"id", "name", "error"}."""
    places, failed, settings = spool.places(batch.ids), [], config.reader(spool.home.config)
    for place in places.values():
        if place.state is State.FAILED:
            with contextlib.suppress(NotFound, FileNotFoundError):  # it has just been put back, or away
                failed.append(view.describe(spool, place, settings=settings))
    reasons = [{key: job[key] for key in ("id", "name", "error")} for job in failed]
    return {**summary(batch, places), "ids": list(batch.ids), "failed": reasons}
