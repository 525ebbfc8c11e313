"""Screens of the real client, as tests/screens/record.py recorded them, and what the shipped profile makes of each.

A screen that is taken for another is the danger: a key pressed where nobody asked, a wait for what never comes.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runner.agents import profile, screen
from runner.home import layout

CLAUDE = profile.load("claude", [layout.shipped("sessions")])
FOLDER = Path(__file__).parent / "screens" / "claude"
RECORDED = sorted(FOLDER.glob("*/*.txt"))
VERSIONS = sorted(folder.name for folder in FOLDER.iterdir())

DIALOGS = {
    "trust": ("trust", "Down"),
    "trust-narrow": ("trust", "Down"),
    "bypass": ("bypass", "Down"),
    "bypass-narrow": ("bypass", "Down"),
    "api-key": ("api-key", "Up"),
    "api-key-narrow": ("api-key", "Up"),
}
"""Which dialog each of them is, and the first key towards its option. No other screen is one."""

WAITS_OUT = {"limit-5h", "limit-5h-narrow", "limit-week-hours", "limit-week-days-waits"}
"""Where the client goes on by itself after the reset. Nowhere else does it say so."""

OTHERS = {
    "idle", "idle-narrow", "idle-bypass", "idle-speaks", "draft", "working", "taken-back", "interrupted",
    "permission-bash", "permission-bash-narrow", "permission-write", "question", "background",
    "limit-5h-cancelled", "limit-week-days", "limit-week-days-narrow", "limit-week-days-stopped",
    "throttled", "rejected-429", "overloaded-retrying", "overloaded", "server-error",
    "bad-token", "bad-key", "bad-login", "no-login", "no-credit",
}  # fmt: skip
"""What must be taken for none of these."""


def each(recorded: list[Path]) -> pytest.MarkDecorator:
    ids = [f"{path.parent.name}-{path.stem}" for path in recorded]
    return pytest.mark.parametrize("path", recorded, ids=ids)


def dialogs() -> list[Path]:
    return [path for path in RECORDED if path.stem in DIALOGS]


@each(RECORDED)
def test_a_dialog_is_found_where_one_stands_and_nowhere_else(path: Path) -> None:
    dialog = screen.find(path.read_text("utf-8"), CLAUDE.dialogs)
    assert (dialog and dialog.name) == DIALOGS.get(path.stem, (None,))[0]


@each(dialogs())
def test_the_first_key_moves_to_the_chosen_option(path: Path) -> None:
    shown = path.read_text("utf-8")
    dialog = screen.find(shown, CLAUDE.dialogs)
    assert dialog
    assert screen.next_key(shown, dialog.choose) == screen.Key(DIALOGS[path.stem][1], final=False)


@each(dialogs())
def test_with_the_mark_on_the_chosen_option_it_is_confirmed(path: Path) -> None:
    shown = re.sub(r"( +)❯ (No.*)\n( +)  (Yes.*)", r"\1  \2\n\3❯ \4", path.read_text("utf-8"))
    shown = re.sub(r"( +)  (Yes)\n( +)❯ (No.*)", r"\1❯ \2\n\3  \4", shown)
    dialog = screen.find(shown, CLAUDE.dialogs)
    assert dialog
    assert screen.next_key(shown, dialog.choose) == screen.Key("Enter", final=True)


@each(RECORDED)
def test_only_a_client_that_says_so_goes_on_after_its_limit(path: Path) -> None:
    assert screen.says(path.read_text("utf-8"), CLAUDE.waits_out) == (path.stem in WAITS_OUT)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_screen_of_a_version_is_judged(version: str) -> None:
    assert {path.stem for path in (FOLDER / version).iterdir()} <= {*DIALOGS, *WAITS_OUT, *OTHERS}


def test_the_newest_recording_has_them_all() -> None:
    newest = max(VERSIONS, key=lambda version: [int(number) for number in version.split(".")])
    assert {path.stem for path in (FOLDER / newest).iterdir()} == {*DIALOGS, *WAITS_OUT, *OTHERS}
