"""An agent's own record of a conversation: where it lies, and who said what in it. One format for each way to keep one.

Reads only. What it does not know it passes over: these files are the agents' own, and change with them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runner.agents.progress import tool


@dataclass(frozen=True, slots=True)
class Said:
    """One thing in a conversation: `who` is user, agent or tool; a tool's text is its name and subject."""

    at: str
    """RFC 3339, or "" where the record does not say."""
    who: str
    text: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Format:
    read: Callable[[Path], list[Said]]
    """The conversation in a file; OSError when it cannot be read."""
    find: Callable[[str, Path, Mapping[str, str]], Path | None]
    """The file of a conversation (its id, the folder it was held in, the agent's environment); None: it is unknown."""


def _read_jsonl(path: Path) -> list[Said]:
    """Lines of {"type", "timestamp", "message": {"content"}}, as Claude Code writes them."""
    found: list[Said] = []
    with path.open("rb") as file:
        for line in file:
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(entry, dict) and not entry.get("isSidechain") and not entry.get("isMeta"):
                found += [Said(str(entry.get("timestamp") or ""), who, text) for who, text in _spoken(entry) if text]
    return found


def _spoken(entry: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(who, text) for each thing that a line says."""
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
            yield "tool", tool({"tool_name": block.get("name"), "tool_input": block.get("input")})


def _text(said: Any) -> str:
    return said.strip() if isinstance(said, str) else ""


def _find_jsonl(conversation: str, workdir: Path, env: Mapping[str, str]) -> Path | None:
    """~/.claude/projects/FOLDER/ID.jsonl; FOLDER is the real path with dashes, a long one cut and with a hash."""
    base = env.get("CLAUDE_CONFIG_DIR") or os.path.join(env.get("HOME") or str(Path.home()), ".claude")
    name = re.sub(r"[^A-Za-z0-9]", "-", str(workdir.resolve()))
    projects = Path(base, "projects")
    folders = [projects / name, *(projects.glob(f"{name[:200]}-*") if len(name) > 200 else ())]
    files = [folder / f"{conversation}.jsonl" for folder in folders]
    return next((path for path in files if os.path.isfile(path)), None)


FORMATS: dict[str, Format] = {"claude-jsonl": Format(_read_jsonl, _find_jsonl)}
