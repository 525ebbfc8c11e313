"""What a session has used, and what of the account's limits: by Claude Code's transcript and its status line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from runner.agents.claude.transcript import parse_lines
from runner.home.quota import AccountLimit
from runner.system import files

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
