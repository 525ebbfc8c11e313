"""Talking to the real client's session: messages, drafts, interruptions, kept sessions, take-overs, adoptions."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

from tests.client.sandbox import MUXQ, Sandbox
from tests.client.standin import session_of

Wait = Callable[..., None]


def pane(box: Sandbox, name: str = "job") -> str:
    return f"={box.record(name)['session']}:0.0"


def shown(box: Sandbox) -> str:
    return box.tmux("capture-pane", "-p", "-t", pane(box))


def press(box: Sandbox, *keys: str) -> None:
    box.tmux("send-keys", "-t", pane(box), *keys)


def asked(box: Sandbox) -> str:
    """The conversation, as the API was told it last."""
    return json.dumps(box.turns("job")[-1]["messages"])


def sleeping(box: Sandbox, seconds: str = "0.1") -> bool:
    return bool(box.programs(seconds))


def gate(box: Sandbox) -> str:
    return f"@@bash until test -e {box.root / 'go'}; do sleep 0.1; done"


def test_a_message_in_the_middle_of_a_turn_is_queued_and_reaches_the_agent(box: Sandbox, wait_until: Wait) -> None:
    box.add("job", f"{gate(box)}\n@@bash true\n@@write 42", permissions="bypass")
    box.start("--drain")
    wait_until(lambda: sleeping(box), 30)
    assert json.loads(box.muxq("send", "job", "And mind the tests.", "--json"))["queued"]
    (box.root / "go").touch()
    box.ends()
    assert "And mind the tests." in asked(box)
    assert (box.result("job"), box.still_running()) == ("42", [])


def test_a_kept_session_answers_further_questions_until_it_is_closed(box: Sandbox, wait_until: Wait) -> None:
    box.add("job", "@@write 42\n@@wait\n@@say Because of six times seven.", keep=True)
    box.work()
    assert (box.job("job")["state"], box.job("job")["status"], box.job("job")["kept"]) == ("done", "idle", True)
    assert box.muxq("send", "job", "-", "--wait", given="Why?\nsay\nit\nin five\nlines").endswith("Done.\n")
    assert "in five" in asked(box)
    # The client writes its record up to a second after it has reported the turn over.
    wait_until(lambda: "Because of six times seven." in box.muxq("transcript", "job"), 20)
    box.work()
    assert len(box.sessions()) == 1
    box.muxq("close", "job")
    assert (box.job("job")["kept"], box.still_running()) == (False, [])


def test_a_long_message_arrives_whole(box: Sandbox) -> None:
    box.add("job", "@@write 42\n@@wait\n@@say ok", keep=True)
    box.work()
    text = "\n".join(f"line {number}" for number in range(1200))
    box.muxq("send", "job", "-", "--wait", given=text)
    assert text in json.loads(json.dumps(box.turns("job")[-1]["messages"]))[-1]["content"][-1]["text"]
    box.muxq("close", "job")


def test_a_persons_draft_is_never_typed_over(box: Sandbox, wait_until: Wait) -> None:
    box.add("job", "@@write 42\n@@wait\n@@say ok", keep=True)
    box.work()
    press(box, "-l", "I was about to")
    wait_until(lambda: "I was about to" in shown(box))
    box.muxq("send", "job", "mine", code=4)
    assert "❯ I was about to" in shown(box).replace("\xa0", " ")
    box.muxq("send", "job", "mine", "--wait", "--force")
    assert "mine" in asked(box)
    assert "I was about to" not in asked(box)
    box.muxq("close", "job")


def test_an_interrupted_turn_is_seen_and_goes_on_by_a_message(box: Sandbox, wait_until: Wait) -> None:
    box.add("job", f"{gate(box)}\n@@write 42", permissions="bypass", timeout=120)
    box.start("--drain")
    wait_until(lambda: sleeping(box), 30)
    press(box, "Escape")
    wait_until(lambda: "seen-idle" in box.events("job"), 40)
    job = box.job("job")
    assert (job["state"], job["status"], job["attention"]["kind"]) == ("running", "idle", "interrupted")
    box.muxq("turn", "job", code=1)
    box.muxq("send", "job", "Go on.")
    box.ends()
    assert (box.result("job"), box.still_running()) == ("42", [])


def test_a_permission_that_is_escaped_is_an_interruption(box: Sandbox, wait_until: Wait) -> None:
    box.add("job", f"@@bash touch {box.root / 'x'}\n@@write 42", permissions="ask", timeout=120)
    box.start("--drain")
    wait_until(lambda: "permission-asked" in box.events("job"), 30)
    box.muxq("send", "job", "Go on.", code=4)
    box.muxq("turn", "job", "--timeout", "12", code=1)
    assert (box.job("job")["status"], "seen-idle" in box.events("job")) == ("waiting", False)
    press(box, "Escape")
    assert box.muxq("turn", "job", code=1) == "interrupted\n"
    box.muxq("cancel", "job")
    box.ends(1)
    assert box.still_running() == []


def test_an_interrupted_message_stands_in_the_composer_again_and_is_a_draft(box: Sandbox, wait_until: Wait) -> None:
    """Where the agent has not answered yet the client puts it back; nobody looks after a kept session but who waits."""
    box.add("job", "@@write 42\n@@wait\n@@slow 60", keep=True)
    box.work()
    box.muxq("send", "job", "A question.")
    wait_until(lambda: "A question." in asked(box), 20)
    press(box, "Escape")
    assert box.muxq("turn", "job", code=1) == "interrupted\n"
    box.muxq("send", "job", "Another one.", code=4)
    box.muxq("send", "job", "Another one.", "--force")
    wait_until(lambda: "Another one." in asked(box), 20)
    box.muxq("close", "job")
    assert box.still_running() == []


def test_while_a_person_drives_the_turn_is_not_judged(box: Sandbox, wait_until: Wait) -> None:
    box.add("job", f"{gate(box)}\n@@silence", permissions="bypass")
    box.start("--drain")
    wait_until(lambda: sleeping(box), 30)
    box.muxq("mode", "job", "manual")
    (box.root / "go").touch()
    assert box.muxq("turn", "job") == "over\n"
    assert (box.state("job"), box.events("job").count("repair")) == ("running", 0)
    (box.run("job") / "output.md").write_text("by hand")
    box.muxq("mode", "job", "driving")
    box.ends()
    assert (box.result("job"), box.still_running()) == ("by hand", [])


def test_a_take_over_is_manual_as_long_as_it_lasts(box: Sandbox, wait_until: Wait) -> None:
    box.add("job", f"{gate(box)}\n@@write 42", permissions="bypass")
    box.start("--drain")
    wait_until(lambda: sleeping(box), 30)
    for leave in (b"\x1b[24~", b"\x02d", None):
        terminal, end = pty.openpty()
        person = subprocess.Popen(
            [MUXQ, "attach", "job", "--take-over"],
            env=box.env,
            stdin=end,
            stdout=end,
            stderr=end,
            start_new_session=True,
        )
        os.close(end)
        wait_until(lambda: box.tmux("list-clients") != "", 20)
        assert box.muxq("mode", "job") == "manual\n"
        box.muxq("send", "job", "mine", code=4)
        if leave:
            os.write(terminal, leave)
        else:
            person.kill()
        wait_until(lambda person=person: drained(terminal) and person.poll() is not None, 20)  # noqa: B023
        assert box.muxq("mode", "job") == "driving\n"
        os.close(terminal)
    (box.root / "go").touch()
    box.ends()
    assert box.still_running() == []


def drained(terminal: int) -> bool:
    """Read what has been drawn, so that nobody waits for it to be."""
    os.set_blocking(terminal, False)
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:
        pass
    return True


def test_a_conversation_of_a_person_becomes_a_job(box: Sandbox, wait_until: Wait) -> None:
    folder, known = box.root / "project", str(uuid.uuid4())
    folder.mkdir()
    box.muxq("adopt", known, "-C", str(folder), code=4)
    client = [str(box.root / "bin" / "claude"), "--session-id", known, "-p", "remember the word plum"]
    subprocess.run(client, env=box.env, cwd=folder, stdin=subprocess.DEVNULL, timeout=60, check=True)
    box.muxq("adopt", known, "@@write 42", "-C", str(folder), "--name", "job")
    box.work()
    record = box.record("job")
    assert (box.result("job"), record["session_id"], record["resumes"]) == ("42", known, None)
    last = [body for body in box.api.requests if session_of(body) == known][-1]
    assert "remember the word plum" in json.dumps(last["messages"])
    assert box.still_running() == []


def test_a_background_shell_after_the_turn_keeps_nobody_from_asking(box: Sandbox, wait_until: Wait) -> None:
    here = box.log
    box.add("job", f"@@write 42\n@@background tail -f {here}\n@@wait\n@@say ok", permissions="bypass", keep=True)
    box.start("--drain")
    wait_until(lambda: "turn-over" in box.events("job"), 30)
    assert box.muxq("turn", "job") == "over\n"
    assert box.job("job")["status"] == "idle"
    box.muxq("send", "job", "still there?", "--wait")
    assert "still there?" in asked(box)
    box.muxq("cancel", "job")
    box.ends(1)
    assert box.still_running() == []


def test_the_command_by_hand_names_the_client_and_no_secret(box: Sandbox) -> None:
    box.add("job", "@@write 42", env={"SOME_TOKEN": "s3cret"})
    box.work()
    command = box.job("job")["command"]
    assert command.startswith(f'cd {Path(box.record("job")["workdir"])} && env SOME_TOKEN="$SOME_TOKEN" ')
    assert ("--session-id" in command, "s3cret" in command) == (True, False)
