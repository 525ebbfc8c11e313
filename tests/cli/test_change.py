"""Commands that change something or wait: cancel, retry, wait, hold, release, clean."""

from __future__ import annotations

import json

import pytest

from runner import Queue
from runner.home import hold
from runner.home.layout import Home
from tests.cli.finished import finish
from tests.command import Call, Run, parts


def test_cancel_and_retry_tell_the_state(call: Call, queue: Queue) -> None:
    job = queue.add("x", agent="echo")
    assert [call(word, job["id"]).stdout for word in ("cancel", "retry", "cancel")] == [
        f"{job['id']} cancelled\n",
        f"{job['id']} queued\n",
        f"{job['id']} cancelled\n",
    ]


@pytest.mark.parametrize(("command", "state"), [("cancel", "cancelled"), ("retry", "queued")])
def test_a_change_as_json_is_the_jobs(call: Call, queue: Queue, command: str, state: str) -> None:
    job = queue.add("x", agent="echo")
    if command == "retry":
        queue.cancel(job["id"])
    (changed,) = json.loads(call(command, job["id"], "--json").stdout)
    assert (changed, changed["state"]) == (queue.get(job["id"]), state)


def test_one_wrong_job_does_not_keep_the_others_from_being_cancelled(muxq: Run, queue: Queue) -> None:
    first, second = (queue.add("x", agent="echo")["id"] for _ in range(2))
    code, out, err = parts(muxq("cancel", first, "nothing", second))
    assert (code, out, "no job 'nothing'" in err) == (4, f"{first} cancelled\n{second} cancelled\n", True)


def test_wait_ends_with_0_when_all_are_done(muxq: Run, queue: Queue) -> None:
    job = queue.add("x", agent="echo")["id"]
    finish(queue, job)
    assert parts(muxq("wait", job)) == (0, f"{job} done\n", "")


def test_wait_ends_with_1_when_one_is_not_done(muxq: Run, queue: Queue) -> None:
    first, second = (queue.add("x", agent="echo")["id"] for _ in range(2))
    finish(queue, first)
    queue.cancel(second)
    assert parts(muxq("wait", first, second)) == (1, f"{first} done\n{second} cancelled\n", "")


def test_wait_ends_with_1_when_the_time_is_up(muxq: Run, queue: Queue) -> None:
    job = queue.add("x", agent="echo")["id"]
    code, out, err = parts(muxq("wait", job, "--timeout", "0.05"))
    assert (code, out, f"job {job} is still queued" in err, "no worker is running here" in err) == (1, "", True, True)


def test_a_hold_is_put_and_released(call: Call, home: Home) -> None:
    first = call("hold", "backup")
    standing = hold.current(home)
    second, third = call("release"), call("release")
    assert (first.stderr, standing, second.stderr, third.stderr, hold.current(home)) == (
        "on hold until a person lifts it (muxq release): backup\n",
        hold.Hold("backup"),
        "lifted: backup\n",
        "there was no hold\n",
        None,
    )


def test_a_hold_as_json_is_what_lies_in_the_file(call: Call, home: Home) -> None:
    put = json.loads(call("hold", "backup", "--for", "1h", "--json").stdout)
    assert json.loads(home.hold.read_text()) == {"version": 1, **put}
    assert json.loads(call("release", "--json").stdout) == put
    assert json.loads(call("release", "--json").stdout) is None


@pytest.mark.parametrize("text", ["{", '{"until": "tomorrow"}'])
def test_a_damaged_hold_is_one_clear_line(muxq: Run, home: Home, text: str) -> None:
    home.hold.write_text(text)
    code, _, err = parts(muxq("ls"))
    assert (code, err.count("\n"), "hold.json is damaged" in err) == (0, 1, True)


def test_clean_tells_what_would_go_and_lets_it_be(call: Call, queue: Queue) -> None:
    job = queue.add("x", agent="echo")["id"]
    finish(queue, job)
    result = call("clean", "--older-than", "0.001", "--dry-run")
    assert (result.stdout, result.stderr, queue.get(job)["state"]) == (f"{job}\n", "1 job would go\n", "done")


def test_clean_puts_into_the_archive(call: Call, queue: Queue) -> None:
    job = queue.add("x", agent="echo")["id"]
    finish(queue, job)
    result = call("clean", "--older-than", "0.001")
    assert (result.stdout, result.stderr) == (f"{job}\n", "1 job put into the archive\n")
    assert [path.read_text() for path in (queue.home.path / "archive").rglob("output.md")] == ["result\n"]


def test_clean_deletes_when_told_so(call: Call, queue: Queue) -> None:
    job = queue.add("x", agent="echo")["id"]
    finish(queue, job)
    result = call("clean", "--older-than", "0.001", "--purge", "--json")
    assert json.loads(result.stdout) == [job]
    assert [path for path in queue.home.path.rglob("*") if job in str(path)] == []


def test_clean_leaves_what_is_young(call: Call, queue: Queue) -> None:
    finish(queue, queue.add("x", agent="echo")["id"])
    assert (call("clean").stdout, call("clean", "--json").stdout) == ("", "[]\n")
