"""The folder of an attempt: its place among the job's, its records, and where a result lies."""

from __future__ import annotations

import pytest

from runner.errors import NotFound
from runner.home import attempt_folder
from runner.home.attempt_folder import AttemptFolder, folders_of, next_folder
from runner.home.layout import Home
from runner.home.records import AttemptRecord, Contract, OutcomeRecord, Remains
from runner.jobs.outcome import Cancelled, Done, Failed


def numbers(home: Home) -> list[int]:
    return [run.number for run in folders_of(home, "j")]


def test_a_job_that_never_ran_has_no_runs(home: Home) -> None:
    assert folders_of(home, "j") == []


def test_runs_come_in_the_order_of_their_numbers(home: Home) -> None:
    for name in ("10", "9", "1", "notes", ".tmp"):
        (home.runs / "j" / name).mkdir(parents=True)
    assert numbers(home) == [1, 9, 10]


def test_the_first_run_is_number_one_and_private(home: Home) -> None:
    run = next_folder(home, "j")
    assert (run, run.path.stat().st_mode & 0o777) == (AttemptFolder("j", 1, home.runs / "j" / "1"), 0o700)


def test_a_run_that_was_never_prepared_is_taken_up_again(home: Home) -> None:
    assert [next_folder(home, "j").number, next_folder(home, "j").number] == [1, 1]


def test_after_a_run_that_was_prepared_comes_the_next_number(home: Home) -> None:
    next_folder(home, "j").begin(home, AttemptRecord(agent="echo"))
    assert next_folder(home, "j").number == 2


def test_after_a_run_that_ended_before_it_was_prepared_comes_the_next_number(home: Home) -> None:
    next_folder(home, "j").end(home, OutcomeRecord(Cancelled()))
    assert next_folder(home, "j").number == 2


def test_the_number_after_the_last_is_taken_although_one_is_missing(home: Home) -> None:
    AttemptFolder("j", 7, home.runs / "j" / "7").path.mkdir(parents=True)
    AttemptFolder("j", 7, home.runs / "j" / "7").begin(home, AttemptRecord())
    assert next_folder(home, "j").number == 8


def test_the_records_are_read_back(home: Home) -> None:
    run = next_folder(home, "j")
    before = (run.attempt(), run.outcome())
    run.begin(home, AttemptRecord(agent="echo"))
    run.end(home, OutcomeRecord(Done(), "2026-11-21T03:00:01.000Z", Remains(exit_status=0)))
    assert (before, run.attempt()) == ((None, None), AttemptRecord(agent="echo"))
    assert run.outcome() == OutcomeRecord(Done(), "2026-11-21T03:00:01.000Z", Remains(exit_status=0))


@pytest.mark.parametrize("data", ["", "{", "[]", '{"outcome": "done"', '{"version": 1, "outcome": "well"}'])
def test_a_damaged_record_counts_as_none(home: Home, data: str) -> None:
    run = next_folder(home, "j")
    (run.path / "outcome.json").write_text(data)
    (run.path / "attempt.json").write_text(data if len(data) < 20 else "")
    assert (run.attempt(), run.outcome()) == (None, None)


def test_a_run_that_has_ended_is_not_taken_up_again_although_it_was_never_prepared(home: Home) -> None:
    next_folder(home, "j").end(home, OutcomeRecord(Failed("bad-job", "gone")))
    assert next_folder(home, "j").number == 2


def test_the_session_is_named_after_job_and_number(home: Home) -> None:
    assert AttemptFolder("j", 3, home.path).session == "j-3"


def test_a_result_is_where_the_job_wanted_it_and_then_the_copy_in_the_run_folder(home: Home) -> None:
    run, wanted = next_folder(home, "job"), home.path / "report.txt"
    run.begin(home, AttemptRecord(output=Contract(str(wanted))))
    kept = run.path / "output.txt"
    for path in (kept, wanted):
        path.write_text("x")
    assert attempt_folder.result_file(home, "job") == wanted
    wanted.unlink()
    assert attempt_folder.result_file(home, "job") == kept
    kept.unlink()
    with pytest.raises(NotFound, match=f"has been taken away: {wanted}"):
        attempt_folder.result_file(home, "job")


def test_a_job_without_an_attempt_has_no_result(home: Home) -> None:
    with pytest.raises(NotFound, match=r"the result of job x has been taken away$"):
        attempt_folder.result_file(home, "x")
