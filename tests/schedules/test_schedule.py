"""Schedules as files: what is one, when it last came due, and that it comes due for one process alone."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from runner.errors import BadInput, NotFound
from runner.home.layout import Home
from runner.home.spool import Spool
from runner.jobs.state import State
from runner.schedules import recurring, schedule
from runner.schedules.schedule import Schedule

NOW = 1795262400.0  # 2026-11-21T12:00:00Z
GOOD: dict[str, Any] = {"cron": "0 7 * * *", "tz": "UTC", "job": {"prompt": "Good morning", "agent": "echo"}}


def drop(home: Home, name: str, at: float = NOW - 7 * 86400, **keys: Any) -> None:
    """Write a schedule's file as of `at`."""
    path = schedule.file(home, name)
    path.write_text(json.dumps({key: value for key, value in (GOOD | keys).items() if value is not None}))
    os.utime(path, (at, at))


def test_a_file_is_read_as_it_stands_and_its_job_gets_its_name(home: Home) -> None:
    drop(home, "morning", version=1)
    current = schedule.load(home, "morning")
    job = {"version": 1, "prompt": "Good morning", "agent": "echo", "name": "morning"}
    assert current == Schedule("morning", "0 7 * * *", "UTC", job=job, since=NOW - 7 * 86400)
    assert schedule.names(home) == ["morning"]


def test_what_is_saved_is_what_is_loaded(home: Home) -> None:
    keys = {"cron": "0 1 * * *", "command": ["work", "--drain"], "timer": "cron", "path": "/bin", "catch_up": "once"}
    new = schedule.check("nightly", keys, where="nightly")
    schedule.save(home, new)
    assert schedule.load(home, "nightly").as_dict() == keys
    with pytest.raises(BadInput, match="muxq schedule rm nightly"):
        schedule.save(home, new)


@pytest.mark.parametrize(
    "keys",
    [
        {"cron": "0 25 * * *"},
        {"cron": None},
        {"cron": 5},
        {"tz": "Europe/Atlantis"},
        {"tz": 1},
        {"catch_up": "always"},
        {"timer": "at"},
        {"often": True},
        {"job": None},
        {"job": []},
        {"job": {"agent": "echo"}},
        {"job": {"prompt": "x", "timeoutt": 5}},
        {"command": ["work"]},
        {"job": None, "command": []},
        {"job": None, "command": "work"},
        {"job": None, "command": ["work", 1]},
    ],
)
def test_what_is_no_schedule_is_refused_with_the_name_of_its_file(home: Home, keys: dict[str, Any]) -> None:
    drop(home, "bad", **keys)
    with pytest.raises(BadInput, match=r"bad\.json: "):
        schedule.load(home, "bad")


@pytest.mark.parametrize("name", ["", ".", "../x", "a b", "a\n", "-x", "ä", "x" * 65])
def test_a_name_is_one_that_every_timer_can_hold(home: Home, name: str) -> None:
    with pytest.raises(BadInput, match="not a valid schedule name"):
        schedule.check(name, GOOD, where="x")
    with pytest.raises(NotFound):
        schedule.load(home, name)


def test_a_job_is_made_up_for_and_a_command_is_not_unless_they_say_so() -> None:
    job, command = Schedule("a", "0 7 * * *", job={}), Schedule("b", "0 7 * * *", command=("work",))
    assert (job.made_up_for, command.made_up_for) == ("once", "skip")
    assert Schedule("a", "0 7 * * *", job={}, catch_up="skip").made_up_for == "skip"


def test_times_before_the_file_was_written_are_not_made_up_for() -> None:
    seven = NOW - 5 * 3600
    for since, due in ((seven - 1, seven), (seven + 1, None)):
        assert Schedule("a", "0 7 * * *", "UTC", job={}, since=since).due(0.0, NOW) == due


def test_a_time_comes_due_for_one_of_many(home: Home) -> None:
    drop(home, "morning")
    current = schedule.load(home, "morning")
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: schedule.take(home, current, NOW, only_due=True), range(8)))
    assert sorted(taken) == [False] * 7 + [True]
    assert schedule.fired(home) == {"morning": NOW}


def test_a_damaged_record_counts_as_never(home: Home) -> None:
    for text in ("", "[]", "{}", '{"fired": 5}', '{"fired": {"a": 1, "b": "soon"}}'):
        home.fired.write_text(text)
        assert schedule.fired(home) == {}


def test_what_is_removed_leaves_no_record(home: Home) -> None:
    drop(home, "morning")
    schedule.take(home, schedule.load(home, "morning"), NOW, only_due=False)
    schedule.remove(home, "morning")
    assert (schedule.names(home), schedule.fired(home)) == ([], {})


# --- recurring jobs


def test_a_job_is_added_when_it_is_due_and_once(spool: Spool) -> None:
    drop(spool.home, "morning")
    look = recurring.Recurring(spool).look
    assert [len(look()), len(look())] == [1, 0]
    assert [current.name for current in spool.entries(State.QUEUED)] == ["morning"]


def test_no_job_is_added_while_the_last_one_waits(spool: Spool) -> None:
    drop(spool.home, "morning")
    current = schedule.load(spool.home, "morning")
    assert [recurring.add(spool, current) is None for _ in range(3)] == [False, True, True]
    assert len(spool.entries(State.QUEUED)) == 1


def test_a_command_is_no_workers_business(spool: Spool) -> None:
    drop(spool.home, "nightly", job=None, command=["work", "--drain"])
    assert recurring.Recurring(spool).look() == []
    assert schedule.fired(spool.home) == {}


def test_trouble_with_one_is_told_once_and_keeps_none_of_the_others(home: Home) -> None:
    emitted: list[str] = []
    spool = Spool(home, lambda name, data: emitted.append(name))
    drop(home, "bad", cron="never")
    drop(home, "good")
    seen = recurring.Recurring(spool)
    assert [[current.name for current in seen.look()] for _ in range(2)] == [["good"], []]
    assert sorted(emitted) == ["job.added", "schedule.trouble"]


@pytest.mark.parametrize("called", ["ü" * 200, "x" * 200, "morning"])
def test_no_job_is_added_while_the_last_one_waits_however_long_its_name_is(spool: Spool, called: str) -> None:
    drop(spool.home, "morning", job={"prompt": "x", "agent": "echo", "name": called})
    current = schedule.load(spool.home, "morning")
    assert [recurring.add(spool, current) is None for _ in range(2)] == [False, True]


def test_a_clock_that_was_years_ahead_silences_no_schedule(home: Home) -> None:
    current = Schedule("a", "0 7 * * *", "UTC", job={}, since=NOW - 30 * 86400)
    assert current.due(NOW + 10 * 365 * 86400, NOW) is not None
    assert current.due(NOW + 60, NOW) is None  # set back by a minute: it has come already


def test_a_folder_to_start_in_is_absolute(home: Home) -> None:
    keys = {"cron": "0 1 * * *", "command": ["work", "--drain"], "workdir": "/srv/rows"}
    schedule.save(home, schedule.check("nightly", keys, where="nightly"))
    assert schedule.load(home, "nightly").workdir == "/srv/rows"
    with pytest.raises(BadInput, match="`workdir` must be an absolute path"):
        schedule.check("nightly", keys | {"workdir": "rows"}, where="nightly")
