"""A job as a dict: exactly the keys of the contract, and null for what is absent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from runner.home import events
from runner.home.attempt_folder import AttemptFolder, next_folder
from runner.home.layout import Home
from runner.home.records import AttemptRecord, OutcomeRecord
from runner.home.spool import Place, Spool
from runner.intake.drops import admit
from runner.jobs.entry import Entry
from runner.jobs.state import Move, State
from runner.system.clock import seconds
from runner.views.job import describe

Add = Callable[..., Entry]
KEYS = [
    "id", "name", "state", "agent", "priority", "tags", "batch", "after", "waits_for",
    "created_at", "started_at", "finished_at", "attempts",
    "output_path", "error", "attention", "status", "mode", "kept", "command", "run_dir",
]  # fmt: skip
STARTED, FINISHED = "2026-11-21T03:00:00.000Z", "2026-11-21T03:01:00.000Z"
RECORD = {"started_at": STARTED, "output": {"path": "/out.md"}}


@pytest.fixture
def running(spool: Spool, add: Add) -> Place:
    return spool.move(Place(State.QUEUED, add(name="report")), Move.CLAIM)


@pytest.fixture
def run(home: Home, running: Place) -> AttemptFolder:
    folder = next_folder(home, running.entry.id)
    folder.begin(home, AttemptRecord.load(RECORD))
    return folder


def end(spool: Spool, run: AttemptFolder, place: Place, move: Move, **record: Any) -> dict[str, Any]:
    value = {"outcome": move.value, "finished_at": FINISHED, "exit_status": None, "usage": None, **record}
    run.end(spool.home, OutcomeRecord.load(value))
    return describe(spool, spool.move(place, move))


def test_a_waiting_job_has_every_key_of_the_contract(spool: Spool, add: Add) -> None:
    entry = add(name="report", priority=5, tags=["a", "b"])
    job = describe(spool, Place(State.QUEUED, entry))
    assert list(job) == KEYS
    assert job == {
        "id": entry.id,
        "name": "report",
        "state": "queued",
        "agent": "echo",
        "priority": 5,
        "tags": ["a", "b"],
        "batch": None,
        "after": [],
        "waits_for": [],
        "created_at": job["created_at"],
        "started_at": None,
        "finished_at": None,
        "attempts": [],
        "output_path": None,
        "error": None,
        "attention": None,
        "status": None,
        "mode": None,
        "kept": False,
        "command": None,
        "run_dir": None,
    }


def test_times_are_of_the_jobs_id(spool: Spool, add: Add) -> None:
    entry = add()
    from runner.jobs.ident import created

    assert seconds(describe(spool, Place(State.QUEUED, entry))["created_at"]) == created(entry.id)


def test_a_running_job_tells_of_its_attempt(spool: Spool, running: Place, run: AttemptFolder) -> None:
    events.emit(run.events, "tool-started", tool_name="Bash", tool_input={"command": "make"})
    job = describe(spool, running)
    assert list(job) == KEYS
    assert job["attempts"] == [
        {
            "number": 1,
            "session": f"{running.entry.id}-1",
            "started_at": STARTED,
            "finished_at": None,
            "outcome": None,
            "error": None,
            "exit_status": None,
            "doing": "Bash: make",
            "screen": None,
            "prompt": None,
            "post_mortem": None,
            "invalid_output": None,
            "usage": None,
            "branch": None,
            "diff_stat": None,
            "run_dir": str(run.path),
        }
    ]
    assert {key: job[key] for key in ("state", "started_at", "finished_at", "output_path", "run_dir")} == {
        "state": "running",
        "started_at": STARTED,
        "finished_at": None,
        "output_path": "/out.md",
        "run_dir": str(run.path),
    }


def test_a_running_job_that_waits_for_a_person_says_so(spool: Spool, running: Place, run: AttemptFolder) -> None:
    events.emit(run.events, "permission-asked", tool_name="Bash", tool_input={"command": "rm x"})
    asked = describe(spool, running)["attention"]
    assert asked == {
        "id": asked["id"],
        "kind": "permission",
        "detail": "Bash: rm x",
        "inputs": [],
        "rules": [],
        "since": events.read(run.events)[-1].at,
        "options": [],
        "screen": None,
    }


def test_a_done_job_has_no_error_and_no_attention(spool: Spool, running: Place, run: AttemptFolder) -> None:
    events.emit(run.events, "permission-asked", tool_name="Bash")
    job = end(spool, run, running, Move.FINISH, outcome="done", exit_status=0, usage={"cost_usd": 1})
    assert {key: job[key] for key in ("state", "finished_at", "error", "attention")} == {
        "state": "done",
        "finished_at": FINISHED,
        "error": None,
        "attention": None,
    }
    assert {key: job["attempts"][0][key] for key in ("outcome", "exit_status", "usage", "doing", "error")} == {
        "outcome": "done",
        "exit_status": 0,
        "usage": {"cost_usd": 1},
        "doing": None,
        "error": None,
    }


def test_a_failed_job_has_the_error_of_its_last_attempt(spool: Spool, running: Place, run: AttemptFolder) -> None:
    job = end(spool, run, running, Move.FAIL, outcome="failed", error="timeout", message="too long")
    assert [job["error"], job["attempts"][0]["error"]] == [{"kind": "timeout", "message": "too long"}] * 2


def test_a_job_back_in_the_queue_has_the_reason_in_its_attempt_alone(
    spool: Spool, running: Place, run: AttemptFolder
) -> None:
    job = end(spool, run, running, Move.REQUEUE, outcome="requeued", reason="lost", message="gone")
    assert (job["state"], job["error"], job["attempts"][0]["error"]) == (
        "queued",
        None,
        {"kind": "lost", "message": "gone"},
    )


def test_a_second_attempt_keeps_the_first_start_of_the_job(spool: Spool, running: Place, run: AttemptFolder) -> None:
    end(spool, run, running, Move.REQUEUE, outcome="requeued", reason="lost", message="gone")
    place = spool.move(Place(State.QUEUED, running.entry), Move.CLAIM)
    again = next_folder(spool.home, running.entry.id)
    again.begin(spool.home, AttemptRecord.load({**RECORD, "started_at": FINISHED, "output": {"path": "/second.md"}}))
    job = describe(spool, place)
    assert (job["started_at"], job["output_path"], job["run_dir"], [a["number"] for a in job["attempts"]]) == (
        *(STARTED, "/second.md", str(again.path), [1, 2]),
    )
    assert all("attention" not in attempt for attempt in job["attempts"])


def test_a_job_cancelled_before_it_started_has_an_end(spool: Spool, add: Add) -> None:
    job = describe(spool, spool.move(Place(State.QUEUED, add()), Move.CANCEL))
    assert (job["state"], job["started_at"]) == ("cancelled", None)
    assert seconds(job["finished_at"]) >= seconds(job["created_at"]) - 1


def test_files_that_are_there_are_named(spool: Spool, running: Place, run: AttemptFolder) -> None:
    run.screen.touch()
    run.prompt.touch()
    (attempt,) = describe(spool, running)["attempts"]
    assert [attempt["screen"], attempt["prompt"]] == [str(run.screen), str(run.prompt)]


def test_a_name_in_the_file_name_is_enough(spool: Spool, home: Home) -> None:
    (home.queue / "weekly report.json").write_text('{"prompt": "x", "agent": "echo"}')
    (entry,) = admit(spool).admitted
    assert describe(spool, Place(State.QUEUED, entry))["name"] == "weekly report"


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00", '{"name": {}, "agent": 5, "tags": [null]}'])
def test_a_job_whose_file_was_damaged_still_shows(spool: Spool, add: Add, text: str) -> None:
    place = Place(State.QUEUED, add(name="report", priority=3))
    spool.path(place).write_text(text)
    job = describe(spool, place)
    assert (list(job), job["name"], job["priority"], job["agent"]) == (KEYS, "report", 3, "claude")


@pytest.mark.parametrize("name", ["attempt.json", "outcome.json"])
def test_a_job_with_a_damaged_record_still_shows(spool: Spool, running: Place, run: AttemptFolder, name: str) -> None:
    (run.path / name).write_text("{")
    assert list(describe(spool, running)) == KEYS


def test_a_broken_config_does_not_hide_a_job(spool: Spool, running: Place) -> None:
    spool.home.config.write_text("jobs = 0")
    assert describe(spool, running)["agent"] == "echo"


def test_the_dict_is_json(spool: Spool, running: Place, run: AttemptFolder) -> None:
    job = end(spool, run, running, Move.FAIL, outcome="failed", error="timeout", message="é")
    assert json.loads(json.dumps(job)) == job
