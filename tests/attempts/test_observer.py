"""What is read of a running attempt, and when it is read again."""

from __future__ import annotations

import asyncio
import math
import os
import time
from pathlib import Path

import pytest

from runner.agents import mode
from runner.agents.mode import Mode
from runner.agents.progress import Turn
from runner.attempts.judge import Judge
from runner.attempts.observer import Limits, Observer
from runner.attempts.output import OutputFile
from runner.attempts.verdict import Evidence, Output, Process
from runner.errors import NotFound
from runner.home import events
from runner.home.attempt_folder import AttemptFolder, next_folder
from runner.home.layout import Home
from runner.home.records import AttemptRecord, Contract
from runner.jobs.outcome import Cancelled
from runner.system import clock
from runner.system.process import Proc
from runner.tmux.terminal import Pane

DEAD = Proc(os.getpid(), -1.0)
"""A process that has our pid and is not ours."""

NO_LIMITS = Limits(0.0, math.inf, math.inf)


class Screen:
    """A terminal that shows one text, or has no session."""

    def __init__(self, text: str | None = None) -> None:
        self.text = text

    async def screen(self, session: str) -> str:
        if self.text is None:
            raise NotFound(session)
        return self.text


@pytest.fixture
def folder(home: Home) -> AttemptFolder:
    folder = next_folder(home, "1m7y5q8nvn2kj7")
    folder.begin(home, AttemptRecord(agent="claude"))
    return folder


@pytest.fixture
def observer(home: Home, folder: AttemptFolder) -> Observer:
    return Observer(home, folder, Screen("a\nlast words\n"))  # type: ignore[arg-type]


def look(observer: Observer, path: Path) -> Evidence:
    judge = Judge(path.parent, str(path), {}, lambda: None)
    output = OutputFile(Contract(str(path)), 0.0, judge)
    return asyncio.run(observer.evidence(output, NO_LIMITS, ""))


def test_events_are_folded_in_and_counted_once(observer: Observer, folder: AttemptFolder, tmp_path: Path) -> None:
    events.emit(folder.events, "prompt-accepted")
    turns = [look(observer, tmp_path / "o").progress.turn]
    events.emit(folder.events, "turn-over")
    turns += [look(observer, tmp_path / "o").progress.turn for _ in range(2)]
    assert (turns, observer.work, observer.progress.events) == ([Turn.BUSY, Turn.OVER, Turn.OVER], 2, 2)


def test_silence_is_counted_from_the_last_event(observer: Observer, folder: AttemptFolder, tmp_path: Path) -> None:
    assert look(observer, tmp_path / "o").last_event == -math.inf
    events.emit(folder.events, "prompt-accepted")
    before = time.monotonic()
    assert before <= look(observer, tmp_path / "o").last_event <= time.monotonic()


def test_only_a_file_that_matters_is_a_change(observer: Observer, folder: AttemptFolder) -> None:
    observer.read()
    (folder.path / "notes").touch()
    changes = [observer.changed()]
    for touch in (lambda: events.emit(folder.events, "started"), folder.status.touch, folder.mode.touch):
        touch()
        changes.append(observer.changed())
        observer.read()
    assert (changes, observer.changed()) == ([False, True, True, True], False)


def test_the_mode_is_read_again_only_when_its_file_has_changed(
    home: Home, observer: Observer, folder: AttemptFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, reads = mode.load, []
    mode.put(home, folder, Mode.MANUAL)
    monkeypatch.setattr(mode, "load", lambda folder: reads.append(folder) or real(folder))
    assert [look(observer, tmp_path / "o").mode for _ in range(3)] == [Mode.MANUAL] * 3
    assert len(reads) == 1


def test_a_mode_whose_program_was_killed_is_taken_back(
    home: Home, observer: Observer, folder: AttemptFolder, tmp_path: Path
) -> None:
    mode.put(home, folder, Mode.MANUAL, DEAD)
    assert look(observer, tmp_path / "o").mode is Mode.DRIVING
    assert mode.load(folder).holder is None


def test_a_decision_is_part_of_the_evidence(observer: Observer, tmp_path: Path) -> None:
    observer.decision = Cancelled()
    assert look(observer, tmp_path / "o").decision == Cancelled()


def test_the_last_words_are_those_of_a_program_that_ended_without_a_result(observer: Observer, tmp_path: Path) -> None:
    assert look(observer, tmp_path / "o").last_line == ""
    observer.ended(Pane("s", 1, True, 3, None))
    evidence = look(observer, tmp_path / "o")
    assert (evidence.process, evidence.progress.status, evidence.last_line) == (Process.EXITED, 3, "last words")
    (tmp_path / "o").write_text("x")
    assert (look(observer, tmp_path / "o").output, look(observer, tmp_path / "o").last_line) == (Output.VALID, "")


def test_a_session_that_has_gone_says_nothing_of_how(observer: Observer, tmp_path: Path) -> None:
    observer.ended(None)
    evidence = look(observer, tmp_path / "o")
    assert (evidence.process, evidence.progress.exited) == (Process.GONE, False)


def test_limits_count_on_the_clock_of_this_boot() -> None:
    record = AttemptRecord(timeout=60.0, boot=clock.boot() or "none", monotonic=5.0, started_at=clock.stamp())
    if clock.boot():
        assert Limits.of(record) == Limits(5.0, 65.0, math.inf)


def test_limits_of_an_attempt_from_another_boot_count_by_the_wall_clock() -> None:
    record = AttemptRecord(timeout=60.0, stall=7.0, boot="another", started_at=clock.stamp(time.time() - 10))
    limits, ago = Limits.of(record), time.monotonic() - Limits.of(record).launched
    assert (round(ago), limits.deadline - limits.launched, limits.stall) == (10, 60.0, 7.0)
