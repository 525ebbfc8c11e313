"""The recorded screens are those of this client: the quickest to record are recorded again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.install import REPOSITORY, VERSION
from tests.client.sandbox import SECONDS

RECORDED = REPOSITORY / "tests" / "screens" / "claude" / VERSION


@pytest.mark.parametrize("name", ["trust", "bypass-narrow", "idle"])
def test_a_screen_recorded_now_is_the_one_in_the_repository(claude: Path, tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-m", "tests.screens.record", "--out", str(tmp_path), name]
    ran = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / f"{name}.txt").read_text("utf-8") == (RECORDED / f"{name}.txt").read_text("utf-8")
