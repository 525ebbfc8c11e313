"""Putting finished jobs away."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.control import retry
from runner.control.cleanup import sweep
from runner.errors import NotFound
from runner.home.attempt_folder import AttemptFolder
from runner.home.layout import Home
from runner.home.spool import Place, Spool
from runner.jobs.entry import Entry
from runner.jobs.state import Move, State
from runner.queue import Queue
from tests.site import Site

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


def test_of_those_that_have_ended_the_youngest_can_be_kept(spool: Spool, ended: list[Entry]) -> None:
    assert sweep(spool, 0, keep=2, dry_run=False, purge=False) == [ended[0].id]
    assert live(spool.home) == ["waiting", "running", "failed", "cancelled"]
    assert sweep(spool, 0, keep=9, dry_run=False, purge=True) == []


def test_a_job_that_is_tried_again_at_the_same_moment_stays(spool: Spool, ended: list[Entry]) -> None:
    real = spool.path

    def tried_again(place: Place) -> Path:
        path = real(place)
        if place.state is State.FAILED and path.exists():
            Spool(spool.home).move(place, Move.RETRY)
        return path

    spool.path = tried_again  # type: ignore[method-assign]
    assert len(sweep(spool, 0, dry_run=False, purge=True)) == 2
    assert sorted(live(spool.home)) == ["failed", "running", "waiting"]


def test_a_job_whose_worker_still_ends_its_session_stays(spool: Spool, ended: list[Entry]) -> None:
    lock = spool.lock(ended[0].id)
    assert lock is not None
    assert ended[0].id not in sweep(spool, 0, dry_run=False, purge=True)
    lock.release()
    assert (sweep(spool, 0, dry_run=False, purge=True), list(spool.home.locks.iterdir())) == ([ended[0].id], [])


def test_a_job_that_was_put_away_while_it_was_to_be_tried_again_leaves_nothing(
    spool: Spool, ended: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, failed = Queue(spool.home.path), ended[1]
    real = retry.next_folder

    def put_away(home: Home, job_id: str) -> AttemptFolder:
        sweep(spool, 0, dry_run=False, purge=True)
        return real(home, job_id)

    monkeypatch.setattr(retry, "next_folder", put_away)
    with pytest.raises(NotFound, match="taken away"):
        queue.retry(failed.id)
    assert failed.id not in [path.name for path in spool.home.runs.iterdir()]


MEDDLE = """
import random, sys
from runner import Queue
from runner.control.cleanup import sweep
from runner.errors import MuxqError
queue, seed = Queue(sys.argv[1]), int(sys.argv[2])
chance = random.Random(seed)
for number in range(25):
    queue.add("exit 1" if number % 3 == 0 else "true", agent="shell", name=f"{seed} {number}")
    for job in queue.list():
        try:
            match chance.randrange(6):
                case 0: queue.cancel(job["id"])
                case 1: queue.retry(job["id"])
        except MuxqError:
            pass  # too late, or too early
    sweep(queue.spool, 0, keep=chance.choice([0, 3]), dry_run=chance.random() < 0.2, purge=chance.random() < 0.3)
"""


@pytest.mark.lifecycle
def test_cleaning_beside_workers_adding_cancelling_and_trying_again_loses_no_job(site: Site) -> None:
    workers = [site.work("--jobs", "2", "--quiet") for _ in range(2)]
    argv = [sys.executable, "-c", MEDDLE, str(site.home.path)]
    meddlers = [
        subprocess.Popen([*argv, str(seed)], env=site.env, stderr=subprocess.PIPE, text=True) for seed in range(3)
    ]
    said = [meddler.communicate(timeout=90)[1] for meddler in meddlers]
    assert ([meddler.returncode for meddler in meddlers], said) == ([0] * 3, [""] * 3)
    for worker in workers:
        assert worker.poll() is None
        worker.terminate()
        assert worker.wait(timeout=20) == 0
    assert site.drain("--jobs", "4", "--quiet") in (0, 1)
    added = [told["job"] for told in site.events("job.added")]
    purged = [told["job"] for told in site.events("job.archived") if told["purged"]]
    archived = [path.name[:14] for path in site.home.path.glob("archive/*/*/*.json")]
    left = [job["id"] for job in site.queue.list()]
    assert (len(added), sorted(left + archived + purged)) == (75, sorted(added))
    kept = {path.name[:14] for path in site.home.path.glob("archive/*/runs/*")}
    assert ({path.name for path in site.home.runs.iterdir()} - set(left), kept - set(archived)) == (set(), set())
    assert (list(site.home.path.glob("crash-*")), list(site.home.tmp.iterdir())) == ([], [])


def test_what_a_live_job_is_after_stays_and_a_record_goes_with_its_job(spool: Spool, add: Callable[..., Entry]) -> None:
    parent = add(name="a")
    child = add(name="b", after=["a"])
    spool.move(spool.move(Place(State.QUEUED, parent), Move.CLAIM), Move.FAIL)
    assert sweep(spool, -1, dry_run=False, purge=False) == []
    spool.move(spool.move(Place(State.QUEUED, child), Move.CLAIM), Move.FAIL)
    assert sweep(spool, -1, dry_run=False, purge=False) == [parent.id, child.id]
    assert list((spool.home.path / "after").iterdir()) == []
    assert [path.stem for path in (spool.home.path / "archive").glob("*/after/*.json")] == [child.id]
