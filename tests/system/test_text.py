"""Text of others on one line, without orders for a terminal."""

from __future__ import annotations

import pytest

from runner.system.text import pick, plain


@pytest.mark.parametrize("text", ["", "plain", "two words", "é☃𝄞", "[red]", "\\x1b"])
def test_what_can_be_printed_stays(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\tc\rd", "a b c d"),
        ("\x1b[2J\x07", "\ufffd[2J\ufffd"),
        ("\x9b5m\x7f", "\ufffd5m\ufffd"),
        ("\u202egnp", "\ufffdgnp"),
        ("caf\udce9\ud800", "caf\ufffd\ufffd"),
    ],
)
def test_what_a_terminal_would_obey_does_not(text: str, shown: str) -> None:
    assert plain(text) == shown
    assert shown.isprintable()


@pytest.mark.parametrize(
    ("text", "option"),
    [("yes", "Yes"), ("Yes, and", "Yes, and do not ask"), ("no", "No"), ("Y", "Yes"), ("maybe", ""), ("", "")],
)
def test_an_option_is_picked_whole_or_by_its_beginning(text: str, option: str) -> None:
    assert pick(["Yes, and do not ask", "Yes", "No"][:: -1 if text == "Y" else 1], text) == option
