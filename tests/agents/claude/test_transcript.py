"""Claude Code's records of conversations."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from runner.agents.agent import Message
from runner.agents.claude.transcript import find_conversation, read_conversation
from runner.errors import BadInput

ID = "0e9d6c8a-3c5e-4f0b-9a55-1f2d3c4b5a69"


def line(kind: str, content: Any, **keys: Any) -> str:
    return json.dumps({"type": kind, "timestamp": "2026-11-21T07:00:00.000Z", "message": {"content": content}, **keys})


def read(tmp_path: Path, *lines: str) -> list[tuple[str, str]]:
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    return [(message.who, message.text) for message in read_conversation(tmp_path / "x.jsonl")]


def test_who_said_what_is_read_with_the_tools(tmp_path: Path) -> None:
    tool = {"type": "tool_use", "name": "Bash", "input": {"command": "make  test"}}
    assert read(
        tmp_path,
        line("user", "Run the tests.\n"),
        line("assistant", [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "I do."}, tool]),
        line("user", [{"type": "tool_result", "content": "42 passed"}]),
        json.dumps({"type": "attachment", "attachment": {"type": "queued_command", "prompt": "And lint."}}),
        line("assistant", [{"type": "text", "text": "Done."}]),
    ) == [
        ("user", "Run the tests."),
        ("agent", "I do."),
        ("tool", "Bash: make test"),
        ("user", "And lint."),
        ("agent", "Done."),
    ]


def test_what_is_said_on_the_side_or_not_known_is_passed_over(tmp_path: Path) -> None:
    assert (
        read(
            tmp_path,
            line("user", "meta", isMeta=True),
            line("assistant", "side", isSidechain=True),
            line("user", 5),
            line("odd", "x"),
            "[]",
            '{"type": "user"}',
            '{"type": "attachment", "attachment": 1}',
            "{half",
        )
        == []
    )


def test_the_time_is_the_lines_own(tmp_path: Path) -> None:
    (tmp_path / "x").write_text(line("user", "x"))
    assert read_conversation(tmp_path / "x") == [Message("2026-11-21T07:00:00.000Z", "user", "x")]


def test_a_conversation_is_found_below_its_folder_alone(tmp_path: Path) -> None:
    work, other = tmp_path / "my.work_dir", tmp_path / "other"
    work.mkdir()
    name = "".join(c if c.isalnum() else "-" for c in str(work.resolve()))
    file = tmp_path / ".claude" / "projects" / name / f"{ID}.jsonl"
    file.parent.mkdir(parents=True)
    file.touch()
    env = {"HOME": str(tmp_path)}
    assert (find_conversation(ID, work, env), find_conversation(ID, other, env)) == (file, None)
    assert find_conversation(ID, work, {"CLAUDE_CONFIG_DIR": str(tmp_path / ".claude")}) == file
    assert find_conversation("another", work, env) is None


def test_a_folder_of_a_long_name_is_found_by_its_beginning(tmp_path: Path) -> None:
    work = tmp_path / ("x" * 200) / ("y" * 60)
    work.mkdir(parents=True)
    name = "".join(c if c.isalnum() else "-" for c in str(work.resolve()))
    file = tmp_path / ".claude" / "projects" / f"{name[:200]}-1abc2d" / f"{ID}.jsonl"
    file.parent.mkdir(parents=True)
    file.touch()
    assert find_conversation(ID, work, {"HOME": str(tmp_path)}) == file


def test_a_conversation_is_read_from_no_device_and_no_fifo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (Path("/dev/zero"), tmp_path / "fifo"):
        with pytest.raises(BadInput, match="not a regular file"):
            read_conversation(path)
