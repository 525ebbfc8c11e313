"""Adding many jobs as one batch. Its record: home/batches.py; what its rows are: rows.py.

Jobs are written aside first, then the record, then each is renamed into the queue: a batch is added as a whole or not
at all, and any process may finish the renames of one that was killed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from runner.errors import BadInput, MuxqError, NotFound
from runner.home import batches, dependencies
from runner.home.batches import STALE, Batch
from runner.home.spool import Spool
from runner.intake import add as intake
from runner.jobs import entry as entries
from runner.jobs import ident
from runner.jobs.entry import Entry
from runner.jobs.job import Job
from runner.jobs.on_end import NOTHING, OnEnd
from runner.system import clock, files


def add(spool: Spool, jobs: Sequence[Job], *, name: str, source: str, on_end: OnEnd = NOTHING) -> Batch:
    """Add checked jobs as one batch; each gets its id as `batch`.

    KeyboardInterrupt, NotFound (of a word in `after`): nothing was added. OSError: nothing, or it is recorded, and
    complete() adds the rest. If a process was killed while it added the same, that batch is completed and returned.
    """
    digest = _digest(jobs)
    if earlier := next((batch for batch in complete(spool) if batch.digest == digest), None):
        return earlier
    home, batch_id = spool.home, ident.new_id()
    new = [entries.new(ident.new_id(), job.priority or 0, job.name) for job in jobs]
    batch = Batch(
        id=batch_id,
        name=name,
        source=source,
        count=len(new),
        ids=tuple(entry.id for entry in new),
        created_at=clock.stamp(),
        digest=digest,
        on_end=on_end,
    )
    aside = batches.adding(home) / batch.id
    try:
        _write_aside(spool, aside, batch, list(zip(new, jobs, strict=True)))
        batches.await_end(home, batch)
        batches.write(home, batch)
        _enter(spool, aside)
    except (OSError, MuxqError, KeyboardInterrupt):
        if not batches.record(home, batch.id).exists():
            _undo(spool, aside, batch)
            raise
        _enter(spool, aside)
    return batch


def _undo(spool: Spool, aside: Path, batch: Batch) -> None:
    shutil.rmtree(aside, ignore_errors=True)
    for job_id in batch.ids:
        spool.home.parents(job_id).unlink(missing_ok=True)
    batches.take_end(spool.home, batch.id)


def _write_aside(spool: Spool, aside: Path, batch: Batch, jobs: Sequence[tuple[Entry, Job]]) -> None:
    """Write the files of the jobs where they do not count as jobs yet, and the records of what they are after."""
    files.make_folder(aside)
    resolved = intake.resolve(spool, {reference.job for _, job in jobs for reference in job.after or ()})
    for entry, job in jobs:
        if parents := intake.find_parents(spool, job, resolved):
            dependencies.write(spool.home, entry.id, parents)
        _write(aside / entry.file, job.as_dict() | {"batch": batch.id})
    files.sync_folder(aside)


def _digest(jobs: Sequence[Job]) -> str:
    """Of everything but times: that of `+30m` differs at each try."""
    digest = hashlib.sha256()
    for job in jobs:
        keys = {key: value for key, value in job.as_dict().items() if key != "not_before"}
        digest.update(json.dumps(keys, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def _write(path: Path, record: Mapping[str, object]) -> None:
    """Write a file that nobody reads before it is renamed; the folder is synced once, for all."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(json.dumps(record, ensure_ascii=False, indent=2).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _enter(spool: Spool, aside: Path) -> None:
    """Rename what is left into the queue. Several processes may do so side by side: each file has one winner."""
    left = os.listdir(aside) if aside.is_dir() else []
    for file in sorted(filter(entries.is_job, left)):
        with contextlib.suppress(FileNotFoundError):
            (aside / file).rename(spool.home.queue / file)
            spool.emit("job.added", job=entries.of(file).id)
    files.sync_folder(spool.home.queue)
    with contextlib.suppress(OSError):
        aside.rmdir()


def complete(spool: Spool) -> list[Batch]:
    """Finish the batches of killed processes, and delete those that were never recorded. Returns the finished ones."""
    completed = []
    with contextlib.suppress(FileNotFoundError), os.scandir(batches.adding(spool.home)) as listing:
        for item in listing:
            with contextlib.suppress(FileNotFoundError):
                if batches.record(spool.home, item.name).exists():
                    _enter(spool, Path(item.path))
                    with contextlib.suppress(BadInput, NotFound):
                        completed.append(batches.load(spool.home, item.name))
                elif time.time() - item.stat().st_mtime > STALE:
                    shutil.rmtree(item.path, ignore_errors=True)
    return completed
