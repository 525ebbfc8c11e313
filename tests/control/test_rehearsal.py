"""doctor --cron: the checks as a process sees them that cron has started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.control import rehearsal
from runner.home.layout import Home
from runner.schedules import schedule

pytestmark = pytest.mark.lifecycle

SCRIPT = Path(sys.executable).with_name("muxq")
needs_muxq = pytest.mark.skipif(not SCRIPT.exists(), reason="muxq is not installed beside this Python")


def levels(home: Home, agent: str = "echo") -> dict[str, str]:
    return {check.subject: check.level for check in rehearsal.examine(home, agent)}


def test_cron_gives_four_variables_and_no_more() -> None:
    result = rehearsal.run_from_cron("env; test -t 0 || echo no terminal; pwd", rehearsal.BARE)
    names = {line.partition("=")[0] for line in result.stdout.splitlines()}
    assert names <= {"HOME", "LOGNAME", "SHELL", "PATH", "PWD", "SHLVL", "_", "no terminal", os.environ["HOME"]}
    assert "PATH=/usr/bin:/bin\n" in result.stdout
    assert result.stdout.endswith(f"no terminal\n{os.environ['HOME']}\n")


@pytest.fixture
def only_mine(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """PATH with an agent that cron's own has not: its profile is called mine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "only-mine").write_text("#!/bin/sh\necho 1.2.3\n")
    (folder / "only-mine").chmod(0o755)
    (home.path / "sessions" / "mine.toml").write_text('command = ["only-mine"]\n')
    monkeypatch.setenv("PATH", path := f"{folder}:/usr/bin:/bin")
    return path


@needs_muxq
def test_what_would_work_is_said_to(home: Home) -> None:
    result = levels(home)
    assert {result[subject] for subject in ("muxq", "PATH", "home", "tmux", "agent", "session")} == {"ok"}


@needs_muxq
def test_an_agent_that_only_the_shell_finds_is_missing_under_cron(home: Home, only_mine: str) -> None:
    (check,) = (item for item in rehearsal.examine(home, "mine") if item.subject == "agent")
    assert (check.level, "muxq schedule add" in check.mend) == ("broken", True)
    keys = {"cron": "0 1 * * *", "command": ["work"], "timer": "launchd", "path": only_mine}
    schedule.save(home, schedule.check("nightly", keys, where="nightly"))
    result = levels(home, "mine")
    assert (result["agent"], result["schedule"]) == ("ok", "broken")


@needs_muxq
def test_the_command_ends_with_5_where_something_would_fail(home: Home, only_mine: str) -> None:
    env = {"PATH": only_mine, "HOME": os.environ["HOME"], "MUXQ_HOME": str(home.path)}
    codes = []
    for agent in ("echo", "mine"):
        words = [SCRIPT, "doctor", "--cron", "--json", "--agent", agent]
        done = subprocess.run(words, env=env, capture_output=True, text=True, check=False, timeout=90)
        broken = [check["subject"] for check in json.loads(done.stdout) if check["level"] == "broken"]
        codes.append((done.returncode, broken))
    assert codes == [(0, []), (5, ["agent"])]
