"""The lock of a working folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.errors import Unready
from runner.system import files, locks


def test_one_at_a_time_by_whatever_name(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    held = locks.take(tmp_path / "folder")
    with pytest.raises(Unready, match="another job works in"):
        locks.take(tmp_path / "link")
    files.unlock_folder(held)
    files.unlock_folder(locks.take(tmp_path / "link"))


def test_nothing_is_written_into_the_folder(tmp_path: Path) -> None:
    files.unlock_folder(locks.take(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["user-home"]


def test_a_folder_that_is_not_there_is_somebody_elses_matter(tmp_path: Path) -> None:
    assert locks.take(tmp_path / "gone") is None
