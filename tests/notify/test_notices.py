"""What people are notified of, and who asked for it. With real workers: tests/lifecycle/test_news.py."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from runner import Queue
from runner.control import doctor
from runner.home import batches, events
from runner.home.batches import Batch
from runner.home.layout import Home
from runner.home.spool import Place, Spool
from runner.intake import batch
from runner.jobs.entry import Entry
from runner.jobs.job import Job
from runner.jobs.on_end import OnEnd
from runner.jobs.state import Move, State
from runner.notify import notices, sender
from runner.notify.sender import Notice
from runner.system import files
from runner.views import job

Add = Callable[..., Entry]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Notice]:
    """The notices that would be sent."""
    notices_sent: list[Notice] = []
    monkeypatch.setattr(sender, "send", lambda _home, notice: notices_sent.append(notice))
    return notices_sent


def end(spool: Spool, entry: Entry, move: Move) -> None:
    notices.end(spool, spool.move(Place(State.QUEUED, entry), Move.CLAIM), move)


# --- jobs


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, []),
        ({"notify": True}, [("done", True, ""), ("failed", True, "")]),
        ({"notify": ["failed"]}, [("failed", True, "")]),
        ({"notify": False}, []),
        ({"on_done": "echo"}, [("done", False, "echo")]),
        ({"on_failed": "echo", "notify": ["done"]}, [("done", True, ""), ("failed", False, "echo")]),
    ],
)
def test_people_are_notified_as_the_job_asks_and_never_of_a_cancelled_job(
    spool: Spool, add: Add, sent: list[Notice], keys: dict[str, Any], expected: list[tuple[str, bool, str]]
) -> None:
    for move in (Move.FINISH, Move.FAIL, Move.CANCEL):
        end(spool, add(**keys), move)
    assert [(notice.kind, notice.message, notice.command) for notice in sent] == expected


def test_config_has_the_defaults_for_jobs_that_ask_for_nothing(
    home: Home, spool: Spool, add: Add, sent: list[Notice]
) -> None:
    home.config.write_text('notify_on = ["failed"]\non_failed = "echo"\non_done = "touch"\n')
    end(spool, add(), Move.FAIL)
    end(spool, add(notify=False, on_failed="own"), Move.FAIL)
    end(spool, add(), Move.FINISH)
    assert [(n.kind, n.message, n.key, n.command) for n in sent] == [
        ("failed", True, "on_failed", "echo"),
        ("failed", False, "on_failed", "own"),
        ("done", False, "on_done", "touch"),
    ]


def test_the_notice_holds_the_job_as_show_prints_it(home: Home, spool: Spool, add: Add, sent: list[Notice]) -> None:
    entry = add(name="n", notify=True, env={"TOKEN": {"from_env": "TOKEN"}})
    end(spool, entry, Move.FAIL)
    (notice,) = sent
    assert notice.about == Queue(home.path).get(entry.id)
    assert dict(notice.env) == {"MUXQ_JOB": entry.id, "MUXQ_NAME": "n", "MUXQ_OUTPUT": "", "MUXQ_STATE": "failed"}
    assert notice.named == {"job": entry.id}


def test_people_are_notified_again_of_a_job_that_ends_again(spool: Spool, add: Add, sent: list[Notice]) -> None:
    entry = add(notify=True)
    end(spool, entry, Move.FAIL)
    spool.move(Place(State.FAILED, entry), Move.RETRY)
    end(spool, entry, Move.FINISH)
    assert [notice.kind for notice in sent] == ["failed", "done"]


def test_no_job_is_described_where_nobody_asked_for_a_notice(
    home: Home, spool: Spool, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.config.write_text('notify = ["json://x"]\non_attention = "true"\n')
    monkeypatch.setattr(job, "describe", lambda *_, **__: pytest.fail("it was described"))
    end(spool, add(), Move.FINISH)
    assert [event.name for event in events.read(home.events)] == ["job.added", "job.running", "job.done"]


@pytest.mark.parametrize("damage", [b"", b"\xff", b"[]", b'{"notify": "x", "on_done": {}}'])
def test_config_decides_for_a_job_file_that_cannot_be_read(
    home: Home, spool: Spool, add: Add, sent: list[Notice], damage: bytes
) -> None:
    home.config.write_text('on_failed = "echo"\n')
    place = spool.move(Place(State.QUEUED, add()), Move.CLAIM)
    spool.path(place).write_bytes(damage)
    assert notices.end(spool, place, Move.FAIL).state is State.FAILED
    assert [(notice.kind, notice.command) for notice in sent] == [("failed", "echo")]


def test_a_job_ends_under_a_broken_config(home: Home, spool: Spool, add: Add, sent: list[Notice]) -> None:
    entry = add(on_done="echo")
    home.config.write_text("on_failed = 1\n")
    end(spool, entry, Move.FINISH)
    assert (spool.locate(entry).state, [notice.command for notice in sent]) == (State.DONE, ["echo"])


def test_the_job_has_ended_though_its_notice_fails(
    home: Home, spool: Spool, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("odd")

    monkeypatch.setattr(job, "describe", broken)
    entry = add(notify=True)
    end(spool, entry, Move.FINISH)
    failed = events.read(home.events)[-1]
    assert (spool.locate(entry).state, failed.name) == (State.DONE, "notify.failed")
    assert failed.data == {"what": "on_done", "why": "odd", "job": entry.id}


def test_only_one_function_moves_a_job_to_done_or_failed() -> None:
    moves = re.compile(r"spool\.move\((?!.*Move\.(CLAIM|CANCEL|RETRY))")
    modules = [path for path in Path(notices.__file__).parent.parent.rglob("*.py") if moves.search(path.read_text())]
    assert modules == [Path(notices.__file__)]


# --- batches


def make(spool: Spool, count: int = 3, **on_end: Any) -> Batch:
    jobs = [Job.check({"prompt": "x", "agent": "echo", "name": f"b-{n}"}, where="x") for n in range(count)]
    return batch.add(spool, jobs, name="b", source="x", on_end=OnEnd(**on_end))


def end_all(spool: Spool, added: Batch, *moves: Move) -> None:
    for place, move in zip(spool.places(added.ids).values(), moves, strict=True):
        end(spool, place.entry, move)


@pytest.mark.parametrize(
    ("moves", "key"),
    [
        ([Move.FINISH, Move.FINISH, Move.FINISH], "on_done"),
        ([Move.FINISH, Move.FAIL, Move.FINISH], "on_failed"),
        ([Move.FINISH, Move.CANCEL, Move.FINISH], "on_failed"),
    ],
)
def test_people_are_notified_of_a_batch_once_when_its_last_job_has_ended(
    spool: Spool, sent: list[Notice], moves: list[Move], key: str
) -> None:
    added = make(spool, notify=("done", "failed"), on_done="d", on_failed="f")
    notices.of_batches(spool)
    assert sent == []
    end_all(spool, added, *moves)
    notices.of_batches(spool)
    notices.of_batches(Spool(spool.home))
    assert [(n.kind, n.about, n.message, n.key, n.command) for n in sent] == [
        ("batch", added.id, True, key, {"on_done": "d", "on_failed": "f"}[key])
    ]
    assert sent[0].env == {"MUXQ_BATCH": added.id, "MUXQ_NAME": "b", "MUXQ_STATE": key.removeprefix("on_")}


def test_no_folder_is_listed_where_no_batch_is_awaited(
    home: Home, spool: Spool, sent: list[Notice], monkeypatch: pytest.MonkeyPatch
) -> None:
    added = make(spool)
    end_all(spool, added, Move.FAIL, Move.FAIL, Move.FAIL)
    monkeypatch.setattr(os, "listdir", lambda *_: pytest.fail("a folder was listed"))
    notices.of_batches(spool)
    assert (sent, (home.batches / "awaited").exists()) == ([], False)


def test_a_job_that_is_on_its_way_back_is_not_overlooked(
    spool: Spool, sent: list[Notice], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lies in running/ while queue/ is listed, and in queue/ while running/ is."""
    added = make(spool, 1, on_done="d")
    place = spool.places(added.ids)[added.ids[0]]
    moving, real = spool.move(place, Move.CLAIM), Spool.names
    looks = iter(range(8))

    def names(self: Spool, state: State) -> list[str]:
        return [] if next(looks, None) is not None else real(self, state)

    monkeypatch.setattr(Spool, "names", names)
    notices.of_batches(spool)
    assert sent == []
    monkeypatch.undo()
    spool.move(moving, Move.FINISH)


