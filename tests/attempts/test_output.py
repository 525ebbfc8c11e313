"""The output file of a running attempt: missing, old, changing, invalid or valid."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from runner.attempts import output as outputs
from runner.attempts.contract import Output, identity
from runner.attempts.output import OutputFile
from runner.home.records import Contract, Identity

QUIET = 5.0
OLD = 1_700_000_000.0
"""A time long ago, in seconds since 1970."""


class Judge:
    """Knows the answer, and what it was asked."""

    def __init__(self, answer: str | None) -> None:
        self.answer = answer
        self.asked: list[tuple[Identity, int, bool]] = []

    def problem(self, output: Identity, work: int, *, hook: bool) -> str | None:
        self.asked.append((output, work, hook))
        return self.answer


def watched(path: Path, judge: Any = None, **contract: Any) -> OutputFile:
    return OutputFile(Contract(str(path), **contract), QUIET, judge or Judge(None))


def write(path: Path, text: str, mtime: float = OLD) -> Path:
    path.write_text(text)
    os.utime(path, (mtime, mtime))
    return path


def test_a_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    assert watched(tmp_path / "o").look(0.0) == (Output.MISSING, "")


def test_the_file_from_before_the_launch_is_old(tmp_path: Path) -> None:
    path = write(tmp_path / "o", "x")
    assert watched(path, before=identity(path)).look(0.0) == (Output.OLD, "")


def test_a_file_is_changing_until_it_was_quiet_for_long_enough(tmp_path: Path) -> None:
    output = watched(write(tmp_path / "o", "x", time.time()))
    looks = [output.look(now)[0] for now in (0.0, QUIET - 0.1, QUIET + 0.1)]
    assert (looks, output.changed_at) == ([Output.CHANGING, Output.CHANGING, Output.VALID], 0.0)


def test_a_file_that_was_last_changed_long_ago_is_whole_at_the_first_look(tmp_path: Path) -> None:
    assert watched(write(tmp_path / "o", "x")).look(0.0) == (Output.VALID, "")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who writes")
def test_a_file_that_somebody_has_open_for_writing_is_changing(tmp_path: Path) -> None:
    output = watched(write(tmp_path / "o", "x"))
    with (tmp_path / "o").open("a"):
        assert output.look(0.0) == (Output.CHANGING, "")
    assert output.look(0.0) == (Output.VALID, "")


def test_a_file_that_is_not_what_the_job_asked_for_is_invalid_with_the_reason(tmp_path: Path) -> None:
    state, why = watched(write(tmp_path / "o", "{"), format="json").look(0.0)
    assert (state, why.partition(" (")[0]) == (Output.INVALID, "the output file is not JSON")


def test_a_file_that_cannot_be_read_is_invalid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(_: Contract) -> tuple[Output, str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(outputs, "examine", unreadable)
    expected = Output.INVALID, "the output file cannot be read (Permission denied)"
    assert watched(write(tmp_path / "o", "x")).look(0.0) == expected


def test_one_version_is_read_once_and_the_next_one_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, read = outputs.examine, []
    monkeypatch.setattr(outputs, "examine", lambda contract: read.append(contract) or real(contract))
    output = watched(write(tmp_path / "o", "x"))
    for _ in range(3):
        output.look(0.0)
    write(tmp_path / "o", "longer")
    output.look(0.0)
    assert len(read) == 2


def test_a_version_that_is_replaced_while_it_is_read_is_changing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def examine(_: Contract) -> tuple[Output, str]:
        write(tmp_path / "o", "another")
        return Output.VALID, ""

    monkeypatch.setattr(outputs, "examine", examine)
    assert watched(write(tmp_path / "o", "x")).look(0.0) == (Output.CHANGING, "")


def test_without_schema_or_check_no_judge_is_asked(tmp_path: Path) -> None:
    judge = Judge("never asked")
    output = watched(write(tmp_path / "o", "x"), judge)
    output.look(0.0)
    assert (output.problem(1, turn_over=True), judge.asked) == ("", [])


@pytest.mark.parametrize("answer", [None, "", "the check failed"])
def test_with_a_check_the_judge_has_the_last_word(tmp_path: Path, answer: str | None) -> None:
    judge = Judge(answer)
    output = watched(write(tmp_path / "o", "x"), judge, check="true")
    output.look(0.0)
    assert (output.problem(3, turn_over=True), judge.asked) == (answer, [(identity(tmp_path / "o"), 3, True)])
