"""Sessions that stay open: keep.json."""

from __future__ import annotations

import os
import stat

import pytest

from runner import keep, process
from runner.home import Home
from runner.process import Proc
from runner.run import Run, following


@pytest.fixture
def run(home: Home) -> Run:
    return following(home, "1m7y5q8nvn2kj7")


def test_a_wish_is_no_kept_session_yet(home: Home, run: Run) -> None:
    assert (keep.asked(run), keep.stands(run)) == (False, False)
    keep.ask(home, run)
    assert (keep.asked(run), keep.stands(run), stat.S_IMODE(run.keep.stat().st_mode)) == (True, False, 0o600)


def test_a_kept_session_stands_as_long_as_its_very_process(home: Home, run: Run) -> None:
    me = process.find(os.getpid())
    assert me
    keep.settle(home, run, me)
    assert keep.stands(run)
    keep.settle(home, run, Proc(me.pid, me.started + 1))
    assert not keep.stands(run)


def test_a_wish_may_be_taken_back_twice(home: Home, run: Run) -> None:
    keep.ask(home, run)
    keep.forget(run)
    keep.forget(run)
    assert not keep.asked(run)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"program": 5}', '{"program": {}}', '{"program": {"pid": "x"}}']
)
def test_a_damaged_file_keeps_nothing(run: Run, text: str) -> None:
    run.keep.write_text(text)
    assert not keep.stands(run)
