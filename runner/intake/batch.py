"""A batch: many jobs that were added together, batches/ID.json. Not what its rows are: see rows.

Jobs are written aside first, then the record, then each is renamed into the queue: a batch is there as a whole or not
at all, and what a killed process has left to rename, anyone may.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runner.errors import BadInput, MuxqError, NotFound
from runner.home import dependencies
from runner.home.layout import Home
from runner.home.spool import Place, Spool
from runner.jobs import entry as entries
from runner.jobs import ident
from runner.jobs.entry import Entry
from runner.jobs.job import Job
from runner.jobs.on_end import NOTHING, OnEnd
from runner.jobs.on_end import read as read_wish
from runner.jobs.state import State
from runner.system import clock
from runner.system import files as store
from runner.views import job as view

STALE = 86400.0
"""Seconds after which a batch that was never recorded belongs to a process that was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    id: str
    name: str
    source: str
    count: int
    ids: tuple[str, ...]
    created_at: str
    digest: str
    """Of all that its jobs say: a second try of the same batch is known by it."""
    wish: OnEnd = NOTHING
    """For when the last of its jobs has ended."""


def add(spool: Spool, jobs: Sequence[Job], *, name: str, source: str, wish: OnEnd = NOTHING) -> Batch:
    """Add checked jobs as one batch; each gets its id as `batch`.

    KeyboardInterrupt, NotFound (of a word in `after`): nothing was added. OSError: nothing, or it is recorded and comes
    in with the next who looks. If a process was killed while it added the same, that batch is completed and returned.
    """
    digest = _digest(jobs)
    if earlier := next((batch for batch in complete(spool) if batch.digest == digest), None):
        return earlier
    home, batch_id = spool.home, ident.new_id()
    files = [entries.new(ident.new_id(), job.priority or 0, job.name) for job in jobs]
    ids = tuple(entry.id for entry in files)
    made = Batch(
        id=batch_id,
        name=name,
        source=source,
        count=len(ids),
        ids=ids,
        created_at=clock.stamp(),
        digest=digest,
        wish=wish,
    )
    record, aside = home.batches / f"{batch_id}.json", _adding(home) / batch_id
    try:
        _write_aside(spool, aside, made, list(zip(files, jobs, strict=True)))
        await_end(home, made)
        store.write_json(record, asdict(made) | {"wish": wish.as_dict()}, tmp=home.tmp)
        _bring_in(spool, aside)
    except (OSError, MuxqError, KeyboardInterrupt):
        if not record.exists():
            shutil.rmtree(aside, ignore_errors=True)
            for job_id in ids:
                home.parents(job_id).unlink(missing_ok=True)
            _take(home, batch_id)
            raise
        _bring_in(spool, aside)
    return made


def _write_aside(spool: Spool, aside: Path, made: Batch, pairs: Sequence[tuple[Entry, Job]]) -> None:
    """Write the files of the jobs where nobody takes them for jobs yet, and what they are after."""
    store.make_folder(aside)
    meant = spool.meant({said.job for _, job in pairs for said in job.after or ()})
    for entry, job in pairs:
        if parents := spool.parents(job, meant):
            dependencies.write(spool.home, entry.id, parents)
        _write(aside / entry.file, job.as_dict() | {"batch": made.id})
    store.sync_folder(aside)


def _digest(jobs: Sequence[Job]) -> str:
    """The time of `+30m` is another at each try, so times do not count."""
    found = hashlib.sha256()
    for job in jobs:
        said = {key: value for key, value in job.as_dict().items() if key != "not_before"}
        found.update(json.dumps(said, sort_keys=True).encode() + b"\n")
    return found.hexdigest()


