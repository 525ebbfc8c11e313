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


def test_of_our_variables_git_gets_only_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_DIR", "GIT_EXTERNAL_DIFF", "SECRET_TOKEN", "LD_PRELOAD", "PAGER", "EDITOR"):
        monkeypatch.setenv(name, "/elsewhere")
    assert "/elsewhere" not in git.environment().values()


def test_a_plain_folder_with_the_files_of_a_bare_repository_is_none(repository: Path) -> None:
    bare = repository / "bare"
    for name in ("objects", "refs"):
        (bare / name).mkdir(parents=True)
    (bare / "HEAD").write_text("ref: refs/heads/main\n")
    (bare / "config").write_text("[core]\nrepositoryformatversion = 0\nbare = false\nworktree = .\n")
    (bare / "below").mkdir()
    for folder in (bare, bare / "below"):
        with pytest.raises(BadInput, match="files of a bare repository"):
            git.run(folder, "rev-parse", "--git-dir")


def test_a_filter_is_the_users_or_nobodys(repository: Path, tmp_path: Path) -> None:
    (Path.home() / ".gitconfig").write_text('[filter "mine"]\nclean = tr a-z A-Z\n')
    for name in ("mine", "theirs"):
        git.run(repository, "config", f"filter.{name}.clean", "touch mark; cat")
        git.run(repository, "config", f"filter.{name}.required", "true")
    (repository / ".gitattributes").write_text("a filter=mine\nb filter=theirs\n")
    for name in ("a", "b"):
        (repository / name).write_text("text\n")
    git.run(repository, "add", "a", "b")
    assert (git.run(repository, "show", ":a"), git.run(repository, "show", ":b")) == ("TEXT\n", "text\n")
    assert not (repository / "mark").exists()


def test_a_filter_that_cannot_be_switched_off_is_refused(repository: Path) -> None:
    git.run(repository, "config", "filter.a=b.clean", "cat")
    with pytest.raises(BadInput, match=r"`filter.a=b.clean`, a name that muxq cannot switch off"):
        git.run(repository, "status")


def test_hooks_of_the_configuration_are_off_whoever_set_them() -> None:
    listing = "global\0hook.mine.command\nx\0local\0hook.theirs.command\ny\0"
    assert dict(git._without_drivers(listing)) == {"hook.mine.enabled": "false", "hook.theirs.enabled": "false"}
