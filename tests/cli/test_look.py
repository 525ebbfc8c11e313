"""Commands that look: what stands on stdout, as text and as JSON."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from runner import Queue
from runner.home import hold
from runner.home.layout import Home
from runner.jobs.schema import schema
from runner.system import clock
from tests.cli.finished import finish
from tests.command import MUXQ, PATH, Call, Run, parts


def test_ls_as_json_is_the_dicts_of_the_python_interface(call: Call, queue: Queue) -> None:
    for name in "ab":
        queue.add("x", agent="echo", name=name)
    assert json.loads(call("ls", "--json").stdout) == queue.list()


def test_ls_shows_a_line_for_each_job_and_nothing_else(call: Call, queue: Queue) -> None:
    first, second = (queue.add("x", agent="echo", name=name) for name in ("plain", "bad\u202ename"))
    finish(queue, first["id"])
    result = call("ls")
    rows = [line.split() for line in result.stdout.splitlines()]
    assert [row[:2] + row[3:5] for row in rows] == [
        ["ID", "STATE", "AGENT", "NAME"],
        [second["id"], "queued", "echo", "bad\ufffdname"],
        [first["id"], "done", "echo", "plain"],
    ]
    assert result.stderr == ""


def test_ls_of_an_empty_queue_is_empty(call: Call) -> None:
    assert (call("ls").stdout, call("ls", "--json").stdout) == ("", "[]\n")


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["-s", "done"], ["a"]),
        (["-s", "done", "-s", "queued"], ["b", "c", "a"]),
        (["--tag", "t"], ["b"]),
        (["-n", "1"], ["b"]),
        (["-n", "1", "--all"], ["b", "c", "a"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_ls_can_be_narrowed(call: Call, queue: Queue, words: list[str], names: list[str]) -> None:
    for name in "abc":
        queue.add("x", agent="echo", name=name, tags=["t"] if name == "b" else [])
    finish(queue, "a")
    assert [job["name"] for job in json.loads(call("ls", "--json", *words).stdout)] == names


def test_ls_tells_of_a_hold_on_stderr(call: Call, home: Home) -> None:
    hold.put(home, hold.Hold("backup"))
    result = call("ls")
    assert (result.stdout, result.stderr) == ("", "on hold until a person lifts it (muxq release): backup\n")


def test_show_as_json_is_the_dict_of_the_python_interface(call: Call, queue: Queue) -> None:
    job = queue.add("x", agent="echo", name="report")
    finish(queue, job["id"])
    assert json.loads(call("show", "report", "--json").stdout) == queue.get("report")


def test_show_tells_people_of_each_attempt(call: Call, queue: Queue) -> None:
    job = queue.add("x", agent="echo", name="report", tags=["a", "b"])
    finish(queue, job["id"])
    text = call("show", job["id"]).stdout
    words = [
        f"id:           {job['id']}",
        "name:         report",
        "tags:         a, b",
        "state:        done",
        "attempt 1: done",
    ]
    assert [word for word in words if word not in text] == []


def test_output_is_the_result_byte_for_byte(muxq: Run, queue: Queue) -> None:
    job = queue.add("x", agent="echo")
    finish(queue, job["id"], "é\r\nno line end")
    path = Path(queue.get(job["id"])["output_path"])
    path.write_bytes(b"\xff\x00raw")
    assert subprocess.run(
        [*MUXQ, "output", job["id"]],
        capture_output=True, env={"MUXQ_HOME": str(queue.home.path), "PATH": PATH}, check=True,
    ).stdout == b"\xff\x00raw"  # fmt: skip


def test_output_tells_its_path(call: Call, queue: Queue) -> None:
    job = queue.add("x", agent="echo")
    finish(queue, job["id"])
    path = str(queue.home.runs / job["id"] / "1" / "output.md")
    assert (call("output", job["id"], "--path").stdout, json.loads(call("output", job["id"], "--json").stdout)) == (
        f"{path}\n",
        {"path": path, "text": "result\n"},
    )


def test_logs_tell_the_story_in_order(call: Call, queue: Queue) -> None:
    job = queue.add("x", agent="echo")
    finish(queue, job["id"])
    lines = [line[21:] for line in call("logs", job["id"]).stdout.splitlines()]
    assert lines == ["job added", "job started", "[1] Bash: make", "job done"]


def test_logs_tell_what_happened_within_one_millisecond_as_it_happened(
    call: Call, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "stamp", lambda *_: "2026-11-21T03:00:00.000Z")
    job = queue.add("x", agent="echo")
    finish(queue, job["id"])
    lines = [line[21:] for line in call("logs", job["id"]).stdout.splitlines()]
    assert lines == ["job added", "job started", "[1] Bash: make", "job done"]


def test_logs_as_json_are_the_events(call: Call, queue: Queue) -> None:
    job = queue.add("x", agent="echo")
    finish(queue, job["id"])
    lines = [json.loads(line) for line in call("logs", job["id"], "--json").stdout.splitlines()]
    assert [(line["event"], line["attempt"]) for line in lines] == [
        *(("job.added", None), ("job.running", None), ("tool-started", 1), ("job.done", None)),
    ]


def test_logs_of_one_job_say_nothing_of_another(call: Call, queue: Queue) -> None:
    first, _ = queue.add("x", agent="echo"), queue.add("x", agent="echo")
    assert len(call("logs", first["id"]).stdout.splitlines()) == 1


def test_logs_can_be_followed_to_the_end(call: Call, queue: Queue) -> None:
    job = queue.add("x", agent="echo")
    finish(queue, job["id"])
    assert call("logs", job["id"], "--follow").stdout == call("logs", job["id"]).stdout


@pytest.mark.parametrize(
    "line", ['{"event": "started"}', '{"event": "started", "at": "x"}', '{"event": "started", "at": 5}']
)
def test_an_event_without_a_time_does_not_hide_the_others(call: Call, queue: Queue, line: str) -> None:
    job = queue.add("x", agent="echo")
    finish(queue, job["id"])
    with (queue.home.runs / job["id"] / "1" / "events.jsonl").open("a") as file:
        file.write(line + "\n")
    assert "Bash: make" in call("logs", job["id"]).stdout


def test_logs_show_the_last_screen(call: Call, queue: Queue) -> None:
    job = queue.add("x", agent="echo")
    finish(queue, job["id"])
    assert call("logs", job["id"], "--screen").stdout == "the last screen\n"


def test_the_schema_is_printed(call: Call) -> None:
    assert json.loads(call("schema").stdout) == schema()


def test_the_doctor_names_every_check_as_json(muxq: Run, home: Home) -> None:
    done = muxq("doctor", "--json", "--agent", "echo")
    checks = json.loads(done.stdout)
    assert [set(check) for check in checks] == [{"subject", "level", "found", "mend"}] * len(checks)
    assert {check["subject"]: check["level"] for check in checks if check["subject"] in ("home", "tmux", "agent")} == {
        "home": "ok",
        "tmux": "ok",
        "agent": "ok",
    }
    assert done.returncode == 0


def test_the_doctor_ends_with_5_when_an_agent_is_missing(muxq: Run) -> None:
    done = muxq("doctor", "--json", "--agent", "claude", PATH="/nowhere")
    broken = {
        check["subject"]: check["found"] + check["mend"]
        for check in json.loads(done.stdout)
        if check["level"] == "broken"
    }
    assert done.returncode == 5
    assert "install Claude Code" in broken["agent"]


def test_the_doctor_ends_with_5_when_the_config_is_broken(muxq: Run, home: Home) -> None:
    home.config.write_text("jobs = 0")
    code, out, _ = parts(muxq("doctor"))
    assert (code, "`jobs` is a whole number above 0" in out) == (5, True)
