"""Locks: of a name, of a record, of a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.errors import Unready
from runner.system import locks


def test_one_at_a_time_by_whatever_name(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    held = locks.take_workdir(tmp_path / "folder")
    with pytest.raises(Unready, match="another job works in"):
        locks.take_workdir(tmp_path / "link")
    held.release()
    locks.take_workdir(tmp_path / "link").release()


def test_nothing_is_written_into_the_folder(tmp_path: Path) -> None:
    locks.take_workdir(tmp_path).release()
    assert [path.name for path in tmp_path.iterdir()] == ["user-home"]


def test_a_workdir_that_is_not_there_holds_up_no_job(tmp_path: Path) -> None:
    first, second = (locks.take_workdir(tmp_path / "gone") for _ in range(2))
    assert (first.fd, second.fd) == (None, None)


def test_a_released_lock_leaves_no_file(tmp_path: Path) -> None:
    held = locks.take(tmp_path / "name.lock")
    assert held is not None
    assert locks.take(tmp_path / "name.lock") is None
    held.release()
    assert not (tmp_path / "name.lock").exists()


def test_the_lock_of_a_record_is_free_after_its_block_also_when_that_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locks.record(tmp_path / "pool.lock"):
        raise KeyError
    held = locks.take(tmp_path / "pool.lock")
    assert held is not None
    held.release()
