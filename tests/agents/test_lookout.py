"""What stands in an agent's way, and who drives meanwhile."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import replace
from pathlib import Path

import pytest

from runner.agents import claude, profile
from runner.agents.attention import INTERRUPTED, Attention
from runner.agents.lookout import Lookout
from runner.agents.progress import Progress, Turn, fold
from runner.home import events
from runner.home.attempt_folder import next_folder
from runner.home.layout import Home

CLAUDE = profile.load("claude", [Path(__file__).parents[2] / "sessions"])
TRUST = (
    "Do you trust the files in this folder?\n ❯ 1. Yes, proceed\n   2. No, exit\n Enter to confirm · Esc to cancel\n"
)
ASKED = Attention("permission", "Bash: x", "2026-01-01T00:00:00Z", id="a")


class Screen:
    """A terminal of which only the screen is there; it keeps the keys."""

    def __init__(self, shown: str) -> None:
        self.shown = shown
        self.pressed: list[str] = []

    async def screen(self, session: str) -> str:
        return self.shown

    async def keys(self, session: str, *keys: str) -> None:
        self.pressed += keys


class Scene:
    """A lookout whose agent was launched long enough ago to be looked at."""

    def __init__(self, home: Home, shown: str) -> None:
        self.terminal, self.alerts = Screen(shown), list[str]()
        self.run = next_folder(home, "1m7y5q8nvn2kj7")
        self.lookout = Lookout(
            home,
            self.run,
            self.terminal,  # type: ignore[arg-type]
            replace(CLAUDE, start_timeout=math.inf),
            permissions="edits",
            launched=time.monotonic() - 60,
            alert=lambda request: self.alerts.append(request.kind),
        )

    def look(self, now: Progress, *, driving: bool) -> float:
        return asyncio.run(self.lookout.look(now, driving=driving))

    def events(self) -> list[str]:
        return [event.name for event in events.read(self.run.events)]


def test_a_dialog_is_left_to_whoever_drives(home: Home) -> None:
    scene = Scene(home, TRUST)
    assert (scene.look(Progress(), driving=False), scene.terminal.pressed) == (math.inf, [])
    assert (scene.look(Progress(), driving=True) < math.inf, scene.terminal.pressed) == (True, ["Enter"])


@pytest.mark.parametrize("driving", [True, False])
def test_a_request_is_told_and_its_end_is_seen_whoever_drives(home: Home, driving: bool) -> None:
    scene = Scene(home, "✽ Spelunking…\n❯ \n")
    scene.look(Progress(True, Turn.BUSY, waiting=(ASKED,)), driving=driving)
    assert (scene.alerts, scene.events()) == (["permission"], ["alerted", "permission-answered"])
    assert fold(Progress(waiting=(ASKED,)), events.read(scene.run.events), claude).attention is None


def test_a_request_waits_while_its_question_stands_there(home: Home) -> None:
    scene = Scene(home, "✽ Spelunking…\n Do you want to proceed?\n ❯ 1. Yes\n   2. No\n")
    scene.look(Progress(True, Turn.BUSY, waiting=(ASKED,)), driving=True)
    assert scene.events() == ["alerted"]


def test_an_interruption_is_told_once_the_person_no_longer_drives(home: Home) -> None:
    scene = Scene(home, "❯ ")
    interrupted = Progress(True, Turn.INTERRUPTED, waiting=(Attention(INTERRUPTED, "x", "t"),))
    scene.look(interrupted, driving=False)
    assert scene.alerts == []
    for _ in range(2):
        scene.look(interrupted, driving=True)
    assert scene.alerts == [INTERRUPTED]
