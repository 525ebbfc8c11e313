"""Start-up dialogs as they stand on a screen, and the keys that answer them."""

from __future__ import annotations

import pytest

from runner.agents import profile
from runner.agents.profile import Dialog
from runner.agents.screen import Key, asks, at_work, find, last_line, next_key, options, says, words
from runner.home import layout

CLAUDE = profile.load("claude", [layout.shipped("sessions")])
_, TRUST, BYPASS, API_KEY = CLAUDE.dialogs

TRUST_YES = """
╭──────────────────────────────────────────────────────────────────────────────╮
│                                                                              │
│ Do you trust the files in this folder?                                       │
│                                                                              │
│ /home/me/project                                                             │
│                                                                              │
│ Claude Code may read, write, or execute files contained in this directory.   │
│ This can pose security risks, so only use files from trusted sources.        │
│                                                                              │
│ ❯ 1. Yes, proceed                                                            │
│   2. No, exit                                                                │
│                                                                              │
╰──────────────────────────────────────────────────────────────────────────────╯
   Enter to confirm · Esc to exit
"""
TRUST_NO = TRUST_YES.replace("❯ 1. Yes", "  1. Yes").replace("  2. No", "❯ 2. No")
TRUST_NEW = """
 Accessing workspace:

 /home/me/project

 Quick safety check: Is this a project you created or one you trust? (Like your own code, a well-known open source
 project, or work from your team). If not, take a moment to review what's in this folder first.

 Claude Code'll be able to read, edit, and execute files here.

 ❯ 1. Yes, I trust this folder
   2. No, exit

 Enter to confirm · Esc to cancel
"""
BYPASS_NO = """
 WARNING: Claude Code running in Bypass Permissions mode

 In Bypass Permissions mode, Claude Code will not ask for your approval before running potentially dangerous commands.
 This mode should only be used in a sandboxed container/VM that has restricted internet access.

 By proceeding, you accept all responsibility for actions taken while running in Bypass Permissions mode.

 https://code.claude.com/docs/en/security

 ❯ 1. No, exit
   2. Yes, I accept

 Enter to confirm · Esc to exit
"""
BYPASS_YES = BYPASS_NO.replace("❯ 1. No", "  1. No").replace("  2. Yes", "❯ 2. Yes")
NARROW = """
 Quick safety check: Is this a project you
 created or one you trust?

 ❯ 1. Yes, I trust this folder
   2. No, exit

 Enter to confirm · Esc to cancel
"""
KEY_NO = """
 Detected a custom API key in your environment

 ANTHROPIC_API_KEY: sk-ant-...abcdefgh

 Do you want to use this API key?

   1. Yes
 ❯ 2. No (recommended)

 Enter to confirm · Esc to cancel
"""
WORKING = """
❯ Read the file "/q/runs/1/prompt.md" and carry out the task in it completely, without asking questions.

● Reading 1 file… (ctrl+o to expand)

✻ Working… (3s · ↓ 33 tokens)

❯
  ⏵⏵ accept edits on (shift+tab to cycle)
"""


@pytest.mark.parametrize(
    ("screen", "dialog"),
    [
        (TRUST_YES, TRUST),
        (TRUST_NO, TRUST),
        (TRUST_NEW, TRUST),
        (NARROW, TRUST),
        (BYPASS_NO, BYPASS),
        (BYPASS_YES, BYPASS),
        (KEY_NO, API_KEY),
        (WORKING, None),
        ("", None),
    ],
    ids=["trust, Yes", "trust, No", "trust, new", "trust, narrow", "bypass, No", "bypass, Yes", "key", "busy", "none"],
)  # fmt: skip
def test_a_known_dialog_is_found_by_its_text(screen: str, dialog: Dialog | None) -> None:
    assert find(screen, CLAUDE.dialogs) == dialog


@pytest.mark.parametrize(
    ("screen", "dialog", "key"),
    [
        (TRUST_YES, TRUST, Key("Enter", final=True)),
        (TRUST_NO, TRUST, Key("Up", final=False)),
        (TRUST_NEW, TRUST, Key("Enter", final=True)),
        (NARROW, TRUST, Key("Enter", final=True)),
        (BYPASS_NO, BYPASS, Key("Down", final=False)),
        (BYPASS_YES, BYPASS, Key("Enter", final=True)),
    ],
    ids=["trust, Yes", "trust, No", "trust, new", "trust, narrow", "bypass, No", "bypass, Yes"],
)  # fmt: skip
def test_the_next_key_brings_the_mark_to_the_chosen_option(screen: str, dialog: Dialog, key: Key) -> None:
    assert next_key(screen, dialog.choose) == key


