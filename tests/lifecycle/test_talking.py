"""Sharing live sessions: messages, modes, kept sessions, take-overs; with the echo agent and real workers."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.errors import BadInput, Refused
from tests.site import MUXQ, Site

from .test_worker import agent_events, busy, gated, open_gate

pytestmark = pytest.mark.lifecycle
Wait = Callable[..., None]


@pytest.fixture
def kept(site: Site) -> Site:
    """A site with a done job `chat` whose session is kept."""
    site.drop("chat", "Hello", agent="echo", keep=True)
    assert site.drain() == 0
    return site


def at_gate(site: Site, wait_until: Wait, then: str = "x", **keys: object) -> None:
    site.drop("job", gated(site, then), agent="echo", **keys)
    site.work("--drain")
    wait_until(lambda: "job" in site.states() and busy(site, "job"))


# --- messages and turns


def test_a_message_is_answered(kept: Site) -> None:
    asked = kept.queue.ask("chat", "What now?", 20)
    assert (asked["how"], asked["said"]) == ("over", "What now?")
    assert agent_events(kept, "chat").count("prompt-accepted") == 2


@pytest.mark.parametrize("text", ["é☃ two\nlines\n\nand more", "x" * 10_000, "\n".join("line" for _ in range(2000))])
def test_a_message_arrives_as_it_was_sent_and_once(kept: Site, text: str) -> None:
    assert kept.queue.ask("chat", text, 30)["said"] == text
    assert [message["text"] for message in kept.queue.transcript("chat") if message["who"] == "user"][1:] == [text]


def test_a_message_comes_from_stdin_too(kept: Site) -> None:
    done = subprocess.run(
        [*MUXQ, "send", "chat", "-", "--wait"], env=kept.env, input="from\nstdin", capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "from\nstdin\n", "")


def test_a_draft_is_not_typed_over(kept: Site, wait_until: Wait) -> None:
    session = kept.sessions()[0]
    kept.ask_tmux("send-keys", "-t", f"={session}:0.0", "-l", "mine")
    wait_until(lambda: b"mine" in kept.ask_tmux("capture-pane", "-p", "-t", f"={session}:0.0").stdout)
    with pytest.raises(Refused, match=r"somebody has begun to type to job .*: 'mine'; nothing was typed over it"):
        kept.queue.send("chat", "yours")
    assert kept.queue.ask("chat", "yours", 20, force=True)["said"] == "yours"


def test_a_turn_that_fails_is_not_over_well(kept: Site) -> None:
    done = kept.muxq("send", "chat", "@error rate_limit", "--wait")
    assert (done.returncode, done.stdout, "(failed): rate_limit" in done.stderr) == (1, "", True)
    assert kept.job("chat")["status"] == "limited"


def test_an_agent_that_leaves_in_the_middle_ends_the_wait(kept: Site) -> None:
    assert kept.queue.ask("chat", "@exit 3", 20)["how"] == "gone"
    assert (kept.job("chat")["kept"], kept.drain(), kept.sessions()) == (False, 0, [])


def test_waiting_for_a_turn_has_an_end(site: Site, wait_until: Wait) -> None:
    at_gate(site, wait_until)
    done = site.muxq("turn", "job", "--timeout", "0.1")
    assert (done.returncode, done.stdout, "is not over yet" in done.stderr) == (1, "", True)
    open_gate(site)
    assert site.workers[-1].wait(30) == 0


def test_what_a_kept_session_asks_is_answered_as_ever(kept: Site, wait_until: Wait) -> None:
    kept.queue.send("chat", "@ask Bash: make test")
    wait_until(lambda: kept.job("chat")["attention"])
    assert kept.job("chat")["status"] == "waiting"
    with pytest.raises(Refused, match=r"waits for an answer .*: muxq approve .* or muxq deny"):
        kept.queue.send("chat", "x")
    assert kept.muxq("approve", "chat").returncode == 0
    assert kept.queue.turn("chat", 20) == {
        "job": kept.job("chat")["id"],
        "how": "over",
        "said": "Bash: make test: allowed",
    }


@pytest.mark.parametrize(
    ("prompt", "agent", "how"),
    [("Hello", "echo", "over"), ("true", "shell", "over"), ("exit 3", "shell", "gone"), ("@silent", "echo", "over")],
)
def test_the_turn_of_a_job_that_has_ended_is_told_as_it_ended(site: Site, prompt: str, agent: str, how: str) -> None:
    site.drop("job", prompt, agent=agent)
    site.drain()
    assert site.queue.turn("job", 20)["how"] == how


def test_a_job_without_a_session_cannot_be_sent_messages(site: Site) -> None:
    site.drop("job", "Hello", agent="echo")
    assert site.drain() == 0
    with pytest.raises(Refused, match="is done, so it has no session"):
        site.queue.send("job", "x")


# --- modes


def test_while_a_person_drives_nothing_is_judged_and_nobody_sent_back(site: Site, wait_until: Wait) -> None:
    at_gate(site, wait_until, "@silent")
    site.queue.mode("job", "manual")
    open_gate(site)
    assert site.queue.turn("job", 20)["how"] == "over"
    assert (site.state("job"), "repair" in agent_events(site, "job")) == ("running", False)
    assert (site.job("job")["status"], site.job("job")["mode"]) == ("idle", "manual")
    assert "manual, idle" in site.muxq("ls").stdout
    Path(site.job("job")["output_path"]).write_text("by hand")
    site.queue.mode("job", "driving")
    assert (site.workers[-1].wait(30), site.queue.output("job")) == (0, "by hand")


def test_what_an_agent_asks_is_told_and_answered_whoever_drives(site: Site, wait_until: Wait) -> None:
    at_gate(site, wait_until, "@ask Bash: make test")
    site.queue.mode("job", "manual")
    open_gate(site)
    wait_until(lambda: site.events("job.attention"))
    assert "manual, waits for you (permission): Bash: make test" in site.muxq("ls").stdout
    site.queue.deny("job", reason="no")
    assert site.queue.turn("job", 20)["how"] == "over"
    site.queue.mode("job", "driving")
    assert (site.workers[-1].wait(30), site.queue.output("job")) == (0, "Bash: make test: refused: no\n")


def test_a_limit_is_waited_out_while_a_person_drives(site: Site, wait_until: Wait) -> None:
    at_gate(site, wait_until, "@limit 2\nthere", timeout=4)
    site.queue.mode("job", "manual")
    open_gate(site)
    wait_until(site.home.hold.exists, 20)
    assert (site.job("job")["status"], site.queue.turn("job", 20)["how"]) == ("limited", "failed")
    wait_until(lambda: site.job("job")["status"] == "idle", 20)
    site.queue.mode("job", "driving")
    assert (site.workers[-1].wait(30), site.queue.output("job"), len(site.job("job")["attempts"])) == (0, "there", 1)


def test_a_mode_outlives_its_worker(site: Site, wait_until: Wait) -> None:
    at_gate(site, wait_until)
    site.queue.mode("job", "paused")
    site.workers[-1].kill()
    site.workers[-1].wait()
    open_gate(site)
    site.queue.turn("job", 20)
    site.work("--drain")
    wait_until(lambda: site.events("job.taken-over"))
    assert (site.queue.mode("job"), site.state("job")) == ("paused", "running")
    site.queue.mode("job", "driving")
    assert site.workers[-1].wait(30) == 0


def test_time_away_does_not_count(site: Site, wait_until: Wait) -> None:
    at_gate(site, wait_until, timeout=3)
    site.queue.mode("job", "manual")
    since = site.job("job")["attempts"][-1]["started_at"]
    wait_until(lambda: _age(since) > 4, 20)
    site.queue.mode("job", "driving")
    open_gate(site)
    assert (site.workers[-1].wait(30), site.state("job")) == (0, "done")


def _age(since: str) -> float:
    import time

    from runner.system.clock import seconds

    return time.time() - seconds(since)


def test_a_job_that_a_person_drives_can_be_cancelled(site: Site, wait_until: Wait) -> None:
    at_gate(site, wait_until)
    site.queue.mode("job", "paused")
    site.queue.cancel("job")
    assert (site.workers[-1].wait(30), site.state("job"), site.left()) == (1, "cancelled", [])


def test_an_unknown_mode_is_refused_with_the_known_ones(kept: Site) -> None:
    with pytest.raises(BadInput, match="'auto' is not a mode; there are: driving, manual, paused"):
        kept.queue.mode("chat", "auto")


def attached(site: Site, *words: str) -> tuple[subprocess.Popen[bytes], int]:
    """A person who has attached, and their terminal."""
    terminal, end = pty.openpty()
    os.set_blocking(terminal, False)
    person = subprocess.Popen(
        [*MUXQ, "attach", *words],
        env={**site.env, "TERM": "xterm-256color"},
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
    )
    os.close(end)
    return person, terminal


def seen(terminal: int) -> bytes:
    output = b""
    try:
        while data := os.read(terminal, 65536):
            output += data
    except OSError:
        pass
    return output


@pytest.mark.parametrize("leave", [b"\x1b[24~", b"\x02d", None], ids=["F12", "prefix d", "killed"])
def test_a_take_over_is_manual_as_long_as_the_person_is_there(
    kept: Site, wait_until: Wait, leave: bytes | None
) -> None:
    person, terminal = attached(kept, "chat", "--take-over")
    output = bytearray()
    wait_until(lambda: output.extend(seen(terminal)) or b"F12 leaves the session" in output)
    wait_until(lambda: kept.ask_tmux("list-clients").stdout)
    assert kept.queue.mode("chat") == "manual"
    with pytest.raises(Refused, match="somebody has taken over the session of job"):
        kept.queue.send("chat", "x")
    second = kept.queue.session("chat")
    with pytest.raises(Refused, match="already"):
        second.take_over()
    if leave:
        os.write(terminal, leave)
    else:
        person.kill()
    wait_until(lambda: (seen(terminal), person.poll() is not None)[1])
    assert (kept.queue.mode("chat"), kept.queue.ask("chat", "x", 20)["said"]) == ("driving", "x")
    os.close(terminal)


def test_who_only_watches_changes_no_mode(kept: Site, wait_until: Wait) -> None:
    person, terminal = attached(kept, "chat")
    wait_until(lambda: kept.ask_tmux("list-clients").stdout)
    assert kept.queue.mode("chat") == "driving"
    person.send_signal(signal.SIGKILL)
    person.wait()
    os.close(terminal)


# --- kept sessions


def test_a_kept_session_takes_no_slot_and_is_left_alone(kept: Site) -> None:
    assert (kept.job("chat")["state"], kept.job("chat")["kept"], len(kept.sessions())) == ("done", True, 1)
    kept.drop("another", "x", agent="echo")
    assert kept.drain("--jobs", "1") == 0
    assert (kept.state("another"), len(kept.sessions()), kept.job("chat")["status"]) == ("done", 1, "idle")


def test_a_session_is_kept_by_a_word_while_it_runs(site: Site, wait_until: Wait) -> None:
    at_gate(site, wait_until)
    site.queue.keep("job")
    open_gate(site)
    assert (site.workers[-1].wait(30), site.job("job")["kept"]) == (0, True)
    site.queue.close("job")
    assert (site.job("job")["kept"], site.sessions(), site.left()) == (False, [], [])


def test_a_word_that_is_taken_back_keeps_nothing(site: Site, wait_until: Wait) -> None:
    at_gate(site, wait_until, keep=True)
    site.queue.close("job")
    open_gate(site)
    assert (site.workers[-1].wait(30), site.job("job")["kept"], site.sessions()) == (0, False, [])


def test_a_session_without_a_result_is_not_kept(site: Site) -> None:
    site.drop("job", "@silent", agent="echo", keep=True)
    assert (site.drain(), site.sessions(), site.left()) == (1, [], [])


def test_closing_ends_all_that_the_session_has_started(kept: Site, wait_until: Wait) -> None:
    kept.queue.ask("chat", "@run setsid sleep 600 >/dev/null 2>&1 &", 20)
    wait_until(lambda: len(kept.left()) == 2)  # the hook at the turn's end may still be ending
    assert kept.muxq("close", "chat").returncode == 0
    assert (kept.left(), kept.sessions()) == ([], [])
    assert "keeps no session open" in kept.muxq("close", "chat").stderr


def test_what_is_put_away_is_closed(kept: Site, wait_until: Wait) -> None:
    wait_until(lambda: kept.muxq("clean", "--older-than", "1").stdout)
    assert (kept.left(), kept.sessions()) == ([], [])


# --- by hand


@pytest.mark.parametrize("agent", ["echo", "shell"])
def test_the_printed_command_gives_the_same_result_by_hand(site: Site, agent: str) -> None:
    prompt = 'echo "$WORD, $MY_TOKEN"' if agent == "shell" else "Hello\n@exit 0"
    env = {"WORD": "it's $HOME", "MY_TOKEN": "s3cret", "OTHER": {"from_env": "OUTER"}}
    site.drop("job", prompt if agent == "shell" else "Hello", agent=agent, env=env)
    assert site.drain(OUTER="outer") == 0
    command, output = site.job("job")["command"], Path(site.job("job")["output_path"])
    before = output.read_text()
    output.unlink()
    assert ("s3cret" in command, 'OTHER="$OUTER"' in command) == (False, True)
    subprocess.run(
        ["sh", "-c", command], env={**site.env, "MY_TOKEN": "s3cret", "OUTER": "outer"}, stdin=subprocess.DEVNULL,
        check=True, timeout=20, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    assert output.read_text() == before


def test_events_are_told_one_a_line(kept: Site) -> None:
    lines = kept.muxq("events", "chat", "--type", "turn-over", "--type", "started", "--json").stdout.splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["started", "turn-over"]
    assert len(kept.muxq("events", "chat", "--last", "1", "--follow").stdout.splitlines()) == 1
