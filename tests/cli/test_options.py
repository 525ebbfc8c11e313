"""The options of the commands: written down once, and the same in the help and in the docs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer

from runner.cli import add, batch, work
from runner.cli.app import app
from runner.cli.job_options import JobOptions

ROOT: Any = typer.main.get_command(app)
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text("utf-8")
WITHOUT_JSON = {"attach"}
"""Commands that print nothing for a program."""


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that is no group, by what is typed after `muxq`."""
    for name in ROOT.commands:
        command = ROOT.commands[name]
        for word, inner in getattr(command, "commands", {"": command}).items():
            yield f"{name} {word}".strip(), inner


COMMANDS = dict(commands())


def options(command: Any) -> dict[str, Any]:
    """By the long flag."""
    return {
        next(flag for flag in param.opts if flag.startswith("--")): param
        for param in command.params
        if param.param_type_name == "option"
    }


@pytest.mark.parametrize("command", [add.add, batch.add])
def test_add_and_batch_hand_on_every_option_of_a_job(command: Any) -> None:
    assert {field.name for field in fields(JobOptions)} <= set(inspect.signature(command).parameters)


def test_the_options_that_can_be_wrong_for_work_are_parameters_of_it() -> None:
    assert {field.name for field in fields(work.WorkOptions)} <= set(inspect.signature(work.work).parameters)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_prints_something_prints_json_if_it_is_asked_for(name: str) -> None:
    assert ("--json" in options(COMMANDS[name])) == (name not in WITHOUT_JSON)


@pytest.mark.parametrize("name", [name for name in COMMANDS if not name.startswith("batch") or name == "batch add"])
def test_the_docs_call_the_value_of_an_option_as_the_help_does(name: str) -> None:
    heading = f"## muxq {name.removesuffix(' add') if name.startswith('batch') else name}\n"
    section = PAGE.partition(heading)[2].partition("\n## ")[0]
    words = dict(re.findall(r"^\| `(--[\w-]+) ([^`]+)`", section, re.MULTILINE))
    given = {flag: option.metavar for flag, option in options(COMMANDS[name]).items() if option.metavar}
    assert words == given