def test_nobody_but_a_person_says_who_pays() -> None:
    assert API_KEY.permissions == ()


def test_enter_is_never_pressed_on_the_option_that_was_not_chosen() -> None:
    screens = [TRUST_YES, TRUST_NO, TRUST_NEW, NARROW, BYPASS_NO, BYPASS_YES]
    on_no = [s for s in screens if "❯ 1. No" in s or "❯ 2. No" in s]
    keys = [next_key(shown, (find(shown, CLAUDE.dialogs) or TRUST).choose) for shown in on_no]
    assert [key.name for key in keys if key and key.name == "Enter"] == []


@pytest.mark.parametrize(
    "screen",
    [
        TRUST_YES.replace("❯", " "),
        TRUST_YES.replace("Yes, proceed", "Ja, weiter"),
        TRUST_YES.partition("❯")[0],
        "",
    ],
    ids=["no mark", "no such option", "half drawn", "empty"],
)
def test_no_key_is_pressed_while_the_options_are_not_all_there(screen: str) -> None:
    assert next_key(screen, TRUST.choose) is None


def test_words_are_found_where_a_narrow_screen_breaks_them() -> None:
    shown = "  Continuing automatically\n  at 7:04am · Esc to\n  cancel\n"
    assert (says(shown, CLAUDE.waits_out), says(shown.replace("Esc", "or"), CLAUDE.waits_out)) == (True, False)


@pytest.mark.parametrize(
    ("screen", "known"),
    [(KEY_NO, ["Yes", "No (recommended)"]), (WORKING.replace("❯", " "), []), ("", [])],
    ids=["key", "no mark", "empty"],
)
def test_what_can_be_chosen_are_the_numbered_lines(screen: str, known: list[str]) -> None:
    assert options(screen) == known


@pytest.mark.parametrize(
    ("screen", "dialog", "text"),
    [
        (KEY_NO, API_KEY, "Detected a custom API key in your environment"),
        ("Choose a theme\n ❯ 1. Dark\n\n", None, "❯ 1. Dark"),
        ("", API_KEY, "api-key"),
    ],
)
def test_a_dialog_is_told_in_its_own_words(screen: str, dialog: Dialog | None, text: str) -> None:
    assert words(screen, dialog) == text


def test_a_line_that_begins_like_an_option_is_none() -> None:
    screen = "Note: this may cost.\n ❯ 1. Yes\n   2. No\n"
    assert next_key(screen, "No") == Key("Down", final=False)


@pytest.mark.parametrize(
    ("screen", "working"),
    [
        ("❯ \n⏵⏵ accept edits on · esc to interrupt", True),
        ("❯ Make it\n\n✽ Spelunking… (3s)\n\n❯ a draft", True),
        ("✽ Spelunking…\n Do you want to proceed?\n ❯ 1. Yes\n   2. No\n\n Esc to cancel", False),
        ("⏵⏵ accept edits on · esc to interrupt\n│ ❯ 2. No │", False),
        ("✻ Sautéed for 3s\n❯ ", False),
        ("❯ 1. Yes", False),
    ],
)
def test_an_agent_is_at_work_only_where_nobody_is_asked(screen: str, working: bool) -> None:
    assert at_work(screen, CLAUDE.working) == working


@pytest.mark.parametrize(
    ("screen", "line"),
    [
        ("", ""),
        ("\n \n", ""),
        ("a\nb\n\n", "b"),
        ("sh: nothing here\n\nPane is dead (status 127, Sat Nov 21 03:00:00 2026)\n", "sh: nothing here"),
        ("x" * 500, "x" * 200),
    ],
)
def test_the_last_line_is_the_last_with_words_of_the_program(screen: str, line: str) -> None:
    assert last_line(screen) == line


def test_a_screen_full_of_blanks_is_looked_at_in_no_time() -> None:
    blanks = "\n".join(["\xa0" * 20_000] * 48)
    assert (options(blanks), asks(blanks), words(blanks, None)) == ([], False, "")
