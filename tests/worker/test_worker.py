"""The worker's loop by itself: when it sleeps, when it ends, and what it leaves; no session is opened."""

from __future__ import annotations

import asyncio
import errno
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from runner import Queue
from runner.attempts.plan import Setup
from runner.home import hold, pool
from runner.home.hold import Hold
from runner.home.layout import Home
from runner.jobs.entry import Entry
from runner.notify import sender
from runner.tmux.terminal import Tmux
from runner.worker.worker import Worker


class NoTmux(Tmux):
    """A server that is never started."""

    async def start(self) -> None:
        pass


@pytest.fixture
def worker(home: Home, tmp_path: Path) -> Worker:
    made = Worker(home, NoTmux(tmp_path / "t.sock"), drain=True)
    made._intake.due = math.inf
    return made


def sleeps(worker: Worker, looked: float | None = None) -> bool:
    """Whether a worker whose last step began at `looked` (now), and whose slow look is far away, waits to be woken."""

    async def asleep() -> bool:
        worker._poll_due = time.monotonic() + 3600
        sleeping = asyncio.create_task(worker._sleep(looked or time.time()))
        for _ in range(10):
            await asyncio.sleep(0)
        still = not sleeping.done()
        worker._wake()
        await sleeping
        return still

    return asyncio.run(asleep())


def test_it_sleeps_though_the_time_of_a_job_has_come_that_cannot_start(
    home: Home, worker: Worker, add: Callable[..., Entry]
) -> None:
    hold.put(home, Hold("later"))
    worker.backlog.postpone(add(), time.time() - 1, worth_waiting=True)
    assert sleeps(worker)


def test_it_sleeps_though_it_is_the_turn_of_a_job_that_waits_no_more(worker: Worker) -> None:
    worker._gate._start_due = time.time() - 1
    assert sleeps(worker)


def test_it_does_not_sleep_through_a_time_that_came_during_the_last_step(
    worker: Worker, add: Callable[..., Entry]
) -> None:
    worker.backlog.postpone(add(), time.time() - 1, worth_waiting=True)
    assert not sleeps(worker, looked=time.time() - 2)


def test_it_sleeps_while_the_disk_is_in_trouble_whatever_is_dropped(worker: Worker) -> None:
    worker._troubled_until = time.monotonic() + 3600
    worker._on_queue("dropped.json")
    worker._woken.clear()
    assert sleeps(worker)


# --- ending


def test_told_twice_to_end_its_sessions_it_leaves_what_cannot_end(worker: Worker) -> None:
    async def ended() -> bool:
        worker.on_stop = "kill"
        stuck = asyncio.create_task(asyncio.Event().wait())
        worker._tasks[stuck] = SimpleNamespace(settling=False)  # type: ignore[index, assignment]
        worker.stop()
        ending = asyncio.create_task(worker._end_attempts())
        await asyncio.sleep(0)
        worker.stop()
        await ending
        return stuck.cancelled()

    assert asyncio.run(ended())


def test_what_there_was_no_room_to_tell_of_is_told_where_the_worker_ends_in_an_error(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    monkeypatch.setattr(sender, "go_on", lambda *, at_once=False: told.append(at_once))
    worker._broken = RuntimeError("a mistake of ours")
    with pytest.raises(RuntimeError, match="ours"):
        asyncio.run(worker.run())
    assert told == [True]


def test_a_draining_worker_does_not_end_on_a_look_that_the_disk_cut_short(
    worker: Worker, add: Callable[..., Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    add()
    monkeypatch.setattr(worker._recurring, "look", no_room)
    asyncio.run(worker._step())
    assert not worker._finished()


# --- starting


def test_a_probe_that_is_cancelled_before_it_starts_keeps_nobody_waiting(
    home: Home, worker: Worker, add: Callable[..., Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, real = add(), worker.candidates.examine

    def examine(entry: Entry, setup: Setup) -> object:
        made = real(entry, setup)
        Queue(home.path).cancel(entry.id)
        return made

    pool.change(home, pool.refused)
    pool.change(home, lambda known: replace(known, refusals=pool.OPEN_AFTER))
    monkeypatch.setattr(worker.candidates, "examine", examine)
    worker._starter._start(found, Setup(home))
    assert pool.load(home).probe == ""
