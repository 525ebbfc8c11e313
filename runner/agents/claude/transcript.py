"""Claude Code's record of a conversation: where it lies, and who said what in it. Reads only.

What is not known is passed over: these files are the client's own, and change with it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from runner.agents.agent import Message
from runner.agents.claude.hooks import describe_tool

TRANSCRIPT_FORM = "claude-jsonl"


def read_conversation(transcript: Path) -> list[Message]:
    """Who said what, by lines of {"type", "timestamp", "message": {"content"}}. OSError when it cannot be read."""
    messages: list[Message] = []
    with transcript.open("rb") as file:
        for entry in parse_lines(file):
            if not entry.get("isSidechain") and not entry.get("isMeta"):
                at = str(entry.get("timestamp") or "")
                messages += [Message(at, who, text) for who, text in _contents(entry) if text]
    return messages


def parse_lines(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The entries of a transcript; a line that is not a JSON object is passed over."""
    for line in lines:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict):
            yield entry


def _contents(entry: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(who, text) for each part of an entry."""
    kind, attached = entry.get("type"), entry.get("attachment")
    if kind == "attachment" and isinstance(attached, dict) and attached.get("type") == "queued_command":
        yield "user", _text(attached.get("prompt"))
    message = entry.get("message")
    if kind not in ("user", "assistant") or not isinstance(message, dict):
        return
    content = message.get("content")
    for block in content if isinstance(content, list) else [{"type": "text", "text": content}]:
        if isinstance(block, dict) and block.get("type") == "text":
            yield "agent" if kind == "assistant" else "user", _text(block.get("text"))
        elif isinstance(block, dict) and block.get("type") == "tool_use":
            yield "tool", describe_tool({"tool_name": block.get("name"), "tool_input": block.get("input")})


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def config_folder(env: Mapping[str, str]) -> Path:
    """Where the client keeps conversations and the log-in, under this environment."""
    return Path(env.get("CLAUDE_CONFIG_DIR") or os.path.join(env.get("HOME") or str(Path.home()), ".claude"))


def find_conversation(conversation: str, workdir: Path, env: Mapping[str, str]) -> Path | None:
    """~/.claude/projects/FOLDER/ID.jsonl; FOLDER is the real path with dashes, a long one cut and with a hash."""
    name = re.sub(r"[^A-Za-z0-9]", "-", str(workdir.resolve()))
    projects = config_folder(env) / "projects"
    folders = [projects / name, *(projects.glob(f"{name[:200]}-*") if len(name) > 200 else ())]
    paths = [folder / f"{conversation}.jsonl" for folder in folders]
    return next((path for path in paths if os.path.isfile(path)), None)
