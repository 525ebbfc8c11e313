"""The command that starts an attempt's session by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runner.home.attempt_folder import AttemptFolder, next_folder
from runner.home.layout import Home
from runner.home.records import AttemptRecord
from runner.home.spool import Place, Spool
from runner.jobs.entry import Entry
from runner.jobs.state import State
from runner.views.command import command

Add = Callable[..., Entry]


def prepared(
    spool: Spool, add: Add, home: Home, record: dict[str, Any] | None = None, **keys: Any
) -> tuple[Place, AttemptFolder]:
    place = Place(State.QUEUED, add(**keys))
    run = next_folder(home, place.entry.id)
    default = {"agent": "echo", "workdir": "/a b", "argv": ["/bin/x", "--", "it's $HOME"]}
    run.begin(home, AttemptRecord.load(default if record is None else record))
    return place, run


def test_folder_program_and_arguments_are_quoted(spool: Spool, add: Add, home: Home) -> None:
    assert command(spool, *prepared(spool, add, home)) == "cd '/a b' && /bin/x -- 'it'\"'\"'s $HOME'"


def test_the_jobs_variables_stand_there_but_no_secret(spool: Spool, add: Add, home: Home) -> None:
    env = {"WORD": "a b", "API_KEY": "s3cret", "OTHER": {"from_env": "OUTER"}}
    line = command(spool, *prepared(spool, add, home, env=env)) or ""
    assert line.startswith("""cd '/a b' && env WORD='a b' API_KEY="$API_KEY" OTHER="$OUTER" /bin/x""")


def test_the_profiles_variables_stand_there_too(spool: Spool, add: Add, home: Home) -> None:
    (home.path / "sessions" / "mine.toml").write_text('command = ["x"]\nenv = { MODE = "quick" }\n')
    record = {"agent": "mine", "workdir": "/", "argv": ["/bin/x"]}
    assert command(spool, *prepared(spool, add, home, record, agent="mine")) == "cd / && env MODE=quick /bin/x"


def test_a_profile_that_has_gone_costs_only_its_variables(spool: Spool, add: Add, home: Home) -> None:
    record = {"agent": "gone", "workdir": "/", "argv": ["/bin/x"]}
    assert command(spool, *prepared(spool, add, home, record)) == "cd / && /bin/x"


@pytest.mark.parametrize("record", [{}, {"agent": "echo"}, {"agent": "echo", "workdir": 1, "argv": 2}])
def test_a_record_that_is_not_whole_gives_no_command(
    spool: Spool, add: Add, home: Home, record: dict[str, Any]
) -> None:
    assert command(spool, *prepared(spool, add, home, record)) is None
