"""What others wrote gives the terminal of whoever looks no orders."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner.home import hold
from runner.home.layout import Home
from runner.home.spool import Spool
from runner.intake.drops import admit
from runner.jobs.state import State
from runner.tmux.setup import find_tmux
from tests.site import MUXQ, Site

JOB = b'{"prompt": "hello", "agent": "echo"}'
ID = "1m7y5qbm8p7at6"
ORDERS = "\x1b]0;pwned\x07\x1b[2J\x9b5mx"
"""To a terminal: call yourself pwned, ring, be empty, blink."""


@dataclass
class Screen:
    """`muxq` on a terminal of its own."""

    home: Home

    def __call__(self, *words: str, given: bytes = b"") -> bytes:
        """What the command sends to its terminal, on which somebody types `given`."""
        path = os.pathsep.join([str(Path(find_tmux()).parent), "/usr/bin", "/bin"])
        env = {"PATH": path, "HOME": str(self.home.path), "MUXQ_HOME": str(self.home.path), "TERM": "xterm"}
        ours, its = pty.openpty()
        command = subprocess.Popen(
            [*MUXQ, *words], env=env | {"LANG": "C.UTF-8"}, stdin=its, stdout=its, stderr=its, cwd="/"
        )
        os.close(its)
        os.write(ours, given)
        sent = b""
        with contextlib.suppress(OSError):  # Linux: EIO at the end
            while data := os.read(ours, 1 << 16):
                sent += data
        os.close(ours)
        assert command.wait(timeout=30) in (0, 1, 5)
        return sent


@pytest.fixture
def screen(home: Home) -> Screen:
    return Screen(home)


def obeyed(sent: bytes) -> list[bytes]:
    """The orders of ORDERS that reached the terminal."""
    return [order for order in (b"\x1b]0;", b"\x07", b"\x1b[2J", b"\xc2\x9b", b"\x9b5m") if order in sent]


def test_the_name_of_a_refused_or_unfinished_drop_gives_the_terminal_no_orders(home: Home, screen: Screen) -> None:
    (home.queue / f"bad {ORDERS}.json").write_bytes(b"[]")
    (home.queue / f"half {ORDERS}.json").write_bytes(b"{")
    sent = screen("ls")
    assert (b"bad " in sent, b"half " in sent, obeyed(sent)) == (True, True, [])


def test_the_name_of_a_job_gives_the_terminal_no_orders(home: Home, screen: Screen) -> None:
    (home.queue / f"name {ORDERS}.json").write_bytes(JOB)
    (entry,) = admit(Spool(home)).admitted
    for words in (("ls",), ("show", entry.id), ("logs", entry.id)):
        sent = screen(*words)
        assert (words, b"name " in sent, obeyed(sent)) == (words, True, [])


def test_a_name_of_two_lines_forges_no_line(home: Home, screen: Screen) -> None:
    (home.queue / "x\nstate:        done.json").write_bytes(JOB)
    (home.queue / f"bad\n{ID}  done.json").write_bytes(b"[]")
    (entry,) = admit(Spool(home)).admitted
    lines = [
        line for words in (("ls",), ("show", entry.id), ("logs", entry.id)) for line in screen(*words).splitlines()
    ]
    assert [line for line in lines if line.startswith((b"state:        done", ID.encode()))] == []


EVENTS = [
    ("started", {}),
    ("tool-started", {"tool_name": f"tool {ORDERS}", "tool_input": {"command": f"command {ORDERS}"}}),
    ("permission-asked", {"tool_name": f"asked {ORDERS}"}),
    ("dialog", {"text": f"dialog {ORDERS}"}),
    ("dialog-answered", {"dialog": ORDERS, "chosen": ORDERS}),
    ("turn-failed", {"error": f"failed {ORDERS}", "last_assistant_message": ORDERS}),
    ("repair", {"reason": ORDERS}),
    ("tool-started", {"tool_name": "half \ud800", "tool_input": {"command": ORDERS}}),
]


@pytest.mark.parametrize("count", [3, 8])
def test_what_an_agent_says_gives_the_terminal_no_orders(home: Home, screen: Screen, count: int) -> None:
    (home.folders[State.RUNNING] / f"{ID}.json").write_bytes(JOB)
    (home.runs / ID / "1").mkdir(parents=True)
    with (home.runs / ID / "1" / "events.jsonl").open("w") as file:
        for name, data in EVENTS[:count]:
            line = {"version": 1, "at": "2026-03-01T02:00:00.000Z", "event": name, "data": data}
            file.write(json.dumps(line) + "\n")
    for words in (("ls",), ("show", ID), ("logs", ID)):
        sent = screen(*words)
        assert (words, b"internal error" in sent, obeyed(sent)) == (words, False, [])
    for words in (("show", ID, "--json"), ("logs", ID, "--json")):
        sent = screen(*words)
        assert (words, b"internal error" in sent, obeyed(sent)) == (words, False, [])


def test_the_reason_of_a_hold_or_a_failure_gives_the_terminal_no_orders(home: Home, screen: Screen) -> None:
    hold.put(home, hold.Hold(f"held {ORDERS}"))
    (home.folders[State.FAILED] / f"{ID}.json").write_bytes(JOB)
    (home.runs / ID / "1").mkdir(parents=True)
    record = {"version": 1, "outcome": "failed", "error": "agent-error", "message": f"why {ORDERS}"}
    (home.runs / ID / "1" / "outcome.json").write_text(json.dumps(record))
    for words in (("ls",), ("show", ID), ("doctor",), ("release",)):
        assert (words, obeyed(screen(*words))) == (words, [])


def done(home: Home, text: str) -> None:
    """A job that is done, with this result."""
    (home.folders[State.DONE] / f"{ID}.json").write_bytes(JOB)
    run = home.runs / ID / "1"
    run.mkdir(parents=True)
    (run / "output.md").write_text(text)
    (run / "attempt.json").write_text(json.dumps({"output": {"path": str(run / "output.md")}}))


@pytest.mark.parametrize("text", [f"one\n\ttwo {ORDERS}\nthree", "x" * 70_000 + ORDERS, ""])
def test_a_result_gives_the_terminal_no_orders_and_keeps_its_lines(home: Home, screen: Screen, text: str) -> None:
    done(home, text)
    sent = screen("output", ID)
    assert (obeyed(sent), sent.count(b"\r\n")) == ([], len(text.splitlines()) + (len(text) > 65_536))
    assert b"\ttwo" in sent or "\t" not in text


def test_the_whole_request_is_shown_before_a_person_allows_it(home: Home, screen: Screen) -> None:
    command = f"make COVERAGE=yes {'x' * 200}; id > FILE {ORDERS}\nrequest forged"
    events = [("permission-asked", {"id": "0a1b2c3d", "tool_name": "Bash", "tool_input": {"command": command}})]
    (home.folders[State.RUNNING] / f"{ID}.json").write_bytes(JOB)
    (home.runs / ID / "1").mkdir(parents=True)
    with (home.runs / ID / "1" / "events.jsonl").open("w") as file:
        for name, data in events:
            file.write(json.dumps({"version": 1, "at": "2026-03-01T02:00:00.000Z", "event": name, "data": data}) + "\n")
    for words in (("show", ID), ("approve", ID)):
        sent = screen(*words, given=b"n\n")
        assert (obeyed(sent), b"; id > FILE \\x1b]0;pwned\\x07\\x1b[2J" in sent) == ([], True)
        assert [line for line in sent.splitlines() if line.startswith(b"request")] == []
        assert b"muxq approve 1m7y5qbm8p7at6 --request 0a1b2c3d" in sent or words[0] == "approve"
    assert list((home.runs / ID / "1").glob("answer-*")) == []


@pytest.mark.lifecycle
def test_the_workers_own_lines_give_the_terminal_no_orders(site: Site) -> None:
    (site.folder / "worker.log").touch()
    (site.home.queue / f"bad {ORDERS}.json").write_bytes(b"[]")
    job = {"prompt": f"sleep 0.7; printf '{ORDERS}'; exit 1", "agent": "shell"}
    (site.home.queue / f"[blink]name {ORDERS}.json").write_text(json.dumps(job))
    sent = Screen(site.home)("work", "--drain")
    assert (obeyed(sent), b"[blink]name" in sent) == ([], True)
    (site.home.queue / f"bad {ORDERS}.json").write_bytes(b"[]")
    assert (site.drain(), obeyed(site.log().encode())) == (0, [])
