"""By fnmatch, name by name; tests/client/test_client_closed.py asks the real client."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from runner.attempts import closed
from runner.home.layout import Home

JOB = "1m7y5q8nvn2kj7"


def is_closed(patterns: list[str], path: Path) -> bool:
    """Whether a pattern matches the path or a folder above it, each `*` within one name."""
    return any(
        len(part.parts) == len(pattern.split("/")) and all(map(fnmatchcase, part.parts[1:], pattern.split("/")[1:]))
        for part in (path, *path.parents)
        for pattern in patterns
    )


@pytest.fixture
def run(home: Home) -> Path:
    return home.runs / JOB / "1"


CLOSED = [
    "attempt.json", "outcome.json", "mode.json", "keep.json", "answer-0a1b2c3d.json", "events.jsonl", "work.json",
    "../worktree.json", "../2/attempt.json", "../../1m7y5q8nvn2kj8/1/output.md", "../../../queue/evil.json",
    "../../../config.toml", "../../../sessions/claude.toml", "../../../something.new", "../../../runs.json",
]  # fmt: skip


@pytest.mark.parametrize("name", CLOSED)
def test_all_of_the_home_is_closed_but_the_output_and_the_workdir(home: Home, run: Path, name: str) -> None:
    patterns = closed.patterns(home, (run / "output.md", run / "work"))
    assert is_closed(patterns, Path(os.path.normpath(run / name)))
    assert not is_closed(patterns, run / "output.md")
    assert not is_closed(patterns, run / "work" / "deep" / "attempt.json")
    assert not is_closed(patterns, home.path.parent / "elsewhere")


def test_no_job_opens_a_folder_of_muxqs_own(home: Home, run: Path) -> None:
    patterns = closed.patterns(home, (home.queue / "x.md", home.path, home.runs, run / "work"))
    assert is_closed(patterns, home.queue / "x.md")
    assert is_closed(patterns, home.path / "config.toml")
    assert is_closed(patterns, run / "attempt.json")


def test_all_of_a_jobs_worktree_is_open_where_a_part_of_it_is(home: Home, run: Path) -> None:
    patterns = closed.patterns(home, (run.parent / "worktree" / "part", run / "output.md"))
    assert not is_closed(patterns, run.parent / "worktree" / "other" / "x.txt")
    assert is_closed(patterns, run.parent / "worktree.json")


def test_what_a_link_of_the_home_leads_to_is_closed_too(home: Home, run: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    home.runs.rmdir()
    home.runs.symlink_to(tmp_path / "disk")
    patterns = closed.patterns(home, (run / "output.md", run / "work"))
    assert is_closed(patterns, tmp_path / "disk" / JOB / "1" / "mode.json")
    assert is_closed(patterns, run / "mode.json")
    assert not is_closed(patterns, tmp_path / "disk" / JOB / "1" / "output.md")
