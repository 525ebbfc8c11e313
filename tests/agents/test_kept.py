"""Sessions that stay open: keep.json."""

from __future__ import annotations

import os
import stat

import pytest

from runner.agents import kept
from runner.home.attempt_folder import AttemptFolder, next_folder
from runner.home.layout import Home
from runner.system import process
from runner.system.process import Proc


@pytest.fixture
def run(home: Home) -> AttemptFolder:
    return next_folder(home, "1m7y5q8nvn2kj7")


def test_a_wish_is_no_kept_session_yet(home: Home, run: AttemptFolder) -> None:
    assert (kept.asked(run), kept.stands(run)) == (False, False)
    kept.ask(home, run)
    assert (kept.asked(run), kept.stands(run), stat.S_IMODE(run.keep.stat().st_mode)) == (True, False, 0o600)


def test_a_kept_session_stands_as_long_as_its_very_process(home: Home, run: AttemptFolder) -> None:
    me = process.find(os.getpid())
    assert me
    kept.settle(home, run, me)
    assert kept.stands(run)
    kept.settle(home, run, Proc(me.pid, me.started + 1))
    assert not kept.stands(run)


def test_a_wish_may_be_taken_back_twice(home: Home, run: AttemptFolder) -> None:
    kept.ask(home, run)
    kept.forget(run)
    kept.forget(run)
    assert not kept.asked(run)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"program": 5}', '{"program": {}}', '{"program": {"pid": "x"}}']
)
def test_a_damaged_file_keeps_nothing(run: AttemptFolder, text: str) -> None:
    run.keep.write_text(text)
    assert not kept.stands(run)
