"""What a person says to a job that waits for one: by command, by doing nothing, and in the dialog itself."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.client.sandbox import Sandbox

Wait = Callable[..., None]
CURL = "@@bash curl --version >asked.txt"


def waits(box: Sandbox, name: str = "job") -> dict[str, Any] | None:
    """What the job waits for, if it waits for somebody."""
    attention: dict[str, Any] | None = box.jobs().get(name, {}).get("attention")
    return attention


def asking(box: Sandbox, wait_until: Wait, name: str = "job") -> dict[str, Any]:
    """Wait until the job asks; what it asks."""
    wait_until(lambda: waits(box, name), 40)
    return waits(box, name) or {}


def shown(box: Sandbox, name: str = "job") -> str:
    return box.tmux("capture-pane", "-p", "-t", f"={box.record(name)['session']}:0.0")


def press(box: Sandbox, *keys: str, name: str = "job") -> None:
    box.tmux("send-keys", "-t", f"={box.record(name)['session']}:0.0", *keys)


def records(box: Sandbox, event: str, name: str = "job") -> list[dict[str, Any]]:
    """The data of an attempt's events of one name."""
    lines = (box.run(name) / "events.jsonl").read_text("utf-8").rpartition("\n")[0].splitlines()
    return [record["data"] for record in map(json.loads, lines) if record["event"] == event]


def answered(box: Sandbox, name: str = "job") -> list[tuple[str, str | None]]:
    return [(data["by"], data["decision"]) for data in records(box, "permission-answered", name)]


def results(box: Sandbox, name: str = "job") -> str:
    """All that the agent was told by its tools."""
    return json.dumps(box.turns(name)[-1]["messages"])


# ---- by command


@pytest.mark.parametrize("permissions", ["ask", "edits"])
def test_an_approved_command_runs(box: Sandbox, wait_until: Wait, permissions: str) -> None:
    box.drop("job", f"{CURL}\n@@write afterwards", permissions=permissions)
    box.start("--drain")
    asked = asking(box, wait_until)
    assert (asked["kind"], asked["detail"]) == ("permission", "Bash: curl --version >asked.txt")
    box.muxq("approve", "job")
    box.ends()
    assert (box.run("job") / "work" / "asked.txt").exists()
    assert (box.result("job"), answered(box)) == ("afterwards", [("person", "allow")])


def test_an_approved_edit_is_made_where_edits_ask(box: Sandbox, wait_until: Wait) -> None:
    box.drop("job", f"@@output {box.root}/x.txt\n@@write 42", permissions="ask", output=str(box.root / "x.txt.md"))
    box.start("--drain")
    assert asking(box, wait_until)["detail"] == f"Write: {box.root}/x.txt"
    box.muxq("approve", "job")
    wait_until((box.root / "x.txt").exists)
    box.muxq("cancel", "job")
    box.ends(1)


def test_what_is_always_approved_is_asked_once_and_no_rule_is_left_in_the_folder(
    box: Sandbox, wait_until: Wait
) -> None:
    box.drop("job", f"{CURL}\n{CURL}\n@@write afterwards", permissions="ask")
    box.start("--drain")
    asking(box, wait_until)
    box.muxq("approve", "job", "--always")
    box.ends()
    assert answered(box) == [("person", "allow")]
    assert [path for place in (box.home, box.user) for path in place.rglob("settings.local.json")] == []


def test_the_reason_of_a_refusal_reaches_the_agent_and_it_goes_on(box: Sandbox, wait_until: Wait) -> None:
    box.drop("job", f"{CURL}\n@@write afterwards")
    box.start("--drain")
    asking(box, wait_until)
    box.muxq("deny", "job", "--reason", "The network is off limits today.")
    box.ends()
    assert "The network is off limits today." in results(box)
    assert not (box.run("job") / "work" / "asked.txt").exists()
    assert (box.result("job"), answered(box)) == ("afterwards", [("person", "deny")])


@pytest.mark.parametrize(("given", "reached"), [("no", '\\"=\\"No\\"'), ("the third", '\\"=\\"the third\\"')])
def test_a_question_is_answered_by_an_option_or_in_other_words(
    box: Sandbox, wait_until: Wait, given: str, reached: str
) -> None:
    box.drop("job", "@@ask Which?\n@@write afterwards", permissions="ask")
    box.start("--drain")
    asked = asking(box, wait_until)
    assert (asked["kind"], asked["detail"], asked["options"]) == ("question", "Which?", ["Yes", "No"])
    box.muxq("approve", "job", code=4)
    box.muxq("answer", "job", given)
    box.ends()
    assert (box.result("job"), answered(box)) == ("afterwards", [("person", "answer")])
    assert reached in results(box)


def test_no_question_is_asked_where_nobody_said_to_be_there(box: Sandbox) -> None:
    box.drop("job", "@@ask Which?\n@@write afterwards")
    box.work()
    assert (box.result("job"), "permission-asked" in box.events("job")) == ("afterwards", False)


