"""The worker's loop by itself: when it sleeps, when it ends, and what it leaves; no session is opened."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runner import hold
from runner.entry import Entry
from runner.hold import Hold
from runner.home import Home
from runner.terminal import Tmux
from runner.worker import Worker


@pytest.fixture
def worker(home: Home, tmp_path: Path) -> Worker:
    made = Worker(home, Tmux(tmp_path / "t.sock"), drain=True)
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
