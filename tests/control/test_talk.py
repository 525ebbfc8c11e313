"""When a message is not typed, and what is said then. The typing itself: tests/lifecycle/test_talking.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.agents import profile
from runner.agents.attention import INTERRUPTED, Attention
from runner.agents.mode import Driver, Mode
from runner.agents.progress import Progress, Turn
from runner.control.talk import refusal
from runner.system.process import Proc

SESSIONS = [Path(__file__).parents[2] / "sessions"]
CLAUDE, SHELL = profile.load("claude", SESSIONS), profile.load("shell", SESSIONS)


def why(
    text: str = "hello", driver: Driver | None = None, now: Progress | None = None, agent: Any = CLAUDE, **flags: bool
) -> str:
    options = {"raw": False, "force": False, **flags}
    return refusal("JOB", text, agent, driver or Driver(), now or Progress(turn=Turn.OVER), **options)


@pytest.mark.parametrize("turn", Turn)
def test_a_message_may_be_typed_in_every_part_of_a_turn(turn: Turn) -> None:
    waiting = (Attention(INTERRUPTED, "x"),) if turn is Turn.INTERRUPTED else ()
    assert why(now=Progress(turn=turn, waiting=waiting)) == ""


def test_an_agent_without_a_composer_cannot_be_sent_messages() -> None:
    assert why(agent=SHELL) == "the agent 'shell' cannot be sent messages: its profile has no `composer`"


@pytest.mark.parametrize("text", ["", " \n"])
def test_nothing_is_no_message(text: str) -> None:
    assert why(text) == "there is nothing to send"


@pytest.mark.parametrize("text", ["/clear", "!rm x", "  /clear", "\n!ls"])
def test_a_command_of_the_agents_own_program_is_sent_only_when_told_so(text: str) -> None:
    assert ("send it with --raw" in why(text), why(text, raw=True)) == (True, "")


@pytest.mark.parametrize("mode", [Mode.MANUAL, Mode.PAUSED])
def test_a_person_who_drives_is_not_talked_over(mode: Mode) -> None:
    assert why(driver=Driver(mode)) == f"the mode of job JOB is {mode}; first: muxq mode JOB driving (or use --force)"
    assert why(driver=Driver(mode), force=True) == ""


def test_who_has_taken_over_is_named() -> None:
    assert "somebody has taken over the session of job JOB (process 7)" in why(driver=Driver(holder=Proc(7, 1.0)))


@pytest.mark.parametrize(
    ("kind", "commands"),
    [
        ("permission", "muxq approve JOB or muxq deny JOB"),
        ("question", "muxq answer JOB TEXT or muxq deny JOB"),
        ("dialog", "muxq answer JOB TEXT"),
    ],
)
def test_a_question_wants_an_answer_not_a_message(kind: str, commands: str) -> None:
    asked = Progress(turn=Turn.BUSY, waiting=(Attention(kind, "x"),))
    assert why(now=asked) == f"job JOB waits for an answer ({kind}: x), not for a message; answer it with: {commands}"
    assert why(now=asked, force=True) != ""


def test_a_program_that_has_ended_hears_nothing() -> None:
    assert why(now=Progress(exited=True)) == "the program of job JOB has ended"
