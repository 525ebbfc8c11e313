"""Where the home is, and that nobody else gets into it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.errors import Unready
from runner.home import layout as home
from runner.home.layout import FOLDERS, Home
from runner.jobs.state import State


@pytest.fixture
def everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All the places a home could be at, and a working folder two below `.muxq`."""
    (tmp_path / "project" / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project" / "deep" / "er")
    monkeypatch.setenv("MUXQ_HOME", str(tmp_path / "by-variable"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    home.init(tmp_path / "project")
    return tmp_path


def test_the_option_comes_first(everywhere: Path) -> None:
    assert home.locate(everywhere / "by-option").path == everywhere / "by-option"


def test_the_variable_comes_second(everywhere: Path) -> None:
    assert home.locate().path == everywhere / "by-variable"


def test_the_nearest_folder_upward_comes_third(everywhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUXQ_HOME")
    assert home.locate().path == everywhere / "project" / ".muxq"


def test_the_state_folder_comes_last(everywhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUXQ_HOME")
    monkeypatch.chdir(everywhere)
    assert home.locate().path == everywhere / "state" / "muxq"


@pytest.mark.parametrize("state", [None, "", "relative/state"])
def test_without_a_state_folder_it_is_the_one_in_the_users_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    if state is not None:
        monkeypatch.setenv("XDG_STATE_HOME", state)
    assert home.locate().path == tmp_path / "user-home" / ".local" / "state" / "muxq"


def test_an_empty_variable_counts_as_none(everywhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUXQ_HOME", "")
    assert home.locate().path == everywhere / "project" / ".muxq"


def test_a_relative_option_starts_at_the_working_folder(everywhere: Path) -> None:
    assert home.locate("here").path == everywhere / "project" / "deep" / "er" / "here"


def test_a_tilde_is_the_users_home(everywhere: Path) -> None:
    assert home.locate("~/q").path == everywhere / "user-home" / "q"


def test_every_folder_is_private_under_any_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        home = Home(tmp_path / "new" / "home").make()
    finally:
        os.umask(before)
    modes = {name: (home.path / name).stat().st_mode & 0o7777 for name in (".", *FOLDERS)}
    assert modes == dict.fromkeys((".", *FOLDERS), 0o700)


def test_the_folders_are_those_of_the_protocol(home: Home) -> None:
    assert sorted(item.name for item in home.path.iterdir()) == sorted(
        (
            "queue running done failed cancelled rejected runs locks requests prompts sessions schedules logs tmp "
            "after batches"
        ).split()
    )


def test_a_state_lies_in_its_folder(home: Home) -> None:
    assert [home.folders[state] for state in State] == [home.path / state.folder for state in State]


def test_making_a_home_again_keeps_its_files(home: Home) -> None:
    (home.queue / "a.json").write_text("{}")
    home.make()
    assert (home.queue / "a.json").read_text() == "{}"


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o720, 0o702])
def test_a_home_that_others_may_write_to_is_refused_with_what_to_do(home: Home, mode: int) -> None:
    home.path.chmod(mode)
    with pytest.raises(Unready, match=f"others may write to the home {home.path}; mend it with: chmod 700 {home.path}"):
        home.make()


def test_a_home_that_others_may_only_read_is_accepted(home: Home) -> None:
    home.path.chmod(0o755)
    assert home.make() == home


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_home_of_another_user_is_refused(home: Home) -> None:
    os.chown(home.path, 12345, -1)
    with pytest.raises(Unready, match="belongs to another user"):
        home.make()


def test_a_home_that_is_a_file_is_refused_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    with pytest.raises(Unready, match=f"cannot make the home {tmp_path / 'f'}"):
        Home(tmp_path / "f").make()


def test_the_users_own_templates_and_profiles_come_before_the_shipped_ones(home: Home) -> None:
    assert [home.prompts[0], home.sessions[0]] == [home.path / "prompts", home.path / "sessions"]
    assert (home.prompts[1] / "generic.md").is_file()
    assert (home.sessions[1] / "claude.toml").is_file()


def test_a_working_folder_that_is_gone_has_no_home_above_it(
    everywhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MUXQ_HOME")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert home.locate().path == everywhere / "state" / "muxq"


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_of_the_home_that_others_may_write_to_is_named_with_what_to_do(home: Home, name: str) -> None:
    (home.path / name).chmod(0o770)
    with pytest.raises(Unready, match=f"others may write to {home.path / name}; mend it with: chmod 700"):
        home.make()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_the_home_of_another_user_is_refused(home: Home) -> None:
    os.chown(home.queue, 12345, -1)
    with pytest.raises(Unready, match="queue belongs to another user"):
        home.make()
