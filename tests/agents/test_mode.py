"""Who drives a session: mode.json."""

from __future__ import annotations

import json
import os
import stat

import pytest

from runner.agents import mode
from runner.agents.mode import Driver, Mode
from runner.home.attempt_folder import AttemptFolder, next_folder
from runner.home.layout import Home
from runner.system import process
from runner.system.process import Proc

NOBODY = Proc(os.getpid(), -1.0)
"""A process that has our pid and is not ours."""


@pytest.fixture
def run(home: Home) -> AttemptFolder:
    return next_folder(home, "1m7y5q8nvn2kj7")


def me() -> Proc:
    program = process.find(os.getpid())
    assert program
    return program


def test_muxq_drives_where_nothing_is_said(run: AttemptFolder) -> None:
    assert mode.current(run) == Driver()


@pytest.mark.parametrize("word", Mode)
def test_a_mode_is_kept_in_a_private_file(home: Home, run: AttemptFolder, word: Mode) -> None:
    mode.put(home, run, word)
    assert (mode.current(run).mode, stat.S_IMODE(run.mode.stat().st_mode)) == (word, 0o600)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"mode": "odd"}', '{"mode": "manual"}', '{"mode": 1}'])
def test_a_damaged_file_leaves_muxq_driving(run: AttemptFolder, text: str) -> None:
    run.mode.write_text(text)
    assert mode.current(run) == Driver()


def test_time_away_is_counted_until_muxq_drives_again(home: Home, run: AttemptFolder) -> None:
    away = mode.put(home, run, Mode.MANUAL)
    assert away.away_until(away.since + 10) == 10
    mode.put(home, run, Mode.PAUSED)
    back = mode.put(home, run, Mode.DRIVING)
    assert back.away == back.away_until(back.since + 100) == pytest.approx(back.since - away.since)
    assert mode.load(run) == back


def test_a_mode_lasts_no_longer_than_the_program_that_put_it_there(home: Home, run: AttemptFolder) -> None:
    mode.put(home, run, Mode.PAUSED)
    mode.put(home, run, Mode.MANUAL, me())
    assert (mode.current(run).mode, mode.current(run).holder) == (Mode.MANUAL, me())
    record = json.loads(run.mode.read_text())
    run.mode.write_text(json.dumps({**record, "holder": {"pid": NOBODY.pid, "started": NOBODY.started}}))
    assert (mode.load(run).mode, mode.current(run)) == (Mode.MANUAL, Driver(Mode.PAUSED))


def test_what_was_before_a_take_over_comes_back(home: Home, run: AttemptFolder) -> None:
    mode.put(home, run, Mode.PAUSED)
    mode.put(home, run, Mode.MANUAL, NOBODY)
    mode.put(home, run, Mode.MANUAL, me())
    given = mode.give_back(home, run)
    assert (given.mode, given.holder) == (Mode.PAUSED, None)


def test_a_mode_of_an_earlier_boot_is_dated_by_the_wall_clock(home: Home, run: AttemptFolder) -> None:
    before = mode.put(home, run, Mode.MANUAL)
    record = json.loads(run.mode.read_text())
    run.mode.write_text(json.dumps({**record, "boot": "another", "monotonic": -1e9}))
    assert mode.load(run).since == pytest.approx(before.since, abs=5)
