"""The spool: listings, where a job is, moves, locks and claims."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.errors import BadInput, NotFound
from runner.home.layout import Home
from runner.home.spool import Place, Spool
from runner.jobs.entry import Entry
from runner.jobs.state import Move, State
from tests.racing import at_once, processes

Add = Callable[..., Entry]
JOB = b'{"prompt": "hello", "agent": "echo"}'


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def waiting(spool: Spool) -> list[str | None]:
    return [entry.name for entry in spool.entries(State.QUEUED)]


# --- looking


def test_waiting_jobs_come_by_priority_and_then_by_age(spool: Spool, add: Add) -> None:
    for name, priority in [("a", 0), ("b", 5), ("c", -1), ("d", 5), ("e", None), ("f", 1_000_000)]:
        add(name=name, priority=priority)
    assert waiting(spool) == ["f", "b", "d", "a", "e", "c"]


def test_running_jobs_come_by_age_and_ended_ones_the_youngest_first(spool: Spool, add: Add) -> None:
    for entry in [add(name="a", priority=1), add(name="b", priority=9)]:
        spool.claim(entry)
    assert [entry.name for entry in spool.entries(State.RUNNING)] == ["a", "b"]
    for entry in spool.entries(State.RUNNING):
        spool.move(Place(State.RUNNING, entry), Move.FAIL)
    assert [entry.name for entry in spool.entries(State.FAILED)] == ["b", "a"]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("stray", [".hidden", "a drop.json", "zzz", "0"])
@pytest.mark.parametrize("limit", [0, 1, 3, 6, 7])
def test_the_first_jobs_are_those_that_a_whole_listing_begins_with(
    spool: Spool, add: Add, state: State, stray: str, limit: int
) -> None:
    for priority in (0, 5, -1, 0, 5, 0):
        entry = add(priority=priority)
        (spool.home.queue / entry.file).rename(spool.home.folders[state] / entry.file)
    for number in range(30):
        (spool.home.folders[state] / f"{stray} {number}").touch()
    everything = spool.entries(state)
    assert (len(everything), spool.entries(state, limit)) == (6, everything[:limit])
    assert spool.entries(state, limit, spool.names(state)) == everything[:limit]


@pytest.mark.parametrize("state", State)
def test_a_job_is_found_in_every_state(spool: Spool, add: Add, state: State) -> None:
    entry = add(name="report")
    (spool.home.queue / entry.file).rename(spool.home.folders[state] / entry.file)
    assert [spool.find(word) for word in (entry.id, entry.id[:-1], "report")] == [Place(state, entry)] * 3


def test_a_prefix_of_several_jobs_is_refused_with_their_ids(spool: Spool, add: Add) -> None:
    entries = [add(), add()]
    with pytest.raises(BadInput) as caught:
        spool.find("1")
    assert str(caught.value) == f"'1' stands for 2 jobs ({entries[0].id}, {entries[1].id})"


def test_a_name_of_several_jobs_is_refused(spool: Spool, add: Add) -> None:
    for _ in range(7):
        add(name="report")
    with pytest.raises(BadInput, match=r"'report' stands for 7 jobs \(.*, …\)"):
        spool.find("report")


@pytest.mark.parametrize("word", ["nothing", "", "repor", "9", "1zzzzzzzzzzzzz", "*"])
def test_a_word_that_names_no_job_is_not_found(spool: Spool, add: Add, word: str) -> None:
    add(name="report")
    with pytest.raises(NotFound, match=r"no job .*; see: muxq ls --all"):
        spool.find(word)


def test_a_whole_id_is_that_job_whatever_another_is_called(spool: Spool, add: Add) -> None:
    entry = add()
    add(name=entry.id)
    assert spool.find(entry.id) == Place(State.QUEUED, entry)


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems take no such names")
def test_a_job_whose_name_is_not_utf_8_is_found_by_the_name_that_is_shown(spool: Spool, add: Add) -> None:
    file = add().file.removesuffix(".json") + ".caf\udce9.json"
    (spool.home.queue / file).write_bytes(JOB)
    assert spool.find("caf\ufffd").entry.file == file


class Racing(Spool):
    """A spool in which something happens behind each listing."""

    then: Iterator[Callable[[], object]]

    def names(self, state: State) -> list[str]:
        listing = super().names(state)
        next(self.then, lambda: None)()
        return listing


@pytest.mark.parametrize("word", ["report", "1"])
def test_a_job_that_goes_back_into_the_queue_while_it_is_looked_for_is_found(spool: Spool, add: Add, word: str) -> None:
    entry = add(name="report")
    spool.claim(entry)
    racing = Racing(spool.home)
    racing.then = iter([lambda: spool.move(Place(State.RUNNING, entry), Move.REQUEUE)])
    assert racing.find(word) == Place(State.QUEUED, entry)


@pytest.mark.parametrize("state", [*State, None])
def test_the_state_of_a_known_job_is_the_folder_that_its_file_lies_in(
    spool: Spool, add: Add, state: State | None
) -> None:
    entry = add(name="report")
    file = spool.home.queue / entry.file
    if state:
        file.rename(spool.home.folders[state] / entry.file)
    else:
        file.unlink()
    assert spool.state(entry) is state


def test_a_job_that_goes_back_while_many_are_looked_for_is_found_where_it_is_last_seen(spool: Spool, add: Add) -> None:
    back, stays, gone = add(), add(), add()
    spool.claim(back)
    (spool.home.queue / gone.file).unlink()
    racing = Racing(spool.home)
    racing.then = iter([lambda: spool.move(Place(State.RUNNING, back), Move.REQUEUE)])
    assert racing.places([back.id, stays.id, gone.id]) == {
        back.id: Place(State.QUEUED, back),
        stays.id: Place(State.QUEUED, stays),
    }


def test_a_job_that_was_taken_away_is_nowhere(spool: Spool, add: Add) -> None:
    entry = add()
    (spool.home.queue / entry.file).unlink()
    with pytest.raises(NotFound, match=f"job {entry.id} has been taken away"):
        spool.locate(entry)


# --- moving


def test_a_move_is_one_rename_and_one_event(spool: Spool, add: Add) -> None:
    events: list[tuple[str, dict[str, Any]]] = []
    entry = add()
    inode = (spool.home.queue / entry.file).stat().st_ino
    place = Spool(spool.home, lambda name, data: events.append((name, data))).move(
        Place(State.QUEUED, entry), Move.CANCEL, why="no more"
    )
    assert place == Place(State.CANCELLED, entry)
    assert spool.path(place).stat().st_ino == inode
    assert events == [("job.cancelled", {"job": entry.id, "why": "no more"})]


def test_a_move_that_is_not_in_the_table_changes_nothing(spool: Spool, add: Add) -> None:
    entry = add()
    with pytest.raises(ValueError, match="a queued job cannot finish"):
        spool.move(Place(State.QUEUED, entry), Move.FINISH)
    assert spool.locate(entry).state is State.QUEUED


def test_a_claimed_job_is_running_and_locked(spool: Spool, add: Add) -> None:
    entry = add()
    lock = spool.claim(entry)
    assert lock is not None
    assert (spool.locate(entry).state, spool.lock(entry.id)) == (State.RUNNING, None)


def test_a_claim_of_a_job_that_is_gone_leaves_no_lock(spool: Spool, add: Add) -> None:
    entry = add()
    spool.move(Place(State.QUEUED, entry), Move.CANCEL)
    assert (spool.claim(entry), names(spool.home.locks)) == (None, [])


def test_a_lock_that_was_let_go_of_can_be_had_again(spool: Spool) -> None:
    lock = spool.lock("a")
    assert lock is not None
    lock.release()
    assert (names(spool.home.locks), spool.lock("a") is None) == ([], False)


def test_locks_of_the_dead_do_not_count_and_are_taken_away(spool: Spool) -> None:
    (spool.home.locks / "worker-1.lock").touch()
    held = spool.lock("worker-2")
    assert (spool.held("worker-*"), names(spool.home.locks), held is None) == (1, ["worker-2.lock"], False)


# A lock is let go of by unlinking its file while it is held: nobody may end up with a lock on a file without a name,
# or have the file of a new lock taken away by the old one's release.


def test_a_lock_on_a_file_that_was_unlinked_meanwhile_counts_for_nothing(spool: Spool) -> None:
    old, path = spool.lock("a"), spool.home.locks / "a.lock"
    assert old is not None
    second = subprocess.Popen(
        [sys.executable, "-c", LATE, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert second.stdout is not None
    assert second.stdout.readline() == "opened\n"
    old.release()
    assert second.communicate("now")[0] == "nothing\n"
    assert spool.lock("a") is not None


LATE = """
import os, sys
from filelock import FileLock, Timeout
real = os.open
def late(path, *words, **more):  # what happens between open and flock
    fd = real(path, *words, **more)
    if str(path).endswith("a.lock") and not done:
        done.append(1)
        print("opened", flush=True)
        sys.stdin.read()
    return fd
