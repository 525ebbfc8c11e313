"""Run folders: their order, and which one comes next."""

from __future__ import annotations

import pytest

from runner.home.attempt_folder import AttemptFolder, following, runs
from runner.home.layout import Home
from runner.home.records import AttemptRecord, OutcomeRecord, Remains
from runner.jobs.outcome import Cancelled, Done, Failed


def numbers(home: Home) -> list[int]:
    return [run.number for run in runs(home, "j")]


def test_a_job_that_never_ran_has_no_runs(home: Home) -> None:
    assert runs(home, "j") == []


def test_runs_come_in_the_order_of_their_numbers(home: Home) -> None:
    for name in ("10", "9", "1", "notes", ".tmp"):
        (home.runs / "j" / name).mkdir(parents=True)
    assert numbers(home) == [1, 9, 10]


def test_the_first_run_is_number_one_and_private(home: Home) -> None:
    run = following(home, "j")
    assert (run, run.path.stat().st_mode & 0o777) == (AttemptFolder("j", 1, home.runs / "j" / "1"), 0o700)


def test_a_run_that_was_never_prepared_is_taken_up_again(home: Home) -> None:
    assert [following(home, "j").number, following(home, "j").number] == [1, 1]


def test_after_a_run_that_was_prepared_comes_the_next_number(home: Home) -> None:
    following(home, "j").begin(home, AttemptRecord(agent="echo"))
    assert following(home, "j").number == 2


def test_after_a_run_that_ended_before_it_was_prepared_comes_the_next_number(home: Home) -> None:
    following(home, "j").end(home, OutcomeRecord(Cancelled()))
    assert following(home, "j").number == 2


def test_the_number_after_the_last_is_taken_although_one_is_missing(home: Home) -> None:
    AttemptFolder("j", 7, home.runs / "j" / "7").path.mkdir(parents=True)
    AttemptFolder("j", 7, home.runs / "j" / "7").begin(home, AttemptRecord())
    assert following(home, "j").number == 8


def test_the_records_are_read_back(home: Home) -> None:
    run = following(home, "j")
    before = (run.attempt(), run.outcome())
    run.begin(home, AttemptRecord(agent="echo"))
    run.end(home, OutcomeRecord(Done(), "2026-11-21T03:00:01.000Z", Remains(exit_status=0)))
    assert (before, run.attempt()) == ((None, None), AttemptRecord(agent="echo"))
    assert run.outcome() == OutcomeRecord(Done(), "2026-11-21T03:00:01.000Z", Remains(exit_status=0))


@pytest.mark.parametrize("data", ["", "{", "[]", '{"outcome": "done"', '{"version": 1, "outcome": "well"}'])
def test_a_damaged_record_counts_as_none(home: Home, data: str) -> None:
    run = following(home, "j")
    (run.path / "outcome.json").write_text(data)
    (run.path / "attempt.json").write_text(data if len(data) < 20 else "")
    assert (run.attempt(), run.outcome()) == (None, None)


def test_a_run_that_has_ended_is_not_taken_up_again_although_it_was_never_prepared(home: Home) -> None:
    following(home, "j").end(home, OutcomeRecord(Failed("bad-job", "gone")))
    assert following(home, "j").number == 2


def test_the_session_is_named_after_job_and_number(home: Home) -> None:
    assert AttemptFolder("j", 3, home.path).session == "j-3"
