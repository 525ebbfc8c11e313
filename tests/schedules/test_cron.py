"""Cron expressions: what is one, and when they come due, in every zone and through changes of the clocks."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from runner.errors import BadInput
from runner.schedules import cron

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


def times(text: str, start: float, count: int, zone: ZoneInfo = BERLIN) -> list[str]:
    moments = []
    for _ in range(count):
        start = cron.following(text, zone, start)
        moments.append(datetime.fromtimestamp(start, zone).isoformat(timespec="minutes"))
    return moments


def test_an_expression_is_five_fields_with_single_blanks() -> None:
    assert cron.check("  0 1  * *\tmon-fri ") == "0 1 * * mon-fri"


@pytest.mark.parametrize(
    "text",
    "|daily|@daily|0 1 * *|0 0 1 * * *|60 * * * *|* 24 * * *|* * 0 * *|* * * 13 *|* * * * 8|*/0 * * * *|"
    "5-1 * * * *|0 0 31 2 *|0 0 L * *|0 0 * * 5#2|0 0 * * 5L|a b c d e".split("|"),
)
def test_what_is_no_expression_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(BadInput, match="like `0 1"):
        cron.check(text)


def test_a_zone_that_is_not_there_is_refused() -> None:
    for name in ("Europe/Atlantis", "", "../../etc/passwd"):
        with pytest.raises(BadInput, match="Europe/Berlin"):
            cron.zone(name)


def test_weekdays_only() -> None:
    result = times("0 1 * * 1-5", at("2026-11-20T12:00"), 3)
    assert result == ["2026-11-23T01:00+01:00", "2026-11-24T01:00+01:00", "2026-11-25T01:00+01:00"]


def test_a_time_is_one_of_its_zone() -> None:
    start = at("2026-11-20T12:00", ZoneInfo("UTC")) - 1
    assert cron.following("0 7 * * *", ZoneInfo("Asia/Kathmandu"), start) == at("2026-11-21T01:15", ZoneInfo("UTC"))
    assert cron.following("0 7 * * *", ZoneInfo("America/New_York"), start) == start + 1  # 07:00 there is 12:00 UTC


def test_a_time_that_the_clocks_skip_comes_right_after() -> None:
    result = times("30 2 * * *", at("2026-03-28T12:00"), 2)
    assert result == ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]


def test_a_time_that_the_clocks_repeat_comes_once() -> None:
    result = times("30 2 * * *", at("2026-10-24T12:00"), 2)
    assert result == ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]


@pytest.mark.parametrize("start", ["2026-10-25T02:00", "2026-10-25T02:29", "2026-10-25T02:45"])
def test_it_does_not_come_again_in_the_second_pass_of_the_hour(start: str) -> None:
    assert times("30 2 * * *", at(start, fold=1), 1) == ["2026-10-26T02:30+01:00"]


def test_every_half_hour_is_every_half_hour_whatever_the_clocks_do() -> None:
    for day in ("2026-03-29T00:00", "2026-10-25T00:00"):
        moments, moment = [], at(day)
        for _ in range(12):
            moment = cron.following("*/30 * * * *", BERLIN, moment)
            moments.append(moment)
        assert {second - first for first, second in pairwise(moments)} == {1800.0}


# --- due


LAST = at("2026-11-20T07:00")
SEVEN = at("2026-11-21T07:00")


@pytest.mark.parametrize(
    ("now", "skip", "once"),
    [
        (SEVEN - 1, None, None),
        (SEVEN, SEVEN, SEVEN),
        (SEVEN + cron.LATE - 1, SEVEN, SEVEN),
        (SEVEN + cron.LATE + 1, None, SEVEN),
        (SEVEN + 10 * 86400 + 3600, None, SEVEN),
    ],
)
def test_what_was_missed_is_skipped_or_made_up_for(now: float, skip: float | None, once: float | None) -> None:
    result = [cron.due("0 7 * * *", BERLIN, last=LAST, now=now, catch_up=how) for how in ("skip", "once")]
    assert result == [skip, once]


def test_a_time_is_due_once() -> None:
    for how in cron.CATCH_UP:
        assert cron.due("0 7 * * *", BERLIN, last=SEVEN + 1, now=SEVEN + 60, catch_up=how) is None


def test_after_a_catch_up_nothing_more_is_made_up_for() -> None:
    now = SEVEN + 10 * 86400 + 3600
    assert cron.due("0 7 * * *", BERLIN, last=now, now=now + 60, catch_up="once") is None


# --- fields


def test_the_fields_of_an_expression_in_full() -> None:
    assert cron.fields("*/20 1-3 1,15 jan sun") == cron.Fields((0, 20, 40), (1, 2, 3), (1, 15), (1,), (0,), True)
    assert cron.fields("0 0 * * 7").weekdays == (0,)
    assert not cron.fields("0 0 * * 7").either


def test_the_machines_own_zone_has_its_changes_of_the_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    offsets = [datetime(2026, month, 1, tzinfo=cron.local()).utcoffset() for month in (1, 7)]
    assert offsets[0] != offsets[1]


def test_what_only_schedules_need_is_loaded_only_for_them() -> None:
    result = subprocess.run(
        [sys.executable, "-c", "import runner.cli, runner.queue, sys; print('cronsim' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "False\n"
