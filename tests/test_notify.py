"""How a person is told. What starts it: tests/lifecycle/test_person.py."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runner import event, notify
from runner.home import Home

JOB: dict[str, Any] = {"id": "1m7y5q8nvn2kj7", "name": None, "attention": {"kind": "dialog", "detail": "sure?"}}


def test_nothing_is_started_where_nobody_wants_to_be_told(home: Home) -> None:
    notify.send(home, "title", "text", JOB)
    home.config.write_text('on_attention = "true"\n')
    notify.send(home, "title", "a hold is for messages alone")
    assert (notify._started, home.events.exists()) == ([], False)


def test_a_broken_config_is_an_event_and_no_error(home: Home) -> None:
    home.config.write_text("notify = 5\n")
    notify.send(home, "title", "text", JOB)
    (failed,) = event.read(home.events)
    assert (failed.name, failed.data["job"]) == ("notify.failed", JOB["id"])


def test_a_command_gets_the_job_by_its_environment_and_its_input(home: Home) -> None:
    line = 'cat > in.json; echo "$MUXQ_JOB/$MUXQ_NAME/$MUXQ_ATTENTION_KIND/$MUXQ_ATTENTION_DETAIL/$PWD" > env'
    assert notify.command(line, home, JOB) == ""
    assert json.loads((home.path / "in.json").read_text()) == JOB
    assert (home.path / "env").read_text() == f"1m7y5q8nvn2kj7//dialog/sure?/{home.path}\n"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("true", ""),
        ("exit 3", "the command ended with exit status 3"),
        ("sleep 60 | cat", "the command did not end within 0.2 seconds, and was ended"),
        ("no-such-command", "the command ended with exit status 127"),
    ],
)
def test_what_becomes_of_a_command_is_told_in_words(home: Home, line: str, why: str) -> None:
    limit = 0.2 if "sleep" in line else 30.0
    assert notify.command(line, home, JOB, limit) == why


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Apprise's own
def test_a_place_is_told_by_number_and_kind_and_never_by_its_secret() -> None:
    told = notify.deliver(["odd://s3cret@there", "s3cret", "s3cret-is-long-as-well://x"], "t", "x")
    assert told == [
        "place 1 of `notify` (odd) is none that Apprise can use",
        "place 2 of `notify` is none that Apprise can use",
        "place 3 of `notify` is none that Apprise can use",
    ]


def test_no_place_is_no_problem() -> None:
    assert notify.deliver([], "t", "x") == []
