"""`--json`: what a command prints with it is the dict that the Python interface returns."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from runner import Queue
from runner.cli.app import app
from runner.home.layout import Home
from runner.jobs.schema import schema
from runner.schedules import schedule
from runner.schedules.schedule import Schedule


@pytest.fixture
def queue(home: Home) -> Queue:
    return Queue(home.path)


def printed(home: Home, *words: str) -> Any:
    result = CliRunner(env={"MUXQ_HOME": str(home.path)}).invoke(app, [*words, "--json"], catch_exceptions=False)
    assert result.exit_code == 0
    return json.loads(result.stdout)


def test_add_prints_what_show_prints(home: Home, queue: Queue) -> None:
    job = printed(home, "add", "x", "--agent", "echo", "--name", "tea")
    assert job == queue.get("tea") == printed(home, "show", "tea")


def test_a_dry_run_prints_the_job_file_with_and_without(home: Home) -> None:
    words = ["add", "x", "--agent", "echo", "--dry-run"]
    plain = CliRunner(env={"MUXQ_HOME": str(home.path)}).invoke(app, words).stdout
    assert json.loads(plain) == printed(home, *words) == {"version": 1, "prompt": "x", "agent": "echo"}


def test_a_schedule_that_is_run_prints_the_job_it_adds_and_null_while_that_waits(home: Home, queue: Queue) -> None:
    schedule.save(home, Schedule("tea", "0 1 * * *", job={"prompt": "x", "agent": "echo"}))
    job = printed(home, "schedule", "run", "tea")
    assert job == queue.get("tea")
    assert printed(home, "schedule", "run", "tea") is None


def test_the_schema_is_json_in_any_case(home: Home) -> None:
    assert printed(home, "schema") == schema()


def test_a_last_screen_is_one_text(home: Home, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    queue.add("x", agent="echo", name="tea")
    monkeypatch.setattr(Queue, "screen", lambda *_: "one\ntwo\n")
    assert printed(home, "logs", "tea", "--screen") == {"screen": "one\ntwo\n"}
