"""What an agent may do: who is asked, who is refused, and what stands on a person's list meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.client.sandbox import Sandbox

Wait = Callable[..., None]
OUTSIDE = "@@bash curl --version >asked.txt\n@@write afterwards"
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused")


def test_what_edits_does_not_let_pass_waits_for_a_person_and_can_be_cancelled(box: Sandbox, wait_until: Wait) -> None:
    box.drop("job", OUTSIDE)
    box.start("--drain")
    wait_until(lambda: box.jobs().get("job", {}).get("attention"), 30)
    asked = box.job("job")["attention"]
    assert (asked["kind"], asked["detail"]) == ("permission", "Bash: curl --version >asked.txt")
    assert "waits for you (permission)" in box.muxq("ls")
    box.muxq("cancel", "job")
    box.ends(1)
    assert (box.state("job"), box.still_running()) == ("cancelled", [])


def test_a_permission_that_a_person_gives_lets_the_agent_go_on(box: Sandbox, wait_until: Wait) -> None:
    box.drop("job", OUTSIDE)
    box.start("--drain")
    wait_until(lambda: "permission-asked" in box.events("job") if box.state("job") else False, 30)
    session = box.record("job")["session"]
    wait_until(lambda: "❯ 1. Yes" in box.tmux("capture-pane", "-p", "-t", f"={session}:0.0"))
    box.tmux("send-keys", "-t", f"={session}:0.0", "1")
    box.ends()
    assert (box.result("job"), box.job("job")["attention"]) == ("afterwards", None)


def test_deny_refuses_without_asking_and_still_lets_the_result_be_written(box: Sandbox) -> None:
    box.drop("job", OUTSIDE, permissions="deny")
    box.work()
    assert (box.result("job"), "permission-asked" in box.events("job")) == ("afterwards", False)
    assert not (box.run("job") / "work" / "asked.txt").exists()


def test_ask_asks_for_edits_in_the_workdir_but_not_for_the_result(box: Sandbox, wait_until: Wait) -> None:
    (box.root / "work").mkdir()
    box.drop("result", "@@write 42", permissions="ask", workdir=str(box.root / "work"))
    box.drop("edit", "@@output {}\n@@write 42".format(box.root / "work" / "x.txt"), permissions="ask")
    box.start("--drain", "--jobs", "2")
    wait_until(lambda: (box.jobs().get("edit") or {}).get("attention"), 40)
    box.muxq("cancel", "edit")
    box.ends(1)
    assert (box.result("result"), box.state("edit")) == ("42", "cancelled")
    assert "permission-asked" not in box.events("result")


@AS_ROOT
def test_bypass_is_refused_to_root_by_the_client_and_its_words_are_kept(box: Sandbox) -> None:
    del box.env["IS_SANDBOX"]
    box.drop("job", "@@write 42", permissions="bypass")
    box.work(code=1)
    ended = box.outcome("job")
    assert (ended["outcome"], ended["error"], ended["exit_status"]) == ("failed", "agent-exited", 1)
    assert "root" in ended["message"]


def test_bypass_with_consent_meets_no_dialog_and_asks_nothing(box: Sandbox) -> None:
    box.drop("job", OUTSIDE, permissions="bypass")
    box.work()
    events = box.events("job")
    assert box.result("job") == "afterwards"
    assert (box.run("job") / "work" / "asked.txt").exists()
    assert {"dialog", "dialog-answered", "permission-asked"}.isdisjoint(events)
