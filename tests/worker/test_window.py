"""The window of a draining run: when it closes, and what people may write for that."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from runner.errors import BadInput
from runner.worker.window import Window, per_cent, until

EVENING = 1795306800.0  # 2026-11-22T00:20:00Z, 01:20 in Berlin


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_window_without_limits_never_closes() -> None:
    assert (Window().closed(1e12, 10**6, {"five_hour": 100.0}), Window().over(1e12), Window().due(0)) == ("", False, [])


def test_a_window_closes_at_its_time_and_is_over_after_its_grace() -> None:
    window = Window(until=EVENING, grace=60)
    assert window.closed(EVENING - 1, 0, {}) == ""
    assert window.closed(EVENING, 0, {}).startswith("the window closed at ")
    assert (window.over(EVENING + 59), window.over(EVENING + 60)) == (False, True)
    assert [window.due(EVENING + past) for past in (-1, 0, 60)] == [[EVENING, EVENING + 60], [EVENING + 60], []]


def test_a_window_closes_after_so_many_jobs() -> None:
    window = Window(max_jobs=2)
    assert [bool(window.closed(0, started, {})) for started in (0, 1, 2, 3)] == [False, False, True, True]


def test_a_window_closes_at_a_share_of_the_five_hour_limit_and_of_no_other() -> None:
    window = Window(max_usage=60)
    assert [bool(window.closed(0, 0, {"five_hour": used})) for used in (0, 59.9, 60)] == [False, False, True]
    assert window.closed(0, 0, {"seven_day": 99}) == ""


@pytest.mark.parametrize(
    ("text", "hours"),
    [("07:00", 5 + 40 / 60), ("7:00", 5 + 40 / 60), ("01:20", 24), ("01:00", 23 + 40 / 60), ("+2h", 2)],
)
def test_the_end_of_a_window_is_the_next_such_time_or_a_time_from_now(text: str, hours: float) -> None:
    assert until(text, EVENING) == pytest.approx(EVENING + hours * 3600)


def test_a_night_in_which_the_clocks_change_is_as_long_as_it_is() -> None:
    spring, autumn = 1774738800.0, 1792879200.0  # midnight in Berlin before either change
    assert [(until("07:00", night) - night) / 3600 for night in (spring, autumn)] == [6.0, 8.0]


@pytest.mark.parametrize("text", ["", "7", "24:00", "07:60", "tomorrow", "+", "+0s", "+soon", "07:00:00"])
def test_no_other_end_is_taken(text: str) -> None:
    with pytest.raises(BadInput):
        until(text, EVENING)


def test_per_cent_may_have_their_sign() -> None:
    assert [per_cent(text) for text in ("60%", "60", "0", "99.5 %")] == [60.0, 60.0, 0.0, 99.5]


@pytest.mark.parametrize("text", ["", "101%", "-1", "sixty", "nan", "60%%"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        per_cent(text)
