"""The Python interface: `from runner import Queue`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import runner
from runner import Queue
from runner.control.cancel import cancel_at
from runner.errors import BadInput, MuxqError, NotFound
from runner.home.attempt_folder import next_folder
from runner.home.records import AttemptRecord, Contract, OutcomeRecord, Remains
from runner.home.spool import Place, Spool
from runner.intake.admitted import Drops
from runner.intake.drops import admit
from runner.jobs.outcome import Done
from runner.jobs.state import Move, State

Wait = Callable[..., None]


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path / "home")


def finish(queue: Queue, reference: str, text: str = "result", output: Path | None = None) -> None:
    """Be the worker: claim the job, write its result, and finish it."""
    place = queue.spool.move(queue.find(reference), Move.CLAIM)
    run = next_folder(queue.home, place.entry.id)
    path = output or run.path / "output.md"
    path.write_text(text)
    run.begin(queue.home, AttemptRecord(started_at="2026-11-21T03:00:00.000Z", output=Contract(str(path))))
    run.end(queue.home, OutcomeRecord(Done(), "2026-11-21T03:00:01.000Z", Remains()))
    queue.spool.move(place, Move.FINISH)


def test_the_package_has_nothing_else_to_offer() -> None:
    with pytest.raises(AttributeError, match="module 'runner' has no attribute 'Nothing'"):
        runner.Nothing  # noqa: B018


def test_a_home_is_made_where_it_is_wanted(tmp_path: Path) -> None:
    assert Queue(tmp_path / "new" / "home").home.queue.is_dir()


def test_an_added_job_is_returned_as_a_dict(queue: Queue) -> None:
    job = queue.add("hello", agent="echo", name="report", priority=3, tags=["a"])
    assert {key: job[key] for key in ("name", "state", "agent", "priority", "tags")} == {
        "name": "report",
        "state": "queued",
        "agent": "echo",
        "priority": 3,
        "tags": ["a"],
    }
    assert queue.get(job["id"]) == job


def test_keys_that_are_none_are_not_said(queue: Queue) -> None:
    assert queue.add("hello", agent="echo", model=None)["state"] == "queued"


@pytest.mark.parametrize(
    ("prompt", "keys", "words"),
    [
        (None, {}, "needs a `prompt` or a `template`"),
        ("x", {"agnet": "echo"}, "unknown key `agnet`: did you mean `agent`?"),
        ("x", {"agent": "nobody"}, "no agent 'nobody'"),
        ("x", {"timeout": "soon"}, "`timeout`"),
        ("x", {"template": "generic"}, "both `prompt` and `template`"),
        ("x", {"after": ["y"]}, "there is no job 'y'"),
        ("x", {"notify": ["y"]}, "`notify[0]`"),
    ],
)
def test_a_job_that_cannot_run_is_refused_and_not_kept(
    queue: Queue, prompt: str | None, keys: dict[str, object], words: str
) -> None:
    with pytest.raises(MuxqError) as caught:
        queue.add(prompt, **keys)
    assert words in str(caught.value)
    assert queue.list() == []


def test_a_job_is_got_by_id_prefix_and_name(queue: Queue) -> None:
    job = queue.add("hello", agent="echo", name="report")
    assert [queue.get(word) for word in (job["id"], job["id"][:-2], "report")] == [job] * 3


def test_a_dropped_job_is_found_before_any_worker_has_seen_it(queue: Queue) -> None:
    (queue.home.queue / "report.json").write_text('{"prompt": "x", "agent": "echo"}')
    assert queue.get("report")["state"] == "queued"


def test_a_drop_that_another_process_takes_in_meanwhile_is_listed(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    (queue.home.queue / "quick.json").write_text('{"prompt": "x", "agent": "echo"}')

    def late(spool: Spool, among: list[str]) -> Drops:
        admit(Spool(queue.home))  # the worker was faster
        return admit(spool, among=among)

    monkeypatch.setattr("runner.queue.admit", late)
    assert [job["name"] for job in queue.list()] == ["quick"]


def test_a_dropped_job_is_listed_in_its_turn(queue: Queue) -> None:
    queue.add("x", agent="echo", name="usual")
    queue.add("x", agent="echo", name="urgent", priority=9)
    (queue.home.queue / "sooner.json").write_text('{"prompt": "x", "agent": "echo", "priority": 5}')
    assert [job["name"] for job in queue.list(limit=2)] == ["urgent", "sooner"]


def test_the_list_has_running_then_waiting_then_finished_jobs(queue: Queue) -> None:
    for name, priority in [("old done", 0), ("young done", 0), ("running", 0), ("later", 0), ("sooner", 5)]:
        queue.add("x", agent="echo", name=name, priority=priority)
    finish(queue, "old done")
    finish(queue, "young done")
    queue.spool.move(queue.find("running"), Move.CLAIM)
    assert [job["name"] for job in queue.list()] == ["running", "sooner", "later", "young done", "old done"]


@pytest.mark.parametrize(
    ("states", "limit", "names"),
    [
        (["queued"], None, ["b", "c"]),
        ([State.DONE], None, ["a"]),
        (["queued", "done"], None, ["b", "c", "a"]),
        (["queued"], 1, ["b"]),
        (["queued", "done"], 2, ["b", "c"]),
        (["queued", "done"], 3, ["b", "c", "a"]),
        (["failed"], None, []),
        ([], None, []),
    ],
)
def test_the_list_can_be_narrowed(queue: Queue, states: list[str], limit: int | None, names: list[str]) -> None:
    for name in "abc":
        queue.add("x", agent="echo", name=name)
    finish(queue, "a")
    assert [job["name"] for job in queue.list(states, limit)] == names


def test_jobs_are_counted_by_state(queue: Queue) -> None:
    for name in "abc":
        queue.add("x", agent="echo", name=name)
    finish(queue, "a")
    queue.cancel("b")
    assert queue.counts() == {
        State.QUEUED: 1,
        State.RUNNING: 0,
        State.DONE: 1,
        State.FAILED: 0,
        State.CANCELLED: 1,
    }


def test_a_result_is_read(queue: Queue) -> None:
    job = queue.add("x", agent="echo")
    finish(queue, job["id"], "é\n")
    assert queue.output(job["id"]) == "é\n"


def test_a_result_that_was_moved_away_is_read_from_its_copy(queue: Queue, tmp_path: Path) -> None:
    job = queue.add("x", agent="echo")
    finish(queue, job["id"], output=tmp_path / "mine.md")
    (queue.home.runs / job["id"] / "1" / "output.md").write_text("copy")
    before = queue.output(job["id"])
    (tmp_path / "mine.md").unlink()
    assert (before, queue.output(job["id"])) == ("result", "copy")


def test_a_result_that_is_gone_is_named(queue: Queue, tmp_path: Path) -> None:
    job = queue.add("x", agent="echo")
    finish(queue, job["id"], output=tmp_path / "mine.md")
    (tmp_path / "mine.md").unlink()
    with pytest.raises(NotFound, match=f"the result of job {job['id']} has been taken away: {tmp_path / 'mine.md'}"):
        queue.output(job["id"])


def test_a_waiting_job_has_no_result(queue: Queue) -> None:
    job = queue.add("x", agent="echo")
    with pytest.raises(BadInput, match=f"job {job['id']} has no result: it is queued"):
        queue.output(job["id"])


def test_a_job_without_a_screen_says_how_to_look(queue: Queue) -> None:
    job = queue.add("x", agent="echo")
    with pytest.raises(NotFound, match="has no screen kept yet; to watch a running one: muxq attach"):
        queue.screen(job["id"])


def test_a_waiting_job_is_cancelled_at_once(queue: Queue) -> None:
    job = queue.add("x", agent="echo")
    assert queue.cancel(job["id"])["state"] == "cancelled"


def test_a_finished_job_cannot_be_cancelled(queue: Queue) -> None:
    job = queue.add("x", agent="echo")
    finish(queue, job["id"])
    with pytest.raises(BadInput, match=f"job {job['id']} is done already"):
        queue.cancel(job["id"])


def test_the_worker_of_a_running_job_is_asked_to_cancel_it(queue: Queue) -> None:
    job = queue.add("x", agent="echo")
    lock = queue.spool.claim(queue.find(job["id"]).entry)
    assert (queue.cancel(job["id"])["state"], lock is None) == ("running", False)
    assert (queue.home.requests / f"{job['id']}.cancel").is_file()


def test_a_cancelled_job_can_be_tried_again(queue: Queue) -> None:
    job = queue.add("x", agent="echo")
    queue.cancel(job["id"])
    assert queue.retry(job["id"])["state"] == "queued"


def test_a_request_that_came_too_late_does_not_cancel_the_job_when_it_is_tried_again(queue: Queue) -> None:
    job = queue.add("x", agent="echo")
    queue.cancel(job["id"])
    request = queue.home.requests / f"{job['id']}.cancel"
    request.touch()
    queue.retry(job["id"])
    assert not request.exists()


def test_a_job_whose_worker_lets_go_of_it_while_it_is_cancelled_is_looked_for_again(queue: Queue) -> None:
    job = queue.add("x", agent="echo")
    with pytest.raises(FileNotFoundError):
        cancel_at(queue.spool, Place(State.RUNNING, queue.find(job["id"]).entry))
    assert (list(queue.home.requests.iterdir()), list(queue.home.locks.iterdir())) == ([], [])


def test_a_job_that_ends_while_it_is_cancelled_is_no_error(queue: Queue) -> None:
    job = queue.add("x", agent="echo")
    entry = queue.find(job["id"]).entry
    finish(queue, job["id"])
    cancel_at(queue.spool, Place(State.RUNNING, entry))
    assert (queue.get(job["id"])["state"], list(queue.home.requests.iterdir())) == ("done", [])


def test_a_done_job_cannot_be_tried_again(queue: Queue) -> None:
    job = queue.add("x", agent="echo")
    finish(queue, job["id"])
    with pytest.raises(BadInput, match="is done; only a failed or cancelled job can be tried again"):
        queue.retry(job["id"])


def test_waiting_for_a_finished_job_takes_no_time(queue: Queue) -> None:
    job = queue.add("x", agent="echo")
    finish(queue, job["id"])
    assert queue.wait(job["id"], timeout=0)["state"] == "done"


def test_waiting_ends_when_the_job_does(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.control.wait.SLOW_LOOK", 3600.0)
    job = queue.add("x", agent="echo")
    timer = threading.Timer(0.1, finish, (queue, job["id"]))
    timer.start()
    ended = queue.wait(job["id"], timeout=20)
    timer.join()
    assert ended["state"] == "done"


def test_waiting_has_an_end(queue: Queue) -> None:
    job = queue.add("x", agent="echo")
    with pytest.raises(TimeoutError, match=f"job {job['id']} is still queued"):
        queue.wait(job["id"], timeout=0.05)


@pytest.mark.parametrize("word", ["get", "wait", "output", "cancel", "retry", "screen"])
def test_an_unknown_job_is_not_found(queue: Queue, word: str) -> None:
    with pytest.raises(NotFound, match="no job 'nothing' in"):
        getattr(queue, word)("nothing")


def test_there_are_no_workers_at_first(queue: Queue) -> None:
    assert queue.workers() == 0


def test_a_job_that_a_worker_claims_at_once_is_still_returned(queue: Queue) -> None:
    stop = threading.Event()

    def claim() -> None:
        while not stop.is_set():
            for entry in queue.spool.entries(State.QUEUED):
                queue.spool.move(Place(State.QUEUED, entry), Move.CLAIM)

    worker = threading.Thread(target=claim)
    worker.start()
    try:
        added = [queue.add("x", agent="echo")["state"] for _ in range(150)]
    finally:
        stop.set()
        worker.join()
    assert set(added) <= {"queued", "running"}


def test_a_job_that_is_claimed_as_soon_as_it_is_tried_again_is_still_returned(queue: Queue) -> None:
    jobs = [queue.add("x", agent="echo")["id"] for _ in range(100)]
    for job in jobs:
        queue.cancel(job)
    stop = threading.Event()

    def claim() -> None:
        while not stop.is_set():
            for entry in queue.spool.entries(State.QUEUED):
                queue.spool.move(Place(State.QUEUED, entry), Move.CLAIM)

    worker = threading.Thread(target=claim)
    worker.start()
    try:
        again = [queue.retry(job)["state"] for job in jobs]
    finally:
        stop.set()
        worker.join()
    assert set(again) <= {"queued", "running"}


@pytest.mark.parametrize("moves", [[Move.CLAIM], [Move.REQUEUE], [Move.FINISH], [Move.CLAIM, Move.FINISH]])
@pytest.mark.parametrize("look", ["list", "get"])
def test_a_job_that_moves_while_we_look_is_not_overlooked(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, moves: list[Move], look: str
) -> None:
    job = queue.add("x", agent="echo", name="mover")
    place = queue.find(job["id"])
    if moves[0] is not Move.CLAIM:
        place = queue.spool.move(place, Move.CLAIM)
    left, real = list(moves), queue.spool.names

    def names(state: State) -> list[str]:
        nonlocal place
        files = real(state)
        if left:
            place = queue.spool.move(place, left.pop(0))
        return files

    monkeypatch.setattr(Spool, "names", lambda _self, state: names(state))
    jobs = queue.list() if look == "list" else [queue.get("mover")]
    assert [job_found["id"] for job_found in jobs] == [job["id"]]
