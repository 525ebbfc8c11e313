"""`muxq work` where it cannot begin."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner import Queue
from runner.home.layout import Home
from tests.command import Run, parts


@pytest.fixture
def no_tmux(tmp_path: Path) -> str:
    """A PATH without tmux."""
    if any(Path(folder, "tmux").exists() for folder in ("/usr/local/bin", "/opt/homebrew/bin")):
        pytest.skip("tmux lies where muxq looks whatever the PATH says")
    (tmp_path / "bin").mkdir()
    return str(tmp_path / "bin")


@pytest.mark.parametrize("words", [["work"], ["work", "--drain"]], ids=" ".join)
def test_without_tmux_work_ends_with_5_and_leaves_the_jobs_alone(
    process: Run, queue: Queue, no_tmux: str, words: list[str]
) -> None:
    job = queue.add("x", agent="echo")
    (queue.home.queue / "drop.json").write_text('{"prompt": "x"}')
    code, out, err = parts(process(*words, PATH=no_tmux))
    assert (code, out, err.count("\n"), err.startswith("muxq: tmux is not installed: ")) == (5, "", 1, True)
    assert sorted(item.name for item in queue.home.queue.iterdir()) == [f"{job['id']}.json", "drop.json"]


def test_a_broken_config_ends_work_with_4(process: Run, home: Home) -> None:
    home.config.write_text("jobs = 0")
    code, _, err = parts(process("work", "--drain"))
    assert (code, err) == (4, f'muxq: {home.config}: `jobs` is a whole number above 0 or "auto", not 0\n')
