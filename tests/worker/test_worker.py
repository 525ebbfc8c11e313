"""The worker's loop by itself: when it sleeps, when it ends, and what it leaves; no session is opened."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from runner import Queue
from runner.attempts.plan import Setup
from runner.home import hold, pool
from runner.home.attempt_folder import next_folder
from runner.home.hold import Hold
from runner.home.layout import Home
from runner.home.records import OutcomeRecord
from runner.home.spool import Spool
from runner.jobs import entry as entries
from runner.jobs.entry import Entry
from runner.jobs.outcome import Done
from runner.jobs.state import State
from runner.notify import sender
from runner.notify.sender import Notice
from runner.system import clock
from runner.tmux.terminal import Pane, Tmux
from runner.worker import worker as module
from runner.worker.execution import Execution
from runner.worker.worker import Worker

WHILE = 0.2
"""Seconds in which a worker that does not sleep takes hundreds of steps."""


class NoTmux(Tmux):
    """A server that is never started."""

    async def start(self) -> None:
        pass

    async def panes(self) -> dict[str, Pane]:
        return {}

    async def stop_if_empty(self) -> None:
        pass


@pytest.fixture
def worker(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    """One whose slow look comes once, as it begins."""
    monkeypatch.setattr(module, "POLL", 3600.0)
    return Worker(home, NoTmux(tmp_path / "t.sock"))


@pytest.mark.parametrize("more", ["", ".evil"])
@pytest.mark.parametrize("state", [State.DONE, State.FAILED, State.CANCELLED])
def test_a_drop_with_the_id_of_an_ended_job_gets_an_id_of_its_own(
    worker: Worker, add: Callable[..., Entry], state: State, more: str
) -> None:
    entry = add(agent="shell", prompt="true")
    (worker.home.queue / entry.file).rename(worker.home.folders[state] / entry.file)
    next_folder(worker.home, entry.id).end(worker.home, OutcomeRecord(Done(), clock.stamp()))
    (worker.home.queue / f"{entry.id}{more}.json").write_bytes(b'{"prompt": "forged", "agent": "shell"}')
    (worker.home.queue / f"{entry.id}{more}.json").chmod(0o600)
    forged = entries.of(f"{entry.id}{more}.json")
    assert worker.candidates.examine(forged, Setup(worker.home)) is None
    (taken,) = Spool(worker.home).entries(State.QUEUED)
    assert (taken.id != entry.id, (worker.home.folders[state] / entry.file).exists()) == (True, True)


def steps(worker: Worker, during: Callable[[], object] = lambda: None, *, at_least: int = 1) -> int:
    """How often the worker claims within WHILE seconds after it has done so `at_least` times, for which it has 10."""
    calls, claim = [], worker.starter.claim

    def counted(setup: Setup) -> bool:
        calls.append(setup)
        return claim(setup)

    async def run() -> None:
        running, deadline = asyncio.create_task(worker.run()), time.monotonic() + 10
        while len(calls) < at_least and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        during()
        await asyncio.sleep(WHILE)
        worker.stop()
        await running

    worker.starter.claim = counted  # type: ignore[method-assign]
    asyncio.run(run())
    return len(calls)


def test_it_sleeps_though_the_time_of_a_job_has_come_that_cannot_start(
    home: Home, worker: Worker, add: Callable[..., Entry]
) -> None:
    hold.put(home, Hold("later"))
    worker.backlog.postpone(add(), time.time() - 1, worth_waiting=True)
    assert 0 < steps(worker) < 10


def test_it_sleeps_though_it_is_the_turn_of_a_job_that_waits_no_more(worker: Worker) -> None:
    worker.gate.start_due = time.time() - 1
    assert 0 < steps(worker) < 10


def test_it_does_not_sleep_through_a_time_that_came_during_the_last_step(
    home: Home, worker: Worker, add: Callable[..., Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    hold.put(home, Hold("later"))
    entry, look = add(), worker.gate.read_settings

    def slow_look() -> None:
        worker.backlog.postpone(entry, time.time() + 0.01, worth_waiting=True)
        time.sleep(0.05)
        look()

    monkeypatch.setattr(worker.gate, "read_settings", slow_look)
    assert steps(worker, at_least=2) > 1


def test_while_the_disk_refuses_nothing_is_taken_in(
    home: Home, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Spool, "names", no_room)
    dropped = home.queue / "dropped.json"
    steps(worker, at_least=0, during=lambda: dropped.write_text('{"prompt": "x", "agent": "echo"}'))
    assert dropped.exists()


def no_room(*_: object) -> list[str]:
    raise OSError(errno.ENOSPC, "full")


# --- ending


async def stuck(_: Execution) -> None:
    await asyncio.Event().wait()


def test_told_twice_to_end_its_sessions_it_leaves_what_cannot_end(
    home: Home, worker: Worker, add: Callable[..., Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ended() -> None:
        running = asyncio.create_task(worker.run())
        while not worker.running:
            await asyncio.sleep(0.01)
        worker.stop()
        await asyncio.sleep(0.05)
        assert not running.done()
        worker.stop()
        await running

    monkeypatch.setattr(Execution, "attend", stuck)
    worker.on_stop = "kill"
    entry = add()
    asyncio.run(ended())
    assert Spool(home).locate(entry).state is State.RUNNING


def test_what_there_was_no_room_to_send_is_sent_where_the_worker_ends_in_an_error(
    home: Home, worker: Worker, add: Callable[..., Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def mistake(_: Execution) -> None:
        raise RuntimeError("a mistake of ours")

    calls = []
    monkeypatch.setattr(sender, "go_on", lambda *, at_once=False: calls.append(at_once))
    monkeypatch.setattr(sender, "waiting", [(home, Notice("held", "why"))])
    monkeypatch.setattr(Execution, "attend", mistake)
    add()
    with pytest.raises(RuntimeError, match="ours"):
        asyncio.run(worker.run())
    assert calls[-1] is True


def test_a_draining_worker_does_not_end_on_a_look_that_the_disk_cut_short(
    home: Home, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, names = [], Spool.names

    def full_at_first(spool: Spool, state: State) -> list[str]:
        looks.append(state)
        return names(spool, state) if len(looks) > 1 else no_room()

    monkeypatch.setattr(module, "POLL", 0.05)
    monkeypatch.setattr(Spool, "names", full_at_first)
    worker.drain = True
    asyncio.run(worker.run())
    assert looks.count(State.QUEUED) == 2


# --- starting


def test_a_probe_that_is_cancelled_before_it_starts_keeps_nobody_waiting(
    home: Home, worker: Worker, add: Callable[..., Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    examine = worker.candidates.examine

    def cancelled(entry: Entry, setup: Setup) -> object:
        ready = examine(entry, setup)
        Queue(home.path).cancel(entry.id)
        return ready

    add()
    pool.change(home, pool.refused)
    pool.change(home, lambda known: replace(known, refusals=pool.OPEN_AFTER))
    monkeypatch.setattr(worker.candidates, "examine", cancelled)
    worker.drain = True
    asyncio.run(worker.run())
    assert pool.load(home).probe == ""
