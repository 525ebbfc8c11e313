"""Text of others on one line, without orders for a terminal."""

from __future__ import annotations

import pytest

from runner.errors import BadSetup
from runner.system.text import nearest, pick, plain, refuse_unknown, shorten, visible


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


def test_what_cannot_be_printed_is_made_visible_and_lines_stay() -> None:
    assert visible("a\nb\tc\x1b[2J\u202egnp\xa0d") == "a\nb\\tc\\x1b[2J\\u202egnp\\xa0d"
    assert all(line.isprintable() for line in visible("".join(map(chr, range(0x3000)))).split("\n"))


def test_what_is_cut_has_a_mark() -> None:
    assert (shorten("a\n b", 3), shorten("abcd", 4), shorten("abcde", 4)) == ("a b", "abcd", "abc…")


@pytest.mark.parametrize(
    ("text", "option"),
    [("yes", "Yes"), ("Yes, and", "Yes, and do not ask"), ("no", "No"), ("Y", "Yes"), ("maybe", ""), ("", "")],
)
def test_an_option_is_picked_whole_or_by_its_beginning(text: str, option: str) -> None:
    assert pick(["Yes, and do not ask", "Yes", "No"][:: -1 if text == "Y" else 1], text) == option


@pytest.mark.parametrize(
    ("word", "meant"), [("agnt", "agent"), ("AGENT", "agent"), ("timeout", "timeout"), ("x", None), ("", None)]
)
def test_a_word_is_near_to_one_that_differs_by_a_letter_or_by_capitals(word: str, meant: str | None) -> None:
    assert nearest(word, ["agent", "timeout"]) == meant


def test_an_unknown_key_is_refused_with_the_nearest_or_with_all_that_are_known() -> None:
    refuse_unknown({"agent": 1}, ["agent"], where="here")
    with pytest.raises(BadSetup, match=r"^here: unknown key `agnt`; did you mean `agent`\?$"):
        refuse_unknown({"agent": 1, "agnt": 2}, ["agent"], where="here")
    with pytest.raises(BadSetup, match=r"^here: unknown key `x`; known are: agent, jobs$"):
        refuse_unknown({"x": 1}, ["agent", "jobs"], where="here")
