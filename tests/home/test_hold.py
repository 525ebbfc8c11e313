"""The hold: what is in force, and which of two stays."""

from __future__ import annotations

import json
import time

import pytest

from runner.errors import BadInput
from runner.home import hold
from runner.home.hold import Hold
from runner.home.layout import Home

SOON, LATE = time.time() + 86_400, time.time() + 2 * 86_400


def rounded(home: Home) -> Hold | None:
    """The hold in force, its time to the second."""
    present = hold.current(home)
    return present and Hold(present.reason, present.kind, present.until and round(present.until))


def test_there_is_none_at_first(home: Home) -> None:
    assert hold.current(home) is None


def test_what_was_put_is_in_force(home: Home) -> None:
    hold.put(home, Hold("why", "person", LATE))
    assert rounded(home) == Hold("why", "person", round(LATE))


def test_one_without_end_has_none(home: Home) -> None:
    hold.put(home, Hold("why"))
    assert rounded(home) == Hold("why", "person", None)


def test_it_is_a_file_that_others_can_read(home: Home) -> None:
    hold.put(home, Hold("why", "throttle", 1_800_000_000.0))
    assert json.loads(home.hold.read_text()) == {
        "version": 1,
        "kind": "throttle",
        "reason": "why",
        "until": "2027-01-15T08:00:00.000Z",
    }


def test_a_file_that_others_wrote_is_in_force(home: Home) -> None:
    home.hold.write_text('{"reason": "backup", "until": "2999-01-01T00:00:00Z"}')
    assert rounded(home) == Hold("backup", "person", 32_472_144_000)


def test_one_whose_time_has_come_is_over(home: Home) -> None:
    hold.put(home, Hold("why", "throttle", time.time() - 1))
    assert hold.current(home) is None


@pytest.mark.parametrize(
    ("first", "second", "left"),
    [
        (Hold("a", "person", None), Hold("b", "throttle", SOON), "a"),
        (Hold("a", "person", LATE), Hold("b", "throttle", SOON), "a"),
        (Hold("a", "person", SOON), Hold("b", "usage-limit", LATE), "b"),
        (Hold("a", "person", SOON), Hold("b", "account", None), "b"),
        (Hold("a", "account", None), Hold("b", "usage-limit", LATE), "a"),
        (Hold("a", "account", None), Hold("b", "person", SOON), "b"),
        (Hold("a", "throttle", time.time() - 5), Hold("b", "throttle", SOON), "b"),
    ],
)
def test_of_two_the_longer_stays_and_a_person_has_the_last_word(
    home: Home, first: Hold, second: Hold, left: str
) -> None:
    hold.put(home, first)
    hold.put(home, second)
    standing = hold.current(home)
    assert standing is not None
    assert standing.reason == left


def test_lifting_returns_the_hold_that_was_lifted(home: Home) -> None:
    hold.put(home, Hold("why"))
    assert [hold.lift(home), hold.current(home), hold.lift(home)] == [Hold("why"), None, None]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"until": "tomorrow"}', '{"until": "2026-01-01T00:00:00"}', '{"until": 5}'],
)
def test_a_file_that_cannot_be_understood_is_named(home: Home, text: str) -> None:
    home.hold.write_text(text)
    with pytest.raises(BadInput, match=r"hold\.json is damaged"):
        hold.current(home)


@pytest.mark.parametrize("text", ["{", '{"until": "tomorrow"}'])
def test_a_damaged_hold_can_be_lifted(home: Home, text: str) -> None:
    home.hold.write_text(text)
    hold.lift(home)
    assert hold.current(home) is None
