"""Archives finished jobs in archive/DATE/ of the home, or deletes them."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from runner.agents.kept import stands
from runner.attempts import worktree
from runner.home import dependencies
from runner.home.attempt_folder import folders_of
from runner.home.spool import Place, Spool
from runner.jobs.state import State
from runner.system import files


def sweep(spool: Spool, age: float, *, keep: int = 0, dry_run: bool, purge: bool) -> list[str]:
    """Archive, or with `purge` delete, every job that ended over `age` seconds ago, except the `keep` youngest.

    Returns their ids, the oldest first. A job stays while its worker still ends its session, or while a waiting or
    running job is after it.
    """
    needed = _needed(spool)
    finished = [Place(state, entry) for state in State if state.final for entry in spool.entries(state)]
    gone = []
    for place in sorted(finished, key=lambda place: place.entry.id, reverse=True)[keep:]:
        try:
            if time.time() - spool.path(place).stat().st_ctime < age or place.entry.id in needed:
                continue
            if not dry_run and not _put_away(spool, place, purge=purge):
                continue
        except FileNotFoundError:
            continue  # somebody else took it
        gone.append(place.entry.id)
    return sorted(gone)


def clear_merged(spool: Spool, *, dry_run: bool = False) -> list[str]:
    """Remove the worktrees and branches of done jobs whose branch has been merged.

    Returns the jobs' ids, the oldest first. A worktree stays while its job's session is kept open.
    """
    gone = []
    for job_id in sorted(entry.id for entry in spool.entries(State.DONE)):
        if not worktree.merged(spool.home, job_id) or (lock := spool.lock(job_id)) is None:
            continue
        try:
            if any(stands(run) for run in folders_of(spool.home, job_id)):
                continue
            if not dry_run:
                worktree.remove(spool.home, job_id)
        finally:
            lock.release()
        gone.append(job_id)
    return gone


def _needed(spool: Spool) -> set[str]:
    """The ids of the jobs that live ones are after."""
    live = [entry.id for state in (State.QUEUED, State.RUNNING) for entry in spool.entries(state)]
    recorded = {path.stem for path in (spool.home.path / "after").glob("*.json")}
    return {
        parent.entry.id for job in recorded.intersection(live) for parent in dependencies.load(spool.home, job) or ()
    }


def _put_away(spool: Spool, place: Place, *, purge: bool) -> bool:
    """Archive the job unless another process holds its lock; returns whether it did."""
    lock = spool.lock(place.entry.id)
    if lock is None:
        return False
    try:
        _move(spool, place, purge=purge)
    finally:
        lock.release()
    return True


def _move(spool: Spool, place: Place, *, purge: bool) -> None:
    """The job's file first: its rename decides the race against a retry."""
    from runner.control.session import put_away

    put_away(spool, place)
    home = spool.home
    folder = home.path / "archive" / time.strftime("%Y-%m-%d")
    for part in (place.state.folder, "runs", "after"):
        files.make_folder(folder / part)
    file, run = _free(folder / place.state.folder / place.entry.file), _free(folder / "runs" / place.entry.id)
    files.move(spool.path(place), file)
    worktree.remove(home, place.entry.id)
    if (home.runs / place.entry.id).exists():
        (home.runs / place.entry.id).rename(run)
    record, kept = home.parents(place.entry.id), _free(folder / "after" / f"{place.entry.id}.json")
    if record.exists():
        record.rename(kept)
    spool.emit("job.archived", job=place.entry.id, purged=purge)
    if purge:
        file.unlink()
        kept.unlink(missing_ok=True)
        shutil.rmtree(run, ignore_errors=True)


def _free(path: Path) -> Path:
    """`path`, or with a number where an earlier sweep left a file of that name."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free
