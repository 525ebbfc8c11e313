"""The door to git: what it passes on, and what it keeps away from it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from threading import Event

import pytest

from runner.errors import BadInput, Unready
from runner.system import git


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    return tmp_path


def test_what_git_prints_comes_back(repository: Path) -> None:
    assert git.run(repository, "rev-parse", "--show-toplevel") == f"{repository.resolve()}\n"


def test_an_error_has_the_command_the_folder_and_the_reason_of_git(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=rf"`git rev-parse` in {tmp_path}: .*not a git repository"):
        git.run(tmp_path, "rev-parse", "--show-toplevel")


def test_a_machine_without_git_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unready, match="git, which is not on PATH"):
        git.run(tmp_path, "version")


def test_an_interrupt_from_the_keyboard_does_not_reach_git(repository: Path) -> None:
    group = git.run(repository, "-c", "alias.group=!ps -o pgid= -p $$", "group")
    assert int(group) != os.getpgid(0)


def test_a_command_that_takes_too_long_is_ended(repository: Path) -> None:
    with pytest.raises(BadInput, match="did not end within 0 s"):
        git.run_raw(repository, "-c", "alias.wait=!sleep 60", "wait", seconds=0.1)


def test_a_command_that_is_no_longer_wanted_is_ended(repository: Path) -> None:
    unwanted = Event()
    unwanted.set()
    with pytest.raises(BadInput, match="did not end within"):
        git.run(repository, "-c", "alias.wait=!sleep 60", "wait", unwanted=unwanted)


def test_variables_that_lead_to_another_repository_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    assert [key for key in git.environment() if key.startswith("GIT_")] == ["GIT_TERMINAL_PROMPT"]
