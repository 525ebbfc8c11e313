"""[pool] of config.toml: which marks are in force at a moment, and what is refused."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import pytest

from runner.errors import BadSetup
from runner.home.quota import Quota, read

WORK = {"hours": "09:00-18:00", "days": "mon-fri", "pause_at": {"five_hour": 50}}
NIGHT = {"hours": "22:00-06:00", "days": "fri", "pause_at": {"seven_day": 10}}


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("moment", "marks", "until"),
    [
        ("2026-11-20 08:59", {"five_hour": 90}, None),
        ("2026-11-20 09:00", {"five_hour": 50}, "2026-11-20 18:00"),
        ("2026-11-20 17:59", {"five_hour": 50}, "2026-11-20 18:00"),
        ("2026-11-20 18:00", {"five_hour": 90}, None),
        ("2026-11-21 12:00", {"five_hour": 90}, None),
        ("2026-11-20 23:00", {"five_hour": 90, "seven_day": 10}, "2026-11-21 06:00"),
        ("2026-11-21 05:59", {"five_hour": 90, "seven_day": 10}, "2026-11-21 06:00"),
        ("2026-11-20 05:00", {"five_hour": 90}, None),
    ],
)
def test_hours_of_a_person_have_their_own_marks(moment: str, marks: dict[str, float], until: str | None) -> None:
    pause = read({"pause_at": {"five_hour": 90}, "reserve": [WORK, NIGHT]}, "config.toml")
    assert pause.at(at(moment)) == (marks, at(until) if until else math.inf)


def test_where_hours_overlap_the_lower_mark_counts() -> None:
    pause = read({"reserve": [WORK, {"pause_at": {"five_hour": 20}}]}, "config.toml")
    assert pause.at(at("2026-11-20 12:00"))[0] == {"five_hour": 20}


def test_an_empty_table_wants_no_pause() -> None:
    assert (Quota().wanted, read({}, "x").wanted, read({"pause_at": {"a": 1}}, "x").wanted) == (False, False, True)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (3, "`pool` is a table"),
        ({"pause": 3}, "did you mean `pause_at`"),
        ({"pause_at": 90}, "pause_at` is a table like"),
        ({"pause_at": {"five_hour": 120}}, "from 0 to 100, not 120"),
        ({"pause_at": {"five_hour": True}}, "from 0 to 100, not True"),
        ({"reserve": {"hours": "1:00-2:00"}}, "[[pool.reserve]]"),
        ({"reserve": [{"hours": "9-18"}]}, "like \"09:00-18:00\", not '9-18'"),
        ({"reserve": [{"hours": "09:00-24:30"}]}, "not '09:00-24:30'"),
        ({"reserve": [{"days": "monday"}]}, "not 'monday'"),
    ],
)
def test_a_wrong_table_is_refused_with_what_is_accepted(table: Any, words: str) -> None:
    with pytest.raises(BadSetup, match=r"config\.toml") as caught:
        read(table, "config.toml")
    assert words in str(caught.value)