def test_jobs_whose_files_were_taken_away_count_as_ended(spool: Spool, sent: list[Notice]) -> None:
    added = make(spool, on_done="d", on_failed="f")
    end_all(spool, added, Move.FINISH, Move.FINISH, Move.FINISH)
    spool.path(spool.places(added.ids)[added.ids[0]]).unlink()
    notices.of_batches(spool)
    assert [notice.key for notice in sent] == ["on_done"]


def test_people_are_notified_again_of_a_batch_whose_jobs_are_tried_again(
    home: Home, spool: Spool, sent: list[Notice]
) -> None:
    added = make(spool, 1, on_done="d", on_failed="f")
    end_all(spool, added, Move.FAIL)
    notices.of_batches(spool)
    spool.move(spool.places(added.ids)[added.ids[0]], Move.RETRY)
    batches.await_end(home, batches.load(home, added.id))
    notices.of_batches(spool)
    end_all(spool, added, Move.FINISH)
    notices.of_batches(spool)
    assert [notice.key for notice in sent] == ["on_failed", "on_done"]


@pytest.mark.parametrize("killed_at", range(8))
def test_people_are_notified_of_a_batch_whose_adding_was_killed_at_its_end_and_not_before(
    home: Home, spool: Spool, sent: list[Notice], killed: Callable[..., AbstractContextManager[None]], killed_at: int
) -> None:
    steps = [(batches, "await_end"), (files, "write_json"), (batch, "_enter"), (Path, "rename")]
    with killed(killed_at, *steps):
        make(spool, on_done="d")
        assert killed_at == 7
    notices.of_batches(spool)
    assert sent == []
    added = make(spool, on_done="d")
    notices.of_batches(spool)
    end_all(spool, added, Move.FINISH, Move.FINISH, Move.FINISH)
    notices.of_batches(spool)
    assert [notice.about for notice in sent] == [added.id]


def test_an_awaited_batch_that_was_never_recorded_is_forgotten_after_a_day(home: Home, spool: Spool) -> None:
    added = make(spool, on_done="d")
    (home.batches / f"{added.id}.json").unlink()
    wish = home.batches / "awaited" / added.id
    assert (batches.ended(spool), wish.exists()) == ([], True)
    os.utime(wish, (0, 0))
    assert (batches.ended(spool), wish.exists()) == ([], False)


# --- the machine


def test_doctor_warns_of_messages_that_have_no_service_to_go_to(home: Home) -> None:
    def findings() -> list[str]:
        return [check.found for check in doctor.examine(home, "echo") if check.subject == "notify"]

    assert findings() == []
    home.config.write_text('notify_on = ["failed"]\n')
    assert findings() == ["config.toml asks for messages (`notify_on`) and names no place for them"]
    home.config.write_text('notify_on = ["failed"]\nnotify = ["json://x"]\n')
    assert findings() == []
