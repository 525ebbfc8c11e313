"""Telling Claude Code beforehand that a folder is trusted: one entry in its own file, nothing else touched."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.agents.claude.trust import mark_trusted

SETTINGS = {
    "numStartups": 12,
    "oauthAccount": {"emailAddress": "é@example.org"},
    "projects": {"/elsewhere": {"hasTrustDialogAccepted": True, "allowedTools": ["Bash"]}},
    "unknown": [1, {"deep": None}],
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "user-home" / ".claude.json"
    path.write_text(json.dumps(SETTINGS), "utf-8")
    return path


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "real" / "work"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def trust(file: Path) -> Callable[[Path], None]:
    return lambda folder: mark_trusted(folder, {"HOME": str(file.parent)})


def projects(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text("utf-8"))["projects"]


def test_the_folder_is_added_and_everything_else_kept(file: Path, work: Path, trust: Callable[[Path], None]) -> None:
    trust(work)
    added = {**SETTINGS["projects"], str(work): {"hasTrustDialogAccepted": True}}  # type: ignore[dict-item]
    assert json.loads(file.read_text("utf-8")) == {**SETTINGS, "projects": added}


def test_it_is_the_real_path_that_is_added(
    file: Path, work: Path, tmp_path: Path, trust: Callable[[Path], None]
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    trust(tmp_path / "link" / "work")
    assert set(projects(file)) == {"/elsewhere", str(work)}


def test_what_the_client_knows_of_the_folder_is_kept(file: Path, work: Path, trust: Callable[[Path], None]) -> None:
    file.write_text(json.dumps({"projects": {str(work): {"allowedTools": ["X"], "hasTrustDialogAccepted": False}}}))
    trust(work)
    assert projects(file)[str(work)] == {"allowedTools": ["X"], "hasTrustDialogAccepted": True}


def test_a_file_without_projects_gets_them(file: Path, work: Path, trust: Callable[[Path], None]) -> None:
    file.write_text('{"a": 1}')
    trust(work)
    assert json.loads(file.read_text()) == {"a": 1, "projects": {str(work): {"hasTrustDialogAccepted": True}}}


@pytest.mark.parametrize("up", [0, 1, 2])
def test_a_folder_that_is_trusted_by_one_above_it_leaves_the_file_untouched(
    file: Path, work: Path, trust: Callable[[Path], None], up: int
) -> None:
    trusted = [work, *work.parents][up]
    file.write_text(json.dumps({"projects": {str(trusted): {"hasTrustDialogAccepted": True}}}))
    before = file.stat()
    trust(work)
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_of_a_repository_it_is_the_root_that_is_added(file: Path, work: Path, trust: Callable[[Path], None]) -> None:
    (work.parent / ".git").mkdir()
    trust(work)
    assert set(projects(file)) == {"/elsewhere", str(work.parent)}


def test_a_trusted_folder_above_a_repository_does_not_count(
    file: Path, work: Path, trust: Callable[[Path], None]
) -> None:
    (work / ".git").mkdir()
    file.write_text(json.dumps({"projects": {str(work.parent): {"hasTrustDialogAccepted": True}}}))
    trust(work)
    assert projects(file)[str(work)] == {"hasTrustDialogAccepted": True}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"projects": []}', '{"projects": null}', "\x00"],
)
def test_a_file_that_is_not_as_expected_stays_as_it_is(
    file: Path, work: Path, trust: Callable[[Path], None], text: str
) -> None:
    file.write_text(text)
    trust(work)
    assert file.read_text() == text


@pytest.mark.parametrize("entry", [None, [], "yes", 1])
def test_an_entry_that_is_no_object_stays_as_it_is(
    file: Path, work: Path, trust: Callable[[Path], None], entry: object
) -> None:
    text = json.dumps({"projects": {str(work): entry}})
    file.write_text(text)
    trust(work)
    assert file.read_text() == text


def test_no_file_means_none_is_made(file: Path, work: Path, trust: Callable[[Path], None]) -> None:
    file.unlink()
    trust(work)
    assert list(file.parent.iterdir()) == []


def test_a_lock_that_the_client_holds_is_respected(file: Path, work: Path, trust: Callable[[Path], None]) -> None:
    lock, before = file.with_name(".claude.json.lock"), file.read_bytes()
    lock.mkdir()
    trust(work)
    assert (lock.is_dir(), file.read_bytes()) == (True, before)


def test_a_lock_that_is_let_go_of_in_time_is_waited_for(file: Path, work: Path, trust: Callable[[Path], None]) -> None:
    lock = file.with_name(".claude.json.lock")
    lock.mkdir()
    timer = threading.Timer(0.15, lock.rmdir)
    timer.start()
    trust(work)
    timer.join()
    assert str(work) in projects(file)


def test_an_abandoned_lock_is_taken_over(file: Path, work: Path, trust: Callable[[Path], None]) -> None:
    lock = file.with_name(".claude.json.lock")
    lock.mkdir()
    os.utime(lock, (time.time() - 60, time.time() - 60))
    trust(work)
    assert (str(work) in projects(file), lock.exists()) == (True, False)


def test_nothing_is_left_beside_the_file(file: Path, work: Path, trust: Callable[[Path], None]) -> None:
    trust(work)
    assert [item.name for item in file.parent.iterdir()] == [".claude.json"]


def test_the_file_stays_private(file: Path, work: Path, trust: Callable[[Path], None]) -> None:
    trust(work)
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_a_link_stays_one(file: Path, work: Path, tmp_path: Path, trust: Callable[[Path], None]) -> None:
    file.rename(tmp_path / "dotfile")
    file.symlink_to(tmp_path / "dotfile")
    trust(work)
    assert (file.is_symlink(), str(work) in projects(tmp_path / "dotfile")) == (True, True)


def test_the_clients_own_folder_is_used_where_one_is_named(file: Path, work: Path, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / ".claude.json").write_text("{}")
    mark_trusted(work, {"HOME": str(file.parent), "CLAUDE_CONFIG_DIR": str(tmp_path / "conf")})
    assert [str(work) in projects(file), list(projects(tmp_path / "conf" / ".claude.json"))] == [False, [str(work)]]


def test_an_environment_without_home_means_the_users_own(file: Path, work: Path) -> None:
    mark_trusted(work, {})
    assert str(work) in projects(file)


def test_many_at_once_each_get_their_folder_in(file: Path, tmp_path: Path, trust: Callable[[Path], None]) -> None:
    folders = [tmp_path / f"w{n}" for n in range(6)]
    threads = [threading.Thread(target=trust, args=(folder,)) for folder in folders]
    for folder in folders:
        folder.mkdir()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(projects(file)) == {"/elsewhere", *map(str, folders)}
