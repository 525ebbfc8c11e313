"""The command line on a test's own home: in this process, or as a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from runner import Queue
from runner.cli.app import app
from runner.home.layout import Home
from tests.command import PATH, Call, Run, run_here, run_process


@pytest.fixture
def queue(home: Home) -> Queue:
    return Queue(home.path)


@pytest.fixture
def call(home: Home) -> Call:
    """`call("ls", "--json")`: the command in this process, on the test's own home. An error is raised."""

    def invoke(*words: str, given: bytes | str | None = None) -> Result:
        return CliRunner(env={"MUXQ_HOME": str(home.path)}).invoke(
            app, list(words), input=given, catch_exceptions=False, prog_name="muxq"
        )

    return invoke


@pytest.fixture
def bare(home: Home, tmp_path: Path) -> dict[str, str]:
    """An environment made from nothing."""
    return {"PATH": PATH, "HOME": str(tmp_path / "user-home"), "MUXQ_HOME": str(home.path), "LANG": "C.UTF-8"}


@pytest.fixture
def muxq(bare: dict[str, str], tmp_path: Path) -> Run:
    """`muxq("ls")`: the whole command line as a process would run it, but in this process."""
    return lambda *words, given="", **env: run_here(*words, given=given, env=bare | env, cwd=tmp_path)


@pytest.fixture
def process(bare: dict[str, str], tmp_path: Path) -> Run:
    """`process("ls")`: the real command, as a process of its own."""
    return lambda *words, given="", **env: run_process(*words, given=given, env=bare | env, cwd=tmp_path)
