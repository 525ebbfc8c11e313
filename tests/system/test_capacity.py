"""What the machine can carry: the container's limits where they are lower, and never more than memory allows."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from runner.system import capacity

GB = 1 << 30


@pytest.mark.parametrize(
    ("available", "running", "missing"),
    [
        (GB, [], 0),
        (200 << 20, [], (300 << 20) + int(0.1 * 10 * GB) - (200 << 20)),
        (3 * GB, [2 * GB], 0),
        (3 * GB - 1, [2 * GB], 1),
        (4 * GB, [2 * GB, GB], 0),
        (4 * GB - 1, [2 * GB, GB], 1),
    ],
)
def test_a_new_session_needs_what_the_largest_has_and_so_may_the_small_ones(
    available: int, running: list[int], missing: int
) -> None:
    total = 10 * GB
    if available == GB:
        available += int(0.1 * total)
    assert capacity.lack(available, total, running) == missing


def test_the_groups_memory_counts_where_it_is_less(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text(f"{100 << 20}\n")
    (tmp_path / "memory.current").write_text(f"{60 << 20}\n")
    (tmp_path / "memory.stat").write_text(f"anon 1\ninactive_file {10 << 20}\n")
    assert capacity.memory(tmp_path) == (50 << 20, 100 << 20)


def test_a_group_without_limits_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert capacity.memory(tmp_path)[1] == psutil.virtual_memory().total
    assert capacity.cores(tmp_path) == capacity.cores(Path("/nowhere")) >= 1


def test_a_quota_of_cores_counts(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert capacity.cores(tmp_path) == 0.5


def test_the_size_of_a_process_is_that_of_its_tree(tmp_path: Path) -> None:
    (size,) = capacity.sizes([os.getpid(), 2**22 + 1])
    assert size >= psutil.Process().memory_info().rss // 2
