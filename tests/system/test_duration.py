"""Lengths of time: what is read, what is refused, what is shown."""

import pytest

from runner.errors import BadInput
from runner.system import duration


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("30m", 1800),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        (" 90s ", 90),
        ("2d", 172_800),
        ("1d2h3m4s", 93_784),
        ("1.5h", 5400),
        ("0.5s", 0.5),
        ("90", 90),
        (90, 90),
        (0.25, 0.25),
        ("3650d", duration.LONGEST),
    ],
)
def test_what_people_write_is_read_as_seconds(written: str | float, meant: float) -> None:
    assert duration.seconds(written) == meant


@pytest.mark.parametrize(
    "written",
    [
        "",
        " ",
        "soon",
        "m",
        "30 min",
        "30M",
        "30m1h",
        "1h1h",
        "-5s",
        "+5s",
        "0",
        "0m",
        "1e3",
        "3651d",
        "9" * 5000,
        "٣m",
        "5s\n5s",
        "1.m",
        0,
        -1,
        True,
        10**400,
        float("inf"),
        float("nan"),
    ],
)
def test_what_is_no_length_of_time_is_refused_with_the_accepted_forms(written: str | float) -> None:
    with pytest.raises(BadInput, match='give "30m", "1h30m", "90s", "2d" or a number of seconds'):
        duration.seconds(written)


@pytest.mark.parametrize(
    ("length", "shown"),
    [
        (0, "0s"),
        (0.0004, "0s"),
        (0.25, "0.25s"),
        (9.9996, "10s"),
        (45, "45s"),
        (59.6, "1m"),
        (90, "1m 30s"),
        (5400, "1h 30m"),
        (172_800, "2d"),
        (93_784.4, "1d 2h 3m 4s"),
        (-90, "-1m 30s"),
    ],
)
def test_seconds_are_shown_as_people_read_them(length: float, shown: str) -> None:
    assert duration.show(length) == shown


@pytest.mark.parametrize("length", [1, 2.5, 60, 61, 3599, 86_400, 90_061, duration.LONGEST])
def test_what_is_shown_can_be_read_again(length: float) -> None:
    assert duration.seconds(duration.show(length)) == length
