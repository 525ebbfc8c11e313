"""Which request an answer is for; choosing an option of a dialog on the screen: by looking, never blindly."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from runner.agents.agent import Decision
from runner.control import answers
from runner.errors import BadInput, Unready
from runner.home import events
from runner.home.attempt_folder import AttemptFolder, next_folder
from runner.home.layout import Home
from runner.tmux.terminal import Tmux

OPTIONS = ["Yes, I accept", "Perhaps", "No, exit"]


class Scripted(Tmux):
    """A terminal with one dialog on its screen, which moves its mark as keys are pressed."""

    def __init__(self, marked: int = 2, *, deaf: bool = False) -> None:
        super().__init__(Path("/nowhere"))
        self.marked, self.deaf = marked, deaf
        self.pressed: list[str] = []

    async def screen(self, session: str) -> str:
        if "Enter" in self.pressed and not self.deaf:
            return "> ready"
        lines = [f"{'❯' if at == self.marked else ' '} {at + 1}. {text}" for at, text in enumerate(OPTIONS)]
        return "\n".join(["Do you accept? No is wise.", *lines, "Enter to confirm"])

    async def keys(self, session: str, *names: str) -> None:
        self.pressed += names
        if not self.deaf:
            self.marked += {"Up": -1, "Down": 1}.get(names[0], 0)


@pytest.mark.parametrize(
    ("text", "chosen", "pressed"),
    [
        ("yes", "Yes, I accept", ["Up", "Up", "Enter"]),
        ("Perhaps", "Perhaps", ["Up", "Enter"]),
        ("no", "No, exit", ["Enter"]),
    ],
)
def test_enter_is_pressed_once_the_option_is_the_marked_one(text: str, chosen: str, pressed: list[str]) -> None:
    terminal = Scripted()
    assert (asyncio.run(answers.press(terminal, "s", text)), terminal.pressed) == (chosen, pressed)


@pytest.mark.parametrize("text", ["never", ""])
def test_without_such_an_option_no_key_is_pressed_and_those_there_are_named(text: str) -> None:
    terminal = Scripted()
    with pytest.raises(BadInput, match="there are: Yes, I accept, Perhaps, No, exit"):
        asyncio.run(answers.press(terminal, "s", text))
    assert terminal.pressed == []


def test_a_dialog_that_does_not_obey_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "ARRIVES", 0.1)
    terminal = Scripted(deaf=True)
    with pytest.raises(Unready, match="does not obey the key Up"):
        asyncio.run(answers.press(terminal, "s", "yes"))
    assert terminal.pressed == ["Up"]


@pytest.mark.parametrize("decision", [Decision("allow"), Decision("deny"), Decision("answer", texts=("x",))])
def test_an_interrupted_turn_is_answered_by_a_message(home: Home, decision: Decision) -> None:
    run = next_folder(home, "1m7y5q8nvn2kj7")
    for name in ("prompt-accepted", "seen-idle"):
        events.emit(run.events, name)
    with pytest.raises(BadInput, match="send it one: muxq send 1m7y5q8nvn2kj7 TEXT"):
        answers.decide(home, run, decision)


# ---- which request an answer is for


@pytest.fixture
def run(home: Home) -> AttemptFolder:
    return next_folder(home, "1m7y5q8nvn2kj7")


def ask(run: AttemptFolder, request: str, command: str) -> None:
    events.emit(run.events, "permission-asked", id=request, tool_name="Bash", tool_input={"command": command})


def test_an_answer_to_a_request_that_has_ended_is_refused(home: Home, run: AttemptFolder) -> None:
    ask(run, "first", "make test")
    events.emit(run.events, "permission-answered", id="first", by="limit", decision="deny")
    ask(run, "second", "rm -rf /")
    with pytest.raises(BadInput, match="does not wait with request first any more"):
        answers.decide(home, run, Decision("allow"), "first")
    assert list(run.path.glob("answer-*")) == []


def test_an_answer_without_a_name_is_refused_once_a_request_has_ended_by_itself(home: Home, run: AttemptFolder) -> None:
    ask(run, "first", "make test")
    events.emit(run.events, "permission-answered", id="first", by="limit", decision="deny")
    ask(run, "second", "rm -rf /")
    with pytest.raises(BadInput, match=r"request first .* has ended without you.* --request second"):
        answers.decide(home, run, Decision("allow"))
    assert (answers.waits_with(home, run, "second").detail, list(run.path.glob("answer-*"))) == ("Bash: rm -rf /", [])


def test_of_several_requests_the_one_that_is_named_is_meant(home: Home, run: AttemptFolder) -> None:
    ask(run, "first", "make test")
    ask(run, "second", "rm -rf /")
    assert answers.waits_with(home, run, "second").detail == "Bash: rm -rf /"
    assert answers.oldest(home, run).key == "first"


def test_a_dialog_that_has_changed_is_not_the_one_that_was_seen(home: Home, run: AttemptFolder) -> None:
    events.emit(run.events, "dialog", text="Trust this folder?")
    seen = answers.oldest(home, run).key
    assert answers.waits_with(home, run, seen).detail == "Trust this folder?"
    events.emit(run.events, "dialog", text="Use this API key?")
    with pytest.raises(BadInput, match=f"does not wait with request {seen} any more"):
        answers.waits_with(home, run, seen)


def test_two_commands_that_begin_alike_are_two_requests(home: Home, run: AttemptFolder) -> None:
    alike = "make COVERAGE=yes " + "x" * 200
    ask(run, "first", f"{alike}; true")
    events.emit(run.events, "tool-finished", tool_name="Bash", tool_input={"command": f"{alike}; id"})
    assert answers.oldest(home, run).key == "first"
    events.emit(run.events, "tool-finished", tool_name="Bash", tool_input={"command": f"{alike}; true"})
    with pytest.raises(BadInput, match="waits for nobody"):
        answers.oldest(home, run)
