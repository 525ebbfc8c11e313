"""When a `.muxq` above the working folder is used as the home."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from runner.errors import BadInput, UnknownHome
from runner.home import homes, layout

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    (folder / "below").mkdir(parents=True)
    monkeypatch.chdir(folder / "below")
    monkeypatch.delenv("MUXQ_HOME", raising=False)
    return folder


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(folder), *words], check=True)


def test_one_that_its_owner_has_not_named_is_refused_with_what_settles_it(project: Path) -> None:
    layout.Home(project / ".muxq").make()
    with pytest.raises(UnknownHome, match=f"run `muxq init` in {project}, or name a home with --home or MUXQ_HOME"):
        layout.locate()


def test_one_that_its_owner_has_named_is_used(project: Path) -> None:
    assert layout.init(project).path == layout.locate().path == project / ".muxq"


def test_named_homes_are_noted_where_only_the_user_can_read(project: Path) -> None:
    layout.init(project)
    noted = Path.home() / ".local" / "state" / "muxq" / "homes.json"
    assert (noted.stat().st_mode & 0o777, noted.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_variable_is_a_word_of_its_own(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".muxq").mkdir()
    monkeypatch.setenv("MUXQ_HOME", str(project / ".muxq"))
    assert layout.locate().path == project / ".muxq"


def test_another_folder_in_its_place_is_not_the_one_that_was_named(project: Path, tmp_path: Path) -> None:
    path = layout.init(project).path
    path.rename(tmp_path / "before")
    layout.Home(path).make()
    with pytest.raises(UnknownHome):
        layout.locate()


def test_a_link_is_refused_though_it_leads_to_a_named_home(project: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (project / ".muxq").symlink_to(layout.init(tmp_path / "other").path)
    for act in (layout.locate, lambda: layout.init(project)):
        with pytest.raises(BadInput, match=f"{project / '.muxq'} is a symbolic link"):
            act()


def test_one_in_a_folder_that_others_may_write_to_is_refused(project: Path) -> None:
    layout.init(project)
    project.chmod(0o777)
    with pytest.raises(BadInput, match=f"other users can replace what is in {project}"):
        layout.locate()
    project.chmod(0o1777)  # sticky: what is ours stays ours
    assert layout.locate().path == project / ".muxq"


@root_only
def test_one_in_a_folder_of_another_user_is_refused(project: Path) -> None:
    layout.init(project)
    os.chown(project, 65534, -1)
    project.chmod(0o1777)
    with pytest.raises(BadInput, match=f"other users can replace what is in {project}"):
        layout.locate()


@root_only
@pytest.mark.parametrize("kind", ["link", "folder"])
def test_one_of_another_user_is_passed_over(project: Path, tmp_path: Path, kind: str) -> None:
    path = project / "below" / ".muxq"
    path.symlink_to(tmp_path) if kind == "link" else path.mkdir()
    os.chown(path, 65534, -1, follow_symlinks=False)
    layout.init(project)
    assert layout.locate().path == project / ".muxq"


def test_one_that_git_tracks_is_refused_though_it_was_named(project: Path) -> None:
    git(project, "init", "--quiet")
    path = layout.init(project).path
    assert layout.locate().path == path
    (path / "queue" / "evil.json").write_text("{}")
    git(project, "add", "--force", ".muxq/queue/evil.json")
    for act in (layout.locate, lambda: layout.init(project)):
        with pytest.raises(BadInput, match="git tracks files in it"):
            act()


def test_in_a_repository_it_is_out_of_sight_of_git(project: Path) -> None:
    git(project, "init", "--quiet")
    (layout.init(project).path / "queue" / "job.json").write_text("{}")
    status = subprocess.run(["git", "status", "--porcelain"], cwd=project, capture_output=True, text=True, check=True)
    assert status.stdout == ""


def test_a_folder_that_is_not_there_gets_no_home(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=f"there is no folder {tmp_path / 'nothing'}"):
        layout.init(tmp_path / "nothing")


def test_a_person_is_shown_what_would_be_used(project: Path) -> None:
    path = layout.init(project).path
    assert homes.contents(path) == "it is empty"
    (path / "queue" / "evil.json").write_text("{}")
    (path / "config.toml").touch()
    assert homes.contents(path) == "it has something in config.toml, queue"


def test_homes_that_have_gone_are_forgotten(project: Path, tmp_path: Path) -> None:
    layout.init(project).path.rename(tmp_path / "gone")
    (tmp_path / "other").mkdir()
    layout.init(tmp_path / "other")
    assert [*homes._homes()] == [str(tmp_path / "other" / ".muxq")]
