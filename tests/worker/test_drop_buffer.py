"""How long a run waits for drops that are not whole yet."""

from __future__ import annotations

import asyncio
import json

import pytest

from runner.attempts.plan import Setup
from runner.home.spool import Spool
from runner.worker import drop_buffer
from runner.worker.backlog import Backlog
from runner.worker.drop_buffer import DropBuffer

JOB = json.dumps({"prompt": "hello", "agent": "echo"})


@pytest.fixture
def buffer(spool: Spool) -> DropBuffer:
    return DropBuffer(spool, Backlog())


def take_in(buffer: DropBuffer) -> None:
    buffer.drop("half.json")
    asyncio.run(buffer.take_in(Setup(buffer.spool.home)))


def test_a_run_waits_for_a_drop_that_grows(buffer: DropBuffer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drop_buffer, "HELD_OPEN", 0.0)
    path = buffer.spool.home.queue / "half.json"
    path.write_text(JOB[:10])
    take_in(buffer)
    assert not buffer.left()
    monkeypatch.setattr(drop_buffer, "HELD_OPEN", 3600.0)
    path.write_text(JOB[:20])
    take_in(buffer)
    assert buffer.left()


def test_a_run_does_not_wait_for_ever_for_a_drop_that_is_held_open(
    buffer: DropBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = buffer.spool.home.queue / "half.json"
    with path.open("w") as file:
        file.write(JOB[:10])
        file.flush()
        take_in(buffer)
        assert buffer.left()
        monkeypatch.setattr(drop_buffer, "HELD_OPEN", 0.0)
        take_in(buffer)
        assert (buffer.left(), path.exists()) == (False, True)
