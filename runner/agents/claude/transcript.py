"""Claude Code's record of a conversation and its status line: who said what, what was used, which limits are near.

Reads only. What is not known is passed over: these files are the client's own, and change with it.
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
from runner.home.quota import AccountLimit
from runner.system import files
from runner.system.text import shorten

TOOL = 200
"""Characters of a tool's use in a conversation."""

TRANSCRIPT_FORM = "claude-jsonl"


def read_conversation(transcript: Path) -> list[Message]:
    """Who said what, by lines of {"type", "timestamp", "message": {"content"}}. OSError or BadInput: it is not read."""
    messages: list[Message] = []
    for entry in parse_lines(files.last_lines(transcript)):
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
            tool = describe_tool({"tool_name": block.get("name"), "tool_input": block.get("input")})
            yield "tool", shorten(tool, TOOL)


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


TOKENS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


def read_usage(transcript: str | None, status: Mapping[str, Any]) -> dict[str, Any] | None:
    """Tokens by the transcript, cost by the status line; None where neither says anything.

    {"input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "cost_usd"}
    Both lag behind by the last message until the client has ended.
    """
    by_message: dict[str, dict[str, Any]] = {}  # a message of several parts has a line for each
    with files.open_or_empty(transcript) as file:
        for entry in parse_lines(file):
            message = entry.get("message")
            if isinstance(message, dict) and isinstance(message.get("usage"), dict):
                by_message[str(message.get("id"))] = message["usage"]
    tokens = {key: sum(_count(usage.get(key)) for usage in by_message.values()) for key in TOKENS if by_message}
    cost = _table(status.get("cost")).get("total_cost_usd")
    return {**tokens, "cost_usd": cost} if tokens or cost else None


def read_limits(status: Mapping[str, Any]) -> dict[str, AccountLimit]:
    """{NAME: {"used_percentage", "resets_at"}} of the status line; what has another shape is passed over."""
    limits = {name: _limit(_table(window)) for name, window in _table(status.get("rate_limits")).items()}
    return {name: limit for name, limit in limits.items() if limit}


def _limit(window: dict[str, Any]) -> AccountLimit | None:
    used, resets_at = window.get("used_percentage"), window.get("resets_at")
    if isinstance(used, int | float) and isinstance(resets_at, int | float) and resets_at > 0:
        return AccountLimit(float(used), float(resets_at))
    return None


def read_reset(transcript: str | None) -> float | None:
    """When a used-up plan is renewed, by the end of the transcript (seconds since 1970)."""
    times = re.findall(rb'"resetsAt":\s*(\d{10})\b', files.tail(transcript))
    return float(times[-1]) if times else None


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
