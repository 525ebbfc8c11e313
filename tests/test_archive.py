"""Putting finished jobs away."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.archive import sweep
from runner.entry import Entry
from runner.home import Home
from runner.spool import Place, Spool
from runner.state import Move, State

Add = Callable[..., Entry]


@pytest.fixture
def ended(spool: Spool, add: Add) -> list[Entry]:
    """A done, a failed and a cancelled job, the first with a run; beside them a waiting and a running one."""
    entries = [add(name=name) for name in ("done", "failed", "cancelled", "running", "waiting")]
    for entry, moves in zip(entries, ([Move.FINISH], [Move.FAIL], [Move.CANCEL], []), strict=False):
        place = spool.move(Place(State.QUEUED, entry), Move.CLAIM)
        for move in moves:
            spool.move(place, move)
    run = spool.home.runs / entries[0].id / "1"
    run.mkdir(parents=True)
    (run / "output.md").write_text("result")
    return entries[:3]


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def live(home: Home) -> list[str]:
    return [entry.name or "" for state in State for entry in Spool(home).entries(state)]


def test_finished_jobs_go_into_the_archive_with_their_runs(spool: Spool, ended: list[Entry]) -> None:
    gone = sweep(spool, 0, dry_run=False, purge=False)
    done, failed, cancelled = ended
    day = spool.home.path / "archive" / time.strftime("%Y-%m-%d")
    assert (gone, tree(day)) == (
        [done.id, failed.id, cancelled.id],
        [f"cancelled/{cancelled.file}", f"done/{done.file}", f"failed/{failed.file}", f"runs/{done.id}/1/output.md"],
    )


def test_waiting_and_running_jobs_stay(spool: Spool, ended: list[Entry]) -> None:
    sweep(spool, 0, dry_run=False, purge=True)
    assert live(spool.home) == ["waiting", "running"]


def test_a_dry_run_changes_nothing(spool: Spool, ended: list[Entry]) -> None:
    before = tree(spool.home.path)
    assert sweep(spool, 0, dry_run=True, purge=True) == [entry.id for entry in ended]
    assert tree(spool.home.path) == before


def test_purged_jobs_are_gone_for_good(spool: Spool, ended: list[Entry]) -> None:
    sweep(spool, 0, dry_run=False, purge=True)
    left = [path for path in tree(spool.home.path) if any(entry.id in path for entry in ended)]
    assert left == []


def test_what_ended_lately_stays(spool: Spool, ended: list[Entry]) -> None:
    assert sweep(spool, 3600, dry_run=False, purge=True) == []
    assert live(spool.home) == ["waiting", "running", "done", "failed", "cancelled"]


def test_a_purge_leaves_an_earlier_archive_of_the_same_job_alone(spool: Spool, ended: list[Entry]) -> None:
    earlier = spool.home.path / "archive" / time.strftime("%Y-%m-%d") / "runs" / ended[0].id
    earlier.mkdir(parents=True)
    (earlier / "kept").touch()
    sweep(spool, 0, dry_run=False, purge=True)
    assert [(earlier / "kept").exists(), (spool.home.runs / ended[0].id).exists()] == [True, False]
    assert [path.name for path in earlier.parent.iterdir()] == [ended[0].id]


def test_an_archive_is_private(spool: Spool, ended: list[Entry]) -> None:
    sweep(spool, 0, dry_run=False, purge=False)
    assert (spool.home.path / "archive").stat().st_mode & 0o777 == 0o700