def _write(path: Path, said: Mapping[str, object]) -> None:
    """A file that nobody reads before it is renamed; the folder is synced once, for all."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(json.dumps(said, ensure_ascii=False, indent=2).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _adding(home: Home) -> Path:
    return home.batches / "adding"


def _bring_in(spool: Spool, aside: Path) -> None:
    """Rename what is left into the queue; several may do so side by side, and each file has one winner."""
    there = os.listdir(aside) if aside.is_dir() else []
    for file in sorted(filter(entries.is_job, there)):
        with contextlib.suppress(FileNotFoundError):
            (aside / file).rename(spool.home.queue / file)
            spool.emit("job.added", job=entries.of(file).id)
    store.sync_folder(spool.home.queue)
    with contextlib.suppress(OSError):
        aside.rmdir()


def complete(spool: Spool) -> list[Batch]:
    """Bring in what a killed process has left, and take away what it never came to record. Returns what came in."""
    found = []
    with contextlib.suppress(FileNotFoundError), os.scandir(_adding(spool.home)) as listing:
        for item in listing:
            with contextlib.suppress(FileNotFoundError):
                if (spool.home.batches / f"{item.name}.json").exists():
                    _bring_in(spool, Path(item.path))
                    with contextlib.suppress(BadInput, NotFound):
                        found.append(load(spool.home, item.name))
                elif time.time() - item.stat().st_mtime > STALE:
                    shutil.rmtree(item.path, ignore_errors=True)
    return found


def load(home: Home, batch_id: str) -> Batch:
    """NotFound, BadInput for a damaged record."""
    path = home.batches / f"{batch_id}.json"
    said = store.read_json(path)
    if said is None:
        raise NotFound(f"no batch {batch_id!r} in {home.path}; see: muxq batch ls")
    try:
        return Batch(
            id=batch_id,
            name=str(said["name"]),
            source=str(said["source"]),
            count=int(said["count"]),
            ids=tuple(filter(ident.is_id, said["ids"])),
            created_at=str(said["created_at"]),
            digest=str(said["digest"]),
            wish=read_wish(said.get("wish", {})),
        )
    except (KeyError, TypeError, ValueError):
        raise BadInput(f"{path} is damaged; move it away") from None


def known(home: Home) -> list[Batch]:
    """Every batch, the youngest first; damaged records are passed over."""
    found = []
    for path in sorted(home.batches.glob("1*.json"), reverse=True):
        with contextlib.suppress(BadInput, NotFound):
            found.append(load(home, path.stem))
    return found


def find(home: Home, reference: str) -> Batch:
    """The batch of an id, else the youngest of a name, else that of a unique prefix of an id. NotFound, BadInput."""
    if ident.is_id(reference):
        return load(home, reference)
    batches = known(home)
    for batch in batches:
        if batch.name == reference:
            return batch
    found = [batch for batch in batches if ident.is_prefix(reference) and batch.id.startswith(reference)]
    if len(found) > 1:
        raise BadInput(f"{reference!r} stands for {len(found)} batches; see: muxq batch ls")
    if not found:
        raise NotFound(f"no batch {reference!r} in {home.path}; see: muxq batch ls")
    return found[0]


def places(spool: Spool, ids: Iterable[str]) -> dict[str, Place]:
    """Where jobs are, by id: one listing of each folder, whatever their number. Those put away are left out."""
    wanted, found = set(ids), dict[str, Place]()
    for state in (*State, State.QUEUED):
        for file in spool.names(state):
            if file[: ident.LENGTH] in wanted and (entry := entries.parse(file)):
                found[entry.id] = Place(state, entry)
    return found


def counts(batch: Batch, there: Mapping[str, Place]) -> dict[str, int]:
    """How many of its jobs are in each state; `gone` have been put away."""
    found = Counter(there[job].state.value if job in there else "gone" for job in batch.ids)
    return {word: found[word] for word in (*State, "gone")}


def summary(batch: Batch, there: Mapping[str, Place]) -> dict[str, Any]:
    """The batch as JSON, without its jobs."""
    keys = ("id", "name", "source", "count", "created_at")
    return {**{key: getattr(batch, key) for key in keys}, "counts": counts(batch, there)}


def describe(spool: Spool, batch: Batch) -> dict[str, Any]:
    """The batch as JSON, with its ids and its failed jobs."""
    there, failed = places(spool, batch.ids), []
    for place in there.values():
        if place.state is State.FAILED:
            with contextlib.suppress(NotFound, FileNotFoundError):  # it has just been put back, or away
                failed.append(view.describe(spool, place))
    told = [{key: job[key] for key in ("id", "name", "error")} for job in failed]
    return {**summary(batch, there), "ids": list(batch.ids), "failed": told}


def members(batch: Batch, there: Mapping[str, Place]) -> tuple[Entry, ...]:
    """Its jobs as parents; one that has been put away has only its id."""
    return tuple(there[job].entry if job in there else entries.new(job, 0) for job in batch.ids)


# -- the wish for its end


def _awaited(home: Home) -> Path:
    """One empty file for each batch whose end somebody wishes to know: who takes it away is the one to tell."""
    return home.batches / "awaited"


def await_end(home: Home, batch: Batch) -> None:
    """Its end is to be told, if there is a wish; once more, where it was told before and jobs were tried again."""
    if batch.wish:
        store.make_folder(_awaited(home))
        store.write_whole(_awaited(home) / batch.id, b"", tmp=home.tmp)


def ended(spool: Spool) -> list[tuple[Batch, dict[str, int]]]:
    """The batches of a wish whose last job has ended, with their counts(): each is found by one process, once.

    Costs one listing where there is no wish, and no look into a job's file where there is one.
    """
    waiting = _waiting(spool.home)
    if not waiting:
        return []
    found = []
    live = {name[: ident.LENGTH] for state in (State.QUEUED, State.RUNNING) for name in spool.names(state)}
    for batch in waiting:
        if live.isdisjoint(batch.ids):
            there = places(spool, batch.ids)
            there |= places(spool, set(batch.ids) - set(there))  # one that moved while we looked is in none
            count = counts(batch, there)
            if not count["queued"] + count["running"] and _take(spool.home, batch.id):
                found.append((batch, count))
    return found


def _waiting(home: Home) -> list[Batch]:
    """The batches whose end is to be told, and all of whose jobs have entered the queue."""
    found = []
    with contextlib.suppress(FileNotFoundError), os.scandir(_awaited(home)) as listing:
        for item in listing:
            try:
                batch = load(home, item.name)
            except NotFound:  # it is just being added, or who added it was killed
                if time.time() - item.stat().st_mtime > STALE:
                    _take(home, item.name)
            except BadInput:
                _take(home, item.name)
            else:
                found += [] if (_adding(home) / batch.id).exists() else [batch]
    return found


def _take(home: Home, batch_id: str) -> bool:
    """Whether it is ours to tell."""
    try:
        (_awaited(home) / batch_id).unlink()
    except FileNotFoundError:
        return False
    return True