@pytest.mark.parametrize(
    ("permissions", "asked", "written"),
    [("ask", True, False), ("edits", True, False), ("deny", False, False), ("bypass", False, True)],
)
def test_who_is_asked_before_a_file_outside_of_the_workdir_is_written(
    box: Sandbox, wait_until: Wait, permissions: str, asked: bool, written: bool
) -> None:
    box.drop("job", f"@@output {box.root}/x.txt\n@@write 42", permissions=permissions)
    box.start("--drain")
    if asked:
        asking(box, wait_until)
        box.muxq("deny", "job")
    box.ends(1)
    assert (answered(box), (box.root / "x.txt").exists()) == ([("person", "deny")] if asked else [], written)
    assert box.outcome("job")["error"] == "no-output"


# ---- by doing nothing


@pytest.mark.parametrize("default", ["deny", "allow"])
def test_what_nobody_answers_in_time_is_answered_as_the_home_says(box: Sandbox, default: str) -> None:
    box.muxq("ls")
    (box.home / "config.toml").write_text(f'answer_within = "1s"\nanswer_default = "{default}"\n')
    box.drop("job", f"{CURL}\n@@write afterwards")
    box.work()
    assert (box.result("job"), answered(box)) == ("afterwards", [("limit", default)])
    assert (box.run("job") / "work" / "asked.txt").exists() == (default == "allow")
    assert default == "allow" or "Nobody has answered in time" in results(box)


# ---- in the dialog


def test_a_permission_given_on_the_screen_ends_the_wait_while_the_tool_still_runs(
    box: Sandbox, wait_until: Wait
) -> None:
    go = box.root / "go"
    box.drop("job", f"@@bash curl --version >asked.txt; until test -e {go}; do sleep 0.1; done\n@@write afterwards")
    box.start("--drain")
    asking(box, wait_until)
    wait_until(lambda: "❯ 1. Yes" in shown(box))
    press(box, "1")
    wait_until(lambda: waits(box) is None, 20)
    wait_until(lambda: not box.programs("permission-asked"))
    assert answered(box) == [("screen", None)]
    go.touch()
    box.ends()
    assert box.result("job") == "afterwards"


def test_a_permission_given_on_the_screen_is_seen_without_a_worker(box: Sandbox, wait_until: Wait) -> None:
    box.drop("job", f"{CURL}\n@@wait")
    box.start()
    asking(box, wait_until)
    box.stop(signal.SIGKILL)
    wait_until(lambda: "❯ 1. Yes" in shown(box))
    press(box, "1")
    wait_until(lambda: answered(box) == [("screen", "allow")])
    wait_until(lambda: not box.programs("permission-asked"))
    box.muxq("cancel", "job")


def test_a_refusal_on_the_screen_ends_the_wait(box: Sandbox, wait_until: Wait) -> None:
    box.drop("job", f"{CURL}\n@@write afterwards")
    box.start("--drain")
    asking(box, wait_until)
    wait_until(lambda: "❯ 1. Yes" in shown(box))
    press(box, "Escape")
    wait_until(lambda: answered(box) == [("screen", "deny")])
    assert waits(box) is None
    assert box.muxq("approve", "job", code=4) == ""
    press(box, "-l", "go on")
    press(box, "Enter")
    box.ends()
    assert box.result("job") == "afterwards"


# ---- the worker ends


def test_a_permission_that_is_pending_when_the_worker_dies_waits_for_the_next(box: Sandbox, wait_until: Wait) -> None:
    box.drop("job", f"{CURL}\n@@write afterwards")
    box.start()
    before = asking(box, wait_until)
    box.stop(signal.SIGKILL)
    assert waits(box) == before
    box.start("--drain")
    wait_until(lambda: "taken over" in box.log.read_text())
    assert (waits(box), len(records(box, "alerted"))) == (before, 1)
    box.muxq("approve", "job")
    box.ends()
    assert (box.result("job"), box.still_running()) == ("afterwards", [])


def test_a_permission_is_given_while_there_is_no_worker(box: Sandbox, wait_until: Wait) -> None:
    box.drop("job", f"{CURL}\n@@write afterwards")
    box.start()
    asking(box, wait_until)
    box.stop(signal.SIGKILL)
    box.muxq("approve", "job")
    wait_until(lambda: "turn-over" in box.events("job"))
    box.work()
    assert box.result("job") == "afterwards"


# ---- rules


@pytest.mark.parametrize("permissions", ["ask", "edits", "deny", "bypass"])
def test_the_clients_own_rules_let_pass_and_refuse_and_refusal_comes_first(box: Sandbox, permissions: str) -> None:
    box.muxq("ls")
    (box.home / "config.toml").write_text('deny = ["Bash(curl -V *)"]\n')
    prompt = "@@bash curl --version >a.txt\n@@bash curl -V >b.txt\n@@write afterwards"
    box.add("job", prompt, permissions=permissions, allow=["Bash(curl *)"])
    box.work()
    work = box.run("job") / "work"
    assert (box.result("job"), "permission-asked" in box.events("job")) == ("afterwards", False)
    assert ((work / "a.txt").exists(), (work / "b.txt").exists()) == (True, False)
    assert "has been denied" in results(box)
