"""Who dies when: the client, its session, the worker; and who goes on from what they left."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.client.sandbox import Sandbox
from tests.client.standin import Conversation, session_of

Wait = Callable[..., None]
STAY = "@@slow 60"


def at_work(box: Sandbox, name: str = "job", attempt: int = 1) -> bool:
    """Whether the agent has read its prompt and is in the middle of its turn."""
    assert box.state(name) != "failed", box.story()
    if box.state(name) in ("", "queue") or not (box.run(name, attempt) / "attempt.json").exists():
        return False
    return len(box.turns(name, attempt)) >= 2


def written(box: Sandbox, name: str = "job") -> bool:
    return (box.run(name) / "output.md").exists() and len(box.turns(name)) >= 3


# ---- the client ends


def test_a_client_that_is_ended_without_a_result_is_told_with_its_last_words(box: Sandbox, wait_until: Wait) -> None:
    box.drop("job", STAY)
    box.start("--drain")
    wait_until(lambda: at_work(box), 30)
    box.client("job").terminate()
    box.ends(1)
    ended = box.outcome("job")
    assert (ended["error"], ended["exit_status"]) == ("agent-exited", 143)
    assert "there is no output file" in ended["message"]
    assert box.still_running() == []


@pytest.mark.parametrize("result", [True, False])
def test_a_client_killed_in_its_turn_has_no_result(box: Sandbox, wait_until: Wait, result: bool) -> None:
    box.drop("job", f"@@write 42\n{STAY}" if result else STAY)
    box.start("--drain")
    wait_until(lambda: at_work(box) and (written(box) or not result), 30)
    box.client("job").kill()
    box.ends(1)
    ended = box.outcome("job")
    assert (ended["error"], "by signal 9" in ended["message"]) == ("agent-exited", True)
    assert ("the agent had not finished" in ended["message"]) == result
    assert box.still_running() == []


def test_a_client_killed_in_its_turn_has_a_result_if_that_is_json(box: Sandbox, wait_until: Wait) -> None:
    box.drop("job", f'@@write {{"answer": 42}}\n{STAY}', output={"path": str(box.root / "a.json"), "format": "json"})
    box.start("--drain")
    wait_until(lambda: (box.root / "a.json").exists() and len(box.turns("job")) >= 3, 30)
    box.client("job").kill()
    box.ends()
    assert box.outcome("job")["outcome"] == "done"


def test_what_a_killed_client_left_running_is_ended_too(box: Sandbox, wait_until: Wait) -> None:
    here = box.log
    box.drop("job", f"@@bash setsid tail -f {here} & tail -F {here}", permissions="bypass")
    box.start("--drain")
    wait_until(lambda: box.programs(str(here)) == 2, 30)
    box.client("job").kill()
    box.ends(1)
    assert box.still_running() == []


def test_a_person_who_interrupts_and_exits_ends_the_attempt(box: Sandbox, wait_until: Wait) -> None:
    box.drop("job", STAY)
    box.start("--drain")
    wait_until(lambda: at_work(box), 30)
    pane = f"={box.record('job')['session']}:0.0"
    box.tmux("send-keys", "-t", pane, "Escape")
    wait_until(lambda: "Interrupted" in box.tmux("capture-pane", "-p", "-t", pane))
    box.tmux("send-keys", "-t", pane, "-l", "/exit")
    box.tmux("send-keys", "-t", pane, "Enter")
    box.ends(1)
    ended = box.outcome("job")
    assert (ended["error"], ended["exit_status"]) == ("agent-exited", 0)
    assert box.still_running() == []


def test_a_session_that_vanishes_is_tried_again(box: Sandbox, wait_until: Wait) -> None:
    flag = box.root / "flag"
    box.drop("job", f"@@bash test -e {flag} || {{ touch {flag}; sleep 60; }}\n@@write 42", permissions="bypass")
    box.start("--drain")
    wait_until(flag.exists, 30)
    box.tmux("kill-server")
    box.ends()
    assert [attempt["outcome"] for attempt in box.job("job")["attempts"]] == ["requeued", "done"]
    assert (box.run("job", 2) / "output.md").read_text() == "42"
    assert box.still_running() == []


# ---- the client is silent


def test_a_silent_client_ends_at_the_jobs_timeout(box: Sandbox) -> None:
    box.drop("job", STAY, timeout=4)
    box.work(code=1)
    ended = box.outcome("job")
    assert (ended["error"], "no result within the time given" in ended["message"]) == ("timeout", True)
    assert "Claude Code" in (box.run("job") / "screen.txt").read_text()
    assert box.still_running() == []


def test_a_cancelled_job_leaves_nothing_running(box: Sandbox, wait_until: Wait) -> None:
    here = box.log
    box.drop("job", f"@@background tail -f {here}\n@@bash tail -F {here}", permissions="bypass")
    box.start("--drain")
    wait_until(lambda: box.programs(str(here)) == 2, 30)
    box.muxq("cancel", "job")
    box.ends(1)
    assert (box.state("job"), box.outcome("job")["outcome"]) == ("cancelled", "cancelled")
    assert box.still_running() == []


# ---- the worker ends


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_new_worker_goes_on_with_the_session_of_one_that_ended(
    box: Sandbox, wait_until: Wait, number: signal.Signals
) -> None:
    go = box.root / "go"
    box.drop("job", f"@@bash until test -e {go}; do sleep 0.1; done\n@@write 42", permissions="bypass")
    box.start()
    wait_until(lambda: box.programs("0.1"), 30)
    client = box.client("job")
    box.stop(number)
    assert (client.is_running(), box.state("job")) == (True, "running")
    box.start("--drain")
    wait_until(lambda: "taken over" in box.log.read_text())
    go.touch()
    box.ends()
    assert box.result("job") == "42"
    assert {session_of(body) for body in box.api.requests} == {box.record("job")["session_id"]}
    assert [path.name for path in (box.run("job").parent).iterdir()] == ["1"]
    assert box.still_running() == []


def test_a_result_that_came_while_no_worker_was_there_is_taken(box: Sandbox, wait_until: Wait) -> None:
    go = box.root / "go"
    box.drop("job", f"@@bash until test -e {go}; do sleep 0.1; done\n@@write 42", permissions="bypass")
    box.start()
    wait_until(lambda: box.programs("0.1"), 30)
    box.stop(signal.SIGKILL)
    go.touch()
    wait_until(lambda: "turn-over" in box.events("job"))
    box.work()
    assert (box.result("job"), len(box.job("job")["attempts"])) == ("42", 1)
    assert box.still_running() == []


def test_after_a_reboot_the_conversation_goes_on_and_nothing_is_done_twice(box: Sandbox, wait_until: Wait) -> None:
    go, ledger = box.root / "go", box.root / "ledger"
    steps = [f"@@bash echo first >>{ledger}", f"@@bash until test -e {go}; do sleep 0.1; done", "@@write {42}"]
    box.drop("job", "\n".join(steps), permissions="bypass")
    box.start()
    wait_until(lambda: box.programs("0.1"), 30)
    box.reboot()
    before = len(box.api.requests)
    go.touch()
    box.work()
    first, second = box.job("job")["attempts"]
    assert (first["outcome"], first["error"]["kind"], second["outcome"]) == ("requeued", "lost", "done")
    assert (box.run("job", 2) / "output.md").read_text() == "{42}"
    again = box.record("job", attempt=2)
    assert (again["resumes"], again["argv"][1:3]) == (1, ["--resume", box.record("job")["session_id"]])
    assert min(Conversation(body).next for body in box.api.requests[before:]) >= 1
    assert ledger.read_text() == "first\n"
    assert box.still_running() == []


def test_a_question_that_is_open_when_its_worker_dies_stays_open_and_can_be_answered(
    box: Sandbox, wait_until: Wait
) -> None:
    box.drop("job", "@@bash curl --version >asked.txt\n@@write afterwards")
    box.start()
    wait_until(lambda: box.jobs().get("job", {}).get("attention"), 30)
    box.stop(signal.SIGKILL)
    box.start("--drain")
    wait_until(lambda: "taken over" in box.log.read_text())
    attention = box.job("job")["attention"]
    assert (attention["kind"], attention["detail"]) == ("permission", "Bash: curl --version >asked.txt")
    pane = f"={box.record('job')['session']}:0.0"
    wait_until(lambda: "❯ 1. Yes" in box.tmux("capture-pane", "-p", "-t", pane))
    box.tmux("send-keys", "-t", pane, "1")
    box.ends()
    assert (box.result("job"), len(box.job("job")["attempts"])) == ("afterwards", 1)
    assert box.still_running() == []


def test_a_worker_told_to_end_its_sessions_puts_their_jobs_back(box: Sandbox, wait_until: Wait) -> None:
    box.drop("job", STAY)
    box.start("--on-stop", "kill")
    wait_until(lambda: at_work(box), 30)
    box.stop()
    assert (box.state("job"), box.outcome("job")["reason"]) == ("queue", "stopped")
    assert box.still_running() == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_ends_while_it_closes_a_session_leaves_none_for_ever(
    box: Sandbox, wait_until: Wait, number: signal.Signals
) -> None:
    """The client takes a second to end: the job is done by then, and nobody looks after the session any more."""
    box.drop("job", "@@write 42")
    box.start()
    wait_until(lambda: box.state("job") == "done", 30)
    box.stop(number)
    box.work()
    assert box.still_running() == []


def test_two_workers_share_the_jobs_and_run_each_once(box: Sandbox, wait_until: Wait) -> None:
    names = [f"job{n}" for n in range(4)]
    for name in names:
        box.drop(name, f"@@write {name}")
    box.start("--jobs", "2")
    box.start("--drain", "--jobs", "2")
    wait_until(lambda: all(box.state(name) == "done" for name in names), 60)
    box.workers[0].terminate()
    for worker in box.workers:
        assert worker.wait(60) == 0, box.story()
    assert [box.result(name) for name in names] == names
    assert len({session_of(body) for body in box.api.requests}) == len(names)


def test_a_home_of_one_worker_run_is_private(box: Sandbox) -> None:
    box.drop("job", "@@write 42")
    box.work()
    written_by_the_client = box.run("job") / "output.md"
    others = [path for path in [box.home, *box.home.rglob("*")] if path.lstat().st_mode & 0o077]
    assert [path for path in others if path != written_by_the_client] == []