done, os.open = [], late
try:
    FileLock(sys.argv[1], blocking=False).acquire()
    print("held", os.stat(sys.argv[1]).st_nlink)
except (Timeout, FileNotFoundError):
    print("nothing")
"""


def test_a_release_does_not_take_away_the_lock_file_that_somebody_else_has_made_since(spool: Spool) -> None:
    old = spool.lock("a")
    assert old is not None
    old.path.unlink()
    new = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(spool.home.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert new.stdout is not None
    assert new.stdout.readline() == b"True\n"
    old.file_lock.release()
    third = spool.lock("a")
    new.communicate()
    assert third is None


HOLD = """
import sys
from pathlib import Path
from runner.home.layout import Home
from runner.home.spool import Spool
lock = Spool(Home(Path(sys.argv[1]))).lock("a")
print(lock is not None, flush=True)
sys.stdin.read()
"""

TAKE_TURNS = """
import os, sys
from pathlib import Path
from runner.home.layout import Home
from runner.home.spool import Spool
spool, token, won = Spool(Home(Path(sys.argv[1]))), os.path.join(sys.argv[1], "token"), 0
while won < 300:
    if lock := spool.lock("a"):
        os.close(os.open(token, os.O_CREAT | os.O_EXCL))  # fails where another is inside
        os.unlink(token)
        lock.release()
        won += 1
