"""Where an agent's user types. The screens are those of the real client, cut to their last rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.agents import profile
from runner.agents.composer import draft, idle, plain

CLAUDE = profile.load("claude", [Path(__file__).parents[2] / "sessions"])
RULE = "\x1b[38;5;244m────────────"
HEAD = "\x1b[48;5;237m❯ \x1b[38;5;231mRead the file\x1b[39m\n  \x1b[38;5;231mand write.\x1b[39m\n"
DONE = "\x1b[38;5;246m✻\x1b[39m \x1b[38;5;246mSautéed for 3s · done 7:04 AM"
SPINS = "\x1b[38;5;174m✽\x1b[39m \x1b[38;5;174mSpelunking\x1b[38;5;216m…\x1b[38;5;174m \x1b[39m"
FOOT = "  \x1b[38;5;211m⏵⏵ bypass permissions on\x1b[38;5;246m (shift+tab to cycle)"
INTERRUPT = FOOT + " · esc to interrupt"

EMPTY = "\x1b[39m❯\xa0\x1b[7m \x1b[0m\x1b[39m\x1b[49m"
TYPED = "\x1b[39m❯\xa0a draft of mine\x1b[7m \x1b[0m"
AT_ITS_BEGIN = "\x1b[39m❯\xa0\x1b[7ma\x1b[0m draft of mine"
HINT = "\x1b[38;5;246m❯\xa0\x1b[7m\x1b[39mP\x1b[0;2m\x1b[39m\x1b[49mress up to edit queued messages"
PASTED = "\x1b[39m❯\xa0[Pasted text #1 +4 lines]\x1b[7m \x1b[0m"
TWO_ROWS = "\x1b[39m❯\xa0a draft of\n  two rows\x1b[7m \x1b[0m"
SHELL = "\x1b[38;5;211m!\xa0\x1b[39mls\x1b[7m \x1b[0m"
PERMISSION = " Do you want to proceed?\n \x1b[38;5;153m❯ 1. Yes\x1b[39m\n   2. No\n\n Esc to cancel"


def screen(composer: str, above: str = DONE, foot: str = FOOT) -> tuple[str, int]:
    """The screen, and the row of the cursor: the composer's last."""
    head = f"{HEAD}{above}\n{RULE}\n{composer}"
    return f"{head}\n{RULE}\n{foot}\n", head.count("\n")


@pytest.mark.parametrize(
    ("composer", "typed"),
    [
        (EMPTY, ""),
        ("❯", ""),
        (HINT, ""),
        (TYPED, "a draft of mine"),
        (AT_ITS_BEGIN, "a draft of mine"),
        (PASTED, "[Pasted text #1 +4 lines]"),
        (TWO_ROWS, "a draft of\ntwo rows"),
        (SHELL, None),
        ("", None),
    ],
)
def test_what_has_been_typed_is_read_off_the_cursors_line(composer: str, typed: str | None) -> None:
    assert draft(*screen(composer), CLAUDE.composer) == typed


def test_an_earlier_message_on_the_screen_is_no_composer() -> None:
    assert draft(HEAD + "\n", 2, CLAUDE.composer) is None


def test_a_cursor_below_the_screen_finds_no_composer() -> None:
    assert draft("❯", 7, CLAUDE.composer) is None


@pytest.mark.parametrize(
    ("shown", "waits"),
    [
        (screen(EMPTY), True),
        (screen(TYPED), True),
        (screen(EMPTY, above=SPINS, foot=INTERRUPT), False),
        (screen(TYPED, above=SPINS), False),  # the foot says nothing of an interrupt while somebody types
        (screen(EMPTY, foot=INTERRUPT), False),
        (("\n".join([HEAD, PERMISSION]), HEAD.count("\n") + 5), False),
    ],
)
def test_an_agent_waits_where_nothing_says_that_it_works(shown: tuple[str, int], waits: bool) -> None:
    assert idle(*shown, CLAUDE.composer, CLAUDE.working) is waits


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("a\x1b[2mb\x1b[22mc", "ac"),
        ("a\x1b[0;2mb\x1b[mc", "ac"),
        ("\x1b[38;5;2mgreen\x1b[48;2;1;2;2mx", "greenx"),
        ("\x1b[38:5:2mgreen", "green"),
        ("\x1b]8;;https://x\x1b\\link\x1b]8;;\x1b\\", "link"),
    ],
)
def test_colours_and_hints_are_left_out(line: str, text: str) -> None:
    assert plain(line) == text
