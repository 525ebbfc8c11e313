"""Times as text and back."""

from __future__ import annotations

import time

import pytest

from runner.system.clock import seconds, stamp


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_800_000_000.0, "2027-01-15T08:00:00.000Z"),
        (1_800_000_000.125, "2027-01-15T08:00:00.125Z"),
    ],
)
def test_a_moment_is_written_in_utc_with_milliseconds(moment: float, text: str) -> None:
    assert stamp(moment) == text


@pytest.mark.parametrize("moment", [0.0, 1.5, 1_800_000_000.125])
def test_what_was_written_is_read_back(moment: float) -> None:
    assert seconds(stamp(moment)) == moment


def test_no_moment_means_now() -> None:
    before = time.time()
    assert before - 0.001 <= seconds(stamp()) <= time.time()


def test_another_offset_is_understood() -> None:
    assert seconds("1970-01-01T02:00:00+02:00") == 0


def test_a_time_without_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="has no offset from UTC"):
        seconds("2026-01-01T00:00:00")


@pytest.mark.parametrize("text", ["", "yesterday", "12"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words are Python's own
        seconds(text)