print(won)
"""


def test_processes_that_take_turns_with_one_lock_never_both_hold_it(home: Home) -> None:
    assert processes(3, TAKE_TURNS, home) == ["300"] * 3
    assert names(home.locks) == []


# --- races


CLAIM = """
import sys
from pathlib import Path
from runner.home.layout import Home
from runner.home.spool import Spool
from runner.jobs.state import State
spool = Spool(Home(Path(sys.argv[1])))
locks = []
for entry in spool.entries(State.QUEUED):
    if lock := spool.claim(entry):
        locks.append(lock)
        print(entry.file)
"""


def test_of_many_processes_that_claim_exactly_one_wins_each_job(home: Home, add: Add) -> None:
    files = [add(name=str(number)).file for number in range(100)]
    claimed = processes(3, CLAIM, home)
    assert sorted(claimed) == sorted(files) == names(home.folders[State.RUNNING])


def test_of_many_threads_that_claim_exactly_one_wins(home: Home, add: Add) -> None:
    entries = [add() for _ in range(30)]
    for entry in entries:
        won: list[object] = []
        at_once(8, lambda _, entry=entry, won=won: won.append(Spool(home).claim(entry)))  # type: ignore[misc]
        assert len([lock for lock in won if lock]) == 1


def test_of_a_claim_and_a_cancel_exactly_one_wins(home: Home, add: Add) -> None:
    outcomes = set()
    for _ in range(60):
        entry = add()
        won: list[str] = []

        def act(number: int, entry: Entry = entry, won: list[str] = won) -> None:
            if number:
                if Spool(home).claim(entry):
                    won.append("running")
                return
            try:
                Spool(home).move(Place(State.QUEUED, entry), Move.CANCEL)
                won.append("cancelled")
            except FileNotFoundError:
                pass

        at_once(2, act)
        assert won == [Spool(home).locate(entry).state.value]
        outcomes.add(won[0])
    assert outcomes <= {"running", "cancelled"}


def test_of_many_workers_that_find_a_free_lock_exactly_one_takes_the_job_over(home: Home) -> None:
    for number in range(50):
        held: list[object] = []
        at_once(6, lambda _, number=number, held=held: held.append(Spool(home).lock(f"job-{number}")))  # type: ignore[misc]
        assert len([lock for lock in held if lock]) == 1


# --- the files of jobs


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_job_whose_file_others_may_write_to_is_not_read(spool: Spool, add: Add, state: State, mode: int) -> None:
    entry = add()
    place = Place(state, entry)
    (spool.home.queue / entry.file).rename(spool.path(place))
    spool.path(place).chmod(mode)
    with pytest.raises(BadInput, match="others may write to it; mend it with: chmod go-w"):
        spool.read(place)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("state", State)
def test_a_job_whose_file_belongs_to_another_user_is_not_read_even_by_root(
    spool: Spool, add: Add, state: State
) -> None:
    entry = add()
    place = Place(state, entry)
    (spool.home.queue / entry.file).rename(spool.path(place))
    os.chown(spool.path(place), 12345, -1)
    with pytest.raises(BadInput, match=r"it belongs to another user \(uid 12345\)"):
        spool.read(place)


@pytest.mark.parametrize("state", [state for state in State if state is not State.QUEUED])
def test_a_file_with_the_id_of_another_job_is_never_claimed(spool: Spool, add: Add, state: State) -> None:
    entry = add()
    (spool.home.queue / entry.file).rename(spool.home.folders[state] / entry.file)
    (spool.home.queue / entry.file).write_bytes(b'{"prompt": "forged", "agent": "echo"}')
    before = (spool.home.folders[state] / entry.file).read_bytes()
    assert (spool.claim(entry), (spool.home.folders[state] / entry.file).read_bytes()) == (None, before)
