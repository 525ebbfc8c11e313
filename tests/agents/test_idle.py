"""The look at a session that should be at work and says nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.agents import profile
from runner.agents.attention import Attention
from runner.agents.idle import SILENCE, IdleWatch
from runner.agents.progress import Progress, Turn
from runner.errors import NotFound
from runner.home import events as event
from runner.home.attempt_folder import AttemptFolder
from runner.tmux.terminal import View

CLAUDE = profile.load("claude", [Path(__file__).parents[2] / "sessions"])
BUSY = Progress(started=True, turn=Turn.BUSY, events=3)


class Screen:
    """A terminal of which only the screen is there."""

    def __init__(self, *shown: str) -> None:
        self.shown = list(shown)

    async def view(self, session: str) -> View:
        text = self.shown.pop(0)
        if text == "gone":
            raise NotFound(session)
        return View(text, text.count("\n"))


def look(tmp_path: Path, shown: list[str], *nows: Progress, agent: Any = CLAUDE, silent: float = SILENCE) -> int:
    """How often `seen-idle` was told after a look for each of `nows`."""
    run = AttemptFolder("1m7y5q8nvn2kj7", 1, tmp_path)
    watch = IdleWatch(run, Screen(*shown))  # type: ignore[arg-type]

    async def looks() -> None:
        for now in nows:
            await watch.look(agent, now, silent)

    asyncio.run(looks())
    return len(event.read(run.events))


def test_two_idle_screens_in_a_row_are_told(tmp_path: Path) -> None:
    assert look(tmp_path, ["❯ ", "❯ "], BUSY, BUSY) == 1


@pytest.mark.parametrize(
    ("shown", "second"),
    [
        (["❯ ", "✻ Thinking…\n❯ "], BUSY),
        (["✻ Thinking…\n❯ ", "❯ "], BUSY),
        (["❯ ", "❯ "], replace(BUSY, events=4)),
        (["❯ ", "gone"], BUSY),
    ],
    ids=["at work again", "at work before", "a word between", "session gone"],
)
def test_anything_between_them_is_no_interruption(tmp_path: Path, shown: list[str], second: Progress) -> None:
    assert look(tmp_path, shown, BUSY, second) == 0


@pytest.mark.parametrize(
    ("now", "silent"),
    [
        (Progress(turn=Turn.OVER), 60.0),
        (Progress(), 60.0),
        (BUSY, SILENCE / 2),
    ],
)
def test_only_a_silent_session_in_the_middle_of_a_turn_is_looked_at(
    tmp_path: Path, now: Progress, silent: float
) -> None:
    assert look(tmp_path, [], now, now, silent=silent) == 0


def test_a_permission_that_was_escaped_is_found_by_the_screen(tmp_path: Path) -> None:
    asked = replace(BUSY, waiting=(Attention("permission", "x"),))
    question = "Do you want to proceed?\n❯ 1. Yes"
    assert look(tmp_path, [question, question, "❯ ", "❯ "], asked, asked, asked, asked) == 1


def test_an_agent_whose_composer_is_not_known_is_not_looked_at(tmp_path: Path) -> None:
    assert look(tmp_path, [], BUSY, BUSY, agent=replace(CLAUDE, composer="")) == 0
