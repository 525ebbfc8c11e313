"""What is kept of an attempt."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from runner.attempts import collect
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
