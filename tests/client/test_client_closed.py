"""What of muxq's own the agent's file tools may write, by the real client's judgement of its rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.client.sandbox import Sandbox

RECORDS = ("attempt.json", "outcome.json", "mode.json", "keep.json", "answer-0.json", "events.jsonl", "settings.json")
"""Of an attempt; some are there already, so the agent reads them first."""
HOME = ("queue/evil.json", "running/evil.json", "config.toml", "hold.json", "sessions/claude.toml", "new.file")


def attack(box: Sandbox, permissions: str, **keys: str) -> tuple[Path, list[Path]]:
    """Run a job whose agent writes to muxq's records; its run folder, and the files that hold the agent's word."""
    box.env["MUXQ_HOME"] = str(box.home)
    job = box.add("job", "later", permissions=permissions, not_before="2099-01-01T00:00:00Z", **keys)
    run = box.home / "runs" / job / "1"
    other = box.home / "runs" / f"{job[:-1]}{'1' if job[-1] == '0' else '0'}" / "1" / "output.md"
    places = [run / name for name in RECORDS] + [box.home / name for name in HOME]
    places += [other, run.parent / "worktree.json", run.parent / "2" / "attempt.json", run / "work" / "free.txt"]
    places += [box.root / "evil-beside.txt"] if keys else []
    script = "\n".join(f"@@write-to {place}: EVIL" for place in places)
    waiting = box.file("job")
    text = waiting.read_text("utf-8").replace("2099-01-01", "2001-01-01")
    waiting.write_text(text.replace('"later"', json.dumps(f"{script}\n@@write 42")), "utf-8")
    box.work()
    return run, [place for place in places if place.exists() and place.read_text("utf-8") == "EVIL"]


@pytest.mark.parametrize("permissions", ["deny", "ask", "edits"])
def test_the_agent_writes_its_output_and_its_folder_and_nothing_else_of_muxqs(box: Sandbox, permissions: str) -> None:
    box.home = box.root / "a [b] (c) {run_dir} $d ü"
    run, written = attack(box, permissions)
    assert (written, box.result("job")) == ([run / "work" / "free.txt"], "42")
    assert "permission-asked" not in box.events("job")


def test_a_workdir_that_contains_the_home_does_not_open_it(box: Sandbox) -> None:
    output = box.root / "results" / "out.md"
    run, written = attack(box, "edits", workdir=str(box.root), output=str(output))
    assert written == [run / "work" / "free.txt", box.root / "evil-beside.txt"]
    assert (output.read_text("utf-8"), "permission-asked" in box.events("job")) == ("42", False)


def test_a_home_that_is_reached_by_a_link_is_closed_by_both_its_paths(box: Sandbox) -> None:
    (box.root / "real").mkdir(mode=0o700)
    box.home.symlink_to(box.root / "real")
    run, written = attack(box, "edits", workdir=str(box.root))
    assert written == [run / "work" / "free.txt", box.root / "evil-beside.txt"]
    assert box.result("job") == "42"
