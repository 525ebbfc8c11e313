"""Where the result of a done job lies."""

from __future__ import annotations

import pytest

from runner.errors import NotFound
from runner.home import attempt_folder
from runner.home.attempt_folder import following
from runner.home.layout import Home
from runner.home.records import AttemptRecord, Contract


def test_a_result_is_where_the_job_wanted_it_and_then_the_copy_in_the_run_folder(home: Home) -> None:
    run, wanted = following(home, "job"), home.path / "report.txt"
    run.begin(home, AttemptRecord(output=Contract(str(wanted))))
    kept = run.path / "output.txt"
    for path in (kept, wanted):
        path.write_text("x")
    assert attempt_folder.file(home, "job") == wanted
    wanted.unlink()
    assert attempt_folder.file(home, "job") == kept
    kept.unlink()
    with pytest.raises(NotFound, match=f"has been taken away: {wanted}"):
        attempt_folder.file(home, "job")


def test_a_job_without_an_attempt_has_no_result(home: Home) -> None:
    with pytest.raises(NotFound, match=r"the result of job x has been taken away$"):
        attempt_folder.file(home, "x")
