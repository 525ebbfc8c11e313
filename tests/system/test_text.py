"""Text of others on one line, without orders for a terminal."""

from __future__ import annotations

import pytest

from runner.system.text import plain


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
