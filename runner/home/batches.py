"""The record of a batch, batches/ID.json: many jobs that were added together, and what follows when all have ended.

Reads and finds batches and counts their jobs. How a batch is added: intake/batch.py.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.errors import BadInput, NotFound
from runner.home.layout import Home
from runner.home.spool import Place, Spool
from runner.jobs import entry as entries
from runner.jobs import ident, on_end
from runner.jobs.entry import Entry
from runner.jobs.on_end import NOTHING, OnEnd
from runner.jobs.state import State
from runner.system import files

STALE = 86400.0
"""Seconds after which a batch without a record belongs to a process that was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    id: str
    name: str
    source: str
    count: int
    ids: tuple[str, ...]
    created_at: str
    digest: str
    """Of the contents of all jobs: by it a second try to add the same batch is recognised."""
    on_end: OnEnd = NOTHING
    """For the end of the last of its jobs."""

    def as_dict(self) -> dict[str, Any]:
        """The record."""
        keys = ("id", "name", "source", "count", "ids", "created_at", "digest")
        return {**{key: getattr(self, key) for key in keys}, "wish": self.on_end.as_dict()}


def record(home: Home, batch_id: str) -> Path:
    return home.batches / f"{batch_id}.json"


def adding(home: Home) -> Path:
    """A folder for each batch of which not all jobs have entered the queue."""
    return home.batches / "adding"


def _awaited(home: Home) -> Path:
    """An empty file for each batch of whose end people are to be notified; whoever removes it notifies them."""
    return home.batches / "awaited"


def write(home: Home, batch: Batch) -> None:
    """Write the record: from now on the batch has been added."""
    files.write_json(record(home, batch.id), batch.as_dict(), tmp=home.tmp)


def load(home: Home, batch_id: str) -> Batch:
    """NotFound, BadInput for a damaged record."""
    path = record(home, batch_id)
    data = files.read_json(path)
    if data is None:
        raise NotFound(f"no batch {batch_id!r} in {home.path}; see: muxq batch ls")
    try:
        return Batch(
            id=batch_id,
            name=str(data["name"]),
            source=str(data["source"]),
            count=int(data["count"]),
            ids=tuple(filter(ident.is_id, data["ids"])),
            created_at=str(data["created_at"]),
            digest=str(data["digest"]),
            on_end=on_end.read(data.get("wish", {})),
        )
    except (KeyError, TypeError, ValueError):
        raise BadInput(f"{path} is damaged; move it away") from None


def known(home: Home) -> list[Batch]:
    """Every batch, the youngest first; damaged records are left out."""
    batches = []
    for path in sorted(home.batches.glob("1*.json"), reverse=True):
        with contextlib.suppress(BadInput, NotFound):
            batches.append(load(home, path.stem))
    return batches


def find(home: Home, reference: str) -> Batch:
    """The batch of an id, else the youngest of a name, else that of a unique prefix of an id. NotFound, BadInput."""
    if ident.is_id(reference):
        return load(home, reference)
    batches = known(home)
    for batch in batches:
        if batch.name == reference:
            return batch
    matches = [batch for batch in batches if ident.is_prefix(reference) and batch.id.startswith(reference)]
    if len(matches) > 1:
        raise BadInput(f"{reference!r} stands for {len(matches)} batches; see: muxq batch ls")
    if not matches:
        raise NotFound(f"no batch {reference!r} in {home.path}; see: muxq batch ls")
    return matches[0]


def members(batch: Batch, places: Mapping[str, Place]) -> tuple[Entry, ...]:
    """The entries of its jobs, given Spool.places() of them; one whose file was taken away has only its id."""
    return tuple(places[job].entry if job in places else entries.new(job, 0) for job in batch.ids)


def counts(batch: Batch, places: Mapping[str, Place]) -> dict[str, int]:
    """How many of its jobs are in each state, given Spool.places() of them; `gone`: their files were taken away."""
    states = Counter(places[job].state.value if job in places else "gone" for job in batch.ids)
    return {word: states[word] for word in (*State, "gone")}


# -- its end


def await_end(home: Home, batch: Batch) -> None:
    """Have people notified of its end, if that was asked for; once more where its jobs are tried again."""
    if batch.on_end:
        files.make_folder(_awaited(home))
        files.write_whole(_awaited(home) / batch.id, b"", tmp=home.tmp)


def take_end(home: Home, batch_id: str) -> bool:
    """Whether this process is the one that notifies people of the batch's end, if there was anything to await."""
    try:
        (_awaited(home) / batch_id).unlink()
    except FileNotFoundError:
        return False
    return True


def ended(spool: Spool) -> list[tuple[Batch, dict[str, int]]]:
    """The awaited batches whose last job has ended, with their counts(): each is returned to one process, once.

    Costs one listing where no batch is awaited, and never a look into a job's file.
    """
    awaited = _load_awaited(spool.home)
    if not awaited:
        return []
    over = []
    live = {name[: ident.LENGTH] for state in (State.QUEUED, State.RUNNING) for name in spool.names(state)}
    for batch in awaited:
        if live.isdisjoint(batch.ids):
            count = counts(batch, spool.places(batch.ids))
            if not count["queued"] + count["running"] and take_end(spool.home, batch.id):
                over.append((batch, count))
    return over


def _load_awaited(home: Home) -> list[Batch]:
    """The awaited batches all of whose jobs have entered the queue."""
    batches = []
    with contextlib.suppress(FileNotFoundError), os.scandir(_awaited(home)) as listing:
        for item in listing:
            try:
                batch = load(home, item.name)
            except NotFound:  # it is just being added, or the process that added it was killed
                if time.time() - item.stat().st_mtime > STALE:
                    take_end(home, item.name)
            except BadInput:
                take_end(home, item.name)
            else:
                batches += [] if (adding(home) / batch.id).exists() else [batch]
    return batches
