"""What is kept of an attempt."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from runner.attempts import collect
from runner.home import events
from runner.home.attempt_folder import next_folder
from runner.home.layout import Home


def test_an_interrupt_from_the_keyboard_does_not_reach_the_git_that_tells_what_was_changed(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = tmp_path / "group"
    (tmp_path / "git").write_text(f"#!/bin/sh\nps -o pgid= -p $$ > {group}\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    asyncio.run(collect.diff(home, next_folder(home, "1kq2vd6w8s3f5h"), tmp_path))
    assert int(group.read_text()) != os.getpgid(0)


def test_a_copy_of_a_result_is_made_piece_by_piece_and_of_one_too_large_none(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "MAX_COPY", 2000)
    folder, output = next_folder(home, "1kq2vd6w8s3f5h"), tmp_path / "out.md"
    output.write_bytes(b"x" * 2000)
    collect.result(home, folder, output)
    copy = folder.path / "output.md"
    assert (copy.read_bytes(), copy.stat().st_mode & 0o777, list(home.tmp.iterdir())) == (b"x" * 2000, 0o600, [])
    output.write_bytes(b"y" * 2001)
    collect.result(home, folder, output)
    assert copy.read_bytes() == b"x" * 2000
    (event,) = events.read(home.events)
    assert (
        event.data["why"] == "the result is larger than 2,000 bytes, and there is no copy of it in the attempt's folder"
    )
